"""What a process trains with: versions and code that must be the same on every worker."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import sys
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy")
_ROOMS = ("ecg_data", "search_spaces", "tuning")

_NOTICE = re.compile(rb"(I0000 |WARNING: All log messages before absl::InitializeLog)")


@cache
def environment() -> dict[str, str]:
    """Name → version of all that decides what a trial gives, this project's own code among it (as a hash)."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    root, digest = Path(__file__).parent.parent, hashlib.sha256()
    for path in sorted(path for room in _ROOMS for path in (root / room).glob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found | {"code of this project": digest.hexdigest()[:12]}


def import_tensorflow(threads: int | None = None) -> None:
    """Import TensorFlow without its start-up notices (no GPU, oneDNN is on), and pass on all else that it says.

    The notices are written straight to the process's standard error before any log level is in force.

    Args:
        threads: cores to use; ``None`` for all. Only before TensorFlow has computed anything can it be set.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several processes may share one GPU
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not _NOTICE.match(line)))
    # Each trial has a model of its own and traces it once; TensorFlow takes these for one function traced too often.
    logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.msg)
    if threads is not None:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            pass  # this process has run TensorFlow before, and keeps the threads that it began with
