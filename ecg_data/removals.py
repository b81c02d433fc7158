"""Removals of a denoiser: factors that weaken small ones, and the gain of each threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THRESHOLDS_DB = tuple(range(-30, -9))
"""Ratios of removed to remaining power that are tried as threshold, in dB."""

_LEAST_ERROR = 1e-5
"""Smallest error that counts, as a share of the noise power: -50 dB."""

_HARM_WEIGHT = 2.0
"""A decibel lost against the high-pass counts as much as two gained: a clean recording must not get worse."""

_LIMIT_DB = 60.0  # of ratios: beyond, one of the powers is rounding

_USUAL_SECONDS = 60.0
_AWAY_DB = 8.0
_STEEPNESS = 1.5
"""The minute, the 8 dB and the exponent were chosen on validation records (docs/experiments.md)."""


def removal_ratios(removed: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the removed over the kept power in dB, from -60 to 60; NaN where both are 0.

    Args:
        removed: power that was removed from each segment.
        kept: power that is left in each segment, in the same unit.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = 10 * (np.log10(removed) - np.log10(kept))
    return np.asarray(np.clip(ratios, -_LIMIT_DB, _LIMIT_DB))


class UsualRemovals:
    """Ratios of removals, judged by those of the minute before.

    Noise lasts, and what a network takes from the ECG by mistake differs from segment to segment. So a removal is
    judged by the median of the last minute, but by 8 dB less or more than its own ratio at most: a burst of noise in a
    clean recording is removed, and a clean segment after noise is left alone. Only the past counts, so a stream has no
    longer delay.

    Args:
        segments: number of segments that start in a minute, or 1 for segments that do not follow each other.
    """

    def __init__(self, segments: int) -> None:
        self._before = np.empty(0)
        self._segments = segments

    def judge(self, ratios: np.ndarray) -> np.ndarray:
        """Return the ratio by which each of the next segments is judged, in dB; NaN where it has none.

        Args:
            ratios: `removal_ratios` of consecutive segments.
        """
        if self._segments == 1:
            return ratios
        known = np.concatenate([np.full(self._segments - 1 - len(self._before), np.nan), self._before, ratios])
        self._before = known[len(ratios) :]
        if not len(ratios):
            return ratios
        windows = np.lib.stride_tricks.sliding_window_view(known, self._segments)
        # A segment without a ratio has nothing to weaken, so its median is not needed.
        usual = np.full(len(ratios), np.nan)
        usual[~np.isnan(ratios)] = np.nanmedian(windows[~np.isnan(ratios)], axis=1)
        return np.asarray(np.clip(usual, ratios - _AWAY_DB, ratios + _AWAY_DB))


def segments_in_a_minute(hop: float, *, fs: float) -> int:
    """Return how many segments start in a minute.

    Args:
        hop: samples from the start of a segment to that of the next.
        fs: sampling rate in Hz.
    """
    return max(1, round(_USUAL_SECONDS * fs / hop))


def removal_factors(ratios: np.ndarray, *, threshold: float) -> np.ndarray:
    """Return the factors, from 0 to 1, by which removals of little power are weakened; 1 where the ratio is NaN.

    A factor is r^1.5 / (r^1.5 + threshold^1.5), where r is the removed over the kept power: a half at the threshold,
    0.9 at 6.4 dB above it, 0.1 at 6.4 dB below it.

    Args:
        ratios: removed over kept power of each segment in dB, as judged by `UsualRemovals`.
        threshold: ratio of powers, above 0.
    """
    steps = _STEEPNESS * (10 * np.log10(threshold) - ratios) / 10
    return np.asarray(np.nan_to_num(1 / (1 + 10**steps), nan=1.0))


def gains_by_threshold(
    clean: np.ndarray, noisy: np.ndarray, *, denoised: np.ndarray, segments_per_minute: int = 1
) -> np.ndarray:
    """Return by how many dB the error is smaller than the noise, for each of `THRESHOLDS_DB`.

    Args:
        clean: segments of one recording without noise, shape ``(segments, samples)``.
        noisy: the same with noise.
        denoised: output of the network.
        segments_per_minute: see `UsualRemovals`.

    Returns:
        Gains in dB, shape ``(thresholds,)``; the powers of all segments are added up first.
    """
    noise, removed = noisy - clean, noisy - denoised
    before, common, after = (
        np.einsum("ij,ij->i", first, second, dtype=np.float64)
        for first, second in ((noise, noise), (noise, removed), (removed, removed))
    )
    kept = np.einsum("ij,ij->i", denoised, denoised, dtype=np.float64)
    ratios = UsualRemovals(segments_per_minute).judge(removal_ratios(after, kept))
    total, gains = before.sum(), []
    if not total:  # a flat recording has no noise either
        return np.zeros(len(THRESHOLDS_DB))
    for decibels in THRESHOLDS_DB:
        factors = removal_factors(ratios, threshold=10 ** (decibels / 10))
        left = before - 2 * factors * common + factors**2 * after
        gains.append(-10 * np.log10(max(left.sum() / total, _LEAST_ERROR)))
    return np.array(gains)


def mean_gain(gains: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean gain of each threshold over levels of noise, in dB, where a loss counts twice.

    Args:
        gains: gains in dB, shape ``(recordings, levels, thresholds)``.
        groups: indices of the recordings of each database; each database counts the same.
    """
    means = np.mean([gains[rows].mean(axis=0) for rows in groups], axis=0)
    return np.asarray(np.where(means < 0, _HARM_WEIGHT * means, means).mean(axis=0))
