"""Names of options: of parameters in errors, of settings, and of version 0.1.0."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ecg_study.errors import EcgStudyError
from ecg_study.workflows.settings import FILE_SETTINGS, RUNTIME_SETTINGS, SETTINGS_FILE, Settings

_OTHER_PARAMETERS = (
    "adc_zero",
    "config",
    "ema",
    "epochs",
    "formats",
    "from_search",
    "fs",
    "gain",
    "hours",
    "hyperparameters",
    "learning_rate",
    "min_confidence",
    "model",
    "model_kind",
    "output",
    "overwrite",
    "part",
    "port",
    "refit",
    "render",
    "restart",
    "runtime",
    "sections",
    "segments",
    "skip_existing",
    "start_from",
    "storage",
    "time_column",
    "units",
    "validate_every",
    "write_card",
)

_SETTINGS = tuple(name for name in Settings.model_fields if name not in FILE_SETTINGS)

OPTIONS = {name: "--" + name.replace("_", "-") for name in (*_SETTINGS, *_OTHER_PARAMETERS)}
"""The option of each parameter that an error can name."""

OLD_OPTIONS = {
    "--baseline": "--adc-zero",
    "--fresh": "--restart",
    "--noise": "--noise-sigma-mv",
    "--only": "--model-kind",
    "--segment": "--segment-samples",
    "--skip-bad": "--skip-invalid",
    "--window": "--window-samples",
}
"""Options of version 0.1.0, and what they are called now."""

OLD_OPTIONS_OF_VERBS = {
    ("predict", "--write"): "--formats",
    ("predict", "--engine"): "--runtime",
    ("compare", "--write"): "--output",
}
"""Likewise, where the new name depends on the verb."""

OLD_VERBS = {"data": "prepare", "bundles": "models"}
"""Verbs of version 0.1.0, and what they are called now."""

# A name in quotes is one in a file.
# The same holds for a hyperparameter that has the name of an option of another verb.
_HYPERPARAMETERS = ("learning_rate",)

# A parameter whose name is an ordinary word is replaced only if the sentence shows that the parameter is meant.
_VERBS = "allow|and|change|choose|excludes|give|of|omit|or|pass|requires|set|use|with|without"


def with_options(error: EcgStudyError) -> str:
    """Return the message of an error with options in place of parameter names.

    Options that the message does not name are appended.
    """
    message = str(error)
    for name, option in OPTIONS.items():
        if name in _HYPERPARAMETERS and name not in error.parameters:
            continue
        if "_" in name or name == "fs":
            message = re.sub(rf"(?<![\w/.'-]){name}(?![\w/.'-])", option, message)
        elif name in error.parameters:
            message = re.sub(rf"(?<![\w-]){name}(?=:| ?=)|(?<=`){name}(?=`)", option, message)
            message = re.sub(rf"\b({_VERBS}) {name}(?![\w-])", rf"\1 {option}", message)
    options = [OPTIONS[name] for name in dict.fromkeys(error.parameters) if name in OPTIONS]
    missing = [option for option in options if option not in message]
    return f"{message} ({', '.join(missing)})" if missing else message


def as_options(settings: Settings) -> str:
    """Return the options that give these settings, as a user would type them.

    Defaults are left out, and so are settings that do not change the result. Settings that only a file can have are in
    that of the output folder.
    """
    words = []
    if any(getattr(settings, name) for name in FILE_SETTINGS):
        words += ["--config", str(Path(settings.output_dir) / SETTINGS_FILE)]
    for name in _SETTINGS:
        field, value = Settings.model_fields[name], getattr(settings, name)
        if value == field.default or name in RUNTIME_SETTINGS:
            continue
        words.append(OPTIONS[name])
        if not isinstance(value, bool):
            words.append(",".join(value) if isinstance(value, tuple) else str(value))
    return shlex.join(words)


def renamed(arguments: list[str]) -> str:
    """Return one line that names the new verb or option, if an old one was used; else an empty string."""
    verb = next((word for word in arguments if not word.startswith("-")), "")
    if verb in OLD_VERBS:
        return f"{verb}: this verb is now called {OLD_VERBS[verb]}"
    for word in arguments:
        name = word.split("=", maxsplit=1)[0]
        new = OLD_OPTIONS_OF_VERBS.get((verb, name)) or OLD_OPTIONS.get(name)
        if new:
            return f"{name}: this option is now called {new}"
    return ""
