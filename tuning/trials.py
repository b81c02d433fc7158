"""One trial: what it is, and its training."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecg_data import StudyError
from tuning.interrupts import raise_if_interrupted
from tuning.tasks import Task
from tuning.weights import load_weights, save_weights, weights_path

COMPLETED, FAILED = "completed", "failed"

EpochCallback = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number, from 1, and its metrics."""


@dataclass(frozen=True)
class TrialPlan:
    """What a trial is to do. Epochs ``initial_epoch + 1`` to ``epochs`` are trained, from the parent's weights."""

    id: str
    parent: str | None
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
        seconds: wall-clock time.
        parameters: trainable weights of the model.
        reason: why it failed.
    """

    status: str
    score: float | None
    best_epoch: int | None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    parameters: int | None = None
    reason: str = ""


def trial_seed(seed: int, task: str, trial: str) -> int:
    """The seed of weights and shuffling of one trial, from the study's seed and the trial's id."""
    return zlib.crc32(f"{seed}/{task}/{trial}".encode())


def is_better(score: float, than: float | None, direction: str) -> bool:
    """Whether a finite score beats another; anything beats ``None``, NaN beats nothing."""
    if not math.isfinite(score):
        return False
    return than is None or (score < than if direction == "min" else score > than)


def train_trial(
    task: Task, plan: TrialPlan, hp: Any, seed: int, directory: Path, on_epoch: EpochCallback | None = None
) -> TrialOutcome:
    """Train one trial and keep the weights of its best epoch as ``<id>.npz`` in ``directory``.

    An error of the model or of its training makes a failed trial. An error of the disk, or of the
    parent's weights on it, is raised: it would hit other trials too.

    Args:
        task: the model and its data.
        plan: what to train, from where to where.
        hp: Keras Tuner's ``HyperParameters`` with the trial's values.
        seed: seed of the study.
        directory: where weights are kept.
        on_epoch: told of each epoch.
    """
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    keras.utils.set_random_seed(trial_seed(seed, task.name, plan.id))
    best = _BestWeights(task.objective, directory / f".{plan.id}.npz", on_epoch)
    parameters = None
    reason = ""
    try:
        model = task.space().build(hp)
        parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        if plan.parent is not None:
            load_weights(model, weights_path(directory, plan.parent))
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
    except (OSError, StudyError):
        best.path.unlink(missing_ok=True)
        raise
    except Exception as error:  # noqa: BLE001  # whatever a configuration makes Keras raise is that trial's failure
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    seconds = round(time.monotonic() - started, 3)
    if reason or best.score is None:
        best.path.unlink(missing_ok=True)
        reason = reason or "its loss was never a finite number: training diverged"
        return TrialOutcome(FAILED, None, None, best.history, seconds, parameters, reason)
    best.path.replace(weights_path(directory, plan.id))
    return TrialOutcome(COMPLETED, best.score, best.epoch, best.history, seconds, parameters)


class _BestWeights:
    """Keeps the history of a training and the weights of its best epoch."""

    def __init__(self, objective: tuple[str, str], path: Path, on_epoch: EpochCallback | None) -> None:
        self.model: Any = None
        self.metric, self.direction = objective
        self.path = path
        self.on_epoch = on_epoch
        self.score: float | None = None
        self.epoch: int | None = None
        self.history: list[dict[str, float]] = []

    def callback(self) -> Any:
        import keras

        return keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda _, logs: self._batch_ended(logs),
            on_epoch_end=lambda epoch, logs: self._record(epoch, logs),
        )

    def _batch_ended(self, logs: dict[str, Any]) -> None:
        raise_if_interrupted()
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
            save_weights(self.model, self.path)
            self.score, self.epoch = score, epoch + 1
        if self.on_epoch is not None:
            self.on_epoch(epoch + 1, metrics)
