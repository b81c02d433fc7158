"""Classical R-peak detectors, each with the settings of its authors or its library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecg_study.inference.r_peaks import RPeaks

_ADC_UNITS_PER_MV = 200.0
"""Resolution that gqrs expects: that of the MIT-BIH records."""


@dataclass(frozen=True)
class ClassicalDetector:
    """A classical detector.

    Attributes:
        name: name in the report.
        package: package whose version determines the result.
        detect: function of one lead in mV, shape ``(samples,)``, and the sampling rate in Hz; returns sample indices.
        reference: source.
    """

    name: str
    package: str
    detect: Callable[[np.ndarray, float], np.ndarray]
    reference: str


@dataclass(frozen=True)
class BaselinePeaks(RPeaks):
    """R peaks of a classical detector, which gives no confidences (all are 1).

    Attributes:
        error: error message of a detector that failed, and so found nothing; otherwise empty.
    """

    error: str = ""

    @staticmethod
    def at(samples: np.ndarray, error: str = "") -> BaselinePeaks:
        """Return R peaks at these sample indices, int64, strictly increasing."""
        return BaselinePeaks(samples, np.ones(len(samples), np.float32), error=error)


def xqrs(signal: np.ndarray, fs: float) -> np.ndarray:
    """Detect R peaks by wfdb's xqrs, with its search for local peaks replaced by the equivalent `local_peaks`."""
    from wfdb.processing import qrs

    slow = qrs.find_local_peaks
    qrs.find_local_peaks = local_peaks
    try:
        return np.asarray(qrs.xqrs_detect(signal, fs, verbose=False))
    finally:
        qrs.find_local_peaks = slow


def local_peaks(signal: np.ndarray, radius: int) -> np.ndarray:
    """Find the peaks of ``wfdb.processing.find_local_peaks`` without a loop over samples.

    That loop takes more than nine tenths of the time of xqrs, and took a third of the time of a report on MIT-BIH.

    Args:
        signal: samples without NaN, longer than the radius, shape ``(samples,)``.
        radius: samples before and after a peak that are not higher, the last of them excluded; also the smallest
            distance between two peaks.

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
    """Detect R peaks by wfdb's gqrs."""
    from wfdb.processing import gqrs_detect

    return np.asarray(gqrs_detect(signal, fs=fs, adc_gain=_ADC_UNITS_PER_MV, adc_zero=0))


def sleepecg_heartbeats(signal: np.ndarray, fs: float) -> np.ndarray:
    """Detect R peaks by sleepecg."""
    import sleepecg

    return np.asarray(sleepecg.detect_heartbeats(signal, fs))


def neurokit(method: str) -> Callable[[np.ndarray, float], np.ndarray]:
    """Return a detector by one of neurokit2's methods, after the filter that belongs to it."""

    def detect(signal: np.ndarray, fs: float) -> np.ndarray:
        import neurokit2

        cleaned = neurokit2.ecg_clean(signal, sampling_rate=fs, method=method)
        return np.asarray(neurokit2.ecg_findpeaks(cleaned, sampling_rate=fs, method=method)["ECG_R_Peaks"])

    return detect


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
"""Detectors in the order of the report's tables."""

DETECTOR_NAMES = tuple(detector.name for detector in DETECTORS)

LEAKS_MEMORY = frozenset({GQRS})
"""Detectors that never free their memory: gqrs keeps some 55 MB per half hour at 360 Hz (wfdb 4.3.1)."""


def detect_r_peaks(name: str, signal: np.ndarray, *, fs: float) -> BaselinePeaks:
    """Detect R peaks by a classical detector.

    Some classical detectors fail on a signal without beats. The result is then empty and holds the error message.

    Args:
        name: one of `DETECTOR_NAMES`.
        signal: one lead in mV, shape ``(samples,)``.
        fs: sampling rate in Hz.
    """
    detector = next(item for item in DETECTORS if item.name == name)
    try:
        found = detector.detect(signal.astype(np.float64), fs)
    except Exception as error:  # noqa: BLE001  # each library raises errors of its own
        text = " ".join(str(error).split())[:120]
        return BaselinePeaks.at(np.empty(0, np.int64), f"{type(error).__name__}: {text}")
    found = np.asarray(found, dtype=np.float64)
    found = np.unique(found[np.isfinite(found)].astype(np.int64))
    return BaselinePeaks.at(found[(found >= 0) & (found < len(signal))])
