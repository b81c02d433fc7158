"""The argument parser. It splits text; `CheckedModel` checks the values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ecg_study.cli.options import OPTIONS
from ecg_study.cli.verbs import GROUPS, VERBS, Verb
from ecg_study.errors import InputError
from ecg_study.workflows.settings import Settings
from ecg_study.workflows.validation import CheckedModel, did_you_mean

_FILE_OPTIONS = ("fs", "time_column", "units", "gain", "adc_zero")

_LIST = "A,B,…"

_METAVARS = {
    "annotator": "EXT",
    "data_dir": "DIR",
    "database": "NAME",
    "formats": _LIST,
    "from_search": "DIR",
    "fs": "HZ",
    "hours": "HOURS",
    "hyperparameters": _LIST,
    "lead": "NAME",
    "learning_rate": "RATE",
    "max_hours": "HOURS",
    "min_confidence": "P",
    "model": "MODEL",
    "model_kind": "KIND",
    "noise_dir": "DIR",
    "noise_sigma_mv": "MV",
    "output": "FILE",
    "output_dir": "DIR",
    "part": "PART",
    "preset": "NAME",
    "pretrained": "MODELS",
    "raw_dir": "DIR",
    "records": _LIST,
    "refit": "MODEL",
    "scheduler": "ADDRESS",
    "scheduler_ca": "FILE",
    "scheduler_cert": "FILE",
    "scheduler_key": "FILE",
    "runtime": "NAME",
    "sections": _LIST,
    "start_from": "MODEL",
    "storage": "FILE",
    "test_database": "NAME",
    "time_column": "NAME",
    "units": "UNIT",
    "warm_start": "DIR",
}


_EXAMPLES = """\
  {prog} predict path/to/100
      find R peaks with a pretrained model
  {prog} predict path/to/100 --model lstm-denoiser
      denoise a recording
  {prog} run
      a complete study on the synthetic database, in minutes"""


class _Parser(argparse.ArgumentParser):
    """A parser that raises one-line errors and accepts no abbreviated options."""

    def __init__(self, **more: Any) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, formatter_class=formatter, argument_default=argparse.SUPPRESS, **more)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def build_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of the whole command line. Its result has only options that were given, as text.

    Args:
        prog: how the user calls the program.
        description: one line about it.
    """
    listed = (
        f"{group}:\n" + "\n".join(f"  {verb.name:10} {verb.summary}" for verb in verbs)
        for group, verbs in GROUPS.items()
    )
    parser = _Parser(
        prog=prog,
        description="\n\n".join([description, *listed]),
        usage="%(prog)s VERB [option …]",
        epilog=f"examples:\n{_EXAMPLES}\n\n'{{prog}} VERB --help' describes a verb.".replace("{prog}", prog),
    )
    subparsers = parser.add_subparsers(
        prog=prog, metavar="VERB", required=True, parser_class=_Parser, help=argparse.SUPPRESS
    )
    for verb in VERBS:
        _add_verb(subparsers, verb, prog)
    return parser


def suggest_option(verb: Verb, word: str) -> str:
    """Return ``"; did you mean …?"`` if an unknown option is nearly one of the verb, else an empty string."""
    known = [OPTIONS[name] for name in (*verb.settings, *verb.options.model_fields) if name in OPTIONS]
    return did_you_mean(word.split("=", maxsplit=1)[0], known).replace("'", "")


def _add_verb(subparsers: argparse._SubParsersAction[_Parser], verb: Verb, prog: str) -> None:
    parser = subparsers.add_parser(
        verb.name,
        description=verb.summary[0].upper() + verb.summary[1:] + ".",
        epilog="examples:\n" + verb.examples.replace("{prog}", prog),
    )
    parser.set_defaults(verb=verb)
    for field, metavar, nargs, text in verb.positionals:
        more: dict[str, Any] = {} if nargs is None else {"nargs": nargs}
        parser.add_argument(field, metavar=metavar, help=text, **more)
    taken = {item[0] for item in verb.positionals}
    own = [name for name in verb.options.model_fields if name not in taken]
    _add_options(parser, verb.options, [name for name in own if name not in _FILE_OPTIONS])
    if described := [name for name in own if name in _FILE_OPTIONS]:
        _add_options(parser.add_argument_group("files without metadata"), verb.options, described)
    if verb.settings:
        group = parser.add_argument_group("settings")
        group.add_argument("--config", metavar="FILE", help="TOML file with settings; options override it")
        _add_options(group, Settings, verb.settings)


def _add_options(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, model: type[CheckedModel], names: Sequence[str]
) -> None:
    for name in names:
        field = model.model_fields[name]
        flags = [OPTIONS[name], *(["--out"] if name == "output_dir" else [])]
        text = (field.description or "").replace("%", "%%")
        if isinstance(field.default, bool):
            parser.add_argument(*flags, dest=name, action="store_true", help=text)
            continue
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        if default not in ("", None):
            text += f" (default: {default})"
        metavar = _METAVARS.get(name, "N")
        convert: Callable[[str], Any] = _split_names if metavar == _LIST else str
        parser.add_argument(*flags, dest=name, metavar=metavar, help=text, type=convert)


def _split_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} has no name; leave the option out for the default")
    return names
