"""Tables of data, search, training and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.evaluation.results.values import Comparison, SeedMetrics
from ecg_study.formatting import describe, describe_thresholds
from ecg_study.reports.page import CI, Cell, Column, Table, make_row, make_table, number, percent, signed
from ecg_study.reports.report import DataSummary, Training

_BEST_TRIALS = 10  # rows of the table of trials


def significance(significant: bool | None) -> Cell:
    """Return the cell that states whether a difference is significant."""
    return Cell("too few subjects" if significant is None else "yes" if significant else "no")


def comparisons(items: Sequence[Comparison]) -> Table:
    """Return our models against the best classical method."""
    rows = [
        make_row(
            item.metric,
            number(item.model_value, 4),
            number(item.reference_value, 4),
            item.reference,
            signed(item.difference, 4),
            significance(item.significant),
        )
        for item in items
    ]
    head = ("metric", "our model", "reference", "reference method", "difference", "significant")
    return make_table(f"Comparison with the best classical method, {CI}", head, rows=rows)


def changes(items: Sequence[Comparison]) -> Table:
    """Return a fine-tuned model against the original one."""
    rows = [
        make_row(
            item.metric,
            number(item.reference_value, 4),
            number(item.model_value, 4),
            signed(item.difference, 4),
            significance(item.significant),
        )
        for item in items
    ]
    head = ("metric", "before", "after", "difference", "significant")
    return make_table(f"Test records before and after fine-tuning, {CI}", head, rows=rows)


def parts(data: DataSummary) -> Table:
    """Return the records of each part."""
    rows = [
        make_row(
            name,
            Cell(", ".join(part.records), kind="prose"),
            number(part.segments),
            number(part.windows),
            percent(part.windows_with_peak, 1),
        )
        for name, part in data.parts.items()
    ]
    head = ("part", "records", "segments", "windows", "windows with an R peak")
    return make_table("Training, validation and test data", head, rows=rows)


def rungs(search: SearchSummary) -> Table:
    """Return planned and completed trials of each rung."""
    rows = [
        make_row(*(number(value) for value in (r.bracket, r.rung, r.epochs, r.planned, r.completed, r.failed)))
        for r in search.rungs
    ]
    head = ("bracket", "rung", "epochs", "planned", "completed", "failed")
    return make_table(f"{search.task.capitalize()} search: trials of each rung", head, rows=rows)


def trials(search: SearchSummary) -> Table:
    """Return the best trials."""
    rows = [
        make_row(
            trial.id,
            Cell(describe(trial.hyperparameters), kind="prose"),
            number(trial.epochs),
            number(trial.parameters),
            Cell(f"{trial.score:.6g}", kind="number"),
            number(trial.seconds, 0),
            number(trial.milliseconds, 2),
        )
        for trial in search.trials[:_BEST_TRIALS]
    ]
    head = (
        "trial",
        "hyperparameters",
        "epochs",
        "weights",
        "validation score",
        Column("training", "s"),
        Column("inference", "ms per segment"),
    )
    return make_table(f"{search.task.capitalize()} search: the best trials", head, rows=rows)


def importances(search: SearchSummary) -> Table:
    """Return the importance of each hyperparameter."""
    rows = [make_row(Cell(item.hyperparameter, kind="code"), number(item.r2_drop, 3)) for item in search.importances]
    head = ("hyperparameter", "decrease of R²")
    return make_table(f"{search.task.capitalize()} search: importance of the hyperparameters, {CI}", head, rows=rows)


def trainings(items: Sequence[Training]) -> Table:
    """Return the final trainings."""
    rows = [
        make_row(
            item.task,
            Cell(str(item.seed_index) if item.role == "final" else f"{item.seed_index} (threshold selection only)"),
            Cell(describe(item.hyperparameters), kind="prose"),
            number(item.parameters),
            number(len(item.history)),
            number(item.best_epoch),
            number(item.seconds, 0),
            Cell(describe_thresholds(item.thresholds) or "none"),
        )
        for item in items
    ]
    head = (
        "model",
        "seed",
        "hyperparameters",
        "weights",
        "epochs",
        "epoch kept",
        Column("training", "s"),
        "thresholds",
    )
    return make_table("Final trainings", head, rows=rows)


def seeds(items: Sequence[SeedMetrics]) -> Table:
    """Return the results of the same configuration trained from one or several seeds."""
    if len(items[0].values) == 1:
        rows = [make_row(item.metric, number(item.values[0], 4)) for item in items]
        return make_table("The final training, from one seed", ("metric", "seed 1"), rows=rows)
    rows = [
        make_row(
            item.metric,
            *(number(value, 4) for value in item.values),
            number(item.mean, 4),
            number(item.deviation, 4),
        )
        for item in items
    ]
    numbers = (f"seed {place}" for place in range(1, len(items[0].values) + 1))
    return make_table(
        "The same configuration trained from several seeds",
        ("metric", *numbers, "mean", "standard deviation"),
        rows=rows,
    )


def versions(found: dict[str, str]) -> Table:
    """Return the version of each package."""
    return make_table("Versions", ("package", "version"), rows=[make_row(*item) for item in found.items()])
