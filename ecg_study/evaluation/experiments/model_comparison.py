"""Each model against the best classical method, on the same records with the same noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ecg_study.evaluation.experiments.r_peaks import FEWEST_RECORDS, peak_table
from ecg_study.evaluation.leads import EvaluationLead, by_record
from ecg_study.evaluation.metrics import bootstrap, pooled_f1
from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.detection import DetectorSection
from ecg_study.evaluation.results.values import DENOISED, GRU, LSTM, NO_FILTER, NOISY, TOLERANCES_MS, Comparison


def compare(
    leads: Sequence[EvaluationLead], denoiser: DenoiserSection | None, detector: DetectorSection | None, seed: int
) -> list[Comparison]:
    """The figures of the verdict.

    The best classical method is the one that is best on these very test records: a choice in its favour. A classical
    detector may take the noisy signal or that behind our denoiser, whichever suits it better.
    """
    comparisons = []
    if denoiser is not None:
        for figure, name in (("MAE in mV", "mae"), ("RMSE in mV", "rmse")):
            comparisons.append(_compare_denoising(leads, denoiser, figure, name, seed))
    if detector is not None:
        for tolerance in (TOLERANCES_MS[0], TOLERANCES_MS[-1]):
            comparisons.append(_compare_peaks(leads, detector, tolerance, seed))
    return comparisons


def _compare_denoising(
    leads: Sequence[EvaluationLead], section: DenoiserSection, figure: str, name: str, seed: int
) -> Comparison:
    methods = dict.fromkeys(row.method for row in section.by_record if row.method != NO_FILTER)
    values = {
        method: np.array([getattr(row.figures, name) for row in section.by_record if row.method == method])
        for method in methods
    }
    best = min((method for method in methods if method != LSTM), key=lambda method: float(np.mean(values[method])))
    table = by_record(leads, np.stack([values[LSTM], values[best]], axis=1), mean=True)
    return _comparison(
        f"denoising: {figure}",
        (LSTM, best),
        table,
        lambda rows: float(rows[:, 0].mean()),
        lambda rows: float(rows[:, 1].mean()),
        -1,
        seed,
    )


def _compare_peaks(leads: Sequence[EvaluationLead], section: DetectorSection, tolerance: int, seed: int) -> Comparison:
    rows = section.peaks_by_record
    places = dict.fromkeys((row.detector, row.input) for row in rows)
    others = [place for place in places if place[0] != GRU and place[1] in (NOISY, DENOISED)]
    tables = {place: peak_table(leads, rows, place, tolerance) for place in others}
    best = max(others, key=lambda place: pooled_f1(tables[place]))
    ours = peak_table(leads, rows, (GRU, NOISY), tolerance)
    name = best[0] if best[1] == NOISY else f"{best[0]} behind our denoiser"
    return _comparison(
        f"R peaks: F1 within {tolerance} ms",
        (GRU, name),
        np.concatenate([ours, tables[best]], axis=1),
        lambda table: pooled_f1(table[:, :3]),
        lambda table: pooled_f1(table[:, 3:]),
        1,
        seed,
    )


def _comparison(
    figure: str,
    names: tuple[str, str],
    table: np.ndarray,
    ours: Callable[[np.ndarray], float],
    theirs: Callable[[np.ndarray], float],
    sign: int,
    seed: int,
) -> Comparison:
    gain = bootstrap(table, lambda rows: sign * (ours(rows) - theirs(rows)), seed)
    real = gain.low > 0 or gain.high < 0 if len(table) >= FEWEST_RECORDS else None
    values = bootstrap(table, ours, seed), bootstrap(table, theirs, seed)
    return Comparison(figure, names[0], values[0], names[1], values[1], gain, real)
