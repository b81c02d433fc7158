"""The detector's thresholds, chosen on validation records."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkpoints import apply_model, pick_r_peaks, window_scores
from ecg_data import Progress, SegmentCache
from reports.evaluation import WholeLead
from reports.matching import match_r_peaks
from reports.measures import pooled_f1
from reports.results import TOLERANCES_MS

_GRID = np.round(np.arange(0.05, 0.96, 0.01), 2)


def calibrate(
    model: Any, leads: list[WholeLead], cache: SegmentCache, refractory: int, progress: Progress | None = None
) -> dict[str, float]:
    """Thresholds with the best pooled F1 on the noisy validation records.

    Args:
        model: the detector.
        leads: the leads of the validation records.
        cache: for segment and window.
        refractory: samples within which there is but one R peak.
        progress: told the leads done.

    Returns:
        ``r_peak``, by R peaks within 150 ms, and ``window``, by windows. Where several thresholds of the grid do
        equally well, the middle one, which is farthest from doing worse.
    """
    tolerance = round(TOLERANCES_MS[0] * cache.fs / 1000)
    peak_tables = np.zeros((len(_GRID), 3))
    window_tables = np.zeros((len(_GRID), 3))
    for done, lead in enumerate(leads):
        if progress is not None:
            progress("Thresholds", done, len(leads))
        activation = apply_model(model, lead.noisy, cache.settings.segment)
        # Peaks that fall below a threshold never suppress higher ones, so one pass serves all thresholds.
        candidates = pick_r_peaks(activation, float(_GRID[0]), refractory)
        scores = window_scores(activation, cache.settings.window, refractory)
        labels, scored = lead.window_labels(cache.settings.window)
        labels, scores = labels[scored], scores[scored]
        for index, threshold in enumerate(_GRID):
            kept = candidates[activation[candidates] >= threshold]
            matches = match_r_peaks(lead.r_peaks, kept, tolerance, lead.unscored)
            peak_tables[index] += matches.true_positives, matches.false_negatives, matches.false_positives
            found = scores >= threshold
            window_tables[index] += np.sum(labels & found), np.sum(labels & ~found), np.sum(~labels & found)
    if progress is not None:
        progress("Thresholds", len(leads), len(leads))
    return {"r_peak": _middle_of_best(peak_tables), "window": _middle_of_best(window_tables)}


def _middle_of_best(tables: np.ndarray) -> float:
    scores = np.array([pooled_f1(table[None]) for table in tables])
    best = np.flatnonzero(scores == scores.max())
    return float(_GRID[best[len(best) // 2]])
