"""Applying a Keras model to separate segments, and reading windows off an activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from checkpoints.engines import KerasEngine

if TYPE_CHECKING:
    import keras


def apply_segments(model: keras.Model, segments: np.ndarray) -> np.ndarray:
    """Pass separate segments through a model.

    Args:
        model: from ``(batch, segment, 1)`` to the same shape.
        segments: mV, shape ``(segments, segment)``.

    Returns:
        float32 array of the same shape.
    """
    return KerasEngine(model).run(np.asarray(segments, np.float32))


def window_scores(activation: np.ndarray, window: int, refractory: int) -> np.ndarray:
    """Score of each window: its largest activation peak, 0 where it holds none; shape ``(samples // window,)``.

    A sample counts only where it is the largest within the refractory period, so that the flank of a peak just
    across the border is not taken for a second peak. A remainder shorter than a window is dropped.

    Args:
        activation: shape ``(samples,)``.
        window: samples a window.
        refractory: samples on either side in which a larger activation suppresses a sample.
    """
    from scipy.ndimage import maximum_filter1d

    highest = maximum_filter1d(activation, 2 * refractory + 1, mode="constant", cval=-np.inf)
    peaks = np.where(activation >= highest, activation, 0)
    return np.asarray(peaks[: len(peaks) // window * window].reshape(-1, window).max(axis=1))
