"""The errors that a user can cause and mend."""

from __future__ import annotations

from pathlib import Path


class StudyError(Exception):
    """Something the user can mend: its text is one line that says what is wrong, where, and what to do.

    The command line prints it without a traceback and ends with exit code 2.
    """


class RecordError(StudyError):
    """One record cannot be used. The text names the file at fault."""

    def __init__(self, path: Path | str, problem: str) -> None:
        self.path = Path(path)
        self.problem = problem
        super().__init__(f"{path}: {problem}")


class BadRecordsError(StudyError):
    """Several records of one folder cannot be used; all of them are named at once."""

    def __init__(self, errors: list[RecordError], advice: str) -> None:
        self.errors = errors
        listed = "; ".join(str(error) for error in errors)
        count = "1 record" if len(errors) == 1 else f"{len(errors)} records"
        super().__init__(f"{count} cannot be used: {listed}. {advice}")


class SignalError(StudyError, ValueError):
    """A signal that was handed over in Python is not what it must be."""
