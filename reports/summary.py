"""From what was measured on each record to what is said of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ecg_data import ATTRIBUTION, PARTS, SegmentCache, Split
from ecg_data.segments import window_labels
from reports.baselines import LOWPASS, WAVELET, XQRS
from reports.evaluation import MeasuredLead
from reports.measures import Interval, bootstrap, confusion_of, counts, pooled_f1
from reports.results import (
    DENOISED,
    GRU,
    INPUTS,
    LSTM,
    NO_FILTER,
    NOISY,
    TOLERANCES_MS,
    Comparison,
    DataSummary,
    DenoisingSummary,
    PartSummary,
    PeaksSummary,
    RungSummary,
    SearchSummary,
    TrialSummary,
    WindowsSummary,
)
from search_spaces import Preset
from tuning import SearchResult, schedule_of
from tuning.trials import COMPLETED, FAILED

METHODS = (NO_FILTER, LOWPASS, WAVELET, LSTM)
DETECTORS = (GRU, XQRS)
_LEADERS = 5

_FEWEST_RECORDS = 6
"""Below this, a difference is not called real: that five records all lie on one side of 0 happens by luck in
2 · 0.5⁵ = 6 % of cases, more than the 5 % that the intervals leave."""


def summarise_data(database: str, cache: SegmentCache, split: Split) -> DataSummary:
    """Records, segments and windows of each part."""
    settings = cache.settings
    parts = {}
    for part in PARTS:
        rows = cache.rows(split.part(part))
        labels = window_labels(cache.r_peaks[rows], settings.window)
        parts[part] = PartSummary(list(split.part(part)), len(rows), labels.size, float(labels.mean()))
    return DataSummary(
        database=database,
        attribution=ATTRIBUTION[database],
        key=cache.key,
        fs=cache.fs,
        segment=settings.segment,
        window=settings.window,
        sigma=settings.sigma,
        lead=settings.lead,
        parts=parts,
        left_out=dict(split.left_out) | cache.left_out,
        unscored_segments=sum(entry.unscored for entry in cache.entries),
    )


def summarise_search(task: str, search: SearchResult, preset: Preset) -> SearchSummary:
    """Planned and actual rungs, leaders and failures of a search."""
    ran = [(trial.plan.bracket, trial.plan.rung, trial.outcome.status) for trial in search.trials]
    planned: dict[tuple[int, int, int], int] = {}
    for rung in schedule_of(preset):
        place = (rung.bracket, rung.rung, rung.epochs)
        planned[place] = planned.get(place, 0) + rung.trials
    rungs = [
        RungSummary(
            bracket,
            rung,
            epochs,
            number,
            ran.count((bracket, rung, COMPLETED)),
            ran.count((bracket, rung, FAILED)),
        )
        for (bracket, rung, epochs), number in planned.items()
    ]
    leaders = [
        TrialSummary(
            trial.plan.id,
            trial.plan.hyperparameters,
            trial.plan.epochs,
            trial.outcome.parameters or 0,
            trial.outcome.score or 0.0,
            trial.outcome.seconds,
        )
        for trial in search.ranked()[:_LEADERS]
    ]
    failures = {
        trial.plan.id: trial.outcome.reason
        + (f" ({trial.outcome.attempts} attempts)" if trial.outcome.attempts > 1 else "")
        for trial in search.trials
        if trial.outcome.status == FAILED
    }
    seconds = sum(trial.outcome.seconds for trial in search.trials)
    return SearchSummary(
        task=task,
        objective=search.objective[0],
        direction=search.objective[1],
        rungs=rungs,
        leaderboard=leaders,
        failures=failures,
        seconds=seconds,
        wall_seconds=search.seconds,
        stopped=search.stopped,
        warm_start=search.identity["warm start"],
    )


def summarise_denoising(measured: Sequence[MeasuredLead], seed: int) -> list[DenoisingSummary]:
    """Means over records of each method."""
    summaries = []
    for method in METHODS:
        figures = [item.figures for lead in measured for item in lead.denoising if item.method == method]
        gains = [item.snr_improvement for item in figures]
        gain = None
        if all(item is not None for item in gains):
            gain = _mean(measured, np.array(gains, dtype=float), seed)
        mae = _mean(measured, np.array([item.mae for item in figures]), seed)
        summaries.append(DenoisingSummary(method, mae, _mean(measured, _rmse(measured, method), seed), gain))
    return summaries


def summarise_windows(measured: Sequence[MeasuredLead], seed: int) -> list[WindowsSummary]:
    """All windows of each kind of input."""
    summaries = []
    for kind in INPUTS:
        results = [item.confusion for lead in measured for item in lead.windows if item.input == kind]
        table = np.array(
            [(c.counts.true_positives, c.counts.false_negatives, c.counts.false_positives) for c in results]
        )
        negatives = sum(c.true_negatives for c in results)
        tp, fn, fp = (int(n) for n in table.sum(axis=0))
        interval = bootstrap(_by_record(measured, table), pooled_f1, seed)
        summaries.append(WindowsSummary(kind, confusion_of(tp, fn, fp, negatives), interval))
    return summaries


def summarise_peaks(measured: Sequence[MeasuredLead], seed: int) -> list[PeaksSummary]:
    """All beats for each detector, input and tolerance."""
    summaries = []
    for detector in DETECTORS:
        for kind in INPUTS:
            for tolerance in TOLERANCES_MS:
                table = _peak_table(measured, detector, kind, tolerance)
                by_record = _by_record(measured, table)
                tp, fn, fp = (int(n) for n in table.sum(axis=0))
                interval = bootstrap(by_record, pooled_f1, seed)
                mean = float(np.mean([pooled_f1(row[None]) for row in by_record]))
                summaries.append(PeaksSummary(detector, kind, tolerance, counts(tp, fn, fp), interval, mean))
    return summaries


def compare(measured: Sequence[MeasuredLead], seed: int) -> list[Comparison]:
    """Each model against the best classical method, on the same records with the same noise.

    The best classical method is the one that is best on these very test records: a choice in its favour.
    """
    mae = {method: _figure(measured, method, "mae") for method in METHODS}
    rmse = {method: _rmse(measured, method) for method in METHODS}
    comparisons = []
    for figure, values in (("MAE in mV", mae), ("RMSE in mV", rmse)):
        best = min((LOWPASS, WAVELET), key=lambda method: float(np.mean(values[method])))
        table = _by_record(measured, np.stack([values[LSTM], values[best]], axis=1), np.mean)
        comparisons.append(
            _comparison(f"denoising: {figure}", LSTM, best, table, _column_mean(0), _column_mean(1), -1, seed)
        )
    for tolerance in (TOLERANCES_MS[0], TOLERANCES_MS[-1]):
        best_input = max((NOISY, DENOISED), key=lambda kind: pooled_f1(_peak_table(measured, XQRS, kind, tolerance)))
        ours = _by_record(measured, _peak_table(measured, GRU, NOISY, tolerance))
        theirs = _by_record(measured, _peak_table(measured, XQRS, best_input, tolerance))
        name = XQRS if best_input == NOISY else f"{XQRS} behind our denoiser"
        comparisons.append(
            _comparison(
                f"R peaks: F1 within {tolerance} ms",
                GRU,
                name,
                np.concatenate([ours, theirs], axis=1),
                lambda table: pooled_f1(table[:, :3]),
                lambda table: pooled_f1(table[:, 3:]),
                1,
                seed,
            )
        )
    return comparisons


def _comparison(
    figure: str,
    model: str,
    baseline: str,
    table: np.ndarray,
    ours: Callable[[np.ndarray], float],
    theirs: Callable[[np.ndarray], float],
    sign: int,
    seed: int,
) -> Comparison:
    gain = bootstrap(table, lambda rows: sign * (ours(rows) - theirs(rows)), seed)
    real = gain.low > 0 or gain.high < 0 if len(table) >= _FEWEST_RECORDS else None
    return Comparison(figure, model, bootstrap(table, ours, seed), baseline, bootstrap(table, theirs, seed), gain, real)


def _column_mean(column: int) -> Callable[[np.ndarray], float]:
    return lambda table: float(table[:, column].mean())


def _figure(measured: Sequence[MeasuredLead], method: str, name: str) -> np.ndarray:
    return np.array(
        [getattr(item.figures, name) for lead in measured for item in lead.denoising if item.method == method]
    )


def _rmse(measured: Sequence[MeasuredLead], method: str) -> np.ndarray:
    return _figure(measured, method, "rmse")


def _peak_table(measured: Sequence[MeasuredLead], detector: str, kind: str, tolerance: int) -> np.ndarray:
    """Rows ``(TP, FN, FP)``, one a lead."""
    return np.array(
        [
            (item.counts.true_positives, item.counts.false_negatives, item.counts.false_positives)
            for lead in measured
            for item in lead.peaks
            if (item.detector, item.input, item.tolerance_ms) == (detector, kind, tolerance)
        ]
    )


def _by_record(
    measured: Sequence[MeasuredLead], rows: np.ndarray, join: Callable[..., np.ndarray] = np.sum
) -> np.ndarray:
    """One row a record from one row a lead: the leads of one record are no independent witnesses."""
    names = np.array([lead.lead.record for lead in measured])
    return np.stack([join(rows[names == name], axis=0) for name in dict.fromkeys(names.tolist())])


def _mean(measured: Sequence[MeasuredLead], values: np.ndarray, seed: int) -> Interval:
    return bootstrap(_by_record(measured, values[:, None], np.mean), _column_mean(0), seed)
