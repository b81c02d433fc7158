"""The classical R-peak detectors that ours is held against, each with the settings of its authors or its library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_GAIN = 200.0
"""ADC units per mV for gqrs, which counts in these: the gain of the MIT-BIH records."""


@dataclass(frozen=True)
class ClassicalDetector:
    """A classical detector.

    Attributes:
        name: as it stands in the report.
        package: whose version decides what it finds.
        find: from one lead in mV, shape ``(samples,)``, and the sampling rate in Hz to sample indices.
        reference: where it comes from.
    """

    name: str
    package: str
    find: Callable[[np.ndarray, float], np.ndarray]
    reference: str


def xqrs(signal: np.ndarray, fs: float) -> np.ndarray:
    """R peaks by wfdb's xqrs, with its search for local peaks replaced by `local_peaks`, which gives the same."""
    from wfdb.processing import qrs

    slow = qrs.find_local_peaks
    qrs.find_local_peaks = local_peaks
    try:
        return np.asarray(qrs.xqrs_detect(signal, fs, verbose=False))
    finally:
        qrs.find_local_peaks = slow


def local_peaks(signal: np.ndarray, radius: int) -> np.ndarray:
    """What ``wfdb.processing.find_local_peaks`` gives, without a loop over samples.

    The loop is over nine tenths of the time that xqrs takes, and was a third of that of a report on MIT-BIH.

    Args:
        signal: without NaN, longer than the radius, shape ``(samples,)``.
        radius: a peak is as high as all samples from so many before it up to so many after it, the last left out;
            the next peak is at least so many samples later.

    Returns:
        Indices of the peaks; none in a flat signal.
    """
    from scipy.ndimage import maximum_filter1d

    if signal.min() == signal.max():
        return np.empty(0)
    highest = maximum_filter1d(signal, 2 * radius, mode="constant", cval=-np.inf)
    peaks: list[int] = []
    for place in np.flatnonzero(signal == highest).tolist():
        if not peaks or place >= peaks[-1] + radius:
            peaks.append(place)
    return np.array(peaks)


def gqrs(signal: np.ndarray, fs: float) -> np.ndarray:
    """R peaks by wfdb's gqrs."""
    from wfdb.processing import gqrs_detect

    return np.asarray(gqrs_detect(signal, fs=fs, adc_gain=_GAIN, adc_zero=0))


def sleepecg_heartbeats(signal: np.ndarray, fs: float) -> np.ndarray:
    """R peaks by sleepecg."""
    import sleepecg

    return np.asarray(sleepecg.detect_heartbeats(signal, fs))


def neurokit(method: str) -> Callable[[np.ndarray, float], np.ndarray]:
    """R peaks by one of neurokit2's methods, behind the filter that belongs to it."""

    def find(signal: np.ndarray, fs: float) -> np.ndarray:
        import neurokit2

        cleaned = neurokit2.ecg_clean(signal, sampling_rate=fs, method=method)
        return np.asarray(neurokit2.ecg_findpeaks(cleaned, sampling_rate=fs, method=method)["ECG_R_Peaks"])

    return find


XQRS = "wfdb xqrs"
GQRS = "wfdb gqrs"

DETECTORS = (
    ClassicalDetector(XQRS, "wfdb", xqrs, "wfdb-python"),
    ClassicalDetector(GQRS, "wfdb", gqrs, "Moody, WFDB Software Package"),
    ClassicalDetector("Pan–Tompkins", "neurokit2", neurokit("pantompkins1985"), "Pan and Tompkins 1985, neurokit2"),
    ClassicalDetector("Hamilton", "neurokit2", neurokit("hamilton2002"), "Hamilton 2002, neurokit2"),
    ClassicalDetector("Kalidas", "neurokit2", neurokit("kalidas2017"), "Kalidas and Tamil 2017, neurokit2"),
    ClassicalDetector("neurokit", "neurokit2", neurokit("neurokit"), "Makowski et al. 2021, neurokit2"),
    ClassicalDetector("sleepecg", "sleepecg", sleepecg_heartbeats, "Brunner and Hofer 2023, sleepecg"),
)
"""In the order of the report's tables."""

DETECTOR_NAMES = tuple(detector.name for detector in DETECTORS)

LEAKS_MEMORY = frozenset({GQRS})
"""Those that never give their memory back: gqrs keeps some 55 MB of each half hour at 360 Hz (wfdb 4.3.1)."""


def find_r_peaks(name: str, signal: np.ndarray, fs: float) -> tuple[np.ndarray, str]:
    """R peaks by a classical detector.

    Args:
        name: one of `DETECTOR_NAMES`.
        signal: one lead in mV, shape ``(samples,)``.
        fs: sampling rate in Hz.

    Returns:
        Sample indices, int64, strictly rising, within the signal; and what the detector said where it gave up, which
        some do on a signal without beats, else an empty text.
    """
    detector = next(item for item in DETECTORS if item.name == name)
    try:
        found = detector.find(signal.astype(np.float64), fs)
    except Exception as error:  # noqa: BLE001  # each library raises what its arithmetic trips over
        return np.empty(0, np.int64), f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    found = np.asarray(found, dtype=np.float64)
    found = np.unique(found[np.isfinite(found)].astype(np.int64))
    return found[(found >= 0) & (found < len(signal))], ""
