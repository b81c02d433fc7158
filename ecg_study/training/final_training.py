"""Final training of the best models: all training records, several seeds, in parallel, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecg_study.errors import StateError, TrainingError
from ecg_study.files import write_bytes, write_json
from ecg_study.progress import Progress
from ecg_study.reading import MAX_NPZ_BYTES, read_bytes, read_json
from ecg_study.search_spaces.presets import DEFAULT_OPTIMIZER, PLATEAU
from ecg_study.training.environment import environment, packages
from ecg_study.training.executors.base import (
    EpochFinished,
    Event,
    Executor,
    Job,
    TrialFinished,
    TrialInterrupted,
    WorkerLost,
)
from ecg_study.training.pretrained import first_weights, start_of
from ecg_study.training.specs import FinishedTraining, TrainingOptions, TrainingResult, TrainingSpec, Trial
from ecg_study.training.steps.saved_state import TrainingStateFile
from ecg_study.training.stored import StoredResult
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.training.weights import load_weights

if TYPE_CHECKING:
    import keras

TRAINING_FORMAT = 2
"""Increase it whenever the same training would give other weights."""

_ATTEMPTS = 3

Role = Literal["final", "thresholds"]
"""Use of a model: it is reported and saved, or it only selects the thresholds of refitted models."""


@dataclass(frozen=True)
class TrainedModel:
    """A best configuration after its final training.

    Attributes:
        task: denoiser or detector.
        seed_index: number of the seed, from 1.
        role: ``"thresholds"`` if thresholds are selected with it because the final models are refitted on the
            validation records too.
        trial: id of the trial with these hyperparameters.
        spec: the training.
        result: history, epoch whose weights are kept, time.
        model: with the weights of that epoch.
        pretrained: name of the model from whose weights it started; empty for random weights.
    """

    task: str
    seed_index: int
    role: Role
    trial: str
    spec: TrainingSpec
    result: TrainingResult
    model: keras.Model
    pretrained: str = ""


def train_final_models(
    tasks: Mapping[str, TrainingTask],
    best: Mapping[str, Trial],
    *,
    seed: int,
    directory: Path,
    open_executor: Callable[[], AbstractContextManager[Executor]],
    progress: Progress,
) -> list[TrainedModel]:
    """Train the best configuration of each task with the preset's number of seeds, or read the trained weights.

    Weights are kept in ``directory`` with all conditions that determine them. A report that was stopped continues with
    them, and a report that is written again trains nothing. On this machine, a training that was stopped resumes.

    Args:
        tasks: the models and their data.
        best: best trial of each task.
        seed: seed of the study.
        directory: folder of the weights.
        open_executor: opens the executor; not called if all weights exist.
        progress: called with the number of finished epochs.

    Raises:
        TrainingError: a training failed.
    """
    kept = _KeptTrainings(directory, seed)
    jobs: dict[str, Job] = {}
    roles: dict[str, tuple[int, Role]] = {}
    for name, task in tasks.items():
        for seed_index, role in final_roles(task):
            spec = _spec(task, best[name].spec.hyperparameters, seed_index, role)
            trained_task = replace(task, refit=task.preset.refit and role == "final")
            state_file = kept.state_file(trained_task, spec)
            options = TrainingOptions.for_final(trained_task)
            start = first_weights(trained_task, spec.hyperparameters)
            jobs[spec.id] = Job(trained_task, spec, options, seed, start, state_file=state_file)
            roles[spec.id] = seed_index, role
    finished: dict[str, FinishedTraining] = {}
    for job in jobs.values():
        found = kept.load(job.task, job.spec)
        if found is not None:
            finished[job.spec.id] = found
    missing = [job for job in jobs.values() if job.spec.id not in finished]
    if missing:
        for job in missing:
            _remove_other_state(job)
        with open_executor() as executor:
            _train(missing, finished, kept, executor, progress)
    models = []
    for job in jobs.values():
        name, spec, training = job.task.name, job.spec, finished[job.spec.id]
        model = build_trained(job.task, spec, training=training)
        origin = start_of(job.task, spec.hyperparameters)
        started_from = "" if origin is None else origin.name
        models.append(
            TrainedModel(name, *roles[spec.id], best[name].spec.id, spec, training.result, model, started_from)
        )
    return models


def build_trained(task: TrainingTask, spec: TrainingSpec, *, training: FinishedTraining) -> keras.Model:
    """Build the model of a finished training with its weights."""
    model = task.build(spec.hyperparameters)
    load_weights(model, training.weights or b"", trial=spec.id)
    return model


def final_roles(task: TrainingTask) -> list[tuple[int, Role]]:
    """Return seed and role of each training of a task."""
    final: list[tuple[int, Role]] = [(index, "final") for index in range(1, task.preset.seeds + 1)]
    # Refitting leaves no records to select thresholds on.
    return [(1, "thresholds"), *final] if task.preset.refit and task.has_thresholds else final


def _spec(task: TrainingTask, hyperparameters: dict[str, Any], seed_index: int, role: Role) -> TrainingSpec:
    # The number is part of file names, and the random seeds are derived from the id.
    number = seed_index if role == "final" else 0
    return TrainingSpec(
        id=f"{task.name}-final-{number}", epochs=task.preset.final_epochs, hyperparameters=hyperparameters
    )


def _train(
    jobs: list[Job],
    finished: dict[str, FinishedTraining],
    kept: _KeptTrainings,
    executor: Executor,
    progress: Progress,
) -> None:
    """Run all jobs, several at a time; repeat the job of a lost worker."""
    waiting, running = list(jobs), {job.spec.id: job for job in jobs}
    attempts = dict.fromkeys(running, 0)
    epochs = dict.fromkeys(running, 0)
    total = sum(job.spec.epochs for job in jobs)

    def repeat(trial: str, reason: str, *, retryable: bool = True) -> None:
        if not retryable or attempts[trial] >= _ATTEMPTS:
            raise TrainingError(f"final training {trial}: {reason}; try another seed", parameters=["seed"])
        waiting.append(running[trial])

    def handle(event: Event) -> None:
        if isinstance(event, EpochFinished):
            epochs[event.trial] = event.epoch
        elif isinstance(event, WorkerLost):
            repeat(event.trial, event.reason)
        elif isinstance(event, TrialInterrupted):
            repeat(event.trial, "was stopped")
        elif isinstance(event, TrialFinished):
            training = event.training
            if training.weights is None:
                repeat(event.trial, training.result.reason, retryable=training.retryable)
                return
            job = running.pop(event.trial)
            kept.save(job.task, job.spec, training)
            finished[event.trial] = training
            epochs[event.trial] = job.spec.epochs  # epochs after an early stop count as done

    try:
        while running:
            while waiting and executor.free():
                job = waiting.pop(0)
                attempts[job.spec.id] += 1
                executor.start(job)
            executor.wait(handle)
            progress("Final training, epochs", sum(epochs.values()), total)
    finally:
        executor.cancel()


def _remove_other_state(job: Job) -> None:
    """Remove a saved state that is damaged, or of another training: that training is not asked for any more."""
    assert job.state_file is not None
    try:
        job.state_file.load()
    except StateError:
        job.state_file.path.unlink()


class _KeptTrainings:
    """Trained weights on disk with the conditions that determine them."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.seed = seed

    def load(self, task: TrainingTask, spec: TrainingSpec) -> FinishedTraining | None:
        """Return the training with exactly these conditions; ``None`` if it is missing or damaged."""
        try:
            content = read_json(self.directory / f"{spec.id}.json")
            if content["conditions"] != self._conditions(task, spec):
                return None
            weights = read_bytes(self.directory / f"{spec.id}.npz", limit=MAX_NPZ_BYTES)
            if hashlib.sha256(weights).hexdigest() != content["sha256"]:
                return None
            StoredResult.model_validate(content["outcome"])
            return FinishedTraining(TrainingResult(**content["outcome"]), weights)
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None  # it is trained again

    def state_file(self, task: TrainingTask, spec: TrainingSpec) -> TrainingStateFile:
        """Return the state file of an unfinished training."""
        return TrainingStateFile(self.directory.resolve() / f"{spec.id}.state.npz", self._conditions(task, spec))

    def save(self, task: TrainingTask, spec: TrainingSpec, training: FinishedTraining) -> None:
        weights = training.weights or b""
        write_bytes(self.directory / f"{spec.id}.npz", weights)
        content = {
            "conditions": self._conditions(task, spec),
            "sha256": hashlib.sha256(weights).hexdigest(),
            "outcome": asdict(training.result),
        }
        write_json(self.directory / f"{spec.id}.json", content)
        self.state_file(task, spec).path.unlink(missing_ok=True)

    def _conditions(self, task: TrainingTask, spec: TrainingSpec) -> dict[str, Any]:
        last = {} if task.preset.schedule == PLATEAU else {"keeps": "last epoch"}
        return {**_common_conditions(task, spec, seed=self.seed), "epochs": spec.epochs, **last}


def training_conditions(
    task: TrainingTask, spec: TrainingSpec, *, options: TrainingOptions, seed: int
) -> dict[str, Any]:
    """Return everything that determines the weights of a long training but its length, as JSON.

    Args:
        task: the model and its data.
        spec: the configuration.
        options: what is kept, and how often it is validated.
        seed: seed of the study.
    """
    return {**_common_conditions(task, spec, seed=seed), "validate every": options.validate_every}


def _common_conditions(task: TrainingTask, spec: TrainingSpec, *, seed: int) -> dict[str, Any]:
    versions, preset = environment(), task.preset
    return {
        "format": TRAINING_FORMAT,
        "data": task.cache.key,
        "training records": list(task.training_records),
        "validation records": [] if task.refit else list(task.split.validation),
        "hyperparameters": spec.hyperparameters,
        "batch size": task.batch_size,
        "patience": preset.patience,
        "seed": seed,
        **({} if preset.schedule == PLATEAU else {"schedule": preset.schedule}),
        **({} if preset.warmup is None else {"warmup": preset.warmup}),
        **({} if preset.optimizer == DEFAULT_OPTIMIZER else {"optimizer": asdict(preset.optimizer)}),
        **augmentation_as_json(task, spec.hyperparameters),
        **({"shares": dict(task.shares)} if task.shares else {}),
        **({} if (start := start_of(task, spec.hyperparameters)) is None else {"start from": start.sha256}),
        "versions": {name: versions[name] for name in ("Python", *packages())},
    }
