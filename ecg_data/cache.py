"""The cache of segments on disk: memory-mapped arrays and a manifest, keyed by content and settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ecg_data.databases import SIGNAL_ENDINGS, SKIP_ADVICE, Database, Progress
from ecg_data.errors import BadRecordsError, RecordError, StudyError
from ecg_data.files import new_directory, sha256_of_json, write_json
from ecg_data.noise import gaussian_noise
from ecg_data.records import Record, read_record
from ecg_data.resampling import resample_record
from ecg_data.segments import cut_segments, mark_r_peaks, segment_starts

LOWEST_RATE = 80.0
"""Hz. At or below it the signal ends where the classical methods begin to filter, and nothing can be compared."""

FORMAT = 1
"""Raised whenever the same input would give other arrays."""

ARRAYS: dict[str, np.dtype[Any]] = {
    "noisy": np.dtype("<f4"),
    "clean": np.dtype("<f4"),
    "r_peaks": np.dtype("u1"),
}


@dataclass(frozen=True)
class SegmentSettings:
    """What decides, with the raw files, what the cache holds.

    Attributes:
        segment: samples a segment.
        window: samples a window; a segment is a whole number of windows.
        sigma: standard deviation of the Gaussian noise in mV.
        seed: seed of the noise.
        lead: name of a lead, ``"auto"`` (MLII, else the first) or ``"all"``.
        skip_bad: leave out records that cannot be used, instead of refusing all.
        fs: sampling rate in Hz that records are brought to; ``None`` leaves them as they are.

    Raises:
        StudyError: a value is out of its range.
    """

    segment: int = 2016
    window: int = 144
    sigma: float = 0.05
    seed: int = 1
    lead: str = "auto"
    skip_bad: bool = False
    fs: float | None = None

    def as_mapping(self) -> dict[str, Any]:
        """As JSON, for keys and manifests; a rate that is not asked for is not in it."""
        return {name: value for name, value in asdict(self).items() if not (name == "fs" and value is None)}

    def __post_init__(self) -> None:
        if self.window < 1:
            raise StudyError(f"--window: {self.window} samples; it must be at least 1")
        if self.segment < self.window or self.segment % self.window:
            raise StudyError(
                f"--segment: {self.segment} samples is no whole number of windows of {self.window}; "
                f"choose a multiple, such as {max(1, round(self.segment / self.window)) * self.window}"
            )
        if not 0 <= self.sigma < 10:
            raise StudyError(f"--noise: {self.sigma} mV is out of range; give a standard deviation from 0 to 10 mV")


@dataclass(frozen=True)
class Entry:
    """One lead of one record in the cache: rows ``first`` to ``last`` (excluded) of the arrays are its segments."""

    record: str
    lead: str
    samples: int
    first: int
    last: int
    unscored: int


@dataclass(frozen=True)
class SegmentCache:
    """Segments on disk, opened.

    Attributes:
        directory: where they are.
        key: hash of the raw files and of every setting.
        settings: how they were made.
        fs: sampling rate in Hz.
        entries: which rows belong to which lead of which record.
        left_out: records that could not be used, with the reason (only under ``skip_bad``).
        noisy: float32 memory map of shape ``(segments, segment)``, in mV.
        clean: likewise, without the noise.
        r_peaks: uint8 memory map of shape ``(segments, segment)``: 1 at each R peak.
    """

    directory: Path
    key: str
    settings: SegmentSettings
    fs: float
    entries: tuple[Entry, ...]
    left_out: dict[str, str]
    noisy: np.ndarray
    clean: np.ndarray
    r_peaks: np.ndarray

    @property
    def records(self) -> tuple[str, ...]:
        """Names of the records, each once."""
        return tuple(dict.fromkeys(entry.record for entry in self.entries))

    def entries_of(self, records: Iterable[str]) -> list[Entry]:
        """The entries of these records, in the order of the cache."""
        wanted = set(records)
        return [entry for entry in self.entries if entry.record in wanted]

    def rows(self, records: Iterable[str]) -> np.ndarray:
        """Row numbers of all segments of these records, int64."""
        ranges = [np.arange(entry.first, entry.last) for entry in self.entries_of(records)]
        return np.concatenate(ranges) if ranges else np.empty(0, np.int64)

    def signals(self, records: Iterable[str]) -> dict[str, list[str]]:
        """Record → SHA-256 of its signal files, which tells a record again under any name and in any study."""
        manifest = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        files = {name: digest for name, digest in manifest["files"].items() if name.endswith(SIGNAL_ENDINGS)}
        return {record: [digest for name, digest in files.items() if Path(name).stem == record] for record in records}


def cache_key(database: Database, settings: SegmentSettings) -> str:
    """Hash of everything the cached arrays depend on: content of the raw files, settings, format."""
    return sha256_of_json(
        {
            "format": FORMAT,
            "files": database.checksums,
            "records": database.records,
            "annotator": database.annotator,
            "unreadable": database.unreadable,
            "settings": settings.as_mapping(),
        }
    )


def open_cache(
    database: Database, settings: SegmentSettings, data_dir: Path, progress: Progress | None = None
) -> SegmentCache:
    """Open the segments of a database, building them first where they are not there yet.

    Args:
        database: the raw records.
        settings: how to cut and what noise to add.
        data_dir: the folder under which ``processed/`` is kept.
        progress: told the records done and their total while building.

    Raises:
        StudyError: a record cannot be used, or sampling rates differ.
    """
    key = cache_key(database, settings)
    directory = data_dir / "processed" / f"{database.name}-{key[:16]}"
    if not directory.is_dir():
        with new_directory(directory) as temporary:
            _build(temporary, database, settings, key, progress)
    return reopen_cache(directory, key, settings)


def reopen_cache(directory: Path, key: str, settings: SegmentSettings) -> SegmentCache:
    """Open the segments in ``directory``, which were built under this key with these settings.

    Raises:
        StudyError: they are not there, damaged, or others.
    """
    damaged = f"{directory}: this cache is damaged; delete the folder and it will be built again"
    try:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        entries = tuple(Entry(**entry) for entry in manifest["entries"])
        arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        fs, left_out, written = float(manifest["fs"]), dict(manifest["left_out"]), manifest["key"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{damaged} ({' '.join(str(error).split())})") from error
    shape = (entries[-1].last if entries else 0, settings.segment)
    if written != key or any(array.shape != shape for array in arrays.values()):
        raise StudyError(damaged)
    return SegmentCache(directory, key, settings, fs, entries, left_out, **arrays)


def _build(directory: Path, database: Database, settings: SegmentSettings, key: str, progress: Progress | None) -> None:
    """Write arrays and manifest, one record in memory at a time.

    The arrays are appended to with ordinary writes, which report a full disk as an error; a memory map that is
    written to would be killed by a signal instead.
    """
    entries: list[Entry] = []
    errors: dict[str, RecordError] = {}
    rates: dict[float, str] = {}
    files = {name: open(directory / f"{name}.npy", "wb") for name in ARRAYS}
    try:
        for name, file in files.items():
            _write_header(file, name, 0, settings.segment)
        for done, name in enumerate(database.records):
            if progress is not None:
                progress("Segments", done, len(database.records))
            try:
                record = _read(database.directory / name, database.annotator, settings)
            except RecordError as error:
                errors[name] = error
                continue
            rates.setdefault(record.fs, name)
            _append(files, entries, record, settings)
        if errors and (not settings.skip_bad or not entries):
            raise BadRecordsError(list(errors.values()), "No record is left" if settings.skip_bad else SKIP_ADVICE)
        _one_rate(rates)
        for name, file in files.items():
            file.seek(0)
            _write_header(file, name, entries[-1].last, settings.segment)
    finally:
        for file in files.values():
            file.close()
    manifest = {
        "format": FORMAT,
        "key": key,
        "database": database.name,
        "settings": settings.as_mapping(),
        "fs": next(iter(rates)),
        "entries": [asdict(entry) for entry in entries],
        "left_out": database.unreadable | {name: str(error) for name, error in errors.items()},
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
    record = read_record(path, settings.lead, annotator)
    return record if settings.fs in (None, record.fs) else resample_record(record, settings.fs)


def _read(path: Path, annotator: str, settings: SegmentSettings) -> Record:
    record = read_for(path, annotator, settings)
    starts = segment_starts(len(record.signal), settings.segment, record.unscored)
    if not len(starts):
        seconds = settings.segment / record.fs
        problem = f"shorter than a segment: {len(record.signal):,} samples of {settings.segment:,} ({seconds:.1f} s)"
        if len(record.signal) >= settings.segment:
            problem = "no segment lies outside its flutter stretches"
        raise RecordError(path, problem)
    return record


def _append(files: Mapping[str, BinaryIO], entries: list[Entry], record: Record, settings: SegmentSettings) -> None:
    starts = segment_starts(len(record.signal), settings.segment, record.unscored)
    marks = mark_r_peaks(record.r_peaks, len(record.signal))
    unscored = len(record.signal) // settings.segment - len(starts)
    for column, lead in enumerate(record.leads):
        clean = np.ascontiguousarray(record.signal[:, column])
        noisy = clean + gaussian_noise(len(clean), settings.sigma, settings.seed, record.name, lead)
        for name, values in (("noisy", noisy), ("clean", clean), ("r_peaks", marks)):
            segments = cut_segments(values, starts, settings.segment)
            # Not ndarray.tofile, whose error on a full disk has neither number nor reason.
            files[name].write(np.ascontiguousarray(segments, ARRAYS[name]).tobytes())
        first = entries[-1].last if entries else 0
        entries.append(Entry(record.name, lead, len(clean), first, first + len(starts), unscored))


def _write_header(file: BinaryIO, name: str, rows: int, segment: int) -> None:
    """The header of a ``.npy`` file. Its length does not depend on the number of rows, so it can be filled in last."""
    header = {"descr": np.lib.format.dtype_to_descr(ARRAYS[name]), "fortran_order": False, "shape": (rows, segment)}
    np.lib.format.write_array_header_1_0(file, header)


def _one_rate(rates: dict[float, str]) -> None:
    if len(rates) > 1:
        found = ", ".join(f"{name} {fs:g} Hz" for fs, name in rates.items())
        raise StudyError(f"the records have different sampling rates ({found}); choose those of one with --records")
    if next(iter(rates)) <= LOWEST_RATE:
        fs, name = next(iter(rates.items()))
        raise StudyError(
            f"record {name} has {fs:g} Hz; a study needs more than {LOWEST_RATE:g} Hz to hold a QRS complex"
        )
