"""R peaks on test records: our detector and the classical ones, on the same leads, with the same matcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.ecg_data.noise_stress import EC57_LEARNING_SECONDS
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES, BaselinePeaks
from ecg_study.evaluation.baselines.runner import ClassicalDetectors
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.calibration import PeakOutcomes, peak_outcomes, summarize_confidences
from ecg_study.evaluation.experiments.denoising import (
    TRACE_SECONDS,
    excerpt_around,
    round_to_microvolts,
    seed_metrics,
)
from ecg_study.evaluation.experiments.windows import summarize_windows, windows_by_record
from ecg_study.evaluation.leads import EvaluationLead, by_record, match, subjects_by_record
from ecg_study.evaluation.metrics import bootstrap, counts, paired_difference, pooled_counts, pooled_f1
from ecg_study.evaluation.results.detection import DetectorSection, Jitter, PeaksSummary, PeakTrace, RecordPeaks
from ecg_study.evaluation.results.values import (
    CLEAN,
    DENOISED,
    GRU,
    NOISY,
    TOLERANCES_MS,
    Comparison,
    Estimate,
    SeedMetrics,
    peak_f1_metric,
)
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.progress import Progress

DetectorInput = tuple[str, str]
"""Name of a detector, and its input: noisy, denoised or clean."""

Detections = Mapping[DetectorInput, Sequence[RPeaks]]
"""Detector and input → R peaks of each lead."""


@dataclass(frozen=True)
class EvaluationInputs:
    """Test signals for detectors: input → one signal per lead, in mV."""

    leads: Sequence[EvaluationLead]
    signals: Mapping[str, Sequence[np.ndarray]]


def peaks_by_record(leads: Sequence[EvaluationLead], found: Detections) -> list[RecordPeaks]:
    """Count the detections of every detector and input on every lead, within each tolerance."""
    return [
        record_peaks(lead, results[place], detector_input=detector_input)
        for place, lead in enumerate(leads)
        for detector_input, results in found.items()
    ]


def record_peaks(lead: EvaluationLead, found: RPeaks, *, detector_input: DetectorInput) -> RecordPeaks:
    """Count the detections of one detector on one lead, within each tolerance."""
    whole, after_learning = {}, {}
    offset = None
    for tolerance in TOLERANCES_MS:
        matches = match(lead, found.samples, tolerance_ms=tolerance)
        whole[tolerance] = matches.table
        after_learning[tolerance] = match(
            lead, found.samples, tolerance_ms=tolerance, skip_seconds=EC57_LEARNING_SECONDS
        ).table
        if tolerance == TOLERANCES_MS[0] and len(matches.offsets):
            offset = 1000 * float(np.median(matches.offsets)) / lead.fs
    error = found.error if isinstance(found, BaselinePeaks) else ""
    return RecordPeaks(lead.record, lead.lead, *detector_input, whole, after_learning, offset, error)


def summarize_peaks(leads: Sequence[EvaluationLead], rows: Sequence[RecordPeaks], *, seed: int) -> list[PeaksSummary]:
    """Pool all records, for each detector, input and tolerance, with and without the first five minutes.

    A record of at most five minutes does not contribute to the metrics without them. If no record is longer, these
    metrics are left out.
    """
    long = any(len(lead.clean) > EC57_LEARNING_SECONDS * lead.fs for lead in leads)
    summaries = []
    for detector_input in dict.fromkeys((row.detector, row.input) for row in rows):
        for after_learning in (False, True) if long else (False,):
            for tolerance in TOLERANCES_MS:
                table = peak_table(
                    leads, rows, detector_input=detector_input, tolerance=tolerance, after_learning=after_learning
                )
                f1 = bootstrap(table, pooled_f1, seed=seed, subjects=subjects_by_record(leads).values())
                summaries.append(_summary(detector_input, tolerance, after_learning, table, f1))
    return summaries


def _summary(
    detector_input: DetectorInput, tolerance: int, after_learning: bool, table: np.ndarray, f1: Estimate
) -> PeaksSummary:
    each = [counts([int(n) for n in row]) for row in table if row.sum()]
    return PeaksSummary(
        detector=detector_input[0],
        input=detector_input[1],
        tolerance_ms=tolerance,
        after_learning=after_learning,
        counts=pooled_counts(table),
        f1=f1,
        mean_sensitivity=float(np.mean([item.sensitivity for item in each])),
        mean_precision=float(np.mean([item.precision for item in each])),
        mean_f1=float(np.mean([item.f1 for item in each])),
    )


def peak_table(
    leads: Sequence[EvaluationLead],
    rows: Sequence[RecordPeaks],
    *,
    detector_input: DetectorInput,
    tolerance: int,
    after_learning: bool = False,
) -> np.ndarray:
    """Return the counts ``(TP, FN, FP)`` of each record, shape ``(records, 3)``."""
    chosen = [row for row in rows if (row.detector, row.input) == detector_input]
    counted = [(row.counts_after_learning if after_learning else row.counts)[tolerance] for row in chosen]
    return by_record(leads, np.array(counted, dtype=np.int64))


def jitter_edges(fs: float) -> list[float]:
    """Return the edges in ms of bins of one sample, up to the widest tolerance on both sides."""
    reach = tolerance_samples(TOLERANCES_MS[0], fs=fs)
    return [round(1000 * (offset - 0.5) / fs, 3) for offset in range(-reach, reach + 2)]


def measure_jitter(leads: Sequence[EvaluationLead], found: Detections) -> list[Jitter]:
    """Measure the offsets of detections from their annotations, on noisy input, all records together."""
    results = []
    for (detector, input_name), peaks in found.items():
        if input_name != NOISY:
            continue
        matched = [
            match(lead, item.samples, tolerance_ms=TOLERANCES_MS[0]) for lead, item in zip(leads, peaks, strict=True)
        ]
        offsets = np.concatenate([item.offsets for item in matched]) * 1000 / leads[0].fs
        histogram, _ = np.histogram(offsets, jitter_edges(leads[0].fs))
        median = spread = None
        if len(offsets):
            low, middle, high = np.quantile(offsets, [0.25, 0.5, 0.75])
            median, spread = float(middle), float(high - low) / 2
        results.append(Jitter(detector, [int(n) for n in histogram], median, spread))
    return results


def paired_comparisons(leads: Sequence[EvaluationLead], rows: Sequence[RecordPeaks], *, seed: int) -> list[Comparison]:
    """Compare our detector with each other one on noisy input, at each tolerance."""
    others = [name for name in dict.fromkeys(row.detector for row in rows) if name != GRU]
    return [
        paired_difference(
            peak_f1_metric(tolerance),
            model=(GRU, peak_table(leads, rows, detector_input=(GRU, NOISY), tolerance=tolerance)),
            reference=(other, peak_table(leads, rows, detector_input=(other, NOISY), tolerance=tolerance)),
            statistic=pooled_f1,
            seed=seed,
            subjects=subjects_by_record(leads).values(),
        )
        for other in others
        for tolerance in TOLERANCES_MS
    ]


def evaluation_inputs(leads: Sequence[EvaluationLead], denoiser: CachedModel | None) -> EvaluationInputs:
    """Return the noisy leads, the denoised leads if there is a denoiser, and the clean leads."""
    signals: dict[str, Sequence[np.ndarray]] = {NOISY: [lead.noisy for lead in leads]}
    if denoiser is not None:
        signals[DENOISED] = [denoiser.denoise(lead.noisy) for lead in leads]
    signals[CLEAN] = [lead.clean for lead in leads]
    return EvaluationInputs(leads, signals)


def detect_everywhere(
    detector: CachedModel, classical: ClassicalDetectors, *, inputs: EvaluationInputs, progress: Progress
) -> dict[DetectorInput, list[RPeaks]]:
    """Apply every detector to every input."""
    found: dict[DetectorInput, list[RPeaks]] = {}
    total = len(inputs.signals) * len(inputs.leads)
    for number, (name, signals) in enumerate(inputs.signals.items()):
        found[GRU, name] = []
        for place, signal in enumerate(signals):
            progress("Detector, test leads", number * len(signals) + place, total)
            found[GRU, name].append(detector.detect(signal))
    progress("Detector, test leads", total, total)
    jobs = {
        f"{name} {place}": signal for name, signals in inputs.signals.items() for place, signal in enumerate(signals)
    }
    results = classical.detect(jobs, DETECTOR_NAMES, fs=inputs.leads[0].fs, label="Classical detectors, leads")
    for classical_name in DETECTOR_NAMES:
        for name, signals in inputs.signals.items():
            found[classical_name, name] = [results[f"{name} {place}"][classical_name] for place in range(len(signals))]
    return found


def detector_section(
    detectors: Sequence[CachedModel],
    classical: ClassicalDetectors,
    *,
    inputs: EvaluationInputs,
    seed: int,
    progress: Progress,
) -> DetectorSection:
    """Evaluate the detector on test records.

    Args:
        detectors: the detector of each seed; the first is the final model.
        classical: the classical detectors.
        inputs: the test signals.
        seed: seed of the bootstrap.
        progress: callback for the leads that are done.
    """
    leads, first = inputs.leads, detectors[0]
    found = detect_everywhere(first, classical, inputs=inputs, progress=progress)
    scores = {name: [first.window_scores(signal) for signal in signals] for name, signals in inputs.signals.items()}
    window = first.card.window_samples
    windows = windows_by_record(leads, scores, threshold=first.thresholds["window"], window=window)
    rows = peaks_by_record(leads, found)
    return DetectorSection(
        windows=summarize_windows(leads, scores, rows=windows, window=window, seed=seed),
        windows_by_record=windows,
        peaks=summarize_peaks(leads, rows, seed=seed),
        peaks_by_record=rows,
        jitter_edges_ms=jitter_edges(leads[0].fs),
        jitter=measure_jitter(leads, found),
        paired=paired_comparisons(leads, rows, seed=seed),
        traces=_traces(leads, rows, found[GRU, NOISY]),
        seeds=_seeds(detectors, leads),
        confidences={
            name: summarize_confidences(PeakOutcomes.pooled([*map(peak_outcomes, leads, found[GRU, name])]))
            for name in inputs.signals
        },
    )


def _traces(leads: Sequence[EvaluationLead], rows: Sequence[RecordPeaks], found: Sequence[RPeaks]) -> list[PeakTrace]:
    ours = [row.counts[TOLERANCES_MS[0]] for row in rows if (row.detector, row.input) == (GRU, NOISY)]
    scores = [pooled_f1(np.array([row])) for row in ours]
    order = np.argsort(scores, kind="stable")
    chosen = {"median": int(order[len(order) // 2]), "worst": int(order[0])}
    traces = []
    for rank, place in chosen.items():
        lead = leads[place]
        part = excerpt_around(len(lead.clean) // 2, samples=len(lead.clean), seconds=TRACE_SECONDS, fs=lead.fs)
        traces.append(
            PeakTrace(
                rank,
                lead.record,
                lead.lead,
                part.start / lead.fs,
                round_to_microvolts(lead.noisy[part]),
                samples_within(lead.r_peaks, part),
                samples_within(found[place].samples, part),
                scores[place],
            )
        )
    return traces


def samples_within(samples: np.ndarray, part: slice) -> list[int]:
    """Return the sample indices that lie in an excerpt, relative to its start."""
    return [int(sample - part.start) for sample in samples if part.start <= sample < part.stop]


def _seeds(detectors: Sequence[CachedModel], leads: Sequence[EvaluationLead]) -> list[SeedMetrics]:
    metrics: dict[str, list[float]] = {}
    for detector in detectors:
        rows = [record_peaks(lead, detector.detect(lead.noisy), detector_input=(GRU, NOISY)) for lead in leads]
        for tolerance in (TOLERANCES_MS[0], TOLERANCES_MS[-1]):
            table = np.array([row.counts[tolerance] for row in rows])
            metrics.setdefault(peak_f1_metric(tolerance), []).append(pooled_f1(table))
        windows = windows_by_record(
            leads,
            {NOISY: [detector.window_scores(lead.noisy) for lead in leads]},
            threshold=detector.thresholds["window"],
            window=detector.card.window_samples,
        )
        counted = [row.confusion.counts for row in windows]
        table = np.array([(c.true_positives, c.false_negatives, c.false_positives) for c in counted])
        metrics.setdefault("windows: F1", []).append(pooled_f1(by_record(leads, table)))
    return [seed_metrics(name, values) for name, values in metrics.items()]
