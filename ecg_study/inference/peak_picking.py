"""R peaks from peak probabilities: local maxima, refractory period and snapping."""

from __future__ import annotations

import bisect
from typing import NamedTuple

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer

MAX_CHAIN_SECONDS = 2.0
"""Duration that a stream allows for a chain of maxima.

In a chain, each maximum is higher than the one before and follows it within the refractory period. Only the end of the
chain decides which maxima stay. Ten beats at the highest heart rate last longer, and no trained model gives such a
chain."""

SNAP_SECONDS = 0.008
"""Largest shift of a peak: three samples at 360 Hz, the distance of the model's maxima from the annotations.

On validation records, 25 ms lowers F1 at 50 ms by 0.1 points, because wide complexes are annotated elsewhere."""

_MEDIAN_SECONDS = 0.1
"""Duration before and after a peak from which the local median is computed."""


class MaximaFinder:
    """Local maxima of a peak probability that arrives in chunks.

    A plateau is represented by its middle. A plateau that is longer than the refractory period is not an R peak.

    Args:
        threshold: Lowest peak probability of a maximum, 0 to 1.
        refractory: Longest plateau in samples.
    """

    def __init__(self, *, threshold: float, refractory: int) -> None:
        self._threshold = threshold
        self._reach = max(1, refractory) + 1
        self._probability = SampleBuffer(np.float32, -1)
        self._probability.append(np.zeros(1))  # gives a maximum at the first sample a left side
        self._decided = 0

    def push(self, peak_probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next samples and return the maxima that are final now.

        Returns:
            Sample indices, int64, and heights.
        """
        self._probability.append(peak_probability)
        return self._find(max(self._decided, self._probability.end - self._reach))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the remaining maxima at the end of the lead; see `push`."""
        end = self._probability.end
        self._probability.append(np.zeros(1))
        return self._find(end)

    @property
    def decided(self) -> int:
        """Index before which every maximum has been returned."""
        return self._decided

    def _find(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        start = max(self._probability.start, self._decided - self._reach)
        held = self._probability.view(start, min(self._probability.end, until + self._reach))
        maxima = _local_maxima(held, self._threshold, self._reach - 1) + start
        maxima = maxima[(maxima >= self._decided) & (maxima < until)]
        self._decided = until
        heights = held[maxima - start].copy()
        self._probability.drop_before(until - self._reach)
        return maxima, heights


def _local_maxima(values: np.ndarray, lowest: float, longest: int) -> np.ndarray:
    """Return the middles of the maxima that have both sides within ``values``, int64."""
    # Not scipy.signal.find_peaks, whose import takes a second.
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    levels, lengths = values[starts], np.diff(starts, append=len(values))
    top = np.zeros(len(levels), bool)
    top[1:-1] = (levels[1:-1] > levels[:-2]) & (levels[1:-1] > levels[2:])
    top &= (levels >= lowest) & (lengths <= longest)
    return np.asarray(starts[top] + (lengths[top] - 1) // 2, np.int64)


class _Maximum(NamedTuple):
    """A maximum: where it was found, its height, its final position and its refractory period."""

    at: int
    height: float
    position: int
    period: int


class RefractoryFilter:
    """Filter that keeps the highest of the maxima within a refractory period, in chunks.

    Maxima are processed in order of height. Each has a final position, up to ``max_shift`` from where it was found, and
    a refractory period of its own; of two, the shorter counts. A lower maximum never suppresses a higher one, so a
    higher threshold only removes the lower maxima.

    Args:
        refractory: Longest refractory period in samples.
        max_shift: Largest distance between a maximum and its final position in samples.
    """

    def __init__(self, *, refractory: int, max_shift: int) -> None:
        self._refractory = max(1, refractory)
        self._max_shift = max_shift
        self._wait = self._refractory + 2 * max_shift
        self._decided = 0
        self._pending: list[_Maximum] = []
        self._returned: list[tuple[int, int]] = []  # position and period of the last peaks, which can suppress others

    def push(
        self,
        found: np.ndarray,
        heights: np.ndarray,
        *,
        positions: np.ndarray,
        decided: int,
        periods: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take the next maxima and return the peaks that are final now.

        Args:
            found: Indices at which the maxima were found, increasing.
            heights: Height of each maximum.
            positions: Final position of each maximum.
            periods: Refractory period of each maximum in samples (default: the longest for all).
            decided: Index before which no further maximum will be found.

        Returns:
            Positions, int64, strictly increasing; heights; and refractory periods.
        """
        self._decided = decided
        if periods is None:
            periods = np.full(len(found), self._refractory)
        columns = (found.tolist(), heights.tolist(), positions.tolist(), np.minimum(periods, self._refractory).tolist())
        self._pending += map(_Maximum, *columns)
        return self._resolve(decided - self._wait)

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the remaining peaks; see `push`."""
        return self._resolve(None)

    @property
    def settled(self) -> int:
        """Index before which no further peak will be returned."""
        return min([self._decided - self._max_shift, *(maximum.position for maximum in self._pending)])

    def _resolve(self, known: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decide on the maxima, highest first, that were found up to ``known`` (``None``: on all).

        A later maximum may still be suppressed by one that is not yet found. It stays open, and so does any maximum
        that it might suppress.
        """
        kept, open_ = list(self._returned), list[tuple[int, int]]()
        staying: dict[int, _Maximum] = {}
        opened = []
        for maximum in sorted(self._pending, key=lambda maximum: (-maximum.height, maximum.at)):
            place = maximum.position, maximum.period
            if self._is_near(kept, place):
                continue
            if self._is_near(open_, place) or (known is not None and maximum.at > known):
                bisect.insort(open_, place)
                opened.append(maximum)
            else:
                bisect.insort(kept, place)
                staying[maximum.position] = maximum
        # Peaks are returned in order of time: those after an open maximum wait.
        final = sorted(position for position in staying if not open_ or position < open_[0][0])
        self._pending = sorted([*opened, *(staying[position] for position in staying.keys() - set(final))])
        returned = [*self._returned, *((position, staying[position].period) for position in final)]
        # The next peak can be near to those within the longest period of the last.
        self._returned = [place for place in returned if place[0] > returned[-1][0] - 2 * self._wait]
        heights, periods = ([getattr(staying[position], name) for position in final] for name in ("height", "period"))
        return np.array(final, np.int64), np.array(heights, np.float32), np.array(periods, np.int64)

    def _is_near(self, places: list[tuple[int, int]], place: tuple[int, int]) -> bool:
        """Return whether one of the sorted places is within the refractory period of this one."""
        position, period = place
        first = bisect.bisect_left(places, (position - self._refractory, 0))
        for other, other_period in places[first:]:
            if other - position >= self._refractory:
                return False
            if abs(other - position) < min(period, other_period):
                return True
        return False


def pick_r_peaks(peak_probability: np.ndarray, *, threshold: float, refractory: int) -> np.ndarray:
    """Return the sample indices of the R peaks in a peak probability.

    A peak is a local maximum of at least ``threshold``. Of two within the refractory period, the higher stays. No peak
    is snapped.

    Args:
        peak_probability: Probability per sample, 0 to 1, shape ``(samples,)``.
        threshold: Lowest probability of a peak.
        refractory: Shortest distance between two R peaks in samples.

    Returns:
        Sample indices, int64, strictly increasing.
    """
    finder = MaximaFinder(threshold=threshold, refractory=refractory)
    first, last = finder.push(peak_probability), finder.finish()
    maxima, heights = np.concatenate([first[0], last[0]]), np.concatenate([first[1], last[1]])
    kept = RefractoryFilter(refractory=refractory, max_shift=0)
    final, _, _ = kept.push(maxima, heights, positions=maxima, decided=len(peak_probability))
    return np.concatenate([final, kept.finish()[0]])


def snap_to_extremum(signal: np.ndarray, positions: np.ndarray, *, usable: np.ndarray, fs: float) -> np.ndarray:
    """Move positions to the nearby extremum of the lead, of either polarity.

    The polarity of a peak is the side on which the lead deviates most from its local median. A plateau (a clipped
    peak) gives its middle. A position without a usable sample nearby stays.

    Args:
        signal: One lead, shape ``(samples,)``.
        positions: Sample indices.
        usable: Whether each sample of the lead can be used.
        fs: Sampling rate in Hz.

    Returns:
        Sample indices, int64.
    """
    if not len(positions):
        return np.empty(0, np.int64)
    reach, around = max_snap_samples(fs), max(2, round(_MEDIAN_SECONDS * fs))
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
    # The middle of two equal peaks lies between them. The first peak is used then.
    on_top = np.take_along_axis(top, middle[:, np.newaxis], axis=1)[:, 0]
    chosen = np.where(on_top, middle, top.argmax(axis=1))
    moved = positions + chosen - reach
    return np.where(known & (height.max(axis=1) > 0), moved, positions).astype(np.int64)


def max_snap_samples(fs: float) -> int:
    """Return the largest shift of `snap_to_extremum` in samples."""
    return max(1, round(SNAP_SECONDS * fs))
