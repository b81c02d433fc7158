"""Cache of segments on disk: memory-mapped arrays and a manifest, keyed by content and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecg_study.ecg_data.databases.catalog import SIGNAL_ENDINGS, Database, record_of
from ecg_study.ecg_data.databases.splits import TRAIN, VALIDATION, Part
from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_records import NoiseRecords, read_noise_sources, write_noise_sources
from ecg_study.ecg_data.segments.building import write_arrays
from ecg_study.ecg_data.segments.layout import (
    ALIGNED_FORMAT,
    CACHE_FORMAT,
    NOISE_FILE,
    WANDER_REMOVED,
    WANDER_REMOVED_FORMAT,
    CachedLead,
    SegmentSettings,
    array_file,
)
from ecg_study.errors import DataError, one_line
from ecg_study.files import (
    CHECKSUMS_FILE,
    new_directory,
    read_checksums,
    sha256_of,
    sha256_of_json,
    write_checksums,
    write_json,
)
from ecg_study.progress import Progress
from ecg_study.reading import UnreadableError, first_problem, read_json

MANIFEST_FILE = "manifest.json"

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
        mark_offsets_ms: record → ms that its marks lay after the R peaks before they were moved to these, the median
            over beats; empty for records whose marks were not moved.
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
    mark_offsets_ms: Mapping[str, float] = field(default_factory=dict)

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
        manifest = read_manifest(self.directory)
        files = {name: digest for name, digest in manifest["files"].items() if name.endswith(SIGNAL_ENDINGS)}
        return {record: [digest for name, digest in files.items() if record_of(name) == record] for record in records}


def cache_key(database: Database, settings: SegmentSettings, *, noise: NoiseRecords | None = None) -> str:
    """Return the hash of everything that the arrays depend on: content of the raw files, settings and format."""
    return sha256_of_json(
        ({} if noise is None else {"noise": noise.checksums})
        | ({WANDER_REMOVED: WANDER_REMOVED_FORMAT} if settings.augmented else {})
        | ({"alignment": ALIGNED_FORMAT} if settings.aligned else {})
        | ({"own": {name: own.as_json() for name, own in database.own.items()}} if database.own else {})
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
    directory = Path(data_dir) / "processed" / f"{'+'.join(database.names)}-{key[:16]}"
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
                **({"mark_offsets_ms": written.mark_offsets_ms} if settings.aligned else {}),
            }
            write_json(temporary / MANIFEST_FILE, manifest)
            write_checksums(temporary)
    return reopen_cache(directory, key=key, settings=settings)


def reopen_cache(directory: Path, *, key: str, settings: SegmentSettings) -> SegmentCache:
    """Open an existing cache.

    Raises:
        DataError: the cache is missing or damaged, or has another key.
    """
    _check_content(directory)
    try:
        manifest = _Manifest.model_validate(read_manifest(directory))
        entries = tuple(CachedLead.from_json(entry.model_dump()) for entry in manifest.entries)
        arrays = {name: _open_array(directory / array_file(name), dtype) for name, dtype in settings.arrays.items()}
        noise = read_noise_sources(directory / NOISE_FILE) if settings.augmented else {}
    except ValidationError as error:
        raise _damaged(directory, f"{MANIFEST_FILE}: {first_problem(error)}") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(directory, one_line(error)) from error
    shape = (entries[-1].last if entries else 0, settings.segment_samples)
    if manifest.key != key or any(array.shape != shape for array in arrays.values()):
        raise _damaged(directory, "its arrays do not fit its manifest")
    return SegmentCache(
        directory,
        key,
        settings,
        manifest.fs,
        entries,
        manifest.left_out,
        **arrays,
        noise=noise,
        mark_offsets_ms=manifest.mark_offsets_ms,
    )


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return the content of a cache's manifest.

    Raises:
        UnreadableError: it is damaged.
        OSError: it is missing, or cannot be read.
    """
    content = read_json(directory / MANIFEST_FILE)
    if not isinstance(content, dict):
        raise UnreadableError("not a manifest")
    return content


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    record: str
    lead: str
    samples: Annotated[int, Field(gt=0)]
    first: Annotated[int, Field(ge=0)]
    last: Annotated[int, Field(ge=0)]
    unscored: Annotated[int, Field(ge=0)]
    extra: bool = False


class _Manifest(BaseModel):
    """The parts of a manifest that are used, with the keys of format 1."""

    model_config = ConfigDict(strict=True, extra="allow")

    key: str
    fs: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    entries: list[_Entry]
    left_out: dict[str, str]
    files: dict[str, str]
    mark_offsets_ms: dict[str, float] = {}

    @model_validator(mode="after")
    def _check_rows(self) -> _Manifest:
        rows = 0
        for entry in self.entries:
            if entry.first != rows or entry.last < entry.first:
                raise ValueError("the rows of the leads do not follow each other")
            rows = entry.last
        return self


def _damaged(directory: Path, reason: str) -> DataError:
    return DataError(f"{directory}: the cache is damaged; delete the folder to build it again ({reason})")


def _open_array(path: Path, dtype: np.dtype[Any]) -> np.ndarray:
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(f"{path.name}: missing")
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype != dtype:
        raise ValueError(f"{path.name}: the type is {array.dtype}, not {dtype}")
    return array


_checked: dict[Path, list[tuple[str, int, int, int]]] = {}
"""Folder → its files, with inode, size and time of change, when they were compared in this process."""


def _check_content(directory: Path) -> None:
    """Compare the files of a cache with their checksums, once per process unless a file is newer.

    A cache of version 0.2.0 or earlier has no checksums.

    Raises:
        DataError: a file has changed.
    """
    try:
        digests = read_checksums(directory / CHECKSUMS_FILE)
        if not digests and not (directory / CHECKSUMS_FILE).exists():
            return
        listed = {path.name for path in directory.glob("*.[jn][sp]*")}  # .json, .npy and .npz
        if not listed <= digests.keys() or any(not (directory / name).is_file() for name in digests):
            raise _damaged(directory, f"{CHECKSUMS_FILE} does not list its files")
        states = [(name, (directory / name).stat()) for name in digests]
        seen = [(name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states]
        if _checked.get(directory.resolve()) == seen:
            return
        for name, digest in digests.items():
            if sha256_of(directory / name) != digest:
                raise _damaged(directory, f"the content of {name} has changed")
    except (OSError, ValueError) as error:
        raise _damaged(directory, one_line(error)) from error
    _checked[directory.resolve()] = seen
