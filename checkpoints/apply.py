"""Applying a Keras model to a whole lead at its own rate, and reading windows off an activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from checkpoints.engines import KerasEngine
from checkpoints.stitching import Stitcher

if TYPE_CHECKING:
    import keras


def apply_model(
    model: keras.Model,
    signal: np.ndarray,
    segment: int,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Pass a lead of any length through a model that reads one segment at a time.

    Args:
        model: from ``(batch, segment, 1)`` to the same shape.
        signal: one lead in mV, shape ``(samples,)``.
        segment: samples a segment.
        progress: called with the samples done and their total.

    Returns:
        float32 array of shape ``(samples,)``.
    """
    engine = KerasEngine(model)
    done = 0

    def run(segments: np.ndarray, starts: np.ndarray) -> np.ndarray:
        nonlocal done
        outputs = engine.run(segments)
        done = min(len(signal), int(starts[-1]) + segment)
        if progress is not None:
            progress(done, len(signal))
        return outputs[np.newaxis]

    if progress is not None:
        progress(0, len(signal))
    stitcher = Stitcher(run, segment)
    return np.concatenate([stitcher.push(np.asarray(signal, np.float32)), stitcher.finish()], axis=1)[0]


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
