"""Displays of a search and of progress: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from ecg_study.cli.displays.progress_bars import ProgressBars
from ecg_study.cli.displays.search_display import SearchDisplay, plan_lines
from ecg_study.formatting import duration, size
from ecg_study.training.specs import COMPLETED, FAILED, TrainingResult, TrainingSpec, Trial
from ecg_study.training.timing import Speed
from ecg_study.tuning.plan import SearchBudget, SearchPlan
from ecg_study.tuning.schedule import hyperband_schedule

PLAN = TrainingSpec(
    id="003-r0", bracket=1, epochs=2, hyperparameters={"layers": 2, "learning_rate": 0.00123456, "direction": "both"}
)


def _console(terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=100, markup=False, highlight=False, soft_wrap=True
    )


def _shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


OTHER = TrainingSpec(id="004-r0", epochs=6, hyperparameters={"layers": 1})


def _plan(**changes: Any) -> SearchPlan:
    speeds = (Speed(100, 1200, 2.0, 10.0), Speed(50, 600, 1.0, 20.0), Speed(failure="OOM"))
    return replace(
        SearchPlan("denoiser", hyperband_schedule(max_epochs=6, factor=3), 2, SearchBudget(), speeds), **changes
    )


def _follow(display: SearchDisplay) -> None:
    with display.showing():
        display.search_began(_plan(), finished=[], best=None)
        display.trial_began(PLAN)
        display.trial_began(OTHER)
        display.epoch_ended(PLAN.id, epoch=1, metrics={})
        display.epoch_ended(OTHER.id, epoch=1, metrics={})
        display.epoch_ended(PLAN.id, epoch=2, metrics={})
        display.trial_ended(Trial(PLAN, TrainingResult(COMPLETED, 0.125, 2, seconds=65)), best=0.125)
        display.trial_began(PLAN)
        display.trial_ended(Trial(PLAN, TrainingResult(FAILED, None, None, reason="no [room]")), best=0.125)
        display.notice("a worker was lost")


def test_plain_lines_show_plan_trial_rung_epochs_best_and_time_left() -> None:
    console = _console(terminal=False)
    _follow(SearchDisplay(console))
    lines = _shown(console).splitlines()
    assert lines[0] == "Search of the denoiser: 10 trials of 8 configurations, 36 epochs"
    assert lines[1] == "  bracket 1: 5 trials to epoch 2, then the best 2 trials to epoch 6"
    assert lines[2] == "  bracket 0: 3 trials to epoch 6"
    # One of 2 workers trains 5 trials of 20 of the 36 epochs one after the other: 1.5 s to set up each, 15 s per epoch.
    # At most 2 + 1 checkpoints of 1,200 bytes.
    assert lines[3] == (
        "  with 2 workers, the search takes about 5 min 8 s, from 2 configurations measured at 10 to 20 s per epoch; "
        "weights take up to 3.6 kB on disk"
    )
    assert lines[4].startswith(
        "trial 003-r0 (1 of 10), bracket 1, rung 0, epochs 1–2: 0.125 in 1 min 5 s (best 0.125, "
    )
    assert lines[4].endswith("left); layers 2, learning_rate 0.00123, direction both")
    assert lines[5] == "trial 003-r0 (2 of 10), bracket 1, rung 0: failed: no [room]"
    assert lines[6] == "a worker was lost"
    assert len(lines) == 7


def test_the_live_table_shows_rungs_and_running_trials() -> None:
    console = _console(terminal=True)
    _follow(SearchDisplay(console))
    shown = _shown(console)
    for text in (
        "2/5 to epoch 2 ██░░░░",
        "0/2 to epoch 6 ░░░░░░",
        "004-r0",
        "1 of 6",
        "layers 1",
        "2 of 10 trials done",
    ):
        assert text in shown
    for text in ("2 of 10 trials done", "1 failed", "best so far 0.125", "left", "no [room]", "a worker was lost"):
        assert text in shown


def test_a_plan_shows_limits_and_failed_measurements() -> None:
    said = plan_lines(_plan(budget=SearchBudget(7200, 20), speeds=(Speed(failure="too large"),)), done=3)
    assert said[0].endswith("36 epochs, 3 trials already done")
    assert said[-1] == (
        "  with 2 workers; the time could not be measured (too large); it ends after 2 h 0 min or 20 trials"
    )
    assert plan_lines(_plan(workers=1, speeds=()))[-1] == ("  with 1 worker; the time is known after the first trials")


def test_a_budget_of_trials_counts_their_epochs() -> None:
    # 5 trials of 2 epochs, 2 of 4 more, 3 of 6; 6 trials are those of the first rung and one of the second.
    assert _plan().epochs_in_budget == _plan().epochs == 36
    assert _plan(budget=SearchBudget(trials=6)).epochs_in_budget == 14
    assert _plan(budget=SearchBudget(trials=99)).epochs_in_budget == 36


def test_time_left_is_at_most_what_the_budget_leaves() -> None:
    console = _console(terminal=False)
    display = SearchDisplay(console)
    display.search_began(_plan(budget=SearchBudget(3600), spent=3595.0), finished=[], best=None)
    display.trial_began(PLAN)
    display.epoch_ended(PLAN.id, epoch=1, metrics={})
    display.trial_ended(Trial(PLAN, TrainingResult(COMPLETED, 0.125, 2, seconds=65)), best=0.125)
    seconds = re.search(r"best 0\.125, (\d+) s left", _shown(console))
    assert seconds is not None
    assert int(seconds[1]) <= 5


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_bars(terminal: bool) -> None:
    console = _console(terminal)
    with ProgressBars(console) as bars:
        for done in range(101):
            bars("Segments", done, 100)
    shown = _shown(console)
    assert ("100/100" if terminal else "Segments: 100 of 100") in shown
    if not terminal:
        assert shown.splitlines() == ["Segments: 0 of 100", "Segments: 100 of 100"]


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(340, "0.3 kB"), (24_400, "24 kB"), (3.6e6, "3.6 MB"), (2.5e9, "2.5 GB")]
)
def test_sizes(n_bytes: float, text: str) -> None:
    assert size(n_bytes) == text
