"""Tests of the rhythm rule on beats that were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.inference.loading import load_detector
from ecg_study.inference.rhythm_filter import FAST_PROBABILITY, SURE_PROBABILITY, FastRhythms, RhythmFilter

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


def fast(
    samples: np.ndarray, heights: np.ndarray, *, cuts: list[int] | None = None, lowest: float = 0.0
) -> list[tuple[int, float, int]]:
    """Return maxima with their heights and refractory periods, pushed in chunks that end at these samples."""
    rhythms = FastRhythms(FS, refractory=72)
    samples, heights = np.asarray(samples, np.int64), np.asarray(heights, np.float32)
    samples, heights = samples[heights >= lowest], heights[heights >= lowest]
    end = int(samples[-1]) + 1 if len(samples) else 0
    parts, first = [], 0
    for until in [*sorted(cut for cut in cuts or [] if cut < end), end]:
        now = (samples >= first) & (samples < until)
        parts.append(rhythms.push(samples[now], heights[now], decided=until))
        first = until
    parts.append(rhythms.finish(end))
    return [peak for part in parts for peak in zip(*(column.tolist() for column in part), strict=True)]


BEATS_AT_320 = 100 + np.round(67.5 * np.arange(20)).astype(int)


def test_a_fast_rhythm_has_a_short_refractory_period_and_its_low_beats_are_raised() -> None:
    """At 320 beats per minute, 67.5 samples: 0.55 of the median of 67 or 68."""
    heights = np.full(20, 0.5)
    heights[7] = 0.15
    found = fast(BEATS_AT_320, heights)
    assert [at for at, _, _ in found] == BEATS_AT_320.tolist()
    assert {period for *_, period in found} == {36, 37} or {period for *_, period in found} == {37}
    assert [round(height, 3) for _, height, _ in found] == [0.5] * 7 + [0.25] + [0.5] * 12


@pytest.mark.parametrize(
    ("samples", "heights"),
    [
        (BEATS_AT_320[:6], np.full(6, 0.5)),  # five intervals only
        (100 + 90 * np.arange(20), np.full(20, 0.5)),  # 240 beats per minute: apart enough
        (100 + np.cumsum(np.tile([50, 80], 10)), np.full(20, 0.5)),  # as fast, but not regular
        (BEATS_AT_320, np.full(20, 0.09)),  # too low to be beats
        (BEATS_AT_320, np.tile([0.9, 0.2], 10)),  # T waves between the beats of half the rate
    ],
)
def test_other_rhythms_keep_the_usual_period(samples: np.ndarray, heights: np.ndarray) -> None:
    found = fast(samples, heights)
    assert [period for *_, period in found] == [72] * len(samples)
    np.testing.assert_allclose([height for _, height, _ in found], heights, rtol=1e-6)


def test_lower_maxima_beside_a_beat_do_not_hide_the_rhythm() -> None:
    samples = np.sort(np.concatenate([BEATS_AT_320, BEATS_AT_320[::2] + 4]))
    heights = np.where(np.isin(samples, BEATS_AT_320), 0.6, 0.3)
    assert max(period for *_, period in fast(samples, heights)) < 40


@given(
    st.lists(
        st.tuples(st.sampled_from([4, 30, 60, 66, 70, 75, 120]), st.sampled_from([0.05, 0.15, 0.4, 0.6])), max_size=80
    ),
    st.lists(st.integers(0, 6000), max_size=12),
)
def test_fast_rhythms_do_not_depend_on_chunks_or_on_low_maxima(steps: list[tuple[int, float]], cuts: list[int]) -> None:
    samples = np.cumsum([step for step, _ in steps]).astype(np.int64)
    heights = np.array([height for _, height in steps])
    at_once = fast(samples, heights)
    assert fast(samples, heights, cuts=cuts) == at_once
    higher = [peak for peak, height in zip(at_once, heights, strict=True) if height >= FAST_PROBABILITY]
    assert fast(samples, heights, lowest=FAST_PROBABILITY) == higher


@pytest.mark.parametrize("rate", [250, 300, 320])
def test_the_pretrained_detector_keeps_the_beats_of_fast_hearts(rate: int) -> None:
    """QRS complexes and T waves at a constant rate, at 500 Hz; beats within 30 ms."""
    fs, interval = 500.0, 60 / rate
    beats = np.arange(0.5, 29.5, interval)
    at = np.arange(30 * 500) / fs
    signal = np.random.default_rng(1).normal(0, 0.01, len(at))
    for place, height, width in ((0.0, 1.0, 0.008), (0.02, -0.2, 0.008), (0.11, 0.15, 0.02)):
        signal += sum(height * np.exp(-0.5 * ((at - beat - place) / width) ** 2) for beat in beats.tolist())
    found = load_detector("gru-detector").detect(signal, fs=fs).samples / fs
    nearest = np.abs(found[:, np.newaxis] - beats).min(axis=0)
    assert (nearest < 0.03).mean() >= 0.98
    assert len(found) <= len(beats) + 1
