"""One-to-one matching of detected to annotated R peaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Matches:
    """Counts of a comparison, and the offsets of the matched peaks.

    Attributes:
        true_positives: annotated beats with a detection.
        false_negatives: annotated beats without a detection.
        false_positives: detections without a beat.
        offsets: detection minus annotation in samples, one per true positive.
        true_positive_samples: sample indices of the detections with a beat.
        false_negative_samples: sample indices of the annotated beats without a detection.
        false_positive_samples: sample indices of the detections without a beat.
    """

    true_positives: int
    false_negatives: int
    false_positives: int
    offsets: np.ndarray
    true_positive_samples: np.ndarray
    false_negative_samples: np.ndarray
    false_positive_samples: np.ndarray

    @property
    def table(self) -> tuple[int, int, int]:
        """True positives, false negatives, false positives."""
        return self.true_positives, self.false_negatives, self.false_positives


def match_r_peaks(
    annotated: np.ndarray,
    detected: np.ndarray,
    *,
    tolerance: int,
    excluded_intervals: Iterable[tuple[int, int]] = (),
) -> Matches:
    """Pair annotated and detected R peaks, each at most once, within a tolerance.

    This is the beat-by-beat comparison of ANSI/AAMI EC57. Both lists are read in time order. The next beat and the next
    detection are a pair if they lie within the tolerance, unless one of them has a nearer partner next that is not
    itself nearer to another.

    Args:
        annotated: sample indices, strictly increasing.
        detected: sample indices, strictly increasing.
        tolerance: largest distance of a pair in samples, inclusive.
        excluded_intervals: intervals ``(start, end)``, end excluded, in which beats and detections do not count.
    """
    excluded = list(excluded_intervals)
    beats, peaks = _outside(annotated, excluded), _outside(detected, excluded)
    offsets: list[int] = []
    true_positives: list[int] = []
    false_negatives: list[int] = []
    false_positives: list[int] = []
    i = j = 0
    while i < len(beats) and j < len(peaks):
        distance = peaks[j] - beats[i]
        if abs(distance) > tolerance:
            is_false_positive = distance < 0
        elif _next_is_nearer(beats, peaks, i, j):
            is_false_positive = True
        elif _next_is_nearer(peaks, beats, j, i):
            is_false_positive = False
        else:
            offsets.append(distance)
            true_positives.append(peaks[j])
            i, j = i + 1, j + 1
            continue
        if is_false_positive:
            false_positives.append(peaks[j])
            j += 1
        else:
            false_negatives.append(beats[i])
            i += 1
    false_negatives += beats[i:]
    false_positives += peaks[j:]
    counted = (offsets, true_positives, false_negatives, false_positives)
    samples = (np.array(found, dtype=np.int64) for found in counted)
    return Matches(len(offsets), len(false_negatives), len(false_positives), *samples)


def _next_is_nearer(ours: list[int], theirs: list[int], i: int, j: int) -> bool:
    """Return whether the peak after ``theirs[j]`` is nearer to ``ours[i]``, and not nearer still to ``ours[i + 1]``."""
    if j + 1 >= len(theirs):
        return False
    next_distance = abs(theirs[j + 1] - ours[i])
    if next_distance >= abs(theirs[j] - ours[i]):
        return False
    return i + 1 >= len(ours) or abs(theirs[j + 1] - ours[i + 1]) >= next_distance


def _outside(samples: np.ndarray, excluded_intervals: Iterable[tuple[int, int]]) -> list[int]:
    """Return the samples outside of the intervals."""
    keep = np.ones(len(samples), dtype=bool)
    for start, end in excluded_intervals:
        keep &= (samples < start) | (samples >= end)
    # Python integers: the loop above reads single values, which is several times slower from an array.
    kept: list[int] = np.asarray(samples)[keep].tolist()
    return kept
