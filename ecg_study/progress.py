"""Progress callbacks and deferred interrupts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and how many there are."""

_asked = threading.Event()


@contextmanager
def deferred_interrupts() -> Iterator[None]:
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
    """Raise KeyboardInterrupt if Ctrl-C was pressed since `deferred_interrupts` began."""
    if _asked.is_set():
        raise KeyboardInterrupt


Said = Callable[[int, int], None]
"""Called with the samples done and their total; the total is 0 where only the end tells it."""
