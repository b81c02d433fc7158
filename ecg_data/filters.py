"""Zero-phase filters and removal of baseline wander."""

from __future__ import annotations

from typing import Literal

import numpy as np

_ORDER = 4

_EDGE = 0.5
"""Hz. Classical filters have an edge of 0.67 Hz (Kligfield et al. 2007). This one is lower, so that none of them is
compared with its own output."""


def remove_baseline_wander(signal: np.ndarray, fs: float) -> np.ndarray:
    """Remove baseline wander by a zero-phase Butterworth high-pass filter of order 4 at 0.5 Hz; float64.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: sampling rate in Hz.
    """
    return filter_zero_phase(signal, _EDGE, kind="high", fs=fs)


def filter_zero_phase(
    signal: np.ndarray, edges: float | tuple[float, float], *, kind: Literal["low", "high", "band"], fs: float
) -> np.ndarray:
    """Apply a Butterworth filter of order 4 forward and backward, so that no wave is shifted; float64.

    Args:
        signal: mV, shape ``(…, samples)``.
        edges: edge frequency in Hz, or two for a band.
        kind: frequencies that pass.
        fs: sampling rate in Hz.
    """
    from scipy.signal import butter, sosfiltfilt

    sections = butter(_ORDER, edges, btype=kind, fs=fs, output="sos")
    return np.asarray(sosfiltfilt(sections, signal.astype(np.float64), axis=-1))
