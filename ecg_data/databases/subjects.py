"""Subjects of the records of known databases, and where their annotations can be relied on."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.databases.splits import SAME_SUBJECT
from ecg_study.errors import DataError
from ecg_study.reading import UnreadableError, read_text

GROUPS_FILE = "groups.csv"
"""Table of ``cinc2014`` with the columns ``record``, ``group``, ``first_mark_s`` and ``last_mark_s``."""

_TIMES = ("first_mark_s", "last_mark_s")

_EXCERPTS_OF_MITDB = tuple("100 102 103 104 114 116 117 123 213 221 223 230 231 232 233".split())
"""Records of MIT-BIH of which the QT database holds an excerpt, ``sel100`` and so on (the headers name them)."""

_SAME_HEADER = {
    "sele0116": "sele0110",
    "sele0136": "sele0110",
    "sele0122": "sele0121",
    "sele0126": "sele0124",
    "sele0133": "sele0129",
}
"""Records of the QT database from the European ST-T Database, in which 79 subjects have 90 records. The headers of
these have the age, sex and diagnoses of another; that they are of one subject is a guess on the safe side."""

SUBJECTS: Mapping[str, Mapping[str, str]] = {
    "mitdb": {record: f"mitdb/{other}" for record, other in SAME_SUBJECT.items()},
    "qtdb": {f"sel{name}": f"mitdb/{name}" for name in _EXCERPTS_OF_MITDB}
    | {record: f"qtdb/{other}" for record, other in _SAME_HEADER.items()},
}
"""Subjects by database and record. A record that is not listed is a subject of its own."""


def subject_of(record: str) -> str:
    """Return the subject of a record such as ``"qtdb/sel100"``; its own name, unless `SUBJECTS` has it."""
    database, _, name = record.partition("/")
    return SUBJECTS.get(database, {}).get(name, record)


@dataclass(frozen=True)
class Groups:
    """Content of a `GROUPS_FILE`.

    Attributes:
        subjects: record → name of its subject.
        annotated_seconds: record → seconds from the start between which all beats are annotated.
    """

    subjects: Mapping[str, str]
    annotated_seconds: Mapping[str, tuple[float, float]]


def read_groups(path: Path, *, database: str, with_times: bool = True) -> Groups:
    """Read the table with the subjects of a database.

    Args:
        path: a `GROUPS_FILE`.
        database: name of the database, with which the names of its subjects begin. A group with a slash keeps its name:
            it is a subject of another database.
        with_times: whether the columns of times must be there.

    Raises:
        DataError: it is missing, or a column or value is missing or wrong.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path))))
        subjects = {row["record"]: _subject(row["group"], database) for row in rows}
        timed = with_times or any(name in row for row in rows for name in _TIMES)
        seconds = {row["record"]: (_seconds(row[_TIMES[0]]), _seconds(row[_TIMES[1]])) for row in rows if timed}
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; it says which records are of one subject") from error
    except KeyError as error:
        raise DataError(f"{path}: has no column {error.args[0]}") from error
    except (UnreadableError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: not a table of records and their groups ({error})") from error
    return Groups(subjects, seconds)


def _subject(group: str, database: str) -> str:
    if not group:
        raise ValueError("a group is empty")
    return group if "/" in group else f"{database}/{group}"


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{text} is not a time in seconds")
    return value
