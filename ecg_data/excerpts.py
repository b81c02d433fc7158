"""Excerpts of long signals, each stretched or compressed in time."""

from __future__ import annotations

import numpy as np


class Excerpts:
    """Places of excerpts: sample ``n`` of an excerpt is ``scale * n`` samples after its start.

    Values between two samples are interpolated linearly. An excerpt with scale 1 is copied without a change. The places
    are computed once for all signals. NumPy handles all excerpts at once, and releases Python's lock meanwhile, so that
    several threads can draw excerpts.

    Args:
        starts: first samples, int64 of shape ``(excerpts,)``.
        scales: samples of the signal per sample of an excerpt, about 1; of the same shape.
        samples: length of each excerpt.
    """

    def __init__(self, starts: np.ndarray, scales: np.ndarray, *, samples: int) -> None:
        self._starts, self._samples = starts, samples
        self._stretched = np.flatnonzero(scales != 1)
        at = scales[self._stretched, np.newaxis] * np.arange(samples)
        self._below = at.astype(np.intp)
        self._share = np.subtract(at, self._below, out=np.empty(at.shape, np.float32), casting="same_kind")
        self._below += starts[self._stretched, np.newaxis]

    def of(self, signal: np.ndarray) -> np.ndarray:
        """Return the excerpts of one signal, float32 of shape ``(excerpts, samples)``.

        Args:
            signal: float32 of shape ``(samples,)``, which holds all excerpts.
        """
        # Rows of this view start at every sample.
        every = np.lib.stride_tricks.sliding_window_view(signal, self._samples)
        if not len(self._stretched):
            return np.asarray(every[self._starts])
        # A compressed excerpt reads fewer samples, so its start can be too late for an uncompressed one.
        made: np.ndarray = every[np.minimum(self._starts, len(every) - 1)]
        # The sample after the last one has no weight if it is outside.
        low = signal.take(self._below, mode="clip")
        rise = signal[1:].take(self._below, mode="clip")
        rise -= low
        rise *= self._share
        low += rise
        made[self._stretched] = low
        return made
