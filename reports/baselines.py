"""The classical methods that the models are held against, each as its authors or the field set it."""

from __future__ import annotations

import numpy as np

LOWPASS = "zero-phase low-pass, 40 Hz"
WAVELET = "stationary wavelet"
XQRS = "wfdb xqrs"

_CUTOFF = 40.0  # Hz: the upper edge of monitoring ECG; muscle and white noise above it carry no QRS energy of note
_ORDER = 4
_WAVELET = "sym8"
_LEVELS = 3  # at 360 Hz the details of three levels hold what lies above 22.5 Hz
_THRESHOLD = 3.0  # in standard deviations of the noise, hard: keeps the height of the QRS


def lowpass(signal: np.ndarray, fs: float) -> np.ndarray:
    """Butterworth low-pass of order 4 at 40 Hz, run forwards and backwards, so that no wave is shifted.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        fs: sampling rate in Hz, above 80.
    """
    from scipy.signal import butter, sosfiltfilt

    sections = butter(_ORDER, _CUTOFF, btype="low", fs=fs, output="sos")
    return np.asarray(sosfiltfilt(sections, signal))


def wavelet(signal: np.ndarray) -> np.ndarray:
    """Stationary wavelet denoising: sym8, three levels, hard threshold at three times the noise.

    The noise is estimated from the finest details by their median absolute deviation.

    Donoho DL, Johnstone IM. Ideal spatial adaptation by wavelet shrinkage. Biometrika 81(3):425-455, 1994.
    Pesquet JC, Krim H, Carfantan H. Time-invariant orthonormal wavelet representations. IEEE Trans Signal Process
    44(8):1964-1970, 1996.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
    """
    import pywt

    block = 2**_LEVELS
    padding = -len(signal) % block
    padded = np.pad(signal.astype(np.float64), (0, padding), mode="symmetric")
    coefficients = pywt.swt(padded, _WAVELET, level=_LEVELS, trim_approx=True, norm=True)
    noise = np.median(np.abs(coefficients[-1])) / 0.6745
    kept = [coefficients[0]] + [pywt.threshold(detail, _THRESHOLD * noise, "hard") for detail in coefficients[1:]]
    return np.asarray(pywt.iswt(kept, _WAVELET, norm=True)[: len(signal)])


def xqrs(signal: np.ndarray, fs: float) -> np.ndarray:
    """R peaks by wfdb's xqrs with its default settings: sample indices, int64, strictly rising.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        fs: sampling rate in Hz.
    """
    from wfdb.processing import xqrs_detect

    return np.unique(np.asarray(xqrs_detect(signal.astype(np.float64), fs, verbose=False), dtype=np.int64))
