"""Provenance of a report: data, settings, package versions, machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.databases.facts import attribution_of, licenses_of, versions_of
from ecg_study.ecg_data.databases.splits import PARTS, Split
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.ecg_data.segments.cutting import window_labels
from ecg_study.files import sha256_of_text
from ecg_study.reports.report import DataSummary, PartSummary, Provenance
from ecg_study.training.backend import backend_packages
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.workflows.settings import Settings, as_mapping

_PACKAGES = (
    "keras-tuner",
    "wfdb",
    "neurokit2",
    "sleepecg",
    "PyWavelets",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
)
"""Packages whose versions can change a number of the report, beside Keras and its backend."""


def describe_run(settings: Settings, *, command: str, seconds: float) -> Provenance:
    """Return settings, package versions, machine and time of a report.

    Args:
        settings: the settings of the study.
        command: how to repeat the study.
        seconds: time that the report took.
    """
    return Provenance(
        command=command,
        settings=dict(as_mapping(settings)),
        seed=settings.seed,
        versions={
            "Python": platform.python_version(),
            **{name: version(name) for name in ("keras", *backend_packages(), *_PACKAGES)},
        },
        machine=_machine(),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        seconds=seconds,
    )


def _machine() -> str:
    gibibytes = psutil.virtual_memory().total / 2**30
    parts = (
        f"{platform.system()} {platform.machine()}",
        _processor(),
        f"{os.cpu_count()} cores",
        f"{gibibytes:.0f} GiB",
    )
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def summarize_data(database: Database, cache: SegmentCache, *, split: Split) -> DataSummary:
    """Return the records, segments and windows of each part, and the checksum of the raw files.

    Args:
        database: the raw records.
        cache: their segments.
        split: training, validation and test records.
    """
    settings = cache.settings
    parts: dict[str, PartSummary] = {}
    for part in PARTS:
        rows = cache.rows(split.part(part))
        labels = window_labels(cache.r_peaks[rows], settings.window_samples)
        parts[part] = PartSummary(list(split.part(part)), len(rows), labels.size, float(labels.mean()))
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(database.checksums.items()))
    return DataSummary(
        database=database.name,
        version=versions_of(database.names),
        license=licenses_of(database.names),
        attribution=attribution_of(database.names),
        sha256=sha256_of_text(listed),
        files=len(database.checksums),
        key=cache.key,
        fs=cache.fs,
        segment_samples=settings.segment_samples,
        window_samples=settings.window_samples,
        noise_sigma_mv=settings.noise_sigma_mv,
        lead=settings.lead,
        parts=parts,
        excluded_records=dict(split.excluded_records) | cache.excluded_records,
        excluded_segments=sum(entry.excluded_segments for entry in cache.entries),
    )


def card_data(data: DataSummary, task: TrainingTask, *, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the card of a model says about its data.

    Args:
        data: summary of the data.
        task: training task of the model.
        hyperparameters: those of the model, which decide the augmentation.
    """
    return {
        "database": data.database,
        "version": data.version,
        "attribution": data.attribution,
        "license": data.license,
        "sha256": data.sha256,
        "key": data.key,
        "lead": data.lead,
        **({"aligned_marks": True} if task.cache.settings.aligned else {}),
        "noise_sigma_mv": data.noise_sigma_mv,
        **augmentation_as_json(task, hyperparameters),
        "records": {name: list(part.records) for name, part in data.parts.items()},
    }
