"""The search: whole, resumable after a kill, repeatable, honest about failures."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tuning.trials
from ecg_data import StudyError
from tests.conftest import TINY, SmallData
from tuning import DENOISER, DETECTOR, FinishedTrial, Rung, SearchResult, Task, load_search, run_search
from tuning.oracle import SearchOracle
from tuning.search import load_same_search
from tuning.trials import TrialPlan

ROOT = Path(__file__).parent.parent


class Watcher:
    """A view that remembers."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.epochs: list[tuple[str, int]] = []
        self.bests: list[float | None] = []
        self.found: int | None = None

    def search_began(
        self, task: str, schedule: tuple[Rung, ...], finished: list[FinishedTrial], best: float | None
    ) -> None:
        assert task
        assert (best is None) == (not finished)
        assert sum(rung.trials for rung in schedule) == 6
        self.found = len(finished)

    def trial_began(self, plan: TrialPlan) -> None:
        self.began.append(plan.id)

    def epoch_ended(self, plan: TrialPlan, epoch: int, metrics: dict[str, float]) -> None:
        assert "val_loss" in metrics
        self.epochs.append((plan.id, epoch))

    def trial_ended(self, trial: FinishedTrial, best: float | None) -> None:
        assert trial.outcome.status
        self.bests.append(best)


def _task(data: SmallData, name: str = DENOISER) -> Task:
    return Task(name, data.cache, data.split, TINY)


@pytest.fixture(scope="module")
def searched(small_data: SmallData, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchResult, Watcher]:
    """One finished search of the denoiser with what a view was told."""
    watcher = Watcher()
    directory = tmp_path_factory.mktemp("search") / "denoiser"
    return run_search(_task(small_data), 0, directory, watcher), watcher


def _without_times(result: SearchResult) -> list[Any]:
    return [(trial.plan, replace(trial.outcome, seconds=0.0)) for trial in result.trials]


def test_every_planned_trial_runs(searched: tuple[SearchResult, Watcher]) -> None:
    result, watcher = searched
    assert [(t.plan.bracket, t.plan.rung) for t in result.trials] == [(1, 0)] * 3 + [(1, 1)] + [(0, 0)] * 2
    promoted = result.trials[3]
    first_rung = {trial.plan.id: trial.outcome.score for trial in result.trials[:3]}
    assert promoted.plan.parent == min(first_rung, key=lambda name: first_rung[name] or 0)
    assert [epoch for trial, epoch in watcher.epochs if trial == promoted.plan.id] == [2, 3]
    assert watcher.bests[-1] == result.best().outcome.score == min(t.outcome.score or 9 for t in result.trials)
    for trial in result.trials:
        assert (result.directory / "weights" / f"{trial.plan.id}.npz").is_file()
        assert trial.outcome.score == min(row["val_loss"] for row in trial.outcome.history)


def test_trials_csv_holds_each_trial(searched: tuple[SearchResult, Watcher]) -> None:
    result, _ = searched
    with open(result.directory / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [trial.plan.id for trial in result.trials]
    assert rows[3]["parent"] == result.trials[3].plan.parent
    assert float(rows[0]["score"]) == result.trials[0].outcome.score
    assert all((row["units_2"] == "") == (row["layers"] == "1") for row in rows)


def test_a_finished_search_returns_at_once(searched: tuple[SearchResult, Watcher], small_data: SmallData) -> None:
    watcher = Watcher()
    again = run_search(_task(small_data), 0, searched[0].directory, watcher)
    assert watcher.began == []
    assert watcher.found == 6
    assert again == searched[0]


def test_same_seed_same_search(searched: tuple[SearchResult, Watcher], small_data: SmallData, tmp_path: Path) -> None:
    again = run_search(_task(small_data), 0, tmp_path / "again", Watcher())
    assert _without_times(again) == _without_times(searched[0])
    asked = SearchOracle(_task(small_data), 1).next_trial()
    assert asked is not None
    assert asked[0].hyperparameters != again.trials[0].plan.hyperparameters


def test_other_settings_are_refused_with_both_values(
    searched: tuple[SearchResult, Watcher], small_data: SmallData
) -> None:
    directory = searched[0].directory
    before = (directory / "search.json").read_bytes()
    with pytest.raises(StudyError, match=r"begun with seed = 0, now asked for 5; .*--fresh"):
        run_search(_task(small_data), 5, directory, Watcher())
    larger = replace(_task(small_data), preset=replace(TINY, max_epochs=9))
    with pytest.raises(StudyError, match=r'sizes = {"max_epochs": 3}, now asked for {"max_epochs": 9}'):
        run_search(larger, 0, directory, Watcher())
    assert (directory / "search.json").read_bytes() == before


def test_fresh_sets_the_old_search_aside(small_data: SmallData, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "search.json").write_text("{ damaged")
    with pytest.raises(StudyError, match=r"search\.json: damaged, cannot go on from it; give --fresh"):
        run_search(_task(small_data), 0, tmp_path / "s", Watcher())
    run_search(_task(small_data), 0, tmp_path / "s", Watcher(), fresh=True)
    (aside,) = tmp_path.glob("s.before-*")
    assert (aside / "search.json").read_text() == "{ damaged"
    assert len(load_search(tmp_path / "s").trials) == 6


def test_failed_trials_are_listed_and_halving_goes_on(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    task = _task(small_data, DETECTOR)
    real_build = type(task.space()).build

    def build(space: Any, hp: Any) -> Any:
        built.append(hp)
        if len(built) == 1:
            raise MemoryError("no room for this model")
        model = real_build(space, hp)
        if len(built) == 2:
            model.optimizer.learning_rate = float("nan")
        return model

    monkeypatch.setattr(type(task.space()), "build", build)
    result = run_search(task, 0, tmp_path / "s", Watcher())
    assert len(result.trials) == 6
    first, second = result.trials[0].outcome, result.trials[1].outcome
    assert (first.status, first.score) == ("failed", None)
    assert first.reason == "MemoryError: no room for this model"
    assert second.status == "failed"
    assert second.reason == "its loss was never a finite number: training diverged"
    assert result.trials[3].plan.parent == result.trials[2].plan.id
    assert "no room for this model" in (tmp_path / "s" / "trials.csv").read_text()
    json.loads((tmp_path / "s" / "search.json").read_text(), parse_constant=pytest.fail)


def test_a_search_in_which_all_fails_says_why(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any) -> Any:
        raise ValueError("impossible model")

    task = _task(small_data)
    monkeypatch.setattr(type(task.space()), "build", build)
    with pytest.raises(StudyError, match=r"all 6 trials failed .*impossible model"):
        run_search(task, 0, tmp_path / "s", Watcher())


def test_an_error_of_the_disk_stops_the_search_and_keeps_it(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tuning.trials.train_trial
    calls = []

    def train(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr("tuning.search.train_trial", train)
    with pytest.raises(OSError, match="No space left"):
        run_search(_task(small_data), 0, tmp_path / "s", Watcher())
    assert len(load_search(tmp_path / "s").trials) == 2
    watcher = Watcher()
    run_search(_task(small_data), 0, tmp_path / "s", watcher)
    assert watcher.found == 2
    assert watcher.began[0] == "0002"


def test_a_disk_that_is_really_full_ends_in_one_line_and_keeps_the_search(
    small_options: list[str], tmp_path: Path, small_study: object
) -> None:
    """The limit on the size of a file stands in for the disk: the cache is there, weights do not fit."""
    assert small_study
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
    command = [sys.executable, "-c", limit + _CODE, "search", *small_options, "--only", "denoiser"]
    done = subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if "study.py: error" in line and "is the disk full?" in line]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.npz"))


def test_a_report_on_an_unfinished_search_is_refused(
    searched: tuple[SearchResult, Watcher], small_data: SmallData, tmp_path: Path
) -> None:
    state = json.loads((searched[0].directory / "search.json").read_text())
    state["done"], state["finished"] = False, state["finished"][:2]
    (tmp_path / "search.json").write_text(json.dumps(state))
    with pytest.raises(StudyError, match=r"2 of 6 trials are done; go on with 'study\.py search'"):
        load_same_search(_task(small_data), 0, tmp_path)


_CODE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
from search_spaces import PRESETS
from tests.conftest import TINY
PRESETS["quick"] = TINY
import study
sys.exit(study.main(sys.argv[1:]))
"""


def test_killed_at_any_moment_it_goes_on(small_options: list[str], tmp_path: Path, searched: object) -> None:
    """A real process, killed with SIGKILL again and again; no finished trial is lost or run twice."""
    assert searched
    command = [sys.executable, "-c", _CODE, "search", *small_options, "--only", "denoiser", "--out", str(tmp_path)]
    state = tmp_path / "search" / "denoiser" / "search.json"
    seen: list[str] = []
    for trials in (0, 2):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(_finished(state)) < trials + (0 if state.exists() else 1):
            time.sleep(0.01)
        time.sleep(0.15)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        now = _finished(state)
        assert now[: len(seen)] == seen
        seen = now
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [trial["plan"]["id"] for trial in json.loads(state.read_text())["finished"]] == [
        f"{i:04d}" for i in range(6)
    ]
    assert _finished(state)[: len(seen)] == seen
    assert re.search(r"6 trials, \d+ epochs, \d of them done before", done.stdout)


def _finished(state: Path) -> list[str]:
    """Finished trials as text, times and all, so that one that ran again would differ."""
    if not state.exists():
        return []
    return [json.dumps(trial) for trial in json.loads(state.read_text())["finished"]]


def test_ctrl_c_ends_in_order(small_options: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CODE, "search", *small_options, "--only", "denoiser", "--out", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    state = tmp_path / "search" / "denoiser" / "search.json"
    while process.poll() is None and not _finished(state):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "To go on: python study.py search" in err
    assert "Traceback" not in err
    assert _finished(state)
