"""What is shown: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tuning import FinishedTrial, hyperband_schedule
from tuning.display import SearchDisplay, Steps, duration
from tuning.trials import COMPLETED, FAILED, TrialOutcome, TrialPlan

PLAN = TrialPlan("0003", None, 1, 0, 0, 2, {"layers": 2, "learning_rate": 0.00123456, "direction": "both"})


def _console(terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=100, markup=False, highlight=False, soft_wrap=True
    )


def _shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _follow(display: SearchDisplay) -> None:
    with display.showing():
        display.search_began("denoiser", hyperband_schedule(6, 3), [], None)
        display.trial_began(PLAN)
        display.epoch_ended(PLAN, 1, {})
        display.epoch_ended(PLAN, 2, {})
        display.trial_ended(FinishedTrial(PLAN, TrialOutcome(COMPLETED, 0.125, 2, seconds=65)), 0.125)
        display.trial_began(PLAN)
        display.trial_ended(FinishedTrial(PLAN, TrialOutcome(FAILED, None, None, reason="no [room]")), 0.125)
        display.trial_began(PLAN)
        display.epoch_ended(PLAN, 1, {})


def test_plain_lines_say_trial_rung_epochs_best_and_time_left() -> None:
    console = _console(terminal=False)
    _follow(SearchDisplay(console))
    lines = _shown(console).splitlines()
    assert lines[0] == "Search of the denoiser: 10 trials, 36 epochs"
    assert lines[1].startswith("trial 0003 (1 of 10), bracket 1, rung 0, epochs 1–2: 0.125 in 1 min 5 s (best 0.125, ")
    assert lines[1].endswith("left); layers 2, learning_rate 0.00123, direction both")
    assert lines[2] == "trial 0003 (2 of 10), bracket 1, rung 0: failed: no [room]"
    assert len(lines) == 3


def test_the_live_table_shows_the_same() -> None:
    console = _console(terminal=True)
    _follow(SearchDisplay(console))
    shown = _shown(console)
    for text in ("2 of 10 done, 1 failed", "trial 0003, bracket 1, rung 0", "1 of 2", "0.125", "left", "no [room]"):
        assert text in shown


@pytest.mark.parametrize("terminal", [False, True])
def test_steps(terminal: bool) -> None:
    console = _console(terminal)
    with Steps(console) as steps:
        for done in range(101):
            steps("Segments", done, 100)
    shown = _shown(console)
    assert ("100/100" if terminal else "Segments: 100 of 100") in shown
    if not terminal:
        assert shown.splitlines() == ["Segments: 0 of 100", "Segments: 100 of 100"]


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
