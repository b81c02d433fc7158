"""Headline metrics of one detector or denoiser on the records of one part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ecg_study.ecg_data.databases.splits import VALIDATION, Part
from ecg_study.ecg_data.noise import GAUSSIAN, MIX, NOISE_TYPES, NoiseType
from ecg_study.ecg_data.noise_records import NoiseRecords
from ecg_study.ecg_data.noise_stress import EC57_LEARNING_SECONDS, add_electrode_motion
from ecg_study.errors import InputError
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.calibration import PeakOutcomes, peak_outcomes, summarize_confidences
from ecg_study.evaluation.experiments.harm import measure_harm
from ecg_study.evaluation.experiments.noise_stress import published_leads
from ecg_study.evaluation.experiments.noise_types import LEVELS, NoiseCase, noisy_segments
from ecg_study.evaluation.experiments.pauses import count_false_peaks, insert_pauses
from ecg_study.evaluation.leads import EvaluationLead, match, rows_of
from ecg_study.evaluation.metrics import (
    Statistic,
    bootstrap,
    confusion,
    denoising,
    denoising_table,
    pooled_counts,
    pooled_f1,
)
from ecg_study.evaluation.morphology import FALSE_ST_MV, wave_changes
from ecg_study.evaluation.results.detection import ConfidenceSummary
from ecg_study.evaluation.results.harm import HarmSection
from ecg_study.evaluation.results.values import TOLERANCES_MS, Counts, Estimate

SIGMA_MV, SEED = 0.05, 1
"""Gaussian noise of the default study: standard deviation and seed."""

STRESS_LEVELS_DB = (12, 6, 0, -6)

Condition = Literal["recorded", "gaussian", "all leads", "aligned"]
"""Input of a detector: one lead as recorded, one lead with Gaussian noise, or all leads as recorded; ``"aligned"`` is
one lead as recorded, compared with marks that were moved to the R peaks."""

RECORDED: Condition = "recorded"
WITH_NOISE: Condition = "gaussian"
ALL_LEADS: Condition = "all leads"
ALIGNED: Condition = "aligned"


@dataclass(frozen=True)
class EvaluationRecords:
    """Records that a model is evaluated on.

    Attributes:
        part: ``test`` or ``validation``.
        leads: the lead of each record that studies use, with Gaussian noise.
        all_leads: every lead of each record as recorded, in mV, shape ``(samples, leads)``.
        noise: noise records; ``None`` leaves out metrics under recorded noise.
        published_stress: evaluate the published records of the noise stress test.
    """

    part: Part
    leads: list[EvaluationLead]
    all_leads: list[np.ndarray]
    noise: NoiseRecords | None
    published_stress: bool


@dataclass(frozen=True, kw_only=True)
class _Evaluation:
    """Metrics of a model on records.

    Attributes:
        model: name of the model.
        part: ``test`` or ``validation``.
        parameters: trainable weights.
        records: names of the records, in the order of the metrics by record.
        subjects: the subject of each record.
    """

    model: str
    part: str
    parameters: int
    records: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()

    def _interval(self, table: np.ndarray, statistic: Statistic, *, database: str = "") -> Estimate:
        rows = rows_of(self.records, database=database)
        subjects = np.array(self.subjects)[rows].tolist() if self.subjects else None
        return bootstrap(table[rows], statistic, seed=SEED, subjects=subjects)


@dataclass(frozen=True, kw_only=True)
class DetectorEvaluation(_Evaluation):
    """Metrics of a detector.

    Attributes:
        peak_counts: condition and tolerance in ms → counts ``(TP, FN, FP)`` of each record, shape ``(records, 3)``.
        window_counts: condition → the same for windows.
        pauses: number of pauses that were inserted into the records.
        false_peaks_in_pauses: condition → detections in these pauses.
        noise_stress: SNR in dB → counts of the noise stress test within 150 ms, without the first five minutes of each
            record; empty without noise records.
        confidence: confidences of the R peaks as recorded.
        confidence_in_noise: SNR in dB → the same in the noise stress test.
    """

    peak_counts: dict[tuple[Condition, int], np.ndarray]
    window_counts: dict[Condition, np.ndarray]
    pauses: int
    false_peaks_in_pauses: dict[Condition, int]
    noise_stress: dict[int, Counts]
    confidence: ConfidenceSummary
    confidence_in_noise: dict[int, ConfidenceSummary]

    def f1(self, *, tolerance_ms: int = 150, condition: Condition = RECORDED, database: str = "") -> Estimate:
        """Return F1 of R peaks, all beats pooled, with its 95 % interval over subjects.

        Args:
            tolerance_ms: 150, 75 or 50.
            condition: input of the detector.
            database: one of several databases (default: all records).
        """
        if (condition, tolerance_ms) not in self.peak_counts:
            known = dict.fromkeys(name for name, _ in self.peak_counts)
            raise InputError(
                f"f1: no result for tolerance_ms={tolerance_ms!r}, condition={condition!r}; choose tolerance_ms from "
                f"{_listed(TOLERANCES_MS)} and condition from {_listed(known)}"
            )
        return self._interval(self.peak_counts[condition, tolerance_ms], pooled_f1, database=database)

    def window_f1(self, *, condition: Condition = RECORDED) -> Estimate:
        """Return F1 of windows with and without an R peak, with its 95 % interval over subjects."""
        if condition not in self.window_counts:
            raise InputError(f"window_f1: no result for {condition!r}; choose from {_listed(self.window_counts)}")
        return self._interval(self.window_counts[condition], pooled_f1)


@dataclass(frozen=True, kw_only=True)
class DenoiserEvaluation(_Evaluation):
    """Metrics of a denoiser.

    Attributes:
        removes_baseline_wander: the reference is the recording without baseline wander.
        mae_by_record: mean absolute error in mV with Gaussian noise of 0.05 mV, shape ``(records,)``.
        rmse_by_record: root mean square error in mV, likewise.
        false_st: share of beats whose ST level moves by 0.1 mV or more.
        snr_improvement_by_record: type of noise and input SNR in dB → improvement in dB, shape ``(records,)``.
        harm: denoising without harm, with the mixture of recorded noise and without added noise; ``None`` if the
            denoiser keeps baseline wander.
    """

    removes_baseline_wander: bool
    mae_by_record: np.ndarray
    rmse_by_record: np.ndarray
    false_st: float
    snr_improvement_by_record: dict[tuple[str, int], np.ndarray]
    harm: HarmSection | None = None

    def mae(self, *, database: str = "") -> Estimate:
        """Return the mean absolute error in mV over records, or those of one database, with its 95 % interval."""
        return self._interval(self.mae_by_record, _mean, database=database)

    def rmse(self, *, database: str = "") -> Estimate:
        """Return the root mean square error in mV, as a mean over records with its 95 % interval; see `mae`."""
        return self._interval(self.rmse_by_record, _mean, database=database)

    def snr_improvement(self, *, noise: str, snr_db: int, database: str = "") -> Estimate:
        """Return the improvement of the signal-to-noise ratio in dB over records, with its 95 % interval.

        Args:
            noise: ``gaussian``, ``bw``, ``em``, ``ma`` or ``mix``.
            snr_db: SNR of the input: -6, 0, 6 or 12.
            database: one of several databases (default: all records).
        """
        if (noise, snr_db) not in self.snr_improvement_by_record:
            raise InputError(
                f"snr_improvement: no result for noise={noise!r}, snr_db={snr_db!r}; choose noise from "
                f"{_listed(dict.fromkeys(name for name, _ in self.snr_improvement_by_record))} and snr_db from "
                f"{_listed(LEVELS)}"
            )
        return self._interval(self.snr_improvement_by_record[noise, snr_db], _mean, database=database)


def evaluate_detector(model: CachedModel, records: EvaluationRecords, *, name: str) -> DetectorEvaluation:
    """Measure a detector at its own thresholds.

    Args:
        model: the detector.
        records: the records.
        name: name of the model in the result.
    """
    peak_counts, window_counts = {}, {}
    for condition in (RECORDED, WITH_NOISE):
        signals = [lead.clean if condition == RECORDED else lead.noisy for lead in records.leads]
        for tolerance in TOLERANCES_MS:
            peak_counts[condition, tolerance] = _peak_counts(
                records.leads, [model.detect(signal).samples for signal in signals], tolerance
            )
        window_counts[condition] = np.array(
            [_window_counts(model, lead, signal) for lead, signal in zip(records.leads, signals, strict=True)]
        )
    together = [model.detect_in_leads(signals).samples for signals in records.all_leads]
    for tolerance in TOLERANCES_MS:
        peak_counts[ALL_LEADS, tolerance] = _peak_counts(records.leads, together, tolerance)
    aligned = [replace(lead, r_peaks=_aligned(lead)) for lead in records.leads]
    if any(lead.aligned_r_peaks is not None for lead in records.leads):
        found = [model.detect(lead.clean).samples for lead in records.leads]
        peak_counts |= {(ALIGNED, tolerance): _peak_counts(aligned, found, tolerance) for tolerance in TOLERANCES_MS}
    pauses, false_peaks = _false_peaks_in_pauses(model, aligned)
    stress, confidence_in_noise = _noise_stress(model, records)
    return DetectorEvaluation(
        model=name,
        part=records.part,
        parameters=model.card.parameters,
        peak_counts=peak_counts,
        window_counts=window_counts,
        pauses=pauses,
        false_peaks_in_pauses=false_peaks,
        noise_stress=stress,
        confidence=summarize_confidences(
            PeakOutcomes.pooled([peak_outcomes(lead, model.detect(lead.clean)) for lead in records.leads])
        ),
        confidence_in_noise=confidence_in_noise,
        records=tuple(lead.record for lead in records.leads),
        subjects=tuple(lead.person for lead in records.leads),
    )


def evaluate_denoiser(model: CachedModel, records: EvaluationRecords, *, name: str) -> DenoiserEvaluation:
    """Measure a denoiser.

    Args:
        model: the denoiser.
        records: the records.
        name: name of the model in the result.
    """
    errors, st_changes = [], []
    for lead in records.leads:
        reference, denoised = model.reference(lead.clean), model.denoise(lead.noisy)
        found = denoising(reference, denoised, noisy=lead.noisy, fs=lead.fs)
        errors.append((found.mae, found.rmse))
        changed = wave_changes(
            reference, {name: denoised}, r_peaks=lead.r_peaks, fs=lead.fs, excluded_intervals=lead.excluded_intervals
        )
        st_changes += [waves.st_level for waves in changed.values()]
    mae, rmse = np.array(errors).T
    harm = None
    if model.removes_baseline_wander:
        harm = measure_harm(model, records.leads, noise=records.noise, part=records.part, noise_types=(MIX,), seed=SEED)
    return DenoiserEvaluation(
        model=name,
        part=records.part,
        parameters=model.card.parameters,
        removes_baseline_wander=model.removes_baseline_wander,
        mae_by_record=mae,
        rmse_by_record=rmse,
        false_st=float(np.mean(np.abs(np.concatenate(st_changes)) >= FALSE_ST_MV)),
        snr_improvement_by_record=dict(_snr_improvements(model, records)),
        records=tuple(lead.record for lead in records.leads),
        subjects=tuple(lead.person for lead in records.leads),
        harm=harm,
    )


def _aligned(lead: EvaluationLead) -> np.ndarray:
    return lead.r_peaks if lead.aligned_r_peaks is None else lead.aligned_r_peaks


def _peak_counts(leads: Sequence[EvaluationLead], found: Sequence[np.ndarray], tolerance_ms: int) -> np.ndarray:
    return np.array(
        [match(lead, peaks, tolerance_ms=tolerance_ms).table for lead, peaks in zip(leads, found, strict=True)]
    )


def _window_counts(model: CachedModel, lead: EvaluationLead, signal: np.ndarray) -> tuple[int, int, int]:
    labels, scored = lead.window_labels(model.card.window_samples)
    predicted = model.window_scores(signal)[scored] >= model.thresholds["window"]
    counted = confusion(labels[scored], predicted).counts
    return counted.true_positives, counted.false_negatives, counted.false_positives


def _false_peaks_in_pauses(model: CachedModel, leads: Sequence[EvaluationLead]) -> tuple[int, dict[Condition, int]]:
    """Count detections in pauses that are inserted into the records, and these pauses."""
    count, false = 0, {RECORDED: 0, WITH_NOISE: 0}
    for lead in leads:
        longer, pauses = insert_pauses(lead, sigma_mv=SIGMA_MV, seed=SEED)
        count += len(pauses)
        false[RECORDED] += count_false_peaks(model.detect(longer.clean).samples, pauses)
        false[WITH_NOISE] += count_false_peaks(model.detect(longer.noisy).samples, pauses)
    return count, false


def _noise_stress(
    model: CachedModel, records: EvaluationRecords
) -> tuple[dict[int, Counts], dict[int, ConfidenceSummary]]:
    """Return the counts of each level, and the confidences."""
    counts, confidences = {}, {}
    for snr in STRESS_LEVELS_DB:
        rows, outcomes = [], []
        for lead, signal in _stressed(records, snr):
            found = model.detect(signal)
            skipped = {"skip_seconds": EC57_LEARNING_SECONDS}
            rows.append(match(lead, found.samples, tolerance_ms=TOLERANCES_MS[0], **skipped).table)
            outcomes.append(peak_outcomes(lead, found, **skipped))
        if rows:
            counts[snr] = pooled_counts(np.array(rows))
            confidences[snr] = summarize_confidences(PeakOutcomes.pooled(outcomes))
    return counts, confidences


def _stressed(records: EvaluationRecords, snr: int) -> Iterator[tuple[EvaluationLead, np.ndarray]]:
    """Yield leads with electrode motion artifacts.

    Test models on the published records. For validation, the noise for validation is repeated over each record.
    """
    if records.noise is None:
        return
    if records.published_stress:
        for lead in published_leads(records.noise, snr):
            yield lead, lead.noisy
    if records.part == VALIDATION:
        for lead in records.leads:
            source = records.noise.source(VALIDATION, fs=lead.fs)
            yield lead, add_electrode_motion(lead.clean, lead.r_peaks, source=source, fs=lead.fs, snr_db=snr)


def _snr_improvements(model: CachedModel, records: EvaluationRecords) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
    types: tuple[NoiseType, ...] = NOISE_TYPES if records.noise is not None else (GAUSSIAN,)
    for noise_type in types:
        for snr in LEVELS:
            values = []
            for lead in records.leads:
                case = NoiseCase(records.noise, records.part, noise_type, snr, SEED)
                clean, noisy = noisy_segments(lead, case, segment=model.card.segment_samples)
                table = denoising_table(clean, model.denoise_segments(noisy), noisy=noisy, fs=lead.fs)
                values.append(np.mean(table["snr_improvement"]))
            yield (noise_type, snr), np.array(values)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


def _listed(values: Iterable[object]) -> str:
    return ", ".join(repr(value) for value in values)
