"""Matching detected R peaks to annotated ones, one to one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Matches:
    """Counts of a comparison, and how far the matched peaks lie from their annotation.

    Attributes:
        true_positives: annotated beats that were found.
        false_negatives: annotated beats that were missed.
        false_positives: detections without a beat.
        offsets: detection minus annotation in samples, one per true positive.
        missed: sample indices of the annotated beats that were missed.
        invented: sample indices of the detections without a beat.
    """

    true_positives: int
    false_negatives: int
    false_positives: int
    offsets: np.ndarray
    missed: np.ndarray
    invented: np.ndarray

    @property
    def table(self) -> tuple[int, int, int]:
        """True positives, false negatives, false positives."""
        return self.true_positives, self.false_negatives, self.false_positives


def match_r_peaks(
    annotated: np.ndarray, detected: np.ndarray, tolerance: int, excluded_intervals: Iterable[tuple[int, int]] = ()
) -> Matches:
    """Pair annotated and detected R peaks, each at most once, within a tolerance.

    The beat-by-beat comparison of ANSI/AAMI EC57: going through both in time, the next beat and the next detection are
    a pair if they lie within the tolerance, unless one of them has a nearer partner following that is not itself
    better served.

    Args:
        annotated: strictly rising sample indices.
        detected: strictly rising sample indices.
        tolerance: the farthest that a pair may lie apart, in samples, itself included.
        excluded_intervals: ``(start, end)`` in samples, end excluded; beats and detections inside do not count.
    """
    beats = _scored(annotated, excluded_intervals)
    peaks = _scored(detected, excluded_intervals)
    offsets: list[int] = []
    missed: list[int] = []
    invented: list[int] = []
    i = j = 0
    while i < len(beats) and j < len(peaks):
        apart = peaks[j] - beats[i]
        if abs(apart) > tolerance:
            alone = apart < 0
        elif _nearer_next(beats, peaks, i, j):
            alone = True
        elif _nearer_next(peaks, beats, j, i):
            alone = False
        else:
            offsets.append(apart)
            i, j = i + 1, j + 1
            continue
        if alone:  # the detection is the earlier of the two
            invented.append(peaks[j])
            j += 1
        else:
            missed.append(beats[i])
            i += 1
    missed += beats[i:]
    invented += peaks[j:]
    samples = (np.array(found, dtype=np.int64) for found in (offsets, missed, invented))
    return Matches(len(offsets), len(missed), len(invented), *samples)


def _nearer_next(ours: list[int], theirs: list[int], i: int, j: int) -> bool:
    """Whether the detection behind ``theirs[j]`` suits ``ours[i]`` better, and no other of ``ours`` better still."""
    if j + 1 >= len(theirs):
        return False
    next_apart = abs(theirs[j + 1] - ours[i])
    if next_apart >= abs(theirs[j] - ours[i]):
        return False
    return i + 1 >= len(ours) or abs(theirs[j + 1] - ours[i + 1]) >= next_apart


def _scored(samples: np.ndarray, excluded_intervals: Iterable[tuple[int, int]]) -> list[int]:
    keep = np.ones(len(samples), dtype=bool)
    for start, end in excluded_intervals:
        keep &= (samples < start) | (samples >= end)
    # Python's own integers: the loop above reads single values, which is several times slower from an array.
    kept: list[int] = np.asarray(samples)[keep].tolist()
    return kept
