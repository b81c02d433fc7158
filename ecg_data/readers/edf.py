"""Recordings in EDF, EDF+ and BDF files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import (
    ALL_LEADS,
    BLOCK_SECONDS,
    MILLIVOLTS,
    ReadOptions,
    Recording,
    choose_leads,
    millivolts_per_unit,
)
from ecg_study.errors import RecordError, one_line


def open_edf(path: Path, options: ReadOptions) -> Recording:
    """Open an EDF, EDF+ or BDF file; samples are read when they are needed.

    Raises:
        RecordError: the file is damaged or discontinuous (EDF+D); the lead is missing or not a voltage; or leads have
            different sampling rates.
    """
    file = _open(path)
    signals: list[Any] = list(file.signals)
    if not signals:
        raise RecordError(path, "no signal")
    labels = [signal.label for signal in signals]
    chosen = [signals[column] for column in choose_leads(path, labels, lead=options.lead)]
    chosen = [signal for signal in chosen if options.lead != ALL_LEADS or _unit(signal).lower() in MILLIVOLTS]
    if not chosen:
        raise RecordError(path, "none of its leads is a voltage")
    factors = [millivolts_per_unit(path, signal.label, unit=_unit(signal)) for signal in chosen]
    rates = {float(signal.sampling_frequency) for signal in chosen}
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise RecordError(path, f"its leads have different sampling rates ({listed} Hz); choose one", parameter="lead")
    fs = rates.pop()
    per_block = max(1, round(BLOCK_SECONDS / float(file.data_record_duration)))
    per_data_record = chosen[0].samples_per_data_record

    def blocks() -> Iterator[np.ndarray]:
        for first in range(0, file.num_data_records, per_block):
            start, end = first * per_data_record, min(first + per_block, file.num_data_records) * per_data_record
            columns = [_read(path, signal, start / fs, end / fs) for signal in chosen]
            yield np.column_stack(columns) * factors

    samples = int(per_data_record * file.num_data_records)
    return Recording(path, path.stem, fs, tuple(signal.label for signal in chosen), samples, blocks)


def _open(path: Path) -> Any:
    from edfio import read_bdf, read_edf

    try:
        file = read_bdf(path) if path.suffix.lower() == ".bdf" else read_edf(path, lazy_load_data=True)
        list(file.signals)
        reserved = str(file.reserved)
    except OSError:
        raise
    except Exception as error:  # edfio raises errors of many types for a damaged header
        raise RecordError(path, f"not an EDF or BDF file ({one_line(error, limit=120)})") from error
    if reserved.startswith(("EDF+D", "BDF+D")):
        raise RecordError(path, f"discontinuous recording ({reserved[:5]}); split it at the interruptions")
    return file


def _read(path: Path, signal: Any, start: float, end: float) -> np.ndarray:
    try:
        return np.asarray(signal.get_data_slice(start, end), np.float64)
    except OSError:
        raise
    except Exception as error:  # edfio raises errors of many types for a truncated file
        raise RecordError(path, f"lead {signal.label}: not readable ({one_line(error, limit=120)})") from error


def _unit(signal: Any) -> str:
    return str(signal.physical_dimension or "").strip()
