"""Recordings by path: the reader for a file, and the recordings in a folder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE, ReadOptions, Recording, as_record_errors
from ecg_study.errors import RecordError

ENDINGS = (".hea", ".edf", ".bdf", ".csv", ".tsv", ".txt", ".npy")
"""Extensions of readable files; a name without an extension is that of a WFDB record."""

_DOCUMENTS = frozenset(
    f"{name}.txt" for name in ("readme", "sha256sums", "license", "licence", "copying", "notes", "changes", "records")
)
"""Names, in lower case, of text files in a folder that are not recordings."""

_IN_HEADER = ("time_column", "units", "gain", "adc_zero")
"""Options whose values WFDB and EDF files contain."""


def open_recording(path: Path, options: ReadOptions = ReadOptions()) -> Recording:  # noqa: B008  # it is immutable
    """Open a file with the reader for its extension.

    Raises:
        RecordError: the file is missing, damaged or of an unknown format; it lacks metadata; or ``options`` repeats
            metadata that it has.
    """
    with as_record_errors(path):
        reader, unused = _reader(path)
        given = [name for name in options.given_fields() if name in unused]
        if given:
            problem = f"this file format does not use {given[0]}; omit {given[0]}, or read this file separately"
            raise RecordError(path, problem, parameter=given[0])
        recording = reader(path, options)
    if options.fs is not None and not math.isclose(recording.fs, options.fs, rel_tol=1e-4):
        raise RecordError(path, f"has {recording.fs:g} Hz, but fs is {options.fs:g} Hz; omit fs", parameter="fs")
    if not LOWEST_RATE <= recording.fs <= HIGHEST_RATE:
        problem = f"has {recording.fs:g} Hz; ECG from {LOWEST_RATE:g} to {HIGHEST_RATE:,g} Hz can be read"
        raise RecordError(path, problem)
    return recording


def _reader(path: Path) -> tuple[Callable[[Path, ReadOptions], Recording], tuple[str, ...]]:
    """Return the reader for a file, and the options that do not apply to its format."""
    if path.is_dir() and not path.with_name(path.name + ".hea").exists():
        raise _no_recording(path)
    ending = path.suffix.lower()
    if ending not in (".hea", "") and not path.exists() and path.with_name(path.name + ".hea").exists():
        ending = ".hea"  # the name of a record may contain a dot
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
    raise RecordError(path, f"{ending} is not a readable format ({', '.join(ENDINGS)})")


def find_recordings(path: Path) -> list[Path]:
    """Return the recordings in a folder, sorted by name; other paths are returned unchanged.

    Documents of databases, such as ``README.txt`` and ``SHA256SUMS.txt``, are skipped.

    Raises:
        RecordError: the folder has no recording.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS and not file.name.startswith("."))
    found = [file for file in found if file.name.lower() not in _DOCUMENTS]
    if not found:
        raise _no_recording(path)
    return found


def _no_recording(folder: Path) -> RecordError:
    return RecordError(folder, f"no recording in this folder ({', '.join(ENDINGS)}); subfolders are not read")
