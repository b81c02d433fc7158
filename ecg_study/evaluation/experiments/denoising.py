"""The denoiser on test records, beside the classical filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ecg_study.evaluation.baselines.filters import DRIFT_FILTERS, DRIFT_WAVELET, FILTERS, WAVELET
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import EvaluationLead, by_record
from ecg_study.evaluation.metrics import bootstrap_means, denoising
from ecg_study.evaluation.morphology import FALSE_ST, Waves, moved_waves
from ecg_study.evaluation.results.denoising import (
    DenoiserSection,
    DenoisingSummary,
    Morphology,
    NoiseCell,
    RecordDenoising,
    Spectrum,
    Trace,
)
from ecg_study.evaluation.results.values import LSTM, NO_FILTER, Denoising, Estimate, SeedMetrics
from ecg_study.progress import Progress

MEASURES = tuple(item.name for item in fields(Denoising))

STRETCH = 4.0
"""Seconds of a trace: a few beats, each wide enough to be read."""

_MORPHOLOGY_METHODS = (NO_FILTER, WAVELET, DRIFT_WAVELET, LSTM)
_SPECTRUM = 1024  # samples a piece of the spectra: a third of a hertz at 360 Hz


@dataclass(frozen=True)
class DenoisedLead:
    """What was measured on one lead.

    Attributes:
        lead: the lead.
        reference: what it is to become, mV, shape ``(samples,)``.
        denoised: by our denoiser, mV, shape ``(samples,)``.
        metrics: every method.
        spectra: name → power spectral density in mV²/Hz.
        waves: method → output minus clean signal, beat by beat; ``"clean"`` → the clean signal's own.
    """

    lead: EvaluationLead
    reference: np.ndarray
    denoised: np.ndarray
    metrics: list[RecordDenoising]
    spectra: dict[str, np.ndarray]
    waves: dict[str, Waves]


def denoiser_section(
    models: Sequence[CachedModel],
    leads: Sequence[EvaluationLead],
    noise: Sequence[NoiseCell],
    noise_note: str,
    seed: int,
    progress: Progress,
) -> DenoiserSection:
    """Measure the denoiser on test records.

    Args:
        models: the denoiser of each seed; the first is the one handed over.
        leads: of the test records.
        noise: what was measured under real noise, see `ecg_study.evaluation.experiments.noise_types`.
        noise_note: how, or why not.
        seed: of the bootstrap.
        progress: told the leads done.
    """
    measured = []
    for done, lead in enumerate(leads):
        progress("Denoiser, test leads", done, len(leads))
        measured.append(measure_lead(lead, models[0]))
    progress("Denoiser, test leads", len(leads), len(leads))
    return DenoiserSection(
        summaries=_summaries(measured, seed),
        by_record=[item for lead in measured for item in lead.metrics],
        noise=list(noise),
        noise_note=noise_note,
        frequencies=_frequencies(leads[0].fs, len(next(iter(measured[0].spectra.values())))),
        spectra=_spectra(measured),
        morphology=_morphology(measured),
        traces=_traces(measured),
        seeds=_seeds(models, leads, measured),
        removes_baseline_wander=models[0].removes_baseline_wander,
    )


def measure_lead(lead: EvaluationLead, model: CachedModel) -> DenoisedLead:
    """Compare our denoiser's output and that of each filter for the same purpose with what the lead is to become."""
    from scipy.signal import welch

    reference, denoised = model.reference(lead.clean), model.denoise(lead.noisy)
    filters = DRIFT_FILTERS if model.removes_baseline_wander else FILTERS
    cleaned = {NO_FILTER: lead.noisy, **{item.name: item.apply(lead.noisy, lead.fs) for item in filters}}
    cleaned[LSTM] = denoised
    figures = [
        RecordDenoising(lead.record, lead.lead, method, denoising(reference, lead.noisy, output, lead.fs))
        for method, output in cleaned.items()
    ]
    signals: dict[str, np.ndarray] = {"clean signal": reference, "noise added": lead.noisy - lead.clean}
    signals |= {
        f"removed by {method}": lead.noisy - output for method, output in cleaned.items() if method != NO_FILTER
    }
    piece = min(_SPECTRUM, len(lead.clean))
    spectra = {name: welch(values, lead.fs, nperseg=piece)[1] for name, values in signals.items()}
    compared = {name: cleaned[name] for name in _MORPHOLOGY_METHODS if name in cleaned}
    waves = moved_waves(reference, compared, lead.r_peaks, lead.fs, lead.excluded_intervals)
    return DenoisedLead(lead, reference, denoised, figures, spectra, waves)


def _methods(measured: Sequence[DenoisedLead]) -> list[str]:
    return [item.method for item in measured[0].metrics]


def _figures(measured: Sequence[DenoisedLead], method: str) -> np.ndarray:
    """All measures of one method, shape ``(leads, measures)``; NaN for one that is not defined."""
    rows = [item.metrics for lead in measured for item in lead.metrics if item.method == method]
    return np.array([[getattr(row, name) for name in MEASURES] for row in rows], dtype=np.float64)


def _summaries(measured: Sequence[DenoisedLead], seed: int) -> list[DenoisingSummary]:
    leads = [item.lead for item in measured]
    return [
        DenoisingSummary(method, intervals(by_record(leads, _figures(measured, method), mean=True), seed))
        for method in _methods(measured)
    ]


def intervals(table: np.ndarray, seed: int) -> dict[str, Estimate]:
    """Means over records with their intervals, of a table ``(records, measures)``; undefined measures are left out."""
    found = bootstrap_means(table, seed)
    return {name: value for name, value in zip(MEASURES, found, strict=True) if value is not None}


def _frequencies(fs: float, count: int) -> list[float]:
    return [round(float(value), 3) for value in np.linspace(0, fs / 2, count)]


def _spectra(measured: Sequence[DenoisedLead]) -> list[Spectrum]:
    spectra = []
    for name in measured[0].spectra:
        decibels = 10 * np.log10(np.maximum([lead.spectra[name] for lead in measured], 1e-12))
        spectra.append(Spectrum(name, [round(float(value), 2) for value in np.median(decibels, axis=0)]))
    return spectra


def _morphology(measured: Sequence[DenoisedLead]) -> list[Morphology]:
    found = []
    for method in _MORPHOLOGY_METHODS:
        waves = [lead.waves[method] for lead in measured if method in lead.waves]
        if not waves:
            continue
        amplitude = np.concatenate([item.r_amplitude for item in waves])
        width = np.concatenate([item.qrs_width for item in waves])
        level = np.concatenate([item.st_level for item in waves])
        false_st = float(np.mean(np.abs(level) >= FALSE_ST))
        found.append(Morphology(method, len(level), _spread(amplitude), _spread(width), _spread(level), false_st))
    return found


def _spread(values: np.ndarray) -> Estimate:
    low, median, high = (float(value) for value in np.quantile(values, [0.025, 0.5, 0.975]))
    return Estimate(median, low, high)


def _traces(measured: Sequence[DenoisedLead]) -> list[Trace]:
    def rmse(item: DenoisedLead) -> float:
        return next(result.metrics.rmse for result in item.metrics if result.method == LSTM)

    ranked = sorted(measured, key=rmse)
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    traces = []
    for rank, item in chosen.items():
        lead = item.lead
        part = stretch(len(lead.clean) // 2, STRETCH, lead.fs, len(lead.clean))
        noisy, clean, denoised = (
            round_to_microvolts(signal[part]) for signal in (lead.noisy, item.reference, item.denoised)
        )
        start = part.start / lead.fs
        traces.append(Trace(rank, lead.record, lead.lead, start, noisy, clean, denoised, rmse(item)))
    return traces


def stretch(centre: int, seconds: float, fs: float, samples: int) -> slice:
    """A stretch of so many seconds around a sample, moved inwards at the ends of the signal."""
    length = min(samples, round(seconds * fs))
    start = int(np.clip(centre - length // 2, 0, samples - length))
    return slice(start, start + length)


def round_to_microvolts(signal: np.ndarray) -> list[float]:
    """A signal in mV to be written and drawn, rounded to 1 µV."""
    return [round(float(value), 3) for value in signal]


def _seeds(
    models: Sequence[CachedModel], leads: Sequence[EvaluationLead], measured: Sequence[DenoisedLead]
) -> list[SeedMetrics]:
    tables = [_figures(measured, LSTM)]
    for model in models[1:]:
        rows = [
            denoising(item.reference, item.lead.noisy, model.denoise(item.lead.noisy), item.lead.fs)
            for item in measured
        ]
        tables.append(np.array([[getattr(row, name) for name in MEASURES] for row in rows], dtype=np.float64))
    wanted = {"MAE in mV": "mae", "RMSE in mV": "rmse"}
    means = [by_record(leads, table, mean=True).mean(axis=0) for table in tables]
    return [seed_figures(name, [float(row[MEASURES.index(key)]) for row in means]) for name, key in wanted.items()]


def seed_figures(figure: str, values: list[float]) -> SeedMetrics:
    """A figure by seed, with mean and standard deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return SeedMetrics(figure, values, float(np.mean(values)), deviation)
