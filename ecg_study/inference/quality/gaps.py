"""Signal quality: gaps and flat intervals.

A sample is unusable if it is missing (NaN, infinite, or not a physiological voltage), or if the lead is constant for a
second or longer, as it is when an electrode is off. The model reads a ramp from the last usable sample to the next, so
that the edge of a gap is not a step. The output of the model in a gap is discarded.
"""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer

FLAT_SECONDS = 1.0
"""Duration of a constant level from which a lead counts as off. Between two beats, a real lead shows its noise."""

RAMP_SECONDS = 0.5
"""Duration of the ramp that ends at the next usable sample. It bounds the lookahead."""

_MAX_OFFSET_MV = 1e9

MAX_MV = 1e6
"""Largest distance from the offset: a kilovolt is not ECG, and its square must not overflow in float32."""


class GapFiller:
    """Detection and filling of the gaps of one lead, in chunks.

    The result does not depend on the chunks. The median of the first samples is subtracted from all samples in double
    precision, so that an offset does not reduce the resolution.

    Args:
        fs: Sampling rate in Hz.

    Attributes:
        offset: Value in mV that is subtracted; 0 until it is known.
        lookahead: Number of samples after a sample that must be known before it is decided.
    """

    def __init__(self, fs: float) -> None:
        self._flat = max(2, round(FLAT_SECONDS * fs))
        self._ramp = max(1, round(RAMP_SECONDS * fs))
        self.lookahead = self._flat + self._ramp
        self.offset = 0.0
        self._offset_known = False
        self._first: SampleBuffer | None = SampleBuffer(np.float64)  # samples before the offset is chosen
        self._signal = SampleBuffer(np.float32)  # without the offset; NaN if missing
        self._decided = 0
        self._last, self._last_at = 0.0, -1  # last usable sample that was decided

    def push(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next samples and return those that are decided now.

        Args:
            chunk: Samples in mV, shape ``(samples,)``.

        Returns:
            The filled lead without its offset, float32, and whether each sample can be used.
        """
        self._append(np.asarray(chunk, np.float64), least=self.lookahead)
        return self._decide(max(self._decided, self._signal.end - self.lookahead))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the remaining samples at the end of the lead; see `push`."""
        self._append(np.empty(0), least=0)
        return self._decide(self._signal.end)

    def _append(self, chunk: np.ndarray, *, least: int) -> None:
        """Take samples; the first ones wait until ``least`` are there, of which none can be decided before."""
        if self._first is not None:
            self._first.append(chunk)
            if self._first.end < least:
                return
            chunk, self._first = self._first.view(0, self._first.end), None
            self._find_offset(chunk[: self.lookahead])
        if not self._offset_known:  # none of the first samples was finite
            self._find_offset(chunk[np.abs(chunk) <= _MAX_OFFSET_MV][:1])
        self._signal.append(self._without_offset(chunk))

    def _find_offset(self, samples: np.ndarray) -> None:
        """Choose the offset: a single absurd sample, even the first, must not make all others absurd."""
        good = np.abs(samples) <= _MAX_OFFSET_MV  # False for NaN
        if good.any():
            self.offset, self._offset_known = float(np.median(samples[good])), True

    def _without_offset(self, chunk: np.ndarray) -> np.ndarray:
        signal = chunk - self.offset
        # The negated comparison is true for NaN as well.
        signal[~(np.abs(signal) <= MAX_MV)] = np.nan
        return np.asarray(signal, np.float32)

    def _decide(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        first = self._decided
        known = min(self._signal.end, until + self._ramp)
        usable = self._usable(first, known)
        signal = self._signal.view(first, known)
        wanted = until - first
        if usable.all():
            filled = signal[:wanted].copy()
        else:
            filled = self._fill(first, until, signal, usable)
        here = np.flatnonzero(usable[:wanted])
        if len(here):
            self._last, self._last_at = float(signal[here[-1]]), first + int(here[-1])
        self._decided = until
        self._signal.drop_before(until - self._flat)
        return filled, usable[:wanted]

    def _usable(self, first: int, end: int) -> np.ndarray:
        """Return whether the samples from ``first`` to ``end``, exclusive, can be used."""
        start, stop = max(self._signal.start, first - self._flat), min(self._signal.end, end + self._flat)
        signal = self._signal.view(start, stop)
        usable = np.isfinite(signal)
        changes = np.flatnonzero(signal[1:] != signal[:-1]) + 1  # NaN differs from itself
        edges = np.concatenate([[0], changes, [len(signal)]])
        for flat in np.flatnonzero(np.diff(edges) >= self._flat):
            usable[edges[flat] : edges[flat + 1]] = False
        return np.asarray(usable[first - start : end - start])

    def _fill(self, first: int, until: int, signal: np.ndarray, usable: np.ndarray) -> np.ndarray:
        knots = np.concatenate([[self._last_at], first + np.flatnonzero(usable)])
        values = np.concatenate([[self._last], signal[usable]])
        long = np.flatnonzero(np.diff(knots) - 1 > self._ramp)
        # In a long gap, the last level is held until the ramp starts.
        at = knots[long + 1] - self._ramp - 1
        knots = np.insert(knots, long + 1, at)
        values = np.insert(values, long + 1, values[long])
        return np.asarray(np.interp(np.arange(first, until), knots, values), np.float32)
