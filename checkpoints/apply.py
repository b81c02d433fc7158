"""Applying a model to a whole lead, and reading R peaks and windows off an activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

_OVERLAP = 4  # a quarter of a segment overlaps with the next: over a second of context at each seam
_BATCH = 128


def apply_model(
    model: keras.Model,
    signal: np.ndarray,
    segment: int,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Pass a lead of any length through a model that reads one segment at a time.

    Segments overlap by a quarter and are cross-faded, since a recurrent network knows little at the border of a
    segment; the last segment ends with the signal.

    Args:
        model: from ``(batch, segment, 1)`` to the same shape.
        signal: one lead in mV, shape ``(samples,)``, at least one segment long.
        segment: samples a segment.
        progress: called with the segments done and their total.

    Returns:
        float32 array of shape ``(samples,)``.

    Raises:
        ValueError: the signal is shorter than a segment.
    """
    samples = len(signal)
    if samples < segment:
        raise ValueError(f"{samples} samples are shorter than a segment of {segment}")
    overlap = segment // _OVERLAP
    starts = np.arange(0, samples - segment + 1, segment - overlap)
    if starts[-1] + segment < samples:
        starts = np.append(starts, samples - segment)
    ramp = np.minimum(np.arange(1, segment + 1), np.arange(segment, 0, -1))
    weight = np.minimum(ramp / max(overlap, 1), 1.0).astype(np.float32)
    total = np.zeros(samples, np.float32)
    weights = np.zeros(samples, np.float32)
    signal = np.asarray(signal, np.float32)
    for first in range(0, len(starts), _BATCH):
        if progress is not None:
            progress(first, len(starts))
        batch = starts[first : first + _BATCH]
        outputs = model.predict_on_batch(_padded(signal, batch, segment))
        for start, output in zip(batch, outputs, strict=False):
            total[start : start + segment] += weight * output[:, 0]
            weights[start : start + segment] += weight
    if progress is not None:
        progress(len(starts), len(starts))
    return total / weights


def apply_segments(model: keras.Model, segments: np.ndarray) -> np.ndarray:
    """Pass separate segments through a model.

    Args:
        model: from ``(batch, segment, 1)`` to the same shape.
        segments: mV, shape ``(segments, segment)``.

    Returns:
        float32 array of the same shape.
    """
    outputs = np.empty(segments.shape, np.float32)
    rows, flat = np.arange(len(segments)), np.ascontiguousarray(segments, np.float32).ravel()
    for first in range(0, len(segments), _BATCH):
        batch = rows[first : first + _BATCH]
        padded = _padded(flat, batch * segments.shape[1], segments.shape[1])
        outputs[batch] = model.predict_on_batch(padded)[: len(batch), :, 0]
    return outputs


def _padded(signal: np.ndarray, starts: np.ndarray, segment: int) -> np.ndarray:
    """The segments of one batch, filled up with zeros to a power of two so that few shapes are compiled."""
    size = min(_BATCH, 1 << (len(starts) - 1).bit_length())
    batch = np.zeros((size, segment, 1), np.float32)
    batch[: len(starts), :, 0] = np.lib.stride_tricks.sliding_window_view(signal, segment)[starts]
    return batch


def pick_r_peaks(activation: np.ndarray, threshold: float, refractory: int) -> np.ndarray:
    """Sample indices of the R peaks in an activation, int64, strictly rising.

    A peak is a local maximum of at least ``threshold``; of two within the refractory period the higher stays.

    Args:
        activation: shape ``(samples,)``, 0 to 1.
        threshold: lowest activation of a peak.
        refractory: samples within which there is but one R peak.
    """
    from scipy.signal import find_peaks

    # Zeros at both ends make a maximum of the first or last sample one that has two sides.
    bordered = np.concatenate([[0.0], activation, [0.0]])
    peaks, _ = find_peaks(bordered, height=threshold, distance=max(1, refractory))
    return np.asarray(peaks - 1, dtype=np.int64)


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
