"""Training specifications, options and results."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.task import TrainingTask

WARMUP = 0.05
"""Share of a training in hours in which a cosine schedule rises; the length of its epochs is not known before."""

COMPLETED, FAILED = "completed", "failed"
DIVERGED = "its loss was never a finite number: training diverged"

FINE_TUNING = "fine-tuning"
"""Id of a fine-tuning, from which its random seeds are derived."""

FINE_TUNING_PATIENCE = 3
"""Epochs without a lower validation loss after which fine-tuning stops."""

EpochCallback = Callable[[int, dict[str, float]], None]
"""A function that is called after each epoch with its number, from 1, and its metrics."""

Keep = Literal["last scored", "best loss", "last", "last validated"]
"""The epoch whose weights are kept: the best by the validation loss, or the last. A search scores the last by the
objective of the task."""


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """A training: epochs ``initial_epoch + 1`` to ``epochs`` of one configuration.

    Attributes:
        id: name of the training, from which its random seeds are derived. For a trial of a search: number of the
            configuration in the order in which they are drawn, and rung, as in ``"007-r1"``. It does not depend on the
            number of workers.
        parent: the trial of the same configuration one rung below, from whose weights this one starts.
        iteration: Hyperband's iteration, from 0.
        bracket: Hyperband's bracket: number of its rungs, minus one.
        rung: from 0.
        initial_epoch: epochs that the parent has trained.
        epochs: epochs after this training.
        hyperparameters: the configuration.
    """

    id: str
    parent: str | None = None
    iteration: int = 0
    bracket: int = 0
    rung: int = 0
    initial_epoch: int = 0
    epochs: int
    hyperparameters: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The ways in which search trials, final trainings and fine-tuning differ.

    Attributes:
        keep: the epoch whose weights are kept. ``"last"`` fails if the last loss is not finite, ``"last validated"``
            keeps those of the last validation with a finite loss. With ``"best loss"``, training stops after `patience`
            epochs without a lower validation loss.
        schedule: learning rate over the epochs. ``"plateau"`` halves it when the validation loss has not improved for
            half of `patience`. ``"cosine"`` rises over the warm-up and falls to 0 along half a cosine.
        patience: in validations; needed for ``"best loss"`` and ``"plateau"``.
        learning_rate: replaces that of the hyperparameters.
        segments_per_epoch: largest number of segments per epoch, drawn again each epoch; ``None`` takes all.
        stop_when_diverged: stop at the first batch whose loss is not finite.
        keep_initial: keep the initial weights if no epoch has a lower validation loss.
        warmup: share of the training in which ``"cosine"`` rises; ``None`` for the first epoch, or `WARMUP` of a
            training whose budget is a time.
        budget: length of the training instead of the epochs of its specification.
        validate_every: segments between two validations; ``None`` for one epoch.
        stops_early: whether the training ends when its patience is over.
        scored: whether validation also computes the score of the task, see `TrainingTask.score`.
        only_at_end: validate only at the end. Epochs before have a training loss in the history, and no more.
    """

    keep: Keep
    schedule: Literal["constant", "plateau", "cosine"] = "constant"
    patience: int = 0
    learning_rate: float | None = None
    segments_per_epoch: int | None = None
    stop_when_diverged: bool = False
    keep_initial: bool = False
    warmup: float | None = None
    budget: TrainingBudget | None = None
    validate_every: int | None = None
    stops_early: bool = True
    scored: bool = False
    only_at_end: bool = False

    @classmethod
    def for_search(cls, task: TrainingTask) -> TrainingOptions:
        """Return the options of a search trial: ranked by the objective at its end, trained on part of the segments.

        The best of several validations would be better by chance, more so for a trial with more of them.
        """
        return cls(
            keep="last scored",
            segments_per_epoch=task.preset.segments_per_epoch,
            stop_when_diverged=True,
            scored=True,
            only_at_end=True,
        )

    @classmethod
    def for_final(cls, task: TrainingTask) -> TrainingOptions:
        """Return the options of a final training on all training records.

        On a plateau schedule the weights with the lowest validation loss are kept. A cosine schedule runs to its end
        and its last weights are kept, or their average if there is one. So the model that selects thresholds, which is
        validated, ends like the models that are refitted on the validation records, which cannot be validated.
        """
        preset = task.preset
        last = task.refit or preset.schedule == "cosine"
        return cls(
            keep="last" if last else "best loss",
            schedule=preset.schedule,
            patience=preset.patience,
            warmup=preset.warmup,
        )

    @classmethod
    def for_long(
        cls, task: TrainingTask, budget: TrainingBudget, *, validate_every: int | None = None
    ) -> TrainingOptions:
        """Return the options of a training of any length.

        On a cosine schedule, the weights of the last validation are kept, as in a final training: the schedule is made
        to end at its best. Far into a long training, the validation loss of a detector rises while it finds more
        R peaks, since the loss punishes confident errors most (``docs/experiments.md``). On a plateau schedule, the
        weights with the lowest validation loss are kept. Without validation, the last weights are kept, or their
        average if there is one.

        Args:
            task: the model and its data.
            budget: length of the training.
            validate_every: segments between two validations (default: one epoch).
        """
        preset = task.preset
        return cls(
            keep="last" if task.refit else "last validated" if preset.schedule == "cosine" else "best loss",
            schedule=preset.schedule,
            patience=preset.patience,
            warmup=preset.warmup,
            budget=budget,
            validate_every=validate_every,
            stop_when_diverged=True,
            stops_early=False,
            scored=not task.refit,
        )

    @classmethod
    def for_fine_tuning(cls, learning_rate: float) -> TrainingOptions:
        """Return the options of fine-tuning, which never makes a model worse on validation records."""
        return cls(keep="best loss", patience=FINE_TUNING_PATIENCE, learning_rate=learning_rate, keep_initial=True)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training, without its weights.

    Attributes:
        status: `COMPLETED` or `FAILED`.
        score: what `TrainingOptions.keep` compares, at the epoch that is kept: the validation objective of a trial,
            otherwise a loss; ``None`` if the training failed.
        best_epoch: the epoch whose weights are kept, counted from 1 over all rungs; 0 for the initial weights.
        history: metrics of each epoch of this training.
        seconds: wall-clock time of the last attempt.
        parameters: trainable weights of the model.
        reason: why it failed.
        attempts: attempts in this run of the program until it completed or was given up.
        subject_scores: score of each validation subject alone, of a trial that has such a score.
    """

    status: str
    score: float | None
    best_epoch: int | None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    parameters: int | None = None
    reason: str = ""
    attempts: int = 1
    subject_scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishedTraining:
    """The result of a training with its weights, as a worker returns it.

    Attributes:
        result: history, score and time.
        weights: model and optimizer at the epoch that is kept, the bytes of an ``.npz`` file; ``None`` if the training
            failed.
        retryable: another attempt may succeed. False if training diverged or the model cannot be built: seeds are
            fixed, so it would fail again.
        initial_loss: validation loss of the initial weights, measured only for `TrainingOptions.keep_initial`.
        averaged: whether the weights are averages over the steps.
        diverged: whether it ended early because its loss was not finite; the weights are from before.
    """

    result: TrainingResult
    weights: bytes | None
    retryable: bool = False
    initial_loss: float | None = None
    averaged: bool = False
    diverged: bool = False


@dataclass(frozen=True)
class Trial:
    """A finished trial of a search.

    Attributes:
        spec: the training.
        result: its result.
        ended: seconds of searching until it ended, over all runs of the program.
    """

    spec: TrainingSpec
    result: TrainingResult
    ended: float = 0.0


class TrialStopped(Exception):  # noqa: N818  # not an error: it was requested
    """Training was stopped before its end."""


def training_seed(seed: int, *, task: str, name: str) -> int:
    """Return the seed of a training's weights or data, from the study's seed and the training's name."""
    return zlib.crc32(f"{seed}/{task}/{name}".encode())


def is_better(score: float, than: float | None, *, direction: str) -> bool:
    """Return whether a finite score beats another; any score beats ``None``, NaN beats nothing."""
    if not math.isfinite(score):
        return False
    return than is None or (score < than if direction == "min" else score > than)


def failed_training(reason: str, *, seconds: float = 0.0, retryable: bool = False) -> FinishedTraining:
    """Return the result of a training that failed."""
    return FinishedTraining(TrainingResult(FAILED, None, None, seconds=seconds, reason=reason), None, retryable)
