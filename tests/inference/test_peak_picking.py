"""Tests of R peaks and window scores from peak probabilities."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecg_study.evaluation.cached_models import window_scores
from ecg_study.inference.peak_picking import pick_r_peaks


def test_peaks_by_hand() -> None:
    probability = np.zeros(200)
    probability[[0, 50, 60, 120, 199]] = [0.9, 0.7, 0.8, 0.3, 0.6]
    assert pick_r_peaks(probability, threshold=0.5, refractory=20).tolist() == [
        0,
        60,
        199,
    ]  # 50 is within the refractory time of 60
    assert pick_r_peaks(probability, threshold=0.2, refractory=5).tolist() == [0, 50, 60, 120, 199]
    assert pick_r_peaks(probability, threshold=0.95, refractory=20).tolist() == []
    assert pick_r_peaks(np.zeros(0), threshold=0.5, refractory=20).tolist() == []


@given(arrays(np.float32, st.integers(0, 60), elements=st.floats(0, 1, width=32), unique=True), st.integers(1, 20))
def test_peaks_are_apart_and_high_enough(probability: np.ndarray, refractory: int) -> None:
    peaks = pick_r_peaks(probability, threshold=0.5, refractory=refractory)
    assert (np.diff(peaks) >= refractory).all()
    assert (probability[peaks] >= 0.5).all()
    fewer = pick_r_peaks(probability, threshold=0.8, refractory=refractory)
    assert set(fewer) == {
        peak for peak in peaks if probability[peak] >= 0.8
    }  # a lower peak never suppresses a higher one


def test_window_scores_drop_the_remainder() -> None:
    probability = np.array([0.1, 0.5, 0.2, 0.0, 0.0, 0.3, 0.9])
    assert window_scores(probability, 3, refractory=1).tolist() == [0.5, 0.0]
