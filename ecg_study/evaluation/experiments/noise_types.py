"""Denoiser and filters under each noise type, at several signal-to-noise ratios."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.databases.splits import TEST, Part
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import GAUSSIAN, NOISE_TYPES, NoiseType, add_at_snr, unit_gaussian_noise
from ecg_study.ecg_data.noise_records import NoiseRecords
from ecg_study.ecg_data.segments.cutting import segment_starts
from ecg_study.errors import InputError
from ecg_study.evaluation.baselines.filters import BASELINE_WANDER_FILTERS, LOWPASS, WAVELET, lowpass, wavelet
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import EvaluationLead, by_record, subjects_by_record
from ecg_study.evaluation.metrics import DENOISING_METRICS, denoising_table, mean_denoising
from ecg_study.evaluation.results.denoising import NoiseCell
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.evaluation.threads import map_in_threads
from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache, content_key

LEVELS = (-6, 0, 6, 12)
"""SNR of the input in dB."""

_EVERY = 4
"""Every fourth segment is measured: neighboring segments add little, and there are twenty cases of each."""

NOISE_FORMAT = 2
"""Version of the cached tables: raised when a metric of the same model and leads would change."""


@dataclass(frozen=True)
class NoiseCase:
    """One noise type at one level.

    Attributes:
        noise: the noise records; ``None`` is enough for Gaussian noise.
        part: part of the study whose noise is drawn.
        noise_type: the type.
        snr: SNR of each segment in dB.
        seed: seed of the noise.
    """

    noise: NoiseRecords | None
    part: Part
    noise_type: NoiseType
    snr: int
    seed: int


def measure_noise_types(
    model: CachedModel,
    leads: Sequence[EvaluationLead],
    *,
    noise: NoiseRecords,
    seed: int,
    store: ResultCache,
    progress: Progress,
) -> list[NoiseCell]:
    """Measure every noise type, level and method on every fourth segment of the test leads.

    Args:
        model: the denoiser.
        leads: leads of the test records, at the sampling rate of the noise.
        noise: the noise records.
        seed: seed of the noise and of the bootstrap.
        store: result cache for the tables.
        progress: callback for the cases that are done.
    """
    cases = [(noise_type, snr) for noise_type in NOISE_TYPES for snr in LEVELS]
    subjects = subjects_by_record(leads)
    cells = []
    for done, (noise_type, snr) in enumerate(cases):
        progress("Noise types", done, len(cases))
        case = NoiseCase(noise, TEST, noise_type, snr, seed)
        for method, table in _tables(model, leads, case, store).items():
            records = by_record(leads, table, mean=True)
            improvements = dict(
                zip(subjects, records[:, DENOISING_METRICS.index("snr_improvement")].tolist(), strict=True)
            )
            metrics = mean_denoising(records, seed=seed, subjects=subjects.values())
            cells.append(NoiseCell(noise_type, snr, method, metrics, improvements))
    progress("Noise types", len(cases), len(cases))
    return cells


def _tables(
    model: CachedModel, leads: Sequence[EvaluationLead], case: NoiseCase, store: ResultCache
) -> dict[str, np.ndarray]:
    """Return method → metrics, shape ``(leads, metrics)``, each the mean over segments."""
    what = {
        "format": NOISE_FORMAT,
        "model": model.identity,
        "kind": case.noise_type,
        "snr": case.snr,
        "seed": case.seed,
        "noise": {} if case.noise is None else case.noise.checksums,
        "leads": [lead.name for lead in leads],
    }
    key = content_key(what, *(lead.clean for lead in leads))
    kept = store.get(key)
    if kept is None:
        rows = list(map_in_threads(lambda lead: _measure(model, lead, case), leads))
        kept = {method: np.array([row[method] for row in rows]) for method in rows[0]}
        store.put(key, kept)
    return kept


def noisy_segments(lead: EvaluationLead, case: NoiseCase, *, segment: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every fourth segment of a lead without baseline wander, and the same with noise.

    Args:
        lead: the whole lead.
        case: noise type and level.
        segment: samples per segment.

    Returns:
        Clean and noisy segments in mV, float32, each of shape ``(segments, segment)``.
    """
    starts = segment_starts(len(lead.clean), segment, excluded_intervals=lead.excluded_intervals)[::_EVERY]
    clean = np.lib.stride_tricks.sliding_window_view(remove_baseline_wander(lead.clean, lead.fs), segment)[starts]
    clean = clean.astype(np.float32)
    seed = [case.seed, zlib.crc32(lead.name.encode()), zlib.crc32(case.noise_type.encode())]
    if case.noise_type == GAUSSIAN:
        unit = unit_gaussian_noise(clean.shape, np.random.default_rng(seed))
    elif case.noise is None:
        raise InputError(f"{case.noise_type}: recorded noise needs the noise records")
    else:
        unit = case.noise.draw(case.noise_type, case.part, count=len(clean), samples=segment, seed=seed)
    return clean, add_at_snr(clean, unit, snr_db=case.snr)


def _measure(model: CachedModel, lead: EvaluationLead, case: NoiseCase) -> dict[str, np.ndarray]:
    clean, noisy = noisy_segments(lead, case, segment=model.card.segment_samples)
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {NO_FILTER: lambda signal: signal}
    if case.noise_type == GAUSSIAN:  # it does not move the baseline
        methods |= {LOWPASS: lambda signal: lowpass(signal, lead.fs), WAVELET: wavelet}
    for item in BASELINE_WANDER_FILTERS:
        methods[item.name] = lambda signal, apply=item.apply: apply(signal, lead.fs)  # type: ignore[misc]
    methods[LSTM] = model.denoise_segments
    metrics = {}
    for method, apply in methods.items():
        table = denoising_table(clean, apply(noisy), noisy=noisy, fs=lead.fs)
        metrics[method] = np.array([np.nanmean(table[name]) for name in DENOISING_METRICS])
    return metrics
