"""Changes of clinically read waves by a denoiser: QRS complex, ST segment, T wave and QT interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from ecg_study.ecg_data.filters import filter_zero_phase
from ecg_study.evaluation.baselines.filters import lowpass
from ecg_study.evaluation.results.harm import MorphologyChange, WaveChange

_BEFORE_QRS = (-0.100, -0.080)
"""Seconds from the R peak between which the level before the QRS complex is measured: in the PR segment, after the P
wave and before the Q wave of all but the widest complexes."""

_ST = (0.100, 0.120)
"""Seconds from the R peak between which the ST level is measured: 60 ms after a J point 40 to 60 ms after the R peak,
as ST60 in exercise testing (Fletcher GF et al. Circulation 128(8):873-934, 2013)."""

_ST_SLOPE = (0.080, 0.140)
"""Seconds from the R peak over which the slope of the ST segment is fitted, around the place of its level."""

_QRS_REACH = 0.040  # seconds on either side of the annotation in which the R wave has its extremum
_WIDTH_REACH = 0.120  # seconds on either side within which a QRS complex, however wide, starts and ends
_SMOOTHING = 0.020  # seconds over which the slope is averaged
_STEEP = 0.15  # share of the steepest slope from which a sample belongs to the complex

_T_START = 0.160  # seconds from the R peak at which the search for the T wave starts
_T_LATEST = 0.500  # seconds from the R peak at which it ends at the latest
_T_SHARE = 0.6  # of the RR interval, after which the next P wave may follow
_T_AROUND = 0.010  # seconds on either side of the T peak over which its height is averaged
_T_DECLINE = 0.120  # seconds after the T peak in which its steepest decline lies
_T_REST = 0.120  # seconds after the steepest decline in which the T wave ends
_T_SHIFT = 0.060  # seconds on either side of the clean decline in which another signal has its own
_T_FREQUENCIES = 20.0
"""Hz below which T waves are measured. They lie below 10 Hz (Thakor NV, Webster JG, Tompkins WJ. IEEE Trans Biomed Eng
31(11):702-706, 1984), and their end has a corner. With noise of up to 40 Hz, that end would move by 20 ms in twice as
many beats."""

_LOWEST_T = 0.05  # mV: no T end is measured of a lower T wave, as it is not read either

FALSE_ST_MV = 0.1
"""Change of the ST level in mV that would be read as a finding in most leads.

Thygesen K et al. Fourth universal definition of myocardial infarction. Circulation 138(20):e618-e651, 2018.
"""


FALSE_MS = 20
"""Change of a duration in ms that would be read as a finding: half a small square of paper at 25 mm/s."""


@dataclass(frozen=True)
class Waves:
    """Measurements of each beat, shape ``(beats,)``.

    Attributes:
        r_amplitude: mV above the level before the QRS complex, in the direction of the clean R wave.
        qrs_width: ms.
        st_level: mV above the level before the QRS complex.
        qrs_amplitude: mV from the lowest to the highest sample of the clean QRS complex.
        st_slope: mV/s.
        t_amplitude: mV above the level before the QRS complex, negative for an inverted T wave; NaN if the next beat
            follows too soon.
        t_end: ms from the annotation to the end of the T wave; NaN if the clean T wave is below 0.05 mV, or the next
            beat follows too soon. Its change is that of the QT interval for an unchanged start of the QRS complex.
    """

    r_amplitude: np.ndarray
    qrs_width: np.ndarray
    st_level: np.ndarray
    qrs_amplitude: np.ndarray
    st_slope: np.ndarray
    t_amplitude: np.ndarray
    t_end: np.ndarray


@dataclass(frozen=True)
class Places:
    """Samples at which the waves of each beat are measured, found in the clean signal; shape ``(beats,)``.

    Attributes:
        beats: annotated R peaks.
        upright: whether the largest wave of the QRS complex points up.
        highest: highest sample of the QRS complex.
        lowest: lowest sample.
        t_peak: extremum of the T wave.
        t_upright: whether the T wave points up.
        t_decline: steepest sample after it.
        has_t: whether there is room for a T wave before the next beat.
        has_t_end: whether the T wave is high enough to have an end.
    """

    beats: np.ndarray
    upright: np.ndarray
    highest: np.ndarray
    lowest: np.ndarray
    t_peak: np.ndarray
    t_upright: np.ndarray
    t_decline: np.ndarray
    has_t: np.ndarray
    has_t_end: np.ndarray


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
    places = find_places(reference, beats, r_peaks=r_peaks, fs=fs)
    true = measure_waves(reference, places, fs=fs)
    return {name: _difference(measure_waves(signal, places, fs=fs), true) for name, signal in signals.items()}


def summarize_changes(changes: Sequence[Waves]) -> MorphologyChange:
    """Summarize the changes of all beats of some leads; at least one beat is needed."""
    pooled = {item.name: np.concatenate([getattr(waves, item.name) for waves in changes]) for item in fields(Waves)}
    t_end = pooled["t_end"][~np.isnan(pooled["t_end"])]
    return MorphologyChange(
        beats=len(pooled["st_level"]),
        t_waves=len(t_end),
        changes={name: _change(values[~np.isnan(values)]) for name, values in pooled.items()},
        false_st=_share(pooled["st_level"], FALSE_ST_MV),
        false_qrs=_share(pooled["qrs_width"], FALSE_MS),
        false_qt=_share(t_end, FALSE_MS) if len(t_end) else None,
    )


def _change(values: np.ndarray) -> WaveChange | None:
    if not len(values):
        return None
    return WaveChange(float(np.median(values)), float(np.quantile(np.abs(values), 0.95)))


def _share(values: np.ndarray, limit: float) -> float:
    return float(np.mean(np.abs(values) >= limit))


def _difference(waves: Waves, true: Waves) -> Waves:
    return Waves(**{item.name: getattr(waves, item.name) - getattr(true, item.name) for item in fields(Waves)})


def measure_waves(signal: np.ndarray, places: Places, *, fs: float) -> Waves:
    """Measure the waves of each beat at places that were found in the clean signal.

    The clean and the denoised signal are measured at the same samples, or, for the end of the T wave, around them. So a
    difference comes from the signal, and not from a delineator that finds another wave.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        places: from `find_places`.
        fs: sampling rate in Hz.
    """
    beats = places.beats
    before = _level(signal, beats, _BEFORE_QRS, fs)
    reach = round(_QRS_REACH * fs)
    complexes = _windows(signal, beats - reach, 2 * reach + 1) - before[:, None]
    around = round(_T_AROUND * fs)
    t_height = _windows(signal, places.t_peak - around, 2 * around + 1).mean(axis=1) - before
    slow = filter_zero_phase(signal, _T_FREQUENCIES, kind="low", fs=fs)
    return Waves(
        r_amplitude=np.where(places.upright, complexes.max(axis=1), complexes.min(axis=1)),
        qrs_width=_qrs_width(lowpass(signal, fs), beats, fs),
        st_level=_level(signal, beats, _ST, fs) - before,
        qrs_amplitude=signal[places.highest] - signal[places.lowest],
        st_slope=_slope(signal, beats, _ST_SLOPE, fs),
        t_amplitude=np.where(places.has_t, t_height, np.nan),
        t_end=np.where(places.has_t_end, (_t_end(slow, places, fs=fs) - beats) * 1000 / fs, np.nan),
    )


def find_places(clean: np.ndarray, beats: np.ndarray, *, r_peaks: np.ndarray, fs: float) -> Places:
    """Find the places in the clean signal at which the waves of every signal are measured.

    Args:
        clean: one lead in mV, shape ``(samples,)``.
        beats: sample indices from `inner_beats`.
        r_peaks: all annotated R peaks, sample indices.
        fs: sampling rate in Hz.
    """
    slow = filter_zero_phase(clean, _T_FREQUENCIES, kind="low", fs=fs)
    before = _level(clean, beats, _BEFORE_QRS, fs)
    reach = round(_WIDTH_REACH * fs / 2)
    complexes = _windows(clean, beats - reach, 2 * reach + 1)
    first, room = round(_T_START * fs), _room_for_t(beats, r_peaks, fs)
    searched = _windows(slow, beats + first, round(_T_LATEST * fs) - first + 1) - before[:, None]
    height = np.where(np.arange(searched.shape[1]) <= room[:, None] - first, np.abs(searched), -1.0)
    at = height.argmax(axis=1)
    t_peak, rows = beats + first + at, np.arange(len(beats))
    t_upright = searched[rows, at] >= 0
    after = _windows(slow, t_peak, round(_T_DECLINE * fs) + 2) * np.where(t_upright, 1, -1)[:, None]
    t_decline = t_peak + np.diff(after, axis=1).argmin(axis=1)
    has_t = room > first
    return Places(
        beats=beats,
        upright=upright_waves(clean, beats, fs=fs),
        highest=beats - reach + complexes.argmax(axis=1),
        lowest=beats - reach + complexes.argmin(axis=1),
        t_peak=t_peak,
        t_upright=t_upright,
        t_decline=t_decline,
        has_t=has_t,
        has_t_end=has_t & (height[rows, at] >= _LOWEST_T),
    )


def _room_for_t(beats: np.ndarray, r_peaks: np.ndarray, fs: float) -> np.ndarray:
    """Return the samples after each beat within which its T wave peaks."""
    following = np.searchsorted(r_peaks, beats, side="right")
    alone = following == len(r_peaks)
    interval = np.where(alone, np.inf, r_peaks[np.minimum(following, len(r_peaks) - 1)] - beats)
    return np.asarray(np.minimum(_T_SHARE * interval, round(_T_LATEST * fs)))


def _t_end(slow: np.ndarray, places: Places, *, fs: float) -> np.ndarray:
    """Return the sample at which the T wave of each beat ends.

    It is the corner of the signal after its steepest decline: the sample with the largest trapezium between that
    decline, the signal and a later sample on the baseline.

    References:
        Vázquez-Seisdedos CR et al. New approach for T-wave end detection on electrocardiogram: performance in noisy
        conditions. BioMed Eng OnLine 10:77, 2011.
    """
    upright = np.where(places.t_upright, 1, -1)[:, None]
    shift, width = round(_T_SHIFT * fs), round(_T_REST * fs)
    # A T wave that is earlier or later declines there: from a fixed sample, most of its shift would not be seen.
    near = _windows(slow, places.t_decline - shift, 2 * shift + 2) * upright
    decline = places.t_decline - shift + np.diff(near, axis=1).argmin(axis=1)
    declining = _windows(slow, decline, width + 1) * upright
    step = np.arange(width + 1)
    areas = (declining[:, :1] - declining) * (2 * width - step)
    return np.asarray(decline + areas.argmax(axis=1))


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
    before = round(_WIDTH_REACH * fs) + 2
    after = round((_T_LATEST + _T_DECLINE + _T_SHIFT + _T_REST) * fs) + 4
    keep = (r_peaks >= before) & (r_peaks < samples - after)
    for start, end in excluded_intervals:
        keep &= (r_peaks < start) | (r_peaks >= end)
    return r_peaks[keep]


def _qrs_width(smooth: np.ndarray, r_peaks: np.ndarray, fs: float) -> np.ndarray:
    """Return the time in ms from the first to the last steep sample around each R peak.

    A sample is steep if its smoothed slope, below 40 Hz, reaches 15 % of the steepest of the beat.

    Args:
        smooth: the lead below 40 Hz, in mV.
        r_peaks: sample indices.
        fs: sampling rate in Hz.
    """
    slope = np.abs(np.gradient(smooth))
    width = max(1, round(_SMOOTHING * fs))
    averaged = np.convolve(slope, np.full(width, 1 / width), mode="same")
    reach = round(_WIDTH_REACH * fs)
    around = _windows(averaged, r_peaks - reach, 2 * reach + 1)
    steep = around >= _STEEP * around.max(axis=1, keepdims=True)
    first = steep.argmax(axis=1)
    last = steep.shape[1] - 1 - steep[:, ::-1].argmax(axis=1)
    return np.asarray((last - first) * 1000 / fs)


def _level(signal: np.ndarray, r_peaks: np.ndarray, between: tuple[float, float], fs: float) -> np.ndarray:
    first, last = (round(seconds * fs) for seconds in between)
    return np.asarray(np.median(_windows(signal, r_peaks + first, last - first + 1), axis=1))


def _slope(signal: np.ndarray, r_peaks: np.ndarray, between: tuple[float, float], fs: float) -> np.ndarray:
    """Return the slope in mV/s of the straight line through each stretch, by least squares."""
    first, last = (round(seconds * fs) for seconds in between)
    time = np.arange(last - first + 1) / fs
    weights = (time - time.mean()) / np.sum((time - time.mean()) ** 2)
    return np.asarray(_windows(signal, r_peaks + first, len(time)) @ weights)


def _windows(signal: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(signal, width)[starts])
