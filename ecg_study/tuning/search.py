"""Hyperband search of one model, which can be stopped and resumed at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ecg_study.errors import StateError
from ecg_study.files import remove_abandoned, write_bytes
from ecg_study.progress import raise_if_interrupted
from ecg_study.reading import MAX_NPZ_BYTES, UnreadableError, read_bytes
from ecg_study.training.executors.base import EpochFinished, Event, Executor, Job, Notice, TrialFinished, WorkerLost
from ecg_study.training.pretrained import first_weights
from ecg_study.training.specs import FAILED, FinishedTraining, TrainingOptions, TrainingSpec, Trial, failed_training
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.training.weights import weights_path
from ecg_study.tuning.checkpoints import needed_weights, remove_unneeded
from ecg_study.tuning.exports.tensorboard import TensorBoardLogs
from ecg_study.tuning.plan import SearchBudget, SearchPlan, measure_speeds, measured_speeds, plan_search
from ecg_study.tuning.schedule import check_space, schedule_of
from ecg_study.tuning.start import find_start, search_lock
from ecg_study.tuning.state import SearchResult, SearchStateFile, best_score, load_search

WEIGHTS = "weights"

_ATTEMPTS = 3
"""Attempts at a trial whose failure may not repeat, the first one included."""


class SearchView(Protocol):
    """Observer of a search, such as a display."""

    def search_began(self, plan: SearchPlan, *, finished: list[Trial], best: float | None) -> None:
        """Note that the search starts, or resumes after the finished trials; ``best`` is their best score."""

    def trial_began(self, spec: TrainingSpec) -> None:
        """Note that a trial starts, for the first time or again."""

    def epoch_ended(self, trial: str, *, epoch: int, metrics: dict[str, float]) -> None:
        """Note that an epoch of a running trial, counted from 1, has ended."""

    def trial_ended(self, trial: Trial, *, best: float | None) -> None:
        """Note that a trial has ended; ``best`` is the best score so far."""

    def notice(self, text: str) -> None:
        """Show a message to the user."""


OpenView = Callable[[], AbstractContextManager[SearchView]]
"""Returns a context manager with a view of one search."""


class _SilentView:
    """A view that shows nothing."""

    def search_began(self, plan: SearchPlan, *, finished: list[Trial], best: float | None) -> None:
        pass

    def trial_began(self, spec: TrainingSpec) -> None:
        pass

    def epoch_ended(self, trial: str, *, epoch: int, metrics: dict[str, float]) -> None:
        pass

    def trial_ended(self, trial: Trial, *, best: float | None) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


@contextmanager
def silent_view() -> Iterator[SearchView]:
    """Return a context manager with a view that shows nothing."""
    yield _SilentView()


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search.

    Attributes:
        seed: seed of the study.
        budget: limits of the search.
        warm_start: output folder of an earlier study whose best configurations are tried first.
        tensorboard: write logs for TensorBoard.
        measured: number of configurations that are timed before the start, for the time estimate.
        speeds: speeds that were measured before, instead of that.
    """

    seed: int
    budget: SearchBudget = field(default_factory=SearchBudget)
    warm_start: Path | None = None
    tensorboard: bool = False
    measured: int = 0
    speeds: tuple[Speed, ...] = ()


def run_search(
    task: TrainingTask, options: SearchOptions, *, directory: Path, executor: Executor, view: SearchView
) -> SearchResult:
    """Search a model's space until the schedule or the budget ends, resuming a search saved in ``directory``.

    The state is saved whenever a trial ends. A trial that was running when the program ended runs again.

    Args:
        task: the model and its data.
        options: seed, limits and start of the search.
        directory: folder of this search.
        executor: trains the trials.
        view: receives every event.

    Raises:
        StateError: the saved search is damaged or used other data, settings or another space, or another process
            searches in the folder.
        TrainingError: the space is too small, or no trial was completed.
    """
    check_space(task)
    with search_lock(directory):
        search = _Search(task, options, directory=directory, executor=executor, view=view)
        try:
            search.run()
        except KeyboardInterrupt:
            search.save()
            raise
        finally:
            executor.cancel()
    result = load_search(directory)
    result.best()
    return result


class _Search:
    """A running search."""

    def __init__(
        self, task: TrainingTask, options: SearchOptions, *, directory: Path, executor: Executor, view: SearchView
    ) -> None:
        from ecg_study.tuning.oracle import SearchOracle

        self.task, self.options, self.executor, self.view = task, options, executor, view
        self.weights = directory / WEIGHTS
        self.logs = TensorBoardLogs(directory / "tensorboard") if options.tensorboard else None
        self.file = SearchStateFile(directory)
        start = find_start(task, directory, seed=options.seed, warm_start=options.warm_start)
        for notice in start.notices:
            view.notice(notice)
        self.saved = saved = start.saved
        self.oracle = SearchOracle(task, seed=options.seed, warm=saved.warm)
        self.resumed = bool(saved.oracle)
        if self.resumed:
            with self.reading_state():
                self.oracle.restore(saved.oracle)
        self.schedule = schedule_of(task.preset)
        self.running: dict[str, TrainingSpec] = {}
        self.to_repeat: list[TrainingSpec] = []
        self.attempts: dict[str, int] = {}
        self.began = time.monotonic()
        self.spent_before = saved.seconds

    def run(self) -> None:
        """Run trials until the schedule or the budget ends."""
        self.check_weights()
        for directory in (self.file.directory, self.weights):
            remove_abandoned(directory)
        remove_unneeded(self.weights, self.needed())
        finished, options = self.saved.finished, self.options
        if not self.saved.done:
            self.saved.stopped = ""  # that of the last run, which had other limits
            self.save()  # a folder without write permission is an error before anything is trained
        plan = plan_search(
            self.task,
            executor=self.executor,
            budget=options.budget,
            speeds=measured_speeds(finished) if finished else self.first_speeds(),
            spent=self.spent_before,
        )
        self.view.search_began(plan, finished=finished, best=self.best())
        if self.saved.done:
            return
        while True:
            more = self.start_trials()
            if not self.running and not more:
                break
            self.executor.wait(self.handle)
            raise_if_interrupted()
        self.saved.done = len(finished) == plan.trials or not self.exhausted_limit()
        self.saved.stopped = "" if self.saved.done else self.exhausted_limit()
        self.save()

    def first_speeds(self) -> Sequence[Speed]:
        """Return the speeds of configurations before the first trial."""
        options = self.options
        if options.speeds:
            return options.speeds
        return measure_speeds(
            self.task, seed=options.seed, executor=self.executor, count=options.measured, warm=self.saved.warm
        )

    def start_trials(self) -> bool:
        """Start as many trials as workers and budget allow; return whether more workers could start more."""
        while not self.exhausted_limit():
            if not self.executor.free():
                return True
            with self.reading_state():
                spec = self.to_repeat.pop(0) if self.to_repeat else self.oracle.next_trial()
            if spec is None:
                return False
            if spec.parent in {trial.spec.id for trial in self.saved.finished if trial.result.status == FAILED}:
                # A failed trial has the worst score, so it is promoted if fewer trials of its rung were completed than
                # are promoted. It has no weights to continue from.
                self.conclude(spec, failed_training(f"continues trial {spec.parent}, which failed"))
                continue
            self.running[spec.id] = spec
            self.attempts[spec.id] = self.attempts.get(spec.id, 0) + 1
            self.view.trial_began(spec)
            parent = spec.parent
            start = self.weights_of(parent) if parent else first_weights(self.task, spec.hyperparameters)
            left = self.options.budget.remaining_seconds(self.spent())
            options = TrainingOptions.for_search(self.task)
            self.executor.start(Job(self.task, spec, options, self.options.seed, start, left))
        return False

    def weights_of(self, trial: str) -> bytes:
        """Return the packed weights of a trial."""
        path = weights_path(self.weights, trial)
        try:
            return read_bytes(path, limit=MAX_NPZ_BYTES)
        except UnreadableError as error:
            raise StateError(f"{path}: {error}; restore it, or restart the search") from error

    @contextmanager
    def reading_state(self) -> Iterator[None]:
        """Raise an error of Keras Tuner in a resumed search as damage of the saved state."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if not self.resumed:
                raise
            raise self.file.not_resumable("the state of Keras Tuner does not fit the search") from error

    def handle(self, event: Event) -> None:
        """Process an event of the executor."""
        if isinstance(event, Notice):
            self.view.notice(event.text)
        elif isinstance(event, EpochFinished):
            self.view.epoch_ended(event.trial, epoch=event.epoch, metrics=event.metrics)
        else:
            spec = self.running.pop(event.trial)
            if isinstance(event, TrialFinished):
                self.take(spec, event.training)
            elif isinstance(event, WorkerLost):
                self.take(spec, failed_training(event.reason, retryable=True))
            elif not self.exhausted_limit():
                self.to_repeat.append(spec)  # it was stopped although there is time left

    def take(self, spec: TrainingSpec, trained: FinishedTraining) -> None:
        """Repeat a trial whose failure may not repeat, or conclude it."""
        attempts = self.attempts.get(spec.id, 1)
        if trained.retryable and attempts < _ATTEMPTS:
            reason = trained.result.reason
            self.view.notice(f"trial {spec.id}: {reason}; starting attempt {attempts + 1} of {_ATTEMPTS}")
            self.to_repeat.append(spec)
            return
        self.conclude(spec, replace(trained, result=replace(trained.result, attempts=attempts)))

    def conclude(self, spec: TrainingSpec, trained: FinishedTraining) -> None:
        """Keep the result of a trial: first its weights, then the state that names them; then remove old weights."""
        if trained.weights is not None:
            write_bytes(weights_path(self.weights, spec.id), trained.weights)
        self.oracle.finish(spec.id, trained.result.score)
        trial = Trial(spec, trained.result, round(self.spent(), 3))
        self.saved.finished.append(trial)
        self.save()
        remove_unneeded(self.weights, self.needed())
        if self.logs is not None:
            self.logs.write(trial)
        self.view.trial_ended(trial, best=self.best())

    def exhausted_limit(self) -> str:
        """Return the limit that is reached, counting running trials; empty if there is none."""
        trials = len(self.saved.finished) + len(self.running)
        return self.options.budget.exhausted_limit(self.spent(), trials=trials)

    def spent(self) -> float:
        """Return the search time in s, over all runs of the program."""
        return self.spent_before + time.monotonic() - self.began

    def best(self) -> float | None:
        """Return the best score so far."""
        return best_score(self.saved.finished, self.task.objective[1])

    def needed(self) -> set[str]:
        """Return the ids of the trials whose weights are still needed."""
        return needed_weights(self.saved.finished, schedule=self.schedule, direction=self.task.objective[1])

    def save(self) -> None:
        """Save the state."""
        self.saved.oracle = self.oracle.state()
        self.saved.seconds = round(self.spent(), 3)
        self.file.save(self.saved)

    def check_weights(self) -> None:
        """Refuse to resume without the weights that trials continue from."""
        missing = sorted(trial for trial in self.needed() if not weights_path(self.weights, trial).is_file())
        if missing:
            raise StateError(
                f"{self.weights}: the weights of trial {missing[0]} are missing, so the search cannot resume; "
                "restore them, or pass restart to search to start over",
                parameters=("restart",),
            )
