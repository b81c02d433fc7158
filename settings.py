"""The settings of a study: their defaults, their TOML file, their command line options, from one list."""

from __future__ import annotations

import argparse
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ecg_data import DATABASES, StudyError
from ecg_data.files import write_text
from search_spaces import PRESETS


def _option(default: Any, help_text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **more})


@dataclass(frozen=True)
class Settings:
    """Everything a study can be told. Option ``--raw-dir``, key ``raw-dir`` in TOML and field ``raw_dir`` are one."""

    database: str = _option("synthetic", "where the records come from", choices=DATABASES)
    raw_dir: str = _option("", "folder of WFDB records that are already there (for mitdb and folder)", metavar="DIR")
    preset: str = _option(
        "quick",
        "size of the search; " + "; ".join(f"{preset.name}: {preset.summary}" for preset in PRESETS.values()),
        choices=tuple(PRESETS),
    )
    seed: int = _option(1, "seed of noise, split, search and weights; 0 or more", least=0)
    out: str = _option("outputs", "folder for everything that is made", metavar="DIR")
    data_dir: str = _option("data", "folder for raw records and cached segments", metavar="DIR")
    records: tuple[str, ...] = _option((), "records to use, separated by commas; all unless told", metavar="A,B,…")
    lead: str = _option("auto", "name of a lead, 'auto' (MLII where there is one, else the first) or 'all'")
    annotator: str = _option("atr", "ending of the annotation files", metavar="EXT")
    segment: int = _option(2016, "samples a segment", least=1, metavar="N")
    window: int = _option(144, "samples a window; a segment is a whole number of windows", least=1, metavar="N")
    noise: float = _option(0.05, "standard deviation of the added Gaussian noise in mV", least=0, metavar="MV")
    skip_bad: bool = _option(False, "leave out records that cannot be used, and say so, instead of stopping")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser an option for every setting, and ``--config``. What is not given is not in the result."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="TOML file with these settings; options win over it")
    for item in fields(Settings):
        more = {key: item.metadata[key] for key in ("choices", "metavar") if key in item.metadata}
        name = "--" + item.name.replace("_", "-")
        if isinstance(item.default, bool):
            group.add_argument(name, action="store_true", default=argparse.SUPPRESS, help=item.metadata["help"])
            continue
        default = f" (default: {item.default})" if item.default not in ("", ()) else ""
        kind = _records if isinstance(item.default, tuple) else type(item.default)
        text = item.metadata["help"].replace("%", "%%") + default
        group.add_argument(name, type=kind, default=argparse.SUPPRESS, help=text, **more)


def settings_from(options: argparse.Namespace) -> Settings:
    """Settings from parsed options: these win over ``--config``, and that over the defaults.

    Raises:
        StudyError: the file cannot be read, has an unknown key, or a value is of the wrong kind or out of range.
    """
    settings = Settings()
    if options.config is not None:
        settings = replace(settings, **_read_toml(Path(options.config)))
    names = {item.name for item in fields(Settings)}
    given = {name: value for name, value in vars(options).items() if name in names}
    settings = replace(settings, **given)
    _check(settings)
    return settings


def save_settings(settings: Settings, path: Path) -> None:
    """Write settings as a TOML file that ``--config`` takes."""
    lines = [f"{name.replace('_', '-')} = {_toml(value)}" for name, value in asdict(settings).items()]
    write_text(path, "# The settings of this study; use them again with --config.\n" + "\n".join(lines) + "\n")


def as_options(settings: Settings) -> str:
    """The options that give these settings, defaults left out, as one would type them."""
    words = []
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if value == item.default:
            continue
        words.append("--" + item.name.replace("_", "-"))
        if not isinstance(value, bool):
            words.append(",".join(value) if isinstance(value, tuple) else str(value))
    return shlex.join(words)


def _records(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(f"--config: {path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StudyError(f"--config: {path}: not a TOML file ({error})") from error
    known = {item.name.replace("_", "-"): item for item in fields(Settings)}
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise StudyError(f"--config: {path}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    return {known[key].name: _typed(path, key, value, known[key].default) for key, value in content.items()}


def _typed(path: Path, key: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif type(value) is type(default):
        return value
    kind = (
        "list of texts"
        if isinstance(default, tuple)
        else {"str": "text", "int": "whole number"}.get(type(default).__name__, type(default).__name__)
    )
    raise StudyError(f"--config: {path}: {key} = {value!r} is no {kind}")


def _check(settings: Settings) -> None:
    for item in fields(Settings):
        value, metadata = getattr(settings, item.name), item.metadata
        option = "--" + item.name.replace("_", "-")
        if "choices" in metadata and value not in metadata["choices"]:
            raise StudyError(f"{option}: {value!r} is not known; choose {', '.join(metadata['choices'])}")
        if item.name == "annotator" and not value.isalnum():
            raise StudyError(f"{option}: {value!r} is no file ending; give letters and digits, such as atr")
        if "least" in metadata and not value >= metadata["least"]:
            raise StudyError(f"{option}: {value} is out of range; it must be at least {metadata['least']}")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        # A TOML basic string: backslash, quote and control characters are escaped.
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
    return repr(value)


def as_mapping(settings: Settings) -> Mapping[str, Any]:
    """Settings by their option names, for a report."""
    return {name.replace("_", "-"): value for name, value in asdict(settings).items()}
