"""Noise for clean records: types, sources and levels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ecg_study.ecg_data.databases.physionet import NOISE_RECORDS

NoiseType = Literal["gaussian", "bw", "em", "ma", "mix"]
"""White Gaussian noise, baseline wander, electrode motion artifact, muscle artifact, or a mix of the last three."""

GAUSSIAN: Final = "gaussian"

MIX: Final = "mix"
"""All recorded types in equal power."""

RECORDED_NOISE_TYPES: tuple[NoiseType, ...] = (*NOISE_RECORDS, MIX)
"""Types taken from recordings of electrodes without an ECG."""

NOISE_TYPES: tuple[NoiseType, ...] = (GAUSSIAN, *RECORDED_NOISE_TYPES)

_TRANSFORM_PROBABILITY = 0.5  # of each transformation of `NoiseSource.draw`

_LARGEST_TIME_STRETCH = 1.25  # factor by which transformed noise is stretched or compressed at most


def gaussian_noise(samples: int, *, sigma_mv: float, seed: int, record: str, lead: str) -> np.ndarray:
    """Draw white Gaussian noise for one lead of one record.

    The noise depends only on seed, record and lead. So a whole record has the same noise as its cached segments, and
    no two records share noise.

    Args:
        samples: length of the record.
        sigma_mv: standard deviation in mV.
        seed: seed of the study.
        record: name of the record.
        lead: name of the lead.

    Returns:
        float32 array of shape ``(samples,)``, in mV.
    """
    rng = np.random.default_rng([seed, zlib.crc32(record.encode()), zlib.crc32(lead.encode())])
    return rng.standard_normal(samples, dtype=np.float32) * np.float32(sigma_mv)


def unit_gaussian_noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw white Gaussian noise with mean 0 and power 1 in each row, float32."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    return np.asarray((noise - noise.mean(axis=1, keepdims=True)) / noise.std(axis=1, keepdims=True))


@dataclass(frozen=True)
class NoiseSource:
    """Recorded noise to draw excerpts from.

    Attributes:
        recordings: noise type → float32 arrays of shape ``(samples, channels)``, in mV.
    """

    recordings: dict[str, list[np.ndarray]]

    def draw(
        self, noise_type: NoiseType, *, count: int, samples: int, rng: np.random.Generator, transform: bool = False
    ) -> np.ndarray:
        """Draw excerpts with mean 0 and power 1, each from a random place and channel.

        Args:
            noise_type: one of `RECORDED_NOISE_TYPES`.
            count: number of excerpts.
            samples: length of each excerpt.
            rng: source of places and channels.
            transform: whether to also invert, reverse and stretch excerpts in time, and to mix both channels, at
                random. A recording has only minutes of each noise, which a model would soon memorize.

        Returns:
            float32 array of shape ``(count, samples)``.

        Raises:
            ValueError: every recording is shorter than an excerpt.
        """
        if noise_type == MIX:
            each = [
                self.draw(name, count=count, samples=samples, rng=rng, transform=transform) for name in NOISE_RECORDS
            ]
            return unit_power(np.sum(each, axis=0))
        if transform:
            return unit_power(self._transformed(noise_type, count, samples, rng))
        places = self._places(noise_type, count, samples, rng)
        channels = rng.integers(0, self.recordings[noise_type][0].shape[1], count)
        drawn = np.empty((count, samples), np.float32)
        for row, ((recording, start), channel) in enumerate(zip(places, channels.tolist(), strict=True)):
            drawn[row] = recording[start : start + samples, channel]
        return unit_power(drawn)

    def joined_with(self, other: NoiseSource) -> NoiseSource:
        """Return a source with the recordings of both."""
        return NoiseSource({name: [*own, *other.recordings[name]] for name, own in self.recordings.items()})

    def _transformed(self, noise_type: str, count: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        spread = np.log(_LARGEST_TIME_STRETCH)
        stretched = rng.random(count) < _TRANSFORM_PROBABILITY
        scales = np.where(stretched, np.exp(rng.uniform(-spread, spread, count)), 1.0)
        backwards = rng.random(count) < _TRANSFORM_PROBABILITY
        # A multiple of a quarter turn selects one channel, upright or inverted.
        quarters, turns = rng.integers(0, 4, count) / 4, rng.random(count)
        angles = 2 * np.pi * np.where(rng.random(count) < _TRANSFORM_PROBABILITY, quarters, turns)
        longest = int(np.ceil(_LARGEST_TIME_STRETCH * samples)) + 1
        drawn = np.empty((count, samples), np.float32)
        for row, (recording, start) in enumerate(self._places(noise_type, count, longest, rng)):
            excerpt = recording[start : start + longest]
            mixed = np.cos(angles[row]) * excerpt[:, 0] + np.sin(angles[row]) * excerpt[:, -1]
            at = scales[row] * np.arange(samples)
            drawn[row] = mixed[:samples] if scales[row] == 1 else np.interp(at, np.arange(longest), mixed)
        drawn[backwards] = drawn[backwards, ::-1]
        return drawn

    def _places(
        self, noise_type: str, count: int, samples: int, rng: np.random.Generator
    ) -> list[tuple[np.ndarray, int]]:
        """Draw recordings, each with the first sample of an excerpt that fits into it."""
        long = [recording for recording in self.recordings[noise_type] if len(recording) >= samples]
        if not long:
            raise ValueError(f"{noise_type}: no recording has {samples} samples")
        ends = np.cumsum([len(recording) - samples + 1 for recording in long])
        found = []
        for place in rng.integers(0, ends[-1], count).tolist():
            number = int(np.searchsorted(ends, place, side="right"))
            found.append((long[number], place - (int(ends[number - 1]) if number else 0)))
        return found


def unit_power(noise: np.ndarray) -> np.ndarray:
    """Scale noise of shape ``(…, samples)`` to mean 0 and power 1, row by row; float32."""
    centered = noise - noise.mean(axis=-1, keepdims=True, dtype=np.float64)
    power = np.mean(centered**2, axis=-1, keepdims=True)
    return np.asarray(centered / np.sqrt(np.maximum(power, 1e-12)), dtype=np.float32)


def add_at_snr(clean: np.ndarray, noise: np.ndarray, *, snr_db: float) -> np.ndarray:
    """Add noise to clean segments at a signal-to-noise ratio.

    Args:
        clean: segments in mV, shape ``(segments, samples)``; their power is the variance.
        noise: noise of power 1, of the same shape.
        snr_db: ratio for each segment, in dB.

    Returns:
        Noisy segments in mV, of the same shape.
    """
    power = np.var(clean, axis=-1, keepdims=True, dtype=np.float64) * 10 ** (-snr_db / 10)
    return np.asarray(clean + scale_to_power(noise, power))


def scale_to_power(noise: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Scale noise of power 1 to ``power`` in mV², row by row; float32."""
    return np.asarray(noise * np.sqrt(power), dtype=np.float32)
