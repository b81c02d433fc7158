"""Buffer for the samples of a stream."""

from __future__ import annotations

import numpy as np


class SampleBuffer:
    """The part of a stream that is still needed; samples are addressed by their index in the stream.

    Args:
        dtype: type of the samples.
        start: index of the first sample to come.

    Attributes:
        start: index of the first sample in the buffer.
    """

    def __init__(self, dtype: type, start: int = 0) -> None:
        self.start = start
        self._samples: np.ndarray = np.empty(0, dtype)

    @property
    def end(self) -> int:
        """Index after the last sample in the buffer."""
        return self.start + len(self._samples)

    def append(self, samples: np.ndarray) -> None:
        """Append the next samples, shape ``(samples,)``."""
        samples = np.asarray(samples, self._samples.dtype)
        self._samples = samples if not len(self._samples) else np.concatenate([self._samples, samples])

    def view(self, start: int, end: int) -> np.ndarray:
        """Return the samples from ``start`` to ``end``, end excluded, without copying.

        Raises:
            IndexError: the buffer does not hold all of them.
        """
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"samples {start} to {end} are not in the buffer, which holds {self.start} to {self.end}")
        return self._samples[start - self.start : end - self.start]

    def drop_before(self, index: int) -> None:
        """Drop the samples before ``index``."""
        index = min(index, self.end)
        if index > self.start:
            self._samples = self._samples[index - self.start :]
            self.start = index
