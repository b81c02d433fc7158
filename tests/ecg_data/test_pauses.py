"""Tests of inserted pauses: position, content, and unchanged beats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.segments.augmentation.pauses import add_pause, extend_rest
from ecg_study.evaluation.experiments.pauses import count_false_peaks, insert_pauses
from ecg_study.evaluation.leads import EvaluationLead

FS = 360.0
SEGMENT = 2016


def _segment(interval: float = 0.9, noise: float = 0.01, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Beats with P, R and T waves every so many seconds, the first after half an interval."""
    time = np.arange(SEGMENT) / FS
    beats = np.arange(interval / 2, time[-1], interval)
    signal = np.random.default_rng(seed).normal(0, noise, SEGMENT)
    for beat in beats:
        for at, height, width in ((-0.16, 0.15, 0.02), (0.0, 1.0, 0.01), (0.25, 0.3, 0.04)):
            signal += height * np.exp(-((time - beat - at) ** 2) / (2 * width**2))
    marks = np.zeros(SEGMENT, np.uint8)
    marks[np.round(beats * FS).astype(int)] = 1
    return signal.astype(np.float32), marks


def _longest_gap(marks: np.ndarray) -> int:
    return int(np.diff(np.concatenate([[0], np.flatnonzero(marks), [SEGMENT]])).max())


def _inside_the_longest(made: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """What lies in the longest stretch without a beat, but for the T wave before it and the P wave behind it."""
    peaks = np.concatenate([[0], np.flatnonzero(marks), [SEGMENT]])
    longest = int(np.diff(peaks).argmax())
    return made[peaks[longest] + round(0.45 * FS) : max(0, peaks[longest + 1] - round(0.27 * FS))]


@given(
    interval=st.floats(0.75, 1.8), seconds=st.floats(0.8, 6.0), blocked=st.booleans(), seed=st.integers(0, 2**32 - 1)
)
def test_beats_stay_what_they_were(interval: float, seconds: float, blocked: bool, seed: int) -> None:
    signal, marks = _segment(interval)
    made, moved = add_pause(signal, marks, fs=FS, seconds=seconds, p_waves=blocked, rng=np.random.default_rng(seed))
    assert made.shape == moved.shape == signal.shape
    assert made.dtype == signal.dtype and moved.dtype == marks.dtype
    # At each mark lies an R peak of the segment, with the QRS complex around it.
    for peak in np.flatnonzero(moved[20:-20]) + 20:
        complexes = [signal[at - 20 : at + 20] for at in np.flatnonzero(marks) if 20 <= at < SEGMENT - 20]
        assert any(np.array_equal(made[peak - 20 : peak + 20], known) for known in complexes)
    # And no R peak is left without a mark.
    high = np.flatnonzero(made > 0.7)
    assert all(np.abs(np.flatnonzero(moved) - at).min(initial=SEGMENT) <= 10 for at in high if 10 <= at < SEGMENT - 10)


def test_a_pause_lasts_as_long_as_was_asked() -> None:
    signal, marks = _segment()
    rng = np.random.default_rng(1)
    gaps = [
        _longest_gap(add_pause(signal, marks, fs=FS, seconds=3.0, p_waves=False, rng=rng)[1]) / FS for _ in range(40)
    ]
    # Some lie partly outside of the segment; none is longer than three seconds, half a second of rounding and a beat.
    assert 3.0 < max(gaps) < 3.0 + 0.5 + 0.9 + 0.1


def test_a_long_rest_is_not_shown_as_a_whole() -> None:
    """Two beats four seconds apart, of which 0.8 s are asked for."""
    signal, marks = np.arange(SEGMENT, dtype=np.float32), np.zeros(SEGMENT, np.uint8)
    marks[[200, 200 + round(4 * FS)]] = 1
    made, moved, pause = extend_rest(signal, marks, fs=FS, seconds=0.8, p_waves=False, rng=np.random.default_rng(0))
    assert pause is not None
    begin, end = pause
    assert end - begin == len(made) - len(signal) == len(moved) - len(marks) == round(0.8 * FS)
    # The last 0.4 s before it, backwards and forwards.
    np.testing.assert_array_equal(made[begin : begin + 144], signal[begin - 144 : begin][::-1])
    np.testing.assert_array_equal(made[begin + 144 : end], signal[begin - 144 : begin])


def test_a_pause_without_p_waves_holds_nothing_but_the_rest_between_two_beats() -> None:
    signal, marks = _segment(noise=0.0)
    lengths = []
    for seed in range(20):
        made, moved = add_pause(signal, marks, fs=FS, seconds=4.0, p_waves=False, rng=np.random.default_rng(seed))
        inside = _inside_the_longest(made, moved)
        lengths.append(len(inside))
        assert np.ptp(inside) < 0.05
        # It joins on to what is before and behind it.
        assert np.abs(np.diff(inside)).max() < 0.01
    assert max(lengths) > 3 * FS


def test_in_a_block_p_waves_go_on() -> None:
    signal, marks = _segment(noise=0.0)
    counts = []
    for seed in range(20):
        made, moved = add_pause(signal, marks, fs=FS, seconds=5.0, p_waves=True, rng=np.random.default_rng(seed))
        inside = _inside_the_longest(made, moved)
        assert inside.max(initial=0) < 0.2
        counts.append(int(np.sum((inside[1:-1] > 0.1) & (inside[1:-1] > inside[:-2]) & (inside[1:-1] >= inside[2:]))))
    assert max(counts) >= 3


def test_p_waves_are_steady_up_to_the_next_beat() -> None:
    signal, marks = _segment(noise=0.0)
    for seed in range(10):
        made, moved, pause = extend_rest(
            signal, marks, fs=FS, seconds=5.0, p_waves=True, rng=np.random.default_rng(seed)
        )
        assert pause is not None
        following = np.flatnonzero(moved)[np.flatnonzero(moved) >= pause[1]][0]
        inside = made[pause[0] : following - 20]
        waves = np.flatnonzero((inside[1:-1] > 0.1) & (inside[1:-1] > inside[:-2]) & (inside[1:-1] >= inside[2:]))
        assert len(waves) >= 4
        assert np.ptp(np.diff(waves)) <= 2


@pytest.mark.parametrize("beats", [(), (700,), (300, 420, 540)])
def test_without_a_rest_between_two_beats_nothing_is_changed(beats: tuple[int, ...]) -> None:
    signal = np.random.default_rng(0).normal(0, 1, SEGMENT)
    marks = np.zeros(SEGMENT, np.uint8)
    marks[list(beats)] = 1
    made, moved = add_pause(signal, marks, fs=FS, seconds=3.0, p_waves=True, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(made, signal)
    np.testing.assert_array_equal(moved, marks)


def test_a_recording_with_pauses_keeps_its_beats() -> None:
    """Three minutes at 66 a minute, of which the second is not scored."""
    time = np.arange(round(180 * FS)) / FS
    r_peaks = np.round(np.arange(0.5, 179, 0.91) * FS).astype(np.int64)
    clean = np.zeros(len(time), np.float32)
    clean[r_peaks] = 1.0
    excluded_intervals = ((round(63 * FS), round(118 * FS)),)
    lead = EvaluationLead("a", "MLII", FS, clean, clean, r_peaks, excluded_intervals)
    made, pauses = insert_pauses(lead, sigma_mv=0.05, seed=1)
    assert len(pauses) == 8, "four to a minute"
    assert len(made.clean) - len(clean) == sum(end - begin for begin, end in pauses)
    assert len(made.r_peaks) == len(r_peaks)
    np.testing.assert_array_equal(np.flatnonzero(made.clean), made.r_peaks)
    assert count_false_peaks(made.r_peaks, pauses) == 0
    middles = np.array([(begin + end) // 2 for begin, end in pauses])
    assert count_false_peaks(np.sort(np.concatenate([made.r_peaks, middles])), pauses) == 8
    assert sum(end - begin for begin, end in made.excluded_intervals) == round(55 * FS)
    between = made.clean[made.excluded_intervals[0][0] : made.excluded_intervals[-1][1]]
    np.testing.assert_array_equal(between, clean[excluded_intervals[0][0] : excluded_intervals[0][1]])
    assert np.std(made.noisy - made.clean) == pytest.approx(0.05, rel=0.02)
