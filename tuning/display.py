"""What the user sees while work goes on: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tuning.interrupts import raise_if_interrupted
from tuning.schedule import Rung
from tuning.state import FinishedTrial
from tuning.trials import FAILED, TrialPlan

_LINE_EVERY = 15.0  # seconds between plain lines of one step: enough to see that it lives, few enough for a log


class Steps:
    """Progress of long work in countable steps: a `ecg_data.Progress` that can be called from anywhere.

    Args:
        console: where to show it; bars on a terminal, plain lines elsewhere.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> Steps:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=self.console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps of ``what`` are done; raises KeyboardInterrupt after Ctrl-C."""
        raise_if_interrupted()
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)
            return
        now = time.monotonic()
        if done == total or now - self._last_line.get(what, -_LINE_EVERY) >= _LINE_EVERY:
            self._last_line[what] = now
            self.console.print(f"{what}: {done} of {total}")


@dataclass
class _Watched:
    """What a display knows of a running search."""

    task: str
    schedule: tuple[Rung, ...]
    finished: int
    failures: int
    epochs_done: int
    best: float | None = None
    running: TrialPlan | None = None
    epoch: int = 0
    began: float = field(default_factory=time.monotonic)
    epochs_here: int = 0

    @property
    def trials(self) -> int:
        return sum(rung.trials for rung in self.schedule)

    @property
    def epochs(self) -> int:
        return sum(rung.total_epochs for rung in self.schedule)

    def time_left(self) -> str:
        if not self.epochs_here:
            return "–"
        pace = (time.monotonic() - self.began) / self.epochs_here
        running = self.epoch - self.running.initial_epoch if self.running is not None else 0
        return duration(pace * max(0, self.epochs - self.epochs_done - running))


class SearchDisplay:
    """A `tuning.search.SearchView` on a console.

    Args:
        console: a terminal gets a live table, anything else a line a trial.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._search: _Watched | None = None

    @contextmanager
    def showing(self) -> Iterator[SearchDisplay]:
        """Keep the live table on the screen while the block runs."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(console=self.console, refresh_per_second=4, get_renderable=self._render) as live:
            self._live = live
            yield self
        self._live = None

    def search_began(
        self, task: str, schedule: tuple[Rung, ...], finished: list[FinishedTrial], best: float | None
    ) -> None:
        """Show the plan, and what of it is already done."""
        failures = sum(trial.outcome.status == FAILED for trial in finished)
        epochs = sum(trial.plan.epochs - trial.plan.initial_epoch for trial in finished)
        self._search = _Watched(task, schedule, len(finished), failures, epochs, best)
        going_on = f", {len(finished)} of them done before" if finished else ""
        self.console.print(
            f"Search of the {task}: {self._search.trials} trials, {self._search.epochs} epochs{going_on}",
        )

    def trial_began(self, plan: TrialPlan) -> None:
        """Show a trial as running."""
        watched = self._watched()
        watched.running, watched.epoch = plan, plan.initial_epoch

    def epoch_ended(self, plan: TrialPlan, epoch: int, metrics: dict[str, float]) -> None:  # noqa: ARG002  # a view may want them
        """Move the running trial on by an epoch."""
        watched = self._watched()
        watched.epoch = epoch
        watched.epochs_here += 1

    def trial_ended(self, trial: FinishedTrial, best: float | None) -> None:
        """Count a trial as finished."""
        watched = self._watched()
        watched.finished += 1
        watched.epochs_done += trial.plan.epochs - trial.plan.initial_epoch
        watched.failures += trial.outcome.status == FAILED
        watched.best, watched.running = best, None
        if self._live is None:
            self.console.print(_trial_line(trial, watched), soft_wrap=True)
        elif trial.outcome.status == FAILED:
            self.console.print(f"Trial {trial.plan.id} failed: {trial.outcome.reason}")

    def _watched(self) -> _Watched:
        assert self._search is not None, "search_began comes first"
        return self._search

    def _render(self) -> RenderableType:
        if self._search is None:
            return ""
        watched = self._search
        table = Table(title=f"Search of the {watched.task}", title_justify="left", show_header=False)
        table.add_row("trials", f"{watched.finished} of {watched.trials} done, {watched.failures} failed")
        if watched.running is not None:
            plan = watched.running
            table.add_row("running", f"trial {plan.id}, bracket {plan.bracket}, rung {plan.rung}")
            table.add_row("epoch", f"{watched.epoch} of {plan.epochs}")
            table.add_row("settings", describe(plan.hyperparameters))
        table.add_row("best so far", "–" if watched.best is None else f"{watched.best:.6g}")
        table.add_row("time", f"{duration(time.monotonic() - watched.began)} here, {watched.time_left()} left")
        return Group(table)


def describe(hyperparameters: dict[str, Any]) -> str:
    """Hyperparameters on one line."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in hyperparameters.items()
    )


def duration(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _trial_line(trial: FinishedTrial, watched: _Watched) -> str:
    plan, outcome = trial.plan, trial.outcome
    place = f"trial {plan.id} ({watched.finished} of {watched.trials}), bracket {plan.bracket}, rung {plan.rung}"
    if outcome.status == FAILED:
        return f"{place}: failed: {outcome.reason}"
    best = "–" if watched.best is None else f"{watched.best:.6g}"
    return (
        f"{place}, epochs {plan.initial_epoch + 1}–{plan.epochs}: {outcome.score:.6g} in {duration(outcome.seconds)} "
        f"(best {best}, {watched.time_left()} left); {describe(plan.hyperparameters)}"
    )
