"""The final training of the best models: all training records, several seeds, side by side on the workers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.errors import EcgStudyError
from ecg_study.files import write_bytes, write_json
from ecg_study.models.card import DETECTOR
from ecg_study.progress import Progress
from ecg_study.search_spaces.presets import PLATEAU
from ecg_study.training.environment import PACKAGES, environment
from ecg_study.training.executors.base import (
    EpochFinished,
    Event,
    Executor,
    Job,
    TrialFinished,
    TrialInterrupted,
    WorkerLost,
)
from ecg_study.training.loop import train_final
from ecg_study.training.specs import TrainedTrial, TrainingResult, TrainingSpec
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.training.weights import load_weights
from ecg_study.tuning.state import SearchResult

if TYPE_CHECKING:
    import keras

TRAINING_FORMAT = 1
"""Raised whenever the same training would give other weights."""

_ATTEMPTS = 3


@dataclass(frozen=True)
class TrainedModel:
    """A best model, trained to the end.

    Attributes:
        task: denoiser or detector.
        number: which of the seeds, from 1; 0 for the one that thresholds are chosen with where the others are trained
            on the validation records too.
        trial: the trial whose hyperparameters were taken.
        plan: what was trained.
        outcome: history, epoch whose weights are kept, time.
        model: with the weights of that epoch.
    """

    task: str
    number: int
    trial: str
    plan: TrainingSpec
    outcome: TrainingResult
    model: keras.Model


def train_final_models(
    tasks: dict[str, TrainingTask],
    searches: dict[str, SearchResult],
    seed: int,
    directory: Path,
    open_executor: Callable[[], AbstractContextManager[Executor]],
    progress: Progress,
) -> list[TrainedModel]:
    """Train the best configuration of each search with the preset's number of seeds, or take what is there.

    What was trained is kept in ``directory`` with everything that decided it, so that a report that was stopped goes
    on, and one that is made again does not train anew.

    Args:
        tasks: the models and their data.
        searches: the search of each.
        seed: seed of the study.
        directory: where to keep the weights.
        open_workers: who trains; not called where everything is there already.
        progress: told the epochs done.

    Raises:
        StudyError: a training failed.
    """
    jobs: dict[str, Job] = {}
    numbers: dict[str, int] = {}
    for name, task in tasks.items():
        for number in _numbers(task):
            plan = _plan(task, searches[name].best().plan.hyperparameters, number)
            trains = replace(task, refit=task.preset.refit and number > 0)
            jobs[plan.id], numbers[plan.id] = Job(trains, plan, seed, train=train_final), number
    kept = _Kept(directory, seed)
    trained: dict[str, TrainedTrial] = {}
    for job in jobs.values():
        found = kept.load(job.task, job.plan)
        if found is not None:
            trained[job.plan.id] = found
    missing = [job for job in jobs.values() if job.plan.id not in trained]
    if missing:
        with open_executor() as workers:
            _train(missing, trained, kept, workers, progress)
    models = []
    for job in jobs.values():
        name, plan, result = job.task.name, job.plan, trained[job.plan.id]
        model = job.task.build(plan.hyperparameters)
        load_weights(model, result.weights or b"", plan.id)
        models.append(TrainedModel(name, numbers[plan.id], searches[name].best().plan.id, plan, result.outcome, model))
    return models


def _numbers(task: TrainingTask) -> range:
    """The seeds; and 0, for thresholds, where the others leave no records to choose them on."""
    return range(0 if task.preset.refit and task.name == DETECTOR else 1, task.preset.seeds + 1)


def _plan(task: TrainingTask, hyperparameters: dict[str, Any], number: int) -> TrainingSpec:
    return TrainingSpec(f"{task.name}-final-{number}", None, 0, 0, 0, 0, task.preset.final_epochs, hyperparameters)


def _train(
    jobs: list[Job], trained: dict[str, TrainedTrial], kept: _Kept, workers: Executor, progress: Progress
) -> None:
    """Train all jobs, several at a time; a lost worker's job is begun again."""
    waiting, running = list(jobs), {job.plan.id: job for job in jobs}
    attempts = dict.fromkeys(running, 0)
    epochs = dict.fromkeys(running, 0)
    total = sum(job.plan.epochs for job in jobs)

    def again(trial: str, reason: str) -> None:
        if attempts[trial] >= _ATTEMPTS:
            raise EcgStudyError(f"final training {trial}: {reason}; try another --seed")
        waiting.append(running[trial])

    def handle(event: Event) -> None:
        if isinstance(event, EpochFinished):
            epochs[event.trial] = event.epoch
        elif isinstance(event, WorkerLost):
            again(event.trial, event.reason)
        elif isinstance(event, TrialInterrupted):
            again(event.trial, "was stopped")
        elif isinstance(event, TrialFinished):
            reason = event.trained.outcome.reason
            if event.trained.weights is None and not event.trained.retryable:
                raise EcgStudyError(f"final training {event.trial}: {reason}; try another --seed")
            if event.trained.weights is None:
                again(event.trial, reason)
                return
            job = running.pop(event.trial)
            kept.save(job.task, job.plan, event.trained)
            trained[event.trial] = event.trained
            epochs[event.trial] = job.plan.epochs  # those not needed count as done

    try:
        while running:
            while waiting and workers.free():
                job = waiting.pop(0)
                attempts[job.plan.id] += 1
                workers.start(job)
            workers.wait(handle)
            progress("Final training, epochs", sum(epochs.values()), total)
    finally:
        workers.cancel()


class _Kept:
    """Trained weights on disk, each with what decided them."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.seed = seed

    def load(self, task: TrainingTask, plan: TrainingSpec) -> TrainedTrial | None:
        """What was trained under the very same conditions; ``None`` where nothing was, under others, or is damaged."""
        try:
            content = json.loads((self.directory / f"{plan.id}.json").read_text(encoding="utf-8"))
            if content["conditions"] != self._conditions(task, plan):
                return None
            weights = (self.directory / f"{plan.id}.npz").read_bytes()
            if hashlib.sha256(weights).hexdigest() != content["sha256"]:
                return None
            return TrainedTrial(TrainingResult(**content["outcome"]), weights)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # it is trained again

    def save(self, task: TrainingTask, plan: TrainingSpec, trained: TrainedTrial) -> None:
        weights = trained.weights or b""
        write_bytes(self.directory / f"{plan.id}.npz", weights)
        content = {
            "conditions": self._conditions(task, plan),
            "sha256": hashlib.sha256(weights).hexdigest(),
            "outcome": asdict(trained.outcome),
        }
        write_json(self.directory / f"{plan.id}.json", content)

    def _conditions(self, task: TrainingTask, plan: TrainingSpec) -> dict[str, Any]:
        versions = environment()
        return {
            "format": TRAINING_FORMAT,
            "data": task.cache.key,
            "training records": list(task.training_records),
            "validation records": [] if task.refit else list(task.split.validation),
            "hyperparameters": plan.hyperparameters,
            "epochs": plan.epochs,
            "batch size": task.preset.batch_size,
            "patience": task.preset.patience,
            "seed": self.seed,
            **({} if task.preset.schedule == PLATEAU else {"schedule": task.preset.schedule, "keeps": "last epoch"}),
            **augmentation_as_json(task),
            "versions": {name: versions[name] for name in ("Python", *PACKAGES)},
        }
