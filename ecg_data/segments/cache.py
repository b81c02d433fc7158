"""The cache of segments on disk: memory-mapped arrays and a manifest, keyed by content and settings."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ecg_study.ecg_data.databases.catalog import SIGNAL_ENDINGS, Database, unusable_records
from ecg_study.ecg_data.databases.splits import TRAIN, VALIDATION, Part
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import NoiseSource, gaussian_noise
from ecg_study.ecg_data.noise_records import NoiseRecords, read_noise_sources, write_noise_sources
from ecg_study.ecg_data.readers.recording import ALL_LEADS, HIGHEST_RATE, LOWEST_RATE, Record
from ecg_study.ecg_data.readers.wfdb import read_header, read_record
from ecg_study.ecg_data.resampling import resample_record
from ecg_study.ecg_data.segments.cutting import cut_segments, mark_r_peaks, segment_starts
from ecg_study.errors import EcgStudyError, RecordError, SettingsError
from ecg_study.files import new_directory, sha256_of_json, write_json
from ecg_study.progress import Progress

CACHE_FORMAT = 1
"""Raised whenever the same input would give other arrays."""

ARRAYS: dict[str, np.dtype[Any]] = {
    "noisy": np.dtype("<f4"),
    "clean": np.dtype("<f4"),
    "r_peaks": np.dtype("u1"),
}

WANDER_REMOVED = "wander_removed"
"""Additional array of a cache for augmentation."""

NOISE_FILE = "noise.npz"

_LEARNING_PARTS: tuple[Part, ...] = (TRAIN, VALIDATION)  # test noise is not in the cache

# Stored names that differ from ours: keys of manifests, and stems of array files.
_STORED_KEYS = {"excluded_segments": "unscored", "training_only": "extra"}
_STORED_SETTINGS = {
    "segment_samples": "segment",
    "window_samples": "window",
    "noise_sigma_mv": "sigma",
    "skip_invalid": "skip_bad",
}
_STORED_ARRAYS = {WANDER_REMOVED: "steady"}


@dataclass(frozen=True)
class SegmentSettings:
    """What decides, with the raw files, what the cache holds.

    Attributes:
        segment_samples: length of a segment.
        window_samples: length of a window; a segment holds a whole number of windows.
        noise_sigma_mv: standard deviation of the Gaussian noise in mV.
        seed: seed of the noise.
        lead: name of a lead, ``"auto"`` (MLII if present, else the first) or ``"all"``.
        skip_invalid: whether to exclude records that cannot be used; otherwise they are an error.
        fs: target sampling rate in Hz; ``None`` keeps the rate of the records.
        augmented: whether the cache also holds what augmentation needs: the other leads of each record, the clean
            signal without baseline wander, and recorded noise for training and validation.

    Raises:
        SettingsError: a value is out of range.
    """

    segment_samples: int = 2016
    window_samples: int = 144
    noise_sigma_mv: float = 0.05
    seed: int = 1
    lead: str = "auto"
    skip_invalid: bool = False
    fs: float | None = None
    augmented: bool = False

    def as_mapping(self) -> dict[str, Any]:
        """Return the settings as JSON, under the keys that cache keys, manifests and search states have.

        ``fs`` and ``augmented`` are newer than these keys, so their defaults are left out.
        """
        stored = {_STORED_SETTINGS.get(name, name): value for name, value in asdict(self).items()}
        absent = {"fs": None, "augmented": False}
        return {name: value for name, value in stored.items() if absent.get(name, self) != value}

    @property
    def arrays(self) -> dict[str, np.dtype[Any]]:
        """Names and kinds of the arrays of such a cache."""
        return ARRAYS | ({WANDER_REMOVED: np.dtype("<f4")} if self.augmented else {})

    def __post_init__(self) -> None:
        if self.window_samples < 1:
            raise SettingsError("window_samples", f"{self.window_samples} is not positive", value=self.window_samples)
        if self.segment_samples < self.window_samples or self.segment_samples % self.window_samples:
            nearest = max(1, round(self.segment_samples / self.window_samples)) * self.window_samples
            problem = f"{self.segment_samples} is not a multiple of window_samples ({self.window_samples})"
            problem += f"; use {nearest}"
            raise SettingsError("segment_samples", problem, value=self.segment_samples, parameters=("window_samples",))
        if not 0 <= self.noise_sigma_mv < 10:
            problem = f"{self.noise_sigma_mv} mV is out of range; use a standard deviation from 0 to 10 mV"
            raise SettingsError("noise_sigma_mv", problem, value=self.noise_sigma_mv)


@dataclass(frozen=True)
class CachedLead:
    """One lead of one record in the cache: rows ``first`` to ``last`` (excluded) of the arrays are its segments.

    Attributes:
        record: name of the record.
        lead: name of the lead.
        samples: length of the lead.
        first: number of its first row.
        last: number of the row after its last.
        excluded_segments: number of segments dropped because they touch an excluded interval.
        training_only: whether only augmented training uses this lead; the settings do not select it.
    """

    record: str
    lead: str
    samples: int
    first: int
    last: int
    excluded_segments: int
    training_only: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the entry under the keys of a manifest."""
        return {_STORED_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> CachedLead:
        """Read an entry of a manifest.

        Raises:
            TypeError: a key is missing or unknown.
        """
        names = {key: name for name, key in _STORED_KEYS.items()}
        return cls(**{names.get(key, key): value for key, value in stored.items()})


@dataclass(frozen=True)
class SegmentCache:
    """Segments on disk, opened.

    Attributes:
        directory: where they are.
        key: hash of the raw files and of every setting.
        settings: how they were made.
        fs: sampling rate in Hz.
        entries: which rows belong to which lead of which record.
        excluded_records: reason for each record that cannot be used (with ``skip_invalid``), and for each lead that
            training cannot use.
        noisy: float32 memory map of shape ``(segments, segment)``, in mV.
        clean: likewise, without the noise.
        r_peaks: uint8 memory map of shape ``(segments, segment)``: 1 at each R peak.
        wander_removed: ``clean`` without its baseline wander, float32; ``None`` in a cache without augmentation.
        noise: for augmentation: real noise for training and for validation, at the sampling rate of the segments; that
            for tests is not in the cache.
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
        """Names of the records, each once."""
        return tuple(dict.fromkeys(entry.record for entry in self.entries))

    def entries_of(self, records: Iterable[str], *, include_training_only: bool = False) -> list[CachedLead]:
        """The entries of these records, in the order of the cache; with those for training alone if asked for."""
        wanted = set(records)
        return [
            entry
            for entry in self.entries
            if entry.record in wanted and (include_training_only or not entry.training_only)
        ]

    def rows(self, records: Iterable[str], *, include_training_only: bool = False) -> np.ndarray:
        """Row numbers of all segments of these records, int64; with the leads for training alone if asked for."""
        ranges = [
            np.arange(entry.first, entry.last)
            for entry in self.entries_of(records, include_training_only=include_training_only)
        ]
        return np.concatenate(ranges) if ranges else np.empty(0, np.int64)

    def signals(self, records: Iterable[str]) -> dict[str, list[str]]:
        """Record → SHA-256 of its signal files, which tells a record again under any name and in any study."""
        manifest = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        files = {name: digest for name, digest in manifest["files"].items() if name.endswith(SIGNAL_ENDINGS)}
        return {record: [digest for name, digest in files.items() if Path(name).stem == record] for record in records}


def array_file(name: str) -> str:
    """Return the file name of one of `SegmentSettings.arrays`."""
    return f"{_STORED_ARRAYS.get(name, name)}.npy"


def cache_key(database: Database, settings: SegmentSettings, noise: NoiseRecords | None = None) -> str:
    """Hash of everything the cached arrays depend on: content of the raw files, settings, format."""
    return sha256_of_json(
        ({} if noise is None else {"noise": noise.checksums})
        | {
            "format": CACHE_FORMAT,
            "files": database.checksums,
            "records": database.records,
            "annotator": database.annotator,
            "unreadable": database.unreadable,
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
    """Open the segments of a database, building them first where they are not there yet.

    Args:
        database: the raw records.
        settings: how to cut and what noise to add.
        data_dir: the folder under which ``processed/`` is kept.
        progress: told the records done and their total while building.
        noise: real noise, of which what is not for tests goes into the cache; needed for augmentation.

    Raises:
        StudyError: a record cannot be used, or sampling rates differ.
    """
    assert settings.augmented == (noise is not None)
    key = cache_key(database, settings, noise)
    directory = Path(data_dir) / "processed" / f"{database.name}-{key[:16]}"
    if not directory.is_dir():
        with new_directory(directory) as temporary:
            _build(temporary, database, settings, key, progress, noise)
    return reopen_cache(directory, key=key, settings=settings)


def reopen_cache(directory: Path, *, key: str, settings: SegmentSettings) -> SegmentCache:
    """Open the segments in ``directory``, which were built under this key with these settings.

    Raises:
        StudyError: they are not there, damaged, or others.
    """
    damaged = f"{directory}: this cache is damaged; delete the folder and it will be built again"
    try:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        entries = tuple(CachedLead.from_json(entry) for entry in manifest["entries"])
        arrays = {name: np.load(directory / array_file(name), mmap_mode="r") for name in settings.arrays}
        noise = read_noise_sources(directory / NOISE_FILE) if settings.augmented else {}
        fs, excluded_records, written = float(manifest["fs"]), dict(manifest["left_out"]), manifest["key"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise EcgStudyError(f"{damaged} ({' '.join(str(error).split())})") from error
    shape = (entries[-1].last if entries else 0, settings.segment_samples)
    if written != key or any(array.shape != shape for array in arrays.values()):
        raise EcgStudyError(damaged)
    return SegmentCache(directory, key, settings, fs, entries, excluded_records, **arrays, noise=noise)


def _build(
    directory: Path,
    database: Database,
    settings: SegmentSettings,
    key: str,
    progress: Progress | None,
    noise: NoiseRecords | None,
) -> None:
    """Write arrays and manifest, one record in memory at a time.

    The arrays are appended to with ordinary writes, which report a full disk as an error; a memory map that is
    written to would be killed by a signal instead.
    """
    entries: list[CachedLead] = []
    errors: dict[str, RecordError] = {}
    excluded_records: dict[str, str] = {}
    rates: dict[float, str] = {}
    kinds = settings.arrays
    files = {name: open(directory / array_file(name), "wb") for name in kinds}
    try:
        for name, file in files.items():
            _write_header(file, kinds[name], 0, settings.segment_samples)
        for done, name in enumerate(database.records):
            if progress is not None:
                progress("Segments", done, len(database.records))
            try:
                record = _read(database.directory / name, database.annotator, settings)
            except RecordError as error:
                errors[name] = error
                continue
            rates.setdefault(record.fs, name)
            _append(files, entries, record, settings, training_only=False)
            if settings.augmented:
                others, useless = _other_leads(database.directory / name, database.annotator, record, settings)
                for other in others:
                    _append(files, entries, other, settings, training_only=True)
                excluded_records |= useless
        if errors and (not settings.skip_invalid or not entries):
            raise unusable_records(list(errors.values()), skip_invalid=settings.skip_invalid)
        _one_rate(rates)
        for name, file in files.items():
            file.seek(0)
            _write_header(file, kinds[name], entries[-1].last, settings.segment_samples)
    finally:
        for file in files.values():
            file.close()
    if noise is not None:
        rate, parts = next(iter(rates)), _LEARNING_PARTS
        write_noise_sources(directory / NOISE_FILE, {part: noise.source(part, fs=rate) for part in parts})
    manifest = {
        "format": CACHE_FORMAT,
        "key": key,
        "database": database.name,
        "settings": settings.as_mapping(),
        "fs": next(iter(rates)),
        "entries": [entry.as_json() for entry in entries],
        "left_out": database.unreadable | {name: str(error) for name, error in errors.items()} | excluded_records,
        "files": database.checksums,
    }
    write_json(directory / "manifest.json", manifest)
    if progress is not None:
        progress("Segments", len(database.records), len(database.records))


def read_for(path: Path, annotator: str, settings: SegmentSettings) -> Record:
    """A record as these settings ask for it: its leads, at its own rate or brought to theirs.

    Raises:
        RecordError: see `read_record`.
    """
    record = read_record(path, lead=settings.lead, annotator=annotator)
    return record if settings.fs in (None, record.fs) else resample_record(record, settings.fs)


def _read(path: Path, annotator: str, settings: SegmentSettings) -> Record:
    record = read_for(path, annotator, settings)
    starts = segment_starts(len(record.signal), settings.segment_samples, record.excluded_intervals)
    if not len(starts):
        needed, seconds = settings.segment_samples, settings.segment_samples / record.fs
        problem = f"shorter than a segment: {len(record.signal):,} of {needed:,} samples ({seconds:.1f} s)"
        if len(record.signal) >= needed:
            problem = "every segment touches an interval of ventricular flutter"
        raise RecordError(path, problem)
    return record


def _other_leads(
    path: Path, annotator: str, record: Record, settings: SegmentSettings
) -> tuple[list[Record], dict[str, str]]:
    """The leads of a record that were not asked for, and why some of them are of no use to learn from.

    Nobody asked for these: one that is flat, no voltage (respiration, acceleration) or has samples missing is no fault
    of the record.
    """
    try:
        whole = read_for(path, annotator, replace(settings, lead=ALL_LEADS))
        columns = [column for column, lead in enumerate(whole.leads) if lead not in record.leads]
        leads = tuple(whole.leads[column] for column in columns)
        return [replace(whole, signal=whole.signal[:, columns], leads=leads)], {}
    except RecordError:
        pass  # of one lead or another: each is read alone
    others: list[Record] = []
    useless: dict[str, str] = {}
    for lead in read_header(path).sig_name:
        if lead in record.leads:
            continue
        try:
            others.append(read_for(path, annotator, replace(settings, lead=lead)))
        except RecordError as error:
            useless[f"{record.name}, lead {lead}"] = error.problem
    return others, useless


def _append(
    files: Mapping[str, BinaryIO],
    entries: list[CachedLead],
    record: Record,
    settings: SegmentSettings,
    training_only: bool,
) -> None:
    starts = segment_starts(len(record.signal), settings.segment_samples, record.excluded_intervals)
    marks = mark_r_peaks(record.r_peaks, len(record.signal))
    sigma = settings.noise_sigma_mv
    excluded = len(record.signal) // settings.segment_samples - len(starts)
    for column, lead in enumerate(record.leads):
        clean = np.ascontiguousarray(record.signal[:, column])
        noise = gaussian_noise(len(clean), sigma_mv=sigma, seed=settings.seed, record=record.name, lead=lead)
        arrays = {"noisy": clean + noise, "clean": clean, "r_peaks": marks}
        if settings.augmented:
            arrays[WANDER_REMOVED] = remove_baseline_wander(clean, record.fs)
        for name, values in arrays.items():
            segments = cut_segments(values, starts, settings.segment_samples)
            # Not ndarray.tofile, whose error on a full disk has neither number nor reason.
            files[name].write(np.ascontiguousarray(segments, settings.arrays[name]).tobytes())
        first = entries[-1].last if entries else 0
        entries.append(CachedLead(record.name, lead, len(clean), first, first + len(starts), excluded, training_only))


def _write_header(file: BinaryIO, kind: np.dtype[Any], rows: int, segment: int) -> None:
    """The header of a ``.npy`` file. Its length does not depend on the number of rows, so it can be filled in last."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (rows, segment)}
    np.lib.format.write_array_header_1_0(file, header)


def _one_rate(rates: dict[float, str]) -> None:
    if len(rates) > 1:
        found = ", ".join(f"{name} {fs:g} Hz" for fs, name in rates.items())
        raise EcgStudyError(f"the records have different sampling rates ({found}); choose those of one with --records")
    fs, name = next(iter(rates.items()))
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        # What is found is applied as bundles are, which take no other rates.
        raise EcgStudyError(f"record {name} has {fs:g} Hz; a study needs {LOWEST_RATE:g} to {HIGHEST_RATE:,g} Hz")
