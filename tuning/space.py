"""How many configurations a search space holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecg_data import StudyError
from tuning.schedule import first_rungs, schedule_of
from tuning.tasks import Task

if TYPE_CHECKING:
    import keras_tuner


def check_space(task: Task) -> None:
    """Refuse a space that has fewer configurations than the plan will draw.

    Keras Tuner would end such a search early without a word.

    Raises:
        StudyError: with both numbers.
    """
    needed = len(first_rungs(schedule_of(task.preset)))
    held = count_configurations(task.space(), needed)
    if held < needed:
        raise StudyError(
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
