"""Numbers that increase from sample to sample, as times and counters do and no ECG does."""

from __future__ import annotations

import math

import numpy as np

from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE, SAME_RATE

HEAD_SAMPLES = 5000
"""Samples at the start by which numbers are judged."""

FEWEST_STEPS = 99
"""Fewer steps upward may be those of a signal."""

MOST_STEPS = 0.99
"""Share of steps upward of numbers that are no signal. A clock may be set back once."""

_EVEN, _UNEVEN = 0.95, 0.5
"""Share of even steps of a clock, and their largest deviation, as a share of the usual step."""

_UNITS = (1.0, 1e-3, 1e-6, 1e-9, 60.0, 3600.0)
"""Seconds per unit of times: s, ms, µs, ns, min and h."""


def is_rising(numbers: np.ndarray) -> bool:
    """Return whether numbers increase from one to the next nearly always."""
    steps = np.diff(numbers[np.isfinite(numbers)])
    return len(steps) >= FEWEST_STEPS and bool(np.mean(steps > 0) >= MOST_STEPS)


def usual_step(numbers: np.ndarray) -> float | None:
    """Return the step between numbers that increase evenly, gaps excepted; ``None`` if they do not."""
    known = np.flatnonzero(np.isfinite(numbers))
    if len(known) < 2:
        return None
    steps = np.diff(numbers[known]) / np.diff(known)
    # The mean over many even steps, because a clock may be rounded.
    near = steps[np.abs(steps / max(float(np.median(steps)), 1e-300) - 1) <= _UNEVEN]
    if len(near) < _EVEN * len(steps) or not np.mean(near) > 0:
        return None
    return float(np.mean(near))


def unit_of(step: float, fs: float) -> float | None:
    """Return the seconds per unit of numbers that increase evenly at a sampling rate; ``None`` if no unit fits.

    Numbers that increase by 1 may count the samples.
    """
    for unit in _UNITS:
        if math.isclose(1 / (step * unit), fs, rel_tol=SAME_RATE):
            return unit
    return 1 / fs if math.isclose(step, 1.0, rel_tol=1e-9) else None


def rate_of(step: float) -> float | None:
    """Return a sampling rate in Hz of an ECG at which numbers that increase evenly are times; ``None`` without one."""
    rates = (1 / (step * unit) for unit in _UNITS)
    return next((rate for rate in rates if LOWEST_RATE <= rate <= HIGHEST_RATE), None)
