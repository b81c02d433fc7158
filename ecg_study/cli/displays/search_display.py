"""Display of a search: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from ecg_study.cli.console import is_interactive
from ecg_study.formatting import describe, duration, size
from ecg_study.training.specs import FAILED, TrainingSpec, Trial
from ecg_study.tuning.plan import SearchPlan
from ecg_study.tuning.schedule import Rung


@dataclass
class _Watched:
    """State of a running search, as a display needs it."""

    plan: SearchPlan
    finished: list[Trial]
    best: float | None
    running: dict[str, TrainingSpec] = field(default_factory=dict)
    epoch: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    epochs_here: int = 0

    @property
    def failures(self) -> int:
        return sum(trial.result.status == FAILED for trial in self.finished)

    def done(self, rung: Rung) -> int:
        place = (rung.iteration, rung.bracket, rung.rung)
        return sum((t.spec.iteration, t.spec.bracket, t.spec.rung) == place for t in self.finished)

    def seconds_left(self) -> float | None:
        """Estimate the remaining time from the pace so far, or from the plan before the first epoch.

        The estimate is at most the rest of the budget.
        """
        epochs = self.plan.epochs_in_budget - sum(
            trial.spec.epochs - trial.spec.initial_epoch for trial in self.finished
        )
        started = sum(self.epoch[trial] - spec.initial_epoch for trial, spec in self.running.items())
        here = time.monotonic() - self.began
        if self.epochs_here:
            left: float | None = here / self.epochs_here * max(0, epochs - started)
        else:
            left = None if self.plan.seconds is None else self.plan.seconds * epochs / self.plan.epochs
        budget = self.plan.budget.remaining_seconds(self.plan.spent + here)
        return budget if left is None else left if budget is None else min(left, budget)

    def time_left(self) -> str:
        seconds = self.seconds_left()
        return "–" if seconds is None else duration(seconds)


class SearchDisplay:
    """A `SearchView` on a console."""

    def __init__(self, console: Console) -> None:
        """Show a live table on a terminal, and one line per trial elsewhere."""
        self.console = console
        self._live: Live | None = None
        self._search: _Watched | None = None

    @contextmanager
    def showing(self) -> Iterator[SearchDisplay]:
        """Show the live table while the block runs."""
        if not is_interactive(self.console):
            yield self
            return
        with Live(console=self.console, refresh_per_second=4, get_renderable=self._render) as live:
            self._live = live
            yield self
        self._live = None

    def search_began(self, plan: SearchPlan, *, finished: list[Trial], best: float | None) -> None:
        """Show the plan and the number of trials that are already done."""
        self._search = _Watched(plan, list(finished), best)
        for line in plan_lines(plan, len(finished)):
            self.console.print(line)

    def trial_began(self, spec: TrainingSpec) -> None:
        """Show a trial as running."""
        watched = self._watched()
        watched.running[spec.id], watched.epoch[spec.id] = spec, spec.initial_epoch

    def epoch_ended(self, trial: str, *, epoch: int, metrics: dict[str, float]) -> None:  # noqa: ARG002  # part of the protocol
        """Advance a running trial by an epoch."""
        watched = self._watched()
        watched.epoch[trial] = epoch
        watched.epochs_here += 1

    def trial_ended(self, trial: Trial, *, best: float | None) -> None:
        """Count a trial as finished."""
        watched = self._watched()
        watched.finished.append(trial)
        watched.running.pop(trial.spec.id, None)
        watched.best = best
        if self._live is None:
            self.console.print(_trial_line(trial, watched), soft_wrap=True)
        elif trial.result.status == FAILED:
            self.console.print(f"trial {trial.spec.id} failed: {trial.result.reason}")

    def notice(self, text: str) -> None:
        """Show a notice."""
        self.console.print(text, soft_wrap=True)

    def _watched(self) -> _Watched:
        assert self._search is not None, "search_began comes first"
        return self._search

    def _render(self) -> RenderableType:
        if self._search is None:
            return ""
        watched = self._search
        parts: list[RenderableType] = [_rung_table(watched)]
        if watched.running:
            parts.append(_running_table(watched))
        best = "–" if watched.best is None else f"{watched.best:.6g}"
        parts.append(
            f"{len(watched.finished)} of {watched.plan.trials} trials done, {watched.failures} failed; best so far "
            f"{best}; {duration(time.monotonic() - watched.began)} in this run, {watched.time_left()} left"
        )
        return Group(*parts)


def plan_lines(plan: SearchPlan, done: int = 0) -> list[str]:
    """Describe a plan in lines of text: size, brackets, time and disk use.

    Args:
        plan: the plan.
        done: trials that were done before.
    """
    resumed = f", {done} trials already done" if done else ""
    lines = [
        f"Search of the {plan.task}: {plan.trials} trials of {plan.configurations} configurations, {plan.epochs} epochs"
        f"{resumed}"
    ]
    brackets: dict[tuple[int, int], list[str]] = {}
    for rung in plan.schedule:
        text = f"{rung.trials} trial{'s' if rung.trials > 1 else ''} to epoch {rung.epochs}"
        brackets.setdefault((rung.iteration, rung.bracket), []).append(text)
    several = plan.schedule[-1].iteration > 0
    for (iteration, bracket), rungs in brackets.items():
        name = f"iteration {iteration}, bracket {bracket}" if several else f"bracket {bracket}"
        lines.append(f"  {name}: {', then the best '.join(rungs)}")
    return [*lines, f"  {_cost(plan)}"]


def _cost(plan: SearchPlan) -> str:
    workers = f"{plan.workers} worker{'s' if plan.workers > 1 else ''}"
    measured = [speed for speed in plan.speeds if not speed.failure]
    if plan.seconds is None:
        failures = sorted({speed.failure for speed in plan.speeds})
        why = f"could not be measured ({'; '.join(failures)})" if failures else "is known after the first trials"
        cost = f"with {workers}; the time {why}"
    else:
        epochs = sorted(speed.epoch_seconds for speed in measured)
        whole = "the search takes about" if plan.budget.seconds is None else "all trials would take about"
        span = f"{epochs[0]:.2g} to {epochs[-1]:.2g}" if len(epochs) > 1 else f"{epochs[0]:.2g}"
        cost = (
            f"with {workers}, {whole} {duration(plan.seconds)}, from {len(measured)} "
            f"configuration{'s' if len(measured) > 1 else ''} measured at {span} s per epoch"
        )
    if plan.disk_bytes is not None:
        cost += f"; weights take up to {size(plan.disk_bytes)} on disk"
    limits = [] if plan.budget.seconds is None else [duration(plan.budget.seconds)]
    limits += [] if plan.budget.trials is None else [f"{plan.budget.trials} trials"]
    return f"{cost}; it ends after {' or '.join(limits)}" if limits else cost


def _rung_table(watched: _Watched) -> Table:
    plan = watched.plan
    several = plan.schedule[-1].iteration > 0
    table = Table(title=f"Search of the {plan.task}: trials done", title_justify="left")
    table.add_column("bracket")
    for number in range(max(rung.rung for rung in plan.schedule) + 1):
        table.add_column(f"rung {number}")
    rows: dict[tuple[int, int], list[str]] = {}
    for rung in plan.schedule:
        done = watched.done(rung)
        bar = "█" * round(6 * done / rung.trials)
        text = f"{done}/{rung.trials} to epoch {rung.epochs} {bar:░<6}"
        rows.setdefault((rung.iteration, rung.bracket), []).append(text)
    for (iteration, bracket), cells in rows.items():
        table.add_row(f"{iteration}.{bracket}" if several else str(bracket), *cells)
    return table


def _running_table(watched: _Watched) -> Table:
    table = Table(title="running", title_justify="left", show_edge=False)
    for column in ("trial", "epoch", "configuration"):
        table.add_column(column)
    for trial, spec in watched.running.items():
        table.add_row(trial, f"{watched.epoch[trial]} of {spec.epochs}", describe(spec.hyperparameters))
    return table


def _trial_line(trial: Trial, watched: _Watched) -> str:
    plan, outcome = trial.spec, trial.result
    number = f"{len(watched.finished)} of {watched.plan.trials}"
    place = f"trial {plan.id} ({number}), bracket {plan.bracket}, rung {plan.rung}"
    if outcome.status == FAILED:
        return f"{place}: failed: {outcome.reason}"
    best = "–" if watched.best is None else f"{watched.best:.6g}"
    return (
        f"{place}, epochs {plan.initial_epoch + 1}–{plan.epochs}: {outcome.score:.6g} in {duration(outcome.seconds)} "
        f"(best {best}, {watched.time_left()} left); {describe(plan.hyperparameters)}"
    )
