"""Comparison of two studies by their reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.errors import StateError
from ecg_study.evaluation.metrics import bootstrap, paired_difference, pooled_f1
from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.values import (
    GRU,
    LSTM,
    NOISY,
    TOLERANCES_MS,
    Comparison,
    Estimate,
    peak_f1_metric,
)
from ecg_study.formatting import describe, duration
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.reports.markdown import to_markdown
from ecg_study.reports.page import Cell, Page, Table, make_row, make_table, number, plain, signed
from ecg_study.reports.report import Report, Training
from ecg_study.reports.schema import damaged_report, read_report
from ecg_study.reports.tables import significance

_SEED = 1
"""Seed of the bootstrap."""

_DENOISING_METRICS = {"mae": "MAE in mV", "rmse": "RMSE in mV"}


@dataclass(frozen=True)
class ComparedMetric:
    """One metric of two studies.

    Attributes:
        metric: name of the metric.
        first: result of the first study.
        second: result of the second study.
        comparison: the second study against the first; ``None`` if the two were not measured on the same data.
    """

    metric: str
    first: Estimate
    second: Estimate
    comparison: Comparison | None = None


@dataclass(frozen=True)
class ComparedModel:
    """One model of two studies, and its searches.

    Attributes:
        task: denoiser or detector.
        trainings: final training of each study, from its first seed.
        trials: completed trials of each search.
        search_seconds: wall-clock time of each search.
    """

    task: str
    trainings: tuple[Training, Training]
    trials: tuple[int, int]
    search_seconds: tuple[float, float]


@dataclass(frozen=True)
class StudyComparison:
    """Two studies side by side.

    Attributes:
        names: folders or files of the studies.
        differences: differences of data and noise that make the results not comparable; empty if they are.
        same_clean_signal: whether both denoisers, if any, were measured against the same clean signal.
        metrics: results on the test records.
        models: the models that both studies have.
    """

    names: tuple[str, str]
    differences: list[str]
    same_clean_signal: bool
    metrics: list[ComparedMetric]
    models: list[ComparedModel]


def compare_studies(first: Path, second: Path) -> StudyComparison:
    """Compare the reports of two studies.

    Args:
        first: output folder of a study, or its ``report.json``.
        second: likewise.

    Raises:
        StateError: a report is missing or cannot be read, or the two have no metric in common.
    """
    paths = [path / "report.json" if path.is_dir() else path for path in (first, second)]
    reports = read_report(paths[0]), read_report(paths[1])
    try:
        return _compare(reports, first, second)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise damaged_report(paths[1], f"its values do not fit together, or not with {paths[0]}") from error


def _compare(reports: tuple[Report, Report], first: Path, second: Path) -> StudyComparison:
    differences = _differences(*reports)
    same_clean_signal = len({_clean_signal(r.denoiser) for r in reports if r.denoiser is not None}) < 2
    denoising = _denoising(reports)
    if not same_clean_signal:
        denoising = _without_comparison(denoising)
    metrics = [*denoising, *_peaks(reports), *_windows(reports)]
    if differences:
        metrics = _without_comparison(metrics)
    if not metrics:
        raise StateError(f"{second}: no metric in common with {first}; one lacks the denoiser, the other the detector")
    return StudyComparison((str(first), str(second)), differences, same_clean_signal, metrics, _models(reports))


def _clean_signal(denoiser: DenoiserSection) -> str:
    """Return what the outputs of a denoiser were compared with."""
    if not denoiser.removes_baseline_wander:
        return "recording"
    # Version 0.1.0, whose reports have no such section, had a filter of order 4.
    return "recording after the high-pass of 0.1.0" if denoiser.harm is None else denoiser.harm.reference


def _without_comparison(metrics: list[ComparedMetric]) -> list[ComparedMetric]:
    return [ComparedMetric(item.metric, item.first, item.second) for item in metrics]


def render_comparison(comparison: StudyComparison) -> str:
    """Return the comparison as Markdown."""
    if comparison.differences:
        differences = "\n".join(f"- {plain(difference)}" for difference in comparison.differences)
        notes = f"**The results of these studies are not comparable**, because they differ in:\n\n{differences}"
    else:
        notes = (
            "Both studies were tested on the same records with the same noise. Brackets give the 95 % confidence "
            "interval (bootstrap over subjects). Differences are paired by record and positive if the second study is "
            "better. A difference is significant if its interval excludes 0."
        )
    if not comparison.same_clean_signal:
        notes += (
            "\n\nThe denoising results are not comparable: the denoisers were measured against different clean "
            "signals. Only one of them removes baseline wander, or one study is of version 0.1.0, which removed it "
            "otherwise."
        )
    models = [_models_table(comparison)] if comparison.models else []
    return to_markdown(Page("Comparison of two studies", (notes, _metrics_table(comparison), *models)))


def _metrics_table(comparison: StudyComparison) -> Table:
    rows = []
    for item in comparison.metrics:
        found = item.comparison
        difference = signed(None if found is None else found.difference, 4)
        significant = Cell(None) if found is None else significance(found.significant)
        rows.append(make_row(item.metric, number(item.first, 4), number(item.second, 4), difference, significant))
    head = ("metric", *comparison.names, "difference", "significant")
    return make_table("Results on the test records", head, rows=rows)


def _models_table(comparison: StudyComparison) -> Table:
    rows = []
    for item in comparison.models:
        weights = (number(training.parameters) for training in item.trainings)
        configurations = (Cell(describe(training.hyperparameters), kind="prose") for training in item.trainings)
        searches = (
            f"{trials} trials in {duration(seconds)}"
            for trials, seconds in zip(item.trials, item.search_seconds, strict=True)
        )
        rows += [
            make_row(f"{item.task}: weights", *weights),
            make_row(f"{item.task}: configuration", *configurations),
            make_row(f"{item.task}: search", *searches),
        ]
    return make_table("Models", ("property", *comparison.names), rows=rows)


def _differences(first: Report, second: Report) -> list[str]:
    """Return the differences between the tests of two studies."""
    pairs = {
        "test records": (first.data.parts["test"].records, second.data.parts["test"].records),
        "raw files (SHA-256)": (first.data.sha256[:16], second.data.sha256[:16]),
        "marks": (_marks(first), _marks(second)),
        "lead": (first.data.lead, second.data.lead),
        "sampling rate in Hz": (first.data.fs, second.data.fs),
        "σ of the noise in mV": (first.data.noise_sigma_mv, second.data.noise_sigma_mv),
        "seed of the noise": (first.provenance.seed, second.provenance.seed),
    }
    return [f"{name}: {_text(one)} and {_text(other)}" for name, (one, other) in pairs.items() if one != other]


def _marks(report: Report) -> str:
    settings = report.provenance.settings
    moved = "as they are" if settings.get("own-marks", False) else "moved to the R peaks where a database needs it"
    return f"{settings.get('annotator', 'atr')}, {moved}"


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else f"{value}"


def _metric(
    name: str,
    tables: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], float],
    *,
    lower_is_better: bool,
) -> ComparedMetric:
    first, second = tables
    if first.shape != second.shape:  # of other records: not comparable
        return ComparedMetric(name, bootstrap(first, statistic, seed=_SEED), bootstrap(second, statistic, seed=_SEED))
    found = paired_difference(
        name,
        model=("second study", second),
        reference=("first study", first),
        statistic=statistic,
        lower_is_better=lower_is_better,
        seed=_SEED,
    )
    return ComparedMetric(name, found.reference_value, found.model_value, found)


def _denoising(reports: tuple[Report, Report]) -> list[ComparedMetric]:
    sections = [report.denoiser for report in reports if report.denoiser is not None]
    if len(sections) < 2:
        return []
    found = []
    for field, name in _DENOISING_METRICS.items():
        tables = []
        for section in sections:
            values = [(row.record, [getattr(row.metrics, field)]) for row in section.by_record if row.method == LSTM]
            tables.append(_by_record(values, np.mean))
        found.append(_metric(f"{LSTM}: {name}", tables, lambda rows: float(rows.mean()), lower_is_better=True))
    return found


def _peaks(reports: tuple[Report, Report]) -> list[ComparedMetric]:
    sections = [report.detector for report in reports if report.detector is not None]
    if len(sections) < 2:
        return []
    found = []
    for tolerance in TOLERANCES_MS:
        tables = []
        for section in sections:
            rows = [row for row in section.peaks_by_record if (row.detector, row.input) == (GRU, NOISY)]
            tables.append(_by_record([(row.record, list(row.counts[tolerance])) for row in rows], np.sum))
        found.append(_metric(f"{GRU}: {peak_f1_metric(tolerance)}", tables, pooled_f1, lower_is_better=False))
    return found


def _by_record(rows: list[tuple[str, list[float]]], join: Callable[..., np.ndarray]) -> np.ndarray:
    """Return one row per record, its leads joined by mean or sum."""
    names = dict.fromkeys(name for name, _ in rows)
    return np.array([join([values for name, values in rows if name == record], axis=0) for record in names])


def _windows(reports: tuple[Report, Report]) -> list[ComparedMetric]:
    found = [
        next(item.f1 for item in report.detector.windows if item.input == NOISY)
        for report in reports
        if report.detector is not None
    ]
    return [ComparedMetric(f"{GRU}: windows: F1", found[0], found[1])] if len(found) == 2 else []


def _models(reports: tuple[Report, Report]) -> list[ComparedModel]:
    models = []
    for task in (DENOISER, DETECTOR):
        trainings = [
            item
            for report in reports
            for item in report.trainings
            if (item.task, item.seed_index, item.role) == (task, 1, "final")
        ]
        searches = [item for report in reports for item in report.searches if item.task == task]
        if len(trainings) == len(searches) == 2:
            models.append(
                ComparedModel(
                    task,
                    (trainings[0], trainings[1]),
                    (len(searches[0].trials), len(searches[1].trials)),
                    (searches[0].wall_seconds, searches[1].wall_seconds),
                )
            )
    return models
