"""Noise stress test: noise added to whole leads by the recipe of ``nst``.

References:
    Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. Computers in Cardiology 11:381-384,
    1984; and the manual page of ``nst`` in the WFDB Applications Guide.
"""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_records import STRESS_CHANNEL

EC57_LEARNING_SECONDS = 300.0
"""Seconds at the start of a record in which a detector may adapt (ANSI/AAMI EC57): without noise, and not scored."""

_PERIOD = 120.0  # seconds with noise, then as many without
_MEASURED = 300  # QRS complexes, and seconds of noise, whose levels are measured
_TRIMMED = 0.05  # share of the smallest and of the largest values that are ignored
_QRS_REACH = 0.05  # seconds on each side of the R peak in which the QRS complex is measured


def qrs_amplitude(signal: np.ndarray, r_peaks: np.ndarray, *, fs: float) -> float:
    """Return the peak-to-peak amplitude of the QRS complex in mV: the trimmed mean of the first 300 beats.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        r_peaks: sample indices.
        fs: sampling rate in Hz.
    """
    reach = round(_QRS_REACH * fs)
    inside = r_peaks[(r_peaks >= reach) & (r_peaks < len(signal) - reach)][:_MEASURED]
    heights = [float(np.ptp(signal[peak - reach : peak + reach + 1])) for peak in inside]
    return _trimmed_mean(np.array(heights))


def noise_amplitude(noise: np.ndarray, *, fs: float) -> float:
    """Return the standard deviation of one second of noise: the trimmed mean of the first 300 seconds.

    Args:
        noise: one channel in mV, shape ``(samples,)``.
        fs: sampling rate in Hz.
    """
    second = round(fs)
    whole = noise[: min(_MEASURED, len(noise) // second) * second].reshape(-1, second).astype(np.float64)
    return _trimmed_mean(whole.std(axis=1))


def add_stress_noise(
    signal: np.ndarray, r_peaks: np.ndarray, *, noise: np.ndarray, fs: float, snr_db: float
) -> np.ndarray:
    """Add noise to a lead in every other two minutes, from the sixth minute on.

    Like ``nst``, this takes the noise at the times at which it is added. From ``em``, these are the samples that the
    noise stress records contain; training never uses them. The SNR compares a sine wave as high as the QRS complex
    with the noise. The level of the noise is kept where it starts and ends, so that there is no step.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        r_peaks: sample indices of the annotated beats, used to measure the QRS complex.
        noise: one channel of noise, at least as long as the signal.
        fs: sampling rate of both in Hz.
        snr_db: signal-to-noise ratio in dB.

    Returns:
        float32 array with the shape of ``signal``.

    Raises:
        ValueError: the noise is shorter than the signal.
    """
    samples = len(signal)
    if len(noise) < samples:
        raise ValueError(f"{len(noise)} samples of noise are too few for {samples} samples of signal")
    power = qrs_amplitude(signal, r_peaks, fs=fs) ** 2 / 8
    factor = np.sqrt(power * 10 ** (-snr_db / 10)) / noise_amplitude(noise, fs=fs)
    steps = np.diff(noise[:samples].astype(np.float64), prepend=noise[0]) * noise_mask(samples, fs=fs)
    return np.asarray(signal + factor * np.cumsum(steps), dtype=np.float32)


def add_electrode_motion(
    signal: np.ndarray, r_peaks: np.ndarray, *, source: NoiseSource, fs: float, snr_db: float
) -> np.ndarray:
    """Add electrode motion artifact to a lead as `add_stress_noise` does, and repeat the noise as often as needed.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        r_peaks: sample indices of the annotated beats; at least one.
        source: noise at the sampling rate of the lead.
        fs: sampling rate in Hz.
        snr_db: signal-to-noise ratio in dB.

    Returns:
        float32 array with the shape of ``signal``.
    """
    em = np.concatenate([recording[:, STRESS_CHANNEL] for recording in source.recordings["em"]])
    return add_stress_noise(signal, r_peaks, noise=np.resize(em, len(signal)), fs=fs, snr_db=snr_db)


def noise_mask(samples: int, *, fs: float) -> np.ndarray:
    """Return where `add_stress_noise` adds noise: bool of shape ``(samples,)``."""
    seconds = np.arange(samples) / fs - EC57_LEARNING_SECONDS
    return np.asarray((seconds >= 0) & (seconds % (2 * _PERIOD) < _PERIOD))


def _trimmed_mean(values: np.ndarray) -> float:
    cut = int(_TRIMMED * len(values))
    kept = np.sort(values)[cut : len(values) - cut]
    return float(kept.mean()) if len(kept) else 0.0
