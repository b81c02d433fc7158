"""What a process trains with: versions and code that must be the same on every worker."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import random
import re
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy")

_PACKAGES_OF_CODE = ("ecg_data", "search_spaces", "training")
"""The packages whose code decides what a training gives, with all that they contain."""

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
    return found | {"code of this project": code_hash(package_folders())[:12]}


def package_folders() -> dict[str, Path]:
    """Return the folder of each package whose code decides what a training gives, by the package's name."""
    # Asked of the import system: in a checkout, two of these packages are links to the top level.
    return {name: Path(str(files(f"ecg_study.{name}"))) for name in _PACKAGES_OF_CODE}


def code_hash(folders: Mapping[str, Path]) -> str:
    """Return the SHA-256 of all Python files of packages, in subfolders too, whatever the order of the file system.

    Args:
        folders: folder of each package by its name.
    """
    digest = hashlib.sha256()
    for name, folder in sorted(folders.items()):
        for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
            place = f"{name}/{path.relative_to(folder).as_posix()}"
            digest.update(place.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


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


def seed_everything(seed: int) -> None:
    """Seed weights, dropout and shuffling of the next model.

    Keras gives each layer a seed from Python's shared random state. In a worker process other threads, such as those
    of the network, draw from that state too, now and then between two layers; so Keras gets a state of its own here,
    which gives the same seeds as the shared one would give undisturbed.
    """
    import keras
    from keras.src.random import seed_generator  # keras has no public place to hand in a state

    keras.utils.set_random_seed(seed)
    seed_generator.python_random = random.Random(seed)
