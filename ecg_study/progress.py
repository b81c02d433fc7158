"""Progress callbacks and deferred interrupts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Progress = Callable[[str, int, int], None]
"""Callback with a description of the work, the number of steps done and their total; 0 if the total is unknown."""

_requested = threading.Event()


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM, with which schedulers and ``kill`` end a process, like Ctrl-C during the block.

    This changes nothing outside the main thread, or if the process handles the signal itself.
    """
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM during the block until `raise_if_interrupted` is called; a second interrupts at once.

    This changes nothing outside the main thread, or for a signal that the process handles itself or ignores (a job
    started with ``nohup … &``).
    """
    replaced = {}
    if _in_main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        replaced = {number: handler for number, handler in handlers.items() if handler in _ENDING}
    if not replaced:
        yield
        return
    for number in replaced:
        signal.signal(number, _remember)
    try:
        yield
        raise_if_interrupted()
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        _requested.clear()


_ENDING = (signal.default_int_handler, signal.SIG_DFL)
"""Handlers with which a signal ends the process."""


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _remember(number: int, frame: FrameType | None) -> None:
    if _requested.is_set():
        signal.default_int_handler(number, frame)
    _requested.set()


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C or SIGTERM came since `deferred_interrupts` started."""
    if _requested.is_set():
        raise KeyboardInterrupt
