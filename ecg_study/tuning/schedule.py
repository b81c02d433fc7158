"""Hyperband schedule of a preset, and the size of a search space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecg_study.errors import TrainingError
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.task import TrainingTask

if TYPE_CHECKING:
    import keras_tuner


@dataclass(frozen=True)
class Rung:
    """One rung of a bracket.

    Attributes:
        iteration: Hyperband's iteration, from 0.
        bracket: number of rungs of the bracket, minus one.
        rung: number in its bracket, from 0.
        trials: number of trials.
        initial_epoch: epochs that each trial has already trained.
        epochs: epochs that each trial has trained at the end of the rung.
    """

    iteration: int
    bracket: int
    rung: int
    trials: int
    initial_epoch: int
    epochs: int

    @property
    def total_epochs(self) -> int:
        """Training epochs in this rung."""
        return self.trials * (self.epochs - self.initial_epoch)


def hyperband_schedule(*, max_epochs: int, factor: int, iterations: int = 1) -> tuple[Rung, ...]:
    """Return the rungs in the order in which Keras Tuner's Hyperband oracle starts them.

    The sizes are those of the oracle (keras_tuner 1.4.8, ``tuners/hyperband.py``). They differ slightly from the paper:
    all brackets end with a similar number of trials.

    Args:
        max_epochs: largest number of epochs of a trial.
        factor: one of so many trials is promoted.
        iterations: number of times the brackets are run.

    References:
        Li L, Jamieson K, DeSalvo G, Rostamizadeh A, Talwalkar A. Hyperband: a novel bandit-based approach to
        hyperparameter optimization. Journal of Machine Learning Research 2018;18(185):1–52.
    """
    brackets = 0
    epochs: float = max_epochs
    while epochs >= 1:
        epochs, brackets = epochs / factor, brackets + 1
    last_size = math.ceil(1 + math.log(max_epochs, factor))
    rungs = []
    for iteration in range(iterations):
        for bracket in reversed(range(brackets)):
            initial = 0
            for rung in range(bracket + 1):
                size = math.ceil(last_size / (bracket + 1) * factor ** (bracket - rung))
                epochs_here = math.ceil(max_epochs / factor ** (bracket - rung))
                rungs.append(Rung(iteration, bracket, rung, size, initial, epochs_here))
                initial = epochs_here
    return tuple(rungs)


def schedule_of(preset: Preset) -> tuple[Rung, ...]:
    """Return the schedule of a preset."""
    return hyperband_schedule(max_epochs=preset.max_epochs, factor=preset.factor, iterations=preset.iterations)


def first_rungs(schedule: tuple[Rung, ...]) -> list[Rung]:
    """Return the first rung of each configuration, in the order in which configurations are drawn."""
    return [rung for rung in schedule if rung.rung == 0 for _ in range(rung.trials)]


def check_space(task: TrainingTask) -> None:
    """Refuse a space that has fewer configurations than the schedule draws.

    Keras Tuner would end such a search early without a message.

    Raises:
        TrainingError: the space is too small.
    """
    needed = len(first_rungs(schedule_of(task.preset)))
    held = count_configurations(task.space(), needed)
    if held < needed:
        raise TrainingError(
            f"preset {task.preset.name!r}: the search space of the {task.name} has {held} configurations, but the "
            f"schedule draws {needed}; use a preset with wider ranges or a smaller max_epochs",
        )


def count_configurations(space: keras_tuner.HyperModel, limit: int) -> int:
    """Count the distinct configurations of a space, up to ``limit``.

    A hyperparameter whose conditions do not hold does not count: a network with one layer has no units of a second
    layer.
    """
    import keras_tuner

    declared = keras_tuner.HyperParameters()
    space.configure(declared)
    return _count(declared.space, {}, limit)


def _count(left: list[Any], chosen: dict[str, Any], limit: int) -> int:
    if not left:
        return 1
    first, others = left[0], left[1:]
    if not all(condition_holds(condition, chosen) for condition in first.conditions):
        return _count(others, chosen, limit)
    found = 0
    for value in _values(first, limit):
        found += _count(others, chosen | {first.name: value}, limit - found)
        if found >= limit:
            return limit
    return found


def condition_holds(condition: Any, chosen: dict[str, Any]) -> bool:
    """Return whether a condition of Keras Tuner holds for the values chosen so far."""
    return condition.name in chosen and chosen[condition.name] in condition.values


def _values(hyperparameter: Any, limit: int) -> list[Any]:
    if getattr(hyperparameter, "step", 1) is None:
        # A continuous range has any number of values, and no condition depends on one of them.
        return list(range(limit)) if hyperparameter.min_value < hyperparameter.max_value else [hyperparameter.min_value]
    return list(dict.fromkeys(hyperparameter.values))
