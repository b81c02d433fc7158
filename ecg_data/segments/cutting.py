"""Segments of a lead, and labels of their windows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def segment_starts(
    samples: int, segment_samples: int, *, excluded_intervals: Iterable[tuple[int, int]] = ()
) -> np.ndarray:
    """Return the first samples of the segments of a lead, int64 of shape ``(segments,)``.

    Segments follow each other from the first sample on. A remainder shorter than a segment is dropped, and so is every
    segment that touches an excluded interval.

    Args:
        samples: length of the lead.
        segment_samples: length of a segment.
        excluded_intervals: ``(start, end)`` in samples, end excluded.
    """
    starts = np.arange(samples // segment_samples, dtype=np.int64) * segment_samples
    keep = np.ones(len(starts), dtype=bool)
    for begin, end in excluded_intervals:
        keep &= (starts + segment_samples <= begin) | (starts >= end)
    return starts[keep]


def cut_segments(values: np.ndarray, starts: np.ndarray, *, segment_samples: int) -> np.ndarray:
    """Return the segments of a lead, shape ``(segments, segment_samples)``; a view if no segment was dropped.

    Args:
        values: samples of the lead, shape ``(samples,)``.
        starts: first samples from `segment_starts`.
        segment_samples: length of a segment.
    """
    whole = values[: len(values) // segment_samples * segment_samples].reshape(-1, segment_samples)
    return whole if len(starts) == len(whole) else whole[starts // segment_samples]


def mark_r_peaks(r_peaks: np.ndarray, samples: int) -> np.ndarray:
    """Return a uint8 array of shape ``(samples,)`` with 1 at each R peak and 0 elsewhere."""
    marks = np.zeros(samples, dtype=np.uint8)
    marks[r_peaks] = 1
    return marks


def window_labels(marks: np.ndarray, window: int) -> np.ndarray:
    """Return whether each window contains an R peak: bool of shape ``(..., samples / window)``.

    Args:
        marks: 1 at each R peak, shape ``(..., samples)``; ``samples`` is a multiple of ``window``.
        window: length of a window in samples.
    """
    # If possible, test eight samples at once, as one integer of 8 bytes.
    words = np.ascontiguousarray(marks, dtype=np.uint8)
    if window % 8 == 0:
        words, window = words.view(np.uint64), window // 8
    return np.asarray(words.reshape(*marks.shape[:-1], -1, window).any(axis=-1))
