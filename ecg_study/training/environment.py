"""Environment of a training: versions, hash of the code, TensorFlow setup and random seeds."""

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
"""Packages whose code determines the result of a training, with their subpackages."""

_NOTICE = re.compile(rb"(I0000 |WARNING: All log messages before absl::InitializeLog)")


@cache
def environment() -> dict[str, str]:
    """Return the versions of all that determines the result of a trial, and the hash of this project's code."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found | {"code of this project": code_hash(package_folders())[:12]}


def package_folders() -> dict[str, Path]:
    """Return the folder of each hashed package by its name."""
    # From the import system: in a checkout, two of these packages are links to the top level.
    return {name: Path(str(files(f"ecg_study.{name}"))) for name in _PACKAGES_OF_CODE}


def code_hash(folders: Mapping[str, Path]) -> str:
    """Return the SHA-256 of all Python files of packages and their subfolders, in an order of its own.

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
    """Import TensorFlow without its start-up notices (no GPU, oneDNN is on); other messages are passed on.

    TensorFlow writes the notices to the standard error of the process before any log level applies.

    Args:
        threads: cores to use (default: all). It has no effect after TensorFlow has computed something.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several processes may share one GPU
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            import tensorflow as tf
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            captured.seek(0)
            os.write(2, b"".join(line for line in captured if not _NOTICE.match(line)))
    # Each trial traces its own model once. TensorFlow mistakes them for one function that is traced too often.
    logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.msg)
    if threads is not None:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            pass  # TensorFlow has run in this process and keeps its threads


def seed_everything(seed: int) -> None:
    """Seed weights, dropout and shuffling of the next model.

    Keras draws the seed of each layer from Python's shared random state. In a worker process, other threads, such as
    those of the network, draw from it between two layers. Keras therefore gets its own state, which gives the seeds
    that the shared state would give without these threads.
    """
    import keras
    from keras.src.random import seed_generator  # Keras has no public way to pass a state

    keras.utils.set_random_seed(seed)
    seed_generator.python_random = random.Random(seed)
