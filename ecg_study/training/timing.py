"""Training speed of a configuration, measured on a few batches to estimate the time of a search."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecg_study.ecg_data.segments.batches import Batch
from ecg_study.training.steps.network import Network
from ecg_study.training.task import TrainingTask

if TYPE_CHECKING:
    import keras

_SECONDS = 0.7
"""Time for measuring batches: about five batches of an average network."""


@dataclass(frozen=True)
class Speed:
    """Cost of training one configuration.

    Attributes:
        parameters: trainable weights.
        weights_bytes: size of its checkpoint with the state of the optimizer.
        setup_seconds: time to build the model and trace its graphs, once per trial.
        epoch_seconds: time for training on one epoch of the search.
        validation_seconds: time for validation and score, at the end of each trial.
        failure: why it could not be measured; all numbers are 0 then.
    """

    parameters: int = 0
    weights_bytes: int = 0
    setup_seconds: float = 0.0
    epoch_seconds: float = 0.0
    validation_seconds: float = 0.0
    failure: str = ""


def measure_speed(task: TrainingTask, hyperparameters: dict[str, Any]) -> Speed:
    """Measure some batches of one configuration.

    Args:
        task: the model and its data.
        hyperparameters: the configuration.
    """
    import keras

    keras.backend.clear_session()
    started = time.monotonic()
    try:
        model = task.build(hyperparameters)
        validate = itertools.chain.from_iterable(itertools.repeat(task.validation_batches()))
        with contextlib.closing(task.training_stream(0, hyperparameters=hyperparameters).batches()) as train:
            network = Network(model, compiled_layers=not task.keras_layers)
            network.train(next(train))
            network.validate([next(validate)])
            setup = time.monotonic() - started
            batches = task.batches_per_epoch()
            epoch = batches[0] * _time(network.train, train)
            validation = batches[1] * _time(lambda batch: network.validate([batch]), validate) + _time_score(
                task, network
            )
    except Exception as error:  # noqa: BLE001  # the same error will fail its trial
        return Speed(failure=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return Speed(_size(model.trainable_variables), 4 * _size(_kept(model)), setup, epoch, validation)


def _time_score(task: TrainingTask, network: Network) -> float:
    """Return the seconds of one score of a task; 0 if it has none."""
    started = time.monotonic()
    score = task.score()
    if score is None:
        return 0.0
    score(network)
    return time.monotonic() - started


def _time(run: Callable[[Batch], Any], batches: Iterator[Batch]) -> float:
    """Return the seconds per batch."""
    done, started = 0, time.monotonic()
    while done == 0 or time.monotonic() - started < _SECONDS:
        run(next(batches))
        done += 1
    return (time.monotonic() - started) / done


def _kept(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _size(variables: list[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
