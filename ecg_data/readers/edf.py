"""Recordings in EDF, EDF+ and BDF files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import BLOCK_SECONDS, MILLIVOLTS, ReadOptions, Recording, choose_columns
from ecg_study.errors import RecordError


def open_edf(path: Path, options: ReadOptions) -> Recording:
    """Open an EDF, EDF+ or BDF file; samples are read when they are needed.

    Raises:
        RecordError: it is none, it is interrupted (EDF+D), the lead is not there or is no voltage, or leads have
            different rates.
    """
    from edfio import read_bdf, read_edf

    try:
        file = read_bdf(path) if path.suffix.lower() == ".bdf" else read_edf(path, lazy_load_data=True)
        signals: list[Any] = list(file.signals)
        reserved = str(file.reserved)
    except OSError:
        raise
    except Exception as error:  # a damaged header makes the reader raise all kinds
        problem = f"not an EDF or BDF file ({' '.join(str(error).split())[:120] or type(error).__name__})"
        raise RecordError(path, problem) from error
    if reserved.startswith(("EDF+D", "BDF+D")):
        raise RecordError(path, f"is an interrupted recording ({reserved[:5]}); split it where it was interrupted")
    if not signals:
        raise RecordError(path, "holds no signal")
    chosen = [signals[column] for column in choose_columns(path, [signal.label for signal in signals], options.lead)]
    chosen = [signal for signal in chosen if options.lead != "all" or _unit(signal) in MILLIVOLTS]
    if not chosen:
        raise RecordError(path, "holds no lead that is a voltage")
    factors = [_factor(path, signal) for signal in chosen]
    rates = {float(signal.sampling_frequency) for signal in chosen}
    if len(rates) > 1:
        raise RecordError(
            path, f"its leads have different rates ({', '.join(f'{r:g}' for r in sorted(rates))} Hz); choose one"
        )
    fs = rates.pop()
    lengths = {_length(file, signal) for signal in chosen}
    samples = lengths.pop()
    step = max(1, round(BLOCK_SECONDS / float(file.data_record_duration)))
    a_record = chosen[0].samples_per_data_record

    def blocks() -> Iterator[np.ndarray]:
        for first in range(0, file.num_data_records, step):
            start, end = first * a_record, min(first + step, file.num_data_records) * a_record
            columns = [_part(path, signal, start / fs, end / fs) for signal in chosen]
            yield np.column_stack(columns) * factors

    return Recording(path, path.stem, fs, tuple(signal.label for signal in chosen), samples, blocks)


def _part(path: Path, signal: Any, start: float, end: float) -> np.ndarray:
    try:
        return np.asarray(signal.get_data_slice(start, end), np.float64)
    except OSError:
        raise
    except Exception as error:  # the reader raises all kinds where a file is cut short
        problem = f"lead {signal.label}: cannot be read ({' '.join(str(error).split())[:120]})"
        raise RecordError(path, problem) from error


def _length(file: Any, signal: Any) -> int:
    return int(signal.samples_per_data_record * file.num_data_records)


def _unit(signal: Any) -> str:
    return str(signal.physical_dimension).strip().lower()


def _factor(path: Path, signal: Any) -> float:
    if _unit(signal) not in MILLIVOLTS:
        unit = signal.physical_dimension or "no unit"
        raise RecordError(path, f"lead {signal.label} is in {unit}, which is no voltage")
    return MILLIVOLTS[_unit(signal)]
