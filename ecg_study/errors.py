"""Errors that a user can correct, and one-line messages.

The library names parameters, such as ``fs``, and never command-line options. The command line prints an error as one
line, with options in place of parameters, and exits with code 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecg_study.formatting import printable


class EcgStudyError(Exception):
    """An error that a user can correct: one line with the object, the problem and what to do.

    Attributes:
        parameters: names of the parameters that the message mentions, so that a front end can translate them.
    """

    def __init__(self, message: str, *, parameters: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.parameters = tuple(parameters)


class InputError(EcgStudyError, ValueError):
    """An array or argument that was passed in Python is not valid."""


class SettingsError(EcgStudyError):
    """A setting is unknown, has the wrong type or is out of range.

    Attributes:
        field: name of the setting.
        problem: what is wrong, and what to do.
        value: the value that was given.
        source: the file that the setting comes from, or ``None``. Its keys are named in the message as they are.
    """

    def __init__(
        self,
        field: str,
        problem: str,
        *,
        value: Any = None,
        source: Path | str | None = None,
        parameters: Sequence[str] = (),
    ) -> None:
        place = "" if source is None else f"{source}: "
        super().__init__(f"{place}{field}: {problem}", parameters=(field, *parameters) if source is None else ())
        self.field = field
        self.problem = problem
        self.value = value
        self.source = source


class RecordError(EcgStudyError):
    """A record or recording cannot be used.

    Attributes:
        path: the file at fault.
        problem: what is wrong, and what to do.
        parameter: the parameter that would solve the problem, or ``None``; ``parameters`` has others that would.
    """

    def __init__(
        self, path: Path | str, problem: str, *, parameter: str | None = None, parameters: Sequence[str] = ()
    ) -> None:
        problem = printable(problem)  # names and values come from the file
        super().__init__(f"{path}: {problem}", parameters=((parameter,) if parameter else ()) + tuple(parameters))
        self.path = Path(path)
        self.problem = problem
        self.parameter = parameter


class RecordErrors(EcgStudyError):  # noqa: N818  # several RecordError
    """Several records of a folder cannot be used.

    Attributes:
        errors: one error per record.
    """

    def __init__(self, errors: Sequence[RecordError], advice: str, *, parameters: Sequence[str] = ()) -> None:
        self.errors = list(errors)
        listed = _listed(self.errors)
        count = "1 record" if len(self.errors) == 1 else f"{len(self.errors)} records"
        mentioned = [name for error in self.errors for name in error.parameters]
        super().__init__(f"{count} cannot be used: {listed}; {advice}", parameters=(*parameters, *mentioned))


_MOST_LISTED = 5


def _listed(errors: Sequence[RecordError]) -> str:
    """Return the problems, each with the records that have it, and of many only the first."""
    paths: dict[str, list[Path]] = {}
    for error in errors:
        paths.setdefault(error.problem, []).append(error.path)
    shown, groups = 0, []
    for problem, of_problem in list(paths.items())[:_MOST_LISTED]:
        shown += len(of_problem)
        others = f" and {len(of_problem) - _MOST_LISTED} others" if len(of_problem) > _MOST_LISTED else ""
        groups.append(f"{', '.join(map(str, of_problem[:_MOST_LISTED]))}{others}: {problem}")
    return "; ".join([*groups, *([f"and {len(errors) - shown} others"] if shown < len(errors) else [])])


class DataError(EcgStudyError):
    """A database, split, download or cache is missing, damaged or inconsistent."""


class ModelError(EcgStudyError):
    """A model folder is missing, changed, unsafe, or written by a newer version."""


class TrainingError(EcgStudyError):
    """Training cannot start or finish: it diverged, workers were lost, or the space is too small."""


class StateError(EcgStudyError):
    """A saved search or report is missing, locked, or belongs to other settings or data."""


def one_line(error: Exception, *, limit: int | None = None) -> str:
    """Return the message of an error on one line, cut after ``limit`` characters; its type if it has no message."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
