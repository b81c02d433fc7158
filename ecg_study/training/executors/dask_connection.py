"""Start a Dask cluster on this machine, or connect to an existing scheduler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT

from ecg_study.errors import TrainingError
from ecg_study.training.backend import has_gpu
from ecg_study.training.executors.dask_cluster import DaskExecutor
from ecg_study.training.executors.tls import TlsFiles, check_scheduler, temporary_security

_CONNECT_SECONDS = 15.0  # time for a scheduler to answer
_PROCESS_BYTES = 1.5e9  # per process, main or worker: TensorFlow's 0.7 GB, and a network with its batches

_CONFIG = {
    # Dask samples every worker's stack a hundred times per second, which takes the interpreter from the training.
    "distributed.worker.profile.enabled": False,
    # Weights travel with jobs; those of the largest networks of the presets are of this size.
    "distributed.admin.large-graph-warning-threshold": "100MB",
    # A worker that nears the machine's limit is killed, and its trial is repeated or fails: better than losing the
    # main process. Nothing is spilled or paused, because TensorFlow holds a trial's memory, not Dask.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # No pages about the work on ports that every user of the machine can read.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


def default_workers() -> int:
    """Return the fastest number of workers on this machine: one per core with one thread each, if memory allows.

    Recurrent layers are long sequences of small operations, which a second core hardly speeds up. Two trials on one
    core each do nearly twice the work (``benchmarks/speed/workers.py``). A GPU is not shared.
    """
    if has_gpu():
        return 1
    return max(1, min(int(CPU_COUNT), int((MEMORY_LIMIT - _PROCESS_BYTES) // _PROCESS_BYTES)))


@contextmanager
def open_dask_executor(
    count: int | None, scheduler: str = "", *, tls: TlsFiles | None = None, threads: int | None = None
) -> Iterator[DaskExecutor]:
    """Open an executor on a local cluster or on the workers of a scheduler, for the duration of the block.

    A local cluster accepts only connections with a certificate that is made for it.

    Args:
        count: number of local worker processes; ``None`` for the fastest number.
        scheduler: address of a Dask scheduler whose workers are used instead.
        tls: certificates for a scheduler that requires them.
        threads: cores per local process; ``None`` divides all cores.

    Raises:
        TrainingError: the scheduler does not answer, or the certificates cannot be used.
    """
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIG))
        if scheduler:
            yield DaskExecutor(stack.enter_context(_connect(scheduler, tls)), None)
            return
        wanted = default_workers() if count is None else count
        local = LocalCluster(
            n_workers=wanted,
            memory_limit=int(max(_PROCESS_BYTES, (MEMORY_LIMIT - _PROCESS_BYTES) / wanted)),
            threads_per_worker=threads or max(1, CPU_COUNT // wanted),
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            security=temporary_security(),
            preload=["ecg_study.training.executors.dask_preload"],
        )
        stack.enter_context(local)
        yield DaskExecutor(stack.enter_context(Client(local, set_as_default=False)), wanted)


def _connect(address: str, tls: TlsFiles | None) -> Client:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    check_scheduler(address, tls)
    security = None if tls is None else tls.as_security()
    try:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False, security=security)
    except (OSError, TimeoutError, ValueError) as error:
        raise TrainingError(
            f"scheduler: {address} does not answer within {_CONNECT_SECONDS:.0f} s "
            f"({' '.join(str(error).split())[:100]}); check that it runs, and that the address is the one it prints, "
            "such as tcp://host:8786",
            parameters=("scheduler",),
        ) from error
