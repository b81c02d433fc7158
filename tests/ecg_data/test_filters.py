"""Removal of baseline wander: the definition, and the same in a stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, filtfilt

from ecg_study.ecg_data.filters import WanderRemover, remove_baseline_wander


def _wandering(seed: int, samples: int) -> np.ndarray:
    """White noise on a random walk with an offset."""
    rng = np.random.default_rng(seed)
    return np.asarray(5 + np.cumsum(rng.normal(0, 0.02, samples)) + rng.normal(0, 0.1, samples))


def _stream(signal: np.ndarray, fs: float, cuts: list[int]) -> np.ndarray:
    stream, parts, pushed = WanderRemover(fs), list[np.ndarray](), 0
    for chunk in np.split(signal, sorted(min(cut, len(signal)) for cut in cuts)):
        parts.append(stream.push(chunk))
        pushed += len(chunk)
        assert sum(map(len, parts)) >= pushed - stream.lookahead
    return np.concatenate([*parts, stream.finish()])


def test_it_is_a_butterworth_high_pass_of_order_2_at_half_a_hertz_run_both_ways() -> None:
    signal = _wandering(1, 5000)
    expected = filtfilt(*butter(2, 0.5, "high", fs=360.0), signal)
    np.testing.assert_allclose(remove_baseline_wander(signal, 360.0), expected, atol=1e-9)


@pytest.mark.parametrize("hertz", [0.5, 5.0])
def test_its_gain_at_the_edge_is_a_half_and_beyond_it_one(hertz: float) -> None:
    at = np.arange(36000) / 360
    signal = np.sin(2 * np.pi * hertz * at)
    inner = slice(9000, 27000)
    gain = 0.5 if hertz == 0.5 else 1 / (1 + (0.5 / hertz) ** 4)
    np.testing.assert_allclose(remove_baseline_wander(signal, 360.0)[inner], gain * signal[inner], atol=2e-3)


@given(
    st.integers(0, 99),
    st.sampled_from([1, 5, 10, 11, 500, 1024, 2465, 9000]),
    st.sampled_from([100.0, 250.0, 360.0, 500.0]),
    st.lists(st.integers(0, 9000), max_size=8),
)
@settings(max_examples=60)
def test_a_stream_gives_the_same_to_minus_60_db(seed: int, samples: int, fs: float, cuts: list[int]) -> None:
    signal = _wandering(seed, samples)
    streamed = _stream(signal, fs, cuts)
    assert len(streamed) == samples
    np.testing.assert_array_equal(streamed, _stream(signal, fs, []))
    error = streamed - remove_baseline_wander(signal, fs)
    assert np.abs(error).max() <= 1e-3 * max(np.ptp(signal), 1e-9)


def test_an_empty_lead_gives_nothing() -> None:
    assert not len(WanderRemover(360.0).finish())
