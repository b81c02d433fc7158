"""Packages that a base installation does not have, and the backend of Keras."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ecg_study.errors import SettingsError, TrainingError

BACKENDS = ("tensorflow", "torch", "jax")
"""Backends of Keras that can train, and the modules that they need."""

TRAINING_MODULES = (
    "keras",
    "keras_tuner",
    "six",
    "dask",
    "distributed",
    "cryptography",
    "sklearn",
    "pywt",
    "neurokit2",
    "sleepecg",
    "loky",
    "psutil",
    "threadpoolctl",
    "numba",
    "jinja2",
    "markdown_it",
)
"""Modules of the extra ``training``; the extra ``study`` adds TensorFlow."""


def backend_name() -> str:
    """Return the backend of Keras, without importing Keras: ``tensorflow``, ``torch`` or ``jax``.

    Keras takes it from the environment variable ``KERAS_BACKEND``, then from its own ``keras.json``, and is fixed to it
    once it is imported.

    Raises:
        SettingsError: the backend cannot train, or Keras does not have it.
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        name = str(keras.config.backend())
    else:
        name = os.environ.get("KERAS_BACKEND") or _configured_backend()
    if name not in BACKENDS:
        allowed = f"{', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}"
        raise SettingsError("KERAS_BACKEND", f"{name!r} is not a backend that can train; use {allowed}", value=name)
    return name


def _configured_backend() -> str:
    """Return the backend in the configuration file of Keras, which is its default."""
    # As keras.src.backend.config finds it: a home that cannot be written is replaced.
    home = Path.home()
    base = home if os.access(home, os.W_OK) else Path("/tmp")
    path = Path(os.environ.get("KERAS_HOME") or base / ".keras") / "keras.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}  # as Keras does
    return str(content.get("backend", BACKENDS[0])) if isinstance(content, dict) else BACKENDS[0]


def import_keras() -> Any:
    """Import Keras, and return it. Two faults of Keras 3.15 are corrected for other backends.

    With torch, layer normalization over another axis than the last one fails: Keras passes it to a function of torch
    that normalizes the last axes only. With torch and JAX, Keras imports TensorFlow too if it is installed.

    References:
        Keras, pull request 23510, which corrects the first fault in a later version.
    """
    keras = import_module("keras")
    if keras.config.backend() != BACKENDS[0]:
        import_module("keras.src.utils.module_utils").tensorflow._available = False
    nn: Any = import_module("keras.src.ops.nn")
    fused = getattr(nn, "is_continuous_axis", None)
    if keras.config.backend() == "torch" and fused is not None:
        nn.is_continuous_axis = _are_last_axes
    return keras


def _are_last_axes(axis: int | Sequence[int]) -> bool:
    """Return whether axes are the last ones of an array of any dimension."""
    axes = [axis] if isinstance(axis, int) else sorted(axis)
    return axes == list(range(-len(axes), 0))


def require_packages() -> None:
    """Check that the packages for training and reports, and the backend of Keras, are installed.

    Raises:
        SettingsError: the backend is unknown.
        TrainingError: a package is missing.
    """
    missing = [name for name in (backend_name(), *TRAINING_MODULES) if find_spec(name) is None]
    if missing:
        raise TrainingError(install_hint(missing[0]))


def install_hint(module: str) -> str:
    """Return one line on how to install a module of the extras ``study`` and ``training``, or a backend."""
    if module in BACKENDS[1:]:
        return f"{module}: not installed, but it is the backend of Keras (KERAS_BACKEND); pip install {module}"
    extra = "training" if backend_name() != BACKENDS[0] else "study"
    hint = f'{module}: not installed; install the extra {extra}: pip install ".[{extra}]" in a copy of the repository'
    return f"{hint}, or set KERAS_BACKEND to torch or jax" if module == BACKENDS[0] else hint
