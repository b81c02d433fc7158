"""Noise for clean records: types, sources and levels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np

from ecg_study.ecg_data.databases.physionet import NOISE_RECORDS
from ecg_study.ecg_data.excerpts import Excerpts
from ecg_study.ecg_data.filters import remove_baseline_wander

NoiseType = Literal["gaussian", "bw", "em", "ma", "mix"]
"""White Gaussian noise, baseline wander, electrode motion artifact, muscle artifact, or a mix of the last three."""

GAUSSIAN: Final = "gaussian"

MIX: Final = "mix"
"""All recorded types in equal power."""

RECORDED_NOISE_TYPES: tuple[NoiseType, ...] = (*NOISE_RECORDS, MIX)
"""Types taken from recordings of electrodes without an ECG."""

NOISE_TYPES: tuple[NoiseType, ...] = (GAUSSIAN, *RECORDED_NOISE_TYPES)

_TRANSFORM_PROBABILITY = 0.5  # of each transformation of `NoiseSource.draw`

_WINDOW_SECONDS = 10.0
_FADE_SECONDS = 0.1  # from one window to the next, so that there is no step

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
            return _standardized(sum(each[1:], start=each[0])) if transform else unit_power(np.sum(each, axis=0))
        if transform:
            return _standardized(self._transformed(noise_type, count, samples, rng))
        starts, joined = self._starts(noise_type, count, samples, rng), self._joined[noise_type]
        starts += joined.shape[1] * rng.integers(0, len(joined), count)
        return unit_power(Excerpts(starts, np.ones(count), samples=samples).of(joined.reshape(-1)))

    def joined_with(self, other: NoiseSource) -> NoiseSource:
        """Return a source with the recordings of both."""
        return NoiseSource({name: [*own, *other.recordings[name]] for name, own in self.recordings.items()})

    def without_wander(self, fs: float) -> NoiseSource:
        """Return a source with the same recordings after `remove_baseline_wander`.

        Args:
            fs: sampling rate in Hz.
        """
        return NoiseSource(
            {
                name: [remove_baseline_wander(recording.T, fs).T.astype(np.float32) for recording in recordings]
                for name, recordings in self.recordings.items()
            }
        )

    def _transformed(self, noise_type: str, count: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        spread = np.log(_LARGEST_TIME_STRETCH)
        stretched = rng.random(count) < _TRANSFORM_PROBABILITY
        scales = np.where(stretched, np.exp(rng.uniform(-spread, spread, count)), 1.0)
        backwards = rng.random(count) < _TRANSFORM_PROBABILITY
        # A multiple of a quarter turn selects one channel, upright or inverted.
        quarters, turns = rng.integers(0, 4, count) / 4, rng.random(count)
        angles = 2 * np.pi * np.where(rng.random(count) < _TRANSFORM_PROBABILITY, quarters, turns)
        longest = int(np.ceil(_LARGEST_TIME_STRETCH * samples)) + 1
        excerpts = Excerpts(self._starts(noise_type, count, longest, rng), scales, samples=samples)
        drawn, second = (excerpts.of(self._joined[noise_type][channel]) for channel in (0, -1))
        # In double precision, so that a quarter turn selects exactly one channel.
        drawn *= np.cos(angles).astype(np.float32)[:, np.newaxis]
        second *= np.sin(angles).astype(np.float32)[:, np.newaxis]
        drawn += second
        drawn[backwards] = drawn[backwards, ::-1]
        return drawn

    def _starts(self, noise_type: str, count: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the first sample of each excerpt in the joined recordings. No excerpt leaves its recording."""
        lengths = np.array([len(recording) for recording in self.recordings[noise_type]])
        room = np.maximum(lengths - samples + 1, 0)
        ends = np.cumsum(room)
        if not ends[-1]:
            raise ValueError(f"{noise_type}: no recording has {samples} samples")
        places = rng.integers(0, ends[-1], count)
        numbers = np.searchsorted(ends, places, side="right")
        return np.asarray((np.cumsum(lengths) - lengths)[numbers] + places - (ends - room)[numbers])

    @cached_property
    def _joined(self) -> dict[str, np.ndarray]:
        """Noise type → all its recordings in a row, float32 of shape ``(channels, samples)``."""
        return {
            name: np.ascontiguousarray(np.concatenate(recordings).T, dtype=np.float32)
            for name, recordings in self.recordings.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to another process: the recordings once."""
        return {"recordings": self.recordings}


def unit_power(noise: np.ndarray) -> np.ndarray:
    """Scale noise of shape ``(…, samples)`` to mean 0 and power 1, row by row; float32."""
    centered = noise - noise.mean(axis=-1, keepdims=True, dtype=np.float64)
    power = np.mean(centered**2, axis=-1, keepdims=True)
    return np.asarray(centered / np.sqrt(np.maximum(power, 1e-12)), dtype=np.float32)


def _standardized(noise: np.ndarray) -> np.ndarray:
    """Scale float32 noise as `unit_power` does, in place and in single precision: training needs speed."""
    noise -= noise.mean(axis=1, keepdims=True)
    power = np.einsum("ij,ij->i", noise, noise)[:, np.newaxis] / np.float32(noise.shape[1])
    noise *= 1 / np.sqrt(np.maximum(power, np.float32(1e-12)))
    return noise


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


def window_excerpts(samples: int, *, fs: float) -> tuple[int, int]:
    """Return number and length of the excerpts that `join_windows` needs for a lead of ``samples`` samples."""
    window = round(_WINDOW_SECONDS * fs)
    return -(-samples // window), window + round(_FADE_SECONDS * fs)


def join_windows(excerpts: np.ndarray, reference: np.ndarray, *, fs: float) -> np.ndarray:
    """Join excerpts of noise to noise for a whole lead, an SNR of 0 dB in each window of 10 s.

    Args:
        excerpts: noise of power 1, of the shape that `window_excerpts` returns.
        reference: the lead without baseline wander in mV, shape ``(samples,)``; the noise has its power in each window.
        fs: sampling rate in Hz.

    Returns:
        Noise in mV, shape ``(samples,)``. Neighboring windows are joined by a cross-fade of constant power.
    """
    samples, window, fade = len(reference), round(_WINDOW_SECONDS * fs), round(_FADE_SECONDS * fs)
    count = len(excerpts)
    starts = np.minimum(np.arange(count) * window, max(0, samples - window))  # the last window lies within the lead
    powers = [np.mean(np.square(reference[start : start + window])) for start in starts]
    drawn = excerpts.astype(np.float64) * np.sqrt(powers)[:, np.newaxis]
    rising = np.sin(np.pi / 2 * (np.arange(fade) + 0.5) / fade)
    drawn[1:, :fade] *= rising
    drawn[:-1, window:] *= rising[::-1]
    joined = np.zeros(count * window + fade)
    joined[: count * window] = drawn[:, :window].reshape(-1)
    for number in range(1, count):
        joined[number * window : number * window + fade] += drawn[number - 1, window:]
    return joined[:samples]
