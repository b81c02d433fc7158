"""Plan of a search: its limits, and an estimate of its time and disk use."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ecg_study.formatting import duration
from ecg_study.progress import Progress
from ecg_study.training.executors.base import Executor
from ecg_study.training.specs import COMPLETED, Trial
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.checkpoints import most_weights
from ecg_study.tuning.schedule import Rung, makespan, schedule_of


@dataclass(frozen=True)
class SearchBudget:
    """Limits of a search over all runs of the program that work on it; ``None`` for no limit.

    Attributes:
        seconds: search time.
        trials: number of trials, failed ones included.
    """

    seconds: float | None = None
    trials: int | None = None

    def remaining_seconds(self, spent: float) -> float | None:
        """Return the time left after ``spent`` seconds."""
        return None if self.seconds is None else max(0.0, self.seconds - spent)

    def exhausted_limit(self, spent: float, *, trials: int) -> str:
        """Return the limit that is reached, as text; empty if none is.

        Args:
            spent: search time in s.
            trials: trials that have started.
        """
        if self.seconds is not None and spent >= self.seconds:
            return f"the time limit of {duration(self.seconds)} was reached"
        if self.trials is not None and trials >= self.trials:
            return f"the limit of {self.trials} trials was reached"
        return ""


@dataclass(frozen=True)
class SearchPlan:
    """A planned search.

    Attributes:
        task: the model.
        schedule: brackets and rungs.
        workers: number of trials in parallel.
        budget: its limits.
        speeds: measured speeds of some of its configurations; empty without a measurement.
        spent: search time in s before this run.
    """

    task: str
    schedule: tuple[Rung, ...]
    workers: int
    budget: SearchBudget
    speeds: tuple[Speed, ...]
    spent: float = 0.0

    @property
    def trials(self) -> int:
        """Total number of trials."""
        return sum(rung.trials for rung in self.schedule)

    @property
    def configurations(self) -> int:
        """Number of different configurations."""
        return sum(rung.trials for rung in self.schedule if rung.rung == 0)

    @property
    def epochs(self) -> int:
        """Total number of training epochs."""
        return sum(rung.total_epochs for rung in self.schedule)

    @property
    def epochs_in_budget(self) -> int:
        """Epochs of the trials within the budget, if they run in the order of the schedule."""
        left = self.trials if self.budget.trials is None else self.budget.trials
        epochs = 0
        for rung in self.schedule:
            trials = min(left, rung.trials)
            epochs += trials * (rung.epochs - rung.initial_epoch)
            left -= trials
        return epochs

    @cached_property
    def seconds(self) -> float | None:
        """Estimated time of the whole schedule, in which workers may wait; ``None`` without a measured speed."""
        measured = [speed for speed in self.speeds if not speed.failure]
        if not measured:
            return None
        setup = statistics.mean(speed.setup_seconds + speed.validation_seconds for speed in measured)
        epoch = statistics.mean(speed.epoch_seconds for speed in measured)
        return makespan(
            self.schedule, workers=self.workers, cost=lambda rung: setup + (rung.epochs - rung.initial_epoch) * epoch
        )

    @property
    def disk_bytes(self) -> int | None:
        """Largest size of all weights on disk at a time, estimated from the largest measured configuration."""
        largest = max((speed.weights_bytes for speed in self.speeds), default=0)
        return most_weights(self.schedule) * largest if largest else None


def plan_search(
    task: TrainingTask, *, executor: Executor, budget: SearchBudget, speeds: Sequence[Speed] = (), spent: float = 0.0
) -> SearchPlan:
    """Return the plan of a search.

    Args:
        task: the model and its data.
        executor: trains the trials.
        budget: limits of the search.
        speeds: measured speeds of some of its configurations.
        spent: search time in s before this run.
    """
    return SearchPlan(task.name, schedule_of(task.preset), executor.count, budget, tuple(speeds), spent)


def measure_speeds(
    task: TrainingTask,
    *,
    seed: int,
    executor: Executor,
    count: int,
    warm: Sequence[dict[str, Any]] = (),
    on_progress: Progress | None = None,
) -> list[Speed]:
    """Return the speeds of some of the configurations with which a search starts.

    Args:
        task: the model and its data.
        seed: seed of the study, which determines the configurations.
        executor: is timed; it would train the trials.
        count: number of configurations.
        warm: configurations that are tried first.
        on_progress: called with the number of configurations that are measured.
    """
    from ecg_study.tuning.oracle import SearchOracle

    if not count:
        return []
    oracle = SearchOracle(task, seed=seed, warm=warm)
    drawn = [oracle.next_trial() for _ in range(count)]
    configurations = [spec.hyperparameters for spec in drawn if spec is not None and spec.rung == 0]
    if not configurations:
        return []

    def report(done: int) -> None:
        if on_progress is not None:
            on_progress(f"Speed of the {task.name}, configurations", done, len(configurations))

    report(0)
    return list(executor.measure(task, configurations, on_measured=report))


def measured_speeds(finished: Sequence[Trial]) -> tuple[Speed, ...]:
    """Return the speeds of completed trials, which are more accurate than a measurement before the search."""
    speeds = []
    for trial in finished:
        if trial.result.status == COMPLETED:
            epochs = trial.spec.epochs - trial.spec.initial_epoch
            speeds.append(Speed(trial.result.parameters or 0, epoch_seconds=trial.result.seconds / epochs))
    return tuple(speeds)
