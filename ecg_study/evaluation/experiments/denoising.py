"""Denoiser and classical filters on test records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.databases.splits import TEST
from ecg_study.ecg_data.noise_records import NoiseRecords
from ecg_study.evaluation.baselines.filters import BASELINE_WANDER_FILTERS, FILTERS, HIGHPASS_WAVELET, WAVELET
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.harm import measure_harm
from ecg_study.evaluation.experiments.noise_types import measure_noise_types
from ecg_study.evaluation.leads import EvaluationLead, by_record, subjects_by_record
from ecg_study.evaluation.metrics import DENOISING_METRICS, denoising, mean_denoising
from ecg_study.evaluation.morphology import FALSE_ST_MV, Waves, wave_changes
from ecg_study.evaluation.results.denoising import (
    DenoiserSection,
    DenoisingSummary,
    Morphology,
    NoiseCell,
    RecordDenoising,
    Spectrum,
    Trace,
)
from ecg_study.evaluation.results.harm import HarmSection
from ecg_study.evaluation.results.values import LSTM, NO_FILTER, Estimate, SeedMetrics
from ecg_study.evaluation.threads import map_in_threads
from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache

TRACE_SECONDS = 4.0
"""Length of a trace: a few beats, each wide enough to be read."""

_MORPHOLOGY_METHODS = (NO_FILTER, WAVELET, HIGHPASS_WAVELET, LSTM)
_SPECTRUM_SAMPLES = 1024  # per segment of a spectrum: a resolution of a third of a hertz at 360 Hz


@dataclass(frozen=True)
class DenoisedLead:
    """Measurements of one lead.

    Attributes:
        lead: the lead.
        reference: ideal output in mV, shape ``(samples,)``.
        denoised: output of our denoiser in mV, shape ``(samples,)``.
        metrics: metrics of every method.
        spectra: name → power spectral density in mV²/Hz.
        waves: method → output minus reference, beat by beat.
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
    *,
    noise: NoiseRecords | None,
    noise_note: str,
    seed: int,
    store: ResultCache,
    progress: Progress,
) -> DenoiserSection:
    """Evaluate the denoiser on test records.

    Args:
        models: the denoiser of each seed; the first is the final model.
        leads: leads of the test records.
        noise: the noise records; ``None`` leaves out the metrics under recorded noise.
        noise_note: reason why there are none; empty if there are.
        seed: seed of the noise and of the bootstrap.
        store: result cache.
        progress: callback for the leads that are done.
    """
    measured = []
    progress("Denoiser, test leads", 0, len(leads))
    for done, item in enumerate(map_in_threads(lambda lead: measure_lead(lead, models[0]), leads), start=1):
        measured.append(item)
        progress("Denoiser, test leads", done, len(leads))
    cells: list[NoiseCell] = []
    if noise is not None:
        cells = measure_noise_types(models[0], leads, noise=noise, seed=seed, store=store, progress=progress)
    harm: HarmSection | None = None
    if models[0].removes_baseline_wander:
        harm = measure_harm(models[0], leads, noise=noise, part=TEST, seed=seed, store=store, progress=progress)
    return DenoiserSection(
        summaries=_summaries(measured, seed),
        by_record=[item for lead in measured for item in lead.metrics],
        noise=cells,
        noise_note=noise_note,
        frequencies=_frequencies(leads[0].fs, len(next(iter(measured[0].spectra.values())))),
        spectra=_spectra(measured),
        morphology=_morphology(measured),
        traces=_traces(measured),
        seeds=_seeds(models, leads, measured),
        removes_baseline_wander=models[0].removes_baseline_wander,
        harm=harm,
    )


def measure_lead(lead: EvaluationLead, model: CachedModel) -> DenoisedLead:
    """Compare the outputs of our denoiser and of each filter for the same purpose with the reference."""
    from scipy.signal import welch

    reference, denoised = model.reference(lead.clean), model.denoise(lead.noisy)
    filters = BASELINE_WANDER_FILTERS if model.removes_baseline_wander else FILTERS
    cleaned = {NO_FILTER: lead.noisy, **{item.name: item.apply(lead.noisy, lead.fs) for item in filters}}
    cleaned[LSTM] = denoised
    metrics = [
        RecordDenoising(lead.record, lead.lead, method, denoising(reference, output, noisy=lead.noisy, fs=lead.fs))
        for method, output in cleaned.items()
    ]
    signals: dict[str, np.ndarray] = {"clean signal": reference, "noise added": lead.noisy - lead.clean}
    signals |= {
        f"removed by {method}": lead.noisy - output for method, output in cleaned.items() if method != NO_FILTER
    }
    piece = min(_SPECTRUM_SAMPLES, len(lead.clean))
    spectra = {name: welch(values, lead.fs, nperseg=piece)[1] for name, values in signals.items()}
    compared = {name: cleaned[name] for name in _MORPHOLOGY_METHODS if name in cleaned}
    waves = wave_changes(
        reference, compared, r_peaks=lead.r_peaks, fs=lead.fs, excluded_intervals=lead.excluded_intervals
    )
    return DenoisedLead(lead, reference, denoised, metrics, spectra, waves)


def _methods(measured: Sequence[DenoisedLead]) -> list[str]:
    return [item.method for item in measured[0].metrics]


def _metrics(measured: Sequence[DenoisedLead], method: str) -> np.ndarray:
    """Return all metrics of one method, shape ``(leads, metrics)``; NaN for an undefined one."""
    rows = [item.metrics for lead in measured for item in lead.metrics if item.method == method]
    return np.array([[getattr(row, name) for name in DENOISING_METRICS] for row in rows], dtype=np.float64)


def _summaries(measured: Sequence[DenoisedLead], seed: int) -> list[DenoisingSummary]:
    leads = [item.lead for item in measured]
    return [
        DenoisingSummary(
            method,
            mean_denoising(
                by_record(leads, _metrics(measured, method), mean=True),
                seed=seed,
                subjects=subjects_by_record(leads).values(),
            ),
        )
        for method in _methods(measured)
    ]


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
        false_st = float(np.mean(np.abs(level) >= FALSE_ST_MV))
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
        part = excerpt_around(len(lead.clean) // 2, samples=len(lead.clean), seconds=TRACE_SECONDS, fs=lead.fs)
        noisy, clean, denoised = (
            round_to_microvolts(signal[part]) for signal in (lead.noisy, item.reference, item.denoised)
        )
        start = part.start / lead.fs
        traces.append(Trace(rank, lead.record, lead.lead, start, noisy, clean, denoised, rmse(item)))
    return traces


def excerpt_around(center: int, *, samples: int, seconds: float, fs: float) -> slice:
    """Return an excerpt around a sample, moved inwards at the ends of the signal.

    Args:
        center: sample index.
        samples: length of the signal.
        seconds: length of the excerpt.
        fs: sampling rate in Hz.
    """
    length = min(samples, round(seconds * fs))
    start = int(np.clip(center - length // 2, 0, samples - length))
    return slice(start, start + length)


def round_to_microvolts(signal: np.ndarray) -> list[float]:
    """Return a signal in mV, rounded to 1 µV for storage and plots."""
    return [round(float(value), 3) for value in signal]


def _seeds(
    models: Sequence[CachedModel], leads: Sequence[EvaluationLead], measured: Sequence[DenoisedLead]
) -> list[SeedMetrics]:
    tables = [_metrics(measured, LSTM)]
    for model in models[1:]:
        rows = [
            denoising(item.reference, model.denoise(item.lead.noisy), noisy=item.lead.noisy, fs=item.lead.fs)
            for item in measured
        ]
        tables.append(np.array([[getattr(row, name) for name in DENOISING_METRICS] for row in rows], dtype=np.float64))
    wanted = {"MAE in mV": "mae", "RMSE in mV": "rmse"}
    means = [by_record(leads, table, mean=True).mean(axis=0) for table in tables]
    return [
        seed_metrics(name, [float(row[DENOISING_METRICS.index(key)]) for row in means]) for name, key in wanted.items()
    ]


def seed_metrics(metric: str, values: list[float]) -> SeedMetrics:
    """Return a metric of each seed, with mean and standard deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return SeedMetrics(metric, values, float(np.mean(values)), deviation)
