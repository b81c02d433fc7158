"""The classical filters that the denoiser is held against, each as its authors or the field set it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.filters import filter_zero_phase

BANDPASS = "zero-phase band-pass, 0.67–40 Hz"
LOWPASS = "zero-phase low-pass, 40 Hz"
WAVELET = "stationary wavelet"
HIGHPASS = "zero-phase high-pass, 0.67 Hz"
DRIFT_WAVELET = "high-pass and stationary wavelet"
NEUROKIT = "neurokit2 ecg_clean"

_LOW, _HIGH = 0.67, 40.0
"""Hz. The lower edge is what Kligfield P et al. allow a filter without phase distortion (Recommendations for the
standardization and interpretation of the electrocardiogram, part I. Circulation 115(10):1306-1324, 2007); above the
upper there is no QRS energy of note, as in monitors."""

_WAVELET = "sym8"
_LEVELS = 3  # at 360 Hz the details of three levels hold what lies above 22.5 Hz
_THRESHOLD = 3.0  # in standard deviations of the noise, hard: keeps the height of the QRS
_COLOURED_LEVELS = 4


@dataclass(frozen=True)
class Filter:
    """A classical filter.

    Attributes:
        name: as it stands in the report.
        apply: from leads in mV, shape ``(…, samples)``, and the sampling rate in Hz to the same shape.
        reference: where it comes from.
    """

    name: str
    apply: Callable[[np.ndarray, float], np.ndarray]
    reference: str


def lowpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """Butterworth low-pass of order 4 at 40 Hz, run forwards and backwards, so that no wave is shifted.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: sampling rate in Hz, above 80.
    """
    return filter_zero_phase(signal, _HIGH, kind="low", fs=fs)


def bandpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """Butterworth band-pass of order 4 from 0.67 to 40 Hz, run forwards and backwards."""
    return filter_zero_phase(signal, (_LOW, _HIGH), kind="band", fs=fs)


def highpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """Butterworth high-pass of order 4 at 0.67 Hz, run forwards and backwards."""
    return filter_zero_phase(signal, _LOW, kind="high", fs=fs)


def wavelet(signal: np.ndarray, fs: float = 0.0) -> np.ndarray:  # noqa: ARG001  # of one form with the others
    """Stationary wavelet denoising for white noise: sym8, three levels, hard threshold at three times the noise.

    The noise is estimated from the finest details by their median absolute deviation.

    Donoho DL, Johnstone IM. Ideal spatial adaptation by wavelet shrinkage. Biometrika 81(3):425-455, 1994.
    Pesquet JC, Krim H, Carfantan H. Time-invariant orthonormal wavelet representations. IEEE Trans Signal Process
    44(8):1964-1970, 1996.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: not needed.
    """
    approximation, details, samples = decompose(signal, _LEVELS)
    limit = _THRESHOLD * deviation(details[-1])
    return compose(approximation, [np.where(np.abs(item) >= limit, item, 0.0) for item in details], samples)


def drift_wavelet(signal: np.ndarray, fs: float) -> np.ndarray:
    """The same for noise of any colour on a drifting baseline: a zero-phase high-pass, then each level by itself.

    Soft threshold at the deviation of each of four levels: of the settings that were tried (three to five levels, hard
    and soft, one limit for all levels or one for each) the best on the validation records of MIT-BIH, in the mean over
    all kinds and levels of noise.

    Johnstone IM, Silverman BW. Wavelet threshold estimators for data with correlated noise. J R Stat Soc B
    59(2):319-351, 1997.
    """
    approximation, details, samples = decompose(highpass(signal, fs), _COLOURED_LEVELS)
    soft = [np.sign(item) * np.maximum(np.abs(item) - deviation(item), 0.0) for item in details]
    return compose(approximation, soft, samples)


def decompose(signal: np.ndarray, levels: int) -> tuple[np.ndarray, list[np.ndarray], int]:
    """A stationary wavelet transform (sym8) of signals of shape ``(…, samples)``.

    Returns:
        Approximation, details from the coarsest to the finest, and the samples that there were without padding.
    """
    import pywt

    samples = signal.shape[-1]
    padding = [(0, 0)] * (signal.ndim - 1) + [(0, -samples % 2**levels)]
    padded = np.pad(signal.astype(np.float64), padding, mode="symmetric")
    approximation, *details = pywt.swt(padded, _WAVELET, level=levels, trim_approx=True, norm=True, axis=-1)
    return approximation, details, samples


def compose(approximation: np.ndarray, details: list[np.ndarray], samples: int) -> np.ndarray:
    """The way back from `decompose`."""
    import pywt

    return np.asarray(pywt.iswt([approximation, *details], _WAVELET, norm=True, axis=-1)[..., :samples])


def deviation(detail: np.ndarray) -> np.ndarray:
    """Standard deviation of normal noise by its median absolute value, which the few large values of a QRS leave be."""
    return np.asarray(np.median(np.abs(detail), axis=-1, keepdims=True) / 0.6745)


def neurokit_clean(signal: np.ndarray, fs: float) -> np.ndarray:
    """``neurokit2.ecg_clean`` as it comes: a high-pass at 0.5 Hz and a filter against mains hum at 50 Hz.

    Makowski D et al. NeuroKit2: A Python toolbox for neurophysiological signal processing. Behav Res Methods
    53(4):1689-1696, 2021.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: sampling rate in Hz.
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
"""For white noise on a signal whose baseline is as it was recorded."""

DRIFT_FILTERS = (
    Filter(HIGHPASS, highpass, "Butterworth, order 4"),
    Filter(BANDPASS, bandpass, "Butterworth, order 4"),
    Filter(DRIFT_WAVELET, drift_wavelet, "sym8, 4 levels, soft at 1 σ of each; Johnstone and Silverman 1997"),
    Filter(NEUROKIT, neurokit_clean, _NEUROKIT_REFERENCE),
)
"""For noise that moves the baseline, on a signal that has none of its own."""
