"""One trial: what it is, and its training."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ecg_data import StudyError
from tuning.interrupts import raise_if_interrupted
from tuning.seeding import seed_everything
from tuning.tasks import Task
from tuning.weights import copy_variables, load_weights, pack_weights

COMPLETED, FAILED = "completed", "failed"

DIVERGED = "its loss was never a finite number: training diverged"

EpochCallback = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number, from 1, and its metrics."""


@dataclass(frozen=True)
class TrialPlan:
    """What a trial is to do. Epochs ``initial_epoch + 1`` to ``epochs`` are trained, from the parent's weights.

    Attributes:
        id: number of the configuration, in the order in which they are drawn, and rung: ``"007-r1"``. It does not
            depend on how many workers there are.
        parent: the trial of the same configuration one rung below.
        iteration: which of Hyperband's iterations, from 0.
        bracket: how many rungs its bracket has, less one.
        rung: from 0.
        initial_epoch: epochs that the parent has trained.
        epochs: epochs after this trial.
        hyperparameters: the configuration.
    """

    id: str
    parent: str | None
    iteration: int
    bracket: int
    rung: int
    initial_epoch: int
    epochs: int
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class TrialOutcome:
    """What came of a trial.

    Attributes:
        status: `COMPLETED` or `FAILED`.
        score: the best validation objective; ``None`` for a failed trial.
        best_epoch: the epoch of that score, whose weights are kept, counted from 1 over all rungs.
        history: metrics of each epoch of this trial.
        seconds: wall-clock time of the last attempt.
        parameters: trainable weights of the model.
        reason: why it failed.
        attempts: how often it was begun in this run of the program, until it completed or was given up.
    """

    status: str
    score: float | None
    best_epoch: int | None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    parameters: int | None = None
    reason: str = ""
    attempts: int = 1


@dataclass(frozen=True)
class TrainedTrial:
    """A trial as it comes from its training.

    Attributes:
        outcome: what came of it.
        weights: of the epoch that is kept, the bytes of an ``.npz`` file; ``None`` for a failed trial.
        worth_retrying: another attempt may end otherwise. Not so where training diverged or the model cannot be
            built: each trial has its own fixed seed, and would do the same again.
    """

    outcome: TrialOutcome
    weights: bytes | None
    worth_retrying: bool = False


class TrainFunction(Protocol):
    """Trains what a plan says: `train_trial`, or the final training."""

    def __call__(
        self,
        task: Task,
        plan: TrialPlan,
        seed: int,
        parent: bytes | None = None,
        on_epoch: EpochCallback | None = None,
        asked_to_stop: Callable[[], bool] = ...,
    ) -> TrainedTrial:
        """See `train_trial`."""


class TrialStopped(Exception):  # noqa: N818  # no error: it was asked for
    """Training was told to stop before its end."""


def trial_seed(seed: int, task: str, trial: str) -> int:
    """The seed of weights and shuffling of one trial, from the study's seed and the trial's id."""
    return zlib.crc32(f"{seed}/{task}/{trial}".encode())


def is_better(score: float, than: float | None, direction: str) -> bool:
    """Whether a finite score beats another; anything beats ``None``, NaN beats nothing."""
    if not math.isfinite(score):
        return False
    return than is None or (score < than if direction == "min" else score > than)


def failed_trial(reason: str, seconds: float = 0.0, worth_retrying: bool = False) -> TrainedTrial:
    """A trial of which nothing came."""
    return TrainedTrial(TrialOutcome(FAILED, None, None, seconds=seconds, reason=reason), None, worth_retrying)


def train_trial(
    task: Task,
    plan: TrialPlan,
    seed: int,
    parent: bytes | None = None,
    on_epoch: EpochCallback | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> TrainedTrial:
    """Train one trial.

    An error of the model or of its training makes a failed trial. An error of the disk, or of the
    parent's weights, is raised: it would hit other trials too.

    Args:
        task: the model and its data.
        plan: what to train, from where to where.
        seed: seed of the study.
        parent: the weights of ``plan.parent``, needed where there is one.
        on_epoch: told of each epoch.
        asked_to_stop: asked after each batch.

    Raises:
        TrialStopped: ``asked_to_stop`` said so.
    """
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(trial_seed(seed, task.name, plan.id))
    best = _BestWeights(task.objective, on_epoch, asked_to_stop)
    parameters = None
    failure: Exception | None = None
    try:
        model = task.build(plan.hyperparameters)
        parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        if plan.parent is not None:
            load_weights(model, parent or b"", plan.parent)
        best.model = model
        model.fit(
            task.training_batches(trial_seed(seed, task.name, f"{plan.id}/data"), task.preset.segments_per_epoch),
            validation_data=task.validation_batches(),
            initial_epoch=plan.initial_epoch,
            epochs=plan.epochs,
            callbacks=[best.callback()],
            shuffle=False,
            verbose=0,
        )
    except (OSError, StudyError, TrialStopped):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a configuration makes Keras raise is that trial's failure
        failure = error
    seconds = round(time.monotonic() - started, 3)
    if failure is not None:
        reason, retry = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}", parameters is not None
    elif best.score is None:
        reason, retry = DIVERGED, False
    else:
        outcome = TrialOutcome(COMPLETED, best.score, best.epoch, best.history, seconds, parameters)
        return TrainedTrial(outcome, pack_weights(best.weights))
    # A lack of memory may be another process's doing, even while the model is built.
    retry = retry or isinstance(failure, MemoryError) or type(failure).__name__ == "ResourceExhaustedError"
    return TrainedTrial(TrialOutcome(FAILED, None, None, best.history, seconds, parameters, reason), None, retry)


class _BestWeights:
    """Keeps the history of a training and the weights of its best epoch."""

    def __init__(
        self, objective: tuple[str, str], on_epoch: EpochCallback | None, asked_to_stop: Callable[[], bool]
    ) -> None:
        self.model: Any = None
        self.metric, self.direction = objective
        self.on_epoch = on_epoch
        self.asked_to_stop = asked_to_stop
        self.score: float | None = None
        self.epoch: int | None = None
        self.weights: list[np.ndarray] = []
        self.history: list[dict[str, float]] = []

    def callback(self) -> Any:
        import keras

        return keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda _, logs: self._batch_ended(logs),
            on_epoch_end=lambda epoch, logs: self._record(epoch, logs),
        )

    def _batch_ended(self, logs: dict[str, Any]) -> None:
        raise_if_interrupted()
        if self.asked_to_stop():
            raise TrialStopped
        # A loss that is not finite never becomes so again: the rest of the epochs would be wasted.
        if not math.isfinite(logs["loss"]):
            self.model.stop_training = True

    def _record(self, epoch: int, logs: dict[str, Any]) -> None:
        metrics = {name: float(value) for name, value in logs.items()}
        # NaN and infinity are no JSON; what is missing in the history was not finite.
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.history.append({"epoch": epoch + 1, **finite})
        # An area under a curve can look well where the activations are NaN; then the losses are not finite.
        score = metrics[self.metric] if len(finite) == len(metrics) else math.nan
        if is_better(score, self.score, self.direction):
            self.weights = copy_variables(self.model)
            self.score, self.epoch = score, epoch + 1
        if self.on_epoch is not None:
            self.on_epoch(epoch + 1, metrics)
