"""Baseline wander of the Noise Stress Test Database in the two versions of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.quality.deepfilter.beats import PUBLISHED_COUNTS, SAMPLES
from ecg_study.ecg_data.readers.recording import ALL_LEADS
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import RecordError, SettingsError

VERSIONS = (1, 2)

RATIO_RANGE = (0.2, 2.0)
"""Peak-to-peak value of the noise relative to that of the beat."""

_RECORD = "bw"
_PUBLISHED_SEED = 1234  # of the ratios, in the published code
_VALIDATION_SEED = 1


@dataclass(frozen=True)
class VersionNoise:
    """Noise of one version, in three parts that share no sample of a channel; float32 arrays of shape ``(samples,)``.

    Attributes:
        training: first half of a channel.
        validation: first half of the other channel, which neither training nor test uses.
        test: second half of the other channel.
    """

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def read_noise(noise_dir: Path) -> np.ndarray:
    """Read the noise as a float32 array of shape ``(samples, 2)``; its unit does not matter.

    Raises:
        RecordError: the record is missing, damaged or too short.
    """
    path = noise_dir / _RECORD
    signal = read_record(path, lead=ALL_LEADS, annotator=None).signal
    if signal.shape[1] != 2:
        raise RecordError(path, f"{signal.shape[1]} channels; the noise record of the benchmark has 2")
    if len(signal) // 2 <= 2 * SAMPLES:
        raise RecordError(path, f"{len(signal):,} samples; too short to provide noise for training and tests")
    return np.asarray(signal, np.float32)


def version_noise(signal: np.ndarray, version: int) -> VersionNoise:
    """Divide the noise: version 1 trains on the first channel and tests on the second, version 2 swaps them.

    Args:
        signal: noise of shape ``(samples, 2)``.
        version: one of `VERSIONS`.

    Raises:
        SettingsError: the version is not one of `VERSIONS`.
    """
    if version not in VERSIONS:
        raise SettingsError("versions", f"{version} is not one of 1, 2", value=version)
    half = len(signal) // 2
    trained, tested = signal[:, version - 1], signal[:, 2 - version]
    return VersionNoise(trained[:half], tested[:half], tested[half:-1])  # the published code leaves the last out


def add_noise(clean: np.ndarray, noise: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Add noise whose peak-to-peak value is that of the beat times a ratio; float32.

    Args:
        clean: beats of shape ``(beats, SAMPLES)``.
        noise: noise of any amplitude, of the same shape.
        ratios: shape ``(beats,)``.
    """
    scale = ratios * np.ptp(clean, axis=1) / np.ptp(noise, axis=1)
    return np.asarray(clean + scale[:, np.newaxis] * noise, np.float32)


def fixed_windows(noise: np.ndarray, count: int) -> np.ndarray:
    """Return windows one after another, from the start again when the noise ends; shape ``(count, SAMPLES)``."""
    # As the published code counts: a window that ends with the last sample is used too.
    windows = noise[: len(noise) // SAMPLES * SAMPLES].reshape(-1, SAMPLES)
    return np.asarray(windows[np.arange(count) % len(windows)])


def published_ratios(count: int) -> np.ndarray:
    """Return the ratios of the test beats: the numbers of the published code, hundredths from 0.20 to 1.99.

    The order of the records, and so the beat of each number, is not published; here it is alphabetical.
    """
    # The published code draws from NumPy's former generator, for the training beats first.
    rng = np.random.RandomState(_PUBLISHED_SEED)
    low, high = (round(100 * limit) for limit in RATIO_RANGE)
    rng.randint(low=low, high=high, size=PUBLISHED_COUNTS[0])
    return np.asarray(rng.randint(low=low, high=high, size=count) / 100)


def validation_ratios(count: int) -> np.ndarray:
    """Return the ratios of the validation beats."""
    return np.random.default_rng(_VALIDATION_SEED).uniform(*RATIO_RANGE, count)


def parse_versions(text: str) -> Sequence[int]:
    """Parse versions that are separated by commas.

    Raises:
        SettingsError: one is not 1 or 2, or one is repeated.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(set(parts)) != len(parts) or any(part not in map(str, VERSIONS) for part in parts):
        raise SettingsError("versions", f"{text!r} is not 1, 2 or 1,2", value=text)
    return [int(part) for part in parts]
