"""Results of detectors: windows, R peaks, noise stress test, failures."""

from __future__ import annotations

from dataclasses import dataclass, field

from ecg_study.evaluation.results.values import Comparison, Confusion, Counts, Estimate, SeedMetrics


@dataclass(frozen=True)
class RecordWindows:
    """Windows of one lead of one record with one input."""

    record: str
    lead: str
    input: str
    confusion: Confusion


@dataclass(frozen=True)
class CalibrationBin:
    """Windows whose score lies in one tenth of the range.

    Attributes:
        score: mean score.
        observed: share of windows that hold an R peak.
        windows: number of windows.
    """

    score: float
    observed: float
    windows: int


@dataclass(frozen=True)
class ConfidenceBin:
    """R peaks whose confidence lies in one tenth of the range.

    Attributes:
        confidence: mean confidence.
        correct: share of correct R peaks.
        r_peaks: number of R peaks.
    """

    confidence: float
    correct: float
    r_peaks: int


@dataclass(frozen=True)
class SurePeaks:
    """R peaks of at least some confidence.

    Attributes:
        confidence: lowest confidence.
        share: share of the correct R peaks that have it; ``None`` without correct ones.
        precision: share of correct ones of them; ``None`` without any.
    """

    confidence: float
    share: float | None
    precision: float | None


@dataclass(frozen=True)
class ConfidenceSummary:
    """Confidences of the R peaks of all records with one input.

    Attributes:
        bins: R peaks by confidence.
        error: mean distance of confidence and share of correct R peaks of the bins, each weighted with its R peaks;
            ``None`` without R peaks.
        sure: R peaks of high confidence.
    """

    bins: list[ConfidenceBin]
    error: float | None
    sure: list[SurePeaks]


@dataclass(frozen=True)
class WindowsSummary:
    """Windows of all test records with one input.

    Attributes:
        input: noisy, denoised or clean.
        confusion: confusion matrix at the threshold chosen on validation records.
        f1: F1 with its interval.
        roc: points (false positive rate, true positive rate), thinned for plots.
        roc_area: area under the full curve; ``None`` if all windows have the same label.
        precision_recall: points (recall, precision), thinned.
        average_precision: area under the full curve, by steps.
        calibration: scores against labels.
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
    """One detector on one lead of one record with one input.

    Attributes:
        record: name of the record.
        lead: name of the lead.
        detector: name of the detector.
        input: noisy, denoised or clean.
        counts: tolerance in ms → (true positives, false negatives, false positives) of the whole record.
        counts_after_learning: the same without the first five minutes.
        median_offset_ms: median offset of the matched detections from their annotations; ``None`` without any.
        error: error message of a detector that failed, and so found nothing; otherwise empty.
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
        detector: name of the detector.
        input: noisy, denoised or clean.
        tolerance_ms: largest distance of a detection from its annotation in ms.
        after_learning: the first five minutes of each record are left out, as in ANSI/AAMI EC57.
        counts: pooled over records (gross).
        f1: pooled F1 (gross) with its interval.
        mean_sensitivity: mean over records (average).
        mean_precision: mean over records (average).
        mean_f1: mean over records (average).
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
    """Offsets of the detections of one detector from their annotations, noisy input, within 150 ms.

    Attributes:
        detector: name of the detector.
        counts: detections by offset, in the bins of the section.
        median: median offset in ms, positive for late detections.
        spread: half the interquartile range in ms.
    """

    detector: str
    counts: list[int]
    median: float | None
    spread: float | None


@dataclass(frozen=True)
class PeakTrace:
    """An excerpt with annotated and detected R peaks.

    Attributes:
        rank: median or worst of the records by F1.
        record: name of the record.
        lead: name of the lead.
        start: seconds from the start of the record.
        noisy: input of the detector in mV.
        annotated: R peaks, samples from the start of the excerpt.
        detected: likewise.
        f1: F1 of the whole lead within 150 ms.
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
    """Detectors on test records.

    Attributes:
        windows: windows by input.
        windows_by_record: the same by record.
        peaks: every detector, input and tolerance, with and without the first five minutes.
        peaks_by_record: the same by record.
        jitter_edges_ms: edges of the bins of offsets.
        jitter: offsets of each detector.
        paired: our detector against each other detector on noisy input, at each tolerance.
        traces: median and worst record.
        seeds: headline metrics by seed.
        confidences: confidences of our R peaks by input; empty in reports of earlier versions.
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
    confidences: dict[str, ConfidenceSummary] = field(default_factory=dict)


@dataclass(frozen=True)
class StressRow:
    """One detector in one noise stress test at one level, within 150 ms, without the first five minutes.

    Attributes:
        test: name of the test.
        snr: SNR in dB.
        detector: name of the detector.
        denoised: the input was denoised first.
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
    """Detectors under electrode motion artifact.

    Attributes:
        rows: every test, level and detector, alone and after our denoiser.
        note: reasons why tests were not run; empty if all were.
    """

    rows: list[StressRow]
    note: str


@dataclass(frozen=True)
class Failure:
    """One of the excerpts with the most errors of the detector, noisy input.

    Attributes:
        record: name of the record.
        lead: name of the lead.
        start: seconds from the start of the record.
        false_negatives: beats without a detection within 150 ms.
        false_positives: detections without a beat.
        reasons: possible reasons that annotations and signal show.
        noisy: input of the detector in mV.
        annotated: R peaks, samples from the start of the excerpt.
        symbols: annotated beat type of each.
        detected: R peaks, samples from the start of the excerpt.
        kind: what the excerpt shows that explains its errors best; empty in reports of earlier versions.
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
    kind: str = ""

    @property
    def errors(self) -> int:
        """Both kinds of errors together."""
        return self.false_negatives + self.false_positives
