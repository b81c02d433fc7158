"""The detector's thresholds, chosen on validation records."""

from __future__ import annotations

from typing import Any

import numpy as np

from checkpoints import apply_model, pick_r_peaks, window_scores
from ecg_data import Progress, SegmentCache
from reports.evaluation import WholeLead
from reports.matching import match_r_peaks
from reports.measures import pooled_f1, standard_error
from reports.results import TOLERANCES_MS

_GRID = np.round(np.arange(0.02, 0.99, 0.02), 2)


def calibrate(
    model: Any,
    leads: list[WholeLead],
    cache: SegmentCache,
    refractory: int,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Thresholds with the best pooled F1 on the noisy validation records.

    Args:
        model: the detector.
        leads: the leads of the validation records.
        cache: for segment and window.
        refractory: samples within which there is but one R peak.
        seed: of the bootstrap that tells how sure the best is.
        progress: told the leads done.

    Returns:
        ``r_peak``, by R peaks within 150 ms, and ``window``, by windows; see `choose_threshold`.
    """
    tolerance = round(TOLERANCES_MS[0] * cache.fs / 1000)
    peak_tables = np.zeros((len(_GRID), len(leads), 3))
    window_tables = np.zeros((len(_GRID), len(leads), 3))
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
            found = scores >= threshold
            peak_tables[index, done] = matches.true_positives, matches.false_negatives, matches.false_positives
            window_tables[index, done] = np.sum(labels & found), np.sum(labels & ~found), np.sum(~labels & found)
    if progress is not None:
        progress("Thresholds", len(leads), len(leads))
    return {
        "r_peak": choose_threshold(_GRID, peak_tables, seed),
        "window": choose_threshold(_GRID, window_tables, seed),
    }


def choose_threshold(grid: np.ndarray, tables: np.ndarray, seed: int) -> float:
    """The threshold in the middle of all that do as well as the best, as far as the records can tell.

    A few beats of one record decide between neighbouring thresholds, and the best of a flat stretch may lie at its
    edge, where people not yet seen fall off it. So all thresholds within one standard error of the best count as
    equal to it (the rule of Breiman et al., Classification and Regression Trees, 1984, section 3.4.3), the error from
    a bootstrap over records.

    Args:
        grid: thresholds, rising.
        tables: counts ``(TP, FN, FP)`` for each threshold and lead, shape ``(thresholds, leads, 3)``.
        seed: of the bootstrap.
    """
    scores = np.array([pooled_f1(table) for table in tables])
    best = int(scores.argmax())
    equal = scores >= scores[best] - standard_error(tables[best], pooled_f1, seed)
    # The stretch around the best: a threshold beyond a dip is another regime, not a neighbour.
    first = best - int(np.argmin(np.append(equal[: best + 1][::-1], False))) + 1
    last = best + int(np.argmin(np.append(equal[best:], False))) - 1
    return float(grid[(first + last) // 2])
