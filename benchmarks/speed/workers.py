"""Two workers against one, and the overhead of the search over bare training, as ratios of times in one run.

    python -m benchmarks.speed.workers [--pairs 3]

The trials are unidirectional networks of equal size, on synthetic records. The start of the processes, some seconds
whatever the length of the search, is excluded. Bare training fits the same models on the same batches one after the
other in this process, and keeps nothing. On a shared machine its time varies more than the overhead, so the time that
passed outside of trials within one search is printed as well. The restart of a worker after 15 trials, which takes some
6 s, is not included.

The largest possible speedup of two processes depends on the machine: cores may share caches, memory, or the time of a
host. So bare training is also measured in one process of one thread and in two such processes in parallel.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.speed.searching import Quiet, synthetic_task
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.presets import HyperparameterRanges
from ecg_study.training.backend import import_backend
from ecg_study.training.executors.base import Executor
from ecg_study.training.executors.dask_connection import open_dask_executor
from ecg_study.training.loop import train as train_one
from ecg_study.training.specs import TrainingOptions, TrainingSpec
from ecg_study.training.task import TaskReference, TrainingTask
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.search import SearchOptions, run_search
from ecg_study.tuning.state import load_search

TRIALS, EPOCHS = 8, 4
BARE = ("bare, one process of one thread", "bare, two processes of one thread")
BOUNDS = HyperparameterRanges((2,), (48,), (0.0,), (8,), ("forward",), (1e-3, 1e-2), residual=(True,))
PRESET = replace(
    PRESETS["quick"],
    max_epochs=EPOCHS,
    factor=EPOCHS + 1,  # one bracket of one rung of two trials
    iterations=TRIALS // 2,
    batch_size=64,
    segments_per_epoch=None,
    denoiser=BOUNDS,
)


def search(task: TrainingTask, directory: Path, *, workers: Executor) -> float:
    """Return the seconds of a search."""
    started = time.monotonic()
    result = run_search(task, SearchOptions(0), directory=directory, executor=workers, view=Quiet())
    seconds = time.monotonic() - started
    assert len(result.trials) == sum(rung.trials for rung in schedule_of(task.preset))
    return seconds


def train(task: TrainingTask, directory: Path) -> float:
    """Return the seconds of the same training without a search."""
    trials = load_search(directory).trials
    started = time.monotonic()
    for trial in trials:
        _fit(task, trial.spec, EPOCHS)
    return time.monotonic() - started


def _fit(task: TrainingTask, plan: TrainingSpec, epochs: int) -> None:
    spec = TrainingSpec(id=plan.id, epochs=epochs, hyperparameters=plan.hyperparameters)
    train_one(task, spec, options=TrainingOptions(keep="last"), seed=0)


def train_in_parallel(reference: TaskReference, directory: Path, *, processes: int) -> float:
    """Return the seconds of the same training in processes of one thread each, without their start."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(processes + 1), context.Barrier(processes + 1)
    shares = [(number, processes) for number in range(processes)]
    started = [
        context.Process(target=_train_share, args=(reference, directory, share, ready, done)) for share in shares
    ]
    for process in started:
        process.start()
    ready.wait()
    began = time.monotonic()
    done.wait()
    seconds = time.monotonic() - began
    for process in started:
        process.join()
    return seconds


def _train_share(reference: TaskReference, directory: Path, share: tuple[int, int], ready: Any, done: Any) -> None:
    import_backend(1)
    task = reference.open()
    assert task is not None
    trials = load_search(directory).trials
    _fit(task, trials[0].spec, 1)  # imports and first traces
    ready.wait()
    for trial in trials[share[0] :: share[1]]:
        _fit(task, trial.spec, EPOCHS)
    done.wait()


def main() -> None:
    """Measure alternately, and print the medians of the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=3, help="number of measurements of each (default: 3)")
    pairs = parser.parse_args().pairs
    import_backend()
    outside: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in ("two", "one", "one with one thread", "bare", *BARE)}
    setups: dict[str, tuple[int, int | None]] = {"two": (2, None), "one": (1, None), "one with one thread": (1, 1)}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        task = synthetic_task(DENOISER, PRESET, directory=directory, seconds=300.0)
        warm = replace(task, preset=replace(PRESET, iterations=1, segments_per_epoch=64))
        for number in range(pairs):
            for setup, (count, threads) in setups.items():
                # One cluster at a time: idle processes use some time.
                with open_dask_executor(count, threads=threads) as workers:
                    search(warm, directory / f"warm {setup} {number}", workers=workers)  # imports and first traces
                    times[setup].append(search(task, directory / f"{setup} {number}", workers=workers))
            trials = load_search(directory / f"one {number}").trials
            outside.append(times["one"][-1] / sum(trial.result.seconds for trial in trials) - 1)
            times["bare"].append(train(task, directory / f"one {number}"))
            for processes, name in enumerate(BARE, start=1):
                times[name].append(
                    train_in_parallel(task.reference(), directory / f"one {number}", processes=processes)
                )
    for name, seconds in times.items():
        print(f"{name}: {', '.join(f'{value:.1f}' for value in seconds)} s")
    all_cores, one_core = _ratio(times["one"], times["two"]), _ratio(times["one with one thread"], times["two"])
    print(f"two workers against one that has all cores: {all_cores:.2f} times as fast")
    print(f"two workers against one that has one core: {one_core:.2f} times as fast")
    possible = _ratio(times[BARE[0]], times[BARE[1]])
    print(f"two bare processes against one, the most that this machine gives: {possible:.2f} times as fast")
    print(f"one worker against bare training on all cores: {_ratio(times['one'], times['bare']) - 1:+.1%} of time")
    each = ", ".join(f"{share:.1%}" for share in outside)
    print(f"time of one worker that passed outside of trials: {statistics.median(outside):.1%} of that within ({each})")


def _ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


if __name__ == "__main__":
    main()
