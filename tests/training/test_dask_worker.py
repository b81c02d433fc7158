"""Workers of a Dask cluster, without processes: which of them are used, and for which task they train."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecg_study.errors import TrainingError
from ecg_study.models.card import DETECTOR
from ecg_study.training.backend import backend_name
from ecg_study.training.environment import environment
from ecg_study.training.executors import dask_worker
from ecg_study.training.executors.base import Event, Notice
from ecg_study.training.executors.dask_cluster import DaskExecutor
from ecg_study.training.task import TrainingTask
from tests.conftest import SmallData
from tests.tiny import TINY


def test_a_worker_trains_with_the_shares_of_its_own_study(
    small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker keeps open tasks. Two studies that differ in anything but the folder of the segments are two tasks."""
    monkeypatch.setattr(dask_worker, "_tasks", type(dask_worker._tasks)())
    task = TrainingTask(DETECTOR, small_data.cache, small_data.split, TINY)
    changes: list[dict[str, Any]] = [
        {},
        {"shares": {"ward": 0.3}},
        {"shares": {"ward": 0.6}},
        {"refit": True},
        {"keras_layers": True},
        {"preset": replace(TINY, batch_size=8)},
    ]
    for change in changes:
        changed = replace(task, **change)
        opened = dask_worker._open(changed.reference(), tmp_path)
        assert opened is not None
        assert {name: getattr(opened, name) for name in change} == change
    again = dask_worker._open(task.reference(), tmp_path)
    elsewhere = replace(task.reference().cache, directory=(tmp_path / "no", tmp_path / "no"))
    assert dask_worker._open(replace(task.reference(), cache=elsewhere), tmp_path) is again


class _Scheduler:
    address = "tcp://here:8786"


class _Client:
    """A client of workers that answer what they are made to answer."""

    scheduler = _Scheduler()

    def __init__(self, **workers: dict[str, Any]) -> None:
        self.workers = workers

    def subscribe_topic(self, topic: str, handler: Callable[..., None]) -> None:
        self.subscribed = topic, handler

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.workers, 1)

    def run(self, function: Any, *_: Any, workers: list[str], on_error: str) -> dict[str, Any]:
        assert on_error == "return"
        what = {importlib.util.find_spec: "spec", backend_name: "backend", environment: "environment"}[function]
        return {worker: self.workers[worker][what] for worker in workers}


def _worker(**changes: Any) -> dict[str, Any]:
    return {"spec": "found", "backend": backend_name(), "environment": environment(), **changes}


_UNSUITABLE = {
    "without": (_worker(spec=None), "worker other: cannot import ecg_study; install it there"),
    "backend": (_worker(backend="abacus"), "worker other: uses the backend abacus of Keras, not"),
    "versions": (_worker(environment=environment() | {"keras": "3.0.0"}), "worker other: keras 3.0.0 there, "),
}


def _wait(executor: DaskExecutor) -> list[Event]:
    said: list[Event] = []
    executor._checked = 0.0
    executor.wait(said.append)
    return said


@pytest.mark.parametrize("kind", _UNSUITABLE)
def test_an_unsuitable_worker_that_joins_is_named_and_not_used(kind: str) -> None:
    other, problem = _UNSUITABLE[kind]
    client: Any = _Client(one=_worker())
    executor = DaskExecutor(client, None)
    assert executor.free() == executor.count == 1
    client.workers["other"] = other
    (said,) = _wait(executor)
    assert isinstance(said, Notice)
    assert said.text.startswith(problem) and said.text.endswith("; the search continues on the other workers")
    assert executor.free() == executor.count == 1
    assert _wait(executor) == [], "it is named once"
    # It is started again, at the same address and as it should be.
    del client.workers["other"]
    _wait(executor)
    client.workers["other"] = _worker()
    _wait(executor)
    assert executor.free() == 2
    # A worker that was suitable may come back with other code.
    del client.workers["one"]
    _wait(executor)
    client.workers["one"] = other
    _wait(executor)
    assert executor.free() == 1
    del client.workers["other"]
    with pytest.raises(TrainingError, match=problem.replace("other", "one")):
        _wait(executor)


def test_only_unsuitable_workers_are_an_error_at_once() -> None:
    client: Any = _Client(other=_UNSUITABLE["versions"][0])
    with pytest.raises(TrainingError, match=r"worker other: keras 3\.0\.0 there"):
        DaskExecutor(client, None)
