"""What a user gives as a signal, checked and brought into one form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE
from ecg_study.errors import InputError

BLOCK_SECONDS = 600.0
"""So much of a long recording is passed through a model at once."""


def check_rate(fs: float) -> float:
    """The sampling rate as a float.

    Raises:
        SignalError: it is no number, or out of range.
    """
    if isinstance(fs, bool) or not isinstance(fs, (int, float, np.integer, np.floating)) or not math.isfinite(fs):
        raise InputError(f"the sampling rate is {fs!r}; give it in Hz, such as 360")
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        problem = f"the sampling rate is {fs:g} Hz; ECG from {LOWEST_RATE:g} to {HIGHEST_RATE:,g} Hz can be read"
        raise InputError(problem)
    return float(fs)


def as_leads(signal: Any) -> np.ndarray:
    """A signal in mV as an array of shape ``(samples, leads)``; not copied where it is one.

    Args:
        signal: array, list, pandas Series or DataFrame of real numbers, shape ``(samples,)`` or ``(samples, leads)``.

    What is masked, or missing in a column of pandas, is missing (NaN).

    Raises:
        SignalError: it is of another shape, or holds whole numbers, complex numbers, or what are no numbers.
    """
    try:
        values = _values(signal)
    except (ValueError, TypeError) as error:
        raise InputError("the signal is no array of numbers: its rows are of different length") from error
    whole = [kind for kind in _kinds(signal, values) if kind.kind in "iu"]
    if whole and values.size:
        problem = f"the signal holds whole numbers ({whole[0]}), which look like ADC units; "
        raise InputError(problem + "give mV as floats: (signal - baseline) / gain, or signal.astype(float) if it is mV")
    if values.dtype.kind == "c":
        raise InputError("the signal holds complex numbers; an ECG is of real ones, in mV")
    if values.dtype.kind not in "fiu":
        raise InputError(f"the signal holds what are no numbers ({values.dtype}); give mV as floats")
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"the signal has the shape {values.shape}; it must be (samples,) or (samples, leads)")
    if values.shape[1] > max(64, values.shape[0]):
        problem = f"the signal has the shape {values.shape}: {values.shape[1]:,} leads? Turn it round with signal.T"
        raise InputError(problem)
    return values


def _kinds(signal: Any, values: np.ndarray) -> list[Any]:
    """The kinds of number as they were given: a column of pandas keeps its own beside others, and where some miss."""
    given: Any = getattr(signal, "dtypes", None)
    if given is None or hasattr(type(given), "kind"):
        return [values.dtype] if given is None else [given]
    return [values.dtype, *(kind for kind in given if hasattr(type(kind), "kind"))]


def _values(signal: Any) -> np.ndarray:
    if isinstance(signal, np.ma.MaskedArray) and signal.dtype.kind == "f":
        return np.asarray(signal.filled(np.nan))
    values = np.asarray(signal)
    if values.dtype == object and hasattr(signal, "to_numpy"):
        # Columns that know missing values of their own are objects to NumPy; text stays what it is.
        try:
            return np.asarray(signal.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))
        except (ValueError, TypeError):
            return values
    return values
