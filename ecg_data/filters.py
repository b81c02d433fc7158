"""The wander of the baseline, and filters without phase distortion."""

from __future__ import annotations

import numpy as np

_ORDER = 4

_EDGE = 0.5
"""Hz: below the edge of 0.67 Hz that classical filters have (Kligfield et al. 2007), so that none of them is measured
against its own output."""


def remove_baseline_wander(signal: np.ndarray, fs: float) -> np.ndarray:
    """Butterworth high-pass of order 4 at 0.5 Hz, run forwards and backwards: takes off the wander of the baseline.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: sampling rate in Hz.
    """
    return filter_zero_phase(signal, _EDGE, "high", fs)


def filter_zero_phase(signal: np.ndarray, edges: float | tuple[float, float], kind: str, fs: float) -> np.ndarray:
    """Butterworth filter of order 4 run forwards and backwards, so that no wave is shifted; float64.

    Args:
        signal: mV, shape ``(…, samples)``.
        edges: in Hz, one or two.
        kind: ``"low"``, ``"high"`` or ``"band"``.
        fs: sampling rate in Hz.
    """
    from scipy.signal import butter, sosfiltfilt

    sections = butter(_ORDER, edges, btype=kind, fs=fs, output="sos")
    return np.asarray(sosfiltfilt(sections, signal.astype(np.float64), axis=-1))
