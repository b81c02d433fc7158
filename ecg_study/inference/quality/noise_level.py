"""Signal-to-noise ratio of each second of a denoised lead, and weakening of small removals."""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.removals import UsualRemovals, removal_factors, removal_ratios

_AROUND_SECONDS = 5
"""Seconds on either side over which the power of the ECG is averaged: several beats at any heart rate."""

_LEAST_USABLE = 0.5  # smallest share of usable samples for which a second gets an estimate

_BEAT_SECONDS = 2
"""Seconds on either side that make an interval with a beat in it, at 20 beats a minute and more."""

_BLOCK_SECONDS = 60
"""Seconds that share a usual power, which comes from them and as many on either side."""

_LARGEST_POWER = 100.0
"""Power of a second of ECG, relative to the usual power: ten times the amplitude. A premature beat of three times the
amplitude and width reaches 27; an intermittent bundle branch block, for minutes, 40 (lead V1 of `mitdb` 212)."""

_LARGEST_BESIDE = 10.0
"""The same in and beside a second with more: an artifact begins within a second, and filters spread it."""

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
        square in the second itself. A second with more than 100 times the power that is usual in these minutes is not
        an ECG but an artifact that is left. What it and the seconds beside it have beyond 10 times counts as noise. NaN
        if less than half of a second can be used, or if there is no signal. At most 60 dB.
        """
        sums, count = self._sums, self._sums[3]
        if not len(count):
            return np.empty(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            usual, own = _usual_power(sums), _variance(sums)
            is_artifact = np.convolve(own > _LARGEST_POWER * usual, np.ones(3))[1:-1] > 0
            left = np.where(is_artifact, np.maximum(own - _LARGEST_BESIDE * usual, 0.0), 0.0)
            power = _variance(_sums_around(np.where(left > 0, 0.0, sums), seconds=_AROUND_SECONDS))
            # In a long artifact no second around is an ECG: its power is then the usual one.
            power = np.where(np.isnan(power), usual, power)
            ratio = 10 * np.log10(power / (sums[2] / count + left))
        seconds = np.full(len(count), self._fs)
        seconds[-1] = self._samples - (len(count) - 1) * self._fs
        known = (count >= _LEAST_USABLE * seconds) & (power > 0)
        return np.where(known, np.minimum(ratio, _HIGHEST_DB), np.nan)


def _sums_around(sums: np.ndarray, *, seconds: int) -> np.ndarray:
    """Add to the sums of each second those of so many seconds on either side."""
    near = slice(seconds, seconds + sums.shape[1])
    return np.array([np.convolve(total, np.ones(2 * seconds + 1))[near] for total in sums])


def _variance(sums: np.ndarray) -> np.ndarray:
    """Return the variance of the signal from the sums of `NoiseMeter`; NaN where there are no samples."""
    return np.asarray(sums[1] / sums[3] - (sums[0] / sums[3]) ** 2)


def _usual_power(sums: np.ndarray) -> np.ndarray:
    """Return the usual power around each second: the median, over minutes, of the variance of short intervals.

    Neither artifacts nor pauses change it, as long as they are less than half of these minutes. Where pauses are more,
    the median of the whole lead is higher, and is taken.
    """
    variance = _variance(_sums_around(sums, seconds=_BEAT_SECONDS))
    usual = np.full(len(variance), _median(variance))
    for start in range(0, len(variance), _BLOCK_SECONDS):
        near = _median(variance[max(0, start - _BLOCK_SECONDS) : start + 2 * _BLOCK_SECONDS])
        block = slice(start, start + _BLOCK_SECONDS)
        usual[block] = np.fmax(usual[block], near)
    return usual


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


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
