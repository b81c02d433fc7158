"""Ctrl-C is remembered where Python would lose it."""

from __future__ import annotations

import os
import signal
import weakref

import pytest

from ecg_study.progress import deferred_interrupts, raise_if_interrupted


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def python_handles_ctrl_c() -> None:
    """A shell may have started the tests with the signal ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_it_is_raised_at_the_next_safe_point() -> None:
    passed = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        _press()
        passed.append("the press itself")
        raise_if_interrupted()
        passed.append("the safe point")
    assert passed == ["the press itself"]


def test_it_is_not_lost_in_a_callback_of_the_garbage_collector() -> None:
    class Thing:
        pass

    thing = Thing()
    kept = weakref.ref(thing, lambda _: _press())
    assert kept() is thing
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        del thing
        raise_if_interrupted()


def test_a_second_one_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        _press()
        _press()
        pytest.fail("the second one comes through")


def test_nothing_is_left_behind() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        _press()
    raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_interrupts():
        _press()
        raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
