"""Selection of a denoiser's threshold for small removals, on validation records."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import MIX, NoiseSource, join_windows, window_excerpts
from ecg_study.ecg_data.removals import THRESHOLDS_DB, gains_by_threshold, mean_gain, segments_in_a_minute
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.harm import HARM_LEVELS
from ecg_study.evaluation.leads import EvaluationLead, databases_of, rows_of
from ecg_study.models.card import OperatingPoint

_MOST_SEGMENTS = 160  # of each lead: a quarter of an hour


def choose_removal_threshold(
    model: CachedModel, leads: Sequence[EvaluationLead], *, noise: NoiseSource, seed: int
) -> float:
    """Return the ratio of powers below which a denoiser should remove less than its network would.

    Each lead gets the mixture of noises at each of `HARM_LEVELS`. The best threshold has the highest mean, over levels,
    of the SNR improvement above that of the high-pass alone, where a loss counts twice.

    Args:
        model: a denoiser with a high-pass before the network.
        leads: leads of the validation records.
        noise: recorded noise of the validation part, at the sampling rate of the model.
        seed: seed of the noise.
    """
    gains = np.array([_gains(model, lead, noise, seed=seed) for lead in leads])
    names = [lead.record for lead in leads]  # the name of a lead may have a slash too
    databases = databases_of(names)
    groups = [np.arange(len(names))[rows_of(names, database=name)] for name in databases or [""]]
    return float(10 ** (THRESHOLDS_DB[int(mean_gain(gains, groups).argmax())] / 10))


def _gains(model: CachedModel, lead: EvaluationLead, noise: NoiseSource, *, seed: int) -> np.ndarray:
    """Return the SNR improvement above that of the high-pass in dB, shape ``(levels, thresholds)``."""
    reference = remove_baseline_wander(lead.clean, lead.fs)
    rng = np.random.default_rng([seed, zlib.crc32(lead.name.encode())])
    count, samples = window_excerpts(len(reference), fs=lead.fs)
    drawn = noise.draw(MIX, count=count, samples=samples, rng=rng)
    added = join_windows(drawn, reference, fs=lead.fs)
    clean = _segments(reference, model.card.segment_samples)
    network = model.at(OperatingPoint({}))
    per_minute = segments_in_a_minute(model.card.segment_samples, fs=lead.fs)
    rows = []
    for snr in HARM_LEVELS:
        noisy = _segments(
            remove_baseline_wander(lead.clean + 10 ** (-snr / 20) * added, lead.fs), model.card.segment_samples
        )
        rows.append(
            gains_by_threshold(clean, noisy, denoised=network.model.runtime.run(noisy), segments_per_minute=per_minute)
        )
    return np.array(rows)


def _segments(signal: np.ndarray, length: int) -> np.ndarray:
    """Return up to `_MOST_SEGMENTS` consecutive segments of a lead, float32."""
    count = min(len(signal) // length, _MOST_SEGMENTS)
    return np.asarray(signal[: count * length].reshape(count, length), np.float32)
