"""Progress callbacks and deferred interrupts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

Progress = Callable[[str, int, int], None]
"""Callback with a description of the work, the number of steps done and their total; 0 if the total is unknown."""

_requested = threading.Event()


@contextmanager
def deferred_interrupts(*, terminate: bool = False) -> Iterator[None]:
    """Defer Ctrl-C during the block until `raise_if_interrupted` is called; a second Ctrl-C interrupts at once.

    This changes nothing outside the main thread, or if the signal is ignored (a job started with ``nohup … &``).

    Args:
        terminate: treat SIGTERM, with which schedulers and ``kill`` end a process, like Ctrl-C.
    """
    with _deferred_termination() if terminate else nullcontext(), _deferred_ctrl_c():
        yield


@contextmanager
def _deferred_termination() -> Iterator[None]:
    usable = threading.current_thread() is threading.main_thread()
    if not usable or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: _requested.set())
    try:
        yield
        raise_if_interrupted()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _requested.clear()


@contextmanager
def _deferred_ctrl_c() -> Iterator[None]:
    usable = threading.current_thread() is threading.main_thread()
    if not usable or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def remember(number: int, frame: FrameType | None) -> None:
        if _requested.is_set():
            signal.default_int_handler(number, frame)
        _requested.set()

    signal.signal(signal.SIGINT, remember)
    try:
        yield
        raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _requested.clear()


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed since `deferred_interrupts` started."""
    if _requested.is_set():
        raise KeyboardInterrupt
