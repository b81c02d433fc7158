"""The report of a study as one value: all results, computed before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.detection import DetectorSection, Failure, StressSection
from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.evaluation.results.values import Comparison
from ecg_study.models.calibration import Calibration

REPORT_FORMAT = 5
"""Version of the stored fields; ``schema_upgrade`` reads reports of earlier ones."""


@dataclass(frozen=True)
class Report:
    """Results of a study.

    Attributes:
        format: version of the stored fields.
        provenance: command, settings, versions and machine.
        data: records and their parts.
        missing: missing parts of the report with the reason, one sentence each.
        comparisons: our models against the best classical method.
        searches: one per model.
        trainings: one per model and seed.
        denoiser: results of the denoiser; ``None`` without one.
        detector: results of the detector; ``None`` without one.
        stress: results of the noise stress test; ``None`` if it was not run.
        failures: excerpts with the most errors of the detector, the worst first.
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
    """Command, settings and environment of a report.

    Attributes:
        command: command that creates the report again.
        settings: values by setting.
        seed: seed of the study.
        versions: package → version.
        machine: system, processor, cores and memory.
        created: date and time in UTC.
        seconds: time for the report in s, without the time of reused results.
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
        records: names of the records.
        segments: number of segments.
        windows: number of windows.
        windows_with_peak: share of the windows that contain an R peak, from 0 to 1.
    """

    records: list[str]
    segments: int
    windows: int
    windows_with_peak: float


@dataclass(frozen=True)
class DataSummary:
    """The data of a study.

    Attributes:
        database: name of the database.
        version: version of the database; empty if it has none.
        license: license of the database; empty if it is unknown.
        attribution: source and citation.
        sha256: SHA-256 of the list of raw files and their SHA-256, as printed by ``sha256sum`` and sorted by name.
        files: number of raw files.
        key: hash of files and settings.
        fs: sampling rate in Hz.
        segment_samples: samples per segment.
        window_samples: samples per window.
        noise_sigma_mv: standard deviation of the added Gaussian noise in mV.
        lead: requested lead.
        parts: train, validation and test part.
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
        seed_index: number of the seed, from 1; the model of the first seed is exported.
        role: ``"final"``, or ``"thresholds"`` for a model that serves only to choose thresholds, because the final
            models were trained on the validation records too.
        trial: trial with the hyperparameters.
        hyperparameters: configuration of the model.
        parameters: number of trainable weights.
        history: metrics after each epoch.
        best_epoch: epoch of the weights that were kept: the best epoch on the validation records, or the last epoch if
            the learning rate falls to 0 by then.
        seconds: wall-clock time in s.
        thresholds: thresholds of the model, chosen on the validation records.
        augmentation: settings of augmentation by their stored keys; empty without augmentation.
        calibration: calibration of a detector, likewise; ``None`` in reports of earlier versions.
        pretrained: model from whose weights the training started; empty for random weights.
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
    calibration: Calibration | None = None
    pretrained: str = ""


SECTIONS = ("search", "denoiser", "detector", "stress", "failures")
"""Sections that can be computed alone."""
