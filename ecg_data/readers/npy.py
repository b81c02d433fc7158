"""Recordings in NumPy files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.recording import (
    ALL_LEADS,
    AUTO_LEAD,
    BLOCK_SECONDS,
    ReadOptions,
    Recording,
    to_millivolts,
)
from ecg_study.errors import RecordError, one_line


def open_array(path: Path, options: ReadOptions) -> Recording:
    """Open a ``.npy`` file of shape ``(samples,)`` or ``(samples, leads)`` as a memory map.

    Raises:
        RecordError: the file is not an array of real numbers; ``fs`` is missing; or the unit of integers is unknown.
    """
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, TypeError) as error:
        raise RecordError(path, f"not a NumPy array of numbers ({one_line(error, limit=120)})") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        kind = getattr(values, "dtype", type(values).__name__)
        raise RecordError(path, f"contains {kind} instead of real numbers")
    if values.ndim not in (1, 2) or not values.size:
        raise RecordError(path, f"has shape {values.shape} instead of (samples,) or (samples, leads)")
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.shape[1] > max(64, len(values)):
        problem = f"has shape {values.shape}, which means {values.shape[1]:,} leads; save it transposed (.T)"
        raise RecordError(path, problem)
    if options.fs is None:
        raise RecordError(path, "a .npy file has no sampling rate; give fs in Hz", parameter="fs")
    columns = _columns(path, values.shape[1], options.lead)
    gain, adc_zero = to_millivolts(path, options, integers=values.dtype.kind in "iu")
    block = round(BLOCK_SECONDS * options.fs)

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(values), block):
            yield (values[start : start + block, columns].astype(np.float64) - adc_zero) / gain

    names = tuple(str(column + 1) for column in columns)
    return Recording(path, path.stem, options.fs, names, len(values), blocks)


def _columns(path: Path, count: int, lead: str) -> list[int]:
    if lead == ALL_LEADS or (lead == AUTO_LEAD and count == 1):
        return list(range(count))
    if lead.isdigit() and 1 <= int(lead) <= count:
        return [int(lead) - 1]
    given = "" if lead == AUTO_LEAD else f", but no lead {lead!r}"
    raise RecordError(path, f"has {count} columns{given}; choose a lead from 1 to {count}, or 'all'", parameter="lead")
