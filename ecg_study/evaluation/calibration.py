"""Calibration of a detector on validation records, and how far confidences are from the share of correct R peaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import EvaluationLead, match
from ecg_study.evaluation.results.detection import ConfidenceBin, ConfidenceSummary, SurePeaks
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.models.calibration import Calibration, log_features

MOTION_LEVELS_DB = (12, 6, 0, -6)
"""SNR of the electrode motion under which confidences are calibrated, beside the validation records without it. Without
the last two, confidences at 0 and -6 dB are too high (docs/experiments.md)."""

SURE_LEVELS = (0.9, 0.99)
"""Confidences whose precision is measured."""

_BINS = 10


@dataclass(frozen=True)
class PeakOutcomes:
    """R peaks, and whether each is correct: within 150 ms of an annotated beat of its own.

    Attributes:
        values: Peak probabilities or confidences, shape ``(peaks,)``.
        correct: Booleans, shape ``(peaks,)``.
    """

    values: np.ndarray
    correct: np.ndarray

    @staticmethod
    def pooled(parts: Sequence[PeakOutcomes]) -> PeakOutcomes:
        """Return all R peaks of some outcomes."""
        return PeakOutcomes(
            np.concatenate([np.empty(0, np.float32), *(part.values for part in parts)]),
            np.concatenate([np.empty(0, bool), *(part.correct for part in parts)]),
        )


OutcomesByNoise = Mapping[int | None, PeakOutcomes]
"""SNR of the electrode motion in dB, ``None`` without it → R peaks."""


def peak_outcomes(lead: EvaluationLead, found: RPeaks, *, skip_seconds: float = 0.0) -> PeakOutcomes:
    """Return the scored R peaks of a lead and whether each is correct.

    Args:
        lead: The lead.
        found: Its R peaks.
        skip_seconds: Seconds at the start of the lead that are not scored.
    """
    matches = match(lead, found.samples, tolerance_ms=TOLERANCES_MS[0], skip_seconds=skip_seconds)
    correct = np.isin(found.samples, matches.true_positive_samples)
    scored = correct | np.isin(found.samples, matches.false_positive_samples)
    return PeakOutcomes(found.confidences[scored], correct[scored])


def confidence_bins(outcomes: PeakOutcomes) -> list[ConfidenceBin]:
    """Return the tenths of the range of confidences that have R peaks, from the lowest."""
    tenth = np.minimum((outcomes.values * _BINS).astype(np.int64), _BINS - 1)
    bins = []
    for number in range(_BINS):
        inside = tenth == number
        if inside.any():
            confidence, correct = outcomes.values[inside].mean(dtype=np.float64), outcomes.correct[inside].mean()
            bins.append(ConfidenceBin(float(confidence), float(correct), int(inside.sum())))
    return bins


def calibration_error(outcomes: PeakOutcomes) -> float | None:
    """Return the expected calibration error, see `Calibration`; ``None`` without R peaks."""
    bins = confidence_bins(outcomes)
    total = sum(item.r_peaks for item in bins)
    distances = [abs(item.confidence - item.correct) * item.r_peaks for item in bins]
    return sum(distances) / total if total else None


def summarize_confidences(outcomes: PeakOutcomes) -> ConfidenceSummary:
    """Summarize the confidences of R peaks."""
    sure = []
    for level in SURE_LEVELS:
        kept = outcomes.correct[outcomes.values >= level]
        right = int(outcomes.correct.sum())
        share, precision = kept.sum() / right if right else None, kept.mean() if len(kept) else None
        sure.append(SurePeaks(level, *(None if value is None else float(value) for value in (share, precision))))
    return ConfidenceSummary(confidence_bins(outcomes), calibration_error(outcomes), sure)


def fit_calibration(outcomes: PeakOutcomes) -> Calibration | None:
    """Fit a calibration to R peaks by maximum likelihood; ``None`` without any.

    One correct and one false R peak of every kind are added in the mean, so that records without a false R peak do not
    give a confidence of 1.

    References:
        Platt J. Probabilistic outputs for support vector machines. Advances in Large Margin Classifiers, 1999: the
        targets.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if not len(outcomes.values):
        return None
    low, high = log_features(outcomes.values)
    features = np.stack([low, high, np.ones_like(low)], axis=1)
    right, wrong = outcomes.correct.sum(), (~outcomes.correct).sum()
    target = np.where(outcomes.correct, (right + 1) / (right + 2), 1 / (wrong + 2))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = features @ weights
        return float(np.mean(np.logaddexp(0, odds) - target * odds)), features.T @ (expit(odds) - target) / len(odds)

    bounds = ((0, 1e3), (0, 1e3), (-1e3, 1e3))
    found = minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B")
    a, b, c = (float(value) for value in found.x)
    return Calibration(a, b, c, error=None, r_peaks=len(outcomes.values))


def calibrations_of_others(by_subject: Mapping[str, PeakOutcomes]) -> dict[str, Calibration | None]:
    """Fit a calibration for each subject to the R peaks of all other subjects; ``None`` without any."""
    return {
        subject: fit_calibration(PeakOutcomes.pooled([item for name, item in by_subject.items() if name != subject]))
        for subject in by_subject
    }


def cross_calibrated(by_subject: Mapping[str, OutcomesByNoise]) -> OutcomesByNoise:
    """Return the confidences of the R peaks of each subject, with a calibration from those of the others.

    Subjects are left out where no other has an R peak.
    """
    parts: dict[int | None, list[PeakOutcomes]] = {}
    for subject, calibration in calibrations_of_others(_pooled(by_subject)).items():
        if calibration is None:
            continue
        for level, found in by_subject[subject].items():
            parts.setdefault(level, []).append(replace(found, values=calibration.confidences(found.values)))
    return {level: PeakOutcomes.pooled(outcomes) for level, outcomes in parts.items()}


def calibrate(by_subject: Mapping[str, OutcomesByNoise]) -> Calibration | None:
    """Calibrate peak probabilities, and measure the calibration error over subjects.

    The error is the mean of those of the levels of noise: with all levels together, confidences that are too low in one
    and too high in another would cancel.

    Args:
        by_subject: R peaks at the threshold of the detector with their peak probabilities, of each subject.

    Returns:
        The calibration from all subjects and levels; ``None`` without R peaks.
    """
    calibration = fit_calibration(PeakOutcomes.pooled(list(_pooled(by_subject).values())))
    if calibration is None:
        return None
    errors = [calibration_error(found) for found in cross_calibrated(by_subject).values()]
    known = [error for error in errors if error is not None]
    return replace(calibration, error=float(np.mean(known)) if known else None)


def _pooled(by_subject: Mapping[str, OutcomesByNoise]) -> dict[str, PeakOutcomes]:
    return {subject: PeakOutcomes.pooled(list(levels.values())) for subject, levels in by_subject.items()}


def validation_outcomes(
    model: CachedModel, leads: Sequence[EvaluationLead], *, noise: NoiseSource | None, subjects: Mapping[str, str]
) -> dict[str, OutcomesByNoise]:
    """Return the R peaks of validation leads at the threshold of a detector, with their peak probabilities.

    Args:
        model: The detector.
        leads: Validation leads.
        noise: Recorded noise for validation; ``None`` uses the noise of the study alone.
        subjects: Record → its subject; a record that is missing is a subject of its own.

    Returns:
        R peaks of each subject and level.
    """
    parts: dict[str, dict[int | None, list[PeakOutcomes]]] = {}
    for lead in leads:
        levels = parts.setdefault(subjects.get(lead.record, lead.record), {})
        for level, signal in _inputs(lead, noise):
            found = model.candidates(signal).above(model.thresholds["r_peak"])
            levels.setdefault(level, []).append(peak_outcomes(lead, found))
    return {
        subject: {level: PeakOutcomes.pooled(outcomes) for level, outcomes in levels.items()}
        for subject, levels in parts.items()
    }


def _inputs(lead: EvaluationLead, noise: NoiseSource | None) -> Iterator[tuple[int | None, np.ndarray]]:
    yield None, lead.noisy
    if noise is None or not len(lead.r_peaks):  # the SNR needs the amplitude of the QRS complex
        return
    for snr in MOTION_LEVELS_DB:
        yield snr, add_electrode_motion(lead.clean, lead.r_peaks, source=noise, fs=lead.fs, snr_db=snr)
