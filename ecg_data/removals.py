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


def removal_factors(removed: np.ndarray, kept: np.ndarray, *, threshold: float) -> np.ndarray:
    """Return the factors, from 0 to 1, by which removals of little power are weakened.

    A factor is r² / (r² + threshold²), where r is the removed over the kept power: a half at the threshold, 0.9 at
    4.8 dB above it, 0.1 at 4.8 dB below it.

    Args:
        removed: power that was removed from each segment.
        kept: power that is left in each segment, in the same unit.
        threshold: ratio of powers, above 0.
    """
    squared = np.square(removed)
    total = squared + np.square(threshold * kept)
    return np.asarray(np.divide(squared, total, out=np.ones_like(total), where=total != 0))


def gains_by_threshold(clean: np.ndarray, noisy: np.ndarray, *, denoised: np.ndarray) -> np.ndarray:
    """Return by how many dB the error is smaller than the noise, for each of `THRESHOLDS_DB`.

    Args:
        clean: segments of one recording without noise, shape ``(segments, samples)``.
        noisy: the same with noise.
        denoised: output of the network.

    Returns:
        Gains in dB, shape ``(thresholds,)``; the powers of all segments are added up first.
    """
    noise, removed = noisy - clean, noisy - denoised
    before, common, after = (
        np.einsum("ij,ij->i", first, second, dtype=np.float64)
        for first, second in ((noise, noise), (noise, removed), (removed, removed))
    )
    kept = np.einsum("ij,ij->i", denoised, denoised, dtype=np.float64)
    total, gains = before.sum(), []
    if not total:  # a flat recording has no noise either
        return np.zeros(len(THRESHOLDS_DB))
    for decibels in THRESHOLDS_DB:
        factors = removal_factors(after, kept, threshold=10 ** (decibels / 10))
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
