"""Tests of splits: no subject is in two parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.databases.physionet import MITDB_RECORDS
from ecg_study.ecg_data.databases.splits import (
    DS1,
    DS2,
    MITDB_VALIDATION,
    NOISE_STRESS,
    PACED,
    PARTS,
    Split,
    split_by_record,
    split_mitdb,
)
from ecg_study.errors import EcgStudyError


def test_the_published_split() -> None:
    assert len(MITDB_RECORDS) == 48
    assert len(DS1) == len(DS2) == 22
    assert not set(DS1) & set(DS2)
    assert set(MITDB_VALIDATION) <= set(DS1)
    split = split_mitdb(MITDB_RECORDS)
    assert split.test == DS2
    assert set(split.train) | set(split.validation) == set(DS1) - {"201", *NOISE_STRESS}
    assert set(split.excluded_records) == {*PACED, "201", *NOISE_STRESS}
    assert "202" in split.excluded_records["201"]


def test_201_trains_where_202_is_not_tested() -> None:
    records = [record for record in MITDB_RECORDS if record != "202"]
    assert "201" in split_mitdb(records).train


def test_one_record_in_two_parts_is_refused() -> None:
    with pytest.raises(EcgStudyError, match=r"records a \(train\) and a \(test\) are of one subject"):
        Split(train=("a",), validation=("b",), test=("a",))


def test_one_person_in_two_parts_is_refused() -> None:
    with pytest.raises(EcgStudyError, match=r"records 201 \(train\) and 202 \(test\) are of one subject"):
        Split(train=("201",), validation=("b",), test=("202",), subjects={"201": "202"})


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(EcgStudyError, match="no record is left for validation"):
        split_mitdb(["100", "101"])
    with pytest.raises(EcgStudyError, match="at least 3"):
        split_by_record(["a", "b"], seed=1)


@given(st.sets(st.text("abcdef0123", min_size=1), min_size=3, max_size=40), st.integers(0, 2**31))
def test_seeded_split_deals_every_record_once(records: set[str], seed: int) -> None:
    split = split_by_record(records, seed)
    dealt = [record for part in PARTS for record in split.part(part)]
    assert sorted(dealt) == sorted(records)
    assert split == split_by_record(sorted(records, reverse=True), seed)


def test_seed_changes_the_split() -> None:
    records = [f"r{i}" for i in range(20)]
    assert len({split_by_record(records, seed).test for seed in range(5)}) > 1
    assert len(split_by_record(records, 1).test) == len(split_by_record(records, 1).validation) == 4
