"""Configurations of an earlier study that a search tries first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecg_study.errors import StateError
from ecg_study.search_spaces.hyperparameters import optional_hyperparameters
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.schedule import condition_holds, first_rungs, schedule_of
from ecg_study.tuning.state import load_search, search_directory


@dataclass(frozen=True)
class WarmStart:
    """Configurations that a search tries first.

    Attributes:
        study: folder of the earlier study, as the user named it; empty for none.
        configurations: its best configurations, best first.
        skipped: number of better configurations that do not fit this search's space.
    """

    study: str = ""
    configurations: tuple[dict[str, Any], ...] = ()
    skipped: int = 0


def read_warm_start(study: Path, task: TrainingTask) -> WarmStart:
    """Read the best configurations of the same model in an earlier study, for one in `Preset.factor` of the first rung.

    The rest of the rung stays random, so that the search can still find a better region. Weights are not reused. An
    earlier study that was trained or validated on a test record of this study is refused.

    Args:
        study: output folder of the earlier study.
        task: the model, its space, and its split.

    Raises:
        StateError: the earlier search is missing or damaged, saw test records of this study, or none of its
            configurations fits.
    """
    directory = search_directory(study, task.name)
    if not directory.is_dir():
        raise _refused(f"no search of the {task.name} in {study}; name the output folder of an earlier study")
    earlier = load_search(directory)
    seen = set(earlier.identity["signals"])
    shared = [record for record, signals in task.cache.signals(task.split.test).items() if seen & set(signals)]
    if shared:
        raise _refused(
            f"{study} was trained or validated on {', '.join(shared)}, which this study tests on, so its choices "
            "depend on test records; use an earlier study with other records"
        )
    first = first_rungs(schedule_of(task.preset))[0]
    wanted = math.ceil(first.trials / task.preset.factor)
    chosen: list[dict[str, Any]] = []
    skipped = 0
    for trial in earlier.ranked():
        if len(chosen) == wanted:
            break
        configuration = in_space(task, trial.spec.hyperparameters)
        if configuration is None:
            skipped += 1
        elif configuration not in chosen:  # else a trial of the same configuration on another rung
            chosen.append(configuration)
    if not chosen:
        raise _refused(f"no configuration of the {task.name} in {study} fits the space of this search")
    return WarmStart(str(study), tuple(chosen), skipped)


def _refused(problem: str) -> StateError:
    return StateError(f"warm_start: {problem}", parameters=("warm_start",))


def in_space(task: TrainingTask, configuration: dict[str, Any]) -> dict[str, Any] | None:
    """Return a configuration in the form of this task's space, or ``None`` if it is outside.

    It must have an allowed value for every hyperparameter that applies, and no other hyperparameters. A hyperparameter
    whose value 0 means that it is absent may be missing on either side.
    """
    import keras_tuner

    declared = keras_tuner.HyperParameters()
    task.space().configure(declared)
    active = [
        item
        for item in declared.space
        if all(condition_holds(condition, configuration) for condition in item.conditions)
    ]
    names = {item.name for item in active}
    optional = optional_hyperparameters()
    known = {
        name: value
        for name, value in configuration.items()
        if name in names or name not in optional or value != optional[name]
    }
    known |= {name: absent for name, absent in optional.items() if name in names and name not in known}
    if names != set(known) or not all(_allows(item, known[item.name]) for item in active):
        return None
    return known


def _allows(item: Any, value: Any) -> bool:
    if getattr(item, "step", 1) is None:
        return isinstance(value, (int, float)) and item.min_value <= value <= item.max_value
    return value in list(item.values)
