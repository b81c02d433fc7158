"""Two studies side by side, by their reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.errors import EcgStudyError
from ecg_study.evaluation.metrics import bootstrap, paired_difference, pooled_f1
from ecg_study.evaluation.results.values import GRU, LSTM, NOISY, TOLERANCES_MS, Comparison
from ecg_study.reports.report import Report
from ecg_study.reports.schema import read_report
from ecg_study.reports.tables import hyperparameters, interval, plain, table


@dataclass(frozen=True)
class Row:
    """One metric of two studies.

    Attributes:
        metric: its name.
        first: metric of the first study, as text.
        second: metric of the second study, as text.
        comparison: the second study against the first; ``None`` if the two were not measured on the same data.
    """

    metric: str
    first: str
    second: str
    comparison: Comparison | None = None


@dataclass(frozen=True)
class StudyComparison:
    """Two studies side by side.

    Attributes:
        names: as they were given.
        differences: why figures cannot be held against each other; empty where they can.
        rows: figures.
    """

    names: tuple[str, str]
    differences: list[str]
    rows: list[Row]


def compare_studies(first: Path, second: Path) -> StudyComparison:
    """Compare the reports of two studies.

    Args:
        first: output folder of a study, or its ``report.json``.
        second: likewise.

    Raises:
        StudyError: a report is not there or cannot be read, or the two have no figure in common.
    """
    paths = [path / "report.json" if path.is_dir() else path for path in (first, second)]
    before, after = (read_report(path) for path in paths)
    differences = _differences(before, after)
    paired = not differences
    rows = [*_denoising(before, after, paired), *_peaks(before, after, paired), *_windows(before, after)]
    if not rows:
        raise EcgStudyError(
            f"{second}: has no figure in common with {first}; one lacks the denoiser, the other the detector"
        )
    return StudyComparison((str(first), str(second)), differences, [*rows, *_searches(before, after)])


def render_comparison(comparison: StudyComparison) -> str:
    """The comparison as markdown."""
    said = {None: "–", True: "yes", False: "no"}
    rows = [
        (
            row.metric,
            row.first,
            row.second,
            "–" if row.comparison is None else interval(row.comparison.difference),
            said[None if row.comparison is None else row.comparison.significant],
        )
        for row in comparison.rows
    ]
    first, second = (plain(name) for name in comparison.names)
    lines = [table(("figure", first, second, "gain of the second", "difference real"), rows)]
    if comparison.differences:
        differences = "\n".join(f"- {difference}" for difference in comparison.differences)
        lines.insert(0, f"**The figures of these studies cannot be held against each other:**\n\n{differences}")
    else:
        lines.append(
            "Same test records, same noise. In brackets: 95 % interval of a bootstrap over records, of the gain paired "
            "by record; positive where the second is better, real where it leaves out 0."
        )
    return "\n\n".join(lines) + "\n"


def _differences(first: Report, second: Report) -> list[str]:
    """In what the test of two studies differs."""
    pairs = {
        "test records": (first.data.parts["test"].records, second.data.parts["test"].records),
        "raw files (SHA-256)": (first.data.sha256[:16], second.data.sha256[:16]),
        "lead": (first.data.lead, second.data.lead),
        "sampling rate in Hz": (first.data.fs, second.data.fs),
        "noise in mV": (first.data.noise_sigma_mv, second.data.noise_sigma_mv),
        "seed of the noise": (first.provenance.seed, second.provenance.seed),
    }
    return [f"{name}: {_said(before)} and {_said(after)}" for name, (before, after) in pairs.items() if before != after]


def _said(value: object) -> str:
    return plain(", ".join(value) if isinstance(value, list) else f"{value}")


def _row(
    metric: str, tables: Sequence[np.ndarray], statistic: Callable[[np.ndarray], float], *, lower: bool, paired: bool
) -> Row:
    if not paired:
        first, second = (interval(bootstrap(rows, statistic, 1)) for rows in tables)
        return Row(metric, first, second)
    found = paired_difference(
        metric,
        model=("second", tables[1]),
        reference=("first", tables[0]),
        statistic=statistic,
        lower_is_better=lower,
        seed=1,
    )
    return Row(metric, interval(found.reference_value), interval(found.model_value), found)


def _denoising(first: Report, second: Report, paired: bool) -> list[Row]:
    sections = [report.denoiser for report in (first, second)]
    rows = []
    for figure, name in (("MAE in mV", "mae"), ("RMSE in mV", "rmse")):
        tables = [
            _by_record(
                [(row.record, [getattr(row.metrics, name)]) for row in section.by_record if row.method == LSTM], True
            )
            for section in sections
            if section is not None
        ]
        if len(tables) == 2:
            rows.append(
                _row(f"{LSTM}: {figure}", tables, lambda values: float(values.mean()), lower=True, paired=paired)
            )
    return rows


def _peaks(first: Report, second: Report, paired: bool) -> list[Row]:
    sections = [report.detector for report in (first, second)]
    rows = []
    for tolerance in TOLERANCES_MS:
        tables = [
            _by_record(
                [
                    (row.record, list(row.counts[tolerance]))
                    for row in section.peaks_by_record
                    if (row.detector, row.input) == (GRU, NOISY)
                ],
                False,
            )
            for section in sections
            if section is not None
        ]
        if len(tables) == 2:
            rows.append(_row(f"{GRU}: F1 within {tolerance} ms", tables, pooled_f1, lower=False, paired=paired))
    return rows


def _by_record(rows: list[tuple[str, list[float]]], mean: bool) -> np.ndarray:
    """One row a record, the mean or the sum of its leads."""
    join = np.mean if mean else np.sum
    names = dict.fromkeys(name for name, _ in rows)
    return np.array([join([values for name, values in rows if name == record], axis=0) for record in names])


def _windows(first: Report, second: Report) -> list[Row]:
    sections = [report.detector for report in (first, second)]
    found = [
        interval(next(item.f1 for item in section.windows if item.input == NOISY))
        for section in sections
        if section is not None
    ]
    return [Row(f"{GRU}: F1 of windows", found[0], found[1])] if len(found) == 2 else []


def _searches(first: Report, second: Report) -> list[Row]:
    rows = []
    for task in ("denoiser", "detector"):
        trained = [
            next((t for t in r.trainings if (t.task, t.seed_index, t.role) == (task, 1, "final")), None)
            for r in (first, second)
        ]
        searched = [next((s for s in r.searches if s.task == task), None) for r in (first, second)]
        before, after = trained
        if before is None or after is None or None in searched:
            continue
        rows.append(Row(f"{task}: weights", f"{before.parameters:,}", f"{after.parameters:,}"))
        rows.append(
            Row(
                f"{task}: configuration",
                hyperparameters(before.hyperparameters),
                hyperparameters(after.hyperparameters),
            )
        )
        trials = [f"{len(search.trials)} in {search.wall_seconds / 60:.0f} min" for search in searched if search]
        rows.append(Row(f"{task}: trials", trials[0], trials[1]))
    return rows
