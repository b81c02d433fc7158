"""What Hyperband will do, known before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search_spaces import Preset


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
