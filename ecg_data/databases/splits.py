"""Splits into training, validation and test records: by subject, never by window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    present = sorted(set(records))
    excluded = {record: "paced: in neither DS1 nor DS2" for record in present if record in PACED}
    excluded |= {
        record: "held out of training: the noise stress records are made of it"
        for record in present
        if record in NOISE_STRESS
    }
    test = tuple(record for record in present if record in DS2)
    for record, same in SAME_SUBJECT.items():
        if record in present and same in test:
            excluded[record] = f"same subject as {same}, which is in test"
    known = set(DS1) | set(DS2) | set(PACED)
    excluded |= {record: "not a record of the MIT-BIH Arrhythmia Database" for record in present if record not in known}
    development = [record for record in present if record in DS1 and record not in excluded]
    validation = tuple(record for record in development if record in MITDB_VALIDATION)
    train = tuple(record for record in development if record not in MITDB_VALIDATION)
    return Split(train, validation, test, excluded, subjects=SAME_SUBJECT)


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
