"""Cutting a lead into segments, and labelling its windows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def segment_starts(samples: int, segment: int, excluded_intervals: Iterable[tuple[int, int]] = ()) -> np.ndarray:
    """First samples of the segments of a lead, int64 of shape ``(segments,)``.

    Segments lie end to end from the first sample on. A remainder shorter than a segment is dropped, and so is every
    segment that touches an excluded interval.

    Args:
        samples: length of the lead.
        segment: samples a segment.
        excluded_intervals: ``(start, end)`` in samples, end excluded.
    """
    starts = np.arange(samples // segment, dtype=np.int64) * segment
    keep = np.ones(len(starts), dtype=bool)
    for begin, end in excluded_intervals:
        keep &= (starts + segment <= begin) | (starts >= end)
    return starts[keep]


def cut_segments(values: np.ndarray, starts: np.ndarray, segment: int) -> np.ndarray:
    """The segments of a lead, shape ``(segments, segment)``, from the first samples of `segment_starts`.

    Where no segment was dropped, this is a view, not a copy.
    """
    whole = values[: len(values) // segment * segment].reshape(-1, segment)
    return whole if len(starts) == len(whole) else whole[starts // segment]


def mark_r_peaks(r_peaks: np.ndarray, samples: int) -> np.ndarray:
    """A uint8 array of shape ``(samples,)``: 1 at each R peak, else 0."""
    marks = np.zeros(samples, dtype=np.uint8)
    marks[r_peaks] = 1
    return marks


def window_labels(marks: np.ndarray, window: int) -> np.ndarray:
    """Whether each window holds an R peak: bool of shape ``(..., samples / window)``.

    Args:
        marks: 1 at each R peak, shape ``(..., samples)``; samples a multiple of ``window``.
        window: samples a window.
    """
    # Eight samples are tested at once where the window allows it: 0 as an integer of 8 bytes is 8 bytes of 0.
    words = np.ascontiguousarray(marks, dtype=np.uint8)
    if window % 8 == 0:
        words, window = words.view(np.uint64), window // 8
    return np.asarray(words.reshape(*marks.shape[:-1], -1, window).any(axis=-1))
