"""Changed beats: small QRS complexes, tall T waves, and single beats that are much larger than the others.

A detector that has only seen beats of similar size takes a tall T wave beside a small QRS complex for a beat, and the
beats around a large premature one for noise.
"""

from __future__ import annotations

import numpy as np

_QRS_SECONDS = (0.06, 0.06)  # before and after the R peak: half of the widest normal QRS complex
_T_BEGINS, _T_ENDS = 0.14, 0.42
"""Seconds after the R peak between which the T wave lies at 60 beats/min. The end varies with the root of the RR
interval (Bazett, 1920)."""

_EDGE_SECONDS = 0.04  # over which a gain rises and falls
_SMALL_QRS = (0.1, 0.7)
_TALL_T = (1.5, 4.0)
_LARGE_BEAT = (1.5, 3.0)
_MOST_LARGE = 3  # beats in a segment


def change_beats(
    signal: np.ndarray, marks: np.ndarray, *, without_wander: np.ndarray, fs: float, rng: np.random.Generator
) -> np.ndarray:
    """Return segments in which some waves have another amplitude.

    A third of the segments get QRS complexes of 0.1 to 0.7 times their size, in half of them with T waves of 1.5 to 4
    times theirs; a third get such T waves alone, and a third get one to three beats of 1.5 to 3 times their size.

    Args:
        signal: segments in mV, float32 of shape ``(segments, samples)``.
        marks: 1 at each R peak, of the same shape.
        without_wander: the segments without baseline wander, of the same shape. Waves are scaled about their median.
        fs: sampling rate in Hz.
        rng: random numbers.
    """
    signal = signal.copy()
    kinds, both = rng.integers(0, 3, len(signal)), rng.random(len(signal)) < 0.5
    for row, (kind, with_t) in enumerate(zip(kinds.tolist(), both.tolist(), strict=True)):
        r_peaks = np.flatnonzero(marks[row])
        if not len(r_peaks):
            continue
        gain = np.ones(signal.shape[1], np.float32)
        if kind == 0:
            _scale_qrs(gain, r_peaks, rng.uniform(*_SMALL_QRS), fs)
        if kind == 1 or (kind == 0 and with_t):
            _scale_t(gain, r_peaks, rng.uniform(*_TALL_T), fs)
        if kind == 2:
            _scale_some_beats(gain, r_peaks, fs, rng)
        waves = without_wander[row] - np.median(without_wander[row])
        signal[row] += (gain - 1) * waves
    return signal


def _scale_qrs(gain: np.ndarray, r_peaks: np.ndarray, factor: float, fs: float) -> None:
    before, after = _QRS_SECONDS
    for peak in r_peaks.tolist():
        _scale(gain, (peak - before * fs, peak + after * fs), factor, fs)


def _scale_t(gain: np.ndarray, r_peaks: np.ndarray, factor: float, fs: float) -> None:
    for peak, interval in zip(r_peaks.tolist(), _intervals(r_peaks, fs).tolist(), strict=True):
        _scale(gain, (peak + _T_BEGINS * fs, peak + min(_T_ENDS * interval**0.5, interval - 0.2) * fs), factor, fs)


def _scale_some_beats(gain: np.ndarray, r_peaks: np.ndarray, fs: float, rng: np.random.Generator) -> None:
    chosen = rng.choice(len(r_peaks), min(len(r_peaks), int(rng.integers(1, _MOST_LARGE + 1))), replace=False)
    intervals = _intervals(r_peaks, fs)
    for beat in chosen.tolist():
        peak, interval = float(r_peaks[beat]), float(intervals[beat])
        end = max(_QRS_SECONDS[1], min(_T_ENDS * interval**0.5, interval - 0.2))
        _scale(gain, (peak - _QRS_SECONDS[0] * fs, peak + end * fs), rng.uniform(*_LARGE_BEAT), fs)


def _intervals(r_peaks: np.ndarray, fs: float) -> np.ndarray:
    """Return the seconds from each R peak to the next; the last has those of the one before, or 1 s."""
    following = np.diff(r_peaks) / fs
    return np.append(following, following[-1] if len(following) else 1.0)


def _scale(gain: np.ndarray, interval: tuple[float, float], factor: float, fs: float) -> None:
    """Multiply the gain by a factor in an interval in samples, with edges of half a cosine around it."""
    edge = round(_EDGE_SECONDS * fs)
    start, end = round(interval[0]), round(interval[1])
    if end <= start:
        return
    rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)).astype(np.float32)
    shape = np.concatenate([rise, np.ones(end - start, np.float32), rise[::-1]])
    first = start - edge
    low, high = max(0, first), min(len(gain), first + len(shape))
    if low < high:
        gain[low:high] *= 1 + (factor - 1) * shape[low - first : high - first]
