"""Metrics of denoisers and detectors, with intervals over subjects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields

import numpy as np

from ecg_study.evaluation.results.values import Comparison, Confusion, Counts, Denoising, Estimate

_RESAMPLES = 2000
_LEVEL = 0.95

DENOISING_METRICS = tuple(item.name for item in fields(Denoising))
"""Names of the metrics of a denoised lead."""

FEWEST_RECORDS = 6
"""With records of fewer subjects, significance is not stated: that all of five lie on one side of 0 has a probability
of 2 · 0.5⁵ = 6 % by chance, more than the 5 % that the interval leaves."""

Statistic = Callable[[np.ndarray], float]
"""A metric of the rows of a table, one row per record."""


def denoising(clean: np.ndarray, denoised: np.ndarray, *, noisy: np.ndarray, fs: float) -> Denoising:
    """Compare a denoised lead with the clean one.

    Args:
        clean: clean lead in mV, shape ``(samples,)``.
        denoised: denoised lead in mV, same shape.
        noisy: noisy lead in mV, same shape.
        fs: sampling rate in Hz.

    References:
        Romero F et al. DeepFilter: an ECG baseline wander removal filter using deep learning techniques. Biomed Signal
        Process Control 70:102992, 2021; and the works that it compares.
    """
    table = denoising_table(clean[None], denoised[None], noisy=noisy[None], fs=fs)
    row = {name: float(values[0]) for name, values in table.items()}
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


def denoising_table(clean: np.ndarray, denoised: np.ndarray, *, noisy: np.ndarray, fs: float) -> dict[str, np.ndarray]:
    """Compute the metrics of `Denoising` for each row of arrays of shape ``(segments, samples)``.

    Returns:
        Metric → one value per segment, NaN if it is undefined.
    """
    clean, denoised = clean.astype(np.float64), denoised.astype(np.float64)
    error = denoised - clean
    after = np.sum(error**2, axis=-1)
    before = np.sum((noisy.astype(np.float64) - clean) ** 2, axis=-1)
    energy = np.sum((clean - clean.mean(axis=-1, keepdims=True)) ** 2, axis=-1)
    lengths = np.sqrt(np.sum(clean**2, axis=-1) * np.sum(denoised**2, axis=-1))
    return {
        "mae": np.mean(np.abs(error), axis=-1),
        "rmse": np.sqrt(after / clean.shape[-1]),
        "snr_improvement": 10 * np.log10(_divide(before, after, least=1e-300)),
        "prd": 100 * np.sqrt(_divide(after, energy)),
        "cosine": _divide(np.sum(clean * denoised, axis=-1), lengths),
        "ssd": after * fs / clean.shape[-1],
        "mad": np.max(np.abs(error), axis=-1),
    }


def _divide(dividend: np.ndarray, divisor: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Return a ratio; NaN if the divisor is 0 or, for a logarithm, the dividend."""
    defined = (divisor > 0) & (dividend >= least) if least else divisor > 0
    return np.asarray(np.divide(dividend, divisor, out=np.full(np.shape(dividend), np.nan), where=defined))


def counts(row: Sequence[int]) -> Counts:
    """Return true positives, false negatives and false positives, in this order, with their ratios."""
    true_positives, false_negatives, false_positives = row
    return Counts(
        true_positives,
        false_negatives,
        false_positives,
        _ratio(true_positives, true_positives + false_negatives),
        _ratio(true_positives, true_positives + false_positives),
        _ratio(2 * true_positives, 2 * true_positives + false_negatives + false_positives),
    )


def pooled_counts(table: np.ndarray) -> Counts:
    """Return the counts of all rows ``(TP, FN, FP)`` together."""
    return counts([int(n) for n in table.sum(axis=0)])


def confusion(labels: np.ndarray, predicted: np.ndarray) -> Confusion:
    """Compare labels of windows with predictions; both bool, of the same shape."""
    row = [int(np.sum(found)) for found in (labels & predicted, labels & ~predicted, ~labels & predicted)]
    return confusion_of(row, true_negatives=int(np.sum(~labels & ~predicted)))


def confusion_of(row: Sequence[int], *, true_negatives: int) -> Confusion:
    """Return a confusion matrix with its ratios; ``row`` as in `counts`."""
    true_positives, _, false_positives = row
    total = sum(row) + true_negatives
    negatives = false_positives + true_negatives
    return Confusion(
        counts(row),
        true_negatives,
        _ratio(true_positives + true_negatives, total),
        true_negatives / negatives if negatives else None,
    )


def pooled_f1(table: np.ndarray) -> float:
    """Return F1 of pooled counts; ``table`` has rows ``(TP, FN, FP)``, shape ``(records, 3)``."""
    tp, fn, fp = table.sum(axis=0)
    return _ratio(2 * tp, 2 * tp + fn + fp)


def bootstrap(
    table: np.ndarray, statistic: Statistic, *, seed: int, subjects: Collection[str] | None = None
) -> Estimate:
    """Estimate a statistic of records with its 95 % percentile interval, from a bootstrap over subjects.

    Subjects are resampled with all their records, not beats: the beats of one person are not independent.

    Args:
        table: one row per record.
        statistic: function of the rows of such a table.
        seed: random seed; the same seed gives the same interval.
        subjects: the subject of each row (default: each row is a subject of its own).

    References:
        Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, chapter 13.
    """
    draws = _draws(table, statistic, seed=seed, subjects=subjects)
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(float(statistic(table)), float(low), float(high))


def bootstrap_means(table: np.ndarray, *, seed: int, subjects: Collection[str] | None = None) -> list[Estimate | None]:
    """Estimate the means over records of several metrics at once, with the intervals of `bootstrap`.

    Args:
        table: one row per record, one column per metric, shape ``(records, metrics)``.
        seed: random seed; the same seed gives the same intervals.
        subjects: the subject of each row (default: each row is a subject of its own).

    Returns:
        One estimate per column; ``None`` if the metric is undefined (NaN) for a record.
    """
    draws = np.array([table[rows].mean(axis=0) for rows in _resamples(len(table), seed=seed, subjects=subjects)])
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    columns = zip(table.mean(axis=0), low, high, strict=True)
    return [Estimate(*(float(v) for v in column)) if np.isfinite(column[0]) else None for column in columns]


def mean_denoising(table: np.ndarray, *, seed: int, subjects: Collection[str] | None = None) -> dict[str, Estimate]:
    """Estimate the means over records of `DENOISING_METRICS`; undefined metrics are left out.

    Args:
        table: shape ``(records, metrics)``, NaN for an undefined value.
        seed: seed of the bootstrap.
        subjects: the subject of each row (default: each row is a subject of its own).
    """
    found = bootstrap_means(table, seed=seed, subjects=subjects)
    return {name: value for name, value in zip(DENOISING_METRICS, found, strict=True) if value is not None}


def paired_difference(
    metric: str,
    *,
    model: tuple[str, np.ndarray],
    reference: tuple[str, np.ndarray],
    statistic: Statistic,
    lower_is_better: bool = False,
    seed: int,
    subjects: Collection[str] | None = None,
) -> Comparison:
    """Compare a model with a reference on the same records.

    The difference is significant if its 95 % interval, from a bootstrap paired by record, excludes 0. With fewer than
    `FEWEST_RECORDS` subjects significance is ``None``, whatever the interval.

    Args:
        metric: name of the metric.
        model: name and table of the model, one row per record, shape ``(records, columns)``.
        reference: name and table of the reference, of the same shape.
        statistic: metric of the rows of such a table.
        lower_is_better: the metric is an error, so a lower value counts as a positive difference.
        seed: seed of the bootstrap.
        subjects: the subject of each row (default: each row is a subject of its own).
    """
    sign = -1 if lower_is_better else 1
    width = model[1].shape[1]
    both = np.concatenate([model[1], reference[1]], axis=1)
    difference = bootstrap(
        both,
        lambda rows: sign * (statistic(rows[:, :width]) - statistic(rows[:, width:])),
        seed=seed,
        subjects=subjects,
    )
    excludes_zero = difference.low > 0 or difference.high < 0
    return Comparison(
        metric=metric,
        model=model[0],
        model_value=bootstrap(model[1], statistic, seed=seed, subjects=subjects),
        reference=reference[0],
        reference_value=bootstrap(reference[1], statistic, seed=seed, subjects=subjects),
        difference=difference,
        significant=excludes_zero if count_subjects(both, subjects) >= FEWEST_RECORDS else None,
    )


def standard_error(
    table: np.ndarray, statistic: Statistic, *, seed: int, subjects: Collection[str] | None = None
) -> float:
    """Return the standard error of a statistic of records, from the resamples of `bootstrap`."""
    return float(np.std(_draws(table, statistic, seed=seed, subjects=subjects)))


def count_subjects(table: np.ndarray, subjects: Collection[str] | None) -> int:
    """Return the number of subjects of the rows of a table."""
    return len(table) if subjects is None else len(set(subjects))


def _draws(table: np.ndarray, statistic: Statistic, *, seed: int, subjects: Collection[str] | None) -> list[float]:
    return [statistic(table[rows]) for rows in _resamples(len(table), seed=seed, subjects=subjects)]


def _resamples(count: int, *, seed: int, subjects: Collection[str] | None) -> Iterator[np.ndarray]:
    """Yield the rows of each resample: those of as many subjects as there are, drawn with replacement."""
    labels = np.arange(count) if subjects is None else np.array(list(subjects))
    if len(labels) != count:
        raise ValueError(f"{len(labels)} subjects of {count} rows")
    rows = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())]
    rng = np.random.default_rng(seed)
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, len(rows), len(rows))
        yield drawn if len(rows) == count else np.concatenate([rows[number] for number in drawn])


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0
