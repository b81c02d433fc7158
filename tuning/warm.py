"""Configurations of an earlier study, to begin a search with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecg_data import StudyError
from tuning.schedule import first_rungs, schedule_of
from tuning.space import holds
from tuning.state import load_search, search_directory
from tuning.tasks import Task


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


def read_warm_start(study: Path, task: Task) -> WarmStart:
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
        raise StudyError(
            f"--warm-start: {study} holds no search of the {task.name}; give the --out of an earlier study"
        )
    earlier = load_search(directory)
    seen = set(earlier.identity["signals"])
    shared = [record for record, signals in task.cache.signals(task.split.test).items() if seen & set(signals)]
    if shared:
        raise StudyError(
            f"--warm-start: {study} was trained or validated on {', '.join(shared)}, which this study tests on; "
            "its choices are not free of the test records"
        )
    first = first_rungs(schedule_of(task.preset))[0]
    wanted = math.ceil(first.trials / task.preset.factor)
    chosen: list[dict[str, Any]] = []
    left_out = 0
    for trial in earlier.ranked():
        configuration = trial.plan.hyperparameters
        if len(chosen) == wanted:
            break
        if configuration in chosen:
            continue  # the same, at another rung
        if fits_space(task, configuration):
            chosen.append(configuration)
        else:
            left_out += 1
    if not chosen:
        raise StudyError(
            f"--warm-start: none of the {task.name}'s configurations in {study} lies in this search's space"
        )
    return WarmStart(str(study), tuple(chosen), left_out)


def fits_space(task: Task, configuration: dict[str, Any]) -> bool:
    """Whether a configuration gives an allowed value to every hyperparameter that applies, and to no other."""
    import keras_tuner

    declared = keras_tuner.HyperParameters()
    task.space().configure(declared)
    active = [item for item in declared.space if all(holds(condition, configuration) for condition in item.conditions)]
    if {item.name for item in active} != set(configuration):
        return False
    return all(_allows(item, configuration[item.name]) for item in active)


def _allows(item: Any, value: Any) -> bool:
    if getattr(item, "step", 1) is None:
        return isinstance(value, (int, float)) and item.min_value <= value <= item.max_value
    return value in list(item.values)
