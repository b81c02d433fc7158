"""Subjects of the records of known databases."""

from __future__ import annotations

from collections.abc import Mapping

from ecg_study.ecg_data.databases.splits import SAME_SUBJECT

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
