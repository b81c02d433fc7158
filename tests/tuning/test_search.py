"""Searches that train networks: complete, repeatable, resumable, with failures."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecg_study.errors import EcgStudyError
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.training.executors.in_process import InProcessExecutor
from ecg_study.training.loop import train
from ecg_study.training.specs import TrainingOptions, TrainingSpec, Trial
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.oracle import SearchOracle
from ecg_study.tuning.plan import SearchPlan
from ecg_study.tuning.search import SearchOptions, run_search
from ecg_study.tuning.start import find_start, load_same_search, start_anew
from ecg_study.tuning.state import SearchResult, load_search
from tests.conftest import SmallData
from tests.tiny import PROGRAM, TINY

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Watcher:
    """A view that records events."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.epochs: list[tuple[str, int]] = []
        self.bests: list[float | None] = []
        self.found: int | None = None
        self.notices: list[str] = []

    def search_began(self, plan: SearchPlan, *, finished: list[Trial], best: float | None) -> None:
        assert plan.task
        assert (best is None) == (not finished)
        self.trials = plan.trials
        self.found = len(finished)

    def trial_began(self, spec: TrainingSpec) -> None:
        self.began.append(spec.id)

    def epoch_ended(self, trial: str, *, epoch: int, metrics: dict[str, float]) -> None:
        assert "loss" in metrics
        self.epochs.append((trial, epoch))

    def trial_ended(self, trial: Trial, *, best: float | None) -> None:
        assert trial.result.status
        self.bests.append(best)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def _task(data: SmallData, name: str = DENOISER) -> TrainingTask:
    return TrainingTask(name, data.cache, data.split, TINY)


def _search(
    task: TrainingTask, directory: Path, watcher: Watcher | None = None, seed: int = 0, **options: Any
) -> SearchResult:
    """A search in this process."""
    return run_search(
        task,
        SearchOptions(seed, **options),
        directory=directory,
        executor=InProcessExecutor(),
        view=watcher or Watcher(),
    )


@pytest.fixture(scope="module")
def searched(small_data: SmallData, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchResult, Watcher]:
    """One finished search of the denoiser, and the view that watched it."""
    watcher = Watcher()
    directory = tmp_path_factory.mktemp("search") / "denoiser"
    return _search(_task(small_data), directory, watcher), watcher


def _without_times(result: SearchResult) -> list[Any]:
    return [(trial.spec, replace(trial.result, seconds=0.0)) for trial in result.trials]


def test_every_planned_trial_runs(searched: tuple[SearchResult, Watcher]) -> None:
    result, watcher = searched
    assert watcher.trials == 6
    assert [(t.spec.bracket, t.spec.rung) for t in result.trials] == [(1, 0)] * 3 + [(1, 1)] + [(0, 0)] * 2
    promoted = result.trials[3]
    assert [trial.spec.id for trial in result.trials] == ["000-r0", "001-r0", "002-r0", "001-r1", "003-r0", "004-r0"]
    first_rung = {trial.spec.id: trial.result.score for trial in result.trials[:3]}
    assert promoted.spec.parent == min(first_rung, key=lambda name: first_rung[name] or 0)
    assert [epoch for trial, epoch in watcher.epochs if trial == promoted.spec.id] == [2, 3]
    assert watcher.bests[-1] == result.best().result.score == min(t.result.score or 9 for t in result.trials)
    for trial in result.trials:
        assert trial.result.score == trial.result.history[-1]["val_loss"]


def test_trials_csv_holds_each_trial(searched: tuple[SearchResult, Watcher]) -> None:
    result, _ = searched
    with open(result.directory / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [trial.spec.id for trial in result.trials]
    assert rows[3]["parent"] == result.trials[3].spec.parent
    assert float(rows[0]["score"]) == result.trials[0].result.score
    assert all((row["units_2"] == "") == (row["layers"] == "1") for row in rows)


def test_a_finished_search_returns_at_once(searched: tuple[SearchResult, Watcher], small_data: SmallData) -> None:
    watcher = Watcher()
    again = _search(_task(small_data), searched[0].directory, watcher)
    assert watcher.began == []
    assert watcher.found == 6
    assert again == searched[0]


def test_same_seed_same_search(searched: tuple[SearchResult, Watcher], small_data: SmallData, tmp_path: Path) -> None:
    again = _search(_task(small_data), tmp_path / "again")
    assert _without_times(again) == _without_times(searched[0])
    asked = SearchOracle(_task(small_data), seed=1).next_trial()
    assert asked is not None
    assert asked.hyperparameters != again.trials[0].spec.hyperparameters


def test_random_numbers_of_other_threads_change_nothing(small_data: SmallData) -> None:
    """Threads of the network code draw random numbers in a worker process."""
    task = _task(small_data)
    plan = next(p for _ in range(9) if (p := SearchOracle(task, seed=0).next_trial()) is not None)
    plan = replace(plan, hyperparameters=plan.hyperparameters | {"dropout": 0.1})
    options = TrainingOptions.for_search(task)
    quiet = train(task, plan, options=options, seed=0)
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        disturbed = train(task, plan, options=options, seed=0)
    finally:
        done.set()
        thread.join()
    assert disturbed.result.history == quiet.result.history
    assert disturbed.weights == quiet.weights


def test_a_saved_search_with_other_settings_is_refused_with_both_values(
    searched: tuple[SearchResult, Watcher], small_data: SmallData
) -> None:
    directory = searched[0].directory
    before = (directory / "search.json").read_bytes()
    with pytest.raises(EcgStudyError, match=r"used seed = 0, but seed = 5 was requested; use seed = 0, pass restart"):
        _search(_task(small_data), directory, seed=5)
    larger = replace(_task(small_data), preset=replace(TINY, max_epochs=9))
    with pytest.raises(EcgStudyError, match=r'sizes = {"max_epochs": 3}, but sizes = {"max_epochs": 9} was requested'):
        _search(larger, directory)
    assert (directory / "search.json").read_bytes() == before


def test_restart_renames_the_old_search(small_data: SmallData, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "search.json").write_text("{ damaged")
    with pytest.raises(
        EcgStudyError, match=r"search\.json: the file is damaged, so the search cannot resume; pass restart"
    ):
        _search(_task(small_data), tmp_path / "s")
    start_anew([find_start(_task(small_data), tmp_path / "s", seed=0, restart=True)])
    _search(_task(small_data), tmp_path / "s")
    (aside,) = tmp_path.glob("s.before-*")
    assert (aside / "search.json").read_text() == "{ damaged"
    assert len(load_search(tmp_path / "s").trials) == 6


def test_failed_trials_are_listed_and_halving_continues(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _task(small_data, DETECTOR)
    real_build = type(task.space()).build
    configurations: list[dict[str, Any]] = []

    def build(space: Any, hp: Any) -> Any:
        if hp.values not in configurations:
            configurations.append(hp.values)
        if configurations.index(hp.values) == 0:
            raise MemoryError("no room for this model")
        model = real_build(space, hp)
        if configurations.index(hp.values) == 1:
            model.optimizer.learning_rate = float("nan")
        return model

    monkeypatch.setattr(type(task.space()), "build", build)
    watcher = Watcher()
    result = _search(task, tmp_path / "s", watcher)
    assert len(result.trials) == 6
    first, second = (next(t.result for t in result.trials if t.spec.id == name) for name in ("000-r0", "001-r0"))
    assert (first.status, first.score, first.attempts) == ("failed", None, 3)
    assert first.reason == "MemoryError: no room for this model"
    assert watcher.notices == [f"trial 000-r0: {first.reason}; starting attempt {n} of 3" for n in (2, 3)]
    assert (second.status, second.attempts) == ("failed", 1)
    assert second.reason == "its loss was never a finite number: training diverged"
    assert result.trials[3].spec.parent == result.trials[2].spec.id
    assert "no room for this model" in (tmp_path / "s" / "trials.csv").read_text()
    json.loads((tmp_path / "s" / "search.json").read_text(), parse_constant=pytest.fail)


def test_the_reason_is_given_if_all_trials_fail(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any) -> Any:
        raise ValueError("impossible model")

    task = _task(small_data)
    monkeypatch.setattr(type(task.space()), "build", build)
    with pytest.raises(EcgStudyError, match=r"all 6 trials failed .*impossible model"):
        _search(task, tmp_path / "s")


def test_a_disk_error_stops_the_search_which_can_resume(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def train_or_fail(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return train(*args, **kwargs)

    monkeypatch.setattr("ecg_study.training.executors.in_process.train", train_or_fail)
    with pytest.raises(OSError, match="No space left"):
        _search(_task(small_data), tmp_path / "s")
    assert len(load_search(tmp_path / "s").trials) == 2
    watcher = Watcher()
    _search(_task(small_data), tmp_path / "s", watcher)
    assert watcher.found == 2
    assert watcher.began[0] == "002-r0"


def test_a_full_disk_is_an_error_of_one_line(small_options: list[str], small_data: SmallData, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: the cache exists, weights do not fit."""
    assert small_data
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
    command = [sys.executable, "-c", limit + PROGRAM, "search", *small_options, "--model-kind", "denoiser"]
    done = subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if "ecg-study: error" in line and "is the disk full?" in line]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.npz"))


def test_an_unfinished_search_is_loaded_and_another_is_refused(
    searched: tuple[SearchResult, Watcher], small_data: SmallData, tmp_path: Path
) -> None:
    state = json.loads((searched[0].directory / "search.json").read_text())
    state["done"], state["finished"] = False, state["finished"][:2]
    (tmp_path / "search.json").write_text(json.dumps(state))
    found = load_same_search(_task(small_data), tmp_path, seed=0)
    assert (found.done, len(found.trials), found.stopped) == (False, 2, "")
    with pytest.raises(EcgStudyError, match=r"used seed = 0, but seed = 1 was requested"):
        load_same_search(_task(small_data), tmp_path, seed=1)
