"""Windows with and without an R peak, labeled by the scores of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ecg_study.evaluation.leads import EvaluationLead, by_record, subjects_by_record
from ecg_study.evaluation.metrics import bootstrap, confusion, confusion_of, pooled_f1
from ecg_study.evaluation.results.detection import CalibrationBin, RecordWindows, WindowsSummary

_BINS = 10

_POINTS = 200
"""Points of a curve in a plot: more cannot be seen."""

WindowScores = Mapping[str, Sequence[np.ndarray]]
"""Input (noisy, denoised or clean) → scores of the windows of each lead, shape ``(windows,)``."""


def windows_by_record(
    leads: Sequence[EvaluationLead], scores: WindowScores, *, threshold: float, window: int
) -> list[RecordWindows]:
    """Label the windows of each lead and input at a threshold, and compare them with the annotations.

    Args:
        leads: leads of the test records.
        scores: scores of their windows.
        threshold: lowest score of a window that is labeled as holding an R peak.
        window: samples per window.
    """
    results = []
    for place, lead in enumerate(leads):
        labels, scored = lead.window_labels(window)
        for name, each in scores.items():
            above = each[place] >= threshold
            results.append(RecordWindows(lead.record, lead.lead, name, confusion(labels[scored], above[scored])))
    return results


def summarize_windows(
    leads: Sequence[EvaluationLead],
    scores: WindowScores,
    *,
    rows: Sequence[RecordWindows],
    window: int,
    seed: int,
) -> list[WindowsSummary]:
    """Pool all windows of each input, with ROC and precision-recall curves and calibration.

    Args:
        leads: leads of the test records.
        scores: scores of their windows.
        rows: the labeled windows, from `windows_by_record`.
        window: samples per window.
        seed: seed of the bootstrap.
    """
    return [
        _summary(leads, name, each, [row for row in rows if row.input == name], window, seed)
        for name, each in scores.items()
    ]


def _summary(
    leads: Sequence[EvaluationLead],
    name: str,
    each: Sequence[np.ndarray],
    rows: Sequence[RecordWindows],
    window: int,
    seed: int,
) -> WindowsSummary:
    from sklearn.metrics import (
        average_precision_score,
        brier_score_loss,
        precision_recall_curve,
        roc_auc_score,
        roc_curve,
    )

    counted = [row.confusion.counts for row in rows]
    table = np.array([(c.true_positives, c.false_negatives, c.false_positives) for c in counted])
    labels, scores = _pooled(leads, each, window)
    both = bool(labels.any() and not labels.all())
    false_rate, true_rate, _ = roc_curve(labels, scores) if both else (np.array([0, 1]), np.array([0, 1]), None)
    precision, recall, _ = precision_recall_curve(labels, scores)
    return WindowsSummary(
        input=name,
        confusion=confusion_of(
            [int(n) for n in table.sum(axis=0)], true_negatives=sum(row.confusion.true_negatives for row in rows)
        ),
        f1=bootstrap(by_record(leads, table), pooled_f1, seed=seed, subjects=subjects_by_record(leads).values()),
        roc=_thinned(false_rate, true_rate),
        roc_area=float(roc_auc_score(labels, scores)) if both else None,
        precision_recall=_thinned(recall, precision),
        average_precision=float(average_precision_score(labels, scores)),
        calibration=_calibration(labels, scores),
        brier=float(brier_score_loss(labels, scores)),
    )


def _pooled(leads: Sequence[EvaluationLead], each: Sequence[np.ndarray], window: int) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = [], []
    for lead, found in zip(leads, each, strict=True):
        held, scored = lead.window_labels(window)
        labels.append(held[scored])
        scores.append(found[scored].astype(np.float64).clip(0, 1))
    return np.concatenate(labels), np.concatenate(scores)


def _thinned(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Return at most `_POINTS` points of a curve, evenly spread along its length, with both ends."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, length[-1], _POINTS)
    at = np.unique(np.concatenate([[0], np.searchsorted(length, wanted).clip(0, len(x) - 1), [len(x) - 1]]))
    return [(round(float(a), 5), round(float(b), 5)) for a, b in zip(x[at], y[at], strict=True)]


def _calibration(labels: np.ndarray, scores: np.ndarray) -> list[CalibrationBin]:
    """Group windows by tenths of the score; a tenth without windows is left out."""
    place = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    return [
        CalibrationBin(float(scores[place == i].mean()), float(labels[place == i].mean()), int(np.sum(place == i)))
        for i in range(_BINS)
        if np.any(place == i)
    ]
