"""Applying models to whole leads, and reading peaks and windows off activations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from checkpoints import apply_model, pick_r_peaks, window_scores


class Same:
    """A model that gives back its input, plus what it is told at the borders of a segment."""

    def __init__(self, border: float = 0.0) -> None:
        self.border = border

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        output = batch.copy()
        output[:, 0] += self.border
        output[:, -1] += self.border
        return output


@given(st.integers(0, 900), st.integers(4, 120))
@settings(deadline=None)
def test_stitching_gives_back_every_sample(extra: int, segment: int) -> None:
    signal = np.random.default_rng(extra).normal(size=segment + extra).astype(np.float32)
    np.testing.assert_allclose(apply_model(Same(), signal, segment), signal, atol=1e-6)


def test_an_error_at_a_border_is_faded_out() -> None:
    signal = np.zeros(3000, np.float32)
    stitched = apply_model(Same(border=1.0), signal, 400)
    assert np.abs(stitched[1:]).max() < 0.02
    assert stitched[0] == 1  # no other segment knows the beginning; beyond the end the signal goes on mirrored


def test_many_segments_are_done_in_blocks() -> None:
    signal = np.random.default_rng(0).normal(size=40 * 500).astype(np.float32)
    told: list[tuple[int, int]] = []
    np.testing.assert_allclose(
        apply_model(Same(), signal, 40, lambda done, total: told.append((done, total))), signal, atol=1e-6
    )
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert len(told) > 4


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 287])
def test_a_signal_shorter_than_a_segment_is_mirrored(samples: int) -> None:
    signal = np.arange(samples, dtype=np.float32)
    np.testing.assert_array_equal(apply_model(Same(), signal, 288), signal)


def test_peaks_by_hand() -> None:
    activation = np.zeros(200)
    activation[[0, 50, 60, 120, 199]] = [0.9, 0.7, 0.8, 0.3, 0.6]
    assert pick_r_peaks(activation, 0.5, 20).tolist() == [0, 60, 199]  # 50 is within the refractory time of 60
    assert pick_r_peaks(activation, 0.2, 5).tolist() == [0, 50, 60, 120, 199]
    assert pick_r_peaks(activation, 0.95, 20).tolist() == []
    assert pick_r_peaks(np.zeros(0), 0.5, 20).tolist() == []


@given(arrays(np.float32, st.integers(0, 60), elements=st.floats(0, 1, width=32), unique=True), st.integers(1, 20))
def test_peaks_are_apart_and_high_enough(activation: np.ndarray, refractory: int) -> None:
    peaks = pick_r_peaks(activation, 0.5, refractory)
    assert (np.diff(peaks) >= refractory).all()
    assert (activation[peaks] >= 0.5).all()
    fewer = pick_r_peaks(activation, 0.8, refractory)
    assert set(fewer) == {peak for peak in peaks if activation[peak] >= 0.8}  # a lower peak suppresses no higher one


def test_window_scores_drop_the_remainder() -> None:
    activation = np.array([0.1, 0.5, 0.2, 0.0, 0.0, 0.3, 0.9])
    assert window_scores(activation, 3, 1).tolist() == [0.5, 0.0]
