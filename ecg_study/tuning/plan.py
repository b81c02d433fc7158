"""How much a search may spend."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ecg_study.formatting import duration
from ecg_study.training.executors.base import Executor
from ecg_study.training.specs import COMPLETED, Trial
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.checkpoints import most_weights
from ecg_study.tuning.schedule import Rung, schedule_of


@dataclass(frozen=True)
class Budget:
    """Limits of one search, counted over all runs of the program that worked on it; ``None`` for no limit.

    Attributes:
        seconds: time spent searching.
        trials: trials, failed ones too.
    """

    seconds: float | None = None
    trials: int | None = None

    def left(self, spent: float) -> float | None:
        """Seconds left after so many were spent."""
        return None if self.seconds is None else max(0.0, self.seconds - spent)

    def over(self, spent: float, trials: int) -> str:
        """Which limit is reached, in words; empty while none is."""
        if self.seconds is not None and spent >= self.seconds:
            return f"its budget of {duration(self.seconds)} is spent"
        if self.trials is not None and trials >= self.trials:
            return f"its budget of {self.trials} trials is spent"
        return ""


@dataclass(frozen=True)
class SearchPlan:
    """A search as it is planned.

    Attributes:
        task: the model.
        schedule: brackets and rungs.
        workers: trials side by side.
        budget: its limits.
        speeds: what some of its configurations cost, measured here; empty where nothing was measured.
        spent: seconds that were searched before.
    """

    task: str
    schedule: tuple[Rung, ...]
    workers: int
    budget: Budget
    speeds: tuple[Speed, ...]
    spent: float = 0.0

    @property
    def trials(self) -> int:
        """Trials in all."""
        return sum(rung.trials for rung in self.schedule)

    @property
    def configurations(self) -> int:
        """Different configurations among them."""
        return sum(rung.trials for rung in self.schedule if rung.rung == 0)

    @property
    def epochs(self) -> int:
        """Epochs of training in all."""
        return sum(rung.total_epochs for rung in self.schedule)

    @property
    def epochs_in_budget(self) -> int:
        """Epochs of the trials that the budget allows, were they to come in the order of the schedule."""
        left = self.trials if self.budget.trials is None else self.budget.trials
        epochs = 0
        for rung in self.schedule:
            begun = min(left, rung.trials)
            epochs += begun * (rung.epochs - rung.initial_epoch)
            left -= begun
        return epochs

    @property
    def seconds(self) -> float | None:
        """Estimated time of the whole search without a budget; ``None`` where nothing could be measured."""
        measured = [speed for speed in self.speeds if not speed.failure]
        if not measured:
            return None
        setup = statistics.mean(speed.setup_seconds for speed in measured)
        epoch = statistics.mean(speed.epoch_seconds for speed in measured)
        return (self.trials * setup + self.epochs * epoch) / self.workers

    @property
    def disk_bytes(self) -> int | None:
        """The most that checkpoints take at once, by the largest configuration measured."""
        largest = max((speed.weights_bytes for speed in self.speeds), default=0)
        return most_weights(self.schedule) * largest if largest else None


def plan_search(
    task: TrainingTask,
    seed: int,
    workers: Executor,
    budget: Budget,
    warm: Sequence[dict[str, object]] = (),
    measured: int = 0,
) -> SearchPlan:
    """Plan a search, timing some of the configurations with which it will begin.

    Args:
        task: the model and its data.
        seed: seed of the study, which decides the configurations.
        workers: who would train, and is measured.
        budget: limits of the search.
        warm: configurations that are drawn first.
        measured: how many configurations are timed.
    """
    from ecg_study.tuning.oracle import SearchOracle

    configurations = []
    if measured:
        oracle = SearchOracle(task, seed, warm)
        drawn = [oracle.next_trial() for _ in range(measured)]
        configurations = [plan.hyperparameters for plan in drawn if plan is not None and plan.rung == 0]
    speeds = workers.measure(task, configurations) if configurations else []
    return SearchPlan(task.name, schedule_of(task.preset), workers.count, budget, tuple(speeds))


def speeds_of(finished: Sequence[Trial]) -> tuple[Speed, ...]:
    """What finished trials cost: better than any measurement beforehand."""
    speeds = []
    for trial in finished:
        if trial.outcome.status == COMPLETED:
            epochs = trial.plan.epochs - trial.plan.initial_epoch
            speeds.append(Speed(trial.outcome.parameters or 0, epoch_seconds=trial.outcome.seconds / epochs))
    return tuple(speeds)
