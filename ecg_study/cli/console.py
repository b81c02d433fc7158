"""Text for the terminal: the console and one-line errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ecg_study.formatting import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


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

    return SafeConsole(markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_error(prog: str, message: str) -> int:
    """Print an error as one line on standard error. Return the exit code for user errors, 2."""
    print(f"{prog}: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2
