"""Reading records for a cache of segments, and writing its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ecg_study.ecg_data.databases.catalog import Database, unusable_records
from ecg_study.ecg_data.databases.records import read_database_record
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.readers.recording import ALL_LEADS, HIGHEST_RATE, LOWEST_RATE, Record
from ecg_study.ecg_data.readers.wfdb import read_header
from ecg_study.ecg_data.segments.cutting import cut_segments, mark_r_peaks, segment_starts
from ecg_study.ecg_data.segments.layout import WANDER_REMOVED, CachedLead, SegmentSettings, array_file
from ecg_study.errors import DataError, RecordError
from ecg_study.progress import Progress


def read_lead_record(database: Database, name: str, *, settings: SegmentSettings) -> Record:
    """Read the leads of a record that the settings select, at the sampling rate of the settings.

    Raises:
        RecordError: see `read_record`.
    """
    return read_database_record(database, name, lead=settings.lead, fs=settings.fs, aligned=settings.aligned)


@dataclass(frozen=True)
class WrittenArrays:
    """Result of `write_arrays`.

    Attributes:
        fs: sampling rate in Hz.
        entries: rows of each lead.
        excluded_records: reason for each record, or lead of a record, that cannot be used.
        mark_offsets_ms: record → ms that its marks lay after the R peaks; empty if they were not moved.
    """

    fs: float
    entries: list[CachedLead] = field(default_factory=list)
    excluded_records: dict[str, str] = field(default_factory=dict)
    mark_offsets_ms: dict[str, float] = field(default_factory=dict)


def write_arrays(
    directory: Path, database: Database, *, settings: SegmentSettings, progress: Progress | None
) -> WrittenArrays:
    """Write the arrays of a cache, with one record in memory at a time.

    The arrays are appended to with ordinary writes, which report a full disk as an error. Writing to a memory map would
    end the process with a signal instead.

    Raises:
        RecordErrors: records cannot be used.
        DataError: the records have different sampling rates, or one that is not supported.
    """
    entries: list[CachedLead] = []
    errors: dict[str, RecordError] = {}
    unusable_leads: dict[str, str] = {}
    rates: dict[float, str] = {}
    offsets: dict[str, float] = {}
    types = settings.arrays
    files = {name: open(directory / array_file(name), "wb") for name in types}
    try:
        for name, file in files.items():
            _write_header(file, types[name], (0, settings.segment_samples))
        for done, name in enumerate(database.records):
            if progress is not None:
                progress("Segments", done, len(database.records))
            try:
                record = _read_record(database, name, settings)
            except RecordError as error:
                errors[name] = error
                continue
            rates.setdefault(record.fs, name)
            if settings.aligned and database.has_moved_marks(name):
                offsets[name] = round(1000 * record.mark_offset_s, 1)
            _append(files, entries, record, settings, training_only=False)
            if settings.augmented:
                others, reasons = _other_leads(database, record, settings)
                for other in others:
                    _append(files, entries, other, settings, training_only=True)
                unusable_leads |= reasons
        if errors and (not settings.skip_invalid or not entries):
            raise unusable_records(list(errors.values()), skip_invalid=settings.skip_invalid)
        fs = _common_rate(rates)
        for name, file in files.items():
            file.seek(0)
            _write_header(file, types[name], (entries[-1].last, settings.segment_samples))
    finally:
        for file in files.values():
            file.close()
    if progress is not None:
        progress("Segments", len(database.records), len(database.records))
    excluded = {name: str(error) for name, error in errors.items()} | unusable_leads
    return WrittenArrays(fs, entries, excluded, offsets)


def _read_record(database: Database, name: str, settings: SegmentSettings) -> Record:
    record = read_lead_record(database, name, settings=settings)
    needed, samples = settings.segment_samples, len(record.signal)
    if not len(segment_starts(samples, needed, excluded_intervals=record.excluded_intervals)):
        problem = f"shorter than a segment: {samples:,} of {needed:,} samples ({needed / record.fs:.1f} s)"
        if samples >= needed:
            problem = "every segment touches an interval in which beats are not annotated"
        raise RecordError(database.path(name), problem)
    return record


def _other_leads(database: Database, record: Record, settings: SegmentSettings) -> tuple[list[Record], dict[str, str]]:
    """Return the leads of a record that the settings do not select, and reasons for those that cannot be used.

    An unusable one is not an error of the record: it may be flat, not a voltage (respiration, acceleration) or have
    missing samples.
    """
    try:
        whole = read_lead_record(database, record.name, settings=replace(settings, lead=ALL_LEADS))
        columns = [column for column, lead in enumerate(whole.leads) if lead not in record.leads]
        leads = tuple(whole.leads[column] for column in columns)
        return [replace(whole, signal=whole.signal[:, columns], leads=leads)], {}
    except RecordError:
        pass  # one of the leads: read each separately
    others: list[Record] = []
    reasons: dict[str, str] = {}
    for lead in read_header(database.path(record.name)).names:
        if lead in record.leads:
            continue
        try:
            others.append(read_lead_record(database, record.name, settings=replace(settings, lead=lead)))
        except RecordError as error:
            reasons[f"{record.name}, lead {lead}"] = error.problem
    return others, reasons


def _append(
    files: Mapping[str, BinaryIO],
    entries: list[CachedLead],
    record: Record,
    settings: SegmentSettings,
    *,
    training_only: bool,
) -> None:
    samples, length = len(record.signal), settings.segment_samples
    starts = segment_starts(samples, length, excluded_intervals=record.excluded_intervals)
    marks = mark_r_peaks(record.r_peaks, samples)
    sigma, excluded = settings.noise_sigma_mv, samples // length - len(starts)
    for column, lead in enumerate(record.leads):
        clean = np.ascontiguousarray(record.signal[:, column])
        noise = gaussian_noise(samples, sigma_mv=sigma, seed=settings.seed, record=record.name, lead=lead)
        arrays = {"noisy": clean + noise, "clean": clean, "r_peaks": marks}
        if settings.augmented:
            arrays[WANDER_REMOVED] = remove_baseline_wander(clean, record.fs)
        for name, values in arrays.items():
            segments = cut_segments(values, starts, segment_samples=length)
            # Not ndarray.tofile: its error for a full disk has neither number nor reason.
            files[name].write(np.ascontiguousarray(segments, settings.arrays[name]).tobytes())
        first = entries[-1].last if entries else 0
        entries.append(CachedLead(record.name, lead, samples, first, first + len(starts), excluded, training_only))


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, int]) -> None:
    """Write the header of a ``.npy`` file; its length does not depend on the shape, so it can be replaced later."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _common_rate(rates: Mapping[float, str]) -> float:
    """Return the only key of sampling rate → name of a record."""
    if len(rates) > 1:
        found = ", ".join(f"{name} {fs:g} Hz" for fs, name in rates.items())
        problem = f"the records have different sampling rates ({found}); choose records of one sampling rate"
        raise DataError(problem, parameters=("records",))
    fs, name = next(iter(rates.items()))
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        # Models do not accept other sampling rates.
        raise DataError(f"record {name}: has {fs:g} Hz; a study needs {LOWEST_RATE:g} to {HIGHEST_RATE:,g} Hz")
    return fs
