"""The four measures of the benchmark, by beat, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BeatErrors:
    """Measures of each beat, arrays of shape ``(beats,)``.

    Attributes:
        ssd: sum of squared differences in mV².
        mad: largest absolute difference in mV.
        prd: percentage root-mean-square difference, relative to the denoised beat.
        cosine: cosine similarity.
    """

    ssd: np.ndarray
    mad: np.ndarray
    prd: np.ndarray
    cosine: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Means over beats.

    Attributes:
        ssd: mV².
        mad: mV.
        prd: percent.
        cosine: from -1 to 1.
        beats: number of beats.
    """

    ssd: float
    mad: float
    prd: float
    cosine: float
    beats: int


def beat_errors(clean: np.ndarray, denoised: np.ndarray) -> BeatErrors:
    """Return the measures of the published code, whose PRD subtracts the mean of all clean beats.

    Args:
        clean: mV, shape ``(beats, samples)``.
        denoised: likewise; no beat is 0 everywhere.
    """
    clean, denoised = np.asarray(clean, np.float64), np.asarray(denoised, np.float64)
    difference = denoised - clean
    ssd = np.sum(difference**2, axis=1)
    energy = np.sum((denoised - clean.mean()) ** 2, axis=1)
    norms = np.linalg.norm(clean, axis=1) * np.linalg.norm(denoised, axis=1)
    return BeatErrors(
        ssd=ssd,
        mad=np.max(np.abs(difference), axis=1),
        prd=100 * np.sqrt(ssd / energy),
        cosine=np.sum(clean * denoised, axis=1) / norms,
    )


def mean_scores(parts: Sequence[BeatErrors]) -> Scores:
    """Return the means over the beats of several parts, pooled."""

    def mean(name: str) -> float:
        return float(np.mean(np.concatenate([getattr(part, name) for part in parts])))

    beats = sum(len(part.ssd) for part in parts)
    return Scores(mean("ssd"), mean("mad"), mean("prd"), mean("cosine"), beats)
