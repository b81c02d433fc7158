"""One trial: what it is, and its training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.errors import EcgStudyError
from ecg_study.progress import raise_if_interrupted
from ecg_study.search_spaces.presets import COSINE
from ecg_study.training.environment import seed_everything
from ecg_study.training.specs import (
    COMPLETED,
    DIVERGED,
    FAILED,
    EpochCallback,
    TrainedTrial,
    TrainingResult,
    TrainingSpec,
    TrialStopped,
    Tuned,
    failed_trial,
    is_better,
    trial_seed,
)
from ecg_study.training.task import TrainingTask
from ecg_study.training.weights import copy_variables, load_weights, pack_weights

if TYPE_CHECKING:
    import keras


def train_trial(
    task: TrainingTask,
    plan: TrainingSpec,
    seed: int,
    parent: bytes | None = None,
    on_epoch: EpochCallback | None = None,
    should_stop: Callable[[], bool] = lambda: False,
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
        TrialStopped: ``should_stop`` said so.
    """
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(trial_seed(seed, task.name, plan.id))
    best = _BestWeights(task.objective, on_epoch, should_stop)
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
    except (OSError, EcgStudyError, TrialStopped):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a configuration makes Keras raise is that trial's failure
        failure = error
    seconds = round(time.monotonic() - started, 3)
    if failure is not None:
        reason, retry = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}", parameters is not None
    elif best.score is None:
        reason, retry = DIVERGED, False
    else:
        outcome = TrainingResult(COMPLETED, best.score, best.epoch, best.history, seconds, parameters)
        return TrainedTrial(outcome, pack_weights(best.weights))
    # A lack of memory may be another process's doing, even while the model is built.
    retry = retry or isinstance(failure, MemoryError) or type(failure).__name__ == "ResourceExhaustedError"
    return TrainedTrial(TrainingResult(FAILED, None, None, best.history, seconds, parameters, reason), None, retry)


class _BestWeights:
    """Keeps the history of a training and the weights of its best epoch."""

    def __init__(
        self, objective: tuple[str, str], on_epoch: EpochCallback | None, should_stop: Callable[[], bool]
    ) -> None:
        self.model: Any = None
        self.metric, self.direction = objective
        self.on_epoch = on_epoch
        self.should_stop = should_stop
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
        if self.should_stop():
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


_DECIDES = "val_loss"
"""What decides, on a plateau schedule, when to stop and which weights to keep. For the detector too: near its top the
area under the curve of windows, which ranked the trials, hangs on a few windows and jumps from epoch to epoch; the loss
does not."""


def train_final(
    task: TrainingTask,
    plan: TrainingSpec,
    seed: int,
    parent: bytes | None = None,
    on_epoch: EpochCallback | None = None,
    should_stop: Callable[[], bool] = lambda: False,
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
        TrialStopped: ``should_stop`` said so.
    """
    assert parent is None
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(trial_seed(seed, task.name, plan.id))
    try:
        model = task.build(plan.hyperparameters)
        stop, callbacks = _callbacks(task, plan.epochs, on_epoch, should_stop)
        to_the_end = task.refit or task.preset.schedule == COSINE
        fitted = model.fit(
            task.training_batches(trial_seed(seed, task.name, f"{plan.id}/data"), None),
            validation_data=None if task.refit else task.validation_batches(),
            epochs=plan.epochs,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    except (OSError, EcgStudyError, TrialStopped):
        raise
    except Exception as error:  # noqa: BLE001  # whatever training trips over is this training's failure
        return failed_trial(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", retryable=True)
    history = epoch_rows(fitted.history)
    seconds = round(time.monotonic() - started, 3)
    scores = fitted.history.get("loss" if task.refit else _DECIDES, [])
    if not any(math.isfinite(score) for score in scores) or (to_the_end and not math.isfinite(scores[-1])):
        return TrainedTrial(TrainingResult(FAILED, None, None, history, seconds, reason=DIVERGED), None)
    best, score = (len(scores), scores[-1]) if to_the_end else (stop.best_epoch + 1, stop.best)
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    outcome = TrainingResult(COMPLETED, float(score), best, history, seconds, parameters)
    return TrainedTrial(outcome, pack_weights(copy_variables(model)))


def _callbacks(
    task: TrainingTask, epochs: int, on_epoch: EpochCallback | None, should_stop: Callable[[], bool]
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
        if should_stop():
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


_PATIENCE = 3


def fine_tune(
    task: TrainingTask,
    hyperparameters: dict[str, Any],
    weights: list[np.ndarray],
    learning_rate: float,
    epochs: int,
    seed: int,
    on_epoch: Callable[[int, int], None],
) -> Tuned:
    """Train a model further on the training records, and keep the epoch with the lowest validation loss.

    The weights it came with count as epoch 0: further training never makes it worse on validation records.

    Args:
        task: the model and its data.
        hyperparameters: it was built with.
        weights: it came with.
        learning_rate: of Adam; well below that of the first training, so that what was learned is not lost.
        epochs: the most.
        seed: order of the segments, and dropout.
        on_epoch: told the epochs done and their total.

    Raises:
        StudyError: the weights are of another model, or training diverged at once.
    """
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(trial_seed(seed, task.name, "fine-tuning"))
    model = task.build(hyperparameters)
    try:
        model.set_weights(weights)
    except ValueError as error:
        raise EcgStudyError(
            "the bundle's weights do not fit the hyperparameters of its card; take a fresh copy"
        ) from error
    model.optimizer.learning_rate.assign(learning_rate)
    validation = task.validation_batches()
    before = _loss(model, validation)
    stop = keras.callbacks.EarlyStopping(_DECIDES, mode="min", patience=_PATIENCE, restore_best_weights=True)

    def epoch_ended(epoch: int) -> None:
        on_epoch(epoch + 1, epochs)

    said = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: raise_if_interrupted(), on_epoch_end=lambda epoch, _: epoch_ended(epoch)
    )
    fitted = model.fit(
        task.training_batches(trial_seed(seed, task.name, "fine-tuning/data"), None),
        validation_data=validation,
        epochs=epochs,
        callbacks=[stop, said],
        shuffle=False,
        verbose=0,
    )
    on_epoch(epochs, epochs)
    losses = [loss for loss in fitted.history.get(_DECIDES, []) if math.isfinite(loss)]
    if not losses:
        raise EcgStudyError("training diverged in its first epoch; give a smaller --learning-rate")
    best_epoch, after = int(np.argmin(losses)) + 1, min(losses)
    if not after < before:
        model.set_weights(weights)
        best_epoch, after = 0, before
    return Tuned(model, best_epoch, before, after, epoch_rows(fitted.history), round(time.monotonic() - started, 3))


def _loss(model: keras.Model, batches: Any) -> float:
    loss: float = model.evaluate(batches, verbose=0, return_dict=True)["loss"]
    return loss
