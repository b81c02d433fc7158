"""The only place that knows every kind of executor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ecg_study.training.executors.in_process import InProcessExecutor

if TYPE_CHECKING:
    from ecg_study.training.executors.dask_cluster import DaskExecutor
    from ecg_study.training.executors.tls import TlsFiles


@contextmanager
def open_executor(
    count: int | None, scheduler: str = "", *, tls: TlsFiles | None = None
) -> Iterator[InProcessExecutor | DaskExecutor]:
    """Open an executor for the duration of the block.

    Args:
        count: number of worker processes on this machine; 0 for the calling process, ``None`` for the fastest number.
        scheduler: address of a Dask scheduler whose workers are used instead.
        tls: certificates for a scheduler that requires them.

    Raises:
        TrainingError: the scheduler does not answer, or the certificates cannot be used.
    """
    if count == 0 and not scheduler:
        yield InProcessExecutor()
        return
    from ecg_study.training.executors.dask_connection import open_dask_executor

    with open_dask_executor(count, scheduler, tls=tls) as cluster:
        yield cluster
