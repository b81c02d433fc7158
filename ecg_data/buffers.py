"""Samples of a stream by their absolute index."""

from __future__ import annotations

import numpy as np


class SampleBuffer:
    """The part of a stream that is still needed; every sample keeps the index it has in the whole.

    Args:
        dtype: of the samples.
        start: index of the first sample that will come.

    Attributes:
        start: index of the first sample that is held.
    """

    def __init__(self, dtype: type, start: int = 0) -> None:
        self.start = start
        self._samples: np.ndarray = np.empty(0, dtype)

    @property
    def end(self) -> int:
        """Index after the last sample."""
        return self.start + len(self._samples)

    def append(self, samples: np.ndarray) -> None:
        """Add the next samples, shape ``(samples,)``."""
        samples = np.asarray(samples, self._samples.dtype)
        self._samples = samples if not len(self._samples) else np.concatenate([self._samples, samples])

    def view(self, start: int, end: int) -> np.ndarray:
        """The samples from ``start`` to before ``end``, not copied.

        Raises:
            IndexError: a part of them is not held.
        """
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"samples {start} to {end} of a buffer that holds {self.start} to {self.end}")
        return self._samples[start - self.start : end - self.start]

    def drop_before(self, index: int) -> None:
        """Forget the samples before ``index``."""
        index = min(index, self.end)
        if index > self.start:
            self._samples = self._samples[index - self.start :]
            self.start = index
