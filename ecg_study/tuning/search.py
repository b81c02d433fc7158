"""The search of one model: Hyperband from start to end, resumable at any moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ecg_study.errors import EcgStudyError
from ecg_study.files import locked, remove_half_written, write_bytes
from ecg_study.progress import raise_if_interrupted
from ecg_study.training.executors.base import EpochFinished, Event, Executor, Job, Notice, TrialFinished, WorkerLost
from ecg_study.training.loop import train_trial
from ecg_study.training.specs import FAILED, TrainedTrial, TrainingSpec, Trial, failed_trial
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.training.weights import weights_path
from ecg_study.tuning.checkpoints import needed_weights, remove_unneeded
from ecg_study.tuning.exports.tensorboard import TensorBoardLogs
from ecg_study.tuning.plan import Budget, SearchPlan, plan_search, speeds_of
from ecg_study.tuning.schedule import check_space, schedule_of
from ecg_study.tuning.state import SavedSearch, SearchResult, StateFile, best_so_far, load_search
from ecg_study.tuning.warm_start import WarmStart, read_warm_start

WEIGHTS = "weights"

_ATTEMPTS = 3
"""How often a trial is begun in all, where another attempt may end otherwise."""


class SearchView(Protocol):
    """Who watches a search."""

    def search_began(self, plan: SearchPlan, finished: list[Trial], best: float | None) -> None:
        """The search starts, or goes on behind these finished trials with the best score of them."""

    def trial_began(self, plan: TrainingSpec) -> None:
        """A trial starts, for the first time or again."""

    def epoch_ended(self, trial: str, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch of a running trial, counted from 1, is done."""

    def trial_ended(self, trial: Trial, best: float | None) -> None:
        """A trial is done, and this is the best score so far."""

    def said(self, text: str) -> None:
        """Something that the user should know."""


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        seed: seed of the study.
        fresh: set an earlier search aside (renamed, not deleted) and begin anew.
        budget: limits of the search.
        warm_start: output folder of an earlier study whose best configurations are tried first.
        tensorboard: write logs for TensorBoard.
        measured: how many configurations are timed before the start, for the estimate of the whole.
    """

    seed: int
    fresh: bool = False
    budget: Budget = field(default_factory=Budget)
    warm_start: Path | None = None
    tensorboard: bool = False
    measured: int = 0


def run_search(
    task: TrainingTask, options: SearchOptions, directory: Path, workers: Executor, view: SearchView
) -> SearchResult:
    """Search a model's space to the end or to the end of its budget, going on from what ``directory`` holds.

    The state is saved whenever a trial ends. A trial that was running when the program ended is run again.

    Args:
        task: the model and its data.
        options: how to search.
        directory: folder of this search.
        workers: who trains.
        view: told of every step.

    Raises:
        StudyError: the folder holds a search of other data, settings or space; its state is damaged; another process
            is at it; the space is too small; every trial failed; the budget ended before any trial.
    """
    check_space(task)
    with _alone(directory):
        search = _Search(task, options, directory, workers, view)
        try:
            search.run()
        except KeyboardInterrupt:
            search.save()
            raise
        finally:
            workers.cancel()
    result = load_search(directory)
    result.best()
    return result


def load_same_search(task: TrainingTask, seed: int, directory: Path) -> SearchResult:
    """Read a search, ended or not, and check that it was of this task, data and seed.

    Raises:
        StudyError: there is none, it is damaged, or it was of something else.
    """
    result = load_search(directory)
    identity = search_identity(task, seed, result.identity["warm start"])
    StateFile(directory).check_same(result.identity, identity)
    return result


def search_identity(task: TrainingTask, seed: int, warm_start: str) -> dict[str, Any]:
    """Everything that decides what a search explores, as JSON."""
    from ecg_study.tuning.oracle import hyperparameter_space

    preset = asdict(task.preset)
    sizes = ("max_epochs", "factor", "iterations", "batch_size", "segments_per_epoch")
    seen = task.cache.signals([*task.split.train, *task.split.validation])
    return {
        "task": task.name,
        "objective": list(task.objective),
        "data": task.cache.key,
        "data settings": task.cache.settings.as_mapping(),
        "training records": list(task.split.train),
        "validation records": list(task.split.validation),
        "signals": sorted(digest for digests in seen.values() for digest in digests),
        "preset": task.preset.name,
        "sizes": {name: preset[name] for name in sizes},
        **augmentation_as_json(task),
        "space": hyperparameter_space(task),
        "seed": seed,
        "warm start": warm_start,
    }


class _Search:
    """A search at work."""

    def __init__(
        self, task: TrainingTask, options: SearchOptions, directory: Path, workers: Executor, view: SearchView
    ) -> None:
        from ecg_study.tuning.oracle import SearchOracle

        self.task, self.options, self.workers, self.view = task, options, workers, view
        self.weights = directory / WEIGHTS
        self.logs = TensorBoardLogs(directory / "tensorboard") if options.tensorboard else None
        self.file = StateFile(directory)
        saved = None if options.fresh else self.file.load()
        warm_start = "" if options.warm_start is None else str(options.warm_start)
        identity = search_identity(task, options.seed, warm_start)
        if saved is None:
            warm = WarmStart() if options.warm_start is None else read_warm_start(options.warm_start, task)
            self.say_warm(warm)
            saved = SavedSearch(identity, warm=list(warm.configurations))
        else:
            self.file.check_same(saved.identity, identity)
        if options.fresh:
            self.file.set_aside()  # last: what is refused leaves everything in its place
        self.saved = saved
        self.oracle = SearchOracle(task, options.seed, saved.warm)
        if saved.oracle:
            self.oracle.restore(saved.oracle)
        self.schedule = schedule_of(task.preset)
        self.running: dict[str, TrainingSpec] = {}
        self.again: list[TrainingSpec] = []
        self.attempts: dict[str, int] = {}
        self.began = time.monotonic()
        self.spent_before = saved.seconds

    def run(self) -> None:
        self.check_weights()
        for directory in (self.file.directory, self.weights):
            remove_half_written(directory)
        remove_unneeded(self.weights, self.needed())
        finished, options = self.saved.finished, self.options
        if not self.saved.done:
            self.save()  # a folder that cannot be written to is told before anything is trained
        measured = 0 if finished else options.measured
        plan = plan_search(self.task, options.seed, self.workers, options.budget, self.saved.warm, measured)
        if finished:
            plan = replace(plan, speeds=speeds_of(finished), spent=self.spent_before)
        self.view.search_began(plan, finished, self.best())
        if self.saved.done:
            return
        while True:
            more = self.start_trials()
            if not self.running and not more:
                break
            self.workers.wait(self.handle)
            raise_if_interrupted()
        self.saved.done = len(finished) == plan.trials or not self.over()
        self.saved.stopped = "" if self.saved.done else self.over()
        self.save()

    def start_trials(self) -> bool:
        """Begin as many trials as there is room and budget for. Returns whether more could be begun with more room."""
        while not self.over():
            if not self.workers.free():
                return True
            plan = self.again.pop(0) if self.again else self.oracle.next_trial()
            if plan is None:
                return False
            if plan.parent in {trial.plan.id for trial in self.saved.finished if trial.outcome.status == FAILED}:
                # Only where a whole rung failed is a failed trial promoted; it left no weights to go on from.
                self.conclude(plan, failed_trial(f"goes on from trial {plan.parent}, which failed"))
                continue
            self.running[plan.id] = plan
            self.attempts[plan.id] = self.attempts.get(plan.id, 0) + 1
            self.view.trial_began(plan)
            parent = None if plan.parent is None else weights_path(self.weights, plan.parent).read_bytes()
            left = self.options.budget.left(self.spent())
            self.workers.start(Job(self.task, plan, self.options.seed, parent, left, train_trial))
        return False

    def handle(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.view.said(event.text)
        elif isinstance(event, EpochFinished):
            self.view.epoch_ended(event.trial, event.epoch, event.metrics)
        else:
            plan = self.running.pop(event.trial)
            if isinstance(event, TrialFinished):
                self.take(plan, event.trained)
            elif isinstance(event, WorkerLost):
                self.take(plan, failed_trial(event.reason, retryable=True))
            elif not self.over():
                self.again.append(plan)  # stopped, though there is time

    def take(self, plan: TrainingSpec, trained: TrainedTrial) -> None:
        attempts = self.attempts.get(plan.id, 1)
        if trained.retryable and attempts < _ATTEMPTS:
            self.view.said(
                f"trial {plan.id}: {trained.outcome.reason}; it is tried again ({attempts + 1} of {_ATTEMPTS})"
            )
            self.again.append(plan)
            return
        self.conclude(plan, replace(trained, outcome=replace(trained.outcome, attempts=attempts)))

    def conclude(self, plan: TrainingSpec, trained: TrainedTrial) -> None:
        """Keep a trial's end: its weights first, then the state that names it, and only then is anything removed."""
        if trained.weights is not None:
            write_bytes(weights_path(self.weights, plan.id), trained.weights)
        self.oracle.finish(plan.id, trained.outcome.score)
        trial = Trial(plan, trained.outcome, round(self.spent(), 3))
        self.saved.finished.append(trial)
        self.save()
        remove_unneeded(self.weights, self.needed())
        if self.logs is not None:
            self.logs.write(trial)
        self.view.trial_ended(trial, self.best())

    def over(self) -> str:
        """Which budget is spent, running trials counted; empty while none is."""
        trials = len(self.saved.finished) + len(self.running)
        return self.options.budget.over(self.spent(), trials)

    def spent(self) -> float:
        return self.spent_before + time.monotonic() - self.began

    def best(self) -> float | None:
        return best_so_far(self.saved.finished, self.task.objective[1])

    def needed(self) -> set[str]:
        return needed_weights(self.schedule, self.saved.finished, self.task.objective[1])

    def save(self) -> None:
        self.saved.oracle = self.oracle.state()
        self.saved.seconds = round(self.spent(), 3)
        self.file.save(self.saved)

    def say_warm(self, warm: WarmStart) -> None:
        if warm.configurations:
            left_out = f"; {warm.left_out} others do not fit this space" if warm.left_out else ""
            self.view.said(f"the {len(warm.configurations)} best of {warm.study} are tried first{left_out}")

    def check_weights(self) -> None:
        missing = sorted(trial for trial in self.needed() if not weights_path(self.weights, trial).is_file())
        if missing:
            raise EcgStudyError(
                f"{self.weights}: the weights of trial {missing[0]} are missing, cannot go on; "
                "put them back, or give --fresh"
            )


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with locked(directory.parent / f".{directory.name}.lock") as ours:
        if not ours:
            raise EcgStudyError(f"{directory}: another process is searching here; wait for it, or use another --out")
        yield
