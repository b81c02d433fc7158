"""Reading windows off an activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ecg_study.evaluation.cached_models import Detected
from ecg_study.evaluation.leads import EvaluationLead, by_record
from ecg_study.evaluation.metrics import bootstrap, confusion, confusion_of, pooled_f1
from ecg_study.evaluation.results.detection import CalibrationBin, RecordWindows, WindowsSummary

_BINS = 10

_POINTS = 200
"""Points of a curve that is drawn: more cannot be seen."""


def windows_by_record(
    leads: Sequence[EvaluationLead], detected: Mapping[str, Sequence[Detected]], threshold: float, window: int
) -> list[RecordWindows]:
    """Windows of each lead and kind of input, labelled at the threshold.

    Args:
        leads: of the test records.
        detected: kind of input → what the detector says of each lead.
        threshold: window score above which a window is said to hold an R peak.
        window: samples a window.
    """
    results = []
    for place, lead in enumerate(leads):
        labels, scored = lead.window_labels(window)
        for kind, found in detected.items():
            above = found[place].window_scores >= threshold
            results.append(RecordWindows(lead.record, lead.lead, kind, confusion(labels[scored], above[scored])))
    return results


def summarise_windows(
    leads: Sequence[EvaluationLead],
    detected: Mapping[str, Sequence[Detected]],
    rows: Sequence[RecordWindows],
    window: int,
    seed: int,
) -> list[WindowsSummary]:
    """All windows of each kind of input, with ROC and precision–recall curves and calibration."""
    from sklearn.metrics import (
        average_precision_score,
        brier_score_loss,
        precision_recall_curve,
        roc_auc_score,
        roc_curve,
    )

    summaries = []
    for kind, found in detected.items():
        chosen = [row.confusion for row in rows if row.input == kind]
        table = np.array(
            [(c.counts.true_positives, c.counts.false_negatives, c.counts.false_positives) for c in chosen]
        )
        tp, fn, fp = (int(n) for n in table.sum(axis=0))
        labels, scores = _pooled(leads, found, window)
        both = bool(labels.any() and not labels.all())
        false_rate, true_rate, _ = roc_curve(labels, scores) if both else (np.array([0, 1]), np.array([0, 1]), None)
        precision, recall, _ = precision_recall_curve(labels, scores)
        summaries.append(
            WindowsSummary(
                input=kind,
                confusion=confusion_of(tp, fn, fp, sum(c.true_negatives for c in chosen)),
                f1=bootstrap(by_record(leads, table), pooled_f1, seed),
                roc=_thinned(false_rate, true_rate),
                roc_area=float(roc_auc_score(labels, scores)) if both else None,
                precision_recall=_thinned(recall, precision),
                average_precision=float(average_precision_score(labels, scores)),
                calibration=_calibration(labels, scores),
                brier=float(brier_score_loss(labels, scores)),
            )
        )
    return summaries


def _pooled(leads: Sequence[EvaluationLead], found: Sequence[Detected], window: int) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = [], []
    for lead, item in zip(leads, found, strict=True):
        held, scored = lead.window_labels(window)
        labels.append(held[scored])
        scores.append(item.window_scores[scored].astype(np.float64).clip(0, 1))
    return np.concatenate(labels), np.concatenate(scores)


def _thinned(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """At most so many points of a curve, evenly spread along its length, both ends kept."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, length[-1], _POINTS)
    at = np.unique(np.concatenate([[0], np.searchsorted(length, wanted).clip(0, len(x) - 1), [len(x) - 1]]))
    return [(round(float(a), 5), round(float(b), 5)) for a, b in zip(x[at], y[at], strict=True)]


def _calibration(labels: np.ndarray, scores: np.ndarray) -> list[CalibrationBin]:
    """Windows by tenths of the score; a tenth without windows is left out."""
    place = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    return [
        CalibrationBin(float(scores[place == i].mean()), float(labels[place == i].mean()), int(np.sum(place == i)))
        for i in range(_BINS)
        if np.any(place == i)
    ]
