"""Errors of many records are one line that can be read."""

from __future__ import annotations

from ecg_study.errors import RecordError, RecordErrors


def test_records_with_the_same_problem_are_listed_together() -> None:
    errors = [RecordError(f"r{number}", "is empty") for number in range(8)]
    errors.insert(1, RecordError("other", "has no leads"))
    assert str(RecordErrors(errors, "leave them out")) == (
        "9 records cannot be used: r0, r1, r2, r3, r4 and 3 others: is empty; other: has no leads; leave them out"
    )


def test_of_many_problems_the_first_are_listed() -> None:
    errors = [RecordError(f"r{number}", f"has problem {number}") for number in range(48)]
    message = str(RecordErrors(errors, "leave them out"))
    assert message.startswith("48 records cannot be used: r0: has problem 0; r1: has problem 1; ")
    assert message.endswith("r4: has problem 4; and 43 others; leave them out")
    assert len(RecordErrors(errors, "").errors) == 48
