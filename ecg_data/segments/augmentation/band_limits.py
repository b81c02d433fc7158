"""Band limits of other devices: a high-pass and a low-pass filter of first or second order."""

from __future__ import annotations

import numpy as np
import scipy.fft

_HIGHPASS_HZ = (0.05, 2.0)  # from diagnostic recorders to wearables
_LOWPASS_HZ = (18.0, 160.0)  # from exercise monitors to diagnostic recorders


def limit_band(signal: np.ndarray, *, fs: float, rng: np.random.Generator) -> np.ndarray:
    """Return segments as devices with random band limits would record them, float32 of the same shape.

    The high-pass has the phase of an analog filter, so a QRS complex has an undershoot. The low-pass has zero phase,
    because a delay would move the R peaks from their marks. Each segment is mirrored at its end before filtering, which
    avoids a step.

    Args:
        signal: segments in mV, shape ``(segments, samples)``.
        fs: sampling rate in Hz.
        rng: random numbers.
    """
    count, samples = signal.shape
    highpass, lowpass = (
        np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]), (count, 1))).astype(np.float32)
        for limits in (_HIGHPASS_HZ, _LOWPASS_HZ)
    )
    second_order = rng.random((2, count, 1)) < 0.5
    extended = np.concatenate([signal, signal[:, ::-1]], axis=1)
    frequencies = scipy.fft.rfftfreq(2 * samples, 1 / fs).astype(np.float32)
    ratio = 1j * frequencies / highpass
    high = ratio / (1 + ratio)
    low = 1 / (1 + np.square(frequencies / lowpass))
    response = np.where(second_order[0], high * high, high) * np.where(second_order[1], low, np.sqrt(low))
    filtered = scipy.fft.irfft(scipy.fft.rfft(extended, axis=1) * response, n=2 * samples, axis=1)
    return np.asarray(filtered[:, :samples], np.float32)
