"""Transfer of segments to other machines: by key, or as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.databases.splits import Part
from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_records import write_noise_sources
from ecg_study.ecg_data.segments.cache import MANIFEST_FILE, SegmentCache, read_manifest, reopen_cache
from ecg_study.ecg_data.segments.layout import NOISE_FILE, CachedLead, SegmentSettings, array_file
from ecg_study.errors import DataError
from ecg_study.files import new_directory, write_checksums, write_json


@dataclass(frozen=True)
class CacheReference:
    """Reference to a cache, small enough to be sent with every task.

    Attributes:
        directory: path of the cache as given, and resolved.
        key: hash of its content.
        settings: settings of the segments.
    """

    directory: tuple[Path, Path]
    key: str
    settings: SegmentSettings


@dataclass(frozen=True)
class PackedSegments:
    """Segments of some records as a value, with the manifest of a cache of these records."""

    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray]
    noise: Mapping[Part, NoiseSource]


def refer_to(cache: SegmentCache) -> CacheReference:
    """Return a reference to a cache."""
    return CacheReference((cache.directory, cache.directory.resolve()), key=cache.key, settings=cache.settings)


def find_cache(reference: CacheReference, *others: Path) -> SegmentCache | None:
    """Open a cache on this machine, at the path of the reference or in one of the folders ``others``.

    Returns:
        ``None`` if no folder has segments with this key.
    """
    for directory in (*reference.directory, *others):
        try:
            return reopen_cache(directory, key=reference.key, settings=reference.settings)
        except DataError:
            continue  # missing, or of another study
    return None


def pack_segments(cache: SegmentCache, records: Iterable[str]) -> PackedSegments:
    """Copy the segments of some records out of a cache."""
    entries: list[CachedLead] = []
    for entry in cache.entries_of(records, include_training_only=True):
        first = entries[-1].last if entries else 0
        entries.append(replace(entry, first=first, last=first + entry.last - entry.first))
    rows = cache.rows((entry.record for entry in entries), include_training_only=True)
    return PackedSegments(
        read_manifest(cache.directory) | {"entries": [entry.as_json() for entry in entries]},
        {name: np.ascontiguousarray(getattr(cache, name)[rows]) for name in cache.settings.arrays},
        cache.noise,
    )


def unpack_segments(packed: PackedSegments, directory: Path) -> None:
    """Write packed segments as a cache to the new folder ``directory``."""
    with new_directory(directory) as temporary:
        for name, array in packed.arrays.items():
            np.save(temporary / array_file(name), array, allow_pickle=False)
        if packed.noise:
            write_noise_sources(temporary / NOISE_FILE, packed.noise)
        write_json(temporary / MANIFEST_FILE, packed.manifest)
        write_checksums(temporary)
