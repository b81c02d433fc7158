"""Entry point of the command line: parse, call a verb, print errors as one line."""

from __future__ import annotations

import errno
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from ecg_study.cli.console import OutputClosedError, discard_output, prepare_streams, print_error
from ecg_study.cli.options import renamed, with_options
from ecg_study.cli.parser import build_parser, suggest_option
from ecg_study.cli.verbs import VERB_NAMES, Verb
from ecg_study.errors import EcgStudyError, InputError
from ecg_study.extras import BACKENDS, TRAINING_MODULES, install_hint
from ecg_study.formatting import printable
from ecg_study.progress import termination_as_interrupt
from ecg_study.workflows.settings import FILE_SETTINGS, Settings, load_settings
from ecg_study.workflows.validation import did_you_mean

_DESCRIPTION = "Pretrained models that denoise ECG and detect R peaks, and the search that produced them."

_INTERRUPTED = 130

_TEMPORARY = re.compile(r"\.ecg-[0-9a-f]{8}\.")
"""Start of a temporary name of `ecg_study.files`."""

_ONLY_PRINT = ("models", "compare")
"""Verbs whose work is done when nobody reads their output any more."""

_DISK_ERRORS = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))


def main(arguments: list[str] | None = None, *, prog: str = "ecg-study") -> int:
    """Run one verb of the command line.

    Args:
        arguments: words after the program name (default: those of this process).
        prog: how the user calls the program.

    Returns:
        The exit code: 0, 2 for an error that the user can correct, 130 after Ctrl-C or SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    prepare_streams()
    try:
        with termination_as_interrupt():
            return _written(_run(words, prog))
    except (BrokenPipeError, OutputClosedError) as error:
        discard_output()
        if isinstance(error, BrokenPipeError) and error.filename:  # not a standard stream
            return print_error(prog, _disk_error(error))
        if not words or words[0] in _ONLY_PRINT or {"-h", "--help"} & set(words):
            return 0
        return print_error(prog, "standard output was closed before the end; run the same command again")
    except EcgStudyError as error:
        return print_error(prog, with_options(error))
    except OSError as error:
        return print_error(prog, _disk_error(error))
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in (*BACKENDS, *TRAINING_MODULES):
            raise
        return print_error(prog, install_hint(module))
    except KeyboardInterrupt:
        print(f"\nstopped; finished work is kept. To resume: {prog} {_resuming(words)}", file=sys.stderr)
        return _INTERRUPTED


def _resuming(words: list[str]) -> str:
    """Return the command that goes on where this one stopped."""
    more = ["--skip-existing"] if words[0] == "predict" and "--skip-existing" not in words else []
    return printable(shlex.join([*words, *more]))


def _written(code: int) -> int:
    """Write what is left of the output, and return the exit code."""
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def _run(words: list[str], prog: str) -> int:
    if message := renamed(words):
        raise InputError(message)
    if words and not words[0].startswith("-") and words[0] not in VERB_NAMES:
        suggestion = did_you_mean(words[0], VERB_NAMES) or f"; choose from {', '.join(VERB_NAMES)}"
        raise InputError(f"argument VERB: invalid choice: {words[0]!r}{suggestion}")
    try:
        given, unknown = build_parser(prog, _DESCRIPTION).parse_known_args(words)
    except SystemExit:  # after the help
        _written(0)
        raise
    values: dict[str, Any] = vars(given)
    verb: Verb = values.pop("verb")
    if unknown:
        suggestion = suggest_option(verb, unknown[0])
        help_text = "" if suggestion else f"; see {prog} {verb.name} --help"
        raise InputError(f"{unknown[0]}: {verb.name} has no such option or argument{suggestion}{help_text}")
    from ecg_study.cli.commands import COMMANDS, Call

    settings = Settings(**_given_settings(values))
    own = {name: value for name, value in values.items() if name in verb.options.model_fields}
    options = verb.options(**verb.options.parse_text(own))
    return COMMANDS[verb.name](options, Call(prog, settings))


def _given_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings from options and from the settings file; options override the file."""
    from_file = load_settings(Path(values["config"])) if "config" in values else {}
    text = {name: value for name, value in values.items() if name in Settings.model_fields}
    # An option may name a database that the file describes.
    described = {name: from_file[name] for name in FILE_SETTINGS if name in from_file}
    return from_file | Settings.parse_text(described | text)


def _disk_error(error: OSError) -> str:
    # Of a rename, the name that the file should get. A temporary name says nothing to the user.
    name = error.filename2 or error.filename
    place = f"{_TEMPORARY.sub('', str(name))}: " if name else ""
    # Some writers give no number: an error in the middle of writing is nearly always a full disk.
    if error.errno is None or error.errno in _DISK_ERRORS:
        reason = error.strerror or error
        return f"{place}cannot write, is the disk full? ({reason}); free some space and run the same command again"
    return f"{place}{error.strerror or error}; correct this and run the same command again"


if __name__ == "__main__":
    sys.exit(main())
