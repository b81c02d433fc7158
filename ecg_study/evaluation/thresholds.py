"""The detector's thresholds, chosen on validation records."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.evaluation.cached_models import LOWEST_ACTIVATION, Detected
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.evaluation.metrics import pooled_f1, standard_error
from ecg_study.evaluation.results.values import TOLERANCES_MS

_GRID = np.round(np.arange(LOWEST_ACTIVATION, 0.99, 0.02), 2)

_MOTION_LEVEL = 12
"""dB of electrode motion that thresholds are chosen under too, where a detector is trained under real noise: with white
noise alone a threshold looks best that is so low that any real noise passes it. At 6 dB and less it is the other way
round: where a quarter of the beats is lost, one looks best that loses beats of recordings without noise."""


def threshold_inputs(lead: EvaluationLead, noise: NoiseSource | None) -> list[np.ndarray]:
    """Return a validation lead in mV with the study's noise and, if there is recorded noise, with electrode motion."""
    if noise is None or not len(lead.r_peaks):
        return [lead.noisy]
    moved = add_electrode_motion(lead.clean, lead.r_peaks, source=noise, fs=lead.fs, snr_db=_MOTION_LEVEL)
    return [lead.noisy, moved]


def choose_thresholds(
    leads: Sequence[EvaluationLead], detected: Sequence[Sequence[Detected]], window: int, seed: int
) -> dict[str, float]:
    """Thresholds with the best pooled F1 on the noisy validation records.

    Args:
        leads: the leads of the validation records.
        detected: what the detector says of each of them, under one noise or several, all counted together.
        window: samples a window.
        seed: of the bootstrap that tells how sure the best is.

    Returns:
        ``r_peak``, by R peaks within 150 ms, and ``window``, by windows; see `choose_threshold`.
    """
    peak_tables = np.zeros((len(_GRID), len(leads), 3))
    window_tables = np.zeros((len(_GRID), len(leads), 3))
    for place, (lead, noises) in enumerate(zip(leads, detected, strict=True)):
        tolerance = round(TOLERANCES_MS[0] * lead.fs / 1000)
        labels, scored = lead.window_labels(window)
        labels = labels[scored]
        for found, (index, threshold) in product(noises, enumerate(_GRID)):
            matches = match_r_peaks(lead.r_peaks, found.r_peaks(threshold), tolerance, lead.excluded_intervals)
            peak_tables[index, place] += matches.table
            above = found.window_scores[scored] >= threshold
            window_tables[index, place] += np.sum(labels & above), np.sum(labels & ~above), np.sum(~labels & above)
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
