"""The final training of the best models: all training records, several seeds, side by side on the workers."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_data import Progress, StudyError
from ecg_data.files import write_bytes, write_json
from search_spaces.presets import COSINE, PLATEAU
from tuning.environment import PACKAGES, environment
from tuning.interrupts import raise_if_interrupted
from tuning.seeding import seed_everything
from tuning.state import SearchResult
from tuning.tasks import DETECTOR, Task, augmentation_as_json
from tuning.trials import (
    COMPLETED,
    DIVERGED,
    FAILED,
    EpochCallback,
    TrainedTrial,
    TrialOutcome,
    TrialPlan,
    TrialStopped,
    failed_trial,
    trial_seed,
)
from tuning.weights import copy_variables, load_weights, pack_weights
from tuning.workers import Ended, EpochEnded, Event, Job, Lost, Stopped, Workers

if TYPE_CHECKING:
    import keras

FORMAT = 1
"""Raised whenever the same training would give other weights."""

_DECIDES = "val_loss"
"""What decides, on a plateau schedule, when to stop and which weights to keep. For the detector too: near its top the
area under the curve of windows, which ranked the trials, hangs on a few windows and jumps from epoch to epoch; the loss
does not."""

_ATTEMPTS = 3


@dataclass(frozen=True)
class FinalModel:
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
    plan: TrialPlan
    outcome: TrialOutcome
    model: keras.Model


def train_final(
    task: Task,
    plan: TrialPlan,
    seed: int,
    parent: bytes | None = None,
    on_epoch: EpochCallback | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> TrainedTrial:
    """Train a configuration from fresh weights on all training records; the counterpart of `train_trial`.

    The learning rate follows the preset's schedule. On a plateau schedule training ends when the validation loss stands
    still for the preset's patience, and the weights of the best epoch are kept. A cosine schedule is made to be run to
    its end, and its last weights are kept: so the model that thresholds are chosen with, which is validated, ends as do
    those that are trained on the validation records too, which cannot be. Test records play no part.

    Args:
        task: the model and its data.
        plan: configuration and most epochs.
        seed: seed of the study.
        parent: none; final trainings begin anew.
        on_epoch: told of each epoch.
        asked_to_stop: asked after each batch.

    Raises:
        TrialStopped: ``asked_to_stop`` said so.
    """
    assert parent is None
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(trial_seed(seed, task.name, plan.id))
    try:
        model = task.build(plan.hyperparameters)
        stop, callbacks = _callbacks(task, plan.epochs, on_epoch, asked_to_stop)
        to_the_end = task.refit or task.preset.schedule == COSINE
        fitted = model.fit(
            task.training_batches(trial_seed(seed, task.name, f"{plan.id}/data"), None),
            validation_data=None if task.refit else task.validation_batches(),
            epochs=plan.epochs,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    except (OSError, StudyError, TrialStopped):
        raise
    except Exception as error:  # noqa: BLE001  # whatever training trips over is this training's failure
        return failed_trial(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", worth_retrying=True)
    history = epoch_rows(fitted.history)
    seconds = round(time.monotonic() - started, 3)
    scores = fitted.history.get("loss" if task.refit else _DECIDES, [])
    if not any(math.isfinite(score) for score in scores) or (to_the_end and not math.isfinite(scores[-1])):
        return TrainedTrial(TrialOutcome(FAILED, None, None, history, seconds, reason=DIVERGED), None)
    best, score = (len(scores), scores[-1]) if to_the_end else (stop.best_epoch + 1, stop.best)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    outcome = TrialOutcome(COMPLETED, float(score), best, history, seconds, parameters)
    return TrainedTrial(outcome, pack_weights(copy_variables(model)))


def _callbacks(
    task: Task, epochs: int, on_epoch: EpochCallback | None, asked_to_stop: Callable[[], bool]
) -> tuple[Any, list[Any]]:
    import keras

    patience = task.preset.patience
    stop = keras.callbacks.EarlyStopping(_DECIDES, mode="min", patience=patience, restore_best_weights=True)
    if task.preset.schedule == COSINE:
        slower: Any = _cosine(task.training_steps(), epochs)
    else:
        slower = keras.callbacks.ReduceLROnPlateau(
            _DECIDES, mode="min", factor=0.5, patience=max(1, patience // 2), min_delta=0
        )

    def batch_ended() -> None:
        raise_if_interrupted()
        if asked_to_stop():
            raise TrialStopped

    def epoch_ended(epoch: int, logs: dict[str, Any]) -> None:
        if on_epoch is not None:
            on_epoch(epoch + 1, {name: float(value) for name, value in logs.items()})

    said = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: batch_ended(), on_epoch_end=epoch_ended)
    return stop, [slower, said] if task.refit or task.preset.schedule == COSINE else [stop, slower, said]


def _cosine(steps: int, epochs: int) -> Any:
    """The learning rate batch by batch: it rises from 0 over the first epoch, and falls to 0 along half a cosine."""
    import keras

    class Cosine(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
            self.highest, self.done = float(self.model.optimizer.learning_rate), 0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            progress = max(0.0, self.done - steps) / max(1, (epochs - 1) * steps)
            rate = (self.done + 1) / steps if self.done < steps else (1 + math.cos(math.pi * progress)) / 2
            self.model.optimizer.learning_rate.assign(self.highest * min(1.0, rate))
            self.done += 1

    return Cosine()


def epoch_rows(logs: dict[str, list[float]]) -> list[dict[str, float]]:
    """One row an epoch; what is not finite is left out, since NaN is no JSON."""
    epochs = range(len(next(iter(logs.values()), [])))
    rows = [{name: float(values[epoch]) for name, values in logs.items()} for epoch in epochs]
    return [
        {"epoch": epoch + 1, **{name: value for name, value in row.items() if math.isfinite(value)}}
        for epoch, row in enumerate(rows)
    ]


def train_final_models(
    tasks: dict[str, Task],
    searches: dict[str, SearchResult],
    seed: int,
    directory: Path,
    open_workers: Callable[[], AbstractContextManager[Workers]],
    progress: Progress,
) -> list[FinalModel]:
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
        with open_workers() as workers:
            _train(missing, trained, kept, workers, progress)
    models = []
    for job in jobs.values():
        name, plan, result = job.task.name, job.plan, trained[job.plan.id]
        model = job.task.build(plan.hyperparameters)
        load_weights(model, result.weights or b"", plan.id)
        models.append(FinalModel(name, numbers[plan.id], searches[name].best().plan.id, plan, result.outcome, model))
    return models


def _numbers(task: Task) -> range:
    """The seeds; and 0, for thresholds, where the others leave no records to choose them on."""
    return range(0 if task.preset.refit and task.name == DETECTOR else 1, task.preset.seeds + 1)


def _plan(task: Task, hyperparameters: dict[str, Any], number: int) -> TrialPlan:
    return TrialPlan(f"{task.name}-final-{number}", None, 0, 0, 0, 0, task.preset.final_epochs, hyperparameters)


def _train(
    jobs: list[Job], trained: dict[str, TrainedTrial], kept: _Kept, workers: Workers, progress: Progress
) -> None:
    """Train all jobs, several at a time; a lost worker's job is begun again."""
    waiting, running = list(jobs), {job.plan.id: job for job in jobs}
    attempts = dict.fromkeys(running, 0)
    epochs = dict.fromkeys(running, 0)
    total = sum(job.plan.epochs for job in jobs)

    def again(trial: str, reason: str) -> None:
        if attempts[trial] >= _ATTEMPTS:
            raise StudyError(f"final training {trial}: {reason}; try another --seed")
        waiting.append(running[trial])

    def handle(event: Event) -> None:
        if isinstance(event, EpochEnded):
            epochs[event.trial] = event.epoch
        elif isinstance(event, Lost):
            again(event.trial, event.reason)
        elif isinstance(event, Stopped):
            again(event.trial, "was stopped")
        elif isinstance(event, Ended):
            reason = event.trained.outcome.reason
            if event.trained.weights is None and not event.trained.worth_retrying:
                raise StudyError(f"final training {event.trial}: {reason}; try another --seed")
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

    def load(self, task: Task, plan: TrialPlan) -> TrainedTrial | None:
        """What was trained under the very same conditions; ``None`` where nothing was, under others, or is damaged."""
        try:
            content = json.loads((self.directory / f"{plan.id}.json").read_text(encoding="utf-8"))
            if content["conditions"] != self._conditions(task, plan):
                return None
            weights = (self.directory / f"{plan.id}.npz").read_bytes()
            if hashlib.sha256(weights).hexdigest() != content["sha256"]:
                return None
            return TrainedTrial(TrialOutcome(**content["outcome"]), weights)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # it is trained again

    def save(self, task: Task, plan: TrialPlan, trained: TrainedTrial) -> None:
        weights = trained.weights or b""
        write_bytes(self.directory / f"{plan.id}.npz", weights)
        content = {
            "conditions": self._conditions(task, plan),
            "sha256": hashlib.sha256(weights).hexdigest(),
            "outcome": asdict(trained.outcome),
        }
        write_json(self.directory / f"{plan.id}.json", content)

    def _conditions(self, task: Task, plan: TrialPlan) -> dict[str, Any]:
        versions = environment()
        return {
            "format": FORMAT,
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
