"""From an activation to R peaks: maxima, moved onto the local extremum of the lead, one within a refractory period."""

from __future__ import annotations

import numpy as np

from ecg_data.buffers import SampleBuffer

LONGEST_CLUSTER = 2.0
"""Seconds. Maxima that follow each other without a pause are judged together, but never more of them than this: it is
what bounds the delay of a stream. Ten beats at the fastest rate a heart has lie well within."""

SNAP_SECONDS = 0.025
"""How far a peak is moved at most, either way: a third of a normal QRS complex, so that R does not become S."""

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
    Those that follow each other by less than could matter form a cluster, which is judged when it is over, or when it
    lasts `LONGEST_CLUSTER`.

    Args:
        refractory: samples that two peaks are apart at least.
        reach: samples by which a position may differ from where its maximum was found.
        longest: samples that a cluster lasts at most.
    """

    def __init__(self, refractory: int, reach: int, longest: int) -> None:
        self._refractory = max(1, refractory)
        self._pause = self._refractory + 2 * reach
        self._longest = longest
        self._cluster: list[tuple[int, float, int]] = []
        self._kept_last: int | None = None

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
        kept: list[tuple[int, float]] = []
        for at, height, position in zip(found.tolist(), heights.tolist(), positions.tolist(), strict=True):
            if self._is_over(at):
                kept += self._judge()
            self._cluster.append((at, height, position))
        if self._cluster and self._is_over(decided):
            kept += self._judge()
        return np.array([k[0] for k in kept], np.int64), np.array([k[1] for k in kept], np.float32)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The peaks that are left."""
        kept = self._judge()
        return np.array([k[0] for k in kept], np.int64), np.array([k[1] for k in kept], np.float32)

    def _is_over(self, at: int) -> bool:
        cluster = self._cluster
        return bool(cluster) and (at - cluster[-1][0] >= self._pause or at - cluster[0][0] > self._longest)

    def _judge(self) -> list[tuple[int, float]]:
        kept: dict[int, float] = {}
        for _, height, position in sorted(self._cluster, key=lambda maximum: (-maximum[1], maximum[0])):
            others = [*kept] if self._kept_last is None else [*kept, self._kept_last]
            if all(abs(position - other) >= self._refractory for other in others):
                kept[position] = height
        self._cluster = []
        peaks = sorted(kept.items())
        if self._kept_last is not None:
            peaks = [peak for peak in peaks if peak[0] > self._kept_last]
        if peaks:
            self._kept_last = peaks[-1][0]
        return peaks


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
    judge = RefractoryFilter(refractory, 0, len(activation))
    return np.concatenate([judge.push(maxima, heights, maxima, len(activation))[0], judge.finish()[0]])


def snap(signal: np.ndarray, usable: np.ndarray, positions: np.ndarray, fs: float) -> np.ndarray:
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
    """Samples that `snap` moves a position by at most."""
    return max(1, round(SNAP_SECONDS * fs))
