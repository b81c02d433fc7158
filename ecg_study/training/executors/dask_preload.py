"""Read by the worker processes of a cluster on this machine when they start (Dask's ``preload``)."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:  # noqa: ARG001  # Dask's signature
    """Leave Ctrl-C to the main process: a terminal sends it to all, and the main one ends its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
