"""Whole leads for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.segments.building import read_lead_record
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.ecg_data.segments.cutting import mark_r_peaks, window_labels
from ecg_study.errors import InputError
from ecg_study.evaluation.matching import Matches, match_r_peaks


@dataclass(frozen=True)
class EvaluationLead:
    """One whole lead of an evaluation record.

    Attributes:
        record: name of the record.
        lead: name of the lead.
        fs: sampling rate in Hz.
        clean: lead as recorded in mV, shape ``(samples,)``.
        noisy: the same with Gaussian noise, as in the cached segments.
        r_peaks: sample indices of the annotated R peaks.
        excluded_intervals: ``(start, end)`` in samples, end excluded; they are not scored.
        aligned_r_peaks: the same R peaks after `align_marks`, or ``None`` if this is not asked for.
        subject: the person; empty if the record is the only one of its person.
    """

    record: str
    lead: str
    fs: float
    clean: np.ndarray
    noisy: np.ndarray
    r_peaks: np.ndarray
    excluded_intervals: tuple[tuple[int, int], ...]
    aligned_r_peaks: np.ndarray | None = None
    subject: str = ""

    @property
    def name(self) -> str:
        """Name of the record and of the lead."""
        return f"{self.record} {self.lead}"

    @property
    def person(self) -> str:
        """The subject, or the record if it is the only one of its subject."""
        return self.subject or self.record

    def window_labels(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Label the windows.

        Args:
            window: samples per window.

        Returns:
            Whether each window holds an R peak, and whether it is scored: bool arrays, shape ``(samples // window,)``.
        """
        whole = len(self.clean) // window * window
        labels = window_labels(mark_r_peaks(self.r_peaks, len(self.clean))[:whole], window)
        scored = np.ones(len(labels), dtype=bool)
        for start, end in self.excluded_intervals:
            scored[start // window : -(-end // window)] = False
        return labels, scored


def read_leads(cache: SegmentCache, database: Database, *, records: Sequence[str]) -> list[EvaluationLead]:
    """Read whole leads of some records, with the noise of their cached segments."""
    leads = []
    settings = cache.settings
    for name in dict.fromkeys(entry.record for entry in cache.entries_of(records)):
        record = read_lead_record(database, name, settings=settings)
        for column, lead in enumerate(record.leads):
            clean = np.ascontiguousarray(record.signal[:, column])
            noisy = clean + gaussian_noise(
                len(clean), sigma_mv=settings.noise_sigma_mv, seed=settings.seed, record=name, lead=lead
            )
            leads.append(
                EvaluationLead(
                    name,
                    lead,
                    record.fs,
                    clean,
                    noisy,
                    record.r_peaks,
                    record.excluded_intervals,
                    subject=database.member(name).subject,
                )
            )
    return leads


def match(lead: EvaluationLead, r_peaks: np.ndarray, *, tolerance_ms: int, skip_seconds: float = 0.0) -> Matches:
    """Match detections with the annotations of a lead.

    Args:
        lead: the lead.
        r_peaks: sample indices of the detections.
        tolerance_ms: largest distance of a pair in ms.
        skip_seconds: seconds at the start of the lead that are excluded.
    """
    excluded = lead.excluded_intervals
    if skip_seconds:
        excluded = (*excluded, (0, round(skip_seconds * lead.fs)))
    tolerance = tolerance_samples(tolerance_ms, fs=lead.fs)
    return match_r_peaks(lead.r_peaks, r_peaks, tolerance=tolerance, excluded_intervals=excluded)


def by_record(leads: Sequence[EvaluationLead], rows: np.ndarray, *, mean: bool = False) -> np.ndarray:
    """Combine rows of leads into one row per record, in the order of `subjects_by_record`.

    The leads of one record are not independent, so intervals are computed over records, and over the subjects of these.

    Args:
        leads: the leads.
        rows: one row per lead.
        mean: take the mean of a record's leads instead of their sum.
    """
    names = np.array([lead.record for lead in leads])
    join = np.nanmean if mean else np.sum
    return np.stack([join(rows[names == name], axis=0) for name in dict.fromkeys(names.tolist())])


def subjects_by_record(leads: Sequence[EvaluationLead]) -> dict[str, str]:
    """Return record → subject, in the order of the rows of `by_record`."""
    return {lead.record: lead.person for lead in leads}


def databases_of(records: Sequence[str]) -> list[str]:
    """Return the databases of records of several databases; empty if they are of one."""
    found = list(dict.fromkeys(record.partition("/")[0] for record in records if "/" in record))
    return found if len(found) > 1 else []


def rows_of(records: Sequence[str], *, database: str) -> slice | np.ndarray:
    """Return the rows of the records of one database, or of all.

    Raises:
        InputError: none of the records is of this database.
    """
    if not database:
        return slice(None)
    rows = np.array([record.startswith(f"{database}/") for record in records], dtype=bool)
    if not rows.any():
        names = ", ".join(map(repr, databases_of(records)))
        raise InputError(f"database: {database!r} has none of the records; choose from {names}")
    return rows
