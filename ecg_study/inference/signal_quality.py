"""Which samples of a lead can be used, and what a model is shown where they cannot.

A sample cannot be used where it is missing (NaN, infinite, or no voltage that a body has) or where the lead stands
still for a second or longer, as it does when an electrode is off. Models are shown a level that leads from the last
usable sample to the next, so that the edge of a gap is no step; whatever they make of it is thrown away.
"""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer

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


_PART = 0.4
"""Seconds that are judged at a time, of which about every other holds a QRS complex."""

_SHORTEST = 4.0
"""Seconds: a shorter segment may hold too few beats to show what is typical."""

_FEWEST_PARTS = 5
"""Parts that must not stand still, for the same reason."""

_TYPICAL = 0.8
"""Share of the parts that are no larger than what is typical: enough hold a QRS complex even at 40 beats a minute, and
a burst of up to a second leaves it alone."""

_LIMIT = 3.0
"""Times the typical peak-to-peak amplitude that anything may lie off the middle: no ectopic beat does; an electrode
that comes off does, and would make everything beside it small."""

_LONGEST_COMPLEX = 0.2
"""Seconds: what stays off by more than the limit for longer is no QRS complex, but an artifact."""

_SMALLEST_STD = 0.01  # mV: below the noise of any electrode; a flat segment is not blown up to noise


def scale_segments(segments: np.ndarray, fs: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Limit bursts, and scale each segment to a standard deviation of 1 mV.

    Args:
        segments: mV, shape ``(segments, segment)``.
        fs: their sampling rate in Hz, which is that of the model.

    Returns:
        The same for the model, float32; and which samples are artifacts, or ``None`` where none are.
    """
    count, length = segments.shape
    if length < _SHORTEST * fs:
        return _scaled(segments, None), None
    parts = length // max(1, round(_PART * fs))
    cut = segments[:, : length // parts * parts].reshape(count, parts, -1)
    lowest, highest = cut.min(axis=2), cut.max(axis=2)
    heights = np.sort(highest - lowest, axis=1)
    # Parts that stand still are gaps that were filled.
    still = (heights == 0).sum(axis=1)
    moving = parts - still
    rank = np.minimum(still + (_TYPICAL * (moving - 1)).astype(np.int64), parts - 1)
    typical = np.take_along_axis(heights, rank[:, np.newaxis], axis=1)[:, 0]
    middle = np.median((highest + lowest) / 2, axis=1)
    limit = np.where(moving >= _FEWEST_PARTS, _LIMIT * typical, np.inf)
    wild = np.maximum(segments.max(axis=1) - middle, middle - segments.min(axis=1)) > limit
    if not wild.any():
        return _scaled(segments, None), None
    off = np.abs(segments - middle[:, np.newaxis])
    limited = off > limit[:, np.newaxis]
    artifacts = _long_runs(limited, round(_LONGEST_COMPLEX * fs))
    low, high = (middle - limit)[:, np.newaxis], (middle + limit)[:, np.newaxis]
    # A part in which something was limited says nothing of the size of the rest.
    counted = ~limited
    calm = ~limited[:, : cut.shape[2] * parts].reshape(cut.shape).any(axis=2)
    counted[:, : cut.shape[2] * parts] = np.repeat(calm, cut.shape[2], axis=1)
    scaled = _scaled(np.clip(segments, low, high), counted | ~calm.any(axis=1, keepdims=True))
    return scaled, artifacts if artifacts.any() else None


def _long_runs(limited: np.ndarray, longest: int) -> np.ndarray:
    """Those of the samples that are limited for longer than a complex lasts, in samples, without a break."""
    bordered = np.pad(limited, ((0, 0), (1, 1))).ravel()
    edges = np.flatnonzero(bordered[1:] != bordered[:-1]) + 1
    begins, ends = edges[::2], edges[1::2]
    long = ends - begins > longest
    marks = np.zeros(len(bordered) + 1, np.int8)
    marks[begins[long]], marks[ends[long]] = 1, -1
    return np.asarray(np.cumsum(marks[:-1]).reshape(len(limited), -1)[:, 1:-1] > 0)


def _scaled(segments: np.ndarray, counted: np.ndarray | None) -> np.ndarray:
    """Segments less their mean over their standard deviation, both of the samples that count (``None``: all)."""
    length = segments.shape[1]
    if counted is None:
        centred = segments - segments.mean(axis=1, keepdims=True, dtype=np.float32)
        std = np.sqrt(np.einsum("ij,ij->i", centred, centred) / length)
    else:
        count = counted.sum(axis=1)
        centred = segments - (np.where(counted, segments, 0).sum(axis=1) / count)[:, np.newaxis]
        std = np.sqrt(np.where(counted, centred**2, 0).sum(axis=1) / count)
    return np.asarray(centred / np.maximum(std, _SMALLEST_STD)[:, np.newaxis], np.float32)
