"""Tests of the matching of R peaks: hand-worked cases, properties, and the comparison of wfdb."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wfdb.processing import compare_annotations

from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.evaluation.matching import match_r_peaks

PEAKS = st.sets(st.integers(0, 3000), max_size=40).map(lambda peaks: np.array(sorted(peaks), dtype=np.int64))


@pytest.mark.parametrize(
    ("annotated", "detected", "found", "missed", "false", "offsets"),
    [
        ([100, 400], [100, 400], 2, 0, 0, [0, 0]),
        ([100, 400], [154, 346], 2, 0, 0, [54, -54]),  # at the tolerance, still within it
        ([100, 400], [155, 345], 0, 2, 2, []),
        ([100], [80, 110], 1, 0, 1, [10]),  # the nearer of two detections counts, the other is false
        ([100], [90, 120], 1, 0, 1, [-10]),
        ([100, 150], [140], 1, 1, 0, [-10]),  # the nearer of two beats is found, the other missed
        ([], [50], 0, 0, 1, []),
        ([50], [], 0, 1, 0, []),
        ([100, 160], [130, 170], 2, 0, 0, [30, 10]),
    ],
)
def test_by_hand(
    annotated: list[int], detected: list[int], found: int, missed: int, false: int, offsets: list[int]
) -> None:
    matches = match_r_peaks(np.array(annotated, int), np.array(detected, int), tolerance=54)
    assert (matches.true_positives, matches.false_negatives, matches.false_positives) == (found, missed, false)
    assert matches.offsets.tolist() == offsets


@pytest.mark.parametrize(
    ("tolerance_ms", "fs", "samples"),
    [(150, 360, 54), (75, 360, 27), (50, 360, 18), (150, 250, 37), (50, 250, 12), (75, 100, 7), (75, 128, 9)],
)
def test_the_tolerance_in_samples_does_not_exceed_that_in_ms(tolerance_ms: int, fs: float, samples: int) -> None:
    assert tolerance_samples(tolerance_ms, fs=fs) == samples


@given(st.integers(1, 500), st.integers(1, 4000))
def test_a_whole_number_of_samples_is_within_its_time(samples: int, fs: int) -> None:
    assert tolerance_samples(1000 * samples / fs, fs=fs) == samples


def test_excluded_intervals_count_on_neither_side() -> None:
    matches = match_r_peaks(
        np.array([10, 100, 150, 300]), np.array([12, 120, 301]), tolerance=20, excluded_intervals=[(90, 200)]
    )
    assert (matches.true_positives, matches.false_negatives, matches.false_positives) == (2, 0, 0)


@given(PEAKS, PEAKS, st.integers(0, 100))
def test_each_peak_counts_once_and_pairs_are_near(annotated: np.ndarray, detected: np.ndarray, tolerance: int) -> None:
    matches = match_r_peaks(annotated, detected, tolerance=tolerance)
    assert matches.true_positives + matches.false_negatives == len(annotated)
    assert matches.true_positives + matches.false_positives == len(detected)
    assert (np.abs(matches.offsets) <= tolerance).all()


@given(PEAKS, st.integers(1, 50))
def test_a_perfect_detector_is_perfect_and_a_shift_is_measured(annotated: np.ndarray, shift: int) -> None:
    apart = annotated[np.concatenate([[True], np.diff(annotated) > 200])] if len(annotated) else annotated
    matches = match_r_peaks(apart, apart + shift, tolerance=54)
    assert matches.true_positives == len(apart)
    assert set(matches.offsets) <= {shift}


@given(st.integers(0, 10_000))
def test_agrees_with_wfdb_on_peaks_a_heart_can_make(seed: int) -> None:
    rng = np.random.default_rng(seed)
    annotated = np.cumsum(rng.integers(120, 500, 60))
    kept = annotated[rng.random(60) > 0.1]
    detected = np.unique(np.concatenate([kept + rng.integers(-50, 51, len(kept)), rng.integers(0, 20_000, 4)]))
    detected = detected[np.concatenate([[True], np.diff(detected) >= 72])]  # no detector reports within 0.2 s
    theirs = compare_annotations(annotated, detected, 55)  # wfdb excludes the tolerance itself, the standard does not
    ours = match_r_peaks(annotated, detected, tolerance=54)
    assert (ours.true_positives, ours.false_negatives, ours.false_positives) == (theirs.tp, theirs.fn, theirs.fp)
