"""The figures of a denoiser and of a detector, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ecg_study.evaluation.results.values import Comparison, Confusion, Counts, Denoising, Estimate

_RESAMPLES = 2000
_LEVEL = 0.95

FEWEST_RECORDS = 6
"""With fewer records no difference is called significant or not: that five records all lie on one side of 0 has a
probability of 2 · 0.5⁵ = 6 % by chance, more than the 5 % that the interval leaves."""


def denoising(clean: np.ndarray, noisy: np.ndarray, denoised: np.ndarray, fs: float) -> Denoising:
    """Compare a denoised lead with the clean one; all of shape ``(samples,)``, in mV.

    The measures are those of Romero F et al., DeepFilter: an ECG baseline wander removal filter using deep learning
    techniques (Biomed Signal Process Control 70:102992, 2021), and of the works that it compares.
    """
    figures = denoising_table(clean[None], noisy[None], denoised[None], fs)
    row = {name: float(values[0]) for name, values in figures.items()}
    finite = {name: value if np.isfinite(value) else None for name, value in row.items()}
    return Denoising(
        row["mae"],
        row["rmse"],
        finite["snr_improvement"],
        finite["prd"],
        finite["cosine"],
        row["ssd"],
        row["mad"],
    )


def denoising_table(clean: np.ndarray, noisy: np.ndarray, denoised: np.ndarray, fs: float) -> dict[str, np.ndarray]:
    """The figures of `Denoising` for each row of arrays of shape ``(segments, samples)``; NaN for undefined ones."""
    clean, denoised = clean.astype(np.float64), denoised.astype(np.float64)
    error = denoised - clean
    after = np.sum(error**2, axis=-1)
    before = np.sum((noisy.astype(np.float64) - clean) ** 2, axis=-1)
    energy = np.sum((clean - clean.mean(axis=-1, keepdims=True)) ** 2, axis=-1)
    lengths = np.sqrt(np.sum(clean**2, axis=-1) * np.sum(denoised**2, axis=-1))
    return {
        "mae": np.mean(np.abs(error), axis=-1),
        "rmse": np.sqrt(after / clean.shape[-1]),
        "snr_improvement": 10 * np.log10(_divided(before, after, least=1e-300)),
        "prd": 100 * np.sqrt(_divided(after, energy)),
        "cosine": _divided(np.sum(clean * denoised, axis=-1), lengths),
        "ssd": after * fs / clean.shape[-1],
        "mad": np.max(np.abs(error), axis=-1),
    }


def _divided(above: np.ndarray, below: np.ndarray, least: float = 0.0) -> np.ndarray:
    """A ratio, NaN where the divisor is 0 or, for a logarithm, the dividend."""
    fine = (below > 0) & (above >= least) if least else below > 0
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), np.nan), where=fine))


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


def bootstrap(table: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int) -> Estimate:
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
    return Estimate(float(statistic(table)), float(low), float(high))


def bootstrap_means(table: np.ndarray, seed: int) -> list[Estimate | None]:
    """Means over records of several figures with their intervals, as `bootstrap` gives them, all at once.

    Args:
        table: one row a record, one column a figure, shape ``(records, figures)``.
        seed: the same seed gives the same intervals.

    Returns:
        One interval a column; ``None`` for a column that holds NaN, a figure that is not defined for a record.
    """
    rng = np.random.default_rng(seed)
    drawn = np.array([rng.integers(0, len(table), len(table)) for _ in range(_RESAMPLES)])
    draws = table[drawn].mean(axis=1)
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    columns = zip(table.mean(axis=0), low, high, strict=True)
    return [Estimate(*(float(v) for v in column)) if np.isfinite(column[0]) else None for column in columns]


def paired_difference(
    metric: str,
    *,
    model: tuple[str, np.ndarray],
    reference: tuple[str, np.ndarray],
    statistic: Callable[[np.ndarray], float],
    lower_is_better: bool = False,
    seed: int,
) -> Comparison:
    """Compare a model with a reference on the same records.

    The difference is significant if its 95 % interval, from a bootstrap paired by record, excludes 0. With fewer than
    `FEWEST_RECORDS` records significance is ``None``, whatever the interval.

    Args:
        metric: name of the metric.
        model: name and table of the model, one row per record, shape ``(records, columns)``.
        reference: name and table of the reference, of the same shape.
        statistic: metric of some rows of such a table.
        lower_is_better: the metric is an error, so a lower value counts as a positive difference.
        seed: seed of the bootstrap.
    """
    sign = -1 if lower_is_better else 1
    width = model[1].shape[1]
    both = np.concatenate([model[1], reference[1]], axis=1)
    difference = bootstrap(both, lambda rows: sign * (statistic(rows[:, :width]) - statistic(rows[:, width:])), seed)
    excludes_zero = difference.low > 0 or difference.high < 0
    return Comparison(
        metric=metric,
        model=model[0],
        model_value=bootstrap(model[1], statistic, seed),
        reference=reference[0],
        reference_value=bootstrap(reference[1], statistic, seed),
        difference=difference,
        significant=excludes_zero if len(both) >= FEWEST_RECORDS else None,
    )


def standard_error(table: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int) -> float:
    """Standard error of a statistic of records, from the same bootstrap as `bootstrap`."""
    return float(np.std(_draws(table, statistic, seed)))


def _draws(table: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return [statistic(table[rng.integers(0, len(table), len(table))]) for _ in range(_RESAMPLES)]


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0
