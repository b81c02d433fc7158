"""Ctrl-C and SIGTERM are remembered where Python would lose them."""

from __future__ import annotations

import os
import signal
import weakref

import pytest

from ecg_study.cli import commands
from ecg_study.cli.main import main
from ecg_study.progress import deferred_interrupts, raise_if_interrupted, termination_as_interrupt


def _press(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def python_handles_ctrl_c() -> None:
    """A shell may have started the tests with the signal ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_it_is_raised_at_the_next_safe_point(number: int) -> None:
    passed = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        _press(number)
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


@BOTH
def test_a_second_one_is_raised_at_once(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        _press()
        _press(number)
        pytest.fail("the second one comes through")


def test_nothing_is_left_behind() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        _press()
    raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@BOTH
def test_any_verb_ends_with_the_command_that_resumes_it(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> int:
        _press(number)
        pytest.fail("the signal ends the verb")

    monkeypatch.setitem(commands.COMMANDS, "models", stop)
    assert main(["models"], prog="study.py") == 130
    assert capsys.readouterr().err == "\nstopped; finished work is kept. To resume: study.py models\n"
    monkeypatch.setitem(commands.COMMANDS, "predict", stop)
    assert main(["predict", "a.csv"], prog="study.py") == 130
    assert capsys.readouterr().err.endswith("To resume: study.py predict a.csv --skip-existing\n"), "what is done stays"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_safe_points_matter_also_where_termination_is_an_interrupt() -> None:
    passed = []
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt(), deferred_interrupts():
        _press(signal.SIGTERM)
        passed.append("the signal itself")
        raise_if_interrupted()
    assert passed == ["the signal itself"]


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_interrupts():
        _press()
        raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
