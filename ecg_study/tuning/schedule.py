"""Hyperband schedule of a preset, and the size of a search space."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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


def hyperband_schedule(
    *, max_epochs: int, factor: int, iterations: int = 1, brackets: int | None = None
) -> tuple[Rung, ...]:
    """Return the rungs in the order in which Keras Tuner's Hyperband oracle starts them.

    The sizes are those of the oracle (keras_tuner 1.4.8, ``tuners/hyperband.py``). They differ slightly from the paper:
    all brackets end with a similar number of trials.

    Args:
        max_epochs: largest number of epochs of a trial.
        factor: one of so many trials is promoted.
        iterations: number of times the brackets are run.
        brackets: number of brackets, those with the most rungs first; ``None`` for all.

    References:
        Li L, Jamieson K, DeSalvo G, Rostamizadeh A, Talwalkar A. Hyperband: a novel bandit-based approach to
        hyperparameter optimization. Journal of Machine Learning Research 2018;18(185):1–52.
    """
    count, last = 0, 0
    epochs: float = max_epochs
    while epochs >= 1:
        epochs, count = epochs / factor, count + 1
    if brackets is not None:
        last = max(0, count - brackets)
    last_size = math.ceil(1 + math.log(max_epochs, factor))
    rungs = []
    for iteration in range(iterations):
        for bracket in reversed(range(last, count)):
            initial = 0
            for rung in range(bracket + 1):
                size = math.ceil(last_size / (bracket + 1) * factor ** (bracket - rung))
                epochs_here = math.ceil(max_epochs / factor ** (bracket - rung))
                rungs.append(Rung(iteration, bracket, rung, size, initial, epochs_here))
                initial = epochs_here
    return tuple(rungs)


def schedule_of(preset: Preset) -> tuple[Rung, ...]:
    """Return the schedule of a preset."""
    return hyperband_schedule(
        max_epochs=preset.max_epochs, factor=preset.factor, iterations=preset.iterations, brackets=preset.brackets
    )


def makespan(schedule: Sequence[Rung], *, workers: int, cost: Callable[[Rung], float]) -> float:
    """Return the time of a whole schedule on some workers, if all trials of a rung take the same time.

    The trials start in the order of `SearchOracle`: the first open bracket that can start one, and a new bracket only
    if no open one can. A trial is promoted when its place among the best of its rung is certain. The last rungs have
    fewer trials than workers, so some workers wait, and the time is longer than the work divided by the workers.

    Args:
        schedule: brackets and rungs, in order.
        workers: trials in parallel.
        cost: returns the time of one trial of a rung.
    """
    brackets: dict[tuple[int, int], _Bracket] = {}
    for rung in schedule:
        brackets.setdefault((rung.iteration, rung.bracket), _Bracket([])).add(rung)
    unopened, opened = list(reversed(brackets.values())), list[_Bracket]()
    running = list[tuple[float, int, _Bracket, int]]()  # end, number of the trial, its bracket and rung
    number, now = 0, 0.0
    while True:
        while len(running) < workers:
            opened = [bracket for bracket in opened if not bracket.is_started]
            bracket = next((bracket for bracket in opened if bracket.startable() is not None), None)
            if bracket is None:
                if not unopened:
                    break
                bracket = unopened.pop()
                opened.append(bracket)
            place = bracket.startable() or 0
            bracket.started[place] += 1
            heapq.heappush(running, (now + cost(bracket.rungs[place]), number, bracket, place))
            number += 1
        if not running:
            return now
        now, _, bracket, place = heapq.heappop(running)
        bracket.ended[place] += 1


@dataclass(eq=False)
class _Bracket:
    """A running bracket of `makespan`, with the numbers of started and ended trials of each rung."""

    rungs: list[Rung]
    started: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def add(self, rung: Rung) -> None:
        """Append a rung."""
        self.rungs.append(rung)
        self.started.append(0)
        self.ended.append(0)

    @property
    def is_started(self) -> bool:
        """Return whether every trial has started."""
        return self.started[-1] == self.rungs[-1].trials

    def startable(self) -> int | None:
        """Return the rung of the next trial that can start now; ``None`` if none can."""
        if self.started[0] < self.rungs[0].trials:
            return 0
        for place in range(1, len(self.rungs)):
            candidates = self.ended[place - 1] - self.started[place]
            dropped = self.rungs[place - 1].trials - self.rungs[place].trials
            if self.started[place] < self.rungs[place].trials and candidates > dropped:
                return place
        return None


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
