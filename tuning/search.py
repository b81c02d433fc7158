"""The search of one model: Hyperband from start to end, resumable after every trial."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ecg_data import StudyError
from tuning.interrupts import raise_if_interrupted
from tuning.schedule import Rung, schedule_of
from tuning.state import FinishedTrial, SearchResult, StateFile, best_so_far, finished_trials, load_search
from tuning.tasks import Task
from tuning.trials import COMPLETED, FAILED, TrialOutcome, TrialPlan, train_trial
from tuning.weights import weights_path

WEIGHTS = "weights"


class SearchView(Protocol):
    """Who watches a search."""

    def search_began(
        self, task: str, schedule: tuple[Rung, ...], finished: list[FinishedTrial], best: float | None
    ) -> None:
        """The search starts, or goes on behind these finished trials with the best score of them."""

    def trial_began(self, plan: TrialPlan) -> None:
        """A trial starts."""

    def epoch_ended(self, plan: TrialPlan, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch, counted from 1, is done."""

    def trial_ended(self, trial: FinishedTrial, best: float | None) -> None:
        """A trial is done, and this is the best score so far."""


def search_directory(out: Path, task: str) -> Path:
    """Where a study keeps the search of one model."""
    return out / "search" / task


def run_search(task: Task, seed: int, directory: Path, view: SearchView, fresh: bool = False) -> SearchResult:
    """Search a model's space to the end, going on from what ``directory`` holds.

    The state is saved after every trial. A trial that was running when the program ended is run again.

    Args:
        task: the model and its data.
        seed: seed of the study.
        directory: folder of this search.
        view: told of every step.
        fresh: set an earlier search aside (renamed, not deleted) and begin anew.

    Raises:
        StudyError: the folder holds a search of other data, settings or space; its state is damaged; every trial
            failed.
    """
    from tuning.oracle import SearchOracle

    file = StateFile(directory)
    identity = search_identity(task, seed)
    if fresh:
        file.set_aside()
    saved = file.load()
    oracle = SearchOracle(task, seed)
    finished: list[FinishedTrial] = []
    if saved is not None:
        file.check_same(saved["identity"], identity)
        finished = finished_trials(saved)
        _check_weights(finished, directory / WEIGHTS)
        oracle.restore(saved["oracle"])
    view.search_began(task.name, schedule_of(task.preset), finished, best_so_far(finished, task.objective[1]))
    failed = {trial.plan.id for trial in finished if trial.outcome.status == FAILED}
    while (asked := oracle.next_trial()) is not None:
        plan, hp = asked
        file.save(identity, oracle.state(), finished)
        view.trial_began(plan)
        raise_if_interrupted()
        outcome = _train(task, plan, hp, seed, directory / WEIGHTS, view, failed)
        oracle.finish(plan.id, outcome.score)
        if outcome.status == FAILED:
            failed.add(plan.id)
        finished.append(FinishedTrial(plan, outcome))
        file.save(identity, oracle.state(), finished)
        view.trial_ended(finished[-1], best_so_far(finished, task.objective[1]))
    file.save(identity, oracle.state(), finished, done=True)
    result = load_search(directory)
    result.best()
    return result


def load_same_search(task: Task, seed: int, directory: Path) -> SearchResult:
    """Read a finished search, and check that it was of this task, data and seed.

    Raises:
        StudyError: there is none, it is damaged, it was of something else, or it is not finished.
    """
    result = load_search(directory)
    StateFile(directory).check_same(result.identity, search_identity(task, seed))
    if not result.done:
        planned = sum(rung.trials for rung in schedule_of(task.preset))
        ran = len(result.trials)
        raise StudyError(f"{directory}: {ran} of {planned} trials are done; go on with 'study.py search' first")
    return result


def search_identity(task: Task, seed: int) -> dict[str, Any]:
    """Everything that decides what a search explores, as JSON."""
    from tuning.oracle import hyperparameter_space

    preset = asdict(task.preset)
    sizes = ("max_epochs", "factor", "iterations", "batch_size", "segments_per_epoch")
    return {
        "task": task.name,
        "objective": list(task.objective),
        "data": task.cache.key,
        "data settings": asdict(task.cache.settings),
        "training records": list(task.split.train),
        "validation records": list(task.split.validation),
        "preset": task.preset.name,
        "sizes": {name: preset[name] for name in sizes},
        "space": hyperparameter_space(task),
        "seed": seed,
    }


def _train(
    task: Task, plan: TrialPlan, hp: Any, seed: int, weights: Path, view: SearchView, failed: set[str]
) -> TrialOutcome:
    if plan.parent in failed:
        # Only where a whole rung failed is a failed trial promoted; it left no weights to go on from.
        return TrialOutcome(FAILED, None, None, reason=f"goes on from trial {plan.parent}, which failed")
    return train_trial(task, plan, hp, seed, weights, lambda epoch, metrics: view.epoch_ended(plan, epoch, metrics))


def _check_weights(finished: list[FinishedTrial], weights: Path) -> None:
    missing = [
        trial.plan.id
        for trial in finished
        if trial.outcome.status == COMPLETED and not weights_path(weights, trial.plan.id).is_file()
    ]
    if missing:
        raise StudyError(
            f"{weights}: the weights of trial {missing[0]} are missing, cannot go on; put them back, or give --fresh"
        )
