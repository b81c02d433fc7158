"""Saved searches: a damaged file is one line that names it, for every verb that reads it."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import study
from ecg_study.errors import StateError
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.state import STATE_FILE, SearchResult, load_search
from tests.make_fixtures import TINY_STUDY_DIR
from tests.tuning.fake_executor import FakeExecutor, search

SAVED = json.loads((TINY_STUDY_DIR / "search" / "denoiser" / STATE_FILE).read_text())

Change = Callable[[Any], Any]


def _set(*place: Any) -> Change:
    *where, last, value = place

    def change(state: Any) -> None:
        for key in where:
            state = state[key]
        state[last] = value

    return change


DAMAGE: dict[str, Change] = {
    "no identity": lambda state: state.pop("identity"),
    "empty identity": _set("identity", {}),
    "identity is a list": _set("identity", []),
    "no objective": _set("identity", "objective", 5),
    "unknown direction": _set("identity", "objective", ["val_loss", "up"]),
    "no signals": lambda state: state["identity"].pop("signals"),
    "signals are a number": _set("identity", "signals", 1),
    "endless schedule": _set("identity", "sizes", "iterations", 10**9),
    "schedule without reduction": _set("identity", "sizes", "factor", 1),
    "space is text": _set("identity", "space", "all"),
    "space without names": _set("identity", "space", [{"class_name": "Int", "config": {}}]),
    "score is text": _set("finished", 0, "outcome", "score", "low"),
    "score is missing": _set("finished", 0, "outcome", "score", None),
    "score is NaN": _set("finished", 0, "outcome", "score", float("nan")),
    "score is infinite": _set("finished", 0, "outcome", "score", float("-inf")),
    "history with text": _set("finished", 0, "outcome", "history", [{"epoch": "one"}]),
    "history without epochs": _set("finished", 0, "outcome", "history", [{"loss": 1.0}]),
    "unknown status": _set("finished", 0, "outcome", "status", "well"),
    "negative time": _set("finished", 0, "outcome", "seconds", -1.0),
    "time of ages": _set("seconds", 1e300),
    "id that is a path": _set("finished", 0, "plan", "id", "../../000-r0"),
    "two trials of one id": _set("finished", 1, "plan", "id", "000-r0"),
    "trial without its parent": _set("finished", 0, "plan", "parent", "999-r0"),
    "value of another type": _set("finished", 0, "plan", "hyperparameters", "learning_rate", "fast"),
    "value that is a list": _set("finished", 0, "plan", "hyperparameters", "layers", [1]),
    "value outside the space": _set("finished", 0, "plan", "hyperparameters", "layers", 77),
    "unknown hyperparameter": _set("finished", 0, "plan", "hyperparameters", "depth", 1),
    "unknown key": _set("more", 1),
    "other format": _set("format", 99),
    "format is text": _set("format", "3"),
    "trials are a number": _set("finished", 3),
    "warm start is text": _set("warm", "best"),
    "done is text": _set("done", "yes"),
}


def _content(damage: str) -> bytes:
    state = copy.deepcopy(SAVED)
    DAMAGE[damage](state)
    return json.dumps(state).encode()


def _write(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / STATE_FILE).write_bytes(content)
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(damage: str, tmp_path: Path) -> None:
    folder = _write(tmp_path / "s", _content(damage))
    with pytest.raises(StateError, match=r"search\.json: the file is damaged \(.+\); restore it") as caught:
        load_search(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 200_000, b"[1]", b"5", b"\xff\xfe", b'{"a":' * 5000 + b"1" + b"}" * 5000],
    ids=["empty", "half", "deep", "list", "number", "not UTF-8", "deep tables"],
)
def test_other_content_is_damage(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"search\.json: the file is damaged"):
        load_search(_write(tmp_path / "s", content))


def test_other_files_are_damage(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).mkdir()
    with pytest.raises(StateError, match="a folder, not a file"):
        load_search(tmp_path)
    (tmp_path / STATE_FILE).rmdir()
    with open(tmp_path / STATE_FILE, "wb") as target:
        target.truncate(2_000_000_000)
    with pytest.raises(StateError, match="more than the limit"):
        load_search(tmp_path)
    (tmp_path / STATE_FILE).unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / STATE_FILE)
        with pytest.raises(StateError, match="a pipe or a device"):
            load_search(tmp_path)


def _places(value: Any, *before: Any) -> list[tuple[Any, ...]]:
    """Return the place of every value in nested lists and dictionaries."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before] + [place for key, item in items for place in _places(item, *before, key)]


_PLACES = [place for place in _places(SAVED) if place and place[0] != "oracle"]
_ODD: st.SearchStrategy[Any] = st.sampled_from([None, True, -1, 10**30, 1.5, "", "x", [], {}, [[]], {"a": 1}])


@given(place=st.sampled_from(_PLACES), value=_ODD)
def test_any_changed_value_is_read_or_refused(
    place: tuple[Any, ...], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = copy.deepcopy(SAVED)
    _set(*place, value)(state)
    folder = tmp_path_factory.getbasetemp() / "changed"
    folder.mkdir(exist_ok=True)
    (folder / STATE_FILE).write_text(json.dumps(state))
    try:
        found = load_search(folder)
    except StateError:
        return
    assert len(found.ranked()) <= len(found.trials)


@pytest.mark.parametrize("verb", ["search", "report", "run", "plan", "export", "warm start"])
def test_every_verb_that_reads_a_damaged_search_names_it(
    verb: str, small_options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    if verb in ("plan", "warm start"):
        _write(tmp_path / "earlier" / "search" / "denoiser", _content("score is NaN"))
        given = ["plan" if verb == "plan" else "search", *small_options, "--warm-start", str(tmp_path / "earlier")]
    else:
        _write(out / "search" / "denoiser", _content("score is NaN"))
        given = [verb, *([] if verb == "export" else small_options)]
    assert study.main([*given, "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "search.json: the file is damaged" in line
    assert "Traceback" not in line


@pytest.mark.parametrize(
    "damage",
    [
        lambda oracle: oracle["trials"].clear(),
        lambda oracle: oracle["names"].clear(),
        lambda oracle: oracle["oracle"].clear(),
        lambda oracle: oracle["oracle"].update(hyperparameters=5),
        lambda oracle: next(iter(oracle["trials"].values()))["hyperparameters"]["values"].update({"tuner/round": "x"}),
        lambda oracle: next(iter(oracle["trials"].values())).update(metrics=[]),
    ],
    ids=["no trials", "no names", "empty", "no hyperparameters", "text for a rung", "no metrics"],
)
def test_a_search_does_not_resume_with_a_damaged_state_of_keras_tuner(
    damage: Change, task: TrainingTask, reference: SearchResult, tmp_path: Path
) -> None:
    state = json.loads((reference.directory / STATE_FILE).read_text())
    state["done"] = False
    damage(state["oracle"])
    folder = _write(tmp_path / "s", json.dumps(state).encode())
    (folder / "weights").mkdir()
    for trial in state["finished"]:
        (folder / "weights" / f"{trial['plan']['id']}.npz").touch()
    try:
        found = search(task, folder, executor=FakeExecutor(1, random.Random(0)))
    except StateError as error:
        assert "search.json: the file is damaged, so the search cannot resume" in str(error)
    else:
        assert len(found.trials) >= len(state["finished"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_weights_that_are_no_file_end_the_search_in_one_line(
    task: TrainingTask, reference: SearchResult, tmp_path: Path
) -> None:
    state = json.loads((reference.directory / STATE_FILE).read_text())
    state["done"] = False
    folder = _write(tmp_path / "s", json.dumps(state).encode())
    (folder / "weights").mkdir()
    for trial in state["finished"]:
        os.mkfifo(folder / "weights" / f"{trial['plan']['id']}.npz")
    with pytest.raises(StateError, match=r"the weights of trial .* are missing"):
        search(task, folder, executor=FakeExecutor(1, random.Random(0)))
