"""Which reader a file needs, and which files of a folder are recordings."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE, ReadOptions, Recording
from ecg_study.ecg_data.readers.wfdb import as_record_errors
from ecg_study.errors import RecordError

ENDINGS = (".hea", ".edf", ".bdf", ".csv", ".tsv", ".txt", ".npy")
"""Of files that are read; a name without one is that of a WFDB record."""

_DOCUMENTS = frozenset(
    f"{name}.txt" for name in ("readme", "sha256sums", "license", "licence", "copying", "notes", "changes", "records")
)
"""Names in small letters of text files that are not read as tables where they lie in a folder of recordings."""


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a file, by what its ending says.

    Raises:
        RecordError: it is not there, of no known kind, not what its name says, does not tell enough of itself, or
            tells of itself what ``options`` would tell it.
    """
    with as_record_errors(path):
        reader, ignored = _reader(path)
        useless = [name for name in options.given_fields() if name in ignored]
        if useless:
            problem = f"{', '.join(useless)} does not apply to this file format; omit it, or read this file separately"
            raise RecordError(path, problem, parameter=useless[0])
        recording = reader(path, options)
    if options.fs is not None and not math.isclose(recording.fs, options.fs, rel_tol=1e-4):
        raise RecordError(path, f"has {recording.fs:g} Hz, but fs is {options.fs:g} Hz; omit fs", parameter="fs")
    if not LOWEST_RATE <= recording.fs <= HIGHEST_RATE:
        problem = f"has {recording.fs:g} Hz; ECG from {LOWEST_RATE:g} to {HIGHEST_RATE:,g} Hz can be read"
        raise RecordError(path, problem)
    return recording


_IN_HEADER = ("time_column", "units", "gain", "adc_zero")
"""Options that WFDB and EDF files answer themselves."""


def _reader(path: Path) -> tuple[Callable[[Path, ReadOptions], Recording], tuple[str, ...]]:
    """What reads a file, and the options that it makes no use of."""
    ending = path.suffix.lower()
    if ending not in (".hea", "") and not path.exists() and path.with_name(path.name + ".hea").exists():
        ending = ".hea"  # a record's name may have a point in it
    if ending in ("", ".hea"):
        from ecg_study.ecg_data.readers.wfdb import open_wfdb

        return open_wfdb, _IN_HEADER
    if not path.exists():
        raise RecordError(path, "no such file")
    if ending in (".edf", ".bdf"):
        from ecg_study.ecg_data.readers.edf import open_edf

        return open_edf, _IN_HEADER
    if ending in (".csv", ".tsv", ".txt"):
        from ecg_study.ecg_data.readers.table import open_table

        return open_table, ()
    if ending == ".npy":
        from ecg_study.ecg_data.readers.npy import open_array

        return open_array, ("time_column",)
    raise RecordError(path, f"a file {ending} is of no kind that is read ({', '.join(ENDINGS)})")


def find_recordings(path: Path) -> list[Path]:
    """The recordings that a path means: itself, or those in a folder, by name.

    What comes with databases, such as ``README.txt`` and ``SHA256SUMS.txt``, is no recording.

    Raises:
        RecordError: a folder without any.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS and not file.name.startswith("."))
    found = [file for file in found if file.name.lower() not in _DOCUMENTS]
    if not found:
        raise RecordError(path, f"holds no recording ({', '.join(ENDINGS)})")
    return found
