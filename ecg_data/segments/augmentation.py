"""Augmentation: training segments that are cut, made noisy and inverted differently in each epoch.

The noise is recorded (see `ecg_data.noise_records`), and no test uses it. The amplitude is not varied, because models
that are trained with augmentation scale each segment themselves.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ecg_study.ecg_data.databases.splits import TRAIN, VALIDATION
from ecg_study.ecg_data.noise import RECORDED_NOISE_TYPES, scale_to_power
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.ecg_data.segments.pauses import add_pause

_LEAST_POWER = 0.05**2
"""Smallest signal power in mV² for scaling noise, so that a lead with tiny waves gets noise too."""

_RAMP = 36
"""Samples, 0.1 s at 360 Hz, over which noise in a part of a segment fades in and out."""

_SHORTEST = 0.2  # smallest share of a segment that such noise covers
_HUM = (50.0, 60.0)  # Hz: mains in Europe and in America


@dataclass(frozen=True)
class Augmentation:
    """Settings of augmentation.

    Every range is drawn from uniformly. Probabilities are shares of segments from 0 to 1, unless a sentence says more.

    Attributes:
        removes_baseline_wander: denoiser only: baseline wander counts as noise and is not part of the target.
        noise_probability: share of segments with recorded noise.
        snr_range_db: lowest and highest SNR of recorded noise in dB, relative to the signal without its wander.
        transform_noise: whether training noise is also inverted, reversed, stretched in time and mixed from both
            channels.
        partial_noise_probability: share of the noisy segments in which noise covers only a part of the segment.
        gaussian_sigma_range_mv: lowest and highest standard deviation of white noise in mV; ``None`` takes that of the
            study.
        hum_probability: share of segments with mains hum.
        max_hum_amplitude_mv: highest amplitude of mains hum in mV.
        recorded_wander_probability: share of inputs that keep their recorded wander; only for a denoiser that removes
            baseline wander.
        time_stretch_probability: share of segments that are stretched or compressed in time.
        max_time_stretch: largest relative change of duration.
        inversion_probability: share of segments that are inverted.
        lead_mix_probability: share of segments replaced by a mix of two leads of the record. The weights are cosine and
            sine of a random angle, as for an electrode position between the two leads.
        pause_probability: detector only: share of segments with an inserted pause (see `segments.pauses`).
        pause_range_s: shortest and longest pause in seconds.
        p_wave_probability: share of the pauses in which P waves continue.
    """

    removes_baseline_wander: bool = False
    noise_probability: float = 0.85
    snr_range_db: tuple[float, float] = (-8.0, 15.0)
    transform_noise: bool = True
    partial_noise_probability: float = 0.25
    gaussian_sigma_range_mv: tuple[float, float] | None = (0.0, 0.06)
    hum_probability: float = 0.1
    max_hum_amplitude_mv: float = 0.15
    recorded_wander_probability: float = 0.3
    time_stretch_probability: float = 0.5
    max_time_stretch: float = 0.1
    inversion_probability: float = 0.5
    lead_mix_probability: float = 0.0
    pause_probability: float = 0.0
    pause_range_s: tuple[float, float] = (0.8, 6.0)
    p_wave_probability: float = 0.5

    def as_mapping(self) -> dict[str, Any]:
        """Return the settings as JSON, under the keys of search states, model cards and reports."""
        return {_STORED_KEYS[name]: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


_STORED_KEYS = {
    "removes_baseline_wander": "removes_drift",
    "noise_probability": "noisy",
    "snr_range_db": "snr",
    "transform_noise": "varied",
    "partial_noise_probability": "partly",
    "gaussian_sigma_range_mv": "gaussian",
    "hum_probability": "hum",
    "max_hum_amplitude_mv": "hum_amplitude",
    "recorded_wander_probability": "recorded_drift",
    "time_stretch_probability": "stretched",
    "max_time_stretch": "stretch",
    "inversion_probability": "flipped",
    "lead_mix_probability": "mixed",
    "pause_probability": "paused",
    "pause_range_s": "pause",
    "p_wave_probability": "blocked",
}


@dataclass(frozen=True)
class _Cuts:
    """Positions of segments: sample ``n`` is sample ``offset + scale * n`` of a row and the one after it.

    Attributes:
        rows: rows in the cache.
        offsets: offsets in whole samples.
        scales: time scales, about 1.
        mixed: indices, among the rows, of the segments that are mixed with another lead.
        others: rows of the other lead for these.
        angles: mixing angles for these, shape ``(mixed, 1)``.
    """

    rows: np.ndarray
    offsets: np.ndarray
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
        cuts = self._cut(rows, rng)
        wander_removed, clean = self._signal(self._wander_removed, cuts), self._signal(self._cache.clean, cuts)
        noise, signs = self._noise_for(wander_removed, rng), self._signs(len(rows), rng)
        if not self._how.removes_baseline_wander:
            return signs * (clean + noise), signs * clean
        keeps_wander = rng.random((len(rows), 1)) < self._how.recorded_wander_probability
        return signs * (np.where(keeps_wander, clean, wander_removed) + noise), signs * wander_removed

    def detector(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return noisy segments in mV, float32, and marks of R peaks, uint8; both of shape ``(rows, samples)``."""
        cuts = self._cut(rows, rng)
        clean, marks = self._signal(self._cache.clean, cuts), self._marks(cuts)
        # Noise is scaled by the segment with beats, and continues unchanged in a pause.
        noise = self._noise_for(self._signal(self._wander_removed, cuts), rng)
        if self._training and self._how.pause_probability:
            self._add_pauses(clean, marks, rng)
        return self._signs(len(rows), rng) * (clean + noise), marks

    @property
    def _wander_removed(self) -> np.ndarray:
        assert self._cache.wander_removed is not None
        return self._cache.wander_removed

    @property
    def _segment(self) -> int:
        return self._cache.settings.segment_samples

    def _cut(self, rows: np.ndarray, rng: np.random.Generator) -> _Cuts:
        count, segment = len(rows), self._segment
        if not self._training:
            none = np.empty(0, np.int64)
            return _Cuts(rows, np.zeros(count), np.ones(count), none, none, np.empty((0, 1)))
        scales = 1 + rng.uniform(-self._how.max_time_stretch, self._how.max_time_stretch, count)
        scales[rng.random(count) >= self._how.time_stretch_probability] = 1.0
        scales = np.where(self._followed[rows], scales, np.minimum(scales, 1.0))
        room = np.where(self._followed[rows], 2 * segment, segment) - scales * (segment - 1) - 1
        # Whole samples, so that interpolation does not smooth segments that are not stretched.
        offsets = np.floor(rng.random(count) * np.maximum(room, 0))
        mixed = np.flatnonzero((rng.random(count) < self._how.lead_mix_probability) & (self._other_lead[rows] >= 0))
        angles = rng.uniform(0, 2 * np.pi, (len(mixed), 1))
        return _Cuts(rows, offsets, scales, mixed, self._other_lead[rows[mixed]], angles)

    def _span(self, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return each row with the next, shape ``(rows, 2 * samples)``; unread zeros if no row continues it."""
        after = np.zeros((len(rows), self._segment), values.dtype)
        followed = self._followed[rows]
        after[followed] = values[rows[followed] + 1]
        return np.concatenate([values[rows], after], axis=1)

    def _signal(self, values: np.ndarray, cuts: _Cuts) -> np.ndarray:
        if not self._training:
            return np.asarray(values[cuts.rows], np.float32)
        span = self._span(values, cuts.rows)
        others = self._span(values, cuts.others)
        span[cuts.mixed] = np.cos(cuts.angles) * span[cuts.mixed] + np.sin(cuts.angles) * others
        at = cuts.offsets[:, np.newaxis] + cuts.scales[:, np.newaxis] * np.arange(self._segment)
        below = np.minimum(at.astype(np.int64), span.shape[1] - 2)
        share = (at - below).astype(np.float32)
        low, high = np.take_along_axis(span, below, axis=1), np.take_along_axis(span, below + 1, axis=1)
        return np.asarray(low + share * (high - low), np.float32)

    def _marks(self, cuts: _Cuts) -> np.ndarray:
        if not self._training:
            return np.asarray(self._cache.r_peaks[cuts.rows])
        rows, places = np.nonzero(self._span(self._cache.r_peaks, cuts.rows))
        moved = np.round((places - cuts.offsets[rows]) / cuts.scales[rows]).astype(np.int64)
        inside = (moved >= 0) & (moved < self._segment)
        marks = np.zeros((len(cuts.rows), self._segment), np.uint8)
        marks[rows[inside], moved[inside]] = 1
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
        noise = rng.standard_normal((count, segment), dtype=np.float32)
        sigma = self._cache.settings.noise_sigma_mv
        noise *= rng.uniform(*(how.gaussian_sigma_range_mv or (sigma, sigma)), (count, 1)).astype(np.float32)
        noisy = np.flatnonzero(rng.random(count) < how.noise_probability)
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
            power = np.maximum(wander_removed[chosen].var(axis=1, keepdims=True), _LEAST_POWER)
            ratio = 10 ** (rng.uniform(*how.snr_range_db, (len(chosen), 1)) / 10)
            noise[chosen] += scale_to_power(unit, power / ratio) * self._cover(len(chosen), rng)
        noise += self._hum(count, rng)
        return noise

    def _cover(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw envelopes of noise from 0 to 1; most are 1 everywhere."""
        at = np.arange(self._segment)
        length = rng.uniform(_SHORTEST, 1.0, (count, 1)) * self._segment
        start = rng.uniform(-0.5, 1.0, (count, 1)) * (self._segment - length)
        inside = np.minimum(at - start, start + length - at) / _RAMP
        everywhere = rng.random((count, 1)) >= self._how.partial_noise_probability
        return np.asarray(np.where(everywhere, 1.0, np.clip(inside, 0.0, 1.0)), np.float32)

    def _hum(self, count: int, rng: np.random.Generator) -> np.ndarray:
        frequency = rng.choice(_HUM, (count, 1)) + rng.normal(0, 0.1, (count, 1))
        phase = rng.uniform(0, 2 * np.pi, (count, 1))
        height = np.where(
            rng.random((count, 1)) < self._how.hum_probability,
            rng.uniform(0, self._how.max_hum_amplitude_mv, (count, 1)),
            0,
        )
        humming = np.flatnonzero(height)
        hum = np.zeros((count, self._segment), np.float32)
        turns = 2 * np.pi * frequency[humming] / self._cache.fs * np.arange(self._segment)
        hum[humming] = height[humming] * np.sin(turns + phase[humming])
        return hum
