"""Configurations of an earlier study, to begin a search with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecg_study.errors import EcgStudyError
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.schedule import first_rungs, holds, schedule_of
from ecg_study.tuning.state import load_search, search_directory


@dataclass(frozen=True)
class WarmStart:
    """Where a search begins.

    Attributes:
        study: the earlier study's folder as it was given; empty for none.
        configurations: its best, best first.
        left_out: how many were better than some of these but do not fit this search's space.
    """

    study: str = ""
    configurations: tuple[dict[str, Any], ...] = ()
    left_out: int = 0


def read_warm_start(study: Path, task: TrainingTask) -> WarmStart:
    """The best configurations of the same model in an earlier study, for a third of the first rung.

    The rest of the rung stays random, so that a better region can still be found. Only configurations are taken, and
    those only where no record that helped to choose them is a test record here.

    Args:
        study: output folder of the earlier study.
        task: the model, its space, and its split.

    Raises:
        StudyError: there is no such search, it saw test records of this study, or nothing of it fits.
    """
    directory = search_directory(study, task.name)
    if not directory.is_dir():
        raise EcgStudyError(
            f"--warm-start: {study} holds no search of the {task.name}; give the --out of an earlier study"
        )
    earlier = load_search(directory)
    seen = set(earlier.identity["signals"])
    shared = [record for record, signals in task.cache.signals(task.split.test).items() if seen & set(signals)]
    if shared:
        raise EcgStudyError(
            f"--warm-start: {study} was trained or validated on {', '.join(shared)}, which this study tests on; "
            "its choices are not free of the test records"
        )
    first = first_rungs(schedule_of(task.preset))[0]
    wanted = math.ceil(first.trials / task.preset.factor)
    chosen: list[dict[str, Any]] = []
    left_out = 0
    for trial in earlier.ranked():
        if len(chosen) == wanted:
            break
        configuration = in_space(task, trial.plan.hyperparameters)
        if configuration is None:
            left_out += 1
        elif configuration not in chosen:  # else the same, at another rung
            chosen.append(configuration)
    if not chosen:
        raise EcgStudyError(
            f"--warm-start: none of the {task.name}'s configurations in {study} lies in this search's space"
        )
    return WarmStart(str(study), tuple(chosen), left_out)


_NONE = {"filters"}
"""Hyperparameters that only some spaces have, in which 0 stands for what the others build."""


def in_space(task: TrainingTask, configuration: dict[str, Any]) -> dict[str, Any] | None:
    """A configuration as this task's space says it, ``None`` where it lies outside.

    It gives an allowed value to every hyperparameter that applies, and to no other; but one that is 0 need not be
    there, nor be known, where that is the same as to have none.
    """
    import keras_tuner

    declared = keras_tuner.HyperParameters()
    task.space().configure(declared)
    active = [item for item in declared.space if all(holds(condition, configuration) for condition in item.conditions)]
    names = {item.name for item in active}
    known = {name: value for name, value in configuration.items() if name in names or name not in _NONE or value}
    for name in _NONE & (names - set(known)):
        known[name] = 0
    if names != set(known) or not all(_allows(item, known[item.name]) for item in active):
        return None
    return known


def _allows(item: Any, value: Any) -> bool:
    if getattr(item, "step", 1) is None:
        return isinstance(value, (int, float)) and item.min_value <= value <= item.max_value
    return value in list(item.values)
