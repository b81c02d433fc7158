"""The report as one value: everything it says, computed once, before anything is rendered."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from reports.measures import Confusion, Counts, Denoising, Interval

FORMAT = 1

NOISY, DENOISED, CLEAN = "noisy", "denoised", "clean"
INPUTS = (NOISY, DENOISED, CLEAN)
"""What a detector is given: the test signal with noise, the same cleaned by the denoiser, and without noise."""

LSTM, GRU, NO_FILTER = "LSTM denoiser", "GRU detector", "noisy input"

TOLERANCES_MS = (150, 75, 50)
"""Within which a detection counts as right. ANSI/AAMI EC57 asks for 150; the narrower ones show whether a detector
sits on the R peak or beside it."""


@dataclass(frozen=True)
class Provenance:
    """Where the report comes from: command, settings, seed, versions, machine, time."""

    command: str
    settings: dict[str, Any]
    seed: int
    versions: dict[str, str]
    machine: str
    created: str
    seconds: float


@dataclass(frozen=True)
class PartSummary:
    """One part of the split.

    Attributes:
        records: its records.
        segments: how many segments of them.
        windows: how many windows.
        windows_with_peak: share of the windows that hold an R peak.
    """

    records: list[str]
    segments: int
    windows: int
    windows_with_peak: float


@dataclass(frozen=True)
class DataSummary:
    """The data of the study.

    Attributes:
        database: its name.
        attribution: source and licence.
        key: hash of files and settings.
        fs: sampling rate in Hz.
        segment: samples a segment.
        window: samples a window.
        sigma: standard deviation of the added noise in mV.
        lead: which lead was asked for.
        parts: train, validation and test.
        left_out: records in no part, with the reason.
        unscored_segments: segments dropped for ventricular flutter.
    """

    database: str
    attribution: str
    key: str
    fs: float
    segment: int
    window: int
    sigma: float
    lead: str
    parts: dict[str, PartSummary]
    left_out: dict[str, str]
    unscored_segments: int


@dataclass(frozen=True)
class RungSummary:
    """One rung as planned and as run."""

    bracket: int
    rung: int
    epochs: int
    planned: int
    completed: int
    failed: int


@dataclass(frozen=True)
class TrialSummary:
    """One trial of the leaderboard."""

    id: str
    hyperparameters: dict[str, Any]
    epochs: int
    parameters: int
    score: float
    seconds: float


@dataclass(frozen=True)
class SearchSummary:
    """One search.

    Attributes:
        task: denoiser or detector.
        objective: validation metric.
        direction: ``"min"`` or ``"max"``.
        rungs: planned and run.
        leaderboard: the best trials, best first.
        failures: trial id → reason.
        seconds: time of all trials together.
        wall_seconds: time that the search took, trials side by side.
        stopped: why it ended before its plan; empty where it did not.
        warm_start: the study whose best configurations were tried first; empty for none.
    """

    task: str
    objective: str
    direction: str
    rungs: list[RungSummary]
    leaderboard: list[TrialSummary]
    failures: dict[str, str]
    seconds: float
    wall_seconds: float
    stopped: str
    warm_start: str


@dataclass(frozen=True)
class Training:
    """The final training of one model.

    Attributes:
        task: denoiser or detector.
        trial: the trial whose hyperparameters were taken.
        hyperparameters: these.
        parameters: trainable weights.
        history: metrics of each epoch.
        best_epoch: the epoch whose weights were kept, by the validation records.
        seconds: wall-clock time.
        thresholds: of the detector, chosen on the validation records.
    """

    task: str
    trial: str
    hyperparameters: dict[str, Any]
    parameters: int
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float
    thresholds: dict[str, float]


@dataclass(frozen=True)
class RecordDenoising:
    """One method on one lead of one record."""

    record: str
    lead: str
    method: str
    figures: Denoising


@dataclass(frozen=True)
class RecordPeaks:
    """One detector on one lead of one record with one kind of input."""

    record: str
    lead: str
    detector: str
    input: str
    tolerance_ms: int
    counts: Counts
    median_offset_ms: float | None


@dataclass(frozen=True)
class RecordWindows:
    """The windows of one lead of one record with one kind of input."""

    record: str
    lead: str
    input: str
    confusion: Confusion


@dataclass(frozen=True)
class DenoisingSummary:
    """One method over all test records: means over records with their intervals."""

    method: str
    mae: Interval
    rmse: Interval
    snr_improvement: Interval | None


@dataclass(frozen=True)
class PeaksSummary:
    """One detector over all test records: counts added up, F1 with its interval, and the mean F1 over records."""

    detector: str
    input: str
    tolerance_ms: int
    counts: Counts
    f1: Interval
    mean_f1: float


@dataclass(frozen=True)
class WindowsSummary:
    """The windows of all test records with one kind of input."""

    input: str
    confusion: Confusion
    f1: Interval


@dataclass(frozen=True)
class Comparison:
    """A model against the best classical method on the same records.

    Attributes:
        figure: what is compared.
        model: name and figure of ours.
        baseline: name and figure of theirs.
        gain: how much better ours is, positive for better, with the interval of the paired bootstrap.
        real: whether the interval leaves out 0; ``None`` where there are too few records to tell.
    """

    figure: str
    model: str
    model_value: Interval
    baseline: str
    baseline_value: Interval
    gain: Interval
    real: bool | None


@dataclass(frozen=True)
class Report:
    """The whole report."""

    format: int
    provenance: Provenance
    data: DataSummary
    comparisons: list[Comparison]
    searches: list[SearchSummary]
    trainings: list[Training]
    denoising: list[DenoisingSummary]
    denoising_by_record: list[RecordDenoising]
    windows: list[WindowsSummary]
    windows_by_record: list[RecordWindows]
    peaks: list[PeaksSummary]
    peaks_by_record: list[RecordPeaks]


def to_json(value: Any) -> Any:
    """A dataclass as plain JSON values; figures that are not finite become ``None``."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(asdict(value))
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
