"""Ctrl-C that is never lost.

Python raises KeyboardInterrupt wherever the program happens to be, and where that is a callback of the garbage
collector or of native code, the exception is printed and dropped: the search would go on as if nothing had been said.
Here the first Ctrl-C is remembered, and raised at the next safe point; a second one is raised at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked = threading.Event()


@contextmanager
def interrupts_remembered() -> Iterator[None]:
    """Remember Ctrl-C while the block runs, for `raise_if_interrupted`.

    Nothing is changed outside the main thread, or where the signal is ignored (a job started with ``nohup … &``).
    """
    usable = threading.current_thread() is threading.main_thread()
    if not usable or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def remember(number: int, frame: FrameType | None) -> None:
        if _asked.is_set():
            signal.default_int_handler(number, frame)
        _asked.set()

    signal.signal(signal.SIGINT, remember)
    try:
        yield
        raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _asked.clear()


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed since `interrupts_remembered` began."""
    if _asked.is_set():
        raise KeyboardInterrupt
