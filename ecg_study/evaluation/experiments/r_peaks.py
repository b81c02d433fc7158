"""R peaks on test records: our detector and the classical ones, on the same leads, by the same matcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES
from ecg_study.evaluation.baselines.runner import ClassicalDetectors, Found
from ecg_study.evaluation.cached_models import CachedModel, Detected
from ecg_study.evaluation.experiments.denoising import STRETCH, round_to_microvolts, seed_figures, stretch
from ecg_study.evaluation.experiments.windows import summarise_windows, windows_by_record
from ecg_study.evaluation.leads import EvaluationLead, by_record
from ecg_study.evaluation.matching import Matches, match_r_peaks
from ecg_study.evaluation.metrics import bootstrap, counts, paired_difference, pooled_f1
from ecg_study.evaluation.results.detection import (
    DetectorSection,
    Jitter,
    PeaksSummary,
    PeakTrace,
    RecordPeaks,
)
from ecg_study.evaluation.results.values import (
    CLEAN,
    DENOISED,
    GRU,
    NOISY,
    TOLERANCES_MS,
    Comparison,
    Counts,
    SeedMetrics,
    peak_f1_metric,
)
from ecg_study.progress import Progress

LEARNING = 300.0
"""Seconds at the start of a record that ANSI/AAMI EC57 leaves out, so that a detector may learn."""

Place = tuple[str, str]
"""Detector and kind of input."""


def peaks_by_record(leads: Sequence[EvaluationLead], found: Mapping[Place, Sequence[Found]]) -> list[RecordPeaks]:
    """Every detector and kind of input on every lead, within each tolerance."""
    return [
        record_peaks(lead, detector, kind, results[place])
        for place, lead in enumerate(leads)
        for (detector, kind), results in found.items()
    ]


def record_peaks(lead: EvaluationLead, detector: str, kind: str, found: Found) -> RecordPeaks:
    """One detector on one lead."""
    whole, later = {}, {}
    offset = None
    for tolerance in TOLERANCES_MS:
        matches = match(lead, found.r_peaks, tolerance)
        whole[tolerance] = matches.table
        later[tolerance] = match(lead, found.r_peaks, tolerance, skipped=LEARNING).table
        if tolerance == TOLERANCES_MS[0] and len(matches.offsets):
            offset = 1000 * float(np.median(matches.offsets)) / lead.fs
    return RecordPeaks(lead.record, lead.lead, detector, kind, whole, later, offset, found.error)


def match(lead: EvaluationLead, r_peaks: np.ndarray, tolerance_ms: int, skipped: float = 0.0) -> Matches:
    """Match detections with the annotations of a lead, leaving out so many seconds at its start."""
    excluded_intervals = (
        (*lead.excluded_intervals, (0, round(skipped * lead.fs))) if skipped else lead.excluded_intervals
    )
    return match_r_peaks(lead.r_peaks, r_peaks, round(tolerance_ms * lead.fs / 1000), excluded_intervals)


def summarise_peaks(leads: Sequence[EvaluationLead], rows: Sequence[RecordPeaks], seed: int) -> list[PeaksSummary]:
    """All records, for each detector, input and tolerance, with and without the first five minutes.

    A record that is no longer than these five minutes has no part in the figures without them; where none is
    longer, these figures are left out.
    """
    summaries = []
    long = any(len(lead.clean) > LEARNING * lead.fs for lead in leads)
    for detector, kind in dict.fromkeys((row.detector, row.input) for row in rows):
        for skipped in (False, True) if long else (False,):
            for tolerance in TOLERANCES_MS:
                table = peak_table(leads, rows, (detector, kind), tolerance, skipped)
                summaries.append(_summary((detector, kind), tolerance, skipped, table, seed))
    return summaries


def _summary(place: Place, tolerance: int, skipped: bool, table: np.ndarray, seed: int) -> PeaksSummary:
    each = [counts(*(int(n) for n in row)) for row in table if row.sum()]
    return PeaksSummary(
        detector=place[0],
        input=place[1],
        tolerance_ms=tolerance,
        after_learning=skipped,
        counts=added_up(table),
        f1=bootstrap(table, pooled_f1, seed),
        mean_sensitivity=float(np.mean([item.sensitivity for item in each])),
        mean_precision=float(np.mean([item.precision for item in each])),
        mean_f1=float(np.mean([item.f1 for item in each])),
    )


def added_up(table: np.ndarray) -> Counts:
    """Counts of all rows ``(TP, FN, FP)`` together."""
    return counts(*(int(n) for n in table.sum(axis=0)))


def peak_table(
    leads: Sequence[EvaluationLead], rows: Sequence[RecordPeaks], place: Place, tolerance: int, skipped: bool = False
) -> np.ndarray:
    """Counts ``(TP, FN, FP)``, one row a record."""
    chosen = [row for row in rows if (row.detector, row.input) == place]
    counted = [(row.counts_after_learning if skipped else row.counts)[tolerance] for row in chosen]
    return by_record(leads, np.array(counted, dtype=np.int64))


def jitter_edges(fs: float) -> list[float]:
    """Edges in ms of bins of one sample, out to the widest tolerance."""
    reach = round(TOLERANCES_MS[0] * fs / 1000)
    return [round(1000 * (offset - 0.5) / fs, 3) for offset in range(-reach, reach + 2)]


def measure_jitter(leads: Sequence[EvaluationLead], found: Mapping[Place, Sequence[Found]]) -> list[Jitter]:
    """How far detections lie from their annotation, noisy input, all records together."""
    results = []
    for (detector, kind), peaks in found.items():
        if kind != NOISY:
            continue
        matched = [match(lead, item.r_peaks, TOLERANCES_MS[0]) for lead, item in zip(leads, peaks, strict=True)]
        offsets = np.concatenate([item.offsets for item in matched]) * 1000 / leads[0].fs
        histogram, _ = np.histogram(offsets, jitter_edges(leads[0].fs))
        median = spread = None
        if len(offsets):
            low, middle, high = np.quantile(offsets, [0.25, 0.5, 0.75])
            median, spread = float(middle), float(high - low) / 2
        results.append(Jitter(detector, [int(n) for n in histogram], median, spread))
    return results


def paired_comparisons(leads: Sequence[EvaluationLead], rows: Sequence[RecordPeaks], seed: int) -> list[Comparison]:
    """Compare our detector with each other one on noisy input, at each tolerance."""
    others = [name for name in dict.fromkeys(row.detector for row in rows) if name != GRU]
    return [
        paired_difference(
            peak_f1_metric(tolerance),
            model=(GRU, peak_table(leads, rows, (GRU, NOISY), tolerance)),
            reference=(other, peak_table(leads, rows, (other, NOISY), tolerance)),
            statistic=pooled_f1,
            seed=seed,
        )
        for other in others
        for tolerance in TOLERANCES_MS
    ]


@dataclass(frozen=True)
class CalibratedDetector:
    """A detector with its thresholds.

    Attributes:
        model: the network.
        thresholds: ``r_peak`` and ``window``, chosen on validation records.
    """

    model: CachedModel
    thresholds: dict[str, float]

    def r_peaks(self, signal: np.ndarray) -> Found:
        """R peaks in a lead in mV, shape ``(samples,)``."""
        return Found(self.model.detect(signal).r_peaks(self.thresholds["r_peak"]))


@dataclass(frozen=True)
class Inputs:
    """What the detectors are given: kind of input → one signal a lead, in mV."""

    leads: Sequence[EvaluationLead]
    signals: Mapping[str, Sequence[np.ndarray]]


def inputs_of(leads: Sequence[EvaluationLead], denoiser: CachedModel | None) -> Inputs:
    """The noisy leads, the same behind our denoiser where there is one, and the clean ones."""
    signals: dict[str, Sequence[np.ndarray]] = {NOISY: [lead.noisy for lead in leads]}
    if denoiser is not None:
        signals[DENOISED] = [denoiser.denoise(lead.noisy) for lead in leads]
    signals[CLEAN] = [lead.clean for lead in leads]
    return Inputs(leads, signals)


def find_everywhere(
    detector: CalibratedDetector, classical: ClassicalDetectors, inputs: Inputs, progress: Progress
) -> tuple[dict[str, list[Detected]], dict[Place, list[Found]]]:
    """What every detector finds in every input.

    Returns:
        Kind of input → what ours says of each lead; and detector and kind → R peaks of each lead.
    """
    detected: dict[str, list[Detected]] = {}
    found: dict[Place, list[Found]] = {}
    total = len(inputs.signals) * len(inputs.leads)
    for number, (kind, signals) in enumerate(inputs.signals.items()):
        detected[kind] = []
        for place, signal in enumerate(signals):
            progress("Detector, test leads", number * len(signals) + place, total)
            detected[kind].append(detector.model.detect(signal))
        threshold = detector.thresholds["r_peak"]
        found[GRU, kind] = [Found(item.r_peaks(threshold)) for item in detected[kind]]
    progress("Detector, test leads", total, total)
    jobs = {
        f"{kind} {place}": signal for kind, signals in inputs.signals.items() for place, signal in enumerate(signals)
    }
    results = classical.find("Classical detectors, leads", jobs, inputs.leads[0].fs, DETECTOR_NAMES)
    for name in DETECTOR_NAMES:
        for kind, signals in inputs.signals.items():
            found[name, kind] = [results[f"{kind} {place}"][name] for place in range(len(signals))]
    return detected, found


def detector_section(
    detectors: Sequence[CalibratedDetector],
    classical: ClassicalDetectors,
    inputs: Inputs,
    seed: int,
    progress: Progress,
) -> DetectorSection:
    """Measure the detector on test records.

    Args:
        detectors: that of each seed; the first is the one handed over.
        classical: the others.
        inputs: what they are given.
        seed: of the bootstrap.
        progress: told the leads done.
    """
    leads, first = inputs.leads, detectors[0]
    detected, found = find_everywhere(first, classical, inputs, progress)
    window = first.model.window
    windows = windows_by_record(leads, detected, first.thresholds["window"], window)
    rows = peaks_by_record(leads, found)
    return DetectorSection(
        windows=summarise_windows(leads, detected, windows, window, seed),
        windows_by_record=windows,
        peaks=summarise_peaks(leads, rows, seed),
        peaks_by_record=rows,
        jitter_edges_ms=jitter_edges(leads[0].fs),
        jitter=measure_jitter(leads, found),
        paired=paired_comparisons(leads, rows, seed),
        traces=_traces(leads, rows, found[GRU, NOISY]),
        seeds=_seeds(detectors, leads),
    )


def _traces(leads: Sequence[EvaluationLead], rows: Sequence[RecordPeaks], found: Sequence[Found]) -> list[PeakTrace]:
    ours = [row.counts[TOLERANCES_MS[0]] for row in rows if (row.detector, row.input) == (GRU, NOISY)]
    scores = [pooled_f1(np.array([row])) for row in ours]
    order = np.argsort(scores, kind="stable")
    chosen = {"median": int(order[len(order) // 2]), "worst": int(order[0])}
    traces = []
    for rank, place in chosen.items():
        lead, peaks = leads[place], found[place].r_peaks
        part = stretch(len(lead.clean) // 2, STRETCH, lead.fs, len(lead.clean))
        traces.append(
            PeakTrace(
                rank,
                lead.record,
                lead.lead,
                part.start / lead.fs,
                round_to_microvolts(lead.noisy[part]),
                within(lead.r_peaks, part),
                within(peaks, part),
                scores[place],
            )
        )
    return traces


def within(samples: np.ndarray, part: slice) -> list[int]:
    """Sample indices that lie in a stretch, counted from its start."""
    return [int(sample - part.start) for sample in samples if part.start <= sample < part.stop]


def _seeds(detectors: Sequence[CalibratedDetector], leads: Sequence[EvaluationLead]) -> list[SeedMetrics]:
    figures: dict[str, list[float]] = {}
    for detector in detectors:
        said = [detector.model.detect(lead.noisy) for lead in leads]
        rows = [
            record_peaks(lead, GRU, NOISY, Found(item.r_peaks(detector.thresholds["r_peak"])))
            for lead, item in zip(leads, said, strict=True)
        ]
        for tolerance in (TOLERANCES_MS[0], TOLERANCES_MS[-1]):
            table = np.array([row.counts[tolerance] for row in rows])
            figures.setdefault(peak_f1_metric(tolerance), []).append(pooled_f1(table))
        threshold, window = detector.thresholds["window"], detector.model.window
        counted = [row.confusion.counts for row in windows_by_record(leads, {NOISY: said}, threshold, window)]
        table = np.array([(c.true_positives, c.false_negatives, c.false_positives) for c in counted])
        figures.setdefault("windows: F1", []).append(pooled_f1(by_record(leads, table)))
    return [seed_figures(name, values) for name, values in figures.items()]
