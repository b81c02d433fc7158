"""Functions that Dask calls in a worker process.

A worker may be on another machine. It has the code of this project and its packages, but need not see our files.
Segments are found by their key, or sent if they are missing. Weights are sent with the job and with its result.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from ecg_study.ecg_data.segments.transfer import PackedSegments, unpack_segments
from ecg_study.training.backend import import_backend
from ecg_study.training.executors.base import deadline
from ecg_study.training.loop import train
from ecg_study.training.specs import FinishedTraining, TrainingOptions, TrainingSpec, TrialStopped
from ecg_study.training.steps.saved_state import TrainingStateFile
from ecg_study.training.task import TaskReference, TrainingTask
from ecg_study.training.timing import Speed, measure_speed

_one_at_a_time = threading.Lock()
"""Keras keeps names and seeds per process: a process trains one trial at a time, however many threads it has."""

_Answer = TypeVar("_Answer")
_OPEN_TASKS = 4
_tasks: OrderedDict[tuple[str, str], TrainingTask] = OrderedDict()


@dataclass(frozen=True)
class WorkerContext:
    """The task of a job, and the topic of its events.

    Attributes:
        task: the model and the key of its segments.
        topic: Dask topic of finished epochs.
    """

    task: TaskReference
    topic: str


@dataclass(frozen=True)
class RemoteJob:
    """A `Job` without its task, which `WorkerContext` names.

    Attributes:
        spec: configuration and epochs.
        options: what is kept, learning rate, patience.
        seed: seed of the study.
        initial_weights: packed weights to start from.
        seconds_left: seconds after which it stops.
        state_file: file with its state, on this machine.
    """

    spec: TrainingSpec
    options: TrainingOptions
    seed: int
    initial_weights: bytes | None
    seconds_left: float | None
    state_file: TrainingStateFile | None = None


@dataclass(frozen=True)
class NoSegments:
    """The answer of a worker that does not have the segments."""

    worker: str


@dataclass(frozen=True)
class Halted:
    """The answer of a worker that stopped a trial: its time was over, or it was cancelled."""


def train_remotely(context: WorkerContext, job: RemoteJob) -> FinishedTraining | NoSegments | Halted:
    """Train one trial in this worker."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    late = deadline(job.seconds_left)

    def should_stop() -> bool:
        # A cancelled job continues in its thread until it checks: Dask cannot end a thread.
        state = worker.state.tasks.get(key)
        return late() or state is None or state.state != "executing"

    def report(epoch: int, metrics: dict[str, float]) -> None:
        worker.log_event(context.topic, {"trial": job.spec.id, "epoch": epoch, "metrics": metrics})

    def work(task: TrainingTask) -> FinishedTraining | Halted:
        try:
            return train(
                task,
                job.spec,
                options=job.options,
                seed=job.seed,
                initial_weights=job.initial_weights,
                on_progress=report,
                should_stop=should_stop,
                state_file=job.state_file,
            )
        except TrialStopped:
            return Halted()

    return _with_task(context, work)


def measure_remotely(context: WorkerContext, hyperparameters: dict[str, Any]) -> Speed | NoSegments:
    """Time one configuration in this worker."""
    return _with_task(context, functools.partial(_measure, hyperparameters))


def receive_segments(key: str, packed: PackedSegments, *, dask_worker: Any) -> None:
    """Store segments in the folder of this worker while it lives. Dask passes ``dask_worker``."""
    directory = _own_folder(Path(dask_worker.local_directory), key)
    if not directory.is_dir():
        unpack_segments(packed, directory)


def _measure(hyperparameters: dict[str, Any], task: TrainingTask) -> Speed:
    return measure_speed(task, hyperparameters)


def _with_task(context: WorkerContext, work: Callable[[TrainingTask], _Answer]) -> _Answer | NoSegments:
    from distributed import get_worker

    worker = get_worker()
    with _one_at_a_time:
        task = _open(context.task, Path(worker.local_directory))
        if task is None:
            return NoSegments(worker.address)
        import_backend(worker.state.nthreads)
        return work(task)


def _open(reference: TaskReference, local: Path) -> TrainingTask | None:
    # Everything that determines a training; the folder of the segments does not, because their key does.
    given = {item.name: getattr(reference, item.name) for item in fields(reference) if item.name != "cache"}
    name = reference.cache.key, repr((reference.cache.settings, given))
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
