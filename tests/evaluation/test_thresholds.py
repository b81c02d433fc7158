"""Tests of the choice of a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from ecg_study.evaluation.thresholds import choose_threshold

GRID = np.array([0.1, 0.2, 0.3, 0.4, 0.5])


def _tables(errors: list[list[int]]) -> np.ndarray:
    """Return counts of 1,000 beats per record with some missed, for each threshold and record."""
    missed = np.array(errors)
    return np.stack([1000 - missed, missed, np.zeros_like(missed)], axis=-1)


@pytest.mark.parametrize(
    ("errors", "chosen"),
    [
        ([[9, 9], [1, 1], [1, 1], [1, 1], [9, 9]], 0.3),  # the middle of three equals
        ([[1, 1], [9, 9], [9, 9], [9, 9], [9, 9]], 0.1),  # records agree: no standard error, so the best alone
        ([[9, 9], [9, 9], [9, 9], [9, 9], [1, 1]], 0.5),
        ([[10, 10], [5, 16], [15, 6], [90, 90], [90, 90]], 0.2),  # records disagree: 0.1 to 0.3 count as equal
        ([[0, 200], [1, 201], [2, 202], [3, 203], [90, 290]], 0.1),  # one record is harder, but all prefer the same
        ([[1, 1], [90, 90], [1, 1], [1, 1], [1, 1]], 0.1),  # a threshold after a dip is not a neighbor
    ],
)
def test_the_middle_of_equally_good_thresholds_is_chosen(errors: list[list[int]], chosen: float) -> None:
    assert choose_threshold(GRID, _tables(errors), seed=1) == chosen
