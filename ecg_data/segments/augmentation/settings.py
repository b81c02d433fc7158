"""Settings of augmentation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Augmentation:
    """Settings of augmentation.

    Every range is drawn from uniformly. Probabilities are shares of segments from 0 to 1, unless a sentence says more.

    Attributes:
        removes_baseline_wander: denoiser only: the target has no baseline wander. A filter removes it before the
            network, so signal and noise are high-passed here too, and the SNR is that after the filter.
        noise_probability: share of segments with recorded noise.
        snr_range_db: lowest and highest SNR of recorded noise in dB, relative to the signal without its wander.
        transform_noise: whether training noise is also inverted, reversed, stretched in time and mixed from both
            channels.
        partial_noise_probability: share of the noisy segments in which noise covers only a part of the segment.
        gaussian_sigma_range_mv: lowest and highest standard deviation of white noise in mV; ``None`` takes that of the
            study.
        hum_probability: share of segments with mains hum.
        max_hum_amplitude_mv: highest amplitude of mains hum in mV.
        time_stretch_probability: share of segments that are stretched or compressed in time.
        max_time_stretch: largest relative change of duration.
        fast_probability: share of segments that are played 1.3 to 1.9 times as fast instead, as of a fast heart. Where
            a segment of the cache is not continued by the next one, there is not enough signal for it.
        inversion_probability: share of segments that are inverted.
        lead_mix_probability: share of segments replaced by a mix of two leads of the record. The weights are cosine and
            sine of a random angle, as for an electrode position between the two leads.
        pause_probability: detector only: share of segments with an inserted pause (see `pauses`).
        pause_range_s: shortest and longest pause in seconds.
        p_wave_probability: share of the pauses in which P waves continue.
        mixed_noise: whether recorded noise is a mixture of all three types with random weights; otherwise it is one of
            them, or all in equal power.
        white_noise_probability: share of segments with white noise.
        max_relative_white_noise: highest standard deviation of white noise, relative to that of the segment without
            its wander; it replaces ``gaussian_sigma_range_mv``.
        noise_only_probability: detector only: share of segments without an ECG, with coloured noise; half of them have
            recorded noise too.
        beat_change_probability: detector only: share of segments with changed beats, see `beats`.
        band_limit_probability: detector only: share of segments with the band limits of another device, see
            `band_limits`.
        artifact_probability: detector only: share of segments with an artifact, see `artifacts`.
        baseline_window_s: detector only: length in seconds of the moving average that is subtracted from each segment
            before the network, see `subtract_moving_average`; ``None`` subtracts nothing.
    """

    removes_baseline_wander: bool = False
    noise_probability: float = 0.85
    snr_range_db: tuple[float, float] = (-8.0, 15.0)
    transform_noise: bool = True
    partial_noise_probability: float = 0.25
    gaussian_sigma_range_mv: tuple[float, float] | None = (0.0, 0.06)
    hum_probability: float = 0.1
    max_hum_amplitude_mv: float = 0.15
    time_stretch_probability: float = 0.5
    max_time_stretch: float = 0.1
    inversion_probability: float = 0.5
    lead_mix_probability: float = 0.0
    pause_probability: float = 0.0
    pause_range_s: tuple[float, float] = (0.8, 6.0)
    p_wave_probability: float = 0.5
    mixed_noise: bool = False
    white_noise_probability: float = 1.0
    max_relative_white_noise: float | None = None
    noise_only_probability: float = 0.0
    beat_change_probability: float = 0.0
    band_limit_probability: float = 0.0
    artifact_probability: float = 0.0
    fast_probability: float = 0.0
    baseline_window_s: float | None = None

    def as_mapping(self) -> dict[str, Any]:
        """Return the settings as JSON, under the keys of search states, model cards and reports.

        Settings that are newer than these keys are left out if they have their defaults.
        """
        stored = {_STORED_KEYS.get(name, name): value for name, value in asdict(self).items()}
        newer = {item.name: item.default for item in fields(self) if item.name not in _STORED_KEYS}
        kept = {name: value for name, value in stored.items() if name not in newer or value != newer[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()}


_STORED_KEYS = {
    "removes_baseline_wander": "removes_drift",
    "noise_probability": "noisy",
    "snr_range_db": "snr",
    "transform_noise": "varied",
    "partial_noise_probability": "partly",
    "gaussian_sigma_range_mv": "gaussian",
    "hum_probability": "hum",
    "max_hum_amplitude_mv": "hum_amplitude",
    "time_stretch_probability": "stretched",
    "max_time_stretch": "stretch",
    "inversion_probability": "flipped",
    "lead_mix_probability": "mixed",
    "pause_probability": "paused",
    "pause_range_s": "pause",
    "p_wave_probability": "blocked",
}
