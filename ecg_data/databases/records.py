"""Records of a database, as a study uses them."""

from __future__ import annotations

import math
from dataclasses import replace

from ecg_study.ecg_data.alignment import align_marks
from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.readers.recording import AUTO_LEAD, HIGHEST_RATE, LOWEST_RATE, Record
from ecg_study.ecg_data.readers.wfdb import read_header, read_record
from ecg_study.ecg_data.resampling import resample_record
from ecg_study.errors import DataError

COMMON_RATE = 360.0
"""Sampling rate in Hz that records of different rates are resampled to: that of MIT-BIH and of the noise records."""

_ROUNDING = 0.005  # s: the times of `Database.annotated_seconds` have two digits


def read_database_record(
    database: Database,
    name: str,
    *,
    lead: str,
    fs: float | None = None,
    annotated: bool = True,
    aligned: bool = False,
) -> Record:
    """Read a record of a database, under its name there.

    What lies before or after the annotations of a record is an excluded interval, if the database says where they
    begin and end.

    Args:
        database: the database, or several.
        name: one of its records.
        lead: see `read_record`.
        fs: sampling rate in Hz that the record is resampled to (default: its own).
        annotated: whether to read the annotations.
        aligned: whether to move marks that may lie off the R peaks to those of the lead that ``"auto"`` selects.

    Raises:
        RecordError: see `read_record`.
    """
    path, annotator = database.path(name), database.annotator_of(name) if annotated else None
    symbols = database.beat_symbols(name)
    record = replace(read_record(path, lead=lead, annotator=annotator, symbols=symbols), name=name)
    if annotated and name in database.annotated_seconds:
        first, last = database.annotated_seconds[name]
        samples = len(record.signal)
        begin = min(samples, max(0, math.floor((first - _ROUNDING) * record.fs)))
        end = min(samples, math.ceil((last + _ROUNDING) * record.fs) + 1)
        outside = [(start, stop) for start, stop in ((0, begin), (end, samples)) if stop > start]
        record = replace(record, excluded_intervals=tuple(sorted((*record.excluded_intervals, *outside))))
    if not (aligned and annotated and database.has_moved_marks(name)):
        return _resampled(record, fs)
    reference = record
    if lead != AUTO_LEAD:  # the marks of a beat are the same in all leads
        reference = replace(record, signal=read_record(path, annotator=None).signal)
    reference, record = _resampled(reference, fs), _resampled(record, fs)
    marks = align_marks(reference.signal[:, 0], reference.r_peaks, fs=reference.fs)
    return replace(record, r_peaks=marks.r_peaks, mark_offset_s=marks.offset_s)


def _resampled(record: Record, fs: float | None) -> Record:
    return record if fs in (None, record.fs) else resample_record(record, fs)


def common_rate(database: Database) -> float | None:
    """Return the sampling rate in Hz that the records must be resampled to; ``None`` if all have the same.

    Raises:
        RecordError: a header cannot be read.
        DataError: they have different sampling rates, one of which is not supported.
    """
    rates = {name: read_header(database.path(name)).fs for name in database.records}
    if len(set(rates.values())) == 1:
        return None
    for name, fs in rates.items():
        if fs is not None and not LOWEST_RATE <= fs <= HIGHEST_RATE:
            raise DataError(f"record {name}: has {fs:g} Hz; a study needs {LOWEST_RATE:g} to {HIGHEST_RATE:,g} Hz")
    return COMMON_RATE
