"""Tables of groups: which records of a database are of one subject, and where their annotations can be relied on."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.databases.facts import JOINABLE
from ecg_study.ecg_data.databases.physionet import MITDB_RECORDS
from ecg_study.ecg_data.databases.splits import MITDB_NAME
from ecg_study.ecg_data.databases.subjects import subject_of
from ecg_study.errors import DataError
from ecg_study.reading import UnreadableError, read_text

GROUPS_FILE = "groups.csv"
"""Table of ``cinc2014`` with the columns ``record``, ``group``, ``first_mark_s`` and ``last_mark_s``."""

_TIMES = ("first_mark_s", "last_mark_s")

_SECONDS = re.compile(r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True)
class Groups:
    """Content of a table of groups.

    Attributes:
        subjects: record → name of its subject.
        annotated_seconds: record → seconds from the start between which all beats are annotated.
    """

    subjects: Mapping[str, str]
    annotated_seconds: Mapping[str, tuple[float, float]]


def read_groups(path: Path, *, database: str, with_times: bool = True, own: Collection[str] = ()) -> Groups:
    """Read the table with the subjects of a database.

    Cells are divided by commas, semicolons or tabs. Spaces around a cell do not count.

    Args:
        path: a table of groups.
        database: name of the database, with which the names of its subjects begin. A group with a slash keeps its name:
            it is a subject of another database, or the subject of one of its records.
        with_times: whether the columns of times must be there.
        own: names of the user's databases, which a group may name beside the known ones.

    Raises:
        DataError: it is missing; a column or value is missing or wrong; two rows contradict each other; or a group
            names an unknown database or an unknown record of MIT-BIH.
    """
    try:
        rows = _rows(read_text(path))
        names = {name.casefold(): name for name in (*own, *JOINABLE, database)}
        timed = with_times or any(name in rows[0][1] for name in _TIMES if rows)
        subjects: dict[str, str] = {}
        seconds: dict[str, tuple[float, float]] = {}
        spellings: dict[str, str] = {}
        for line, row in rows:
            try:
                record = _filled(row, "record")
                subject = _subject(_filled(row, "group"), database, names)
                if spellings.setdefault(subject.casefold(), subject) != subject:
                    problem = f"the groups {subject!r} and {spellings[subject.casefold()]!r} differ in case only"
                    raise ValueError(f"{problem}; write one subject in one way")
                interval = _interval(row) if timed else (0.0, math.inf)
                if subjects.setdefault(record, subject) != subject:
                    raise ValueError(f"record {record!r} has two groups, {subjects[record]!r} and {subject!r}")
                if seconds.setdefault(record, interval) != interval:
                    raise ValueError(f"record {record!r} has two annotated intervals")
            except ValueError as error:
                raise ValueError(f"line {line:,}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing; it says which records are of one subject") from error
    except KeyError as error:
        raise DataError(f"{path}: has no column {error.args[0]}") from error
    except (UnreadableError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a table of records and their groups ({error})") from error
    return Groups(subjects, seconds if timed else {})


def _rows(text: str) -> list[tuple[int, dict[str, str]]]:
    """Return the line number of each row with content, and its cells by column name."""
    text = text.removeprefix("\ufeff")
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    names: list[str] = []
    rows = []
    for cells in reader:
        cells = [" ".join(unicodedata.normalize("NFC", cell).split()) for cell in cells]
        while cells and not cells[-1]:
            cells.pop()
        if not names:
            names = [name.lower() for name in cells]
            repeated = next((name for name in names if name and names.count(name) > 1), None)
            if repeated is not None:
                raise ValueError(f"several columns have the name {repeated!r}")
        elif len(cells) > len(names):
            raise ValueError(f"line {reader.line_num:,}: has more cells than the first line has names")
        elif cells:
            row = dict(zip(names, cells + [""] * len(names), strict=False))
            if delimiter != ",":  # as spreadsheets write numbers where a comma is the decimal mark
                row |= {name: row[name].replace(",", ".") for name in _TIMES if name in row}
            rows.append((reader.line_num, row))
    return rows


def _filled(row: Mapping[str, str], column: str) -> str:
    if not row[column]:
        raise ValueError(f"a {column} is empty")
    return row[column]


def _subject(group: str, database: str, names: Mapping[str, str]) -> str:
    """Return the subject that a group means."""
    if "\\" in group:
        raise ValueError(f"the group {group!r} has a backslash; write DATABASE/RECORD with a slash")
    if "/" not in group:
        return f"{database}/{group}"
    other, _, name = (part.strip() for part in group.partition("/"))
    if other.casefold() not in names:
        problem = f"the group {group!r} names an unknown database"
        raise ValueError(f"{problem}; use one of {', '.join(sorted(names.values()))}, or a name without a slash")
    if not name:
        raise ValueError(f"the group {group!r} names no record")
    subject = subject_of(f"{names[other.casefold()]}/{name}")
    mitdb, _, record = subject.partition("/")
    if mitdb == MITDB_NAME and record not in MITDB_RECORDS:
        raise ValueError(f"the group {group!r} is not a record of {MITDB_NAME}")
    return subject


def _interval(row: Mapping[str, str]) -> tuple[float, float]:
    first, last = (_seconds(row[name]) for name in _TIMES)
    if first > last:
        raise ValueError(f"{_TIMES[0]} {first:g} is after {_TIMES[1]} {last:g}")
    return first, last


def _seconds(text: str) -> float:
    if not (_SECONDS.fullmatch(text) and math.isfinite(float(text))):
        raise ValueError(f"{text or 'an empty cell'} is not a time in seconds")
    return float(text)


def joined_subjects(
    subjects: Mapping[str, Mapping[str, str]], *, present: Mapping[str, Collection[str]]
) -> dict[str, dict[str, str]]:
    """Return the subjects of several databases, in which a subject that is a record of another one is its subject.

    Args:
        subjects: database → record → its subject, as the databases alone have them.
        present: database → all its records.

    Raises:
        DataError: a group of a table names neither a record nor a subject of another database.
    """
    found = {name: dict(own) for name, own in subjects.items()}
    for _ in found:  # a table may name a record whose table names one of a third database
        found = {name: {record: _person(found, present, name, record) for record in own} for name, own in found.items()}
    return found


def _person(
    subjects: Mapping[str, Mapping[str, str]], present: Mapping[str, Collection[str]], database: str, record: str
) -> str:
    """Return the subject of a record, or that of the record of another database that it names."""
    subject = subjects[database][record]
    other, _, name = subject.partition("/")
    if other == database or other not in subjects:
        return subject
    is_subject = subject in subjects[other].values()
    person = subjects[other].get(name, subject if name in present[other] else None)
    if person is not None and person != subject and is_subject:
        raise DataError(f"{database}/{record}: its group {subject!r} is both a record and another subject of {other}")
    if person is None and not is_subject and other != MITDB_NAME:  # its records are known
        raise DataError(f"{database}/{record}: its group {subject!r} is neither a record nor a subject of {other}")
    return subject if person is None else person
