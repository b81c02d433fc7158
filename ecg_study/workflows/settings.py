"""Settings of a study: defaults, checks, and the TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import tomli_w
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from ecg_study.ecg_data.databases.catalog import check_test_database
from ecg_study.ecg_data.databases.facts import DATABASES, JOINABLE, OFF_R_PEAK, database_names
from ecg_study.ecg_data.databases.own import NO_OWN_DATABASES, OwnDatabase, OwnDatabases, Use
from ecg_study.errors import SettingsError
from ecg_study.files import write_text
from ecg_study.reading import UnreadableError, read_toml
from ecg_study.search_spaces.built_in import PRESETS, RENAMED_PRESETS
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.training.executors.tls import TlsFiles
from ecg_study.workflows.validation import (
    CheckedModel,
    Expected,
    Flag,
    Hours,
    Names,
    NonNegativeInt,
    NonNegativeNumber,
    PositiveInt,
    Text,
    Workers,
    did_you_mean,
    matching,
    one_of,
)

SETTINGS_FILE = "settings.toml"
"""Name of the settings file in the output folder of a study."""

OLD_KEYS = {
    "out": "output-dir",
    "segment": "segment-samples",
    "window": "window-samples",
    "noise": "noise-sigma-mv",
    "skip-bad": "skip-invalid",
}
"""Keys of settings files of version 0.1.0, and what they are called now."""

RUNTIME_SETTINGS = (
    "workers",
    "scheduler",
    "scheduler_ca",
    "scheduler_cert",
    "scheduler_key",
    "tensorboard",
    "keras_layers",
)
"""Settings that do not change the result but for rounding: who trains, by which code, and which logs are written."""


def _checked_preset(name: str) -> str:
    if name not in PRESETS and not name.endswith(".toml"):
        now = RENAMED_PRESETS.get(name)
        suggestion = f"; it is now called {now!r}" if now else did_you_mean(name, PRESETS)
        raise ValueError(f"{name!r} is not one of {', '.join(PRESETS)}, nor a .toml file{suggestion}")
    load_preset(name)
    return name


_ADDRESS = re.compile(r"(?:(?:tcp|tls|wss?)://)?(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):([0-9]{1,5})/?")


def _checked_address(address: str) -> str:
    found = _ADDRESS.fullmatch(address)
    if address and (found is None or not 1 <= int(found[1]) <= 65_535):
        raise ValueError(f"{address!r} is not an address such as tcp://host:8786 (port 1 to 65535)")
    return address


def checked_databases(names: str, *, own: OwnDatabases = NO_OWN_DATABASES) -> str:
    """Return names of databases with commas in between, in their usual order.

    Args:
        names: the names.
        own: databases of the user by name.

    Raises:
        SettingsError: one is unknown, given twice, or cannot be used with others.
    """
    known = (*DATABASES, *own)
    for name in names.split(","):
        if name not in known:
            problem = f"{name!r} is not one of {', '.join(known)}{did_you_mean(name, known)}"
            raise SettingsError("database", problem, value=names)
    return ",".join(database_names(names, own=own))


class DatabaseTable(CheckedModel):
    """A table ``[databases.NAME]`` of a settings file; see `OwnDatabase`."""

    folder: Text
    groups: Text = ""
    symbols: Names = ()
    annotator: Annotated[Text, matching(r"[A-Za-z0-9]+", "a file extension of letters and digits")] = "atr"
    part: Annotated[Text, one_of(get_args(Use))] = "split"
    share: Annotated[float, Field(gt=0, lt=1), Expected("a number between 0 and 1")] | None = None
    align: Flag = True

    def as_database(self, name: str) -> OwnDatabase:
        """Return the database.

        Raises:
            SettingsError: the name is not valid.
        """
        return OwnDatabase(
            name,
            Path(self.folder),
            groups=Path(self.groups) if self.groups else None,
            symbols=self.symbols,
            annotator=self.annotator,
            part=cast(Use, self.part),
            share=self.share,
            align=self.align,
        )


def _as_tables(given: Any) -> Any:
    """Return tables of databases, with the name of the table in each error."""
    if not isinstance(given, Mapping):
        raise ValueError("is not a table [databases.NAME] for each database")  # pydantic reads the text
    tables = {}
    for name, table in given.items():
        try:
            if not isinstance(table, (Mapping, DatabaseTable)):
                raise ValueError(f"{name}: is not a table with the key folder")
            tables[name] = table if isinstance(table, DatabaseTable) else DatabaseTable(**table)
            tables[name].as_database(name)
        except SettingsError as error:
            place = "" if error.field == "databases" else f"{name}: {error.field}: "
            missing = "is missing" if error.field not in table and "folder" in error.field else error.problem
            raise ValueError(f"{place}{missing}") from error
    return tables


FILE_SETTINGS = ("databases",)
"""Settings that only a file can have, and no option."""

DATABASE_HELP = (
    f"source of the records: one of {', '.join(DATABASES)}; or several of {', '.join(JOINABLE)} with commas. Databases "
    "of your own have tables in the settings file (docs/study.md)"
)


class Settings(CheckedModel):
    """Everything that can be set for a study. A hyphenated name, such as ``raw-dir``, is the key in a TOML file.

    Raises:
        SettingsError: a field is unknown, or its value has the wrong type or is out of range.
    """

    databases: Annotated[dict[str, DatabaseTable], BeforeValidator(_as_tables)] = Field(
        default={}, description="databases of the user"
    )
    database: Text = Field(default="synthetic", description=DATABASE_HELP)
    raw_dir: Text = Field(
        default="",
        description="folder with WFDB records; for several databases, the folder that holds one folder per database "
        "(mitdb default: download)",
    )
    noise_dir: Text = Field(
        default="",
        description="folder with the MIT-BIH Noise Stress Test Database (bw, em, ma, 118e…), for results under "
        "recorded noise, and for presets that train with it: standard, robust, thorough, long (default: downloaded for "
        "these presets and with mitdb)",
    )
    test_database: Text = Field(
        default="",
        description="one of several databases, to test on all of its records and to train on the others only "
        "(default: test subjects of each database)",
    )
    preset: Annotated[Text, AfterValidator(_checked_preset)] = Field(
        default="quick",
        description="size of the search: a TOML file, or a name. "
        + "; ".join(f"{preset.name}: {preset.summary}" for preset in PRESETS.values()),
    )
    seed: NonNegativeInt = Field(default=1, description="random seed of noise, split, search and weights")
    output_dir: Text = Field(default="outputs", description="folder for all results")
    data_dir: Text = Field(default="data", description="folder for raw records and cached segments")
    records: Names = Field(default=(), description="comma-separated record names (default: all)")
    lead: Text = Field(default="auto", description="lead name, 'auto' (MLII if present, else the first lead) or 'all'")
    annotator: Annotated[Text, matching(r"[A-Za-z0-9]+", "a file extension of letters and digits, such as 'atr'")] = (
        Field(default="atr", description="extension of the annotation files")
    )
    own_marks: Flag = Field(
        default=False,
        description=f"use the marks of {' and '.join(OFF_R_PEAK)} as they are; else move them to the R peaks",
    )
    segment_samples: PositiveInt = Field(default=2016, description="samples per segment")
    window_samples: PositiveInt = Field(
        default=144, description="samples per window; a segment is a whole number of windows long"
    )
    noise_sigma_mv: NonNegativeNumber = Field(
        default=0.05,
        description="standard deviation of the added white noise in mV; only the preset quick trains with it, "
        "the others have noise levels of their own",
    )
    skip_invalid: Flag = Field(
        default=False, description="skip records that cannot be used, and list them, instead of stopping"
    )
    hours: Hours | None = Field(
        default=None,
        description="time of the whole study: the sizes of searches and final trainings follow from the speed of this "
        "machine (default: that of the preset)",
    )
    max_hours: Hours | None = Field(
        default=None, description="stop the searches after this many hours, shared among the models (default: no limit)"
    )
    max_trials: PositiveInt | None = Field(
        default=None, description="stop the search of each model after this many trials (default: no limit)"
    )
    warm_start: Text = Field(
        default="", description="output folder of an earlier study; its best configurations run first"
    )
    pretrained: Text = Field(
        default="",
        description="models (names or folders, with commas) whose networks are tried first; trials and final trainings "
        "of the same network start from their weights",
    )
    keras_layers: Flag = Field(
        default=False,
        description="train with the recurrent layers of Keras instead of compiled ones, which are faster on a CPU",
    )
    workers: Workers | None = Field(
        default=None,
        description="trials in parallel, each in a process of its own; 0 trains in the main process, for debugging "
        "(default: the fastest number)",
    )
    scheduler: Annotated[Text, AfterValidator(_checked_address)] = Field(
        default="", description="address of a Dask scheduler, such as tcp://host:8786, whose workers run the trials"
    )
    scheduler_ca: Text | None = Field(
        default=None, description="PEM file with the certificate authority of a scheduler at a tls:// address"
    )
    scheduler_cert: Text | None = Field(default=None, description="PEM file with the certificate for that scheduler")
    scheduler_key: Text | None = Field(
        default=None, description="PEM file with the key of that certificate, without password"
    )
    tensorboard: Flag = Field(default=False, description="write TensorBoard logs of the search")

    @field_validator("database")
    @classmethod
    def _check_database(cls, names: str, info: ValidationInfo) -> str:
        tables: dict[str, DatabaseTable] = info.data.get("databases", {})
        try:
            return checked_databases(names, own=_own_databases(tables))
        except SettingsError as error:
            raise ValueError(error.problem) from error

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        shares = {name: own.share for name, own in self.own_databases.items() if name in self.database.split(",")}
        if sum(share or 0.0 for share in shares.values()) >= 1:
            raise SettingsError("databases", "the shares add up to 1 or more; nothing is left for other databases")
        if self.test_database:
            check_test_database(self.test_database, self.database)
        if self.scheduler and self.workers is not None:
            problem = "the cluster of scheduler has its own number of workers; give workers or scheduler, not both"
            raise SettingsError("workers", problem, value=self.workers, parameters=("scheduler",))
        files = {name: getattr(self, name) for name in ("scheduler_ca", "scheduler_cert", "scheduler_key")}
        missing = [name for name, path in files.items() if not path]
        if len(missing) < len(files):
            if missing:
                given = next(name for name, path in files.items() if path)
                raise SettingsError(missing[0], f"is missing; {given} needs all three files", parameters=(given,))
            if not self.scheduler.startswith("tls://"):
                problem = f"{self.scheduler!r} is not a tls:// address, so scheduler_cert has no use"
                raise SettingsError("scheduler", problem, value=self.scheduler, parameters=("scheduler_cert",))
        return self

    @property
    def own_databases(self) -> OwnDatabases:
        """Databases of the user by name."""
        return _own_databases(self.databases)

    @property
    def tls_files(self) -> TlsFiles | None:
        """Certificates for the scheduler, or ``None``."""
        if not (self.scheduler_ca and self.scheduler_cert and self.scheduler_key):
            return None
        return TlsFiles(Path(self.scheduler_ca), Path(self.scheduler_cert), Path(self.scheduler_key))


def _own_databases(tables: Mapping[str, DatabaseTable]) -> OwnDatabases:
    return {name: table.as_database(name) for name, table in tables.items()}


def load_settings(path: Path) -> dict[str, Any]:
    """Read and check a settings file. Files of version 0.1.0 are read too.

    Args:
        path: TOML file with hyphenated names of settings as keys.

    Returns:
        The values of the settings that the file has.

    Raises:
        SettingsError: the file cannot be read, has an unknown key, or a value is wrong.
    """
    try:
        content = read_toml(path)
    except FileNotFoundError as error:
        raise SettingsError(str(path), "no such file") from error
    except UnreadableError as error:
        raise SettingsError(str(path), str(error)) from error
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read ({error.strerror or error})") from error
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = OLD_KEYS.get(key, key).replace("-", "_")
        if name in values:
            raise SettingsError(key, "is given twice, by its old and its new name", value=value, source=path)
        values[name] = RENAMED_PRESETS.get(value, value) if key == "preset" and isinstance(value, str) else value
    errors: list[SettingsError] = []
    right = dict(values)
    while True:
        try:
            made = Settings(**right)
            break
        except SettingsError as error:  # the first of them
            errors.append(error)
            if right.pop(error.field, None) is None:
                break
    if errors:
        keys = [error.field.replace("_", "-") for error in errors]
        problems = [_as_key(error.problem) for error in errors]
        others = "".join(f"; {key}: {problem}" for key, problem in list(zip(keys, problems, strict=True))[1:])
        raise SettingsError(keys[0], problems[0] + others, value=errors[0].value, source=path)
    return {name: getattr(made, name) for name in values}


def _as_key(text: str) -> str:
    """Return a text with the names of settings as they are written in a TOML file."""
    for name in Settings.model_fields:
        text = re.sub(rf"\b{name}\b", name.replace("_", "-"), text)
    return text


def check_storable(settings: Settings) -> None:
    """Check that all texts can be written to a file in UTF-8, which a name of a folder in another encoding cannot.

    Raises:
        SettingsError: one cannot.
    """
    for name in Settings.model_fields:
        value = getattr(settings, name)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and text != text.encode("utf-8", "replace").decode():
                raise SettingsError(name, f"{text!r} is not in UTF-8; rename it", value=value)


def save_settings(settings: Settings, path: Path) -> None:
    """Write settings as a TOML file that `load_settings` reads."""
    check_storable(settings)
    content = {name: value for name, value in as_mapping(settings).items() if value is not None}
    write_text(path, "# The settings of this study.\n" + tomli_w.dumps(content))


def as_mapping(settings: Settings) -> Mapping[str, Any]:
    """Return the settings by their keys in a TOML file; without tables of databases if there are none."""
    values = {name.replace("_", "-"): value for name, value in settings.model_dump(mode="json").items()}
    tables: dict[str, dict[str, Any]] = values.pop("databases")
    given = {
        name: {key: value for key, value in table.items() if value != DatabaseTable.model_fields[key].default}
        for name, table in tables.items()
    }
    return {**values, **({"databases": given} if given else {})}
