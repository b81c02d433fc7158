"""Check of the clock of a table: its times must follow the rows to the last one."""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.readers.recording import NO_COLUMN
from ecg_study.ecg_data.readers.tables.clock import DAY_SECONDS, STRIDE, Clock, filled_times, tolerance_samples
from ecg_study.errors import RecordError


class ClockCheck:
    """Comparison of all times with the row numbers, block by block.

    Args:
        clock: the clock of the first rows.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times = np.empty(0)
        self._lines = np.empty(0, np.int64)
        self._shift = 0.0

    def add(self, times: np.ndarray, lines: np.ndarray) -> None:
        """Check the times of the next rows.

        Args:
            times: times in seconds; NaN where a time is missing.
            lines: line numbers.

        Raises:
            RecordError: the time stands still, goes back, or skips samples.
        """
        clock = self._clock
        if clock.as_text and not clock.start_time:
            times = self._without_midnights(times)
        if clock.counts:
            times = self._without_restarts(times)
        joined = np.concatenate([self._times, times])
        lines = np.concatenate([self._lines, lines])
        joined = filled_times(joined, clock.step)
        if len(joined) > 1:
            self._check(joined, lines)
        self._times, self._lines = joined[-STRIDE:], lines[-STRIDE:]

    def _without_midnights(self, times: np.ndarray) -> np.ndarray:
        """Return times of day that go on after midnight."""
        known = np.flatnonzero(~np.isnan(times))
        if not len(known):
            return times
        before = self._times[-1] - self._shift if len(self._times) else times[known[0]]
        jumps = np.diff(times[known], prepend=before) < -DAY_SECONDS / 2
        moved = times.copy()
        moved[known] += self._shift + DAY_SECONDS * np.cumsum(jumps)
        self._shift += DAY_SECONDS * int(jumps.sum())
        return moved

    def _without_restarts(self, times: np.ndarray) -> np.ndarray:
        """Return times of a counter that goes on after it began again at 0 or 1."""
        known = np.flatnonzero(~np.isnan(times))
        if not len(known):
            return times
        step = self._clock.step
        before = self._times[-1] - self._shift if len(self._times) else times[known[0]] - step
        steps = np.diff(times[known], prepend=before)
        restarts = (steps < 0) & (times[known] < 1.5 * step)
        moved = times.copy()
        moved[known] += self._shift + np.cumsum(np.where(restarts, step - steps, 0.0))
        self._shift += float(np.where(restarts, step - steps, 0.0).sum())
        return moved

    def _check(self, times: np.ndarray, lines: np.ndarray) -> None:
        clock = self._clock
        tolerance = tolerance_samples(np.abs(np.diff(times) / clock.step - 1), clock.rounding)
        for stride, problem in ((1, "the time jumps at"), (STRIDE, "time and row number differ before")):
            ahead = (times[stride:] - times[:-stride]) / clock.step - stride
            odd = ~(np.abs(ahead) <= tolerance[stride - 1 :])
            if odd.any():
                line = lines[int(odd.argmax()) + stride]
                raise RecordError(
                    clock.path,
                    f"column {clock.name}: {problem} line {line:,}; fill gaps with empty rows, and delete blank lines "
                    f"elsewhere, or state that no column is the time: time_column {NO_COLUMN!r}, and fs",
                    parameter="time_column",
                    parameters=("fs",),
                )
