"""Changes of clinically read waves by a denoiser: R amplitude, QRS width, ST level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ecg_study.evaluation.baselines.filters import lowpass

_BEFORE_QRS = (-0.100, -0.080)
"""Seconds from the R peak between which the level before the QRS complex is measured: in the PR segment, after the P
wave and before the Q wave of all but the widest complexes."""

_ST = (0.100, 0.120)
"""Seconds from the R peak between which the ST level is measured: 60 ms after a J point 40 to 60 ms after the R peak,
as ST60 in exercise testing (Fletcher GF et al. Circulation 128(8):873-934, 2013)."""

_QRS_REACH = 0.040  # seconds on either side of the annotation in which the R wave has its extremum
_WIDTH_REACH = 0.120  # seconds on either side within which a QRS complex, however wide, starts and ends
_SMOOTHING = 0.020  # seconds over which the slope is averaged
_STEEP = 0.15  # share of the steepest slope from which a sample belongs to the complex

FALSE_ST_MV = 0.1
"""Change of the ST level in mV that would be read as a finding in most leads.

Thygesen K et al. Fourth universal definition of myocardial infarction. Circulation 138(20):e618-e651, 2018.
"""


@dataclass(frozen=True)
class Waves:
    """Measurements of each beat, shape ``(beats,)``.

    Attributes:
        r_amplitude: mV above the level before the QRS complex, in the direction of the clean R wave.
        qrs_width: ms.
        st_level: mV above the level before the QRS complex.
    """

    r_amplitude: np.ndarray
    qrs_width: np.ndarray
    st_level: np.ndarray


def wave_changes(
    reference: np.ndarray,
    signals: Mapping[str, np.ndarray],
    *,
    r_peaks: np.ndarray,
    fs: float,
    excluded_intervals: tuple[tuple[int, int], ...],
) -> dict[str, Waves]:
    """Return the change of each beat's waves from the reference to each signal.

    Args:
        reference: one lead in mV, shape ``(samples,)``.
        signals: the same lead, noisy or denoised, by name.
        r_peaks: annotated R peaks, sample indices.
        fs: sampling rate in Hz.
        excluded_intervals: intervals without annotated beats, in samples.

    Returns:
        Name → changes; empty if no beat can be measured.
    """
    beats = inner_beats(r_peaks, len(reference), fs=fs, excluded_intervals=excluded_intervals)
    if not len(beats):
        return {}
    upright = upright_waves(reference, beats, fs=fs)
    true = measure_waves(reference, beats, upright=upright, fs=fs)
    return {
        name: _difference(measure_waves(signal, beats, upright=upright, fs=fs), true)
        for name, signal in signals.items()
    }


def _difference(waves: Waves, true: Waves) -> Waves:
    return Waves(waves.r_amplitude - true.r_amplitude, waves.qrs_width - true.qrs_width, waves.st_level - true.st_level)


def measure_waves(signal: np.ndarray, r_peaks: np.ndarray, *, upright: np.ndarray, fs: float) -> Waves:
    """Measure the waves of each beat at fixed distances from its annotation.

    The clean and the denoised signal are measured at the same samples. So a difference comes from the signal, and not
    from a delineator that finds another wave.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        r_peaks: sample indices from `inner_beats`.
        upright: direction of each R wave, from `upright_waves`.
        fs: sampling rate in Hz.
    """
    before = _level(signal, r_peaks, _BEFORE_QRS, fs)
    reach = round(_QRS_REACH * fs)
    complexes = _windows(signal, r_peaks - reach, 2 * reach + 1) - before[:, None]
    amplitude = np.where(upright, complexes.max(axis=1), complexes.min(axis=1))
    st_level = _level(signal, r_peaks, _ST, fs) - before
    return Waves(amplitude, _qrs_width(signal, r_peaks, fs), st_level)


def upright_waves(clean: np.ndarray, r_peaks: np.ndarray, *, fs: float) -> np.ndarray:
    """Return for each beat whether the largest wave of its QRS complex points up in the clean signal."""
    before = _level(clean, r_peaks, _BEFORE_QRS, fs)
    reach = round(_QRS_REACH * fs)
    complexes = _windows(clean, r_peaks - reach, 2 * reach + 1) - before[:, None]
    return np.asarray(complexes.max(axis=1) >= -complexes.min(axis=1))


def inner_beats(
    r_peaks: np.ndarray, samples: int, *, fs: float, excluded_intervals: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """Return the beats outside of excluded intervals whose surroundings lie within the signal.

    Args:
        r_peaks: sample indices.
        samples: length of the signal.
        fs: sampling rate in Hz.
        excluded_intervals: intervals ``(start, end)``, end excluded, in samples.
    """
    reach = round(_WIDTH_REACH * fs) + 2
    keep = (r_peaks >= reach) & (r_peaks < samples - reach)
    for start, end in excluded_intervals:
        keep &= (r_peaks < start) | (r_peaks >= end)
    return r_peaks[keep]


def _qrs_width(signal: np.ndarray, r_peaks: np.ndarray, fs: float) -> np.ndarray:
    """Return the time in ms from the first to the last steep sample around each R peak.

    A sample is steep if its smoothed slope, below 40 Hz, reaches 15 % of the steepest of the beat.
    """
    slope = np.abs(np.gradient(lowpass(signal, fs)))
    width = max(1, round(_SMOOTHING * fs))
    smooth = np.convolve(slope, np.full(width, 1 / width), mode="same")
    reach = round(_WIDTH_REACH * fs)
    around = _windows(smooth, r_peaks - reach, 2 * reach + 1)
    steep = around >= _STEEP * around.max(axis=1, keepdims=True)
    first = steep.argmax(axis=1)
    last = steep.shape[1] - 1 - steep[:, ::-1].argmax(axis=1)
    return np.asarray((last - first) * 1000 / fs)


def _level(signal: np.ndarray, r_peaks: np.ndarray, between: tuple[float, float], fs: float) -> np.ndarray:
    first, last = (round(seconds * fs) for seconds in between)
    return np.asarray(np.median(_windows(signal, r_peaks + first, last - first + 1), axis=1))


def _windows(signal: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(signal, width)[starts])
