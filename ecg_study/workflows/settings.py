"""The settings of a study: their defaults, their TOML file, their command line options, from one list."""

from __future__ import annotations

import argparse
import math
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ecg_study.ecg_data.databases.catalog import DATABASES
from ecg_study.errors import EcgStudyError
from ecg_study.files import write_text
from ecg_study.search_spaces.presets import PRESETS, load_preset


def _option(default: Any, help_text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **more})


@dataclass(frozen=True)
class Settings:
    """Everything a study can be told. Option ``--raw-dir``, key ``raw-dir`` in TOML and field ``raw_dir`` are one."""

    database: str = _option("synthetic", "where the records come from", choices=DATABASES)
    raw_dir: str = _option("", "folder of WFDB records that are already there (for mitdb and folder)", metavar="DIR")
    noise_dir: str = _option(
        "",
        "folder of the MIT-BIH Noise Stress Test Database (bw, em, ma, 118e…), for the report under real noise, and "
        "for training with the preset robust; downloaded for that, and where mitdb is downloaded too",
        metavar="DIR",
    )
    preset: str = _option(
        "quick",
        "size of the search: the path of a TOML file, or "
        + "; ".join(f"{preset.name}: {preset.summary}" for preset in PRESETS.values()),
        metavar="PRESET",
    )
    seed: int = _option(1, "seed of noise, split, search and weights; 0 or more", least=0)
    out: str = _option("outputs", "folder for everything that is made", metavar="DIR")
    data_dir: str = _option("data", "folder for raw records and cached segments", metavar="DIR")
    records: tuple[str, ...] = _option((), "records to use, separated by commas; all unless told", metavar="A,B,…")
    lead: str = _option("auto", "name of a lead, 'auto' (MLII where there is one, else the first) or 'all'")
    annotator: str = _option("atr", "ending of the annotation files", metavar="EXT")
    segment: int = _option(2016, "samples a segment", least=1, metavar="N")
    window: int = _option(144, "samples a window; a segment is a whole number of windows", least=1, metavar="N")
    noise: float = _option(
        0.05,
        "standard deviation of the added Gaussian noise in mV; robust and white train with levels of their own",
        least=0,
        metavar="MV",
    )
    skip_bad: bool = _option(False, "leave out records that cannot be used, and say so, instead of stopping")
    max_hours: float | None = _option(
        None, "end the searches after so many hours, shared among the models", above=0, metavar="H"
    )
    max_trials: int | None = _option(None, "end the search of a model after so many trials", least=1, metavar="N")
    warm_start: str = _option("", "output folder of an earlier study, whose best are tried first", metavar="STUDY")
    workers: int | None = _option(
        None,
        "trials side by side, each in its own process; 0 trains in the main process, to debug a space "
        "(default: as many as are fastest)",
        least=0,
        metavar="N",
        runtime=True,
    )
    scheduler: str = _option(
        "", "address of a Dask scheduler, such as tcp://host:8786, whose workers train", metavar="ADDRESS", runtime=True
    )
    tensorboard: bool = _option(False, "write logs for TensorBoard beside the search", runtime=True)


def add_options(parser: argparse.ArgumentParser, names: Sequence[str] | None = None) -> None:
    """Give a parser an option for every setting, and ``--config``. What is not given is not in the result.

    Args:
        parser: to be extended.
        names: of the settings; all unless told. Where there are none, neither is ``--config``.
    """
    if names is not None and not names:
        parser.set_defaults(config=None)
        return
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="TOML file with these settings; options win over it")
    for item in fields(Settings):
        if names is not None and item.name not in names:
            continue
        more = {key: item.metadata[key] for key in ("choices", "metavar") if key in item.metadata}
        name = "--" + item.name.replace("_", "-")
        if isinstance(item.default, bool):
            group.add_argument(name, action="store_true", default=argparse.SUPPRESS, help=item.metadata["help"])
            continue
        default = f" (default: {item.default})" if item.default not in ("", (), None) else ""
        kind = _records if isinstance(item.default, tuple) else _kind(item)
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
    given = {name: value for name, value in asdict(settings).items() if value is not None}
    lines = [f"{name.replace('_', '-')} = {_toml(value)}" for name, value in given.items()]
    write_text(path, "# The settings of this study; use them again with --config.\n" + "\n".join(lines) + "\n")


def as_options(settings: Settings) -> str:
    """The options that give these settings, as one would type them.

    Left out are defaults, and what does not change the outcome: who trains, and what is logged.
    """
    words = []
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if value == item.default or item.metadata.get("runtime"):
            continue
        words.append("--" + item.name.replace("_", "-"))
        if not isinstance(value, bool):
            words.append(",".join(value) if isinstance(value, tuple) else str(value))
    return shlex.join(words)


def _records(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no record; leave the option out to use all")
    return names


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EcgStudyError(f"--config: {path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise EcgStudyError(f"--config: {path}: not a TOML file ({error})") from error
    known = {item.name.replace("_", "-"): item for item in fields(Settings)}
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise EcgStudyError(f"--config: {path}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    return {known[key].name: _typed(path, key, value, _kind(known[key])) for key, value in content.items()}


def _kind(item: Field[Any]) -> type:
    """The type of a setting's values; for one that may be left open, of those it may be given."""
    hint = get_type_hints(Settings)[item.name]
    kinds = [kind for kind in get_args(hint) if kind is not NoneType] if get_origin(hint) is UnionType else [hint]
    kind: type = get_origin(kinds[0]) or kinds[0]
    return kind


def _typed(path: Path, key: str, value: Any, kind: type) -> Any:
    if kind is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif type(value) is kind:
        return value
    said = {"str": "text", "int": "whole number", "tuple": "list of texts"}.get(kind.__name__, kind.__name__)
    raise EcgStudyError(f"--config: {path}: {key} = {value!r} is no {said}")


def _check(settings: Settings) -> None:
    for item in fields(Settings):
        value, metadata = getattr(settings, item.name), item.metadata
        option = "--" + item.name.replace("_", "-")
        if "choices" in metadata and value not in metadata["choices"]:
            raise EcgStudyError(f"{option}: {value!r} is not known; choose {', '.join(metadata['choices'])}")
        if item.name == "annotator" and not value.isalnum():
            raise EcgStudyError(f"{option}: {value!r} is no file ending; give letters and digits, such as atr")
        if value is None:
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise EcgStudyError(f"{option}: {value} is no finite number")
        if "above" in metadata and not value > metadata["above"]:
            raise EcgStudyError(f"{option}: {value:g} is out of range; it must be more than {metadata['above']}")
        if "least" in metadata and not value >= metadata["least"]:
            raise EcgStudyError(f"{option}: {value} is out of range; it must be at least {metadata['least']}")
    load_preset(settings.preset)
    if settings.scheduler and settings.workers is not None:
        raise EcgStudyError(
            "--workers: the cluster of --scheduler decides how many workers there are; give one of the two"
        )


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
