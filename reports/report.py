"""The report as one value: everything it says, computed once, before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.detection import DetectorSection, Failure, StressSection
from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.evaluation.results.values import Comparison

REPORT_FORMAT = 4
"""Version of the stored fields; ``schema_upgrade`` reads reports of earlier ones."""


@dataclass(frozen=True)
class Report:
    """The whole report.

    Attributes:
        format: version of this value.
        provenance: command, settings, versions, machine.
        data: records and their parts.
        missing: what the report lacks and why, one sentence each; empty for a whole one.
        comparisons: the verdict.
        searches: one a model.
        trainings: one a model and seed.
        denoiser: ``None`` without a denoiser.
        detector: ``None`` without a detector.
        stress: ``None`` where it was not measured.
        failures: the worst stretches of the detector, the worst first.
    """

    format: int
    provenance: Provenance
    data: DataSummary
    missing: list[str]
    comparisons: list[Comparison]
    searches: list[SearchSummary]
    trainings: list[Training]
    denoiser: DenoiserSection | None
    detector: DetectorSection | None
    stress: StressSection | None
    failures: list[Failure]


@dataclass(frozen=True)
class Provenance:
    """Where the report comes from: command, settings, seed, versions, machine, time.

    Attributes:
        command: makes the report again.
        settings: by option name.
        seed: of the study.
        versions: package → version.
        machine: system, processor, cores, memory.
        created: date and time, UTC.
        seconds: that the report took, without what was there from before.
    """

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
        version: of the database; empty where it has none.
        license: of the database; empty where it is not known.
        attribution: source and how to cite it.
        sha256: of the list of all raw files with their SHA-256, as ``sha256sum`` prints it, sorted by name.
        files: how many raw files these are.
        key: hash of files and settings.
        fs: sampling rate in Hz.
        segment_samples: samples per segment.
        window_samples: samples per window.
        noise_sigma_mv: standard deviation of the added Gaussian noise in mV.
        lead: which lead was asked for.
        parts: train, validation and test.
        excluded_records: records, and leads of records, that are in no part, with the reason.
        excluded_segments: number of segments excluded for ventricular flutter.
    """

    database: str
    version: str
    license: str
    attribution: str
    sha256: str
    files: int
    key: str
    fs: float
    segment_samples: int
    window_samples: int
    noise_sigma_mv: float
    lead: str
    parts: dict[str, PartSummary]
    excluded_records: dict[str, str]
    excluded_segments: int


@dataclass(frozen=True)
class Training:
    """The final training of one model from one seed.

    Attributes:
        task: denoiser or detector.
        seed_index: number of the seed, from 1; the model of the first seed is the one that is exported.
        role: ``"final"``, or ``"thresholds"`` for a model that serves only to choose thresholds, because the final
            models were trained on the validation records too.
        trial: the trial whose hyperparameters were taken.
        hyperparameters: these.
        parameters: trainable weights.
        history: metrics of each epoch.
        best_epoch: the epoch whose weights were kept: the best on the validation records, or the last where the
            learning rate falls to 0 by then.
        seconds: wall-clock time.
        thresholds: of the detector, chosen on the validation records.
        augmentation: how segments were varied in training; empty where they were not.
    """

    task: str
    seed_index: int
    role: Literal["final", "thresholds"]
    trial: str
    hyperparameters: dict[str, Any]
    parameters: int
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float
    thresholds: dict[str, float]
    augmentation: dict[str, Any]
