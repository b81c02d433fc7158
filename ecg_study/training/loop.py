"""The training loop of search trials, final trainings and fine-tuning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.ecg_data.segments.batches import Batch
from ecg_study.ecg_data.segments.stream import SegmentStream, ValidationBatches
from ecg_study.errors import EcgStudyError, ModelError
from ecg_study.progress import raise_if_interrupted
from ecg_study.training.environment import seed_everything
from ecg_study.training.specs import (
    COMPLETED,
    DIVERGED,
    FAILED,
    EpochCallback,
    FinishedTraining,
    TrainingOptions,
    TrainingResult,
    TrainingSpec,
    TrialStopped,
    is_better,
    training_seed,
)
from ecg_study.training.task import TrainingTask
from ecg_study.training.weights import copy_variables, load_weights, pack_weights

if TYPE_CHECKING:
    import keras

InitialWeights = bytes | Sequence[np.ndarray]
"""Weights to start from: packed weights restore the optimizer too, arrays are those of the model alone."""

_LOSS = "val_loss"
"""Decides which weights of a final training are kept, for the detector too. Near its maximum, the area under the curve
of windows, which ranks trials, depends on a few windows and varies from epoch to epoch; the loss does not."""


def train(
    task: TrainingTask,
    spec: TrainingSpec,
    *,
    options: TrainingOptions,
    seed: int,
    initial_weights: InitialWeights | None = None,
    on_progress: EpochCallback | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FinishedTraining:
    """Train one configuration.

    An error of the model or of its training gives a failed result. An error of the disk or of the initial weights is
    raised, since it would affect other trainings too.

    Args:
        task: the model and its data. With ``task.refit``, it trains on the validation records too and is not validated.
        spec: configuration and epochs.
        options: what is kept, learning rate, patience.
        seed: seed of the study.
        initial_weights: weights to start from (default: random).
        on_progress: called after each epoch.
        should_stop: called after each batch; training stops if it returns true.

    Raises:
        TrialStopped: ``should_stop`` returned true.
        ModelError: the initial weights do not fit the model.
    """
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(training_seed(seed, task=task.name, name=spec.id))
    recorder = _Recorder(task, options, on_progress, should_stop)
    parameters: int | None = None
    failure: Exception | None = None
    try:
        model = task.build(spec.hyperparameters)
        parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        _start_from(model, spec, options, initial_weights)
        validation = None if task.refit else keras_dataset(task.validation_batches())
        recorder.start(model, validation)
        data_seed = training_seed(seed, task=task.name, name=f"{spec.id}/data")
        model.fit(
            keras_dataset(task.training_stream(data_seed, options.segments_per_epoch)),
            validation_data=validation,
            initial_epoch=spec.initial_epoch,
            epochs=spec.epochs,
            callbacks=[*_schedule_callbacks(task, spec, options), recorder.callback()],
            shuffle=False,
            verbose=0,
        )
    except (OSError, EcgStudyError, TrialStopped):
        raise
    except Exception as error:  # noqa: BLE001  # any error that a configuration causes in Keras fails that training
        failure = error
    recorder.finish()
    seconds = round(time.monotonic() - started, 3)
    if failure is None and recorder.score is not None:
        weights = pack_weights(recorder.kept_variables())
        result = TrainingResult(COMPLETED, recorder.score, recorder.epoch, recorder.history, seconds, parameters)
        return FinishedTraining(result, weights, initial_loss=recorder.initial_loss)
    reason, retryable = DIVERGED, False
    if failure is not None:
        reason = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
        # Another process may cause a lack of memory, even while the model is built.
        out_of_memory = isinstance(failure, MemoryError) or type(failure).__name__ == "ResourceExhaustedError"
        retryable = parameters is not None or out_of_memory
    failed = TrainingResult(FAILED, None, None, recorder.history, seconds, parameters, reason)
    return FinishedTraining(failed, None, retryable, recorder.initial_loss)


def keras_dataset(batches: SegmentStream | ValidationBatches) -> Any:
    """Return batches as a dataset of Keras, which shows the next epoch of a stream each time."""
    import keras

    class Dataset(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self._first = 0

        def __len__(self) -> int:
            return len(batches) if isinstance(batches, ValidationBatches) else batches.batches_per_epoch

        def __getitem__(self, index: int) -> Batch:
            return batches[index] if isinstance(batches, ValidationBatches) else batches.batch(self._first + index)

        def on_epoch_end(self) -> None:
            self._first += len(self)

    return Dataset()


def _start_from(
    model: keras.Model, spec: TrainingSpec, options: TrainingOptions, initial_weights: InitialWeights | None
) -> None:
    """Load the initial weights and set the learning rate."""
    if spec.parent is not None or isinstance(initial_weights, bytes):
        assert initial_weights is None or isinstance(initial_weights, bytes)
        load_weights(model, initial_weights or b"", trial=spec.parent or spec.id)
    elif initial_weights is not None:
        try:
            model.set_weights(list(initial_weights))
        except ValueError as error:
            raise ModelError(
                "the weights of the model do not fit the hyperparameters of its card; use an unchanged copy"
            ) from error
    if options.learning_rate is not None:
        model.optimizer.learning_rate.assign(options.learning_rate)


class _Recorder:
    """Records the history of a training and keeps the weights of one epoch."""

    def __init__(
        self,
        task: TrainingTask,
        options: TrainingOptions,
        on_progress: EpochCallback | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._options, self._on_progress, self._should_stop = options, on_progress, should_stop
        self._metric, self._direction = {
            "best objective": task.objective,
            "best loss": (_LOSS, "min"),
            "last": ("loss" if task.refit else _LOSS, ""),
        }[options.keep]
        self._model: Any = None
        self._best: list[np.ndarray] = []
        self._initial: list[np.ndarray] = []
        self._not_better = 0
        self.history: list[dict[str, float]] = []
        self.initial_loss: float | None = None
        self.score: float | None = None
        self.epoch: int | None = None

    def start(self, model: keras.Model, validation: Any) -> None:
        """Take the model before its first epoch, and measure its initial weights if they may be kept."""
        self._model = model
        if self._options.keep_initial:
            self.initial_loss = float(model.evaluate(validation, verbose=0, return_dict=True)["loss"])
            self._initial = model.get_weights()

    def callback(self) -> Any:
        """Return the Keras callback, which must come last: others add to the metrics of an epoch."""
        import keras

        return keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda _, logs: self._batch_ended(logs),
            on_epoch_end=lambda epoch, logs: self._epoch_ended(epoch + 1, logs),
        )

    def finish(self) -> None:
        """Return to the initial weights if they may be kept and no epoch was better."""
        if self.initial_loss is not None and self.score is not None and not self.score < self.initial_loss:
            self._best = self._initial
            self.score, self.epoch = self.initial_loss, 0

    def kept_variables(self) -> list[np.ndarray]:
        """Return the variables of model and optimizer to be kept."""
        if self._options.keep == "best objective":
            return self._best
        if self._options.keep == "best loss":
            # The optimizer is that of the last epoch: nothing is trained from here.
            self._model.set_weights(self._best)
        return copy_variables(self._model)

    def _batch_ended(self, logs: dict[str, Any]) -> None:
        raise_if_interrupted()
        if self._should_stop():
            raise TrialStopped
        # A loss that is not finite stays so: the remaining epochs would be wasted.
        if self._options.stop_when_diverged and not math.isfinite(logs["loss"]):
            self._model.stop_training = True

    def _epoch_ended(self, epoch: int, logs: dict[str, Any]) -> None:
        metrics = {name: float(value) for name, value in logs.items()}
        # JSON has no NaN or infinity; a metric that is missing in the history was not finite.
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.history.append({"epoch": epoch, **finite})
        self._keep(epoch, metrics, all_finite=len(finite) == len(metrics))
        if self._on_progress is not None:
            self._on_progress(epoch, metrics)

    def _keep(self, epoch: int, metrics: dict[str, float], *, all_finite: bool) -> None:
        """Keep the weights of this epoch if they are better, and stop if none was for too long."""
        score = metrics.get(self._metric, math.nan)
        if self._options.keep == "last":
            self.score, self.epoch = (score, epoch) if math.isfinite(score) else (None, None)
        elif self._options.keep == "best objective":
            # An area under a curve can be high where outputs are NaN; then the losses are not finite.
            if all_finite and is_better(score, self.score, direction=self._direction):
                self._best = copy_variables(self._model)
                self.score, self.epoch = score, epoch
        elif is_better(score, self.score, direction=self._direction):
            self._best = self._model.get_weights()
            self.score, self.epoch = score, epoch
            self._not_better = 0
        else:
            self._not_better += 1
            if self._not_better >= self._options.patience:
                self._model.stop_training = True


def _schedule_callbacks(task: TrainingTask, spec: TrainingSpec, options: TrainingOptions) -> list[Any]:
    """Return the callback that changes the learning rate; empty for a constant rate."""
    import keras

    if options.schedule == "cosine":
        return [_cosine(task.training_steps(), spec.epochs)]
    if options.schedule == "plateau":
        patience = max(1, options.patience // 2)
        return [keras.callbacks.ReduceLROnPlateau(_LOSS, mode="min", factor=0.5, patience=patience, min_delta=0)]
    return []


def _cosine(steps: int, epochs: int) -> Any:
    """Return a callback that sets the learning rate before each batch.

    It rises from 0 over the first epoch and falls to 0 along half a cosine.

    Args:
        steps: batches per epoch.
        epochs: length of the training.

    References:
        Loshchilov and Hutter, SGDR: Stochastic gradient descent with warm restarts, ICLR 2017.
    """
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
