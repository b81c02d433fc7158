"""Start-up of the worker processes of a local cluster (Dask's ``preload``)."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:  # noqa: ARG001  # Dask's signature
    """Ignore Ctrl-C: a terminal sends it to all processes, and the main process stops its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
