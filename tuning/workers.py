"""Who trains trials: one face for this process and for processes elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tuning.speed import Speed, measure_speed
from tuning.tasks import Task
from tuning.trials import TrainedTrial, TrainFunction, TrialPlan, TrialStopped, train_trial

if TYPE_CHECKING:
    from tuning.cluster import Cluster


@dataclass(frozen=True)
class Job:
    """A trial to be trained.

    Attributes:
        task: the model and its data.
        plan: what to train.
        seed: seed of the study.
        parent: the weights to go on from, the bytes of an ``.npz`` file.
        seconds_left: after so many seconds it shall stop; ``None`` for no limit.
        train: how to train it; a function of this project, which a worker finds by its name.
    """

    task: Task
    plan: TrialPlan
    seed: int
    parent: bytes | None = None
    seconds_left: float | None = None
    train: TrainFunction = train_trial


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a running trial, counted from 1, is done."""

    trial: str
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Ended:
    """A trial has ended by itself."""

    trial: str
    trained: TrainedTrial


@dataclass(frozen=True)
class Stopped:
    """A trial was stopped, since its time was over; nothing of it is kept."""

    trial: str


@dataclass(frozen=True)
class Lost:
    """The worker of a trial is gone."""

    trial: str
    reason: str


@dataclass(frozen=True)
class Notice:
    """Something that the user should know."""

    text: str


Event = EpochEnded | Ended | Stopped | Lost | Notice
EventHandler = Callable[[Event], None]


class Workers(Protocol):
    """Trains trials, several at a time."""

    @property
    def count(self) -> int:
        """How many trials run side by side when all is well."""

    def free(self) -> int:
        """How many trials can be started now."""

    def start(self, job: Job) -> None:
        """Begin a trial; `free` has said that there is room."""

    def wait(self, handle: EventHandler) -> None:
        """Hand over what has happened, waiting a moment where nothing has."""

    def cancel(self) -> None:
        """Give up all running trials."""

    def measure(self, task: Task, configurations: list[dict[str, Any]]) -> list[Speed]:
        """How fast each configuration trains, as many side by side as trials would be."""


class ThisProcess:
    """Trains one trial after the other in this very process, on all cores: for debugging a search space, and tests."""

    count = 1

    def __init__(self) -> None:
        self._job: Job | None = None

    def free(self) -> int:
        """See `Workers`."""
        return 0 if self._job else 1

    def start(self, job: Job) -> None:
        """See `Workers`; training itself happens in `wait`."""
        self._job = job

    def wait(self, handle: EventHandler) -> None:
        """See `Workers`."""
        job, self._job = self._job, None
        if job is None:
            return
        trial = job.plan.id

        def said(epoch: int, metrics: dict[str, float]) -> None:
            handle(EpochEnded(trial, epoch, metrics))

        try:
            trained = job.train(job.task, job.plan, job.seed, job.parent, said, out_of_time(job.seconds_left))
        except TrialStopped:
            handle(Stopped(trial))
        else:
            handle(Ended(trial, trained))

    def cancel(self) -> None:
        """See `Workers`."""
        self._job = None

    def measure(self, task: Task, configurations: list[dict[str, Any]]) -> list[Speed]:
        """See `Workers`."""
        return [measure_speed(task, configuration) for configuration in configurations]


def out_of_time(seconds: float | None) -> Callable[[], bool]:
    """Says whether so many seconds have passed since it was made; never for ``None``."""
    end = None if seconds is None else time.monotonic() + seconds
    return lambda: end is not None and time.monotonic() >= end


@contextmanager
def open_workers(count: int | None, scheduler: str = "") -> Iterator[ThisProcess | Cluster]:
    """Workers for the time of the block.

    Args:
        count: processes on this machine; 0 for this very process, ``None`` for as many as are fastest.
        scheduler: address of a Dask scheduler whose workers are used instead.

    Raises:
        StudyError: the scheduler does not answer.
    """
    if count == 0 and not scheduler:
        yield ThisProcess()
        return
    from tuning.cluster import open_cluster

    with open_cluster(count, scheduler) as cluster:
        yield cluster
