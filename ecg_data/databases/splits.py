"""Which records train, validate and test: by person, never by window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ecg_study.errors import EcgStudyError

PARTS = ("train", "validation", "test")

DS1 = tuple("101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230".split())
"""Records to train and validate on (de Chazal et al. 2004)."""

DS2 = tuple("100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234".split())
"""Records to test on, of other people than DS1 but for 201 and 202 (de Chazal et al. 2004)."""

PACED = ("102", "104", "107", "217")
"""Records with paced beats, in neither part (ANSI/AAMI EC57)."""

NOISE_STRESS = ("118", "119")
"""Records of DS1 that the records of the MIT-BIH Noise Stress Test Database are made of: out of training, so that the
noise stress test too is of people never seen."""

MITDB_VALIDATION = ("109", "114", "203", "215", "220")
"""Whole records of DS1 kept for validation: bundle branch block, a V5/MLII pair, fibrillation with noise,
ventricular and atrial ectopy, nearly a quarter of DS1."""

SAME_SUBJECT = {"201": "202"}
"""Record → the record of the same person (MIT-BIH database directory). 201 is in DS1 and 202 in DS2."""

_VALIDATION_SHARE = _TEST_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """The records of each part, and those in none with the reason. No person is in two parts: checked when made.

    Raises:
        StudyError: a record, or two records of one person, would stand in two parts; or a part is empty.
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
                raise EcgStudyError(
                    f"no record is left for {part}; name more with --records, or leave it out to use all"
                )
            for record in self.part(part):
                person = self.subjects.get(record, record)
                other, other_part = seen.setdefault(person, (record, part))
                if other_part != part:
                    raise EcgStudyError(
                        f"records {other} ({other_part}) and {record} ({part}) are of one person; "
                        f"leave one of them out with --records"
                    )

    def part(self, name: str) -> tuple[str, ...]:
        """The records of one of `PARTS`."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def split_mitdb(records: Iterable[str]) -> Split:
    """The inter-patient split of de Chazal et al. (2004), with validation records taken from DS1.

    201 is left out: 202, which is tested, is the same person. So DS2 is whole and of people never seen. 118 and 119 are
    left out too: see `NOISE_STRESS`.

    de Chazal P, O'Dwyer M, Reilly RB. Automatic classification of heartbeats using ECG morphology and heartbeat
    interval features. IEEE Trans Biomed Eng 51(7):1196-1206, 2004.
    """
    present = sorted(set(records))
    excluded_records = {record: "paced: in neither DS1 nor DS2" for record in present if record in PACED}
    excluded_records |= {
        record: "held out of training: the noise stress records are made of it"
        for record in present
        if record in NOISE_STRESS
    }
    test = tuple(record for record in present if record in DS2)
    for record, same in SAME_SUBJECT.items():
        if record in present and same in test:
            excluded_records[record] = f"same person as {same}, which is in test"
    known = set(DS1) | set(DS2) | set(PACED)
    excluded_records |= {
        record: "not a record of the MIT-BIH Arrhythmia Database" for record in present if record not in known
    }
    development = [record for record in present if record in DS1 and record not in excluded_records]
    validation = tuple(record for record in development if record in MITDB_VALIDATION)
    train = tuple(record for record in development if record not in MITDB_VALIDATION)
    return Split(train, validation, test, excluded_records, subjects=SAME_SUBJECT)


def split_by_record(records: Iterable[str], seed: int) -> Split:
    """A seeded split of 60 / 20 / 20 % by record, at least one record a part. Each record is taken as one person."""
    present: Sequence[str] = sorted(set(records))
    if len(present) < len(PARTS):
        raise EcgStudyError(f"{len(present)} records cannot be split into {', '.join(PARTS)}; at least 3 are needed")
    order = [present[i] for i in np.random.default_rng(seed).permutation(len(present))]
    n_test = max(1, round(_TEST_SHARE * len(order)))
    n_validation = max(1, round(_VALIDATION_SHARE * len(order)))
    test, validation, train = order[:n_test], order[n_test : n_test + n_validation], order[n_test + n_validation :]
    return Split(tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)))
