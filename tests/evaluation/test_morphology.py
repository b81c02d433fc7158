"""Waves of beats, and their changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_study.evaluation.morphology import (
    Waves,
    find_places,
    inner_beats,
    measure_waves,
    summarize_changes,
    upright_waves,
    wave_changes,
)
from tests.recordings import bump_beats

FS = 360.0
PEAKS = (np.arange(1, 21) * FS).astype(np.int64)


def _t_waves(height: float = 0.3, *, longer: float = 0.0) -> np.ndarray:
    """Return a triangular T wave for each beat: its peak 0.30 s after the R peak, back on the baseline at 0.40 s."""
    after_peak = np.arange(round(21 * FS)) / FS % 1
    rise, fall = (after_peak - 0.2) / 0.1, (0.4 + longer - after_peak) / (0.1 + longer)
    return height * np.clip(np.minimum(rise, fall), 0, None)


def _measured(signal: np.ndarray) -> Waves:
    return measure_waves(signal, find_places(signal, PEAKS[:-1], r_peaks=PEAKS, fs=FS), fs=FS)


def _changed(signal: np.ndarray, reference: np.ndarray) -> Waves:
    return wave_changes(reference, {"it": signal}, r_peaks=PEAKS, fs=FS, excluded_intervals=())["it"]


@given(
    height=st.floats(0.3, 3).flatmap(lambda h: st.sampled_from([h, -h])),
    st_level=st.floats(-0.3, 0.3),
    offset=st.floats(-2, 2),
)
@settings(max_examples=20, deadline=None)
def test_waves_by_hand(height: float, st_level: float, offset: float) -> None:
    signal = bump_beats(height, st_level=st_level) + offset
    beats = inner_beats(PEAKS, len(signal), fs=FS, excluded_intervals=())
    upright = upright_waves(signal, beats, fs=FS)
    assert (upright == (height > 0)).all()
    waves = measure_waves(signal, find_places(signal, beats, r_peaks=PEAKS, fs=FS), fs=FS)
    np.testing.assert_allclose(waves.r_amplitude, height, rtol=0.02)
    np.testing.assert_allclose(waves.st_level, st_level, atol=0.01)


def test_a_wider_complex_is_measured_wider() -> None:
    widths = []
    for width in (0.015, 0.02, 0.03):
        signal = bump_beats(width=width)
        waves = _measured(signal)
        assert np.ptp(waves.qrs_width) < 9, "all beats are alike"
        widths.append(float(np.median(waves.qrs_width)))
    assert widths[0] < widths[1] < widths[2]
    assert widths[1] == pytest.approx(110, abs=25), "a bump of σ 20 ms is steep for some 5 σ"


def test_slow_baseline_wander_hardly_moves_the_st_level() -> None:
    plain = _measured(bump_beats())
    drifting = _measured(bump_beats(slope=0.1))
    np.testing.assert_allclose(drifting.st_level - plain.st_level, 0.1 * 0.2, atol=0.002)


def test_wave_changes_are_signed_and_by_signal() -> None:
    signals = {"as it is": bump_beats(), "raised": bump_beats(st_level=0.12), "lower": bump_beats(height=0.9)}
    moved = wave_changes(bump_beats(), signals, r_peaks=PEAKS, fs=FS, excluded_intervals=((0, round(3.5 * FS)),))
    assert all(len(waves.st_level) == 17 for waves in moved.values()), "three beats lie in the excluded interval"
    assert not moved["as it is"].st_level.any()
    np.testing.assert_allclose(moved["raised"].st_level, 0.12, atol=0.001)
    np.testing.assert_allclose(moved["lower"].r_amplitude, -0.1, atol=0.002)


def test_without_measurable_beats_there_are_no_wave_changes() -> None:
    assert wave_changes(bump_beats(), {"as it is": bump_beats()}, r_peaks=PEAKS[:0], fs=FS, excluded_intervals=()) == {}


def test_beats_at_the_ends_and_in_excluded_intervals_are_left_out() -> None:
    peaks = np.array([3, 500, 1000, 1500, 1999])
    assert inner_beats(peaks, 2000, fs=FS, excluded_intervals=((900, 1100),)).tolist() == [500, 1500]


@pytest.mark.parametrize("height", [0.3, -0.3])
def test_t_waves_of_known_height_and_end(height: float) -> None:
    waves = _measured(bump_beats() + _t_waves(height))
    np.testing.assert_allclose(waves.t_amplitude, height, atol=0.03)  # the mean over 20 ms of a triangle: 5 % lower
    np.testing.assert_allclose(waves.t_end, 400, atol=8)


def test_a_longer_qt_interval_and_a_lower_t_wave() -> None:
    reference = bump_beats() + _t_waves()
    longer = _changed(bump_beats() + _t_waves(longer=0.03), reference)
    np.testing.assert_allclose(longer.t_end, 30, atol=6)
    lower = _changed(bump_beats() + 0.5 * _t_waves(), reference)
    np.testing.assert_allclose(lower.t_amplitude, -0.15, atol=0.01)
    np.testing.assert_allclose(lower.t_end, 0, atol=3)


@pytest.mark.parametrize("width", [0.025, 0.045, 0.06])
@pytest.mark.parametrize("shift", [-0.04, -0.02, 0.02, 0.04])
def test_an_earlier_or_later_t_wave_ends_earlier_or_later(shift: float, width: float) -> None:
    def smooth_t_waves(at: float) -> np.ndarray:
        after_peak = np.arange(round(21 * FS)) / FS % 1
        return 0.3 * np.exp(-0.5 * ((after_peak - at) / width) ** 2)

    moved = _changed(bump_beats() + smooth_t_waves(0.32 + shift), bump_beats() + smooth_t_waves(0.32))
    np.testing.assert_allclose(moved.t_end, 1000 * shift, atol=6)


def test_the_t_end_of_an_absent_t_wave_is_not_measured() -> None:
    waves = _measured(bump_beats() + _t_waves(0.02))
    assert np.isnan(waves.t_end).all()
    assert not np.isnan(waves.t_amplitude).any()


def test_there_is_no_t_wave_before_a_beat_that_follows_at_once() -> None:
    early = np.sort(np.append(PEAKS, PEAKS[4] + round(0.25 * FS)))  # 0.6 of 250 ms end before the search starts
    signal = bump_beats() + _t_waves()
    waves = measure_waves(signal, find_places(signal, PEAKS[:-1], r_peaks=early, fs=FS), fs=FS)
    assert np.flatnonzero(np.isnan(waves.t_amplitude)).tolist() == [4]


def test_the_qrs_amplitude_goes_from_the_lowest_to_the_highest_sample() -> None:
    deep = bump_beats() - 0.4 * np.roll(bump_beats(width=0.006), round(0.05 * FS))
    expected = np.ptp(deep[PEAKS[3] - 30 : PEAKS[3] + 30])
    assert expected > 1.3
    np.testing.assert_allclose(_measured(deep).qrs_amplitude, expected, rtol=0.01)
    np.testing.assert_allclose(_changed(0.8 * deep, deep).qrs_amplitude, -0.2 * expected, rtol=0.01)


def test_the_st_slope_is_that_of_a_straight_segment() -> None:
    after_peak = np.arange(round(21 * FS)) / FS % 1
    sloping = bump_beats(width=0.01) + 1.5 * np.where((after_peak > 0.07) & (after_peak < 0.15), after_peak - 0.07, 0)
    np.testing.assert_allclose(_measured(sloping).st_slope, 1.5, atol=0.01)


def test_a_summary_by_hand() -> None:
    level = np.array([0.0, 0.05, -0.1, 0.2])
    nothing = np.zeros(4)
    waves = Waves(
        r_amplitude=np.array([-1.0, -2, -3, -4]),
        qrs_width=np.array([20.0, -25, 19, 0]),
        st_level=level,
        qrs_amplitude=nothing,
        st_slope=nothing,
        t_amplitude=np.full(4, np.nan),
        t_end=np.array([np.nan, 10, -20, 30]),
    )
    summary = summarize_changes([waves, waves])
    assert (summary.beats, summary.t_waves) == (8, 6)
    assert (summary.false_st, summary.false_qrs) == (0.5, 0.5)
    assert summary.false_qt == pytest.approx(2 / 3)
    amplitude, end = summary.changes["r_amplitude"], summary.changes["t_end"]
    assert amplitude is not None and amplitude.median == -2.5
    assert amplitude.p95 == pytest.approx(4.0), "of eight values, the 95th percentile lies between the two largest"
    assert end is not None and end.median == 10
    assert summary.changes["t_amplitude"] is None
