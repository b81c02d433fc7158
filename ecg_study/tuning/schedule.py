"""What Hyperband will do, known before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecg_study.errors import EcgStudyError
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.task import TrainingTask

if TYPE_CHECKING:
    import keras_tuner


@dataclass(frozen=True)
class Rung:
    """One rung of one bracket: ``trials`` trials go on from ``initial_epoch`` to ``epochs``."""

    iteration: int
    bracket: int
    rung: int
    trials: int
    initial_epoch: int
    epochs: int

    @property
    def total_epochs(self) -> int:
        """Epochs of training in this rung."""
        return self.trials * (self.epochs - self.initial_epoch)


def hyperband_schedule(max_epochs: int, factor: int, iterations: int = 1) -> tuple[Rung, ...]:
    """The rungs in the order in which Keras Tuner's Hyperband oracle begins them.

    The sizes are the oracle's own (keras_tuner 1.4.8, ``tuners/hyperband.py``), which differ a little from those of
    Li et al. (2018): all brackets end with a similar number of trials.

    Args:
        max_epochs: the most epochs a trial trains.
        factor: of how many trials one is promoted.
        iterations: how many times the brackets are run.
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
    """The schedule of a preset."""
    return hyperband_schedule(preset.max_epochs, preset.factor, preset.iterations)


def first_rungs(schedule: tuple[Rung, ...]) -> list[Rung]:
    """The first rung of each configuration, in the order in which configurations are drawn."""
    return [rung for rung in schedule if rung.rung == 0 for _ in range(rung.trials)]


def check_space(task: TrainingTask) -> None:
    """Refuse a space that has fewer configurations than the plan will draw.

    Keras Tuner would end such a search early without a word.

    Raises:
        StudyError: with both numbers.
    """
    needed = len(first_rungs(schedule_of(task.preset)))
    held = count_configurations(task.space(), needed)
    if held < needed:
        raise EcgStudyError(
            f"--preset {task.preset.name}: the space of the {task.name} holds {held} configurations, the plan draws "
            f"{needed}; widen its bounds in search_spaces/presets.py or lower max_epochs there"
        )


def count_configurations(space: keras_tuner.HyperModel, limit: int) -> int:
    """Count the distinct configurations of a space, up to ``limit``.

    A hyperparameter whose conditions do not hold does not count: a one-layer network has no second layer's units.
    """
    import keras_tuner

    declared = keras_tuner.HyperParameters()
    space.configure(declared)
    return _count(declared.space, {}, limit)


def _count(left: list[Any], chosen: dict[str, Any], limit: int) -> int:
    if not left:
        return 1
    first, others = left[0], left[1:]
    if not all(holds(condition, chosen) for condition in first.conditions):
        return _count(others, chosen, limit)
    found = 0
    for value in _values(first, limit):
        found += _count(others, chosen | {first.name: value}, limit - found)
        if found >= limit:
            return limit
    return found


def holds(condition: Any, chosen: dict[str, Any]) -> bool:
    return condition.name in chosen and chosen[condition.name] in condition.values


def _values(hyperparameter: Any, limit: int) -> list[Any]:
    if getattr(hyperparameter, "step", 1) is None:
        # A continuous range holds any number of values; conditions on one of them do not exist.
        return list(range(limit)) if hyperparameter.min_value < hyperparameter.max_value else [hyperparameter.min_value]
    return list(dict.fromkeys(hyperparameter.values))
