"""R peaks of a signal, with their confidences and the intervals that tell nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from ecg_study.models.calibration import Calibration


def no_intervals() -> np.ndarray:
    """Return intervals of samples, shape ``(0, 2)``."""
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class RPeaks:
    """R peaks of a signal.

    Attributes:
        samples: Sample indices, int64, shape ``(peaks,)``, strictly increasing.
        confidences: Confidence that each is correct, shape ``(peaks,)``, from 0 to 1. With a calibration, see
            `ModelCard`, the share of correct R peaks with this confidence on validation records, with and without
            noise; otherwise the peak probability.
        unusable: Intervals that tell nothing about the heart, int64, shape ``(intervals, 2)``: first sample, and the
            sample after the last. No lead can be used, or no peak was found for three seconds although the leads move
            as QRS complexes do, see `SilenceCheck`; or the whole signal is shorter than a second.
    """

    samples: np.ndarray
    confidences: np.ndarray
    unusable: np.ndarray = field(default_factory=no_intervals)

    def __len__(self) -> int:
        """Return the number of R peaks."""
        return len(self.samples)

    def above(self, threshold: float) -> RPeaks:
        """Return the R peaks with at least this confidence.

        A lower peak never suppresses a higher one, so others are not found in their place.
        """
        kept = self.confidences >= threshold
        return RPeaks(self.samples[kept], self.confidences[kept], self.unusable)

    def calibrated(self, calibration: Calibration) -> RPeaks:
        """Return the R peaks with confidences in place of peak probabilities."""
        return replace(self, confidences=calibration.confidences(self.confidences))

    @staticmethod
    def concatenate(parts: Iterable[RPeaks]) -> RPeaks:
        """Return the consecutive results of a stream as one result."""
        parts = list(parts)
        return RPeaks(
            np.concatenate([np.empty(0, np.int64), *(part.samples for part in parts)]),
            np.concatenate([np.empty(0, np.float32), *(part.confidences for part in parts)]),
            np.concatenate([no_intervals(), *(part.unusable for part in parts)]),
        )
