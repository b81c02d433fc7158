"""Export to Optuna: the storage holds what the search holds, and is written completely or not at all."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

import study
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.training.specs import COMPLETED, DIVERGED, FAILED, TrainingResult, TrainingSpec, Trial
from ecg_study.tuning.exports.optuna import export_optuna, find_searches, storage_url
from ecg_study.tuning.state import STATE_FILE, SavedSearch, SearchResult, SearchStateFile, load_search, search_directory
from tests.tiny import ROOT

SAVED = datetime(2026, 7, 1, 12)
"""Time at which the searches of these tests were last saved."""

SPACE: list[dict[str, Any]] = [
    {"class_name": "Choice", "config": {"name": "layers", "conditions": [], "values": [1, 2], "ordered": True}},
    {
        "class_name": "Choice",
        "config": {
            "name": "units_2",
            "conditions": [{"class_name": "Parent", "config": {"name": "layers", "values": [2]}}],
            "values": [16, 32],
            "ordered": True,
        },
    },
    {
        "class_name": "Float",
        "config": {
            "name": "learning_rate",
            "conditions": [],
            "min_value": 1e-3,
            "max_value": 1e-2,
            "step": None,
            "sampling": "log",
        },
    },
    {"class_name": "Boolean", "config": {"name": "residual", "conditions": []}},
]


def _row(epoch: int, **metrics: float) -> dict[str, float]:
    return {"epoch": epoch, **metrics}


TRIALS = [
    Trial(
        TrainingSpec(
            id="000-r0", bracket=1, epochs=1, hyperparameters={"layers": 1, "learning_rate": 0.004, "residual": True}
        ),
        TrainingResult(COMPLETED, 0.5, 1, [_row(1, loss=0.7, val_loss=0.5)], 3.0, 300),
        4.0,
    ),
    Trial(
        TrainingSpec(
            id="001-r0",
            bracket=1,
            epochs=1,
            hyperparameters={"layers": 2, "units_2": 16, "learning_rate": 1e-2, "residual": True},
        ),
        TrainingResult(FAILED, None, None, [_row(1, val_loss=0.1)], 2.0, 500, DIVERGED),
        6.5,
    ),
    Trial(
        TrainingSpec(
            id="000-r1",
            parent="000-r0",
            bracket=1,
            rung=1,
            initial_epoch=1,
            epochs=3,
            hyperparameters={"layers": 1, "learning_rate": 0.004, "residual": True},
        ),
        TrainingResult(COMPLETED, 0.25, 2, [_row(2, loss=0.4, val_loss=0.25), _row(3, val_loss=0.01)], 4.0, 300),
        11.0,
    ),
    Trial(
        TrainingSpec(id="002-r0", epochs=3, hyperparameters={"layers": 1, "learning_rate": 1e-3, "residual": False}),
        TrainingResult(FAILED, None, None, reason="the worker was lost", attempts=3),
        12.0,
    ),
]


def _search(
    out: Path,
    name: str = DENOISER,
    trials: list[Trial] = TRIALS,
    space: list[dict[str, Any]] = SPACE,
    **more: Any,
) -> SearchResult:
    """Write a search and load it again."""
    identity = {
        "task": name,
        "objective": ["val_loss", "min"],
        "signals": ["abc"],
        "warm start": "",
        "preset": "quick",
        "seed": 7,
        "data": "abc",
        "training records": ["s01", "s03"],
        "validation records": ["s05"],
        "sizes": {"max_epochs": 3, "factor": 3, "iterations": 1, "batch_size": 32, "segments_per_epoch": None},
        "space": space,
    }
    directory = search_directory(out, name)
    SearchStateFile(directory).save(SavedSearch(identity, finished=list(trials), seconds=20.0, **more))
    os.utime(directory / STATE_FILE, (SAVED.timestamp(), SAVED.timestamp()))
    return load_search(directory)


@contextmanager
def _opened(path: Path) -> Iterator[RDBStorage]:
    storage = RDBStorage(storage_url(path))
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _trials(path: Path, name: str = DENOISER) -> list[FrozenTrial]:
    with _opened(path) as storage:
        return optuna.load_study(study_name=name, storage=storage).get_trials()


def _error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that a refused command prints."""
    assert study.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ecg-study: error: ")
    return str(line)


def test_a_study_is_read_back_unchanged(tiny_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trials.db"
    before = {file: file.read_bytes() for file in tiny_study.rglob("*.json")}
    assert study.main(["export", "--out", str(tiny_study), "--storage", str(path)]) == 0
    assert {file: file.read_bytes() for file in tiny_study.rglob("*.json")} == before
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "denoiser: 6 trials; the search is finished\ndetector: 6 trials; the search is finished\n" in captured.out
    assert captured.out.splitlines()[-1] == f"optuna-dashboard {storage_url(path)}"
    for name in (DENOISER, DETECTOR):
        result = load_search(search_directory(tiny_study, name))
        with _opened(path) as storage:
            read = optuna.load_study(study_name=name, storage=storage)
            trials, best = read.get_trials(), result.best()
            assert read.direction.name == "MINIMIZE"
            assert (read.best_trial.user_attrs["id"], read.best_value) == (best.spec.id, best.result.score)
            assert read.user_attrs["validation records"] == result.identity["validation records"]
        assert [trial.params for trial in trials] == [trial.spec.hyperparameters for trial in result.trials]
        assert [trial.value for trial in trials] == [trial.result.score for trial in result.trials]
        for trial, ours in zip(trials, result.trials, strict=True):
            assert trial.intermediate_values == {ours.spec.epochs: ours.result.score}, "validated at the end only"
            assert ("units_2" in trial.params) == (trial.params["layers"] == 2)
            rate = trial.distributions["learning_rate"]
            assert isinstance(rate, FloatDistribution)
            assert rate.log
        ends = [trial.datetime_complete for trial in trials if trial.datetime_complete]
        assert len(ends) == 6
        assert all(earlier < later for earlier, later in itertools.pairwise(ends))


def test_each_trial_is_exported_with_the_values_it_has(tmp_path: Path) -> None:
    result = _search(tmp_path)
    assert export_optuna({DENOISER: result}, tmp_path / "t.db", overwrite=False) == {DENOISER: 4}
    first, diverged, promoted, lost = _trials(tmp_path / "t.db")
    assert [trial.number for trial in (first, diverged, promoted, lost)] == [0, 1, 2, 3]
    assert first.state == promoted.state == TrialState.COMPLETE
    assert diverged.state == lost.state == TrialState.FAIL
    assert diverged.value is lost.value is None
    assert promoted.value == 0.25
    # A value missing in a row was not finite, so the epoch is left out.
    assert [trial.intermediate_values for trial in (first, diverged, promoted, lost)] == [{1: 0.5}, {}, {2: 0.25}, {}]
    assert first.params == {"layers": 1, "learning_rate": 0.004, "residual": True}
    assert diverged.params["units_2"] == 16
    assert diverged.distributions["units_2"] == CategoricalDistribution([16, 32])
    assert promoted.user_attrs == {
        "id": "000-r1",
        "parent": "000-r0",
        "iteration": 0,
        "bracket": 1,
        "rung": 1,
        "epochs": 3,
        "best epoch": 2,
        "parameters": 300,
        "attempts": 1,
        "seconds": 4.0,
    }
    assert diverged.user_attrs["reason"] == DIVERGED
    assert lost.user_attrs["reason"] == "the worker was lost"
    assert lost.user_attrs["attempts"] == 3
    assert "parameters" not in lost.user_attrs
    began = SAVED - timedelta(seconds=20)
    assert (promoted.datetime_start, promoted.datetime_complete) == (
        began + timedelta(seconds=7),
        began + timedelta(seconds=11),
    )


def test_the_study_describes_the_search(tmp_path: Path) -> None:
    export_optuna({DENOISER: _search(tmp_path, stopped="2 trials are the limit")}, tmp_path / "t.db", overwrite=False)
    with _opened(tmp_path / "t.db") as storage:
        read = optuna.load_study(study_name=DENOISER, storage=storage)
        assert read.user_attrs == {
            "objective": "val_loss",
            "preset": "quick",
            "seed": 7,
            "data": "abc",
            "training records": ["s01", "s03"],
            "validation records": ["s05"],
            "state": "the search ended early: 2 trials are the limit",
        }


def test_an_unfinished_search_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _search(tmp_path)
    _search(tmp_path, DETECTOR, trials=[])
    assert study.main(["export", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "denoiser: 4 trials; the search is unfinished: 4 of 6 trials\n" in out
    assert "detector: 0 trials; the search is unfinished: 0 of 6 trials\n" in out
    assert len(_trials(tmp_path / "search" / "optuna.db")) == 4
    assert _trials(tmp_path / "search" / "optuna.db", DETECTOR) == []


def test_a_missing_search_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _search(tmp_path, done=True)
    assert study.main(["export", "--out", str(tmp_path)]) == 0
    assert "denoiser: 4 trials; the search is finished\ndetector: no search\n" in capsys.readouterr().out
    assert list(find_searches(tmp_path)) == [DENOISER]


def test_every_kind_of_hyperparameter_has_its_distribution(tmp_path: Path) -> None:
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.Float("share", 0.0, 1.0)
    hp.Float("stepped", 0.0007, 7.0, step=10, sampling="log")
    hp.Float("third", 0.1, 1.0, step=0.3)
    hp.Float("late", 1e-3, 1.0, sampling="reverse_log")
    hp.Int("width", 16, 100, step=16)
    hp.Int("count", 1, 9)
    hp.Int("batch", 2, 64, step=2, sampling="log")
    hp.Int("size", 2, 63, sampling="log")
    hp.Fixed("kind", "lstm")
    hp.Choice("direction", ["forward", "both"])
    hp.Choice("dropout", [0.0, 0.1])
    with hp.conditional_scope("direction", ["forward"]):
        hp.Choice("merge", ["sum"])
    with hp.conditional_scope("direction", ["both"]):
        hp.Choice("merge", ["sum", "concat"])
    space = hp.get_config()["space"]
    drawn = [
        replace(
            TRIALS[0],
            spec=replace(
                TRIALS[0].spec,
                id=f"{seed:03d}-r0",
                hyperparameters={item.name: item.random_sample(seed) for item in hp.space},
            ),
        )
        for seed in range(60)
    ]
    result = _search(tmp_path, trials=drawn, space=space)
    export_optuna({DENOISER: result}, tmp_path / "t.db", overwrite=False)
    read = _trials(tmp_path / "t.db")
    assert [trial.params for trial in read] == [trial.spec.hyperparameters for trial in drawn]
    found = read[0].distributions
    assert found["share"] == FloatDistribution(0, 1)
    assert found["width"] == IntDistribution(16, 96, step=16)
    assert found["count"] == IntDistribution(1, 9)
    assert found["size"] == IntDistribution(2, 63, log=True)
    assert found["kind"] == CategoricalDistribution(["lstm"])
    assert found["dropout"] == CategoricalDistribution([0.0, 0.1])
    assert isinstance(found["merge"], CategoricalDistribution)
    assert set(found["merge"].choices) == {"sum", "concat"}


def test_an_existing_storage_is_replaced_only_with_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _search(tmp_path)
    path = tmp_path / "search" / "optuna.db"
    path.write_bytes(b"notes of a week")
    assert f"{path}: the file exists; pass --overwrite" in _error(["export", "--out", str(tmp_path)], capsys)
    assert path.read_bytes() == b"notes of a week"
    assert study.main(["export", "--out", str(tmp_path), "--overwrite"]) == 0
    assert len(_trials(path)) == 4
    folder = ["--storage", str(tmp_path), "--overwrite"]
    assert f"--storage: {tmp_path} is a folder" in _error(["export", "--out", str(tmp_path), *folder], capsys)


@pytest.mark.parametrize("fails", ["ecg_study.files.os.fsync", "optuna.study.Study.add_trials"])
def test_a_failed_export_changes_nothing(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _search(tmp_path)
    path = tmp_path / "storages" / "t.db"
    export_optuna({DENOISER: result}, path, overwrite=False)
    before = path.read_bytes()
    verbosity = optuna.logging.get_verbosity()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fails, fail)
    for target in (path, path.with_name("other.db")):
        with pytest.raises(OSError, match="No space left"):
            export_optuna({DENOISER: result}, target, overwrite=True)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before
    assert optuna.logging.get_verbosity() == verbosity == optuna.logging.INFO


@pytest.mark.parametrize("name", ["a b", "50%25", "what?mode=ro", "#1", "{x}", "è'\"&+~"])
def test_special_characters_in_paths(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _search(tmp_path)
    path = tmp_path / name / f"{name}.db"
    assert study.main(["export", "--out", str(tmp_path), "--storage", str(path)]) == 0
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert len(_trials(path)) == 4
    assert capsys.readouterr().out.splitlines()[-1].startswith("optuna-dashboard ")


def test_a_relative_path_gives_an_absolute_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage_url(Path("t.db")) == f"sqlite:///{tmp_path}/t.db"


@pytest.mark.parametrize("out", ["none", "empty"])
def test_without_a_search_there_is_an_error_of_one_line(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty" / "search" / "denoiser").mkdir(parents=True)
    assert "no search found; run the search first" in _error(["export", "--out", str(tmp_path / out)], capsys)
    assert not list(tmp_path.rglob("*.db"))


def test_without_optuna_there_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _search(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    message = _error(["export", "--out", str(tmp_path)], capsys)
    assert "optuna: the package is missing; install it with 'pip install optuna'" in message
    assert not list(tmp_path.rglob("*.db"))


@pytest.mark.slow
def test_export_needs_neither_tensorflow_nor_data(tmp_path: Path) -> None:
    _search(tmp_path)
    code = "import sys, study; study.main(sys.argv[1:]); print({'tensorflow', 'keras'} & set(sys.modules))"
    command = [sys.executable, "-W", "error", "-c", code, "export", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "set()"
