"""From an activation to R peaks: maxima, moved onto the local extremum of the lead, one within a refractory period."""

from __future__ import annotations

import bisect

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer

LONGEST_CHAIN = 2.0
"""Seconds that a stream allows for maxima of which each is higher than the one before and follows it within the
refractory period: only when such a chain ends is it known which of them stay. Ten beats at the fastest rate a heart has
are not as long, and no trained model gives such a chain."""

SNAP_SECONDS = 0.008
"""How far a peak is moved at most, either way: three samples of 360 Hz, as far as the maxima of the activation are off
the annotations. On validation records 25 ms cost 0.1 points of F1 within 50 ms: wide complexes are annotated elsewhere.
"""

_BASELINE_SECONDS = 0.1
"""Either way: a peak's deviation is taken from the median of so much of the lead around it."""


class MaximaFinder:
    """Finds the local maxima of an activation that comes in chunks.

    The middle stands for a plateau; one that lasts longer than the refractory period is no R peak.

    Args:
        threshold: lowest activation of a maximum.
        refractory: longest plateau in samples.
    """

    def __init__(self, threshold: float, refractory: int) -> None:
        self._threshold = threshold
        self._reach = max(1, refractory) + 1
        self._activation = SampleBuffer(np.float32, -1)
        self._activation.append(np.zeros(1))  # makes a maximum of the first sample one that has two sides
        self._decided = 0

    def push(self, activation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next samples; give indices (int64) and activations of the maxima that are certain now."""
        self._activation.append(activation)
        return self._find(max(self._decided, self._activation.end - self._reach))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The maxima that are left, at the end of the lead."""
        end = self._activation.end
        self._activation.append(np.zeros(1))
        return self._find(end)

    @property
    def decided(self) -> int:
        """Every maximum before this index has been given."""
        return self._decided

    def _find(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        start = max(self._activation.start, self._decided - self._reach)
        held = self._activation.view(start, min(self._activation.end, until + self._reach))
        maxima = _local_maxima(held, self._threshold, self._reach - 1) + start
        maxima = maxima[(maxima >= self._decided) & (maxima < until)]
        self._decided = until
        heights = held[maxima - start].copy()
        self._activation.drop_before(until - self._reach)
        return maxima, heights


def _local_maxima(values: np.ndarray, least: float, longest: int) -> np.ndarray:
    """Middles of the maxima that have both sides within ``values``, int64; SciPy's takes a second to import."""
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    levels, lengths = values[starts], np.diff(starts, append=len(values))
    top = np.zeros(len(levels), bool)
    top[1:-1] = (levels[1:-1] > levels[:-2]) & (levels[1:-1] > levels[2:])
    top &= (levels >= least) & (lengths <= longest)
    return np.asarray(starts[top] + (lengths[top] - 1) // 2, np.int64)


class RefractoryFilter:
    """Of maxima within a refractory period keeps the highest, from the highest down; in chunks.

    Maxima are given with the position they end up at, which may differ from where they were found by up to ``reach``.
    A lower maximum never suppresses a higher one, so that a higher threshold takes away the lower ones and no more.

    Args:
        refractory: samples that two peaks are apart at least.
        reach: samples by which a position may differ from where its maximum was found.
    """

    def __init__(self, refractory: int, reach: int) -> None:
        self._refractory = max(1, refractory)
        self._reach = reach
        self._pause = self._refractory + 2 * reach
        self._decided = 0
        self._pending: list[tuple[int, float, int]] = []
        self._given: list[int] = []  # the last peaks that were given, as far as they can suppress others

    def push(
        self, found: np.ndarray, heights: np.ndarray, positions: np.ndarray, decided: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take the next maxima; give positions (int64, strictly rising) and heights of peaks that are certain now.

        Args:
            found: where each maximum was found, rising.
            heights: of each.
            positions: where each ends up.
            decided: no maximum before this index is to come.
        """
        self._decided = decided
        self._pending += zip(found.tolist(), heights.tolist(), positions.tolist(), strict=True)
        return self._resolve(decided - self._pause)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The peaks that are left."""
        return self._resolve(None)

    @property
    def settled(self) -> int:
        """No peak before this index is to come."""
        return min([self._decided - self._reach, *(position for _, _, position in self._pending)])

    def _resolve(self, known: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Judge from the highest down, by maxima that were found up to ``known`` (``None``: all there are).

        What was found later may yet be suppressed by what is to come, and what that might suppress is open as well.
        """
        kept, open_ = list(self._given), list[int]()
        staying: dict[int, tuple[int, float, int]] = {}
        opened = []
        for maximum in sorted(self._pending, key=lambda maximum: (-maximum[1], maximum[0])):
            at, _, position = maximum
            if self._near(kept, position):
                continue
            if self._near(open_, position) or (known is not None and at > known):
                bisect.insort(open_, position)
                opened.append(maximum)
            else:
                bisect.insort(kept, position)
                staying[position] = maximum
        # In the order of time: what lies after something open waits for it.
        given = sorted(position for position in staying if not open_ or position < open_[0])
        self._pending = sorted([*opened, *(staying[position] for position in staying.keys() - set(given))])
        # Two peaks are more than the next can be near to.
        self._given = [*self._given, *given][-2:]
        return np.array(given, np.int64), np.array([staying[position][1] for position in given], np.float32)

    def _near(self, positions: list[int], position: int) -> bool:
        """Whether one of the sorted positions lies within the refractory period."""
        place = bisect.bisect_left(positions, position)
        after = place < len(positions) and positions[place] - position < self._refractory
        return after or (place > 0 and position - positions[place - 1] < self._refractory)


def pick_r_peaks(activation: np.ndarray, threshold: float, refractory: int) -> np.ndarray:
    """Sample indices of the R peaks in an activation, int64, strictly rising, none moved.

    A peak is a local maximum of at least ``threshold``; of two within the refractory period the higher stays.

    Args:
        activation: shape ``(samples,)``, 0 to 1.
        threshold: lowest activation of a peak.
        refractory: samples that two R peaks are apart at least.
    """
    finder = MaximaFinder(threshold, refractory)
    first, last = finder.push(activation), finder.finish()
    maxima, heights = np.concatenate([first[0], last[0]]), np.concatenate([first[1], last[1]])
    judge = RefractoryFilter(refractory, 0)
    return np.concatenate([judge.push(maxima, heights, maxima, len(activation))[0], judge.finish()[0]])


def snap_to_extremum(signal: np.ndarray, usable: np.ndarray, positions: np.ndarray, fs: float) -> np.ndarray:
    """Move positions onto the extremum of the lead nearby, whichever way the complex points; int64.

    Whether a peak points up or down is told by the side on which the lead is furthest off its local median. A plateau
    (a clipped peak) is met in its middle. A position without a usable sample nearby stays.

    Args:
        signal: one lead, shape ``(samples,)``.
        usable: whether each sample can be used.
        positions: sample indices.
        fs: sampling rate in Hz.
    """
    if not len(positions):
        return np.empty(0, np.int64)
    reach, around = snap_reach(fs), max(2, round(_BASELINE_SECONDS * fs))
    offsets = np.arange(-around, around + 1)
    at = positions[:, np.newaxis] + offsets
    inside = (at >= 0) & (at < len(signal))
    at = np.clip(at, 0, len(signal) - 1)
    values = np.where(inside & usable[at], signal[at], np.nan)
    known = np.isfinite(values).any(axis=1)
    deviations = np.zeros_like(values)
    deviations[known] = values[known] - np.nanmedian(values[known], axis=1, keepdims=True)
    near = deviations[:, around - reach : around + reach + 1]
    near = np.where(np.isfinite(near), near, 0.0)
    up = near.max(axis=1) >= -near.min(axis=1)
    height = np.where(up[:, np.newaxis], near, -near)
    top = height == height.max(axis=1, keepdims=True)
    middle = np.round((top * np.arange(2 * reach + 1)).sum(axis=1) / top.sum(axis=1)).astype(np.int64)
    # The middle of two equal peaks lies between them: the first is taken there.
    on_top = np.take_along_axis(top, middle[:, np.newaxis], axis=1)[:, 0]
    chosen = np.where(on_top, middle, top.argmax(axis=1))
    moved = positions + chosen - reach
    return np.where(known & (height.max(axis=1) > 0), moved, positions).astype(np.int64)


def snap_reach(fs: float) -> int:
    """Samples that `snap_to_extremum` moves a position by at most."""
    return max(1, round(SNAP_SECONDS * fs))
