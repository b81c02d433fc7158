"""Augmented segments: cut, made noisy and inverted differently in each epoch.

The noise is recorded (see `ecg_data.noise_records`), and no test uses it. The amplitude is not varied, because models
that are trained with augmentation scale each segment themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.databases.physionet import NOISE_RECORDS
from ecg_study.ecg_data.databases.splits import TRAIN, VALIDATION
from ecg_study.ecg_data.excerpts import Excerpts
from ecg_study.ecg_data.noise import RECORDED_NOISE_TYPES, unit_power
from ecg_study.ecg_data.scaling import scale_segments, subtract_moving_average
from ecg_study.ecg_data.segments.augmentation.artifacts import MAINS_HZ, add_artifacts
from ecg_study.ecg_data.segments.augmentation.band_limits import limit_band
from ecg_study.ecg_data.segments.augmentation.beats import change_beats
from ecg_study.ecg_data.segments.augmentation.pauses import add_pause
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import SegmentCache

_LEAST_POWER = 0.05**2
"""Smallest signal power in mV² for scaling noise, so that a lead with tiny waves gets noise too."""

_RAMP = 36
"""Samples, 0.1 s at 360 Hz, over which noise in a part of a segment fades in and out."""

_FAST = (1.3, 1.9)  # times as fast; a row of the cache and the one that continues it allow no more than two
_SHORTEST = 0.2  # smallest share of a segment that such noise covers

_STEEPEST = 2.5  # power of frequency by which the power of coloured noise falls


@dataclass(frozen=True)
class _Cuts:
    """Positions of segments in the cache, whose rows are read as one array without gaps.

    Attributes:
        starts: first sample of each segment.
        scales: time scales, about 1: sample ``n`` of a segment is ``scale * n`` samples after its start.
        mixed: which of the segments are mixed with another lead.
        others: first samples of these at the same time in the other lead.
        angles: mixing angles of these.
    """

    starts: np.ndarray
    scales: np.ndarray
    mixed: np.ndarray
    others: np.ndarray
    angles: np.ndarray


class Augmenter:
    """Generator of augmented segments.

    Args:
        cache: cache with what augmentation needs.
        augmentation: settings of augmentation.
        training: whether segments are cut, stretched and inverted at random, with training noise; otherwise, they are
            the cached segments with validation noise.
        refit: whether training also uses the validation noise, as it uses the validation records.
    """

    def __init__(self, cache: SegmentCache, augmentation: Augmentation, *, training: bool, refit: bool = False) -> None:
        self._cache, self._how, self._training = cache, augmentation, training
        self._noise = cache.noise[TRAIN if training else VALIDATION]
        if refit:
            self._noise = self._noise.joined_with(cache.noise[VALIDATION])
        if augmentation.removes_baseline_wander:
            self._noise = self._noise.without_wander(cache.fs)
        # Rows that the next row continues without a gap.
        self._followed = np.zeros(len(cache.clean), bool)
        # Row of the same time in another lead of the record, or -1.
        self._other_lead = np.full(len(cache.clean), -1)
        for entry in cache.entries:
            self._followed[entry.first : entry.last - 1] = entry.excluded_segments == 0
            leads = cache.entries_of([entry.record], include_training_only=True)
            if len(leads) > 1:
                other = leads[(leads.index(entry) + 1) % len(leads)]
                self._other_lead[entry.first : entry.last] = np.arange(other.first, other.last)

    def denoiser(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return noisy segments and their targets, float32 of shape ``(rows, samples)``, in mV."""
        cuts, removes = self._cut(rows, rng), self._how.removes_baseline_wander
        arrays = (self._wander_removed,) if removes else (self._wander_removed, self._cache.clean)
        wander_removed, *others = self._signals(cuts, *arrays)
        target = wander_removed if removes else others[0]
        noisy, signs = self._noise_for(wander_removed, rng), self._signs(len(rows), rng)
        noisy += target
        noisy *= signs
        target *= signs
        return noisy, target

    def detector(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return noisy segments in mV, float32, and marks of R peaks, uint8; both of shape ``(rows, samples)``."""
        cuts = self._cut(rows, rng)
        wander_removed, clean = self._signals(cuts, self._wander_removed, self._cache.clean)
        marks = self._marks(cuts)
        # Noise is scaled by the segment with beats, and continues unchanged in a pause.
        noisy = self._noise_for(wander_removed, rng)
        scale = np.sqrt(self._power(wander_removed))[:, 0]
        changed = self._chosen(self._how.beat_change_probability, len(rows), rng)
        clean[changed] = change_beats(
            clean[changed], marks[changed], without_wander=wander_removed[changed], fs=self._cache.fs, rng=rng
        )
        if self._training and self._how.pause_probability:
            self._add_pauses(clean, marks, rng)
        alone = self._chosen(self._how.noise_only_probability, len(rows), rng)
        clean[alone], marks[alone] = 0, 0
        noisy[alone[rng.random(len(alone)) < 0.5]] = 0
        noisy[alone] += _coloured_noise(scale[alone], self._segment, rng)
        noisy += clean
        limited = self._chosen(self._how.band_limit_probability, len(rows), rng)
        noisy[limited] = limit_band(noisy[limited], fs=self._cache.fs, rng=rng)
        disturbed = self._chosen(self._how.artifact_probability, len(rows), rng)
        if len(disturbed):
            noisy[disturbed], marks[disturbed] = add_artifacts(
                noisy[disturbed], marks[disturbed], scale=scale[disturbed], fs=self._cache.fs, rng=rng
            )
        noisy = self._prepared(noisy, marks, disturbed)
        noisy *= self._signs(len(rows), rng)
        return noisy, marks

    def _prepared(self, noisy: np.ndarray, marks: np.ndarray, disturbed: np.ndarray) -> np.ndarray:
        """Return segments prepared as in detection; bursts are only limited in rows with artifacts.

        The marks of what is unusable then are removed, in place.
        """
        fs, seconds = self._cache.fs, self._how.baseline_window_s
        prepared = noisy if seconds is None else subtract_moving_average(noisy, seconds=seconds, fs=fs)
        if len(disturbed):
            prepared[disturbed], unusable = scale_segments(noisy[disturbed], fs, baseline_window_s=seconds)
            if unusable is not None:
                marks[disturbed] = np.where(unusable, np.uint8(0), marks[disturbed])
        return prepared

    def _chosen(self, probability: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the rows of a feature with this probability; none in validation."""
        if not (self._training and probability):
            return np.empty(0, np.int64)
        return np.flatnonzero(rng.random(count) < probability)

    @property
    def _wander_removed(self) -> np.ndarray:
        assert self._cache.wander_removed is not None
        return self._cache.wander_removed

    @property
    def _segment(self) -> int:
        return self._cache.settings.segment_samples

    def _cut(self, rows: np.ndarray, rng: np.random.Generator) -> _Cuts:
        count, segment, how = len(rows), self._segment, self._how
        starts = rows.astype(np.int64) * segment
        if not self._training:
            none = np.empty(0)
            return _Cuts(starts, np.ones(count), np.zeros(count, bool), none.astype(np.int64), none)
        scales = 1 + rng.uniform(-how.max_time_stretch, how.max_time_stretch, count)
        scales[rng.random(count) >= how.time_stretch_probability] = 1.0
        fast = self._chosen(how.fast_probability, count, rng)
        scales[fast] = rng.uniform(*_FAST, len(fast))
        scales = np.where(self._followed[rows], scales, np.minimum(scales, 1.0))
        # Within a row and the one that continues it.
        room = np.where(self._followed[rows], 2 * segment, segment) - scales * (segment - 1) - 1
        # Whole samples, so that interpolation does not smooth segments that are not stretched.
        offsets = np.floor(rng.random(count) * np.maximum(room, 0)).astype(np.int64)
        mixed = (rng.random(count) < how.lead_mix_probability) & (self._other_lead[rows] >= 0)
        angles = rng.uniform(0, 2 * np.pi, np.count_nonzero(mixed))
        return _Cuts(starts + offsets, scales, mixed, (self._other_lead[rows] * segment + offsets)[mixed], angles)

    def _signals(self, cuts: _Cuts, *arrays: np.ndarray) -> list[np.ndarray]:
        """Return the segments of each array of the cache, float32 of shape ``(segments, samples)``."""
        at, mixed = Excerpts(cuts.starts, cuts.scales, samples=self._segment), cuts.mixed
        signals = [np.asarray(array).reshape(-1) for array in arrays]
        made = [at.of(signal) for signal in signals]
        if len(cuts.others):
            own, other = (turn(cuts.angles).astype(np.float32)[:, np.newaxis] for turn in (np.cos, np.sin))
            at = Excerpts(cuts.others, cuts.scales[mixed], samples=self._segment)
            for segments, signal in zip(made, signals, strict=True):
                segments[mixed] = own * segments[mixed] + other * at.of(signal)
        return made

    def _marks(self, cuts: _Cuts) -> np.ndarray:
        """Return the marks of R peaks, each at the sample that is nearest after stretching."""
        # As booleans, of which NumPy skips eight zeros at a time.
        every = np.asarray(self._cache.r_peaks).reshape(-1).view(bool)
        longest = min(len(every), math.ceil(self._segment * cuts.scales.max()))
        first = np.minimum(cuts.starts, len(every) - longest)
        around = np.lib.stride_tricks.sliding_window_view(every, longest)[first]
        numbers, places = np.divmod(np.flatnonzero(around), longest)
        places -= (cuts.starts - first)[numbers]
        moved = np.rint(places / cuts.scales[numbers]).astype(np.int64)
        inside = (places >= 0) & (moved < self._segment)
        marks = np.zeros((len(cuts.starts), self._segment), np.uint8)
        marks[numbers[inside], moved[inside]] = 1
        return marks

    def _signs(self, count: int, rng: np.random.Generator) -> np.ndarray:
        inverted = (rng.random((count, 1)) < self._how.inversion_probability) & self._training
        return np.where(inverted, np.float32(-1), np.float32(1))

    def _add_pauses(self, clean: np.ndarray, marks: np.ndarray, rng: np.random.Generator) -> None:
        """Insert pauses into some of the segments, in place."""
        for row in np.flatnonzero(rng.random(len(clean)) < self._how.pause_probability).tolist():
            seconds, p_waves = rng.uniform(*self._how.pause_range_s), rng.random() < self._how.p_wave_probability
            clean[row], marks[row] = add_pause(
                clean[row], marks[row], fs=self._cache.fs, seconds=seconds, p_waves=p_waves, rng=rng
            )

    def _noise_for(self, wander_removed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw noise in mV for segments without baseline wander."""
        how, (count, segment) = self._how, wander_removed.shape
        power = self._power(wander_removed)
        noise = rng.standard_normal((count, segment), dtype=np.float32)
        noise *= self._white_noise_sigma(power, rng)
        noisy = np.flatnonzero(rng.random(count) < how.noise_probability)
        if how.mixed_noise:
            if len(noisy):
                noise[noisy] += self._scaled(self._mixture(len(noisy), rng), power[noisy], rng)
            self._hum(noise, rng)
            return noise
        types = rng.integers(0, len(RECORDED_NOISE_TYPES), len(noisy))
        for number, noise_type in enumerate(RECORDED_NOISE_TYPES):
            chosen = noisy[types == number]
            if not len(chosen):
                continue
            unit = self._noise.draw(
                noise_type,
                count=len(chosen),
                samples=segment,
                rng=rng,
                transform=how.transform_noise and self._training,
            )
            noise[chosen] += self._scaled(unit, power[chosen], rng)
        self._hum(noise, rng)
        return noise

    @staticmethod
    def _power(wander_removed: np.ndarray) -> np.ndarray:
        """Return the power in mV² that noise is scaled with, shape ``(segments, 1)``."""
        return np.asarray(np.maximum(wander_removed.var(axis=1, keepdims=True), _LEAST_POWER))

    def _white_noise_sigma(self, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the standard deviation of white noise in mV for segments of this power, shape ``(segments, 1)``."""
        how, sigma = self._how, self._cache.settings.noise_sigma_mv
        if how.max_relative_white_noise is None:
            drawn = rng.uniform(*(how.gaussian_sigma_range_mv or (sigma, sigma)), power.shape)
        else:
            drawn = rng.uniform(0, how.max_relative_white_noise, power.shape) * np.sqrt(power)
        if how.white_noise_probability < 1:
            drawn *= rng.random(power.shape) < how.white_noise_probability
        return drawn.astype(np.float32)

    def _mixture(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw mixtures of all recorded noise types with random weights, of power 1."""
        shares = rng.dirichlet(np.ones(len(NOISE_RECORDS)), count)
        mixture = np.zeros((count, self._segment), np.float32)
        transform = self._how.transform_noise and self._training
        for share, name in zip(shares.T, NOISE_RECORDS, strict=True):
            drawn = self._noise.draw(name, count=count, samples=self._segment, rng=rng, transform=transform)
            mixture += np.sqrt(share).astype(np.float32)[:, np.newaxis] * drawn
        return unit_power(mixture)

    def _scaled(self, unit: np.ndarray, power: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Scale noise of power 1 to a random SNR against segments of this power, in place; some fade in and out."""
        ratio = 10 ** (rng.uniform(*self._how.snr_range_db, (len(unit), 1)) / 10)
        np.multiply(unit, np.sqrt(power / ratio), out=unit, casting="same_kind")
        self._cover(unit, rng)
        return unit

    def _cover(self, noise: np.ndarray, rng: np.random.Generator) -> None:
        """Fade some of the noise in and out, in place, so that it covers only a part of its segment."""
        at, count = np.arange(self._segment), len(noise)
        length = rng.uniform(_SHORTEST, 1.0, (count, 1)) * self._segment
        start = rng.uniform(-0.5, 1.0, (count, 1)) * (self._segment - length)
        partly = np.flatnonzero(rng.random(count) < self._how.partial_noise_probability)
        length, start = length[partly], start[partly]
        inside = np.minimum(at - start, start + length - at) / _RAMP
        noise[partly] *= np.clip(inside, 0.0, 1.0).astype(np.float32)

    def _hum(self, noise: np.ndarray, rng: np.random.Generator) -> None:
        """Add mains hum to some segments of noise, in place."""
        count = len(noise)
        frequency = rng.choice(MAINS_HZ, (count, 1)) + rng.normal(0, 0.1, (count, 1))
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        height = np.where(
            rng.random((count, 1)) < self._how.hum_probability,
            rng.uniform(0, self._how.max_hum_amplitude_mv, (count, 1)),
            0,
        )
        humming = np.flatnonzero(height)
        turns = 2 * np.pi * frequency[humming] / self._cache.fs * np.arange(self._segment)
        noise[humming] += (height[humming] * np.sin(turns + phase[humming])).astype(np.float32)


def _coloured_noise(scale: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw noise of up to the standard deviations in ``scale``; a segment without an ECG is not silent.

    The power falls with the frequency to the power of 0, white noise, to 2.5, which looks like baseline wander.
    """
    spectrum = np.fft.rfft(rng.standard_normal((len(scale), samples)), axis=1)
    exponent = rng.uniform(0, _STEEPEST / 2, (len(scale), 1))
    spectrum *= np.arange(spectrum.shape[1]).clip(1) ** -exponent
    noise = np.fft.irfft(spectrum, n=samples, axis=1)
    noise /= np.std(noise, axis=1, keepdims=True) + np.finfo(np.float64).tiny
    return np.asarray(noise * (rng.uniform(0.02, 1.0, len(scale)) * scale)[:, np.newaxis], np.float32)
