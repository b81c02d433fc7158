"""Executor that trains in the worker processes of a Dask cluster.

The main process keeps everything that must last. A worker receives a job and returns its result, so a worker may die
at any time, and another worker repeats the job.
"""

from __future__ import annotations

import importlib.util
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future

from ecg_study.ecg_data.segments.transfer import pack_segments
from ecg_study.errors import TrainingError
from ecg_study.progress import raise_if_interrupted
from ecg_study.training.backend import backend_name
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

_TICK_SECONDS = 0.25  # between two checks for events and Ctrl-C
_CHECK_WORKERS_SECONDS = 1.0  # between two checks of which workers are alive
_FETCH_SECONDS = 300.0  # time for a result to arrive: weights are megabytes at most, but networks may be slow

_TRIALS_PER_PROCESS = 15
"""Trials after which a worker process is restarted, which takes about 6 s: TensorFlow keeps 6 to 13 MB of even a tiny
trial."""


@dataclass
class _Running:
    job: Job
    future: Future
    worker: str


class DaskExecutor:
    """`Executor` in the processes of a Dask cluster.

    Args:
        client: client of the scheduler.
        wanted: number of workers of a local cluster; ``None`` for a cluster whose workers join and leave.
    """

    def __init__(self, client: Client, wanted: int | None) -> None:
        """Admit the workers of the cluster."""
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
        self._refused: dict[str, str] = {}  # worker → why
        self._notices: list[str] = []
        self._checked = 0.0
        self._reported_waiting = False
        client.subscribe_topic(self._topic, lambda event: self._receive_epoch(event[1]))
        self._check_workers()

    @property
    def count(self) -> int:
        """See `Executor`."""
        return self._wanted if self._wanted is not None else max(1, len(self._usable()))

    def free(self) -> int:
        """See `Executor`."""
        return len(self._free_workers())

    def start(self, job: Job) -> None:
        """See `Executor`. The job is bound to one worker, so no two jobs share a process."""
        worker = self._free_workers()[0]
        self._trials_of[worker] = self._trials_of.get(worker, 0) + 1
        self._submit(job, worker)

    def wait(self, handle: EventHandler) -> None:
        """See `Executor`.

        Raises:
            TrainingError: the scheduler is gone, or all workers that are left have other versions.
            OSError: a worker could not read or write its files.
        """
        try:
            arrived = self._arrived.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            pass
        else:
            if isinstance(arrived, EpochFinished):
                if arrived.trial in self._running:
                    handle(arrived)
            else:
                self._take(arrived, handle)
        raise_if_interrupted()
        if time.monotonic() - self._checked >= _CHECK_WORKERS_SECONDS:
            self._check_workers()
            self._report_lost(handle)

    def cancel(self) -> None:
        """See `Executor`."""
        for running in self._running.values():
            running.future.cancel()
        self._running.clear()

    def measure(
        self, task: TrainingTask, configurations: list[dict[str, Any]], *, on_measured: Callable[[int], None]
    ) -> list[Speed]:
        """See `Executor`."""
        context = self._context(task)
        found: list[Speed | None] = [None] * len(configurations)
        left = list(enumerate(configurations))
        while left:
            workers = self._wait_for_workers()
            batch, left = left[: len(workers)], left[len(workers) :]
            futures = [
                self.client.submit(measure_remotely, context, configuration, workers=[worker], pure=False)
                for worker, (_, configuration) in zip(workers, batch, strict=False)
            ]
            for (place, configuration), worker, future in zip(batch, workers, futures, strict=False):
                try:
                    answer = self._result_from(worker, future)
                except _WorkerGoneError:
                    answer = Speed(failure="its worker was killed (out of memory?)")
                if isinstance(answer, NoSegments):
                    self._send_segments(task, answer.worker)
                    left.append((place, configuration))
                else:
                    found[place] = answer
                    on_measured(len(found) - found.count(None))
        return [speed for speed in found if speed is not None]

    def _receive_epoch(self, event: dict[str, Any]) -> None:
        """Queue the epoch that a worker reports; Dask adds the worker's address."""
        self._arrived.put(EpochFinished(event["trial"], event["epoch"], event["metrics"]))

    def _submit(self, job: Job, worker: str) -> None:
        future = self._call(
            self.client.submit,
            train_remotely,
            self._context(job.task),
            RemoteJob(
                job.spec,
                job.options,
                job.seed,
                job.initial_weights,
                job.seconds_left,
                None if self._wanted is None else job.state_file,
            ),
            key=f"{job.task.name}-{job.spec.id}-{uuid.uuid4().hex}",
            workers=[worker],
            pure=False,
        )
        self._running[job.spec.id] = _Running(job, future, worker)
        future.add_done_callback(self._arrived.put)

    def _take(self, future: Future, handle: EventHandler) -> None:
        """Report the result of a job."""
        found = [trial for trial, running in self._running.items() if running.future.key == future.key]
        if not found:
            return  # cancelled
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
        """Wait for the result of a job of one worker, while this worker is alive."""
        while not future.done():
            raise_if_interrupted()
            time.sleep(0.02)
            if time.monotonic() - self._checked >= _CHECK_WORKERS_SECONDS:
                self._check_workers()
            if worker not in self._alive:
                future.cancel()
                raise _WorkerGoneError
        return self._result(future)

    def _result(self, future: Future) -> Any:
        """Return the result of a finished job."""
        from distributed import CancelledError, KilledWorker
        from distributed.client import FutureCancelledError, FuturesCancelledError

        try:
            return future.result(timeout=_FETCH_SECONDS)
        except KilledWorker as error:
            raise _WorkerGoneError from error
        except (CancelledError, FutureCancelledError, FuturesCancelledError, TimeoutError) as error:
            raise self._gone() from error

    def _check_workers(self) -> None:
        self._checked = time.monotonic()
        self._alive = dict(self._call(self.client.nthreads))
        # A worker may come back at the same address with other code.
        self._admitted = {worker for worker in self._admitted if worker in self._alive}
        self._refused = {worker: why for worker, why in self._refused.items() if worker in self._alive}
        self._admit([worker for worker in self._alive if worker not in self._admitted | self._refused.keys()])
        if self._refused and not self._usable() and not self._restarting:
            raise TrainingError(next(iter(self._refused.values())))

    def _usable(self) -> list[str]:
        return [worker for worker in self._alive if worker in self._admitted]

    def _refuse(self, worker: str, problem: str, *, advice: str) -> None:
        self._refused[worker] = f"{problem}; {advice}"
        said = problem if self._wanted is not None else self._refused[worker]  # local workers start by themselves
        self._notices.append(f"{said}; the search continues on the other workers")

    def _admit(self, workers: list[str]) -> None:
        """Refuse workers with other versions or other code: all scores of a search must be comparable."""
        # The first call uses the standard library only: a worker without our code drops calls that it cannot unpickle.
        specs = self._ask(workers, importlib.util.find_spec, "ecg_study")
        for worker, spec in specs.items():
            if spec is None:
                self._refuse(
                    worker,
                    f"worker {worker}: cannot import ecg_study",
                    advice="install it there, or start the worker in the project's folder with "
                    f"'python -m distributed.cli.dask_worker {self._address()}'",
                )
        importing = [worker for worker, spec in specs.items() if spec is not None]
        for worker, name in self._ask(importing, backend_name).items():
            if name != backend_name():
                self._refuse(
                    worker,
                    f"worker {worker}: uses the backend {name} of Keras, not {backend_name()}",
                    advice=f"start it with KERAS_BACKEND={backend_name()}",
                )
        same_backend = [worker for worker in importing if worker not in self._refused]
        for worker, found in self._ask(same_backend, environment).items():
            differing = [name for name, version in self._environment.items() if found.get(name) != version]
            if not differing:
                self._admitted.add(worker)
                continue
            name, here, there = differing[0], self._environment[differing[0]], found.get(differing[0])
            if self._wanted is not None:
                problem = f"{name}: {here} when the search began, {there} now"
                advice = "finished trials are kept: run the same command to resume"
            else:
                problem = f"worker {worker}: {name} {there} there, {here} here"
                advice = "start the workers with the same version of this project and the same requirements.txt"
            self._refuse(worker, problem, advice=advice)

    def _ask(self, workers: list[str], function: Any, *arguments: Any) -> dict[str, Any]:
        """Return the answer of each worker; a worker that dies meanwhile is left out."""
        if not workers:
            return {}
        answers = self._call(self.client.run, function, *arguments, workers=workers, on_error="return")
        return {worker: answer for worker, answer in answers.items() if not isinstance(answer, Exception)}

    def _report_lost(self, handle: EventHandler) -> None:
        while self._notices:
            handle(Notice(self._notices.pop(0)))
        for trial, running in list(self._running.items()):
            if running.worker not in self._alive:
                running.future.cancel()
                del self._running[trial]
                handle(WorkerLost(trial, f"worker {running.worker} was killed (out of memory?)"))
        if self._restarting:
            return
        if not self._alive and not self._reported_waiting:
            handle(Notice(f"no worker is left at {self._address()}: waiting for one"))
        elif self._alive and self._reported_waiting:
            handle(Notice("workers are back: the search continues"))
        self._reported_waiting = not self._alive

    def _free_workers(self) -> list[str]:
        busy = {running.worker for running in self._running.values()} | self._restarting
        return [worker for worker in self._usable() if worker not in busy]

    def _wait_for_workers(self) -> list[str]:
        while not self._free_workers():
            raise_if_interrupted()
            time.sleep(_TICK_SECONDS)
            self._check_workers()
        return self._free_workers()

    def _renew(self, worker: str) -> None:
        """Restart a worker process after a number of trials, while the others work."""
        if self._trials_of.get(worker, 0) < _TRIALS_PER_PROCESS:
            return
        del self._trials_of[worker]
        self._restarting.add(worker)

        def restart() -> None:
            try:
                # On a shared cluster, the worker may be busy with jobs of others.
                if not self.client.processing([worker]).get(worker):
                    self.client.restart_workers([worker], timeout=60, raise_for_error=False)
            except Exception:  # a worker without a nanny cannot be restarted and continues
                logging.getLogger(__name__).debug("worker %s was not restarted", worker, exc_info=True)
            finally:
                # The next check finds the new process.
                # A new dictionary, because the main thread may be iterating over the old one.
                self._alive = {other: threads for other, threads in self._alive.items() if other != worker}
                self._checked = 0.0
                self._restarting.discard(worker)

        threading.Thread(target=restart, daemon=True).start()

    def _send_segments(self, task: TrainingTask, worker: str) -> None:
        packed = pack_segments(task.cache, [*task.split.train, *task.split.validation])
        answers = self._call(
            self.client.run, receive_segments, task.cache.key, packed, workers=[worker], on_error="return"
        )
        for answer in answers.values():
            if isinstance(answer, OSError) and answer.errno is not None:
                raise TrainingError(f"worker {worker}: cannot store the segments: {answer}; free some disk space there")
            # Any other error means that the worker died, which the next check finds.

    def _context(self, task: TrainingTask) -> WorkerContext:
        return WorkerContext(task.reference(), self._topic)

    def _address(self) -> str:
        return str(self.client.scheduler.address) if self.client.scheduler else "the scheduler"

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Call Dask; raise a lost connection as an error of one line."""
        from distributed.comm import CommClosedError

        try:
            return function(*arguments, **options)
        except (CommClosedError, TimeoutError, ConnectionError) as error:
            raise self._gone() from error

    def _gone(self) -> TrainingError:
        return TrainingError(
            f"scheduler {self._address()}: not reachable any more; finished trials are kept: "
            "start it again and run the same command"
        )


class _WorkerGoneError(Exception):
    """The worker of a job was killed."""
