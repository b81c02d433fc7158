"""Packages that a base installation does not have."""

from __future__ import annotations

from importlib.util import find_spec

from ecg_study.errors import TrainingError

STUDY_MODULES = (
    "tensorflow",
    "keras",
    "keras_tuner",
    "dask",
    "distributed",
    "cryptography",
    "sklearn",
    "pywt",
    "neurokit2",
    "sleepecg",
    "loky",
    "psutil",
    "jinja2",
    "markdown_it",
)
"""Modules of the extra ``study``."""


def require_packages() -> None:
    """Check that the packages for training and reports are installed.

    Raises:
        TrainingError: one is missing.
    """
    missing = [name for name in STUDY_MODULES if find_spec(name) is None]
    if missing:
        raise TrainingError(install_hint(missing[0]))


def install_hint(module: str) -> str:
    """Return one line on how to install a module of the extra ``study``."""
    return f'{module}: not installed; install the extra study: pip install ".[study]" in a copy of the repository'
