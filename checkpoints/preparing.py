"""What a detector is shown of a segment: bursts limited, and scaled so that no gain matters."""

from __future__ import annotations

import numpy as np

_PART = 0.4
"""Seconds that are judged at a time, of which about every other holds a QRS complex."""

_SHORTEST = 4.0
"""Seconds: a shorter segment may hold too few beats to show what is typical."""

_FEWEST_PARTS = 5
"""Parts that must not stand still, for the same reason."""

_TYPICAL = 0.8
"""Share of the parts that are no larger than what is typical: enough hold a QRS complex even at 40 beats a minute, and
a burst of up to a second leaves it alone."""

_LIMIT = 3.0
"""Times the typical peak-to-peak amplitude that anything may lie off the middle: no ectopic beat does; an electrode
that comes off does, and would make everything beside it small."""

_LONGEST_COMPLEX = 0.2
"""Seconds: what stays off by more than the limit for longer is no QRS complex, but an artifact."""

_SMALLEST_STD = 0.01  # mV: below the noise of any electrode; a flat segment is not blown up to noise


def scale_segments(segments: np.ndarray, fs: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Limit bursts, and scale each segment to a standard deviation of 1 mV.

    Args:
        segments: mV, shape ``(segments, segment)``.
        fs: their sampling rate in Hz, which is that of the model.

    Returns:
        The same for the model, float32; and which samples are artifacts, or ``None`` where none are.
    """
    count, length = segments.shape
    if length < _SHORTEST * fs:
        return _scaled(segments, None), None
    parts = length // max(1, round(_PART * fs))
    cut = segments[:, : length // parts * parts].reshape(count, parts, -1)
    lowest, highest = cut.min(axis=2), cut.max(axis=2)
    heights = np.sort(highest - lowest, axis=1)
    # Parts that stand still are gaps that were filled.
    still = (heights == 0).sum(axis=1)
    moving = parts - still
    rank = np.minimum(still + (_TYPICAL * (moving - 1)).astype(np.int64), parts - 1)
    typical = np.take_along_axis(heights, rank[:, np.newaxis], axis=1)[:, 0]
    middle = np.median((highest + lowest) / 2, axis=1)
    limit = np.where(moving >= _FEWEST_PARTS, _LIMIT * typical, np.inf)
    wild = np.maximum(segments.max(axis=1) - middle, middle - segments.min(axis=1)) > limit
    if not wild.any():
        return _scaled(segments, None), None
    off = np.abs(segments - middle[:, np.newaxis])
    limited = off > limit[:, np.newaxis]
    artifacts = _long_runs(limited, round(_LONGEST_COMPLEX * fs))
    low, high = (middle - limit)[:, np.newaxis], (middle + limit)[:, np.newaxis]
    # A part in which something was limited says nothing of the size of the rest.
    counted = ~limited
    calm = ~limited[:, : cut.shape[2] * parts].reshape(cut.shape).any(axis=2)
    counted[:, : cut.shape[2] * parts] = np.repeat(calm, cut.shape[2], axis=1)
    scaled = _scaled(np.clip(segments, low, high), counted | ~calm.any(axis=1, keepdims=True))
    return scaled, artifacts if artifacts.any() else None


def _long_runs(limited: np.ndarray, longest: int) -> np.ndarray:
    """Those of the samples that are limited for longer than a complex lasts, in samples, without a break."""
    bordered = np.pad(limited, ((0, 0), (1, 1))).ravel()
    edges = np.flatnonzero(bordered[1:] != bordered[:-1]) + 1
    begins, ends = edges[::2], edges[1::2]
    long = ends - begins > longest
    marks = np.zeros(len(bordered) + 1, np.int8)
    marks[begins[long]], marks[ends[long]] = 1, -1
    return np.asarray(np.cumsum(marks[:-1]).reshape(len(limited), -1)[:, 1:-1] > 0)


def _scaled(segments: np.ndarray, counted: np.ndarray | None) -> np.ndarray:
    """Segments less their mean over their standard deviation, both of the samples that count (``None``: all)."""
    length = segments.shape[1]
    if counted is None:
        centred = segments - segments.mean(axis=1, keepdims=True, dtype=np.float32)
        std = np.sqrt(np.einsum("ij,ij->i", centred, centred) / length)
    else:
        count = counted.sum(axis=1)
        centred = segments - (np.where(counted, segments, 0).sum(axis=1) / count)[:, np.newaxis]
        std = np.sqrt(np.where(counted, centred**2, 0).sum(axis=1) / count)
    return np.asarray(centred / np.maximum(std, _SMALLEST_STD)[:, np.newaxis], np.float32)
