"""Configuration of a training: hyperparameters from a preset, a search, or the user."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ecg_study.errors import ModelError, SettingsError
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.hyperparameters import LEARNING_RATE, hyperparameter
from ecg_study.search_spaces.presets import BOTH, FORWARD, Preset
from ecg_study.search_spaces.training_data import STRENGTHS, TrainingData
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.validation import did_you_mean

_FIELD = "hyperparameters"
_WORDS = {"true": True, "false": False}

_MOST = {"layers": 16, "units": 4096, "dense_units": 4096, "filters": 1024}
"""Largest values: far beyond useful ones, and small enough that the names of all layers and one layer fit in memory."""


def parse_hyperparameters(words: Iterable[str]) -> dict[str, Any]:
    """Return hyperparameters from texts such as ``"units_1=64"``.

    Raises:
        SettingsError: a text has no name or no value.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if not (name and equals and text):
            raise SettingsError(_FIELD, f"{word!r} is not of the form name=value, such as units_1=64", value=word)
        if name in found:
            raise SettingsError(_FIELD, f"{name} is given twice", value=word)
        found[name] = _value(text)
    return found


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def searched_hyperparameters(folder: Path, model_kind: str) -> dict[str, Any]:
    """Return the hyperparameters of the best trial of a search.

    Args:
        folder: output folder of the study.
        model_kind: denoiser or detector.

    Raises:
        StateError: there is no search, or it is damaged.
        TrainingError: no trial was completed.
    """
    from ecg_study.tuning.state import load_search, search_directory

    return dict(load_search(search_directory(folder, model_kind)).best().spec.hyperparameters)


def choose_hyperparameters(
    preset: Preset, given: Mapping[str, Any], *, model_kind: str, segment_samples: int
) -> dict[str, Any]:
    """Return all hyperparameters of a training: those that are given, and those with one value in the preset.

    Args:
        preset: the preset.
        given: hyperparameters by name; they may lie outside the ranges of the preset.
        model_kind: ``"denoiser"`` or ``"detector"``.
        segment_samples: samples per segment.

    Raises:
        SettingsError: one is missing, unknown or impossible.
    """
    values = _ranges(preset, model_kind, given)
    layers = _checked("layers", given["layers"]) if "layers" in given else _single(values["layers"])
    for number in range(1, (layers or max(values["layers"])) + 1):
        values[f"units_{number}"] = values["units"]
    del values["units"]
    if unknown := [name for name in given if name not in values]:
        raise SettingsError(_FIELD, _unknown(unknown[0], values, layers), value=unknown[0])
    chosen = {name: _checked(name, given[name]) if name in given else _single(values[name]) for name in values}
    if missing := [name for name, value in chosen.items() if value is None]:
        listed = "; ".join(f"{name!r} ({', '.join(map(str, values[name]))})" for name in missing)
        problem = f"{preset.name!r} has several values of {listed}; choose one of each with hyperparameters"
        raise SettingsError("preset", problem, value=preset.name, parameters=(_FIELD,))
    if segment_samples % chosen["frame"]:
        problem = f"segment_samples ({segment_samples}) is not a multiple of frame = {chosen['frame']}"
        raise SettingsError(_FIELD, problem, value=chosen["frame"], parameters=("segment_samples",))
    return chosen


def check_buildable(task: TrainingTask, hyperparameters: dict[str, Any]) -> None:
    """Build the model of a training once.

    Raises:
        ModelError: Keras refuses the hyperparameters.
    """
    try:
        task.build(hyperparameters)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"the {task.name} cannot be built with these hyperparameters ({error})") from error


def _unknown(name: str, values: Mapping[str, Any], layers: int | None) -> str:
    """Return what is wrong with the name of a hyperparameter."""
    kind, _, number = name.partition("_")
    if kind == "units" and number.isdecimal() and int(number) > 0 and layers is not None:
        return f"{name!r} is for a model of {int(number)} or more layers, but layers is {layers}"
    return f"{name!r} is not one of {', '.join(values)}{did_you_mean(name, values)}"


def _ranges(preset: Preset, model_kind: str, given: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values of each hyperparameter in the preset; those of the training data only if they are needed."""
    ranges = preset.denoiser if model_kind == DENOISER else preset.detector
    values: dict[str, tuple[Any, ...]] = {
        "layers": ranges.layers,
        "units": ranges.units,
        "dropout": ranges.dropout,
        "frame": ranges.frame,
        "direction": ranges.direction,
        LEARNING_RATE: tuple(dict.fromkeys(ranges.learning_rate)),
    }
    values |= {"residual": ranges.residual} if model_kind == DENOISER else {"dense_units": ranges.dense_units}
    if any(ranges.filters):
        values["filters"] = ranges.filters
    if model_kind == DENOISER and any(ranges.gate):
        values["gate"] = ranges.gate
    if model_kind == DENOISER and any(ranges.loss_power):
        values["loss_power"] = ranges.loss_power
    augmented = (preset.denoiser_augmentation if model_kind == DENOISER else preset.detector_augmentation) is not None
    for item in fields(TrainingData):
        of_preset = getattr(ranges, item.name)
        usable = augmented or item.name == "database_balance"
        usable = usable and not (item.name == "augmentation" and model_kind == DENOISER)
        if set(of_preset) != {item.default} or (usable and item.name in given):
            values[item.name] = of_preset
    return values


def _single(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else None


def _checked(name: str, value: Any) -> Any:
    """Return a value that a model can have.

    Raises:
        SettingsError: it is of another type or out of range.
    """
    facts = hyperparameter(name)

    def refuse(words: str) -> SettingsError:
        return SettingsError(_FIELD, f"{name}: {value!r} is not {words}", value=value)

    if name == "direction":
        if value not in (FORWARD, BOTH):
            raise refuse(f"{FORWARD} or {BOTH}")
        return value
    if name == "augmentation":
        if value not in STRENGTHS:
            raise refuse(f"one of {', '.join(STRENGTHS)}")
        return value
    if name in ("residual", "gate"):
        if not isinstance(value, bool):
            raise refuse("true or false")
        return value
    decimal = name in (LEARNING_RATE, "dropout", "loss_power", "snr_shift_db", "database_balance")
    if isinstance(value, bool) or not isinstance(value, (int, float) if decimal else int):
        raise refuse("a number" if decimal else "an integer")
    limits = [
        (facts.minimum is None or value >= facts.minimum, f"at least {facts.minimum}"),
        (facts.maximum is None or value <= facts.maximum, f"at most {facts.maximum}"),
        (facts.above is None or value > facts.above, f"above {facts.above}"),
        (facts.below is None or value < facts.below, f"below {facts.below}"),
        (math.isfinite(value), "finite"),
    ]
    if most := _MOST.get("units" if name.startswith("units_") else name):
        limits.append((value <= most, f"at most {most:,}"))
    if wrong := [words for right, words in limits if not right]:
        raise refuse(wrong[0])
    return float(value) if decimal else value
