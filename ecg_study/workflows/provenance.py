"""Where a report comes from: data, settings, versions, machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ecg_study.ecg_data.databases.catalog import ATTRIBUTION, LICENSES, VERSIONS, Database
from ecg_study.ecg_data.databases.splits import PARTS, Split
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.ecg_data.segments.cutting import window_labels
from ecg_study.files import sha256_of_text
from ecg_study.reports.report import DataSummary, PartSummary, Provenance

_PACKAGES = (
    "keras",
    "tensorflow",
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


def describe_run(command: str, settings: Mapping[str, Any], *, seed: int, seconds: float) -> Provenance:
    """Return command, settings, versions, machine and time of a report."""
    return Provenance(
        command=command,
        settings=dict(settings),
        seed=seed,
        versions={"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        machine=_machine(),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        seconds=seconds,
    )


def _machine() -> str:
    parts = [f"{platform.system()} {platform.machine()}", _processor(), f"{os.cpu_count()} cores"]
    try:
        gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # Windows, or a system that does not report it
        gigabytes = 0.0
    parts.append(f"{gigabytes:.0f} GiB" if gigabytes else "")
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def summarize_data(database: Database, cache: SegmentCache, *, split: Split) -> DataSummary:
    """Return records, segments and windows of each part, and the checksum of the raw files."""
    settings = cache.settings
    parts: dict[str, PartSummary] = {}
    for part in PARTS:
        rows = cache.rows(split.part(part))
        labels = window_labels(cache.r_peaks[rows], settings.window_samples)
        parts[part] = PartSummary(list(split.part(part)), len(rows), labels.size, float(labels.mean()))
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(database.checksums.items()))
    return DataSummary(
        database=database.name,
        version=VERSIONS[database.name],
        license=LICENSES[database.name],
        attribution=ATTRIBUTION[database.name],
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
