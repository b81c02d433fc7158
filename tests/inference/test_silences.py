"""Silences: noise in them is unusable, and a quiet pause is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.inference.quality.silences import NOISY_RATIO, MovementMeter, SilenceCheck, join_intervals

FS = 200.0
PART = 100  # samples per part of 0.5 s


def beats(seconds: float, at: Sequence[float]) -> np.ndarray:
    """A lead in mV with QRS complexes of 1 mV and 80 ms at these seconds."""
    time = np.arange(round(seconds * FS)) / FS
    return np.asarray(sum((np.exp(-0.5 * ((time - second) / 0.015) ** 2) for second in at), np.zeros(len(time))))


def noise(seconds: float, mv: float, start: float, stop: float) -> np.ndarray:
    """8 Hz of this amplitude between two seconds, and nothing elsewhere."""
    time = np.arange(round(seconds * FS)) / FS
    return np.where((time >= start) & (time < stop), mv * np.sin(2 * np.pi * 8 * time), 0)


def check(
    leads: Sequence[np.ndarray], at: Sequence[float], unusable: Sequence[np.ndarray] | None = None
) -> list[list[float]]:
    """Noisy intervals in seconds, of R peaks at these seconds."""
    silences = SilenceCheck(FS, n_leads=len(leads))
    for number, lead in enumerate(leads):
        usable = np.ones(len(lead), bool) if unusable is None else ~unusable[number]
        silences.measure(number, signal=lead, usable=usable)
    first = silences.push(np.round(np.array(at) * FS).astype(np.int64))
    found = np.concatenate([first, silences.finish(len(leads[0]))])
    assert silences.decided == len(leads[0])
    return [[float(start), float(end)] for start, end in found / FS]


RHYTHM = [1, 2, 3, 4, 5, 6, 14, 15, 16, 17, 18, 19]


def test_noise_in_a_silence_is_found_and_quiet_parts_are_not() -> None:
    quiet = beats(20, RHYTHM)
    assert check([quiet], RHYTHM) == []
    assert check([quiet + noise(20, 0.5, 8, 10)], RHYTHM) == [[8, 10]]
    assert check([quiet + noise(20, 0.5, 8, 10) + noise(20, 0.5, 11, 12)], RHYTHM) == [[8, 10], [11, 12]]
    assert check([quiet + noise(20, 0.5, 2, 6)], RHYTHM) == [], "beats were found there"


def test_offset_wander_and_small_noise_are_quiet() -> None:
    time = np.arange(round(20 * FS)) / FS
    wander = np.sin(2 * np.pi * 0.2 * time)
    white = np.random.default_rng(1).normal(0, 0.05, len(time))
    for shift in (0, 0.07, 0.2, 0.3):  # QRS complexes in one part or in two
        at = [second + shift for second in RHYTHM]
        assert check([beats(20, at) + 5 + wander + white], at) == []


def test_the_unit_does_not_matter() -> None:
    signal = beats(20, RHYTHM) + noise(20, 0.5, 8, 10)
    assert check([1e-4 * signal], RHYTHM) == check([1e4 * signal], RHYTHM) == [[8, 10]]


def test_a_shorter_interval_is_no_silence() -> None:
    at = [1, 2, 3, 5.9, 7, 8]
    assert check([beats(10, at) + noise(10, 0.5, 3.5, 5.5)], at) == []


def test_one_quiet_lead_shows_a_pause() -> None:
    quiet = beats(20, RHYTHM)
    noisy = quiet + noise(20, 0.5, 8, 12)
    assert check([noisy, quiet], RHYTHM) == check([quiet, noisy], RHYTHM) == []
    assert check([noisy, noisy], RHYTHM) == [[8, 12]]
    off = np.zeros(len(quiet), bool)
    off[round(9 * FS) : round(10 * FS)] = True  # then the quiet lead shows nothing
    assert check([noisy, quiet], RHYTHM, [~off & off, off]) == [[9, 10]]
    assert check([noisy], RHYTHM, [off]) == [[8, 9], [10, 12]], "the gap itself is listed by others"


def test_silences_at_both_ends() -> None:
    """The beats after it are the reference of the first, and it has no beat before; the last one has none after it."""
    at = [5, 6, 7, 8, 9, 10, 11, 12, 13]
    signal = beats(20.3, at) + noise(20.3, 0.5, 0, 2) + noise(20.3, 0.5, 18, 20.3)
    assert check([signal], at) == [[0, 2], [18, 20.3]]


def test_without_a_beat_nothing_is_usable() -> None:
    assert check([np.zeros(round(10 * FS))], []) == [[0, 10]]
    assert check([noise(10, 1, 0, 10)], []) == [[0, 10]]
    assert check([np.zeros(round(2.9 * FS))], []) == []


def test_false_beats_in_noise_do_not_make_it_usable() -> None:
    white = np.random.default_rng(2).normal(0, 0.2, round(60 * FS))
    found = check([white], [10, 30, 31, 50])
    assert sum(end - start for start, end in found) > 0.9 * (60 - 4 * 0.75)


@given(st.lists(st.integers(0, 4000), max_size=12), st.integers(0, 3))
def test_the_chunks_do_not_matter(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = [4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 18]
    signal = beats(20, at) + noise(20, 0.5, 1, 2) + noise(20, 0.6, 14, 15) + rng.normal(0, 0.01, 4000)
    signal[: round(5.5 * FS)] += 3 * beats(5.5, [4, 5])  # most of the eight beats are smaller
    peaks = np.round(np.array(at) * FS).astype(np.int64)
    silences, found, start = SilenceCheck(FS, n_leads=1), [], 0
    for end in [*sorted(cuts), 4000]:
        silences.measure(0, signal=signal[start:end], usable=np.ones(end - start, bool))
        # R peaks are known after the samples around them.
        found.append(silences.push(peaks[(peaks + 40 >= start) & (peaks + 40 < end)]))
        start = end
    joined = np.concatenate([*found, silences.finish(4000)])
    assert joined.tolist() == [[200, 400], [2800, 3000]]


def test_ranges_by_hand() -> None:
    """8 Hz passes the difference of the averages by sinc(8 · 0.035) − sinc(8 · 0.205); a level and a ramp do not."""
    meter = MovementMeter(FS)
    time = np.arange(1000) / FS
    meter.push(np.sin(2 * np.pi * 8 * time), np.ones(1000, bool))
    meter.finish()
    wanted = 2 * (np.sinc(8 * 7 / FS) - np.sinc(8 * 41 / FS))
    assert meter.ranges.view(1, 9) == pytest.approx(wanted, rel=0.02)
    steady = MovementMeter(FS)
    steady.push(np.full(1000, 3.0), np.ones(1000, bool))
    steady.finish()
    assert steady.ranges.view(0, 10) == pytest.approx(0, abs=1e-9)
    ramp = MovementMeter(FS)
    ramp.push(5 * time, np.ones(1000, bool))
    assert ramp.ranges.view(1, 9) == pytest.approx(0, abs=1e-9)
    assert NOISY_RATIO < 1


def test_a_part_with_an_unusable_sample_has_no_range() -> None:
    meter = MovementMeter(FS)
    usable = np.ones(5 * PART, bool)
    usable[3 * PART] = False
    meter.push(np.zeros(5 * PART), usable)
    meter.finish()
    assert np.isnan(meter.ranges.view(0, 5)).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("intervals", "joined"),
    [([], []), ([[5, 7], [1, 2]], [[1, 2], [5, 7]]), ([[1, 3], [3, 4], [2, 3], [8, 9]], [[1, 4], [8, 9]])],
)
def test_intervals_are_joined(intervals: list[list[int]], joined: list[list[int]]) -> None:
    assert join_intervals(np.array(intervals, np.int64).reshape(-1, 2)).tolist() == joined
