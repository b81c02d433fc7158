"""The denoiser and the filters under each kind of noise, at several signal-to-noise ratios."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from ecg_study.ecg_data.databases.splits import TEST, Part
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import GAUSSIAN, NOISE_TYPES, NoiseType, add_at_snr
from ecg_study.ecg_data.noise_records import NoiseRecords
from ecg_study.ecg_data.segments.cutting import segment_starts
from ecg_study.evaluation.baselines.filters import DRIFT_FILTERS, LOWPASS, WAVELET, lowpass, wavelet
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.denoising import MEASURES, intervals
from ecg_study.evaluation.leads import EvaluationLead, by_record
from ecg_study.evaluation.metrics import denoising_table
from ecg_study.evaluation.results.denoising import NoiseCell
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache, content_key

LEVELS = (-6, 0, 6, 12)
"""dB of SNR at the input."""

_EVERY = 4
"""Every so many-th segment is measured: neighbours tell little that is new, and there are twenty cases of each."""

NOISE_FORMAT = 1
"""Raised whenever a figure of the same model and leads would change."""


def measure_noise_kinds(
    model: CachedModel,
    leads: Sequence[EvaluationLead],
    noise: NoiseRecords,
    seed: int,
    store: ResultCache,
    progress: Progress,
) -> list[NoiseCell]:
    """Every kind, level and method on every fourth segment of the test leads.

    Args:
        model: the denoiser.
        leads: of the test records, at the sampling rate of the noise.
        noise: the noise records.
        seed: of the noise and of the bootstrap.
        store: where figures are kept.
        progress: told the cases done.
    """
    cases = [(kind, snr) for kind in NOISE_TYPES for snr in LEVELS]
    names = list(dict.fromkeys(lead.record for lead in leads))
    cells = []
    for done, (kind, snr) in enumerate(cases):
        progress("Kinds of noise", done, len(cases))
        tables = _tables(model, leads, noise, kind, snr, seed, store)
        for method, table in tables.items():
            records = by_record(leads, table, mean=True)
            gains = dict(zip(names, records[:, MEASURES.index("snr_improvement")].tolist(), strict=True))
            cells.append(NoiseCell(kind, snr, method, intervals(records, seed), gains))
    progress("Kinds of noise", len(cases), len(cases))
    return cells


def _tables(
    model: CachedModel,
    leads: Sequence[EvaluationLead],
    noise: NoiseRecords,
    kind: NoiseType,
    snr: int,
    seed: int,
    store: ResultCache,
) -> dict[str, np.ndarray]:
    """Method → figures, shape ``(leads, measures)``, each the mean over segments."""
    what = {
        "format": NOISE_FORMAT,
        "model": model.identity,
        "kind": kind,
        "snr": snr,
        "seed": seed,
        "noise": noise.checksums,
        "leads": [lead.name for lead in leads],
    }
    key = content_key(what, *(lead.clean for lead in leads))
    kept = store.get(key)
    if kept is None:
        rows = [_measure(model, lead, noise, kind, snr, seed) for lead in leads]
        kept = {method: np.array([row[method] for row in rows]) for method in rows[0]}
        store.put(key, kept)
    return kept


def noisy_segments(
    lead: EvaluationLead, noise: NoiseRecords, part: Part, kind: NoiseType, snr: int, seed: int, segment: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every fourth segment of a lead without its drift, and the same with noise; mV, ``(segments, segment)``.

    Args:
        lead: the whole lead.
        noise: the noise records.
        part: whose stretches of noise are taken.
        kind: noise type.
        snr: of each segment, in dB.
        seed: which noise is drawn.
        segment: samples a segment.
    """
    starts = segment_starts(len(lead.clean), segment, excluded_intervals=lead.excluded_intervals)[::_EVERY]
    clean = np.lib.stride_tricks.sliding_window_view(remove_baseline_wander(lead.clean, lead.fs), segment)[starts]
    clean = clean.astype(np.float32)
    case = [seed, zlib.crc32(lead.name.encode()), zlib.crc32(kind.encode())]
    unit = noise.draw(kind, part, count=len(clean), samples=segment, seed=case)
    return clean, add_at_snr(clean, unit, snr_db=snr)


def _measure(
    model: CachedModel, lead: EvaluationLead, noise: NoiseRecords, kind: NoiseType, snr: int, seed: int
) -> dict[str, np.ndarray]:
    clean, noisy = noisy_segments(lead, noise, TEST, kind, snr, seed, model.segment)
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {NO_FILTER: lambda signal: signal}
    if kind == GAUSSIAN:  # which moves no baseline
        methods |= {LOWPASS: lambda signal: lowpass(signal, lead.fs), WAVELET: wavelet}
    for item in DRIFT_FILTERS:
        methods[item.name] = lambda signal, apply=item.apply: apply(signal, lead.fs)  # type: ignore[misc]
    methods[LSTM] = lambda signal: model.runtime.run(np.asarray(signal, np.float32))
    figures = {}
    for method, apply in methods.items():
        table = denoising_table(clean, noisy, apply(noisy), lead.fs)
        figures[method] = np.array([np.nanmean(table[name]) for name in MEASURES])
    return figures
