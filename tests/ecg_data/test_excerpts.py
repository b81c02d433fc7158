"""Tests of excerpts that are stretched in time, against ``numpy.interp``."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.excerpts import Excerpts


@given(scales=st.lists(st.one_of(st.just(1.0), st.floats(0.5, 1.5)), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_excerpts_are_interpolated_between_samples(scales: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=200).astype(np.float32)
    samples = int(rng.integers(2, 100))
    # The last sample of an excerpt may be the last of the signal.
    starts = np.array([rng.integers(0, 200 - int(np.ceil(scale * (samples - 1)))) for scale in scales])
    made = Excerpts(starts, np.array(scales), samples=samples).of(signal)
    assert made.dtype == np.float32
    for excerpt, start, scale in zip(made, starts, scales, strict=True):
        expected = np.interp(start + scale * np.arange(samples), np.arange(200), signal)
        np.testing.assert_allclose(excerpt, expected, atol=1e-5)


def test_an_excerpt_that_is_not_stretched_is_copied_without_a_change() -> None:
    signal = np.random.default_rng(0).normal(size=100).astype(np.float32)
    made = Excerpts(np.array([3, 60, 50]), np.array([1.0, 1.0, 0.9]), samples=40).of(signal)
    np.testing.assert_array_equal(made[:2], [signal[3:43], signal[60:]])
    made[:] = 0
    assert signal.all(), "a copy"
