"""Segments of the validation records on which scores are computed, and the halves of their subjects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ecg_study.training.task import TrainingTask

_MOST_SEGMENTS = 1_000
"""Segments of all validation records together: 5,000 to 7,000 beats, judged in seconds."""


@dataclass(frozen=True)
class ValidationSegments:
    """Rows of a cache, evenly over records and time.

    Attributes:
        rows: the rows.
        records: number of the record of each row, from 0.
        first_half: whether the subject of each row is in the first half of the subjects. If there is one subject only,
            the halves are those of its recordings.
        databases: number of the database of each record, from 0.
        subjects: number of the subject of each row, from 0.
        names: name of each subject.
    """

    rows: np.ndarray
    records: np.ndarray
    first_half: np.ndarray
    databases: np.ndarray
    subjects: np.ndarray
    names: tuple[str, ...]

    def groups(self, *, first: bool) -> list[np.ndarray]:
        """Return the numbers of the records that one half of the subjects has, for each database that has any.

        With one subject, or with one in each half of a single record, both halves are all records.
        """
        own = np.unique(self.records[self.first_half == first])
        others = np.unique(self.records[self.first_half != first])
        if not len(own) or np.intersect1d(own, others).size:
            own = np.arange(len(self.databases))
        found = [own[self.databases[own] == number] for number in np.unique(self.databases)]
        return [numbers for numbers in found if len(numbers)]


def choose_segments(task: TrainingTask) -> ValidationSegments:
    """Return the segments of the validation records of a task that scores use."""
    records, subjects = task.split.validation, task.split.subjects
    names = [subjects.get(record, record) for record in records]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    most = math.ceil(_MOST_SEGMENTS / len(records))
    rows, first = [], []
    for record, name in zip(records, names, strict=True):
        own = task.cache.rows([record])
        kept = own[np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(np.int64)]
        alone = np.arange(len(kept)) < len(kept) / 2
        rows.append(kept)
        first.append(alone if len(numbers) == 1 else np.full(len(kept), numbers[name] % 2 == 0))
    databases = [record.rpartition("/")[0] for record in records]
    order = {name: number for number, name in enumerate(dict.fromkeys(databases))}
    lengths = [len(own) for own in rows]
    return ValidationSegments(
        np.concatenate(rows),
        np.repeat(np.arange(len(rows)), lengths),
        np.concatenate(first),
        np.array([order[name] for name in databases]),
        np.repeat([numbers[name] for name in names], lengths),
        tuple(numbers),
    )
