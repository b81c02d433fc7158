"""Further training of a model that is there: on other people, other devices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_data import StudyError
from tuning.final import epoch_rows
from tuning.interrupts import raise_if_interrupted
from tuning.seeding import seed_everything
from tuning.tasks import Task
from tuning.trials import trial_seed

if TYPE_CHECKING:
    import keras

_DECIDES = "val_loss"
_PATIENCE = 3


@dataclass(frozen=True)
class Tuned:
    """A model that was trained further.

    Attributes:
        model: with the weights of the best epoch; those it came with, where no epoch was better.
        best_epoch: that epoch; 0 where none was better.
        before: validation loss of the weights it came with.
        after: validation loss of those it has now.
        history: what was measured after each epoch.
        seconds: it took.
    """

    model: keras.Model
    best_epoch: int
    before: float
    after: float
    history: list[dict[str, float]]
    seconds: float


def fine_tune(
    task: Task,
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
        raise StudyError(
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
        raise StudyError("training diverged in its first epoch; give a smaller --learning-rate")
    best_epoch, after = int(np.argmin(losses)) + 1, min(losses)
    if not after < before:
        model.set_weights(weights)
        best_epoch, after = 0, before
    return Tuned(model, best_epoch, before, after, epoch_rows(fitted.history), round(time.monotonic() - started, 3))


def _loss(model: keras.Model, batches: Any) -> float:
    loss: float = model.evaluate(batches, verbose=0, return_dict=True)["loss"]
    return loss
