"""Folds for choices: subjects of DS1 alone, and options that are checked."""

from __future__ import annotations

from itertools import combinations

import pytest

from benchmarks.quality import folds
from ecg_study.ecg_data.databases.splits import DS1, DS2
from ecg_study.errors import EcgStudyError


def test_folds_have_no_test_subject() -> None:
    for held in folds.FOLDS.values():
        assert set(held) < set(DS1) - {"118", "119", "201"}
        assert not set(held) & set(DS2)
    for one, other in combinations(folds.FOLDS.values(), 2):
        assert not set(one) & set(other)


def test_values_of_the_augmentation_are_read_as_json() -> None:
    given = [
        "transform_noise=true",
        "pause_probability=0.3",
        "snr_range_db=[-8, 15]",
        "gaussian_sigma_range_mv=null",
    ]
    assert folds._varied(given) == {
        "transform_noise": True,
        "pause_probability": 0.3,
        "snr_range_db": (-8, 15),
        "gaussian_sigma_range_mv": None,
    }


@pytest.mark.parametrize(
    ("given", "said"), [("payse=0.3", "'payse' is unknown"), ("pause_probability=lots", "'lots' is not valid JSON")]
)
def test_a_misspelt_value_is_refused(given: str, said: str) -> None:
    with pytest.raises(EcgStudyError, match=said):
        folds._varied([given])
