"""Training beats that differ each time they are shown: fresh noise, and variations of beat and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.quality.deepfilter.beats import FIRST_SAMPLE, LONGEST, SAMPLES, Beats
from benchmarks.quality.deepfilter.noise import RATIO_RANGE, add_noise
from ecg_study.ecg_data.segments.batches import Batch
from ecg_study.errors import SettingsError

_SMOOTHED_SAMPLES = 33  # 92 ms: slower waves are wander, faster ones muscle, mains and quantization
_KNOT_SAMPLES = 64  # 178 ms, about the length of a wave: P, QRS and T get gains of their own
_SHORTEST = 64  # samples of a stretched beat


@dataclass(frozen=True)
class BeatAugmentation:
    """Variations of training beats and of their noise, beside fresh noise, which is always drawn.

    Attributes:
        second_lead: train on the second lead of the training records too.
        invert: probability that a beat is inverted.
        time_stretch: largest factor of stretching and compressing a beat in time; 1 for none.
        gain_variation: standard deviation of the logarithm of a gain that varies along the beat; 0 for none.
        transform_noise: invert half of the noise, and reverse half of it in time.
        noise_stretch: largest factor of stretching and compressing noise in time; 1 for none.
        mix_noise: probability that noise is the sum of two excerpts.
        noise_tilt: largest factor by which the fast part of noise is amplified or attenuated; 1 for none. Channels
            differ in it, and the noise of the test is that of another channel.

    Raises:
        SettingsError: a value is out of range.
    """

    second_lead: bool = True
    invert: float = 0.5
    time_stretch: float = 1.15
    gain_variation: float = 0.0
    transform_noise: bool = True
    noise_stretch: float = 1.25
    mix_noise: float = 0.3
    noise_tilt: float = 2.0

    def __post_init__(self) -> None:
        """Check the values."""
        for name, lowest, highest in (
            ("invert", 0, 1),
            ("time_stretch", 1, 2),
            ("gain_variation", 0, 1),
            ("noise_stretch", 1, 2),
            ("mix_noise", 0, 1),
            ("noise_tilt", 1, 10),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise SettingsError(name, f"{value} is not between {lowest} and {highest}", value=value)


NO_AUGMENTATION = BeatAugmentation(
    second_lead=False,
    invert=0.0,
    time_stretch=1.0,
    transform_noise=False,
    noise_stretch=1.0,
    mix_noise=0.0,
    noise_tilt=1.0,
)
"""Fresh noise and nothing else."""


class BeatReader:
    """Reads batches of noisy and clean beats.

    Args:
        beats: training beats.
        noise: training noise of the version, shape ``(samples,)``.
        augmentation: variations.
    """

    def __init__(self, beats: Beats, noise: np.ndarray, augmentation: BeatAugmentation) -> None:
        self._beats, self._noise, self._augmentation = beats, noise, augmentation

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> Batch:
        """Return the batch of some rows, both of shape ``(rows, SAMPLES, 1)``."""
        settings, clean = self._augmentation, self._beats.signals[rows]
        if settings.time_stretch > 1:
            factors = _factors(settings.time_stretch, len(rows), rng)
            clean = stretch_beats(clean, self._beats.lengths[rows], factors)
        if settings.gain_variation:
            knots = rng.standard_normal((len(rows), SAMPLES // _KNOT_SAMPLES + 1)) * settings.gain_variation
            clean = clean * np.exp(knots @ _between_knots())
        if settings.invert:
            clean = clean * _signs(settings.invert, len(rows), rng)
        noisy = add_noise(clean, self.draw_noise(len(rows), rng), rng.uniform(*RATIO_RANGE, len(rows)))
        return noisy[..., np.newaxis], np.asarray(clean, np.float32)[..., np.newaxis]

    def draw_noise(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw varied excerpts of the training noise, shape ``(count, SAMPLES)``."""
        settings, noise = self._augmentation, self._excerpts(count, rng)
        if settings.mix_noise:
            mixed = (rng.random(count) < settings.mix_noise) * rng.random(count)
            noise = _unit(noise) + mixed[:, np.newaxis] * _unit(self._excerpts(count, rng))
        if settings.noise_tilt > 1:
            noise = tilt(noise, _factors(settings.noise_tilt, count, rng))
        if settings.transform_noise:
            noise = np.where(rng.random((count, 1)) < 0.5, noise[:, ::-1], noise) * _signs(0.5, count, rng)
        return noise

    def _excerpts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        factors = np.ones(count)
        if self._augmentation.noise_stretch > 1:
            factors = _factors(self._augmentation.noise_stretch, count, rng)
        last = len(self._noise) - 2 - (SAMPLES - 1) * factors
        places = (rng.random(count) * last)[:, np.newaxis] + np.arange(SAMPLES) * factors[:, np.newaxis]
        if self._augmentation.noise_stretch == 1:
            return self._noise[np.floor(places).astype(np.int64)]
        return _interpolated(self._noise, places)


def stretch_beats(signals: np.ndarray, lengths: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Stretch padded beats in time by linear interpolation; none gets longer than `LONGEST`.

    Args:
        signals: shape ``(beats, SAMPLES)``.
        lengths: samples of each beat without padding.
        factors: above 1, a beat gets longer; shape ``(beats,)``.
    """
    after = np.clip(np.round(lengths * factors), np.minimum(lengths, _SHORTEST), LONGEST)
    offset = np.arange(SAMPLES) - FIRST_SAMPLE
    inside = (offset >= 0) & (offset < after[:, np.newaxis])
    # The first and the last sample of a beat stay its first and last sample.
    steps = (lengths - 1) / np.maximum(after - 1, 1)
    places = np.clip(FIRST_SAMPLE + offset * steps[:, np.newaxis], 0, SAMPLES - 1)
    rows = np.arange(len(signals))[:, np.newaxis] * SAMPLES
    low = np.minimum(np.floor(places).astype(np.int64), SAMPLES - 2)
    share, flat = (places - low).astype(np.float32), np.ascontiguousarray(signals).reshape(-1)
    return np.where(inside, flat[rows + low] * (1 - share) + flat[rows + low + 1] * share, np.float32(0))


def tilt(noise: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Multiply the fast part of noise, what differs from its moving average, by a factor for each row."""
    from scipy.ndimage import uniform_filter1d

    slow = uniform_filter1d(noise, _SMOOTHED_SAMPLES, axis=1, mode="nearest")
    return np.asarray(slow + factors[:, np.newaxis] * (noise - slow))


def _interpolated(signal: np.ndarray, places: np.ndarray) -> np.ndarray:
    low = np.floor(places).astype(np.int64)
    share = (places - low).astype(np.float32)
    return np.asarray(signal[low] * (1 - share) + signal[low + 1] * share)


def _factors(largest: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw factors, uniformly on a logarithmic scale, from one over the largest to the largest."""
    return np.asarray(np.exp(rng.uniform(-1, 1, count) * np.log(largest)))


def _signs(probability: float, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random((count, 1)) < probability, np.float32(-1), np.float32(1))


def _unit(noise: np.ndarray) -> np.ndarray:
    return np.asarray(noise / np.ptp(noise, axis=1, keepdims=True))


def _between_knots() -> np.ndarray:
    """Return the weights of linear interpolation between knots, shape ``(knots, SAMPLES)``."""
    knots = np.arange(0, SAMPLES + 1, _KNOT_SAMPLES)
    return np.array([np.interp(np.arange(SAMPLES), knots, row) for row in np.eye(len(knots))])
