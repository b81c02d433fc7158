"""Environment of a training: versions, hash of the code and random seeds."""

from __future__ import annotations

import hashlib
import platform
import random
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from ecg_study.training.backend import backend_packages

_PACKAGES_OF_CODE = ("ecg_data", "search_spaces", "training")
"""Packages whose code determines the result of a training, with their subpackages."""


def packages() -> tuple[str, ...]:
    """Return the distributions that determine the result of a training: those of the backend first."""
    return (*backend_packages(), "keras", "keras-tuner", "numpy")


def environment() -> dict[str, str]:
    """Return the versions of all that determines the result of a trial, and the hash of this project's code."""
    return dict(_environment(packages()))


@cache
def _environment(distributions: tuple[str, ...]) -> dict[str, str]:
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
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
