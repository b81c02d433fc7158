"""Presets as TOML files."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.errors import SettingsError
from ecg_study.files import write_text
from ecg_study.reading import UnreadableError, read_toml
from ecg_study.search_spaces.built_in import PRESETS, RENAMED_PRESETS
from ecg_study.search_spaces.hyperparameters import LEARNING_RATE
from ecg_study.search_spaces.presets import HyperparameterRanges, Preset
from ecg_study.search_spaces.training_data import CLEAN

_NONE = "none"
"""TOML has no null: this text stands for ``None`` in the file of a preset."""


def load_preset(name: str | Path) -> Preset:
    """Return a built-in preset, or read one from a TOML file.

    A file has the fields of `Preset`, with a table for each space and augmentation. With ``base = "quick"`` it gives
    only what differs from that built-in preset. The name defaults to the file's name without its ending; the text
    ``"none"`` stands for ``None``.

    Args:
        name: name of a built-in preset, or path of a ``.toml`` file.

    Raises:
        SettingsError: the preset is unknown, or its file is missing, misspelt or out of range.
    """
    if str(name) in PRESETS:
        return PRESETS[str(name)]
    path = Path(name)
    if path.suffix != ".toml":
        raise SettingsError(
            "preset", f"{str(name)!r} is neither {_listed(PRESETS)} nor the path of a .toml file", value=str(name)
        )
    try:
        content = read_toml(path)
    except FileNotFoundError as error:
        raise SettingsError("preset", f"{path}: file not found", value=str(name)) from error
    except UnreadableError as error:
        raise SettingsError("preset", f"{path}: {error}", value=str(name)) from error
    except OSError as error:
        raise SettingsError("preset", f"{path}: cannot be read ({error.strerror})", value=str(name)) from error
    return _preset_from(content, path)


def save_preset(preset: Preset, path: Path) -> None:
    """Write a preset as a TOML file that `load_preset` reads."""
    write_text(path, tomli_w.dumps(_without_null(asdict(preset))))


def _preset_from(content: dict[str, Any], path: Path) -> Preset:
    """Return the preset of a TOML file, checked."""
    given = dict(content)
    base = given.pop("base", None)
    if base is not None and (not isinstance(base, str) or base not in PRESETS):
        raise SettingsError("preset", f"{path}: base: {base!r} is not one of {_listed(PRESETS)}", value=base)
    _check_keys(given, Preset, path, ())
    for table, kind in (
        ("denoiser", HyperparameterRanges),
        ("detector", HyperparameterRanges),
        ("denoiser_augmentation", Augmentation),
        ("detector_augmentation", Augmentation),
    ):
        if isinstance(given.get(table), dict):
            _check_keys(given[table], kind, path, (table,))
    start = {} if base is None else asdict(PRESETS[base])
    values = _merged(start, _with_null(given))
    values["name"] = given.get("name", path.stem)
    values["summary"] = given.get("summary", f"read from {path.name}")
    try:
        # As JSON: only there does strict checking take a list for a tuple and a whole number for a float.
        preset = _ADAPTER.validate_json(json.dumps([values]), strict=True)[0]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        value = first["input"]
        shown = "missing" if first["type"] == "missing" else f"{value!r}: {_lower(first['msg'])}"
        raise SettingsError("preset", f"{path}: {place}: {shown}", value=value) from error
    _check_ranges(preset, path)
    _check_training_data(preset, path)
    taken = PRESETS.get(RENAMED_PRESETS.get(preset.name, preset.name))
    if taken is not None and preset != taken:
        raise SettingsError(
            "preset", f"{path}: name: {preset.name!r} is a built-in preset; choose another name", value=preset.name
        )
    return preset


_ADAPTER: TypeAdapter[list[Preset]] = TypeAdapter(list[Preset], config=ConfigDict(allow_inf_nan=False))


def _check_keys(given: Mapping[str, Any], kind: type, path: Path, table: tuple[str, ...]) -> None:
    """Refuse keys that are not fields of a dataclass."""
    assert is_dataclass(kind)
    known = [item.name for item in fields(kind)]
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise SettingsError("preset", f"{path}: {'.'.join((*table, key))}: unknown key; {advice}", value=key)


def _check_ranges(preset: Preset, path: Path) -> None:
    """Refuse ranges whose lowest value exceeds the highest, and probabilities beyond 0 to 1."""
    for table in ("denoiser", "detector", "denoiser_augmentation", "detector_augmentation"):
        part = getattr(preset, table)
        for name, value in ({} if part is None else asdict(part)).items():
            pair = name == LEARNING_RATE or (isinstance(part, Augmentation) and isinstance(value, tuple))
            if pair and not value[0] <= value[1]:
                raise SettingsError(
                    "preset", f"{path}: {table}.{name}: {list(value)} must be in ascending order", value=value
                )
            if isinstance(part, Augmentation) and not pair and value is not None:
                most = 1 if name.endswith("_probability") else math.inf
                if not 0 <= value <= most:
                    problem = "must not be negative" if most > 1 else "must be from 0 to 1"
                    raise SettingsError("preset", f"{path}: {table}.{name}: {value} {problem}", value=value)


def _check_training_data(preset: Preset, path: Path) -> None:
    """Refuse augmentation of a model whose segments are not augmented, or whose augmentation has no strengths."""
    for model, augmentation in (
        ("denoiser", preset.denoiser_augmentation),
        ("detector", preset.detector_augmentation),
    ):
        ranges: HyperparameterRanges = getattr(preset, model)
        for name, default in (("augmentation", CLEAN), ("snr_shift_db", 0.0)):
            values = getattr(ranges, name)
            if augmentation is None and set(values) != {default}:
                problem = f"{model}.{name}: {list(values)}: needs the table {model}_augmentation"
                raise SettingsError("preset", f"{path}: {problem}", value=values)
    if set(preset.denoiser.augmentation) != {CLEAN}:
        problem = f"denoiser.augmentation: {list(preset.denoiser.augmentation)}: only the detector has other strengths"
        raise SettingsError("preset", f"{path}: {problem} than {CLEAN!r}", value=preset.denoiser.augmentation)


def _merged(base: Any, given: Any) -> Any:
    """Return ``base`` with what was given in its place, tables key by key."""
    if not (isinstance(base, dict) and isinstance(given, dict)):
        return given
    return base | {key: _merged(base.get(key), value) for key, value in given.items()}


def _with_null(values: dict[str, Any]) -> dict[str, Any]:
    return {k: _with_null(v) if isinstance(v, dict) else None if v == _NONE else v for k, v in values.items()}


def _without_null(values: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_null(v) if isinstance(v, dict) else _NONE if v is None else v for k, v in values.items()}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
