"""Tests of the rhythm rule on beats that were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.inference.rhythm_filter import SURE_PROBABILITY, RhythmFilter

FS = 360.0
REGULAR = 300 * np.arange(1, 21)
IRREGULAR = np.cumsum(np.tile([200, 420, 260, 350, 310], 4))


def filtered(
    samples: np.ndarray, heights: np.ndarray, *, cuts: list[int] | None = None, threshold: float = 0.0
) -> tuple[list[int], list[float]]:
    """Return the peaks that stay, pushed in chunks that end at these samples."""
    rhythm_filter = RhythmFilter(FS)
    order = np.argsort(samples)
    samples, heights = samples[order], np.asarray(heights, np.float32)[order]
    parts, first = [], 0
    for until in [*sorted(cuts or []), int(samples[-1]) + 1 if len(samples) else 0]:
        now = (samples >= first) & (samples < until)
        parts.append(rhythm_filter.push(samples[now], heights[now], until=max(first, until)))
        first = max(first, until)
    parts.append(rhythm_filter.finish())
    stayed = np.concatenate([part[0] for part in parts])
    levels = np.concatenate([part[1] for part in parts])
    kept = levels >= threshold
    return stayed[kept].tolist(), levels[kept].tolist()


def with_extra(beats: np.ndarray, at: int, height: float, sure: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Return beats of one height and another peak."""
    samples = np.append(beats, at)
    return samples, np.append(np.full(len(beats), sure), height)


def test_an_unsure_peak_between_two_beats_of_a_regular_rhythm_is_dropped() -> None:
    assert filtered(*with_extra(REGULAR, 3150, 0.3))[0] == REGULAR.tolist()


@pytest.mark.parametrize(
    ("beats", "at", "height", "sure"),
    [
        (IRREGULAR, 3200, 0.3, 0.9),  # atrial fibrillation: any beat may come early
        (REGULAR, 1050, 0.3, 0.9),  # the third interval: no rhythm is known yet
        (np.delete(REGULAR, 10), 3300, 0.3, 0.9),  # in the middle of a double interval: it may be a beat
        (REGULAR, 3150, 0.5, 0.9),  # sure itself
        (REGULAR, 3150, 0.3, 0.45),  # as clear as the beats beside it
        (REGULAR, 6100, 0.3, 0.9),  # after the last
    ],
)
def test_other_peaks_stay(beats: np.ndarray, at: int, height: float, sure: float) -> None:
    samples, heights = with_extra(beats, at, height, sure)
    assert filtered(samples, heights)[0] == sorted(samples.tolist())


def test_peaks_in_a_pause_are_not_held_back() -> None:
    """Peaks in a pause are returned once no sure beat can follow within two seconds."""
    rhythm_filter = RhythmFilter(FS)
    none = np.empty(0, np.int64), np.empty(0, np.float32)
    rhythm_filter.push(REGULAR, np.full(20, 0.9, np.float32), until=6001)
    rhythm_filter.push(np.array([6300]), np.array([0.3], np.float32), until=6301)
    assert not len(rhythm_filter.push(*none, until=6720)[0])
    assert rhythm_filter.push(*none, until=6721)[0].tolist() == [6300]
    assert rhythm_filter.push(np.array([6800]), np.array([0.3], np.float32), until=6801)[0].tolist() == [6800]


HEIGHTS = st.sampled_from([0.05, 0.2, 0.3, 0.39, 0.4, 0.41, 0.6, 0.9])


@given(
    st.lists(st.tuples(st.integers(72, 400), HEIGHTS), max_size=60),
    st.lists(st.integers(0, 12_000), max_size=12),
    st.sampled_from([0.05, 0.2, 0.4, 0.6]),
)
def test_chunks_and_thresholds_do_not_change_the_other_peaks(
    peaks: list[tuple[int, float]], cuts: list[int], threshold: float
) -> None:
    samples = np.cumsum([step for step, _ in peaks]).astype(np.int64)
    heights = np.array([height for _, height in peaks])
    at_once = filtered(samples, heights)
    assert filtered(samples, heights, cuts=cuts) == at_once
    assert set(at_once[0]) >= set(samples[heights.astype(np.float32) >= SURE_PROBABILITY].tolist()), "sure peaks stay"
    assert sorted(at_once[0]) == at_once[0]
    # A higher threshold only removes the lower peaks.
    above = heights.astype(np.float32) >= min(threshold, SURE_PROBABILITY)
    assert filtered(samples[above], heights[above], cuts=cuts, threshold=threshold) == filtered(
        samples, heights, threshold=threshold
    )
