"""Cache of segments on disk: memory-mapped arrays and a manifest, keyed by content and settings."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.catalog import SIGNAL_ENDINGS, Database
from ecg_study.ecg_data.databases.splits import TRAIN, VALIDATION, Part
from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_records import NoiseRecords, read_noise_sources, write_noise_sources
from ecg_study.ecg_data.segments.building import write_arrays
from ecg_study.ecg_data.segments.layout import CACHE_FORMAT, NOISE_FILE, CachedLead, SegmentSettings, array_file
from ecg_study.errors import DataError, one_line
from ecg_study.files import new_directory, sha256_of_json, write_json
from ecg_study.progress import Progress

_NOISE_PARTS: tuple[Part, ...] = (TRAIN, VALIDATION)  # test noise is not in the cache


@dataclass(frozen=True)
class SegmentCache:
    """Open cache of segments.

    Attributes:
        directory: folder of the cache.
        key: hash of the raw files and all settings.
        settings: settings of the segments.
        fs: sampling rate in Hz.
        entries: rows of each lead of each record.
        excluded_records: reason for each record that cannot be used (with ``skip_invalid``), and for each lead that
            training cannot use.
        noisy: float32 memory map of shape ``(segments, segment_samples)``, in mV.
        clean: like ``noisy``, without the noise.
        r_peaks: uint8 memory map of shape ``(segments, segment_samples)``: 1 at each R peak.
        wander_removed: ``clean`` without its baseline wander, float32; ``None`` in a cache without augmentation.
        noise: recorded noise for training and validation at the sampling rate of the segments; empty in a cache
            without augmentation.
    """

    directory: Path
    key: str
    settings: SegmentSettings
    fs: float
    entries: tuple[CachedLead, ...]
    excluded_records: dict[str, str]
    noisy: np.ndarray
    clean: np.ndarray
    r_peaks: np.ndarray
    wander_removed: np.ndarray | None = None
    noise: Mapping[Part, NoiseSource] = field(default_factory=dict)

    @property
    def records(self) -> tuple[str, ...]:
        """Names of the records."""
        return tuple(dict.fromkeys(entry.record for entry in self.entries))

    def entries_of(self, records: Iterable[str], *, include_training_only: bool = False) -> list[CachedLead]:
        """Return the entries of some records, in the order of the cache."""
        wanted = set(records)
        return [
            entry
            for entry in self.entries
            if entry.record in wanted and (include_training_only or not entry.training_only)
        ]

    def rows(self, records: Iterable[str], *, include_training_only: bool = False) -> np.ndarray:
        """Return the row indices of all segments of some records, int64."""
        entries = self.entries_of(records, include_training_only=include_training_only)
        ranges = [np.arange(entry.first, entry.last) for entry in entries]
        return np.concatenate(ranges) if ranges else np.empty(0, np.int64)

    def signals(self, records: Iterable[str]) -> dict[str, list[str]]:
        """Return record → SHA-256 of its signal files, which identifies a record in any study and under any name."""
        manifest = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        files = {name: digest for name, digest in manifest["files"].items() if name.endswith(SIGNAL_ENDINGS)}
        return {record: [digest for name, digest in files.items() if Path(name).stem == record] for record in records}


def cache_key(database: Database, settings: SegmentSettings, *, noise: NoiseRecords | None = None) -> str:
    """Return the hash of everything that the arrays depend on: content of the raw files, settings and format."""
    return sha256_of_json(
        ({} if noise is None else {"noise": noise.checksums})
        | {
            "format": CACHE_FORMAT,
            "files": database.checksums,
            "records": database.records,
            "annotator": database.annotator,
            # Names only: reasons are texts, with paths, that the arrays do not depend on.
            "unreadable": dict.fromkeys(database.unreadable, ""),
            "settings": settings.as_mapping(),
        }
    )


def open_cache(
    database: Database,
    settings: SegmentSettings,
    *,
    data_dir: Path | str = "data",
    progress: Progress | None = None,
    noise: NoiseRecords | None = None,
) -> SegmentCache:
    """Open the segments of a database; build the cache if it does not exist.

    Args:
        database: raw records.
        settings: settings of the segments.
        data_dir: parent folder of ``processed/``, where caches are kept.
        progress: called with the number of records done while the cache is built.
        noise: recorded noise, which augmentation requires; only training and validation noise is cached.

    Raises:
        RecordErrors: records cannot be used.
        DataError: the records have different sampling rates, or the cache is damaged.
    """
    assert settings.augmented == (noise is not None)
    key = cache_key(database, settings, noise=noise)
    directory = Path(data_dir) / "processed" / f"{database.name}-{key[:16]}"
    if not directory.is_dir():
        with new_directory(directory) as temporary:
            written = write_arrays(temporary, database, settings=settings, progress=progress)
            if noise is not None:
                sources = {part: noise.source(part, fs=written.fs) for part in _NOISE_PARTS}
                write_noise_sources(temporary / NOISE_FILE, sources)
            manifest = {
                "format": CACHE_FORMAT,
                "key": key,
                "database": database.name,
                "settings": settings.as_mapping(),
                "fs": written.fs,
                "entries": [entry.as_json() for entry in written.entries],
                "left_out": database.unreadable | written.excluded_records,
                "files": database.checksums,
            }
            write_json(temporary / "manifest.json", manifest)
    return reopen_cache(directory, key=key, settings=settings)


def reopen_cache(directory: Path, *, key: str, settings: SegmentSettings) -> SegmentCache:
    """Open an existing cache.

    Raises:
        DataError: the cache is missing or damaged, or has another key.
    """
    damaged = f"{directory}: the cache is damaged; delete the folder to build it again"
    try:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        entries = tuple(CachedLead.from_json(entry) for entry in manifest["entries"])
        arrays = {name: np.load(directory / array_file(name), mmap_mode="r") for name in settings.arrays}
        noise = read_noise_sources(directory / NOISE_FILE) if settings.augmented else {}
        fs, excluded_records, written = float(manifest["fs"]), dict(manifest["left_out"]), manifest["key"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{damaged} ({one_line(error)})") from error
    shape = (entries[-1].last if entries else 0, settings.segment_samples)
    if written != key or any(array.shape != shape for array in arrays.values()):
        raise DataError(damaged)
    return SegmentCache(directory, key, settings, fs, entries, excluded_records, **arrays, noise=noise)
