"""Trials side by side in the processes of a Dask cluster: one on this machine, or one that is already there.

Everything that must last stays in the main process; a worker is handed a job and hands back what came of it. So a
worker may die at any moment, and another does the job again.
"""

from __future__ import annotations

import importlib.util
import logging
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster
from distributed.system import MEMORY_LIMIT

from ecg_study.ecg_data.segments.transfer import pack_segments
from ecg_study.errors import EcgStudyError
from ecg_study.progress import raise_if_interrupted
from ecg_study.training.environment import environment
from ecg_study.training.executors.base import (
    EpochFinished,
    EventHandler,
    Job,
    Notice,
    TrialFinished,
    TrialInterrupted,
    WorkerLost,
)
from ecg_study.training.executors.dask_worker import (
    Halted,
    NoSegments,
    RemoteJob,
    WorkerContext,
    measure_remotely,
    receive_segments,
    train_remotely,
)
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed

_TICK = 0.25  # seconds between two looks around: soon enough for Ctrl-C, seldom enough to cost nothing
_LOOK_EVERY = 1.0  # seconds between two looks at which workers are alive
_CONNECT = 15.0  # seconds to wait for a scheduler's answer
_FETCH = 300.0  # seconds for a result to arrive: weights are megabytes at most, but networks may be slow
_MEMORY = 1.5e9  # bytes a process, main or worker: TensorFlow's 0.7 GB, and a network with its batches

_TRIALS_PER_PROCESS = 15
"""After so many trials a worker process is started anew, which takes some 6 s: TensorFlow keeps 6 to 13 MB of even a
tiny trial for good."""

_CONFIG = {
    # Dask looks at every worker's stack a hundred times a second, which takes the interpreter from the training.
    "distributed.worker.profile.enabled": False,
    # Weights travel with jobs; those of the largest networks of the presets are of this order.
    "distributed.admin.large-graph-warning-threshold": "100MB",
    # A worker that nears the machine's limit is ended, and its trial tried again or given up: better than the end of
    # the main process. Nothing is spilled or paused, since a trial's memory is TensorFlow's and not Dask's.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
}


@dataclass
class _Running:
    job: Job
    future: Future
    worker: str


class DaskExecutor:
    """`Executor` in the processes of a Dask cluster.

    Args:
        client: connected to its scheduler.
        wanted: how many workers there should be; ``None`` for however many there are.
    """

    def __init__(self, client: Client, wanted: int | None) -> None:
        self.client = client
        self._wanted = wanted
        self._topic = f"ecg-study-{uuid.uuid4().hex}"
        self._arrived: queue.Queue[EpochFinished | Future] = queue.Queue()
        self._running: dict[str, _Running] = {}
        self._trials_of: dict[str, int] = {}
        self._restarting: set[str] = set()
        self._alive: dict[str, int] = {}
        self._environment = environment()
        self._admitted: set[str] = set()
        self._looked = 0.0
        self._said_waiting = False
        client.subscribe_topic(self._topic, lambda event: self._hear(event[1]))
        self._look_around()

    @property
    def count(self) -> int:
        """See `Executor`."""
        return self._wanted if self._wanted is not None else max(1, len(self._alive))

    def free(self) -> int:
        """See `Executor`."""
        return len(self._free_workers())

    def start(self, job: Job) -> None:
        """See `Executor`. The job is bound to one worker, so that no two share a process."""
        worker = self._free_workers()[0]
        self._trials_of[worker] = self._trials_of.get(worker, 0) + 1
        self._submit(job, worker)

    def wait(self, handle: EventHandler) -> None:
        """See `Executor`.

        Raises:
            StudyError: the scheduler is gone, or a worker has other versions.
            OSError: a worker could not read or write what it needs.
        """
        try:
            arrived = self._arrived.get(timeout=_TICK)
        except queue.Empty:
            pass
        else:
            if isinstance(arrived, EpochFinished):
                if arrived.trial in self._running:
                    handle(arrived)
            else:
                self._take(arrived, handle)
        raise_if_interrupted()
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._look_around()
            self._say_lost(handle)

    def cancel(self) -> None:
        """See `Executor`."""
        for running in self._running.values():
            running.future.cancel()
        self._running.clear()

    def measure(self, task: TrainingTask, configurations: list[dict[str, Any]]) -> list[Speed]:
        """See `Executor`."""
        context = self._context(task)
        found: list[Speed | None] = [None] * len(configurations)
        left = list(enumerate(configurations))
        while left:
            workers = self._wait_for_workers()
            side_by_side, left = left[: len(workers)], left[len(workers) :]
            futures = [
                self.client.submit(measure_remotely, context, configuration, workers=[worker], pure=False)
                for worker, (_, configuration) in zip(workers, side_by_side, strict=False)
            ]
            for (place, configuration), worker, future in zip(side_by_side, workers, futures, strict=False):
                try:
                    answer = self._result_from(worker, future)
                except _WorkerGoneError:
                    answer = Speed(failure="its worker was killed (out of memory?)")
                if isinstance(answer, NoSegments):
                    self._send_segments(task, answer.worker)
                    left.append((place, configuration))
                else:
                    found[place] = answer
        return [speed for speed in found if speed is not None]

    def _hear(self, said: dict[str, Any]) -> None:
        """Take what a worker says of an epoch; Dask adds the worker's address to it."""
        self._arrived.put(EpochFinished(said["trial"], said["epoch"], said["metrics"]))

    def _submit(self, job: Job, worker: str) -> None:
        future = self._call(
            self.client.submit,
            train_remotely,
            self._context(job.task),
            RemoteJob(job.spec, job.options, job.seed, job.initial_weights, job.seconds_left),
            key=f"{job.task.name}-{job.spec.id}-{uuid.uuid4().hex}",
            workers=[worker],
            pure=False,
        )
        self._running[job.spec.id] = _Running(job, future, worker)
        future.add_done_callback(self._arrived.put)

    def _take(self, future: Future, handle: EventHandler) -> None:
        """Hand over the result of a job."""
        found = [trial for trial, running in self._running.items() if running.future.key == future.key]
        if not found:
            return  # given up before
        trial = found[0]
        running = self._running[trial]
        try:
            answer = self._result(future)
        except _WorkerGoneError:
            del self._running[trial]
            handle(WorkerLost(trial, f"worker {running.worker} was killed (out of memory?)"))
            return
        del self._running[trial]
        if isinstance(answer, NoSegments):
            self._send_segments(running.job.task, answer.worker)
            self._submit(running.job, running.worker)
        elif isinstance(answer, Halted):
            handle(TrialInterrupted(trial))
        else:
            self._renew(running.worker)
            handle(TrialFinished(trial, answer))

    def _result_from(self, worker: str, future: Future) -> Any:
        """Wait for the result of what was given to one worker, as long as that lives."""
        while not future.done():
            raise_if_interrupted()
            time.sleep(0.02)
            if time.monotonic() - self._looked >= _LOOK_EVERY:
                self._look_around()
            if worker not in self._alive:
                future.cancel()
                raise _WorkerGoneError
        return self._result(future)

    def _result(self, future: Future) -> Any:
        """The result of a job that has ended."""
        from distributed import CancelledError, KilledWorker
        from distributed.client import FutureCancelledError, FuturesCancelledError

        try:
            return future.result(timeout=_FETCH)
        except KilledWorker as error:
            raise _WorkerGoneError from error
        except (CancelledError, FutureCancelledError, FuturesCancelledError, TimeoutError) as error:
            raise self._gone() from error

    def _look_around(self) -> None:
        self._looked = time.monotonic()
        self._alive = dict(self._call(self.client.nthreads))
        self._admit([worker for worker in self._alive if worker not in self._admitted])

    def _admit(self, workers: list[str]) -> None:
        """Refuse workers with other versions or other code: figures of one search must be of one kind.

        Raises:
            StudyError: naming the worker and what differs.
        """
        # Asked first in words that any Python understands: a worker without our code drops what it cannot read.
        specs = self._ask(workers, importlib.util.find_spec, "ecg_study")
        for worker, spec in specs.items():
            if spec is None:
                raise EcgStudyError(
                    f"worker {worker} cannot import this project; start it in the project's folder as 'python -m "
                    f"distributed.cli.dask_worker {self._address()}', with its environment"
                )
        for worker, found in self._ask(list(specs), environment).items():
            for name, version in self._environment.items():
                if found.get(name) != version and self._wanted is not None:
                    raise EcgStudyError(
                        f"{name} was {version} when the search began and is {found.get(name)} now; what is finished "
                        "is kept: run the same command to go on"
                    )
                if found.get(name) != version:
                    raise EcgStudyError(
                        f"worker {worker}: {name} {found.get(name)} there, {version} here; start the workers from the "
                        "same commit with the same requirements.txt"
                    )
            self._admitted.add(worker)

    def _ask(self, workers: list[str], function: Any, *arguments: Any) -> dict[str, Any]:
        """What these workers answer; one that dies meanwhile does not."""
        if not workers:
            return {}
        answers = self._call(self.client.run, function, *arguments, workers=workers, on_error="return")
        return {worker: answer for worker, answer in answers.items() if not isinstance(answer, Exception)}

    def _say_lost(self, handle: EventHandler) -> None:
        for trial, running in list(self._running.items()):
            if running.worker not in self._alive:
                running.future.cancel()
                del self._running[trial]
                handle(WorkerLost(trial, f"worker {running.worker} was killed (out of memory?)"))
        if self._restarting:
            return
        if not self._alive and not self._said_waiting:
            handle(Notice(f"no worker is left at {self._address()}: waiting for one to come back"))
        elif self._alive and self._said_waiting:
            handle(Notice("workers are back: the search goes on"))
        self._said_waiting = not self._alive

    def _free_workers(self) -> list[str]:
        busy = {running.worker for running in self._running.values()} | self._restarting
        return [worker for worker in self._alive if worker in self._admitted and worker not in busy]

    def _wait_for_workers(self) -> list[str]:
        while not self._free_workers():
            raise_if_interrupted()
            time.sleep(_TICK)
            self._look_around()
        return self._free_workers()

    def _renew(self, worker: str) -> None:
        """Start a worker process anew after so many trials, beside the work of the others."""
        if self._trials_of.get(worker, 0) < _TRIALS_PER_PROCESS:
            return
        del self._trials_of[worker]
        self._restarting.add(worker)

        def restart() -> None:
            try:
                # On a cluster that is shared, the worker may be busy for others.
                if not self.client.processing([worker]).get(worker):
                    self.client.restart_workers([worker], timeout=60, raise_for_error=False)
            except Exception:  # a worker without a nanny cannot be restarted: it goes on as it is
                logging.getLogger(__name__).debug("worker %s was not restarted", worker, exc_info=True)
            finally:
                # Its process is another now; the next look around finds the new one.
                # (A new dictionary, since the main thread may be looking through the old one.)
                self._alive = {other: threads for other, threads in self._alive.items() if other != worker}
                self._looked = 0.0
                self._restarting.discard(worker)

        threading.Thread(target=restart, daemon=True).start()

    def _send_segments(self, task: TrainingTask, worker: str) -> None:
        packed = pack_segments(task.cache, [*task.split.train, *task.split.validation])
        answers = self._call(
            self.client.run, receive_segments, task.cache.key, packed, workers=[worker], on_error="return"
        )
        for answer in answers.values():
            if isinstance(answer, OSError) and answer.errno is not None:
                raise EcgStudyError(f"worker {worker} cannot keep the segments: {answer}; make room there")
            # Any other error is its death, which shows at the next look around.

    def _context(self, task: TrainingTask) -> WorkerContext:
        return WorkerContext(task.reference(), self._topic)

    def _address(self) -> str:
        return str(self.client.scheduler.address) if self.client.scheduler else "the scheduler"

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Call Dask, turning a lost connection into one line."""
        from distributed.comm import CommClosedError

        try:
            return function(*arguments, **options)
        except (CommClosedError, TimeoutError, ConnectionError) as error:
            raise self._gone() from error

    def _gone(self) -> EcgStudyError:
        return EcgStudyError(
            f"the scheduler {self._address()} is gone; what is finished is kept: "
            "start it again, and run the same command"
        )


class _WorkerGoneError(Exception):
    """The worker of a job was killed."""


def default_workers() -> int:
    """As many workers as are fastest on this machine: one a core, each with one thread, while memory lasts.

    Recurrent layers are long rows of small operations, which a second core hardly speeds up, so two trials on a core
    each do nearly twice the work (``benchmarks/speed/workers.py``). A GPU is not shared.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return 1
    return max(1, min(int(CPU_COUNT), int((MEMORY_LIMIT - _MEMORY) // _MEMORY)))


@contextmanager
def open_dask_executor(count: int | None, scheduler: str = "", threads: int | None = None) -> Iterator[DaskExecutor]:
    """Workers on this machine, or those of a scheduler that runs already.

    Args:
        count: processes on this machine; ``None`` for as many as are fastest.
        scheduler: address of a Dask scheduler whose workers are used instead.
        threads: cores a process; ``None`` to share out all.

    Raises:
        StudyError: the scheduler does not answer.
    """
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIG))
        if scheduler:
            yield DaskExecutor(stack.enter_context(_connect(scheduler)), None)
            return
        wanted = default_workers() if count is None else count
        local = LocalCluster(
            n_workers=wanted,
            memory_limit=int(max(_MEMORY, (MEMORY_LIMIT - _MEMORY) / wanted)),
            threads_per_worker=threads or max(1, CPU_COUNT // wanted),
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            preload=["ecg_study.training.executors.dask_preload"],
        )
        stack.enter_context(local)
        yield DaskExecutor(stack.enter_context(Client(local, set_as_default=False)), wanted)


def _connect(address: str) -> Client:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise EcgStudyError(
            f"--scheduler: {address} does not answer within {_CONNECT:.0f} s ({' '.join(str(error).split())[:100]}); "
            "is it running, and is the address the one it prints, such as tcp://host:8786?"
        ) from error
