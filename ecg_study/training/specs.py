"""What a training is to do and what came of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ecg_study.training.task import TrainingTask

if TYPE_CHECKING:
    import keras

COMPLETED, FAILED = "completed", "failed"
DIVERGED = "its loss was never a finite number: training diverged"

EpochCallback = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number, from 1, and its metrics."""


@dataclass(frozen=True)
class TrainingSpec:
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
class TrainingResult:
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

    outcome: TrainingResult
    weights: bytes | None
    retryable: bool = False


class TrainFunction(Protocol):
    """Trains what a plan says: `train_trial`, or the final training."""

    def __call__(
        self,
        task: TrainingTask,
        plan: TrainingSpec,
        seed: int,
        parent: bytes | None = None,
        on_epoch: EpochCallback | None = None,
        should_stop: Callable[[], bool] = ...,
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


def failed_trial(reason: str, seconds: float = 0.0, retryable: bool = False) -> TrainedTrial:
    """A trial of which nothing came."""
    return TrainedTrial(TrainingResult(FAILED, None, None, seconds=seconds, reason=reason), None, retryable)


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


@dataclass(frozen=True)
class Trial:
    """A trial that was run, with what came of it.

    Attributes:
        plan: what it was to do.
        outcome: what came of it.
        ended: seconds of searching, over all runs of the program, until it ended.
    """

    plan: TrainingSpec
    outcome: TrainingResult
    ended: float = 0.0
