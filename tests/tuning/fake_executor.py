"""An executor that trains nothing, for tests of the search itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecg_study.training.executors.base import Event, EventHandler, Job, TrialFinished, WorkerLost
from ecg_study.training.specs import COMPLETED, FinishedTraining, TrainingResult, TrainingSpec, Trial
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.plan import SearchPlan
from ecg_study.tuning.search import SearchOptions, run_search
from ecg_study.tuning.state import SearchResult, search_directory
from tests.tiny import TINY
from tests.tuning.test_search import Watcher as _Watcher

PRESET = replace(TINY, max_epochs=9)
TRIALS = 23


class Watcher(_Watcher):
    """A view that records the plan."""

    def search_began(self, plan: SearchPlan, *, finished: list[Trial], best: float | None) -> None:
        """Record the plan and the number of finished trials."""
        assert (best is None) == (not finished)
        self.plan, self.found = plan, len(finished)


class FakeExecutor:
    """Executor whose trials end in a random order, with a score that depends on configuration and epochs."""

    def __init__(self, count: int, order: random.Random, *, losses: float = 0.0, weights: Path | None = None) -> None:
        """Create an executor.

        Args:
            count: number of trials in parallel.
            order: decides which trial ends next.
            losses: share of trials whose worker is lost.
            weights: folder of weights files, which are counted.
        """
        self.count, self.order, self.losses = count, order, losses
        self.jobs: list[Job] = []
        self.started: list[str] = []
        self.weights, self.most_kept = weights, 0
        self.before_each: Callable[[], None] = lambda: None
        self.answer: Callable[[Job], Event] = lambda job: TrialFinished(job.spec.id, finish_at_once(job.spec))

    def free(self) -> int:
        """Return the number of trials that can start now."""
        return self.count - len(self.jobs)

    def start(self, job: Job) -> None:
        """Start a trial."""
        assert self.free() > 0
        assert (job.initial_weights is None) == (job.spec.parent is None)
        if job.spec.parent is not None:
            assert job.initial_weights == job.spec.parent.encode(), "starts from its parent's weights"
        self.started.append(job.spec.id)
        self.jobs.append(job)

    def wait(self, handle: EventHandler) -> None:
        """End one trial."""
        self.before_each()
        job = self.jobs.pop(self.order.randrange(len(self.jobs)))
        lost = self.order.random() < self.losses
        handle(WorkerLost(job.spec.id, "killed") if lost else self.answer(job))
        if self.weights is not None:
            self.most_kept = max(self.most_kept, len(list(self.weights.glob("*.npz"))))

    def cancel(self) -> None:
        """Forget all running trials."""
        self.jobs.clear()

    def measure(
        self, task: TrainingTask, configurations: list[dict[str, Any]], *, on_measured: Callable[[int], None]
    ) -> list[Speed]:
        """Return the same speed for each configuration."""
        assert task.name
        for number in range(len(configurations)):
            on_measured(number + 1)
        return [Speed(10, 100, 1.0, 2.0) for _ in configurations]


def finish_at_once(spec: TrainingSpec) -> FinishedTraining:
    """Return the result of a training, with the trial's id for weights."""
    score = abs(spec.hyperparameters["learning_rate"] - 0.005) / spec.epochs
    history = [{"epoch": 1, "val_loss": score}]
    return FinishedTraining(TrainingResult(COMPLETED, score, spec.epochs, history), spec.id.encode())


def search(
    task: TrainingTask,
    directory: Path,
    *,
    seed: int = 3,
    executor: FakeExecutor | None = None,
    view: _Watcher | None = None,
    **options: Any,
) -> SearchResult:
    """Run a search with a fake executor, by default one with two workers."""
    return run_search(
        task,
        SearchOptions(seed, **options),
        directory=directory,
        executor=executor or FakeExecutor(2, random.Random(0)),
        view=view or Watcher(),
    )


def earlier_search(task: TrainingTask, study: Path) -> SearchResult:
    """Run a search in the output folder of a study."""
    return search(task, search_directory(study, task.name), executor=FakeExecutor(1, random.Random(0)))


def specs_by_id(result: SearchResult) -> dict[str, TrainingSpec]:
    """Return the specification of each trial."""
    return {trial.spec.id: trial.spec for trial in result.trials}
