"""Finished trials as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from ecg_study.training.specs import Trial


def trials_csv(finished: Sequence[Trial]) -> str:
    """Format trials as CSV text, one row per trial."""
    names = sorted({name for trial in finished for name in trial.spec.hyperparameters})
    head = ["id", "parent", "iteration", "bracket", "rung", "initial_epoch", "epochs", *names]
    head += ["score", "best_epoch", "seconds", "ended", "parameters", "attempts", "status", "reason"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for trial in finished:
        plan, outcome = trial.spec, trial.result
        row: list[Any] = [plan.id, plan.parent, plan.iteration, plan.bracket, plan.rung, plan.initial_epoch]
        row += [plan.epochs, *(plan.hyperparameters.get(name) for name in names)]
        row += [outcome.score, outcome.best_epoch, outcome.seconds, trial.ended, outcome.parameters]
        row += [outcome.attempts, outcome.status, outcome.reason]
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue()
