"""Executor protocol: trains in this process or in others, and reports events."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ecg_study.training.specs import FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.steps.saved_state import TrainingStateFile
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed


@dataclass(frozen=True)
class Job:
    """A training for an executor.

    Attributes:
        task: the model and its data.
        spec: configuration and epochs.
        options: what is kept, learning rate, patience.
        seed: seed of the study.
        initial_weights: packed weights to start from; ``None`` for random ones.
        seconds_left: seconds after which it stops; ``None`` for no limit.
        state_file: file from which it resumes, and in which its state is saved; ``None`` for none. Workers on other
            machines do not use it.
    """

    task: TrainingTask
    spec: TrainingSpec
    options: TrainingOptions
    seed: int
    initial_weights: bytes | None = None
    seconds_left: float | None = None
    state_file: TrainingStateFile | None = None


@dataclass(frozen=True)
class EpochFinished:
    """The end of an epoch, counted from 1, of a running trial."""

    trial: str
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrialFinished:
    """The end of a trial, completed or failed."""

    trial: str
    training: FinishedTraining


@dataclass(frozen=True)
class TrialInterrupted:
    """A trial that stopped because its time was over. None of its results are kept."""

    trial: str


@dataclass(frozen=True)
class WorkerLost:
    """The loss of the worker that trained a trial."""

    trial: str
    reason: str


@dataclass(frozen=True)
class Notice:
    """A message for the user."""

    text: str


Event = EpochFinished | TrialFinished | TrialInterrupted | WorkerLost | Notice
EventHandler = Callable[[Event], None]


class Executor(Protocol):
    """Trains trials, several at a time."""

    @property
    def count(self) -> int:
        """Number of trials that normally run in parallel."""

    def free(self) -> int:
        """Return the number of trials that can start now."""

    def start(self, job: Job) -> None:
        """Start a trial. Call it only if `free` is positive."""

    def wait(self, handle: EventHandler) -> None:
        """Pass new events to ``handle``; wait a moment if there are none."""

    def cancel(self) -> None:
        """Cancel all running trials."""

    def measure(
        self, task: TrainingTask, configurations: list[dict[str, Any]], *, on_measured: Callable[[int], None]
    ) -> list[Speed]:
        """Measure how fast each configuration trains, with as many in parallel as trials would be.

        Args:
            task: the model and its data.
            configurations: hyperparameters.
            on_measured: called with the number of configurations that are measured.
        """


def deadline(seconds: float | None) -> Callable[[], bool]:
    """Return a function that tells whether ``seconds`` have passed since this call; never for ``None``."""
    end = None if seconds is None else time.monotonic() + seconds
    return lambda: end is not None and time.monotonic() >= end
