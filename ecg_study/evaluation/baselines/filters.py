"""Classical filters, each with the settings of its authors or of the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.filters import filter_zero_phase, remove_baseline_wander

BANDPASS = "zero-phase band-pass, 0.67–40 Hz"
LOWPASS = "zero-phase low-pass, 40 Hz"
WAVELET = "stationary wavelet"
HIGHPASS = "zero-phase high-pass, 0.67 Hz"
HIGHPASS_WAVELET = "high-pass and stationary wavelet"
CAREFUL_WAVELET = "high-pass of the reference and careful wavelet"
NEUROKIT = "neurokit2 ecg_clean"

_LOW, _HIGH = 0.67, 40.0
"""Cutoff frequencies in Hz. The lower is the limit for a filter without phase distortion (Kligfield P et al.
Recommendations for the standardization and interpretation of the electrocardiogram, part I. Circulation
115(10):1306-1324, 2007). Above the upper there is hardly any QRS energy; monitors use the same."""

_WAVELET = "sym8"
_LEVELS = 3  # at 360 Hz the details of three levels hold what lies above 22.5 Hz
_THRESHOLD = 3.0  # in standard deviations of the noise, hard: keeps the height of the QRS
_COLORED_NOISE_LEVELS = 4
_CAREFUL_THRESHOLD = 0.3  # in deviations of each level


@dataclass(frozen=True)
class Filter:
    """A classical filter.

    Attributes:
        name: name in the report.
        apply: function of leads in mV, shape ``(…, samples)``, and the sampling rate in Hz; returns the same shape.
        reference: source and settings.
    """

    name: str
    apply: Callable[[np.ndarray, float], np.ndarray]
    reference: str


def lowpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """Apply a Butterworth low-pass of order 4 at 40 Hz forwards and backwards, so that no wave is shifted.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: sampling rate in Hz, above 80.
    """
    return filter_zero_phase(signal, _HIGH, kind="low", fs=fs)


def bandpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """Apply a Butterworth band-pass of order 4 from 0.67 to 40 Hz forwards and backwards."""
    return filter_zero_phase(signal, (_LOW, _HIGH), kind="band", fs=fs)


def highpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """Apply a Butterworth high-pass of order 4 at 0.67 Hz forwards and backwards."""
    return filter_zero_phase(signal, _LOW, kind="high", fs=fs)


def wavelet(signal: np.ndarray, fs: float = 0.0) -> np.ndarray:  # noqa: ARG001  # same signature as the other filters
    """Remove white noise with a stationary wavelet: sym8, three levels, hard threshold at three times the noise.

    The noise is estimated from the finest details by their median absolute deviation.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: not used.

    References:
        Donoho DL, Johnstone IM. Ideal spatial adaptation by wavelet shrinkage. Biometrika 81(3):425-455, 1994.
        Pesquet JC, Krim H, Carfantan H. Time-invariant orthonormal wavelet representations. IEEE Trans Signal Process
        44(8):1964-1970, 1996.
    """
    approximation, details, samples = decompose(signal, _LEVELS)
    limit = _THRESHOLD * deviation(details[-1])
    return compose(approximation, [np.where(np.abs(item) >= limit, item, 0.0) for item in details], samples=samples)


def highpass_wavelet(signal: np.ndarray, fs: float) -> np.ndarray:
    """Remove baseline wander and colored noise: a zero-phase high-pass, then a soft threshold for each wavelet level.

    Each of four levels has its own threshold, at its deviation. On the validation records of MIT-BIH this was the best
    of three to five levels, hard and soft, with one threshold for all levels or one for each, in the mean over noise
    types and SNRs.

    References:
        Johnstone IM, Silverman BW. Wavelet threshold estimators for data with correlated noise. J R Stat Soc B
        59(2):319-351, 1997.
    """
    return _shrink(highpass(signal, fs), 1.0)


def careful_wavelet(signal: np.ndarray, fs: float) -> np.ndarray:
    """Remove baseline wander and a little noise: the high-pass at 0.5 Hz, then low soft thresholds for four levels.

    The threshold of each level is at 0.3 of its deviation. On the validation records of MIT-BIH with the mixture of
    noises from 24 to -6 dB, this was the best of fourteen settings in the mean over levels
    (``benchmarks.quality.wavelets``, whole recordings). Higher thresholds do more harm at 24 dB than good below.
    """
    return _shrink(remove_baseline_wander(signal, fs), _CAREFUL_THRESHOLD)


def _shrink(signal: np.ndarray, threshold: float) -> np.ndarray:
    """Shrink the details of four levels by a threshold in deviations of each level."""
    approximation, details, samples = decompose(signal, _COLORED_NOISE_LEVELS)
    soft = [np.sign(item) * np.maximum(np.abs(item) - threshold * deviation(item), 0.0) for item in details]
    return compose(approximation, soft, samples=samples)


def decompose(signal: np.ndarray, levels: int) -> tuple[np.ndarray, list[np.ndarray], int]:
    """Compute a stationary wavelet transform (sym8) of signals of shape ``(…, samples)``.

    Returns:
        Approximation, details from the coarsest to the finest, and the number of samples without padding.
    """
    import pywt

    samples = signal.shape[-1]
    padding = [(0, 0)] * (signal.ndim - 1) + [(0, -samples % 2**levels)]
    padded = np.pad(signal.astype(np.float64), padding, mode="symmetric")
    approximation, *details = pywt.swt(padded, _WAVELET, level=levels, trim_approx=True, norm=True, axis=-1)
    return approximation, details, samples


def compose(approximation: np.ndarray, details: list[np.ndarray], *, samples: int) -> np.ndarray:
    """Invert `decompose`."""
    import pywt

    return np.asarray(pywt.iswt([approximation, *details], _WAVELET, norm=True, axis=-1)[..., :samples])


def deviation(detail: np.ndarray) -> np.ndarray:
    """Estimate the standard deviation of normal noise from the median absolute value, robust to QRS complexes."""
    return np.asarray(np.median(np.abs(detail), axis=-1, keepdims=True) / 0.6745)


def neurokit_clean(signal: np.ndarray, fs: float) -> np.ndarray:
    """Apply ``neurokit2.ecg_clean`` with its defaults: a high-pass at 0.5 Hz and a filter against 50 Hz hum.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: sampling rate in Hz.

    References:
        Makowski D et al. NeuroKit2: A Python toolbox for neurophysiological signal processing. Behav Res Methods
        53(4):1689-1696, 2021.
    """
    import neurokit2

    rows = signal.reshape(-1, signal.shape[-1]).astype(np.float64)
    cleaned = [neurokit2.ecg_clean(row, sampling_rate=fs, method="neurokit") for row in rows]
    return np.asarray(cleaned).reshape(signal.shape)


_WAVELET_REFERENCE = "Donoho and Johnstone 1994; Pesquet et al. 1996"
_NEUROKIT_REFERENCE = "Makowski et al. 2021"

FILTERS = (
    Filter(LOWPASS, lowpass, "Butterworth, order 4"),
    Filter(BANDPASS, bandpass, "Butterworth, order 4"),
    Filter(WAVELET, wavelet, f"sym8, 3 levels, hard threshold at 3 σ; {_WAVELET_REFERENCE}"),
    Filter(NEUROKIT, neurokit_clean, _NEUROKIT_REFERENCE),
)
"""Filters for white noise on a signal with its baseline wander."""

BASELINE_WANDER_FILTERS = (
    Filter(HIGHPASS, highpass, "Butterworth, order 4"),
    Filter(BANDPASS, bandpass, "Butterworth, order 4"),
    Filter(HIGHPASS_WAVELET, highpass_wavelet, "sym8, 4 levels, soft at 1 σ of each; Johnstone and Silverman 1997"),
    Filter(NEUROKIT, neurokit_clean, _NEUROKIT_REFERENCE),
)
"""Filters for noise that moves the baseline, on a signal without baseline wander."""
