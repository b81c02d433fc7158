"""Executor that trains in the calling process."""

from __future__ import annotations

from typing import Any

from ecg_study.training.executors.base import (
    EpochFinished,
    EventHandler,
    Job,
    TrialFinished,
    TrialInterrupted,
    deadline,
)
from ecg_study.training.specs import TrialStopped
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed, measure_speed


class InProcessExecutor:
    """Trains one trial after the other in this very process, on all cores: for debugging a search space, and tests."""

    count = 1

    def __init__(self) -> None:
        self._job: Job | None = None

    def free(self) -> int:
        """See `Executor`."""
        return 0 if self._job else 1

    def start(self, job: Job) -> None:
        """See `Executor`; training itself happens in `wait`."""
        self._job = job

    def wait(self, handle: EventHandler) -> None:
        """See `Executor`."""
        job, self._job = self._job, None
        if job is None:
            return
        trial = job.plan.id

        def said(epoch: int, metrics: dict[str, float]) -> None:
            handle(EpochFinished(trial, epoch, metrics))

        try:
            trained = job.train(job.task, job.plan, job.seed, job.parent, said, deadline(job.seconds_left))
        except TrialStopped:
            handle(TrialInterrupted(trial))
        else:
            handle(TrialFinished(trial, trained))

    def cancel(self) -> None:
        """See `Executor`."""
        self._job = None

    def measure(self, task: TrainingTask, configurations: list[dict[str, Any]]) -> list[Speed]:
        """See `Executor`."""
        return [measure_speed(task, configuration) for configuration in configurations]
