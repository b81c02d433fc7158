"""Tests of segments and windows against simple loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.segments.batches import soft_targets
from ecg_study.ecg_data.segments.cutting import cut_segments, mark_r_peaks, segment_starts, window_labels


@given(
    st.integers(0, 500), st.integers(1, 60), st.lists(st.tuples(st.integers(0, 500), st.integers(1, 80)), max_size=3)
)
def test_segments_lie_end_to_end_outside_unscored_stretches(
    samples: int, segment: int, stretches: list[tuple[int, int]]
) -> None:
    excluded_intervals = [(start, start + length) for start, length in stretches]
    values = np.arange(samples)
    expected = [
        values[start : start + segment]
        for start in range(0, samples - segment + 1, segment)
        if not any(start < end and begin < start + segment for begin, end in excluded_intervals)
    ]
    starts = segment_starts(samples, segment, excluded_intervals=excluded_intervals)
    found = cut_segments(values, starts, segment_samples=segment)
    assert [row.tolist() for row in found] == [row.tolist() for row in expected]


@given(st.integers(1, 40), st.integers(1, 30), st.data())
def test_window_labels_equal_a_loop(window: int, windows: int, data: st.DataObject) -> None:
    samples = window * windows
    r_peaks = np.array(sorted(data.draw(st.sets(st.integers(0, samples - 1)))), dtype=np.int64)
    expected = [any(i <= peak < i + window for peak in r_peaks) for i in range(0, samples, window)]
    assert window_labels(mark_r_peaks(r_peaks, samples), window).tolist() == expected


def test_a_segment_without_gaps_is_no_copy() -> None:
    values = np.arange(100.0)
    assert np.shares_memory(cut_segments(values, segment_starts(100, 30), segment_samples=30), values)


def test_soft_targets_are_bumps_of_height_one() -> None:
    marks = np.zeros((2, 100), np.uint8)
    marks[0, [0, 50, 53]] = 1
    targets = soft_targets(marks)
    assert targets.shape == (2, 100)
    assert targets[0, [0, 50, 53]].tolist() == [1, 1, 1]
    np.testing.assert_allclose(targets[0, 45], np.exp(-25 / (2 * 3.5**2)), rtol=1e-6)
    np.testing.assert_allclose(targets[0, 51], np.exp(-1 / (2 * 3.5**2)), rtol=1e-6)  # the nearer of two peaks
    assert targets[0, 20:35].max() == 0
    assert targets[1].max() == 0
