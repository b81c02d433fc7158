"""Progress display: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ecg_study.cli.console import is_interactive
from ecg_study.progress import raise_if_interrupted

_LINE_EVERY = 15.0  # s between plain lines of one task: often enough to show activity, rarely enough for a log file


class ProgressBars:
    """A progress callback (`ecg_study.progress.Progress`) that shows several tasks on a console."""

    def __init__(self, console: Console) -> None:
        """Show bars on a terminal, and plain lines elsewhere."""
        self.console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> ProgressBars:
        """Start to show progress."""
        if is_interactive(self.console):
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=self.console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to show progress."""
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps of the task ``what`` are done.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        raise_if_interrupted()
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)
            return
        now = time.monotonic()
        if done == total or now - self._last_line.get(what, -_LINE_EVERY) >= _LINE_EVERY:
            self._last_line[what] = now
            self.console.print(f"{what}: {done} of {total}")
