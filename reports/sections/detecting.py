"""The detector on test records, beside the classical detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecg_data import Progress
from reports.measuring.classical import ClassicalDetectors, Found
from reports.measuring.detectors import DETECTOR_NAMES
from reports.measuring.leads import WholeLead, by_record
from reports.measuring.measures import pooled_f1
from reports.measuring.models import Applied, Detected
from reports.results import (
    CLEAN,
    DENOISED,
    GRU,
    NOISY,
    TOLERANCES_MS,
    DetectorSection,
    PeakTrace,
    RecordPeaks,
    SeedFigures,
)
from reports.sections.denoising import STRETCH, microvolts, seed_figures, stretch
from reports.sections.peaks import (
    Place,
    jitter_edges,
    measure_jitter,
    paired_gains,
    peaks_by_record,
    record_peaks,
    summarise_peaks,
)
from reports.sections.windows import summarise_windows, windows_by_record


@dataclass(frozen=True)
class CalibratedDetector:
    """A detector with its thresholds.

    Attributes:
        model: the network.
        thresholds: ``r_peak`` and ``window``, chosen on validation records.
    """

    model: Applied
    thresholds: dict[str, float]

    def r_peaks(self, signal: np.ndarray) -> Found:
        """R peaks in a lead in mV, shape ``(samples,)``."""
        return Found(self.model.detect(signal).r_peaks(self.thresholds["r_peak"]))


@dataclass(frozen=True)
class Inputs:
    """What the detectors are given: kind of input → one signal a lead, in mV."""

    leads: Sequence[WholeLead]
    signals: Mapping[str, Sequence[np.ndarray]]


def inputs_of(leads: Sequence[WholeLead], denoiser: Applied | None) -> Inputs:
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
        paired=paired_gains(leads, rows, seed),
        traces=_traces(leads, rows, found[GRU, NOISY]),
        seeds=_seeds(detectors, leads),
    )


def _traces(leads: Sequence[WholeLead], rows: Sequence[RecordPeaks], found: Sequence[Found]) -> list[PeakTrace]:
    ours = [row.whole[TOLERANCES_MS[0]] for row in rows if (row.detector, row.input) == (GRU, NOISY)]
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
                microvolts(lead.noisy[part]),
                within(lead.r_peaks, part),
                within(peaks, part),
                scores[place],
            )
        )
    return traces


def within(samples: np.ndarray, part: slice) -> list[int]:
    """Sample indices that lie in a stretch, counted from its start."""
    return [int(sample - part.start) for sample in samples if part.start <= sample < part.stop]


def _seeds(detectors: Sequence[CalibratedDetector], leads: Sequence[WholeLead]) -> list[SeedFigures]:
    figures: dict[str, list[float]] = {}
    for detector in detectors:
        said = [detector.model.detect(lead.noisy) for lead in leads]
        rows = [
            record_peaks(lead, GRU, NOISY, Found(item.r_peaks(detector.thresholds["r_peak"])))
            for lead, item in zip(leads, said, strict=True)
        ]
        for tolerance in (TOLERANCES_MS[0], TOLERANCES_MS[-1]):
            table = np.array([row.whole[tolerance] for row in rows])
            figures.setdefault(f"R peaks: F1 within {tolerance} ms", []).append(pooled_f1(table))
        threshold, window = detector.thresholds["window"], detector.model.window
        counted = [row.confusion.counts for row in windows_by_record(leads, {NOISY: said}, threshold, window)]
        table = np.array([(c.true_positives, c.false_negatives, c.false_positives) for c in counted])
        figures.setdefault("windows: F1", []).append(pooled_f1(by_record(leads, table)))
    return [seed_figures(name, values) for name, values in figures.items()]
