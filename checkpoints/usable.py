"""Which samples of a lead can be used, and what a model is shown where they cannot.

A sample cannot be used where it is missing (NaN, infinite, or no voltage that a body has) or where the lead stands
still for a second or longer, as it does when an electrode is off. Models are shown a level that leads from the last
usable sample to the next, so that the edge of a gap is no step; whatever they make of it is thrown away.
"""

from __future__ import annotations

import numpy as np

from ecg_data.buffers import SampleBuffer

FLAT_SECONDS = 1.0
"""A lead that does not change for so long is off: between two beats, however slow, a real lead shows its noise."""

RAMP_SECONDS = 0.5
"""A gap is led over to the next usable sample within so much time before it, which bounds how far ahead is looked."""

_LARGEST_OFFSET = 1e9
_LARGEST = 1e6
"""mV off the first sample: a kilovolt is no signal, and its square must not overflow in single precision."""


class GapFiller:
    """Fills what cannot be used of one lead, and says where; in chunks of any size, always with the same result.

    The first finite sample is taken off all samples, in double precision, so that no offset costs resolution.

    Args:
        fs: sampling rate in Hz.

    Attributes:
        offset: what was taken off, in mV; 0 while no sample was finite.
        lookahead: samples that must be known beyond one before it is decided.
    """

    def __init__(self, fs: float) -> None:
        self._flat = max(2, round(FLAT_SECONDS * fs))
        self._ramp = max(1, round(RAMP_SECONDS * fs))
        self.lookahead = self._flat + self._ramp
        self.offset = 0.0
        self._offset_known = False
        self._signal = SampleBuffer(np.float32)  # less the offset; NaN where missing
        self._decided = 0
        self._last, self._last_at = 0.0, -1  # the last usable sample that was decided

    def push(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next samples in mV; give those that are decided now.

        Args:
            chunk: shape ``(samples,)``.

        Returns:
            The filled lead less its offset, float32, and whether each sample can be used.
        """
        self._signal.append(self._without_offset(np.asarray(chunk, np.float64)))
        return self._decide(max(self._decided, self._signal.end - self.lookahead))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples that are left, at the end of the lead."""
        return self._decide(self._signal.end)

    def _without_offset(self, chunk: np.ndarray) -> np.ndarray:
        if not self._offset_known:
            good = np.abs(chunk) <= _LARGEST_OFFSET  # False for NaN
            if good.any():
                self.offset, self._offset_known = float(chunk[good.argmax()]), True
        signal = chunk - self.offset
        # Compared the right way round, NaN is caught as well.
        signal[~(np.abs(signal) <= _LARGEST)] = np.nan
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
        """Whether the samples from ``first`` to before ``end`` can be used; what lies around them is looked at."""
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
        # In a long gap the last level is held until the ramp begins.
        at = knots[long + 1] - self._ramp - 1
        knots = np.insert(knots, long + 1, at)
        values = np.insert(values, long + 1, values[long])
        return np.asarray(np.interp(np.arange(first, until), knots, values), np.float32)
