"""Workers in other processes: versions, segments that are sent, schedulers that are gone, processes started anew."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_study.ecg_data.segments.transfer import find_cache, pack_segments, refer_to, unpack_segments
from ecg_study.errors import TrainingError
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.training.environment import environment
from ecg_study.training.executors import dask_cluster, dask_connection
from ecg_study.training.executors.base import Event, Notice
from ecg_study.training.executors.dask_cluster import DaskExecutor
from ecg_study.training.executors.dask_connection import open_dask_executor
from ecg_study.training.executors.in_process import InProcessExecutor
from ecg_study.training.specs import TrainingSpec
from ecg_study.training.task import TaskReference, TrainingTask
from ecg_study.tuning.search import SearchOptions, run_search
from ecg_study.workflows.study import Study
from tests.conftest import SmallData
from tests.known_databases import write_databases
from tests.tiny import ROOT, TINY
from tests.training.test_final_training import train
from tests.tuning.test_search import Watcher, _search, _without_times

pytestmark = pytest.mark.slow

TWO_TRIALS = replace(TINY, max_epochs=2)
"""One bracket of one rung of two trials: processes are what is tested here."""


def _task(data: SmallData, name: str = DENOISER) -> TrainingTask:
    return TrainingTask(name, data.cache, data.split, TWO_TRIALS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskExecutor]:
    """Two worker processes."""
    with open_dask_executor(2) as opened:
        yield opened


def _pids(cluster: DaskExecutor) -> set[int]:
    return set(cluster.client.run(os.getpid).values())


def test_segments_that_a_worker_lacks_are_sent_and_the_search_is_the_same(
    cluster: DaskExecutor, small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers are made to look for the segments where none are, as on another machine."""
    real = type(_task(small_data)).reference
    sent: list[list[str]] = []

    def elsewhere(task: Any) -> TaskReference:
        reference = real(task)
        nowhere = (Path("no/such/folder"), Path("/no/such/folder"))
        return replace(reference, cache=replace(reference.cache, directory=nowhere))

    def pack(cache: Any, records: list[str]) -> Any:
        sent.append(list(records))
        return pack_segments(cache, records)

    task = _task(small_data, DETECTOR)
    monkeypatch.setattr(type(task), "reference", elsewhere)
    monkeypatch.setattr("ecg_study.training.executors.dask_cluster.pack_segments", pack)
    remote = run_search(
        task, SearchOptions(0, measured=2), directory=tmp_path / "remote", executor=cluster, view=Watcher()
    )
    split = small_data.split
    assert sent == [[*split.train, *split.validation]] * 2, "once to each worker, and never a test record"
    here = _search(task, tmp_path / "here")
    by_id = sorted(_without_times(remote), key=lambda pair: str(pair[0].id))
    assert by_id == sorted(_without_times(here), key=lambda pair: str(pair[0].id))


def test_final_trainings_run_side_by_side_and_give_the_same(
    cluster: DaskExecutor, small_data: SmallData, tmp_path: Path
) -> None:
    task = replace(_task(small_data), preset=replace(TWO_TRIALS, final_epochs=1, seeds=2))
    side_by_side = train(task, tmp_path / "remote", cluster)
    here = train(task, tmp_path / "here", InProcessExecutor())
    for ours, theirs in zip(here, side_by_side, strict=True):
        assert ours.spec == theirs.spec
        for first, second in zip(ours.model.get_weights(), theirs.model.get_weights(), strict=True):
            np.testing.assert_allclose(first, second, atol=1e-6)


def test_processes_are_started_anew_after_some_trials(
    cluster: DaskExecutor, small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow keeps memory for every trial; only the end of the process gives it back."""
    before = _pids(cluster)
    monkeypatch.setattr(dask_cluster, "_TRIALS_PER_PROCESS", 1)
    watcher = Watcher()
    result = run_search(_task(small_data), SearchOptions(0), directory=tmp_path / "s", executor=cluster, view=watcher)
    assert len(result.trials) == 2
    # What is said of the last epoch may come behind the trial itself, and is then of no more use.
    assert {(trial.spec.id, 1) for trial in result.trials} <= set(watcher.epochs)
    assert {trial.result.attempts for trial in result.trials} == {1}, "none was lost by it"
    deadline = time.monotonic() + 30
    while (len(_pids(cluster)) < 2 or _pids(cluster) & before) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _pids(cluster) & before


def test_a_worker_that_is_killed_in_a_search_of_several_databases_is_replaced(
    cluster: DaskExecutor, tmp_path: Path
) -> None:
    """Its trial starts again, and the search is the same as in one process."""
    raw = write_databases(tmp_path / "raw", groups={f"cinc{number}": f"g{number // 2}" for number in range(12)})
    study = Study(
        tmp_path / "out",
        database="mitdb,qtdb,cinc2014",
        raw_dir=str(raw),
        data_dir=str(tmp_path / "data"),
        segment_samples=720,
        preset="quick",
    )
    data = study.prepare()
    task = TrainingTask(DETECTOR, data.cache, data.split, TWO_TRIALS, shares=data.shares)
    pids = cluster.client.run(os.getpid)

    class Killer(Watcher):
        def trial_began(self, spec: TrainingSpec) -> None:
            super().trial_began(spec)
            if len(self.began) == 2:
                deadline = time.monotonic() + 30
                while not (busy := [name for name, tasks in cluster.client.processing().items() if tasks]):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                os.kill(pids[busy[0]], signal.SIGKILL)

    killer = Killer()
    found = run_search(task, SearchOptions(0), directory=tmp_path / "killed", executor=cluster, view=killer)
    assert sorted(trial.result.attempts for trial in found.trials) == [1, 2], "one of two trials was lost once"
    here = run_search(task, SearchOptions(0), directory=tmp_path / "s", executor=InProcessExecutor(), view=Watcher())
    scores = {trial.spec.id: trial.result.score for trial in here.trials}
    assert {trial.spec.id: trial.result.score for trial in found.trials} == pytest.approx(scores, rel=1e-4)
    assert {name.partition("/")[0] for trial in found.trials for name in trial.result.subject_scores} >= {"cinc2014"}


def test_other_versions_on_a_worker_are_refused(
    cluster: DaskExecutor, small_data: SmallData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_environment", environment() | {"keras": "3.0.0"})
    monkeypatch.setattr(cluster, "_admitted", set())
    monkeypatch.setattr(cluster, "_refused", {})
    monkeypatch.setattr(cluster, "_notices", [])
    changed = r"keras: 3\.0\.0 when the search began, \S+ now; .* run the same command"
    with pytest.raises(TrainingError, match=changed):
        run_search(
            _task(small_data), SearchOptions(0, measured=2), directory=tmp_path / "s", executor=cluster, view=Watcher()
        )
    monkeypatch.setattr(cluster, "_wanted", None)
    monkeypatch.setattr(cluster, "_refused", {})
    with pytest.raises(TrainingError, match=r"worker tls://\S+: keras \S+ there, 3\.0\.0 here; start the workers with"):
        run_search(
            _task(small_data), SearchOptions(0, measured=2), directory=tmp_path / "s", executor=cluster, view=Watcher()
        )


def test_a_worker_that_dies_while_it_is_measured_is_no_end(
    cluster: DaskExecutor, small_data: SmallData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the first configuration needs more memory than there is."""
    task = _task(small_data)
    configuration = {"layers": 1, "units_1": 4, "dropout": 0.0, "frame": 16, "direction": "forward"}
    configuration |= {"learning_rate": 0.005, "residual": True}
    submit = cluster.client.submit
    pids = cluster.client.run(os.getpid)

    def submit_and_kill(*arguments: Any, **options: Any) -> Any:
        future = submit(*arguments, **options)
        if options["workers"][0] in pids:
            os.kill(pids.pop(options["workers"][0]), signal.SIGKILL)
            pids.clear()
        return future

    monkeypatch.setattr(cluster.client, "submit", submit_and_kill)
    seen: list[int] = []
    lost, measured = cluster.measure(task, [configuration, configuration], on_measured=seen.append)
    assert lost.failure == "its worker was killed (out of memory?)"
    assert measured.failure == ""
    assert measured.parameters == 416 and seen == [1, 2]
    assert measured.epoch_seconds > 0


def test_when_all_workers_are_gone_it_waits_and_says_so(cluster: DaskExecutor, small_data: SmallData) -> None:
    """Killed processes come back by themselves; here they are taken away and given back."""
    local = cluster.client.cluster
    local.scale(0)
    said: list[Event] = []
    deadline = time.monotonic() + 60
    while not said and time.monotonic() < deadline:
        cluster.wait(said.append)
    assert said == [Notice(f"no worker is left at {local.scheduler_address}: waiting for one")]
    assert cluster.free() == 0
    local.scale(2)
    while len(said) < 2 and time.monotonic() < deadline:
        cluster.wait(said.append)
    assert said[1:] == [Notice("workers are back: the search continues")]
    while cluster.free() < 2 and time.monotonic() < deadline:
        cluster.wait(said.append)
    assert cluster.measure(_task(small_data), [], on_measured=lambda _: None) == []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_WITHOUT_PROJECT = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "ecg_study" else found(name, *more)
"""
"""A ``sitecustomize`` module for a worker of an environment in which the project is not installed."""


def _dask(*words: str, cwd: Path = ROOT, site: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True, start_new_session=True, **quiet)  # type: ignore[call-overload,no-any-return]


def test_a_cluster_that_is_already_there(small_data: SmallData, tmp_path: Path) -> None:
    """A scheduler and its worker as other programs: without our code, with it, and with the scheduler gone."""
    address = f"tcp://127.0.0.1:{_free_port()}"
    scheduler = _dask("scheduler", "--host", address, "--no-dashboard")
    (tmp_path / "sitecustomize.py").write_text(_WITHOUT_PROJECT)
    words = ("worker", address, "--no-dashboard", "--nworkers", "1", "--nthreads", "1")
    elsewhere = _dask(*words, cwd=tmp_path, site=tmp_path)
    processes = [scheduler, elsewhere]
    task = _task(small_data)
    try:
        without = r"worker tcp://\S+: cannot import ecg_study; install it there"
        with pytest.raises(TrainingError, match=without), open_dask_executor(None, address) as cluster:
            run_search(task, SearchOptions(0), directory=tmp_path / "s", executor=cluster, view=Watcher())
        os.killpg(elsewhere.pid, signal.SIGTERM)
        elsewhere.wait()
        processes.append(_dask(*words))
        with open_dask_executor(None, address) as cluster:
            watcher = Watcher()
            ended = watcher.trial_ended

            def end_the_scheduler(trial: Any, *, best: float | None) -> None:
                ended(trial, best=best)
                os.killpg(scheduler.pid, signal.SIGKILL)

            watcher.trial_ended = end_the_scheduler  # type: ignore[method-assign]
            gone = rf"scheduler {re.escape(address)}: not reachable any more; finished trials are kept"
            with pytest.raises(TrainingError, match=gone):
                run_search(task, SearchOptions(0), directory=tmp_path / "s", executor=cluster, view=watcher)
        assert len(watcher.bests) >= 1
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_connection, "_CONNECT_SECONDS", 1.0)
    address = f"tcp://127.0.0.1:{_free_port()}"
    with (
        pytest.raises(TrainingError, match=f"scheduler: {address} does not answer within 1 s"),
        open_dask_executor(None, address),
    ):
        pytest.fail("nothing is there")
    with (
        pytest.raises(TrainingError, match="scheduler: nonsense://x does not answer"),
        open_dask_executor(None, "nonsense://x"),
    ):
        pytest.fail("nothing is there")


def test_packed_segments_are_a_cache_of_these_records(small_data: SmallData, tmp_path: Path) -> None:
    cache, records = small_data.cache, ["s03", "s01"]
    unpack_segments(pack_segments(cache, records), tmp_path / "sent")
    reference = replace(refer_to(cache), directory=(tmp_path / "no", tmp_path / "no"))
    assert find_cache(reference) is None
    found = find_cache(reference, tmp_path / "sent")
    assert found is not None
    assert found.records == ("s01", "s03")
    for name in ("noisy", "clean", "r_peaks"):
        assert (getattr(found, name) == getattr(cache, name)[cache.rows(records)]).all()
    other = replace(reference, key="0" * 64)
    assert find_cache(other, tmp_path / "sent") is None, "another study's segments are not taken"
