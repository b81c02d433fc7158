"""Searches in processes that are killed or interrupted: finished trials stay, the others run again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from ecg_study.models.card import DENOISER
from ecg_study.training.task import TrainingTask
from ecg_study.training.weights import load_weights, weights_path
from ecg_study.tuning.state import SearchResult, load_search
from tests.conftest import SmallData
from tests.tiny import PROGRAM, ROOT, TINY
from tests.training.keras_evaluation import evaluate
from tests.tuning.conftest import reference, task  # noqa: F401  # fixtures
from tests.tuning.fake_executor import TRIALS, specs_by_id

pytestmark = pytest.mark.slow


def _command(options: list[str], out: Path, workers: int) -> list[str]:
    chosen = ["--model-kind", "denoiser", "--workers", str(workers), "--out", str(out)]
    return [sys.executable, "-c", PROGRAM, "search", *options, *chosen]


def _without_times(path: Path) -> list[Any]:
    trials = json.loads(path.read_text())["finished"]
    for trial in trials:
        trial["ended"] = trial["outcome"]["seconds"] = trial["outcome"]["attempts"] = 0
    return sorted(trials, key=lambda trial: str(trial["plan"]["id"]))


@pytest.fixture(scope="module")
def undisturbed(small_options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of the same search, run without any kill."""
    out = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(_command(small_options, out, 0), cwd=ROOT, capture_output=True, check=True)
    return out / "search" / "denoiser" / "search.json"


def _of_group(group: int) -> list[int]:
    """Return the running processes of a process group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def _ends(group: int) -> bool:
    """Return whether all processes of a group end within half a minute."""
    deadline = time.monotonic() + 30
    while _of_group(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not _of_group(group)


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a process group of its own, and end the group with the block."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_many_kills_lose_nothing_and_repeat_nothing(
    raw_dir: Path,
    tmp_path: Path,
    reference: SearchResult,  # noqa: F811
) -> None:
    """Dozens of kills at random moments of a search without training, most of them during a write."""
    kills = 0
    for seed in range(3):
        directory = tmp_path / f"s{seed}"
        places = [str(raw_dir), str(tmp_path / "data"), str(directory)]
        command = [sys.executable, "-m", "tests.end_to_end.crashing", *places, str(seed)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        kills += int(done.stdout.split()[-1])
        result = load_search(directory)
        assert result.done
        assert len(result.trials) == TRIALS
        assert specs_by_id(result) == specs_by_id(reference)
        assert [path.name for path in (directory / "weights").iterdir()] == [f"{result.best().spec.id}.npz"]
        assert not list(directory.glob(".*"))
    assert kills >= 10


@pytest.mark.parametrize("workers", [0, 2])
def test_a_search_killed_in_training_ends_as_if_never_killed(
    workers: int, small_options: list[str], undisturbed: Path, small_data: SmallData, tmp_path: Path
) -> None:
    """The whole program, with training."""
    state = tmp_path / "search" / "denoiser" / "search.json"
    moments = random.Random(workers)
    for finished in (0, 1):
        with _started(_command(small_options, tmp_path, workers)) as process:
            while process.poll() is None and (not state.exists() or len(_without_times(state)) < finished):
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert _ends(process.pid), "workers end with the main process"
    command = _command(small_options, tmp_path, workers)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _without_times(state) == _without_times(undisturbed)
    result = load_search(state.parent)
    best = result.best()
    model = TrainingTask(DENOISER, small_data.cache, small_data.split, TINY).build(best.spec.hyperparameters)
    load_weights(model, weights_path(state.parent / "weights", best.spec.id).read_bytes(), trial=best.spec.id)
    batches = TrainingTask(DENOISER, small_data.cache, small_data.split, TINY).validation_batches()
    assert evaluate(model, batches)["loss"] == pytest.approx(best.result.score, rel=1e-5), (
        "score and weights are of one run"
    )
    assert asdict(best.spec)["id"] in (state.parent / "trials.csv").read_text()


def test_a_worker_killed_in_a_trial_is_replaced(small_options: list[str], undisturbed: Path, tmp_path: Path) -> None:
    state = tmp_path / "search" / "denoiser" / "search.json"
    with _started(_command(small_options, tmp_path, 2)) as process:
        while process.poll() is None and (not state.exists() or not _without_times(state)):
            time.sleep(0.02)
        workers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        for worker in workers:
            worker.kill()
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
    assert re.search(r"trial \S+: worker \S+ was killed \(out of memory\?\); starting attempt 2 of 3", out), out
    assert "Traceback" not in err
    assert _without_times(state) == _without_times(undisturbed)
    assert {row.split(",")[-3] for row in (state.parent / "trials.csv").read_text().splitlines()[1:]} == {"1", "2"}


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_ends_all_processes_and_keeps_the_search(workers: int, small_options: list[str], tmp_path: Path) -> None:
    """A terminal sends the signal to the main process and its workers."""
    state = tmp_path / "search" / "denoiser" / "search.json"
    with _started(_command(small_options, tmp_path, workers)) as process:
        while process.poll() is None and (not state.exists() or not _without_times(state)):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert _ends(process.pid)
    assert "To resume: ecg-study search" in err
    assert "Traceback" not in err
    assert _without_times(state)
