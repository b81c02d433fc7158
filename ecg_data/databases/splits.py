"""Splits into training, validation and test records: by subject, never by window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from ecg_study.errors import DataError

Part = Literal["train", "validation", "test"]

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
PARTS: tuple[Part, ...] = (TRAIN, VALIDATION, TEST)

DS1 = tuple("101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230".split())
"""Records for training and validation (de Chazal et al. 2004)."""

DS2 = tuple("100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234".split())
"""Test records; except for 201 and 202, of other subjects than DS1 (de Chazal et al. 2004)."""

PACED = ("102", "104", "107", "217")
"""Records with paced beats, in neither DS1 nor DS2 (ANSI/AAMI EC57)."""

NOISE_STRESS = ("118", "119")
"""Records of DS1 that the MIT-BIH Noise Stress Test Database is made of. They are excluded from training, so that the
noise stress test has unseen subjects too."""

MITDB_VALIDATION = ("109", "114", "203", "215", "220")
"""Whole records of DS1 for validation: bundle branch block, a V5/MLII pair, fibrillation with noise, ventricular and
atrial ectopy; nearly a quarter of DS1."""

SAME_SUBJECT = {"201": "202"}
"""Record → record of the same subject (MIT-BIH database directory); 201 is in DS1 and 202 in DS2."""

MITDB_NAME: Final = "mitdb"

_VALIDATION_SHARE = _TEST_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """Records of each part, and reasons for the records in no part.

    No subject is in two parts; this is checked on construction.

    Attributes:
        train: names of the training records.
        validation: names of the validation records.
        test: names of the test records.
        excluded_records: record → reason why it is in no part.
        subjects: record → name of its subject, if that is not the record's own name.

    Raises:
        DataError: a record or a subject is in two parts, or a part is empty.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    excluded_records: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[str, tuple[str, str]] = {}
        for part in PARTS:
            if not self.part(part):
                problem = f"no record is left for {part}; choose more records, or omit records to use all"
                raise DataError(f"split: {problem}", parameters=("records",))
            for record in self.part(part):
                subject = self.subjects.get(record, record)
                other, other_part = seen.setdefault(subject, (record, part))
                if other_part != part:
                    problem = f"records {other} ({other_part}) and {record} ({part}) are of one subject"
                    raise DataError(f"split: {problem}; choose records without one of them", parameters=("records",))

    def part(self, name: Part) -> tuple[str, ...]:
        """Return the records of one part."""
        return {TRAIN: self.train, VALIDATION: self.validation, TEST: self.test}[name]


def split_mitdb(records: Iterable[str]) -> Split:
    """Split MIT-BIH by subject as de Chazal et al. (2004), with validation records taken from DS1.

    Record 201 is excluded because test record 202 is of the same subject. So DS2 is complete, and all its subjects are
    unseen. Records 118 and 119 are excluded too: see `NOISE_STRESS`.

    References:
        de Chazal P, O'Dwyer M, Reilly RB. Automatic classification of heartbeats using ECG morphology and heartbeat
        interval features. IEEE Trans Biomed Eng 51(7):1196-1206, 2004.
    """
    sides, excluded = _mitdb_sides(records)
    train, validation, test = (tuple(name for name, side in sides.items() if side == part) for part in PARTS)
    return Split(train, validation, test, excluded, subjects=SAME_SUBJECT)


def _mitdb_sides(records: Iterable[str]) -> tuple[dict[str, Part], dict[str, str]]:
    """Return the part of each record of MIT-BIH, and the reason for each that is in none."""
    present = sorted(set(records))
    excluded = {record: "paced: in neither DS1 nor DS2" for record in present if record in PACED}
    excluded |= {
        record: "held out of training: the noise stress records are made of it"
        for record in present
        if record in NOISE_STRESS
    }
    for record, same in SAME_SUBJECT.items():
        if record in present and same in present:
            excluded[record] = f"same subject as {same}, which is in test"
    known = set(DS1) | set(DS2) | set(PACED)
    excluded |= {record: "not a record of the MIT-BIH Arrhythmia Database" for record in present if record not in known}
    sides: dict[str, Part] = {}
    for record in present:
        if record not in excluded:
            sides[record] = TEST if record in DS2 else VALIDATION if record in MITDB_VALIDATION else TRAIN
    return sides, excluded


@dataclass(frozen=True)
class Member:
    """A record of a database, by names that are unique over all databases.

    Attributes:
        record: name of the record in the split.
        database: name of its database.
        name: name of the record in its database.
        subject: its subject, such as ``"mitdb/100"``.
    """

    record: str
    database: str
    name: str
    subject: str

    @property
    def source(self) -> str | None:
        """The record of MIT-BIH that this record of another database is an excerpt of."""
        database, _, name = self.subject.partition("/")
        return name if database == MITDB_NAME != self.database else None


def split_by_subject(
    members: Sequence[Member], *, seed: int, test_database: str = "", whole: Mapping[str, Part] = MappingProxyType({})
) -> Split:
    """Split the records of one or several databases; a subject of two databases is in one part.

    MIT-BIH is split as by `split_mitdb`. The subjects of each other database are split at random into 60 %, 20 % and
    20 %, the same whether the database is used alone or with others. An excerpt of MIT-BIH is always on the side of its
    source, even if MIT-BIH is not used, so a model never meets a subject on both sides.

    Args:
        members: the records.
        seed: seed of the random split.
        test_database: put all records of this database into the test part, and the test records of the others into the
            training part. If MIT-BIH is used too, its excerpts in the test database, or elsewhere if MIT-BIH is the
            test database, are excluded: they are no records of another database, and without their sources training
            would lose twice the recordings.
        whole: database → `TEST` if all its records are tested, `TRAIN` if none of them is.

    Raises:
        DataError: a part is empty.
    """
    sides: dict[str, Part] = {}
    excluded: dict[str, str] = {}
    databases = list(dict.fromkeys(member.database for member in members))
    for database in databases:
        own = [member for member in members if member.database == database]
        parts, reasons = _mitdb_members(own) if database == MITDB_NAME else _other_members(own, seed)
        if database == test_database:
            parts, reasons = {member.record: TEST for member in own}, {}
        elif test_database:
            if database == MITDB_NAME:  # 201 need not give way to 202, which is not tested
                parts |= {member.record: TEST for member in own if member.name in SAME_SUBJECT}
            parts = {record: TRAIN if part == TEST else part for record, part in parts.items()}
            reasons = {record: reason for record, reason in reasons.items() if record not in parts}
        if database in whole:
            only_test = whole[database] == TEST
            parts = {record: TEST if only_test else TRAIN if part == TEST else part for record, part in parts.items()}
        for member in own:
            if member.source and MITDB_NAME in databases and test_database in (MITDB_NAME, database):
                parts.pop(member.record, None)
                reasons[member.record] = f"excerpt of {member.subject}, not a record of another database"
        sides |= parts
        excluded |= reasons
    subjects = {member.record: member.subject for member in members}
    train, validation, test = (tuple(sorted(name for name, side in sides.items() if side == part)) for part in PARTS)
    return Split(train, validation, test, excluded, subjects)


def _mitdb_members(members: Sequence[Member]) -> tuple[dict[str, Part], dict[str, str]]:
    sides, reasons = _mitdb_sides(member.name for member in members)
    names = {member.name: member.record for member in members}
    return {names[name]: side for name, side in sides.items()}, {names[name]: why for name, why in reasons.items()}


def _other_members(members: Sequence[Member], seed: int) -> tuple[dict[str, Part], dict[str, str]]:
    subjects = sorted({member.subject for member in members if member.source is None})
    order = [subjects[i] for i in np.random.default_rng(seed).permutation(len(subjects))]
    n_test, n_validation = round(_TEST_SHARE * len(order)), round(_VALIDATION_SHARE * len(order))
    drawn: dict[str, Part] = dict.fromkeys(order, TRAIN)
    drawn |= dict.fromkeys(order[:n_test], TEST)
    drawn |= dict.fromkeys(order[n_test : n_test + n_validation], VALIDATION)
    published, why_not = _mitdb_sides((*DS1, *DS2, *PACED))
    sides: dict[str, Part] = {}
    reasons: dict[str, str] = {}
    for member in members:
        if member.source in why_not:
            reasons[member.record] = f"excerpt of {member.subject}, which is excluded ({why_not[member.source]})"
        else:
            sides[member.record] = drawn[member.subject] if member.source is None else published[member.source]
    return sides, reasons


def split_by_record(records: Iterable[str], seed: int) -> Split:
    """Split records at random into 60 %, 20 % and 20 %, with at least one record per part.

    Each record counts as one subject.

    Raises:
        DataError: there are fewer than three records.
    """
    present: Sequence[str] = sorted(set(records))
    if len(present) < len(PARTS):
        problem = f"{len(present)} records cannot be split into {', '.join(PARTS)}; use at least 3"
        raise DataError(f"split: {problem}", parameters=("records",))
    order = [present[i] for i in np.random.default_rng(seed).permutation(len(present))]
    n_test = max(1, round(_TEST_SHARE * len(order)))
    n_validation = max(1, round(_VALIDATION_SHARE * len(order)))
    test, validation, train = order[:n_test], order[n_test : n_test + n_validation], order[n_test + n_validation :]
    return Split(tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)))
