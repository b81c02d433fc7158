"""Training of one configuration: search trials, final trainings, fine-tuning and long trainings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.errors import EcgStudyError, ModelError
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
    training_seed,
)
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.network import Network
from ecg_study.training.steps.recorder import Record, Recorder
from ecg_study.training.steps.saved_state import TrainingStateFile
from ecg_study.training.steps.step_loop import StepCallback, StepLoop
from ecg_study.training.task import TrainingTask
from ecg_study.training.weights import load_weights, pack_weights

if TYPE_CHECKING:
    import keras

InitialWeights = bytes | Sequence[np.ndarray]
"""Weights to start from: packed weights restore the optimizer too, arrays are those of the model alone."""


def train(
    task: TrainingTask,
    spec: TrainingSpec,
    *,
    options: TrainingOptions,
    seed: int,
    initial_weights: InitialWeights | None = None,
    on_progress: EpochCallback | None = None,
    on_step: StepCallback | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    state_file: TrainingStateFile | None = None,
) -> FinishedTraining:
    """Train one configuration.

    An error of the model or of its training gives a failed result. An error of the disk, of a saved state or of the
    initial weights is raised, since it would affect other trainings too.

    Args:
        task: the model and its data. With ``task.refit``, it trains on the validation records too and is not validated.
        spec: configuration and epochs.
        options: what is kept, learning rate, patience.
        seed: seed of the study.
        initial_weights: weights to start from (default: random).
        on_progress: called after each validation.
        on_step: called with the progress a few times per second.
        should_stop: called after each batch; training stops if it returns true.
        state_file: file from which the training resumes, and in which its state is saved (default: none).

    Raises:
        TrialStopped: ``should_stop`` returned true.
        ModelError: the initial weights do not fit the model.
        StateError: the saved state is damaged, or belongs to another training.
        SettingsError: the budget is smaller than what is saved.
    """
    import keras

    started = time.monotonic()
    keras.backend.clear_session()
    seed_everything(training_seed(seed, task=task.name, name=spec.id))
    record = Record()
    parameters: int | None = None
    failure: Exception | None = None
    try:
        model = task.build(spec.hyperparameters)
        parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        _start_from(model, spec, options, initial_weights)
        loop = _step_loop(model, task, spec, options=options, seed=seed)
        record = loop.recorder.record
        _begin(loop, state_file)
        record = loop.recorder.record  # that of the saved state, if it resumed
        loop.run(state_file=state_file, on_progress=on_progress, on_step=on_step, should_stop=should_stop)
        if record.score is not None:
            seconds = loop.seconds if state_file else time.monotonic() - started
            return _completed(loop, options, seconds=seconds, parameters=parameters)
    except (OSError, EcgStudyError, TrialStopped):
        raise
    except Exception as error:  # noqa: BLE001  # any error that a configuration causes in Keras fails that training
        failure = error
    return _failed(record, failure, seconds=time.monotonic() - started, parameters=parameters)


def _step_loop(
    model: keras.Model, task: TrainingTask, spec: TrainingSpec, *, options: TrainingOptions, seed: int
) -> StepLoop:
    """Return the loop that trains a model, before its first step."""
    network = Network(model, compiled_layers=not task.keras_layers)
    stream = task.training_stream(
        training_seed(seed, task=task.name, name=f"{spec.id}/data"),
        hyperparameters=spec.hyperparameters,
        segments_per_epoch=options.segments_per_epoch,
    )
    return StepLoop(
        network,
        stream,
        validation=None if task.refit else task.validation_batches(),
        budget=options.budget or TrainingBudget(epochs=spec.epochs - spec.initial_epoch),
        options=options,
        recorder=Recorder(network, options, objective=task.objective, validated=not task.refit),
        first_epoch=spec.initial_epoch,
        score=task.score() if options.scored else None,
    )


def _completed(loop: StepLoop, options: TrainingOptions, *, seconds: float, parameters: int) -> FinishedTraining:
    """Return the result and the kept weights of a training that has a score."""
    weights = pack_weights(loop.recorder.kept_variables(loop.initial))  # decides whether the initial weights are kept
    record = loop.recorder.record
    result = TrainingResult(
        COMPLETED,
        record.score,
        None if record.epoch is None else math.ceil(record.epoch),
        record.history,
        round(seconds, 3),
        parameters,
        subject_scores=loop.subject_scores if options.keep == "last scored" else {},
    )
    return FinishedTraining(
        result,
        weights,
        initial_loss=record.initial_loss,
        averaged=record.averaged,
        diverged=record.stopped and not options.stops_early,
    )


def _failed(record: Record, failure: Exception | None, *, seconds: float, parameters: int | None) -> FinishedTraining:
    """Return the result of a training that ended with an error, or without a finite score."""
    reason, retryable = DIVERGED, False
    if failure is not None:
        reason = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
        # Another process may cause a lack of memory, even while the model is built.
        out_of_memory = isinstance(failure, MemoryError) or type(failure).__name__ == "ResourceExhaustedError"
        retryable = parameters is not None or out_of_memory
    result = TrainingResult(FAILED, None, None, record.history, round(seconds, 3), parameters, reason)
    return FinishedTraining(result, None, retryable, record.initial_loss)


def _begin(loop: StepLoop, state_file: TrainingStateFile | None) -> None:
    """Resume a training from its saved state, or begin it."""
    state = None if state_file is None else state_file.load()
    if state is None or state_file is None:
        loop.begin()
        return
    try:
        loop.resume(state)
    except ValueError as error:
        raise state_file.damaged(str(error)) from error


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
