"""Recordings in WFDB format, read in blocks; samples that are missing are no error here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ecg_data.errors import RecordError
from ecg_data.recordings.recording import BLOCK_SECONDS, MILLIVOLTS, ReadingOptions, Recording, choose_columns
from ecg_data.records import AUTO_LEAD, PREFERRED_LEAD, check_files, one_line, read_header, reading


def open_wfdb(path: Path, options: ReadingOptions) -> Recording:
    """Open a WFDB record.

    Args:
        path: its header, with or without ``.hea``.
        options: the lead; a WFDB record tells everything else itself.

    Raises:
        RecordError: a file is missing or too short, the header is none or names a file outside its folder, the lead is
            not there, or is no voltage.
    """
    if path.suffix != ".hea" and path.suffix.lower() == ".hea":
        raise RecordError(path, "the files of a WFDB record have endings in small letters; rename them (.hea, .dat)")
    path = path.with_suffix("") if path.suffix == ".hea" else path
    with reading(path):
        header = read_header(path)
        check_files(path, header)
    lead = PREFERRED_LEAD if options.lead == AUTO_LEAD and PREFERRED_LEAD in header.sig_name else options.lead
    # A WFDB record's first lead is the one it is known by.
    columns = [0] if lead == AUTO_LEAD else choose_columns(path, header.sig_name, lead)
    factors = [_factor(path, header, column) for column in columns]
    fs = float(header.fs)
    names = tuple(header.sig_name[column] for column in columns)
    samples = int(header.sig_len) if header.sig_len else _length(path)
    block = round(BLOCK_SECONDS * fs)

    def blocks() -> Iterator[np.ndarray]:
        sums = np.zeros(len(columns), np.int64)
        for start in range(0, samples, block):
            digital, physical = _read(path, start, min(samples, start + block), columns)
            sums += digital
            yield physical * factors
        _check_sums(path, header, columns, sums)

    return Recording(path.with_name(path.name + ".hea"), path.name, fs, names, samples, blocks)


def _read(path: Path, start: int, end: int, columns: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the digital samples, and the physical ones."""
    import wfdb

    with reading(path):
        try:
            record = wfdb.rdrecord(str(path), sampfrom=start, sampto=end, channels=columns, physical=False)
            sums = record.d_signal.sum(axis=0, dtype=np.int64)
            return sums, record.dac()
        except OSError:
            raise
        except Exception as error:  # wfdb raises whatever its parsing trips over
            raise RecordError(path, f"cannot be read as a WFDB record ({one_line(error)})") from error


def _length(path: Path) -> int:
    import wfdb

    with reading(path):
        try:
            return int(wfdb.rdrecord(str(path), physical=False).sig_len)
        except OSError:
            raise
        except Exception as error:  # likewise
            raise RecordError(path, f"cannot be read as a WFDB record ({one_line(error)})") from error


def _factor(path: Path, header: Any, column: int) -> float:
    unit = str(header.units[column] or "mV")
    if unit.lower() not in MILLIVOLTS:
        raise RecordError(path, f"lead {header.sig_name[column]} is in {unit}, which is no voltage")
    return MILLIVOLTS[unit.lower()]


def _check_sums(path: Path, header: Any, columns: list[int], sums: np.ndarray) -> None:
    """Headers hold the sum of the samples modulo 2¹⁶, as a signed or as an unsigned number."""
    for column, found in zip(columns, sums.tolist(), strict=True):
        written = header.checksum[column] if header.checksum else None
        if written is not None and (found - written) % 65536:
            problem = f"checksum {found % 65536} where the header says {written % 65536}; the signal is damaged"
            raise RecordError(path, f"lead {header.sig_name[column]}: {problem}")
