"""The figures of a denoiser and of a detector, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval from a bootstrap over records."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Denoising:
    """How close a denoised lead is to the clean one.

    Attributes:
        mae: mean absolute error in mV.
        rmse: root mean square error in mV.
        snr_improvement: decibels by which the signal-to-noise ratio rose over the noisy input; ``None`` where
            the input has no noise.
    """

    mae: float
    rmse: float
    snr_improvement: float | None


@dataclass(frozen=True)
class Counts:
    """True and false positives and false negatives, with the ratios that follow from them.

    Attributes:
        true_positives: found and there.
        false_negatives: there and not found.
        false_positives: found and not there.
        sensitivity: share of what is there that was found (recall); 0 where nothing is there.
        precision: share of what was found that is there (positive predictive value); 0 where nothing was found.
        f1: harmonic mean of both.
    """

    true_positives: int
    false_negatives: int
    false_positives: int
    sensitivity: float
    precision: float
    f1: float


@dataclass(frozen=True)
class Confusion:
    """Windows by what they hold and what they were labelled, with the ratios that follow.

    Attributes:
        accuracy: share labelled right.
        specificity: share of the windows without an R peak that were recognised; ``None`` where there are none.
    """

    counts: Counts
    true_negatives: int
    accuracy: float
    specificity: float | None


def denoising(clean: np.ndarray, noisy: np.ndarray, denoised: np.ndarray) -> Denoising:
    """Compare a denoised lead with the clean one; all of shape ``(samples,)``, in mV."""
    error = denoised.astype(np.float64) - clean
    before = float(np.sum((noisy.astype(np.float64) - clean) ** 2))
    after = float(np.sum(error**2))
    improvement = 10 * float(np.log10(before / after)) if before > 0 and after > 0 else None
    return Denoising(float(np.mean(np.abs(error))), float(np.sqrt(np.mean(error**2))), improvement)


def counts(true_positives: int, false_negatives: int, false_positives: int) -> Counts:
    """Counts with their ratios."""
    return Counts(
        true_positives,
        false_negatives,
        false_positives,
        _ratio(true_positives, true_positives + false_negatives),
        _ratio(true_positives, true_positives + false_positives),
        _ratio(2 * true_positives, 2 * true_positives + false_negatives + false_positives),
    )


def confusion(labels: np.ndarray, predicted: np.ndarray) -> Confusion:
    """Compare the labels of windows with what was predicted; both bool of the same shape."""
    both = int(np.sum(labels & predicted))
    neither = int(np.sum(~labels & ~predicted))
    missed = int(np.sum(labels & ~predicted))
    invented = int(np.sum(~labels & predicted))
    return confusion_of(both, missed, invented, neither)


def confusion_of(true_positives: int, false_negatives: int, false_positives: int, true_negatives: int) -> Confusion:
    """A confusion matrix with its ratios."""
    total = true_positives + false_negatives + false_positives + true_negatives
    negatives = false_positives + true_negatives
    return Confusion(
        counts(true_positives, false_negatives, false_positives),
        true_negatives,
        _ratio(true_positives + true_negatives, total),
        true_negatives / negatives if negatives else None,
    )


def pooled_f1(table: np.ndarray) -> float:
    """F1 of counts added up over records; ``table`` has rows ``(TP, FN, FP)``, shape ``(records, 3)``."""
    tp, fn, fp = table.sum(axis=0)
    return _ratio(2 * tp, 2 * tp + fn + fp)


def bootstrap(table: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int) -> Interval:
    """A statistic of records with its 95 % percentile interval, from a bootstrap over records.

    Records, not beats, are drawn: the beats of one person are no independent witnesses.

    Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, chapter 13.

    Args:
        table: one row a record.
        statistic: from rows of the table to a figure.
        seed: the same seed gives the same interval.
    """
    draws = _draws(table, statistic, seed)
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(statistic(table)), float(low), float(high))


def standard_error(table: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int) -> float:
    """Standard error of a statistic of records, from the same bootstrap as `bootstrap`."""
    return float(np.std(_draws(table, statistic, seed)))


def _draws(table: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return [statistic(table[rng.integers(0, len(table), len(table))]) for _ in range(_RESAMPLES)]


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0
