"""Display of a long training: a bar on a terminal, plain lines elsewhere, and one line for each validation."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ecg_study.cli.console import is_interactive
from ecg_study.cli.displays.progress_bars import ProgressBars
from ecg_study.evaluation.results.long_training import LongTraining
from ecg_study.formatting import describe, describe_thresholds, duration
from ecg_study.training.steps.recorder import LOSS
from ecg_study.training.steps.step_loop import StepProgress
from ecg_study.training.task import TrainingTask

_LINE_EVERY = 60.0  # s between plain lines
_PLACE = ("epoch", "segments", "learning_rate")


class TrainingDisplay:
    """Progress of a training on a console.

    Args:
        console: the console.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = ProgressBars(console)
        self._bar: Progress | None = None
        self._shown: int | None = None
        self._last_line = 0.0

    def __enter__(self) -> TrainingDisplay:
        """Start to show progress."""
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to show progress."""
        self._stop()
        self._bars.__exit__(kind, error, trace)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show progress of the data or of the thresholds."""
        if self._bar is not None:  # the training is over
            self._stop()
            self._bars.__enter__()
        self._bars(what, done, total)

    def start(self, task: TrainingTask, hyperparameters: Mapping[str, Any]) -> None:
        """Show what is trained."""
        self._bars.__exit__(None, None, None)  # a terminal shows one live display at a time
        self._bars = ProgressBars(self.console)
        validation = "none" if task.refit else str(len(task.split.validation))
        records = f"{len(task.training_records)} records, {validation} for validation"
        self.console.print(f"Training the {task.name}: {describe(dict(hyperparameters))}; {records}")
        if is_interactive(self.console):
            columns = (BarColumn(), TextColumn("{task.percentage:>5.1f} %"), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self.console)
            self._bar.add_task("starting", total=1.0)
            self._bar.start()

    def step(self, progress: StepProgress) -> None:
        """Show the progress of the training."""
        self._show_validations(progress)
        line = progress_line(progress)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.share, description=line)
            return
        now = time.monotonic()
        if now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            self.console.print(f"{100 * progress.share:.1f} %, {line}")

    def _show_validations(self, progress: StepProgress) -> None:
        if self._shown is None:  # those of earlier runs of the program were shown then
            self._shown = len(progress.history)
            if not progress.history or progress.history[-1]["segments"] < progress.segments:
                return
            self._shown -= 1
        for row in progress.history[self._shown :]:
            self.console.print(validation_line(row))
        self._shown = len(progress.history)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def progress_line(progress: StepProgress) -> str:
    """Return the progress as one line."""
    loss = "" if progress.loss is None else f", loss {progress.loss:.4f}"
    left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
    return f"{progress.segments:,} segments{loss}, {progress.segments_per_second:,.0f} segments/s{left}"


def validation_line(row: Mapping[str, float]) -> str:
    """Return a row of the history as one line."""
    metrics = ", ".join(f"{name} {value:.5g}" for name, value in row.items() if name not in _PLACE)
    return f"epoch {row['epoch']:g}, {int(row['segments']):,} segments: {metrics}"


def result_lines(made: LongTraining) -> Iterator[str]:
    """Yield the result of a training, one line each."""
    yield f"Trained: {made.segments:,} segments in {duration(made.seconds)}"
    if made.diverged:
        yield (
            f"Diverged before the end of the budget ({made.budget}): the loss was not finite. The training cannot be "
            "extended; restart it with a lower learning rate or another seed"
        )
    weights = "averaged weights" if made.averaged else "weights"
    objective, value = made.objective
    metrics = f"{'loss' if made.refit else LOSS} {made.loss:.5g}"
    metrics += "" if value is None or objective == LOSS else f", {objective} {value:.5g}"
    yield f"Kept: {weights} after {made.kept_segments:,} segments ({metrics})"
    if made.thresholds:
        yield f"Thresholds: {describe_thresholds(made.thresholds)}"
