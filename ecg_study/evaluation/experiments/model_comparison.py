"""Comparison of each model with the best classical method, on the same records with the same noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ecg_study.ecg_data.noise import MIX
from ecg_study.evaluation.experiments.r_peaks import peak_table
from ecg_study.evaluation.leads import EvaluationLead, by_record, subjects_by_record
from ecg_study.evaluation.metrics import paired_difference, pooled_f1
from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.detection import DetectorSection
from ecg_study.evaluation.results.harm import HarmSection
from ecg_study.evaluation.results.values import (
    DENOISED,
    GRU,
    LSTM,
    NO_FILTER,
    NOISY,
    TOLERANCES_MS,
    Comparison,
    peak_f1_metric,
)

_LEVELS_DB = (24, 12, 0)
"""Little, some and much noise, of those at which denoising without harm is measured."""


def compare_with_classical(
    leads: Sequence[EvaluationLead],
    *,
    denoiser: DenoiserSection | None,
    detector: DetectorSection | None,
    seed: int,
) -> list[Comparison]:
    """Compare our models with the best classical methods.

    The best classical method is the one with the best result on these test records: a choice in its favor. A classical
    detector takes the noisy or the denoised signal, whichever gives the better result. A denoiser that removes baseline
    wander is compared under recorded noise first: that is what it was trained for.

    Args:
        leads: leads of the test records.
        denoiser: results of the denoiser and the filters, if any.
        detector: results of all detectors, if any.
        seed: seed of the bootstrap.
    """
    comparisons = []
    if denoiser is not None:
        comparisons += [] if denoiser.harm is None else compare_under_noise(denoiser.harm, leads, seed=seed)
        for metric, name in (("MAE in mV", "mae"), ("RMSE in mV", "rmse")):
            comparisons.append(_compare_denoising(leads, denoiser, metric, name, seed))
    if detector is not None:
        for tolerance in (TOLERANCES_MS[0], TOLERANCES_MS[-1]):
            comparisons.append(_compare_peaks(leads, detector, tolerance, seed))
    return comparisons


def compare_under_noise(harm: HarmSection, leads: Sequence[EvaluationLead], *, seed: int) -> list[Comparison]:
    """Compare our denoiser with the best classical method under the mixture of recorded noise; empty without noise.

    Args:
        harm: results of "denoising without harm".
        leads: its leads.
        seed: seed of the bootstrap.
    """
    comparisons, subjects = [], subjects_by_record(leads)
    for snr in _LEVELS_DB:
        cells = {cell.method: cell for cell in harm.noisy if (cell.noise_type, cell.snr) == (MIX, snr)}
        others = [cell for method, cell in cells.items() if method not in (NO_FILTER, LSTM)]
        if not others or LSTM not in cells:
            continue
        best = max(others, key=lambda cell: cell.improvement.value)
        records = list(best.by_record)
        ours, theirs = (np.array([[cell.by_record[record]] for record in records]) for cell in (cells[LSTM], best))
        comparison = paired_difference(
            f"denoising: SNR improvement in dB, recorded noise at {snr} dB",
            model=(LSTM, ours),
            reference=(best.method, theirs),
            statistic=lambda rows: float(rows.mean()),
            seed=seed,
            subjects=[subjects[record] for record in records],
        )
        comparisons.append(comparison)
    return comparisons


def _compare_denoising(
    leads: Sequence[EvaluationLead], section: DenoiserSection, metric: str, name: str, seed: int
) -> Comparison:
    methods = dict.fromkeys(row.method for row in section.by_record if row.method != NO_FILTER)
    values = {
        method: np.array([getattr(row.metrics, name) for row in section.by_record if row.method == method])
        for method in methods
    }
    best = min((method for method in methods if method != LSTM), key=lambda method: float(np.mean(values[method])))
    ours, theirs = (by_record(leads, values[method][:, None], mean=True) for method in (LSTM, best))
    return paired_difference(
        f"denoising: {metric}",
        model=(LSTM, ours),
        reference=(best, theirs),
        statistic=lambda rows: float(rows.mean()),
        lower_is_better=True,
        seed=seed,
        subjects=subjects_by_record(leads).values(),
    )


def _compare_peaks(leads: Sequence[EvaluationLead], section: DetectorSection, tolerance: int, seed: int) -> Comparison:
    rows = section.peaks_by_record
    places = dict.fromkeys((row.detector, row.input) for row in rows)
    others = [place for place in places if place[0] != GRU and place[1] in (NOISY, DENOISED)]
    tables = {place: peak_table(leads, rows, detector_input=place, tolerance=tolerance) for place in others}
    best = max(others, key=lambda place: pooled_f1(tables[place]))
    ours = peak_table(leads, rows, detector_input=(GRU, NOISY), tolerance=tolerance)
    name = best[0] if best[1] == NOISY else f"{best[0]} after our denoiser"
    return paired_difference(
        peak_f1_metric(tolerance),
        model=(GRU, ours),
        reference=(name, tables[best]),
        statistic=pooled_f1,
        seed=seed,
        subjects=subjects_by_record(leads).values(),
    )
