"""Text for the terminal: streams, the console and one-line errors."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ecg_study.formatting import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

_NARROWEST = 20  # columns; a terminal that reports fewer does not know its width
_COLUMNS, _LINES = 80, 25  # of such a terminal

_PLAIN = {"–": "-", "—": "-", "−": "-", "→": "->", "…": "...", "×": "x", "±": "+-", "µ": "u", "μ": "u", "σ": "sigma"}
"""Characters of our texts → their form for a terminal without Unicode."""

_HANDLER = "ecg-study"


class OutputClosedError(Exception):
    """Nobody reads standard output any more."""


def prepare_streams() -> None:
    """Let standard output and standard error write any text; what their encoding lacks is replaced or escaped."""
    codecs.register_error(_HANDLER, _in_plain_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape", "backslashreplace"):
            stream.reconfigure(errors=_HANDLER)


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    escaped = (_PLAIN.get(letter, letter.encode("ascii", "backslashreplace").decode()) for letter in text)
    return "".join(escaped), error.end


def discard_output() -> None:
    """Let standard output go nowhere, so that nothing fails at the end of the program."""
    if sys.stdout is not None:
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass  # standard output is not a file, as in a test


def open_console() -> Console:
    """Return a console that prints text without markup and without control characters."""
    from rich.console import Console

    class SafeConsole(Console):
        """Console that prints text from files, such as names of leads, without control characters and on one line."""

        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(printable(item) if isinstance(item, str) else item for item in objects), **options)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=printable(segment.text, keep="\n"))

        def on_broken_pipe(self) -> None:
            raise OutputClosedError

    return SafeConsole(
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
        width=_size("COLUMNS", _NARROWEST, _COLUMNS),
        height=_size("LINES", 1, _LINES),
    )


def is_interactive(console: Console) -> bool:
    """Return whether a console can move its cursor, to draw a bar or a table again."""
    return console.is_terminal and not console.is_dumb_terminal


def print_error(prog: str, message: str) -> int:
    """Print an error as one line on standard error. Return the exit code for user errors, 2."""
    print(f"{prog}: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


def _size(variable: str, smallest: int, default: int) -> int | None:
    """Return a default for a size in the environment that cannot be true, else ``None``."""
    text = os.environ.get(variable, "")
    return default if text.isdigit() and int(text) < smallest else None
