"""Segments for a process on another machine: found there by their key, or sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.databases.splits import Part
from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_records import write_noise_sources
from ecg_study.ecg_data.segments.cache import (
    NOISE_FILE,
    CachedLead,
    SegmentCache,
    SegmentSettings,
    array_file,
    reopen_cache,
)
from ecg_study.errors import EcgStudyError
from ecg_study.files import new_directory, write_json


@dataclass(frozen=True)
class CacheReference:
    """A cache by name: small enough to travel with every task.

    Attributes:
        directory: where it is, as the user's path names it, and resolved.
        key: hash of its content.
        settings: how it was made.
    """

    directory: tuple[Path, Path]
    key: str
    settings: SegmentSettings


@dataclass(frozen=True)
class PackedSegments:
    """The segments of some records as a value, with the manifest of a cache that holds just these."""

    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray]
    noise: Mapping[Part, NoiseSource]


def refer_to(cache: SegmentCache) -> CacheReference:
    """The name of a cache."""
    return CacheReference((cache.directory, cache.directory.resolve()), key=cache.key, settings=cache.settings)


def find_cache(reference: CacheReference, *others: Path) -> SegmentCache | None:
    """Open a cache on this machine: at its path, at the same path below the working folder, or in ``others``.

    Returns:
        ``None`` where no folder holds segments of this key.
    """
    for directory in (*reference.directory, *others):
        try:
            return reopen_cache(directory, key=reference.key, settings=reference.settings)
        except EcgStudyError:
            continue  # not here, or another study's
    return None


def pack_segments(cache: SegmentCache, records: Iterable[str]) -> PackedSegments:
    """Take the segments of these records out of a cache."""
    entries: list[CachedLead] = []
    for entry in cache.entries_of(records, include_training_only=True):
        first = entries[-1].last if entries else 0
        entries.append(replace(entry, first=first, last=first + entry.last - entry.first))
    rows = cache.rows((entry.record for entry in entries), include_training_only=True)
    manifest = json.loads((cache.directory / "manifest.json").read_text(encoding="utf-8"))
    return PackedSegments(
        manifest | {"entries": [entry.as_json() for entry in entries]},
        {name: np.ascontiguousarray(getattr(cache, name)[rows]) for name in cache.settings.arrays},
        cache.noise,
    )


def unpack_segments(packed: PackedSegments, directory: Path) -> None:
    """Write packed segments as a cache in ``directory``, which holds nothing yet."""
    with new_directory(directory) as temporary:
        for name, array in packed.arrays.items():
            np.save(temporary / array_file(name), array, allow_pickle=False)
        if packed.noise:
            write_noise_sources(temporary / NOISE_FILE, packed.noise)
        write_json(temporary / "manifest.json", packed.manifest)
