"""Text for the terminal: the console and one-line errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def open_console() -> Console:
    """Return a console that prints text as it is, without markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_error(prog: str, message: str) -> int:
    """Print an error as one line on standard error. Return the exit code for user errors, 2."""
    print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr)
    return 2
