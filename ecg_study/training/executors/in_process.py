"""Executor that trains in the calling process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecg_study.training.executors.base import (
    EpochFinished,
    EventHandler,
    Job,
    TrialFinished,
    TrialInterrupted,
    deadline,
)
from ecg_study.training.loop import train
from ecg_study.training.specs import TrialStopped
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed, measure_speed


class InProcessExecutor:
    """Executor that trains one trial after the other on all cores, to debug a search space and for tests."""

    count = 1

    def __init__(self) -> None:
        """Create an executor without a job."""
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
        trial = job.spec.id

        def report(epoch: int, metrics: dict[str, float]) -> None:
            handle(EpochFinished(trial, epoch, metrics))

        try:
            training = train(
                job.task,
                job.spec,
                options=job.options,
                seed=job.seed,
                initial_weights=job.initial_weights,
                on_progress=report,
                should_stop=deadline(job.seconds_left),
                state_file=job.state_file,
            )
        except TrialStopped:
            handle(TrialInterrupted(trial))
        else:
            handle(TrialFinished(trial, training))

    def cancel(self) -> None:
        """See `Executor`."""
        self._job = None

    def measure(
        self, task: TrainingTask, configurations: list[dict[str, Any]], *, on_measured: Callable[[int], None]
    ) -> list[Speed]:
        """See `Executor`."""
        speeds = []
        for configuration in configurations:
            speeds.append(measure_speed(task, configuration))
            on_measured(len(speeds))
        return speeds
