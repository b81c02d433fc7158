"""What is said of the detector: windows, R peaks, noise stress, failures."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.evaluation.results.values import Comparison, Confusion, Counts, Estimate, SeedMetrics


@dataclass(frozen=True)
class RecordWindows:
    """The windows of one lead of one record with one kind of input."""

    record: str
    lead: str
    input: str
    confusion: Confusion


@dataclass(frozen=True)
class CalibrationBin:
    """Windows whose score lies in one tenth of the range.

    Attributes:
        score: their mean score.
        observed: share of them that hold an R peak.
        windows: how many they are.
    """

    score: float
    observed: float
    windows: int


@dataclass(frozen=True)
class WindowsSummary:
    """The windows of all test records with one kind of input.

    Attributes:
        input: noisy, denoised or clean.
        confusion: at the threshold chosen on validation records.
        f1: with its interval.
        roc: points (false positive rate, true positive rate), thinned for drawing.
        roc_area: area under the full curve; ``None`` where all windows are alike.
        precision_recall: points (recall, precision), thinned.
        average_precision: area under the full curve, by steps.
        calibration: the scores against what was there.
        brier: mean squared difference of score and label.
    """

    input: str
    confusion: Confusion
    f1: Estimate
    roc: list[tuple[float, float]]
    roc_area: float | None
    precision_recall: list[tuple[float, float]]
    average_precision: float
    calibration: list[CalibrationBin]
    brier: float


@dataclass(frozen=True)
class RecordPeaks:
    """One detector on one lead of one record with one kind of input.

    Attributes:
        record: its name.
        lead: its lead.
        detector: its name.
        input: noisy, denoised or clean.
        counts: tolerance in ms → (true positives, false negatives, false positives) of the whole record.
        counts_after_learning: the same without its first five minutes.
        median_offset_ms: of the matched detections from their annotation; ``None`` where none matched.
        error: what the detector said where it gave up and so found nothing; empty where it did not.
    """

    record: str
    lead: str
    detector: str
    input: str
    counts: dict[int, tuple[int, int, int]]
    counts_after_learning: dict[int, tuple[int, int, int]]
    median_offset_ms: float | None
    error: str

    def f1(self, tolerance_ms: int) -> float:
        """Return F1 of the whole record within a tolerance in ms; 0 without a true positive."""
        true_positives, false_negatives, false_positives = self.counts[tolerance_ms]
        errors = false_negatives + false_positives
        return 2 * true_positives / (2 * true_positives + errors) if true_positives else 0.0


@dataclass(frozen=True)
class PeaksSummary:
    """One detector over all test records.

    Attributes:
        detector: its name.
        input: noisy, denoised or clean.
        tolerance_ms: within which a detection counts.
        after_learning: the first five minutes of each record are left out, as in ANSI/AAMI EC57.
        counts: added up over records (gross).
        f1: gross, with its interval.
        mean_sensitivity: mean over records (average).
        mean_precision: mean over records.
        mean_f1: mean over records.
    """

    detector: str
    input: str
    tolerance_ms: int
    after_learning: bool
    counts: Counts
    f1: Estimate
    mean_sensitivity: float
    mean_precision: float
    mean_f1: float


@dataclass(frozen=True)
class Jitter:
    """How far the matched detections of one detector lie from their annotation, noisy input, within 150 ms.

    Attributes:
        detector: its name.
        counts: detections by offset, in the bins of the section.
        median: in ms, positive for late.
        spread: half the distance of the quartiles, in ms.
    """

    detector: str
    counts: list[int]
    median: float | None
    spread: float | None


@dataclass(frozen=True)
class PeakTrace:
    """A stretch with annotated and detected R peaks.

    Attributes:
        rank: why it is shown.
        record: its name.
        lead: its lead.
        start: seconds from the start of the record.
        noisy: what the detector was given, in mV.
        annotated: R peaks, samples from the start of the stretch.
        detected: likewise.
        f1: of the whole lead within 150 ms.
    """

    rank: str
    record: str
    lead: str
    start: float
    noisy: list[float]
    annotated: list[int]
    detected: list[int]
    f1: float


@dataclass(frozen=True)
class DetectorSection:
    """The detector on test records.

    Attributes:
        windows: by kind of input.
        windows_by_record: the same by record.
        peaks: every detector, input and tolerance, with and without the first five minutes.
        peaks_by_record: the same by record.
        jitter_edges_ms: edges of the bins of the jitter.
        jitter: of each detector.
        paired: our detector against each other detector on noisy input, at each tolerance.
        traces: median and worst record.
        seeds: headline figures by seed.
    """

    windows: list[WindowsSummary]
    windows_by_record: list[RecordWindows]
    peaks: list[PeaksSummary]
    peaks_by_record: list[RecordPeaks]
    jitter_edges_ms: list[float]
    jitter: list[Jitter]
    paired: list[Comparison]
    traces: list[PeakTrace]
    seeds: list[SeedMetrics]


@dataclass(frozen=True)
class StressRow:
    """One detector in one noise stress test at one level, within 150 ms, without the first five minutes.

    Attributes:
        test: which test.
        snr: in dB.
        detector: its name.
        denoised: whether our denoiser went before it.
        counts: pooled over records.
        f1: pooled F1 with its interval; ``None`` with too few records for an interval.
    """

    test: str
    snr: int
    detector: str
    denoised: bool
    counts: Counts
    f1: Estimate | None


@dataclass(frozen=True)
class StressSection:
    """Detectors under electrode motion noise.

    Attributes:
        rows: every test, level and detector, alone and behind our denoiser.
        note: reasons why tests were not run; empty if all were.
    """

    rows: list[StressRow]
    note: str


@dataclass(frozen=True)
class Failure:
    """One of the worst stretches of the detector, noisy input.

    Attributes:
        record: its name.
        lead: its lead.
        start: seconds from the start of the record.
        false_negatives: beats without a detection within 150 ms.
        false_positives: detections without a beat.
        reasons: what can be told of why; empty where nothing can.
        noisy: what the detector was given, in mV.
        annotated: R peaks, samples from the start of the stretch.
        symbols: beat type of each, as annotated.
        detected: samples from the start of the stretch.
    """

    record: str
    lead: str
    start: float
    false_negatives: int
    false_positives: int
    reasons: list[str]
    noisy: list[float]
    annotated: list[int]
    symbols: str
    detected: list[int]
