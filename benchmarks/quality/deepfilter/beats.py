"""Beats of the QT database, prepared as by the authors of DeepFilter."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.recording import ALL_LEADS
from ecg_study.ecg_data.readers.wfdb import Annotations, read_annotations, read_record
from ecg_study.errors import DataError

FS = 360
"""Sampling rate of the prepared beats in Hz."""

SAMPLES, FIRST_SAMPLE = 512, 16
"""Length of a prepared beat, and the place of its first sample; the rest is zero."""

LONGEST = SAMPLES - FIRST_SAMPLE
"""Longer beats are dropped: mostly two beats, between which a mark is missing."""

TEST_RECORDS = (
    *("sel123", "sel233", "sel302", "sel307", "sel820", "sel853", "sel16420"),
    *("sel16795", "sele0106", "sele0121", "sel32", "sel49", "sel14046", "sel15814"),
)
"""Two records of each source of the QT database."""

VALIDATION_RECORDS = (
    *("sel100", "sel223", "sel301", "sel308", "sel808", "sel872", "sel16272"),
    *("sel16773", "sele0411", "sele0604", "sel31", "sel45", "sel14172"),
)
"""Training records on which choices are made: two of each source, but one of the Long-Term ECG Database, of which only
two are for training. The two of the European ST-T Database were chosen for their headers: some of its records seem to
be of one person, since their headers describe the same age, sex, disease and recorder."""

PUBLISHED_COUNTS = (72_002, 13_316)
"""Training and test beats that the published preparation finds."""

_BEFORE_P_SECONDS = 0.04
_ANNOTATOR = "pu1"  # automatic marks of waves, on every beat of the first lead


@dataclass(frozen=True)
class Beats:
    """Clean beats of one lead.

    Attributes:
        signals: float32 array of shape ``(beats, SAMPLES)``, in mV.
        lengths: samples of each beat without padding, at most `LONGEST`.
        records: record of each beat, shape ``(beats,)``.
    """

    signals: np.ndarray
    lengths: np.ndarray
    records: np.ndarray

    def __len__(self) -> int:
        """Return the number of beats."""
        return len(self.signals)

    def of(self, records: Sequence[str]) -> Beats:
        """Return the beats of some records, in their order here."""
        return self.at(np.isin(self.records, records))

    def at(self, rows: np.ndarray) -> Beats:
        """Return the beats of some rows."""
        return Beats(self.signals[rows], self.lengths[rows], self.records[rows])

    @property
    def checksum(self) -> int:
        """Checksum of signals and lengths."""
        return zlib.crc32(self.lengths.tobytes(), zlib.crc32(self.signals.tobytes()))


@dataclass(frozen=True)
class BenchmarkBeats:
    """Beats of all parts.

    Attributes:
        training: beats of the first lead of the training records that are not for validation.
        validation: beats of the first lead of the validation records.
        test: beats of the first lead of the test records.
        second: beats of the second lead of the training records that are not for validation, at the same places.
        second_validation: likewise of the validation records.
    """

    training: Beats
    validation: Beats
    test: Beats
    second: Beats
    second_validation: Beats

    @property
    def counts(self) -> tuple[int, int]:
        """Beats of all training records, validation included, and of the test records."""
        return len(self.training) + len(self.validation), len(self.test)


def read_beats(
    qtdb_dir: Path, *, test: Sequence[str] = TEST_RECORDS, validation: Sequence[str] = VALIDATION_RECORDS
) -> BenchmarkBeats:
    """Read and prepare all beats of the database.

    Args:
        qtdb_dir: folder of the QT database.
        test: test records.
        validation: training records that are held out for choices.

    Raises:
        DataError: the folder has no records, or not these.
        RecordError: a record is missing or damaged.
    """
    names = sorted(path.stem for path in qtdb_dir.glob(f"*.{_ANNOTATOR}"))
    missing = sorted({*test, *validation} - set(names))
    if missing:
        raise DataError(f"{qtdb_dir}: {_listed(missing)} not found; give the folder of the QT database")
    training = [name for name in names if name not in test and name not in validation]
    if not training:
        raise DataError(f"{qtdb_dir}: no training records; give the folder of the QT database")
    first, second = read_leads(qtdb_dir, names)
    # Not everybody recorded two leads in which each beat has a shape.
    second = second.at(np.ptp(second.signals, axis=1) > 0)
    return BenchmarkBeats(
        training=first.of(training),
        validation=first.of(validation),
        test=first.of(test),
        second=second.of(training),
        second_validation=second.of(validation),
    )


def read_leads(qtdb_dir: Path, names: Sequence[str]) -> tuple[Beats, Beats]:
    """Return the prepared beats of the first and of the second lead of some records, at the same places."""
    parts: tuple[list[Beats], list[Beats]] = ([], [])
    for name in names:
        record = read_record(qtdb_dir / name, lead=ALL_LEADS, annotator=None)
        marks = read_annotations(qtdb_dir / name, annotator=_ANNOTATOR)
        intervals = beat_intervals(marks, fs=record.fs)
        for part, lead in zip(parts, record.signal.T, strict=False):
            beats = prepare_beats(lead, intervals, fs=record.fs)
            part.append(replace(beats, records=np.full(len(beats), name)))
    first, second = (
        Beats(
            np.concatenate([part.signals for part in lead]),
            np.concatenate([part.lengths for part in lead]),
            np.concatenate([part.records for part in lead]),
        )
        for lead in parts
    )
    return first, second


def beat_intervals(marks: Annotations, *, fs: float) -> np.ndarray:
    """Return the beats of a record: from 40 ms before a P onset to the next such place.

    An interval with two QRS complexes or more is no beat: a P wave is not marked in it.

    Args:
        marks: wave onsets ``(``, P waves ``p`` and QRS complexes ``N``.
        fs: sampling rate of the marks in Hz.

    Returns:
        int64 array of shape ``(beats, 2)``: start and end in samples, end excluded.
    """
    symbols = np.array(marks.symbols)
    onsets, p_waves, r_peaks = (marks.samples[symbols == symbol] for symbol in ("(", "p", "N"))
    place = np.searchsorted(onsets, p_waves, side="left") - 1  # the last onset before the P wave
    borders = onsets[place[place >= 0]] - int(_BEFORE_P_SECONDS * fs)
    starts, ends = borders[:-1], borders[1:]
    inside = np.searchsorted(r_peaks, ends, side="left") - np.searchsorted(r_peaks, starts, side="right")
    kept = (inside < 2) & (ends > starts) & (starts >= 0)
    return np.column_stack([starts[kept], ends[kept]]).astype(np.int64)


def prepare_beats(lead: np.ndarray, intervals: np.ndarray, *, fs: float) -> Beats:
    """Resample beats to `FS`, each on its own and mirrored at both ends, move their ends to zero, and pad them.

    Args:
        lead: mV, shape ``(samples,)``.
        intervals: as from `beat_intervals`.
        fs: sampling rate of the lead in Hz, a whole number.

    Returns:
        The beats that are not longer than `LONGEST`; their record is empty.
    """
    from scipy.signal import resample_poly

    before = intervals[:, 1] - intervals[:, 0]
    after = np.array([math.ceil(samples * FS / fs) for samples in before.tolist()], np.int64)
    intervals, before, after = (values[after <= LONGEST] for values in (intervals, before, after))
    signals = np.zeros((len(intervals), SAMPLES), np.float32)
    for samples in np.unique(before):  # beats of one length at once
        rows = np.flatnonzero(before == samples)
        cut = lead[intervals[rows, :1] + np.arange(samples)].astype(np.float64)
        length = int(after[rows[0]])
        mirrored = np.concatenate([cut[:, ::-1], cut, cut[:, ::-1]], axis=1)
        beats = resample_poly(mirrored, FS, round(fs), axis=1)[:, length - 1 : 2 * length - 1]
        beats = beats - (beats[:, :1] + beats[:, -1:]) / 2
        signals[rows, FIRST_SAMPLE : FIRST_SAMPLE + length] = beats
    return Beats(signals, after, np.full(len(signals), ""))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} others"
