"""Signal-to-noise ratio of each second of a denoised lead, and weakening of small removals."""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.removals import UsualRemovals, removal_factors, removal_ratios

_AROUND_SECONDS = 5
"""Seconds on either side over which the power of the ECG is averaged: several beats at any heart rate."""

_LEAST_USABLE = 0.5  # smallest share of usable samples for which a second gets an estimate

_HIGHEST_DB = 60.0
"""Highest ratio that is reported; what a denoiser removes is not known more exactly."""


class NoiseMeter:
    """Powers of the denoised signal and of the removed noise, second by second.

    Args:
        fs: sampling rate in Hz.
    """

    def __init__(self, fs: float) -> None:
        self._fs = fs
        self._samples = 0
        # Per second: sum of the signal, of its squares, of the squares of the noise, and number of samples.
        self._sums = np.zeros((4, 0))

    def add(self, denoised: np.ndarray, removed: np.ndarray, *, usable: np.ndarray) -> None:
        """Add the next samples.

        Args:
            denoised: denoised samples, shape ``(samples,)``.
            removed: what was removed from them.
            usable: which of the samples can be used.
        """
        count = len(denoised)
        if not count:
            return
        seconds = ((self._samples + np.arange(count)) / self._fs).astype(np.int64)
        self._samples += count
        missing = int(seconds[-1]) + 1 - self._sums.shape[1]
        self._sums = np.pad(self._sums, ((0, 0), (0, max(0, missing))))
        signal, noise = denoised.astype(np.float64), removed.astype(np.float64)
        first, length = int(seconds[0]), self._sums.shape[1] - int(seconds[0])
        for total, values in zip(self._sums, (signal, signal**2, noise**2, np.ones(count)), strict=True):
            total[first:] += np.bincount(seconds - first, np.where(usable, values, 0.0), minlength=length)

    def decibels(self) -> np.ndarray:
        """Return the estimated SNR of each second in dB, shape ``(seconds,)``; the last second may be shorter.

        The power of the ECG is its variance in the second and the five on either side, the power of the noise its mean
        square in the second itself. NaN if less than half of a second can be used, or if there is no signal. At most
        60 dB.
        """
        noise, count = self._sums[2:]
        if not len(count):
            return np.empty(0)
        near = slice(_AROUND_SECONDS, _AROUND_SECONDS + len(count))
        around = [np.convolve(total, np.ones(2 * _AROUND_SECONDS + 1))[near] for total in self._sums]
        with np.errstate(divide="ignore", invalid="ignore"):
            power = around[1] / around[3] - (around[0] / around[3]) ** 2
            ratio = 10 * np.log10(power / (noise / count))
        seconds = np.full(len(count), self._fs)
        seconds[-1] = self._samples - (len(count) - 1) * self._fs
        known = (count >= _LEAST_USABLE * seconds) & (power > 0)
        return np.where(known, np.minimum(ratio, _HIGHEST_DB), np.nan)


class RemovalWeakener:
    """Weakening of small removals from consecutive segments, by `removal_factors`.

    Recordings hold noise themselves. Where a denoiser removes very little, it removes mostly that, and small parts of
    the ECG. The unit of the segments does not matter.

    Args:
        threshold: ratio of powers, above 0.
        segments_per_minute: see `UsualRemovals`; 1 for segments that do not follow each other.
    """

    def __init__(self, threshold: float, *, segments_per_minute: int = 1) -> None:
        self._threshold = threshold
        self._usual = UsualRemovals(segments_per_minute)

    def weaken(self, segments: np.ndarray, denoised: np.ndarray) -> np.ndarray:
        """Return the next denoised segments, with small removals weakened.

        Args:
            segments: input of the denoiser, shape ``(segments, samples)``.
            denoised: its output, of the same shape.
        """
        removed = segments - denoised
        powers = [np.mean(np.square(signal, dtype=np.float64), axis=1) for signal in (removed, denoised)]
        factors = removal_factors(self._usual.judge(removal_ratios(*powers)), threshold=self._threshold)
        return np.asarray(segments - factors[:, np.newaxis].astype(segments.dtype) * removed)
