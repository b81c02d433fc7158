"""The final training of a best model: all training records, stopped by the validation records."""

from __future__ import annotations

import math
import time
from typing import Any

from ecg_data import StudyError
from reports.results import Training
from tuning import FinishedTrial, Task
from tuning.interrupts import raise_if_interrupted
from tuning.seeding import seed_everything
from tuning.trials import EpochCallback, trial_seed

_DECIDES = "val_loss"
"""What decides when to stop and which weights to keep. For the detector too: near its top the area under the curve of
windows, which ranked the trials, hangs on a few windows and jumps from epoch to epoch; the loss does not."""


def train_best(
    task: Task, trial: FinishedTrial, seed: int, on_epoch: EpochCallback | None = None
) -> tuple[Any, Training]:
    """Train the configuration of a trial anew, from fresh weights.

    The learning rate is halved when the validation loss stands still, and training ends when it stays there; the
    weights of the best epoch are kept. Test records play no part.

    Args:
        task: the model and its data.
        trial: whose hyperparameters are taken.
        seed: seed of the study.
        on_epoch: told of each epoch.

    Returns:
        The Keras model with the best weights, and what is to be reported of its training.

    Raises:
        StudyError: the validation loss was never a finite number.
    """
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(trial_seed(seed, task.name, "final"))
    model = task.build(trial.plan.hyperparameters)
    stop = keras.callbacks.EarlyStopping(_DECIDES, mode="min", patience=task.preset.patience, restore_best_weights=True)
    slower = keras.callbacks.ReduceLROnPlateau(
        _DECIDES, mode="min", factor=0.5, patience=max(1, task.preset.patience // 2), min_delta=0
    )
    said = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: raise_if_interrupted(),
        on_epoch_end=lambda epoch, logs: on_epoch(epoch + 1, dict(logs)) if on_epoch else None,
    )
    fitted = model.fit(
        task.training_batches(trial_seed(seed, task.name, "final/data"), None),
        validation_data=task.validation_batches(),
        epochs=task.preset.final_epochs,
        callbacks=[stop, slower, said],
        shuffle=False,
        verbose=0,
    )
    scores = fitted.history.get(_DECIDES, [])
    if not any(math.isfinite(score) for score in scores):
        raise StudyError(f"final training of the {task.name}: {_DECIDES} was never a finite number; try another --seed")
    history = [
        {"epoch": epoch + 1, **{name: float(values[epoch]) for name, values in fitted.history.items()}}
        for epoch in range(len(scores))
    ]
    report = Training(
        task=task.name,
        trial=trial.plan.id,
        hyperparameters=trial.plan.hyperparameters,
        parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        history=history,
        best_epoch=stop.best_epoch + 1,
        seconds=time.monotonic() - started,
        thresholds={},
    )
    return model, report
