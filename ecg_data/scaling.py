"""Scaling of segments for the detector: bursts are limited, and the rest keeps its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

_PART_SECONDS = 0.4
"""Duration of the parts of a segment, of which about every other has a QRS complex."""

_MIN_SEGMENT_SECONDS = 4.0
"""Shortest segment whose bursts are limited. A shorter one may have too few beats for a typical amplitude."""

_MIN_MOVING_PARTS = 5
"""Smallest number of parts that are not constant, for the same reason."""

_TYPICAL_QUANTILE = 0.8
"""Quantile of the peak-to-peak amplitudes of the parts that is typical.

Enough parts have a QRS complex even at 40 beats per minute, and a burst of up to a second does not change it."""

_LIMIT_FACTOR = 3.0
"""Largest distance from the middle, in typical peak-to-peak amplitudes.

No ectopic beat exceeds it. A detaching electrode does, and would make the rest of the segment small."""

_MAX_QRS_SECONDS = 0.2
"""Duration from which a deviation above the limit is an artifact and not a QRS complex."""

_ROUNDING = 1e-6  # of a moving average, relative to the highest sample

_MIN_STD_MV = 0.01  # below the noise of any electrode, so that a flat segment is not amplified to noise


def subtract_moving_average(segments: np.ndarray, *, seconds: float, fs: float) -> np.ndarray:
    """Subtract the moving average of the moving average: baseline wander, slow waves and the rest of a jump.

    The phase is that of the input, so R peaks stay where they are. With 0.4 s, what is below 1 Hz is at most a half.
    Segments are mirrored at both ends.

    Args:
        segments: samples in any unit, shape ``(segments, segment_samples)``.
        seconds: length of the average; the number of samples is the next odd one.
        fs: sampling rate in Hz.

    Returns:
        float32 of the same shape.
    """
    around = round((seconds * fs - 1) / 2)
    slow = np.asarray(segments, np.float64)
    for _ in range(2):
        slow = _moving_sum(slow, around, border="symmetric") / (2 * around + 1)
    rest = segments - slow
    # What is constant, such as a filled gap, must stay so: `scale_segments` does not count it.
    rest[np.abs(rest) < _ROUNDING * np.abs(segments).max(axis=1, keepdims=True, initial=0.0)] = 0.0
    return np.asarray(rest, np.float32)


@dataclass(frozen=True)
class _Limited:
    """Segments with limited bursts.

    Attributes:
        segments: the segments.
        artifacts: mask of bursts that are too long for a QRS complex; ``None`` if there are none.
        counted: mask of the samples that count for the scale; ``None`` if all do.
    """

    segments: np.ndarray
    artifacts: np.ndarray | None
    counted: np.ndarray | None


def scale_segments(
    segments: np.ndarray, fs: float, *, baseline_window_s: float | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Limit bursts, and scale each segment to a standard deviation of 1 mV.

    With a moving average, bursts are limited before it is subtracted, which would spread them over the beats beside
    them, and once more after it, which shows those under slow waves.

    Args:
        segments: Samples in mV, shape ``(segments, segment_samples)``.
        fs: Sampling rate of the segments, which is that of the model, in Hz.
        baseline_window_s: Length of the average that `subtract_moving_average` subtracts before the scale, in seconds;
            ``None`` subtracts nothing.

    Returns:
        The scaled segments, float32, and a mask of artifacts, or ``None`` if there are none.
    """
    limited = _limit_bursts(segments, fs)
    if baseline_window_s is None:
        return _scaled(limited.segments, limited.counted), limited.artifacts
    again = _limit_bursts(subtract_moving_average(limited.segments, seconds=baseline_window_s, fs=fs), fs)
    # The average spreads what is left of a burst by its own length.
    counted = _both(_eroded(limited.counted, round(baseline_window_s * fs)), again.counted)
    if counted is not None:
        counted |= ~counted.any(axis=1, keepdims=True)
    artifacts = [mask for mask in (limited.artifacts, again.artifacts) if mask is not None]
    return _scaled(again.segments, counted), np.logical_or.reduce(artifacts) if artifacts else None


def _limit_bursts(segments: np.ndarray, fs: float) -> _Limited:
    count, length = segments.shape
    if length < _MIN_SEGMENT_SECONDS * fs:
        return _Limited(segments, None, None)
    parts = length // max(1, round(_PART_SECONDS * fs))
    cut = segments[:, : length // parts * parts].reshape(count, parts, -1)
    lowest, highest = cut.min(axis=2), cut.max(axis=2)
    heights = np.sort(highest - lowest, axis=1)
    # Constant parts are filled gaps.
    constant = (heights == 0).sum(axis=1)
    moving = parts - constant
    rank = np.minimum(constant + (_TYPICAL_QUANTILE * (moving - 1)).astype(np.int64), parts - 1)
    typical = np.take_along_axis(heights, rank[:, np.newaxis], axis=1)[:, 0]
    middle = np.median((highest + lowest) / 2, axis=1)
    limit = np.where(moving >= _MIN_MOVING_PARTS, _LIMIT_FACTOR * typical, np.inf)
    wild = np.maximum(segments.max(axis=1) - middle, middle - segments.min(axis=1)) > limit
    if not wild.any():
        return _Limited(segments, None, None)
    off = np.abs(segments - middle[:, np.newaxis])
    limited = off > limit[:, np.newaxis]
    artifacts = _long_runs(limited, round(_MAX_QRS_SECONDS * fs))
    low, high = (middle - limit)[:, np.newaxis], (middle + limit)[:, np.newaxis]
    # A part with limited samples does not count for the scale.
    counted = ~limited
    calm = ~limited[:, : cut.shape[2] * parts].reshape(cut.shape).any(axis=2)
    counted[:, : cut.shape[2] * parts] = np.repeat(calm, cut.shape[2], axis=1)
    counted |= ~calm.any(axis=1, keepdims=True)
    return _Limited(np.clip(segments, low, high), artifacts if artifacts.any() else None, counted)


def _eroded(mask: np.ndarray | None, samples: int) -> np.ndarray | None:
    """Return the samples of a mask that are at least so far from those outside."""
    return None if mask is None else _moving_sum(mask.astype(np.int64), samples, border="edge") == 2 * samples + 1


def _moving_sum(segments: np.ndarray, around: int, *, border: Literal["symmetric", "edge"]) -> np.ndarray:
    """Return the sum of each sample and of so many before and after it; the border is that of `numpy.pad`."""
    padded = np.pad(segments, ((0, 0), (around + 1, around)), mode=border)
    sums = np.cumsum(padded, axis=1, out=padded)
    return np.asarray(sums[:, 2 * around + 1 :] - sums[:, : segments.shape[1]])


def _both(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Return the intersection of two masks, of which ``None`` is all."""
    if first is None or second is None:
        return second if first is None else first
    return np.asarray(first & second)


def _long_runs(limited: np.ndarray, longest: int) -> np.ndarray:
    """Return the samples in runs of limited samples that are longer than ``longest``."""
    bordered = np.pad(limited, ((0, 0), (1, 1))).ravel()
    edges = np.flatnonzero(bordered[1:] != bordered[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts > longest
    marks = np.zeros(len(bordered) + 1, np.int8)
    marks[starts[long]], marks[ends[long]] = 1, -1
    return np.asarray(np.cumsum(marks[:-1]).reshape(len(limited), -1)[:, 1:-1] > 0)


def _scaled(segments: np.ndarray, counted: np.ndarray | None) -> np.ndarray:
    """Return standardized segments, with statistics of the counted samples (``None``: all)."""
    length = segments.shape[1]
    if counted is None:
        centered = segments - segments.mean(axis=1, keepdims=True, dtype=np.float32)
        std = np.sqrt(np.einsum("ij,ij->i", centered, centered) / length)
    else:
        count = counted.sum(axis=1)
        centered = segments - (np.where(counted, segments, 0).sum(axis=1) / count)[:, np.newaxis]
        std = np.sqrt(np.where(counted, centered**2, 0).sum(axis=1) / count)
    return np.asarray(centered / np.maximum(std, _MIN_STD_MV)[:, np.newaxis], np.float32)
