"""Who trains trials: one face for this process and for processes elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ecg_study.training.loop import train_trial
from ecg_study.training.specs import TrainedTrial, TrainFunction, TrainingSpec
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed


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

    task: TrainingTask
    plan: TrainingSpec
    seed: int
    parent: bytes | None = None
    seconds_left: float | None = None
    train: TrainFunction = train_trial


@dataclass(frozen=True)
class EpochFinished:
    """An epoch of a running trial, counted from 1, is done."""

    trial: str
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended by itself."""

    trial: str
    trained: TrainedTrial


@dataclass(frozen=True)
class TrialInterrupted:
    """A trial was stopped, since its time was over; nothing of it is kept."""

    trial: str


@dataclass(frozen=True)
class WorkerLost:
    """The worker of a trial is gone."""

    trial: str
    reason: str


@dataclass(frozen=True)
class Notice:
    """Something that the user should know."""

    text: str


Event = EpochFinished | TrialFinished | TrialInterrupted | WorkerLost | Notice
EventHandler = Callable[[Event], None]


class Executor(Protocol):
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

    def measure(self, task: TrainingTask, configurations: list[dict[str, Any]]) -> list[Speed]:
        """How fast each configuration trains, as many side by side as trials would be."""


def deadline(seconds: float | None) -> Callable[[], bool]:
    """Says whether so many seconds have passed since it was made; never for ``None``."""
    end = None if seconds is None else time.monotonic() + seconds
    return lambda: end is not None and time.monotonic() >= end
