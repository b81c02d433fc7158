"""Configurations that a search tries first: that of a pretrained model, and the best of an earlier study."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecg_study.errors import SettingsError, StateError
from ecg_study.search_spaces.hyperparameters import LEARNING_RATE, hyperparameter, optional_hyperparameters
from ecg_study.training.pretrained import Pretrained
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.schedule import condition_holds, first_rungs, schedule_of
from ecg_study.tuning.state import load_search, search_directory


@dataclass(frozen=True)
class WarmStart:
    """Configurations that a search tries first.

    Attributes:
        study: folder of the earlier study, as the user named it; empty for none.
        configurations: that of the pretrained model, then the best of the study, best first.
        skipped: number of better configurations that do not fit this search's space.
        pretrained: name of the pretrained model; empty for none.
    """

    study: str = ""
    configurations: tuple[dict[str, Any], ...] = ()
    skipped: int = 0
    pretrained: str = ""

    @property
    def notices(self) -> list[str]:
        """Messages for the user."""
        said = [f"the network of {self.pretrained} is tried first, with its weights"] if self.pretrained else []
        if self.study:
            skipped = f"; {self.skipped} others do not fit this space" if self.skipped else ""
            count = len(self.configurations) - bool(self.pretrained)
            said.append(f"the {count} best of {self.study} are tried first{skipped}")
        return said


def first_configurations(task: TrainingTask, study: Path | None) -> WarmStart:
    """Return the configurations that a search tries first.

    Args:
        task: the model, its space, its split, and its pretrained model.
        study: output folder of an earlier study, see `read_warm_start`; ``None`` for none.

    Raises:
        StateError: the earlier study cannot be used.
        SettingsError: the pretrained model does not fit the space.
    """
    warm = WarmStart() if study is None else read_warm_start(study, task)
    if task.pretrained is None:
        return warm
    own = pretrained_configuration(task, task.pretrained)
    others = [configuration for configuration in warm.configurations if configuration != own]
    return replace(warm, configurations=(own, *others), pretrained=task.pretrained.name)


def pretrained_configuration(task: TrainingTask, pretrained: Pretrained) -> dict[str, Any]:
    """Return the configuration of a pretrained model in the form of this task's space.

    The learning rate is the lowest of the space: a search keeps the rate constant, and a high one makes the trained
    network worse. Any other value of its training that is outside the space is replaced by the first of the space.

    Raises:
        SettingsError: its network is outside the space.
    """
    import keras_tuner

    declared = keras_tuner.HyperParameters()
    task.space().configure(declared)
    given = {name: value for name, value in pretrained.hyperparameters.items() if hyperparameter(name).network}
    for item in declared.space:
        if not hyperparameter(item.name).network:
            value = item.min_value if item.name == LEARNING_RATE else pretrained.hyperparameters.get(item.name)
            given[item.name] = value if value is not None and _allows(item, value) else item.default
    found = in_space(task, given)
    if found is None:
        problem = f"the network of {pretrained.name} is outside the ranges of the preset {task.preset.name}"
        raise SettingsError("pretrained", f"{problem}; choose another model or preset")
    return found


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
