"""Adding noise to a record as the noise stress records were made: the recipe of ``nst``.

Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. Computers in Cardiology 11:381-384, 1984,
and the manual page of ``nst`` in the WFDB Applications Guide.
"""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.noise import STRESS_CHANNEL, NoiseBank
from ecg_study.evaluation.leads import EvaluationLead

QUIET_START = 300.0
"""Seconds without noise at the start: what a detector may learn from, and what is not scored."""

_TURN = 120.0  # seconds with noise, then as many without
_MEASURED = 300  # QRS complexes, and seconds of noise, that the levels are measured on
_TRIMMED = 0.05  # share of the smallest and of the largest that is left out
_QRS_REACH = 0.05  # seconds on either side of the R peak in which the QRS complex is measured


def qrs_amplitude(signal: np.ndarray, r_peaks: np.ndarray, fs: float) -> float:
    """Peak-to-peak height of the QRS complex in mV: the trimmed mean over the first 300 beats.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        r_peaks: sample indices.
        fs: sampling rate in Hz.
    """
    reach = round(_QRS_REACH * fs)
    inside = r_peaks[(r_peaks >= reach) & (r_peaks < len(signal) - reach)][:_MEASURED]
    heights = [float(np.ptp(signal[peak - reach : peak + reach + 1])) for peak in inside]
    return _trimmed_mean(np.array(heights))


def noise_amplitude(noise: np.ndarray, fs: float) -> float:
    """Root mean square of a noise around its mean, second by second: the trimmed mean over the first 300 seconds."""
    second = round(fs)
    whole = noise[: min(_MEASURED, len(noise) // second) * second].reshape(-1, second).astype(np.float64)
    return _trimmed_mean(whole.std(axis=1))


def add_stress(signal: np.ndarray, r_peaks: np.ndarray, noise: np.ndarray, fs: float, snr: float) -> np.ndarray:
    """A lead with noise in every other two minutes, from the sixth minute on.

    The noise is taken at the times at which it is added, as ``nst`` does: those of ``em`` that the noise stress
    records hold, and so never the ones that training may use. The SNR compares the power of a sine as high as the
    QRS complex with that of the noise. Where the noise sets in or ends, its level is kept, so that there is no step.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        r_peaks: sample indices of the annotated beats, to measure the QRS complex.
        noise: one channel, at least as long as the signal.
        fs: sampling rate in Hz of both.
        snr: in dB.

    Returns:
        float32 array of the shape of ``signal``.

    Raises:
        ValueError: the noise is shorter than the signal.
    """
    samples = len(signal)
    if len(noise) < samples:
        raise ValueError(f"{len(noise)} samples of noise are too few for {samples} of signal")
    power = qrs_amplitude(signal, r_peaks, fs) ** 2 / 8
    gain = np.sqrt(power * 10 ** (-snr / 10)) / noise_amplitude(noise, fs)
    steps = np.diff(noise[:samples].astype(np.float64), prepend=noise[0]) * is_noisy(samples, fs)
    return np.asarray(signal + gain * np.cumsum(steps), dtype=np.float32)


def is_noisy(samples: int, fs: float) -> np.ndarray:
    """Where `add_stress` adds noise: bool of shape ``(samples,)``."""
    seconds = np.arange(samples) / fs - QUIET_START
    return np.asarray((seconds >= 0) & (seconds % (2 * _TURN) < _TURN))


def _trimmed_mean(values: np.ndarray) -> float:
    cut = int(_TRIMMED * len(values))
    kept = np.sort(values)[cut : len(values) - cut]
    return float(kept.mean()) if len(kept) else 0.0


def under_motion(lead: EvaluationLead, bank: NoiseBank, snr: float) -> np.ndarray:
    """A lead in mV with electrode motion of a bank, over and over, by the recipe of the noise stress test.

    Args:
        lead: with beats.
        bank: noise at the sampling rate of the lead.
        snr: in dB.
    """
    em = np.concatenate([stretch[:, STRESS_CHANNEL] for stretch in bank.stretches["em"]])
    return add_stress(lead.clean, lead.r_peaks, np.resize(em, len(lead.clean)), lead.fs, snr)
