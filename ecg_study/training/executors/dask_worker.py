"""What runs in a worker process: Dask calls these functions there.

A worker may be on another machine. It has this project's code and packages, but need not see our files: the segments
are looked for by their key and sent where they are not, weights travel with the job and with its result.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ecg_study.ecg_data.segments.transfer import PackedSegments, unpack_segments
from ecg_study.training.environment import import_tensorflow
from ecg_study.training.executors.base import deadline
from ecg_study.training.specs import TrainedTrial, TrainFunction, TrainingSpec, TrialStopped
from ecg_study.training.task import TaskReference, TrainingTask
from ecg_study.training.timing import Speed, measure_speed

_one_at_a_time = threading.Lock()
"""Keras keeps models, seeds and names per process, so a process trains one trial at a time, whatever its threads."""

_Answer = TypeVar("_Answer")
_OPEN_TASKS = 4
_tasks: OrderedDict[tuple[str, str, str], TrainingTask] = OrderedDict()


@dataclass(frozen=True)
class WorkerContext:
    """What a worker must know.

    Attributes:
        task: the model, with its segments by name.
        topic: Dask topic under which epochs are told.
    """

    task: TaskReference
    topic: str


@dataclass(frozen=True)
class NoSegments:
    """The answer of a worker that does not have the segments."""

    worker: str


@dataclass(frozen=True)
class Halted:
    """The answer of a worker whose time for the trial was over."""


def train_remotely(
    setting: WorkerContext,
    plan: TrainingSpec,
    seed: int,
    parent: bytes | None,
    seconds_left: float | None,
    train: TrainFunction,
) -> TrainedTrial | NoSegments | Halted:
    """Train one trial in this worker."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    late = deadline(seconds_left)

    def stop() -> bool:
        # A job that was given up goes on in its thread until it looks up: Dask cannot end a thread.
        state = worker.state.tasks.get(key)
        return late() or state is None or state.state != "executing"

    def said(epoch: int, metrics: dict[str, float]) -> None:
        worker.log_event(setting.topic, {"trial": plan.id, "epoch": epoch, "metrics": metrics})

    def work(task: TrainingTask) -> TrainedTrial | Halted:
        try:
            return train(task, plan, seed, parent, said, stop)
        except TrialStopped:
            return Halted()

    return _with_task(setting, work)


def measure_remotely(setting: WorkerContext, hyperparameters: dict[str, Any]) -> Speed | NoSegments:
    """Time one configuration in this worker."""
    return _with_task(setting, functools.partial(_measure, hyperparameters))


def receive_segments(key: str, packed: PackedSegments, dask_worker: Any) -> None:
    """Keep segments in the worker's own folder, for as long as it lives. Dask fills in ``dask_worker``."""
    directory = _own_folder(Path(dask_worker.local_directory), key)
    if not directory.is_dir():
        unpack_segments(packed, directory)


def _measure(hyperparameters: dict[str, Any], task: TrainingTask) -> Speed:
    return measure_speed(task, hyperparameters)


def _with_task(setting: WorkerContext, work: Callable[[TrainingTask], _Answer]) -> _Answer | NoSegments:
    from distributed import get_worker

    worker = get_worker()
    with _one_at_a_time:
        task = _open(setting.task, Path(worker.local_directory))
        if task is None:
            return NoSegments(worker.address)
        import_tensorflow(worker.state.nthreads)
        return work(task)


def _open(reference: TaskReference, local: Path) -> TrainingTask | None:
    name = (reference.name, reference.cache.key, repr((reference.split, reference.preset, reference.refit)))
    if name not in _tasks:
        task = reference.open(_own_folder(local, reference.cache.key))
        if task is None:
            return None
        _tasks[name] = task
        while len(_tasks) > _OPEN_TASKS:
            _tasks.popitem(last=False)
    return _tasks[name]


def _own_folder(local: Path, key: str) -> Path:
    return local / f"segments-{key[:16]}"
