"""Validation of a signal and its sampling rate, and conversion to one array form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE
from ecg_study.errors import InputError

BLOCK_SECONDS = 600.0
"""Duration of the blocks in which a long recording passes through a model."""


def check_rate(fs: float) -> float:
    """Return the sampling rate as a float.

    Raises:
        InputError: The rate is not a finite number, or is out of range.
    """
    if isinstance(fs, bool) or not isinstance(fs, (int, float, np.integer, np.floating)) or not math.isfinite(fs):
        raise InputError(f"fs: {fs!r} is not a number; pass the sampling rate in Hz, such as 360", parameters=("fs",))
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        problem = f"fs: {fs:g} Hz is not between {LOWEST_RATE:g} and {HIGHEST_RATE:,g} Hz"
        raise InputError(problem, parameters=("fs",))
    return float(fs)


def check_lead_count(n_leads: int) -> None:
    """Check the number of leads of a stream.

    Raises:
        InputError: The number is not positive.
    """
    if n_leads < 1:
        raise InputError(f"n_leads: {n_leads} is not positive", parameters=("n_leads",))


def check_chunk(chunk: Any, *, n_leads: int, finished: bool) -> np.ndarray:
    """Return a chunk of a stream as an array of shape ``(samples, leads)``.

    Args:
        chunk: Samples in mV; see `as_leads`.
        n_leads: Number of leads of the stream.
        finished: Whether the stream has been finished.

    Raises:
        InputError: The chunk is not valid, has another number of leads, or the stream has been finished.
    """
    leads = as_leads(chunk)
    if finished:
        raise InputError("stream: already finished; open a new one")
    if leads.shape[1] != n_leads:
        raise InputError(f"chunk: has {leads.shape[1]} leads, but the stream has {n_leads}")
    return leads


def as_leads(signal: Any) -> np.ndarray:
    """Return a signal in mV as an array of shape ``(samples, leads)``.

    An array is not copied. Masked samples, and missing values of pandas, become NaN.

    Args:
        signal: Real numbers as an array, list, pandas Series or DataFrame, of shape ``(samples,)`` or
            ``(samples, leads)``.

    Raises:
        InputError: The shape is wrong, or the values are integers, complex numbers or not numbers.
    """
    try:
        values = _values(signal)
    except (ValueError, TypeError) as error:
        raise InputError("signal: not an array of numbers, because its rows differ in length") from error
    integers = [kind for kind in _kinds(signal, values) if kind.kind in "iu"]
    if integers and values.size:
        problem = f"signal: holds integers ({integers[0]}), which look like ADC units; pass mV as floats: "
        raise InputError(problem + "(signal - adc_zero) / gain, or signal.astype(float) if the unit is mV")
    if values.dtype.kind == "c":
        raise InputError("signal: holds complex numbers; pass real numbers in mV")
    if values.dtype.kind not in "fiu":
        raise InputError(f"signal: holds {values.dtype} values, which are not numbers; pass mV as floats")
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"signal: has the shape {values.shape}; it must be (samples,) or (samples, leads)")
    if values.shape[1] > max(64, values.shape[0]):
        problem = f"signal: has the shape {values.shape}, which means {values.shape[1]:,} leads; pass signal.T"
        raise InputError(problem)
    return values


def _kinds(signal: Any, values: np.ndarray) -> list[Any]:
    """Return the dtypes of a signal as passed. Each column of pandas has its own."""
    given: Any = getattr(signal, "dtypes", None)
    if given is None or hasattr(type(given), "kind"):
        return [values.dtype] if given is None else [given]
    return [values.dtype, *(kind for kind in given if hasattr(type(kind), "kind"))]


def _values(signal: Any) -> np.ndarray:
    if isinstance(signal, np.ma.MaskedArray) and signal.dtype.kind == "f":
        return np.asarray(signal.filled(np.nan))
    values = np.asarray(signal)
    if values.dtype == object and hasattr(signal, "to_numpy"):
        # NumPy sees nullable columns of pandas as objects. Text stays an object.
        try:
            return np.asarray(signal.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))
        except (ValueError, TypeError):
            return values
    return values
