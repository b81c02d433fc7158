"""Selection of the thresholds of a model on validation records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.evaluation.cached_models import LOWEST_PEAK_PROBABILITY, CachedModel
from ecg_study.evaluation.calibration import calibrate, validation_outcomes
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.evaluation.metrics import pooled_f1, standard_error
from ecg_study.evaluation.removal_threshold import choose_removal_threshold
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.models.card import DENOISER, DETECTOR, REMOVED_POWER, OperatingPoint

_GRID = np.round(np.arange(LOWEST_PEAK_PROBABILITY, 0.99, 0.02), 2)

_MOTION_SNR_DB = 12
"""SNR of the electrode motion artifact for detectors trained with recorded noise. With Gaussian noise alone, the best
threshold is so low that any recorded noise exceeds it. At 6 dB and less, a quarter of the beats is lost, and the
best threshold loses beats of recordings without noise."""


def choose_operating_point(
    model: CachedModel,
    leads: Sequence[EvaluationLead],
    *,
    noise: NoiseSource | None,
    subjects: Mapping[str, str],
    seed: int,
) -> OperatingPoint:
    """Choose the thresholds of a model on validation leads, and calibrate the confidences of a detector.

    Args:
        model: the model.
        leads: leads of the validation records.
        noise: recorded noise for validation; ``None`` uses Gaussian noise alone.
        subjects: record → its subject; a record that is missing is a subject of its own.
        seed: see `choose_thresholds`.
    """
    thresholds = choose_thresholds(model, leads, noise=noise, seed=seed)
    if model.card.model_kind != DETECTOR:
        return OperatingPoint(thresholds)
    found = validation_outcomes(model.at(OperatingPoint(thresholds)), leads, noise=noise, subjects=subjects)
    return OperatingPoint(thresholds, calibrate(found))


def choose_thresholds(
    model: CachedModel, leads: Sequence[EvaluationLead], *, noise: NoiseSource | None, seed: int
) -> dict[str, float]:
    """Choose the thresholds of a model on validation leads.

    Args:
        model: the model.
        leads: leads of the validation records.
        noise: recorded noise for validation; ``None`` uses Gaussian noise alone.
        seed: seed of the bootstrap, and of the noise of a denoiser.

    Returns:
        For a detector, ``r_peak`` and ``window``, see `best_thresholds`. For a denoiser with a high-pass,
        ``removed_power``, see `choose_removal_threshold`. Other denoisers, and those without recorded noise, have none.
    """
    if model.card.model_kind == DENOISER:
        if model.card.highpass_hz is None or noise is None:
            return {}
        return {REMOVED_POWER: choose_removal_threshold(model, leads, noise=noise, seed=seed)}
    inputs = [threshold_inputs(lead, noise) for lead in leads]
    return best_thresholds(
        leads,
        [[model.candidates(signal) for signal in signals] for signals in inputs],
        window_scores=[[model.window_scores(signal) for signal in signals] for signals in inputs],
        window=model.card.window_samples,
        seed=seed,
    )


def threshold_inputs(lead: EvaluationLead, noise: NoiseSource | None) -> list[np.ndarray]:
    """Return a validation lead in mV with the study's noise and, if there is recorded noise, with electrode motion."""
    if noise is None or not len(lead.r_peaks):
        return [lead.noisy]
    moved = add_electrode_motion(lead.clean, lead.r_peaks, source=noise, fs=lead.fs, snr_db=_MOTION_SNR_DB)
    return [lead.noisy, moved]


def best_thresholds(
    leads: Sequence[EvaluationLead],
    candidates: Sequence[Sequence[RPeaks]],
    *,
    window_scores: Sequence[Sequence[np.ndarray]],
    window: int,
    seed: int,
) -> dict[str, float]:
    """Return the thresholds with the best pooled F1.

    Args:
        leads: leads of the validation records.
        candidates: R-peak candidates of each lead under each noise; all are pooled.
        window_scores: scores of its windows, likewise.
        window: samples per window.
        seed: seed of the bootstrap that estimates the uncertainty of the best F1.

    Returns:
        ``r_peak``, by R peaks within 150 ms, and ``window``, by windows; see `choose_threshold`.
    """
    peak_tables = np.zeros((len(_GRID), len(leads), 3))
    window_tables = np.zeros((len(_GRID), len(leads), 3))
    for place, lead in enumerate(leads):
        tolerance = tolerance_samples(TOLERANCES_MS[0], fs=lead.fs)
        labels, scored = lead.window_labels(window)
        labels = labels[scored]
        for found, scores in zip(candidates[place], window_scores[place], strict=True):
            for index, threshold in enumerate(_GRID):
                matches = match_r_peaks(
                    lead.r_peaks,
                    found.above(threshold).samples,
                    tolerance=tolerance,
                    excluded_intervals=lead.excluded_intervals,
                )
                peak_tables[index, place] += matches.table
                above = scores[scored] >= threshold
                window_tables[index, place] += np.sum(labels & above), np.sum(labels & ~above), np.sum(~labels & above)
    subjects = [lead.person for lead in leads]
    return {
        "r_peak": choose_threshold(_GRID, peak_tables, seed=seed, subjects=subjects),
        "window": choose_threshold(_GRID, window_tables, seed=seed, subjects=subjects),
    }


def choose_threshold(
    grid: np.ndarray, tables: np.ndarray, *, seed: int, subjects: Sequence[str] | None = None
) -> float:
    """Return the middle of the thresholds around the best whose F1 does not differ clearly.

    A few beats of one record decide between neighboring thresholds. The best threshold may lie at the edge of a
    plateau, beyond which F1 falls on unseen subjects. So all thresholds whose F1 is lower by at most one standard error
    of the difference count as equal to it. The standard error comes from a bootstrap over subjects. That of the F1
    itself would be much larger, because some subjects are harder than others at every threshold.

    Args:
        grid: thresholds, increasing.
        tables: counts ``(TP, FN, FP)`` for each threshold and lead, shape ``(thresholds, leads, 3)``.
        seed: seed of the bootstrap.
        subjects: the subject of each lead (default: each lead is that of a subject of its own).

    References:
        Breiman L et al. Classification and Regression Trees, 1984, section 3.4.3.
    """
    scores = np.array([pooled_f1(table) for table in tables])
    best = int(scores.argmax())
    both = [np.concatenate([table, tables[best]], axis=1) for table in tables]
    errors = [standard_error(rows, _difference, seed=seed, subjects=subjects) for rows in both]
    equal = scores >= scores[best] - np.array(errors)
    # Only the plateau around the best: a threshold after a dip belongs to another regime.
    first = best - int(np.argmin(np.append(equal[: best + 1][::-1], False))) + 1
    last = best + int(np.argmin(np.append(equal[best:], False))) - 1
    return float(grid[(first + last) // 2])


def _difference(rows: np.ndarray) -> float:
    """Return the difference of F1 of rows ``(TP, FN, FP, TP, FN, FP)``."""
    return pooled_f1(rows[:, :3]) - pooled_f1(rows[:, 3:])
