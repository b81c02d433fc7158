"""The only place that knows every kind of executor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ecg_study.training.executors.in_process import ThisProcess

if TYPE_CHECKING:
    from ecg_study.training.executors.dask_cluster import Cluster


@contextmanager
def open_workers(count: int | None, scheduler: str = "") -> Iterator[ThisProcess | Cluster]:
    """Workers for the time of the block.

    Args:
        count: processes on this machine; 0 for this very process, ``None`` for as many as are fastest.
        scheduler: address of a Dask scheduler whose workers are used instead.

    Raises:
        StudyError: the scheduler does not answer.
    """
    if count == 0 and not scheduler:
        yield ThisProcess()
        return
    from ecg_study.training.executors.dask_cluster import open_cluster

    with open_cluster(count, scheduler) as cluster:
        yield cluster
