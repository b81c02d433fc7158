"""Dynamical ECG model of McSharry et al. (2003), in closed form.

A point moves around the unit circle, one turn per beat. Five Gaussian events (P, Q, R, S, T) push its height z up and
down as it passes them:

    dz/dt = dg/dt - (z - z₀) ,     g = Σᵢ aᵢ exp(-(θ - θᵢ)² / 2bᵢ²)

The notation differs from the paper, the dynamics do not. The amplitudes aᵢ are in mV, as in Sameni et al. (2007), so
that they do not change with the heart rate. The point stays on its circle, so θ is known at every time, and g needs no
integration. The remaining equation is a first-order filter of g and of the baseline z₀. One vectorized pass gives the
signal, exact to rounding.

Widths and distances of the events grow with the square root of the RR interval, as in the published ECGSYN program.

References:
    McSharry PE, Clifford GD, Tarassenko L, Smith LA. A dynamical model for generating synthetic electrocardiogram
    signals. IEEE Trans Biomed Eng 50(3):289-294, 2003.

    Sameni R, Shamsollahi MB, Jutten C, Clifford GD. A nonlinear Bayesian filtering framework for ECG denoising.
    IEEE Trans Biomed Eng 54(12):2172-2185, 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EVENT_NAMES = ("P", "Q", "R", "S", "T")

EVENT_ANGLES = np.array([-np.pi / 3, -np.pi / 12, 0.0, np.pi / 12, np.pi / 2])
"""Angles of the events in radians, R at 0 (McSharry et al. 2003, table I)."""

EVENT_WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
"""Widths b of the events in radians (McSharry et al. 2003, table I)."""

_RELAXATION = 1.0  # 1/s: the rate at which z returns to the baseline (McSharry et al. 2003, equation 1)


@dataclass(frozen=True)
class Waves:
    """Events of one kind of beat in one lead: arrays of shape ``(5,)`` in the order of `EVENT_NAMES`.

    Attributes:
        angles: radians, 0 at the R peak, for a beat of 60/min.
        amplitudes: mV.
        widths: radians, for a beat of 60/min.
    """

    angles: np.ndarray
    amplitudes: np.ndarray
    widths: np.ndarray


def rr_tachogram(
    duration: float, *, mean: float, deviation: float, respiration: float, lf_hf: float, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Draw slow changes of the RR interval: a random-phase process with Mayer waves and respiratory arrhythmia.

    The power spectrum has two Gaussian peaks, one at 0.1 Hz and one at the respiratory rate (McSharry et al. 2003,
    equations 5 to 8).

    Args:
        duration: seconds to cover.
        mean: mean RR interval in seconds.
        deviation: standard deviation of the RR interval in seconds.
        respiration: respiratory rate in Hz.
        lf_hf: ratio of the power of the two peaks, the slow one first.
        rng: source of the random phases.

    Returns:
        RR intervals in seconds, shape ``(n,)``, and their sampling rate in Hz.
    """
    rate = 4.0
    n = int(np.ceil(duration * rate)) + 1
    frequency = np.fft.rfftfreq(n, 1 / rate)
    low = lf_hf * np.exp(-((frequency - 0.1) ** 2) / (2 * 0.01**2))
    high = np.exp(-((frequency - respiration) ** 2) / (2 * 0.01**2))
    spectrum = np.sqrt(low + high) * np.exp(2j * np.pi * rng.random(len(frequency)))
    spectrum[0] = 0
    series = np.fft.irfft(spectrum, n)
    return mean + series * (deviation / series.std()), rate


def simulate(
    beat_times: np.ndarray, beat_kinds: np.ndarray, *, kinds: list[Waves], baseline: np.ndarray, fs: float
) -> np.ndarray:
    """Return the signal z in mV, shape ``(samples,)``.

    Args:
        beat_times: strictly increasing times of the R events in seconds, shape ``(beats,)``. The first is before the
            first sample and the last after the last sample, so that every sample lies between two beats.
        beat_kinds: index of each beat's kind in ``kinds``, shape ``(beats,)``.
        kinds: waves of each kind of beat.
        baseline: z₀ in mV at each sample, shape ``(samples,)``.
        fs: sampling rate in Hz.

    Raises:
        ValueError: the beats do not span the samples.
    """
    from scipy.signal import lfilter

    time = np.arange(len(baseline)) / fs
    before = np.searchsorted(beat_times, time, side="right") - 1
    if before.min() < 0 or before.max() + 1 >= len(beat_times):
        raise ValueError("the beats must begin before the first sample and end after the last")
    rr = beat_times[before + 1] - beat_times[before]
    angle = 2 * np.pi * (time - beat_times[before]) / rr
    rate_scale = np.sqrt(1 / rr)
    driven = np.zeros(len(time))
    # Each sample lies between two R events, and the waves of both beats reach it.
    for beat, theta in ((before, angle), (before + 1, angle - 2 * np.pi)):
        for index, waves in enumerate(kinds):
            of_kind = beat_kinds[beat] == index
            turn, scale = theta[of_kind], rate_scale[of_kind]
            for center, amplitude, width in zip(waves.angles, waves.amplitudes, waves.widths, strict=True):
                driven[of_kind] += amplitude * np.exp(-((turn - center * scale) ** 2) / (2 * (width * scale) ** 2))
    # dz/dt = dg/dt - k (z - z0), by the bilinear rule: a high-pass of g and a low-pass of z0 at k / 2π = 0.16 Hz.
    half = _RELAXATION / (2 * fs)
    denominator = [1 + half, -(1 - half)]
    high_passed = lfilter([1.0, -1.0], denominator, driven - driven[0])
    low_passed = lfilter([half, half], denominator, baseline)
    return np.asarray(high_passed + low_passed)
