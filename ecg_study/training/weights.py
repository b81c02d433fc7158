"""Weights of a model with the state of its optimizer, as bytes.

They are plain NumPy arrays, not HDF5: on a full disk, HDF5 fails while it closes its file, with an error that names no
file, or ends the process. Reading them runs no code.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.errors import StateError
from ecg_study.reading import UnreadableError, parse_npz

if TYPE_CHECKING:
    import keras


def weights_path(directory: Path, trial: str) -> Path:
    """Return the path of a trial's weights."""
    return directory / f"{trial}.npz"


def copy_variables(model: keras.Model) -> list[np.ndarray]:
    """Return copies of all variables of a model and of its optimizer."""
    from keras import ops

    return [np.array(ops.convert_to_numpy(variable)) for variable in _variables(model)]


def pack_weights(values: list[np.ndarray]) -> bytes:
    """Return variables as the bytes of an ``.npz`` file."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **{f"{index:04d}": value for index, value in enumerate(values)})
    return packed.getvalue()


def load_weights(model: keras.Model, packed: bytes, *, trial: str) -> None:
    """Load the variables of ``trial`` into a model of the same configuration whose optimizer is built.

    Raises:
        StateError: the bytes are damaged or belong to another model.
    """
    try:
        saved = parse_npz(packed)
    except UnreadableError as error:
        raise StateError(f"weights of trial {trial}: damaged ({error}); restart the search") from error
    try:
        assign_variables(model, [saved[name] for name in sorted(saved)])
    except ValueError as error:
        raise StateError(f"weights of trial {trial}: they belong to another model; restart the search") from error


def assign_variables(model: keras.Model, values: list[np.ndarray]) -> None:
    """Set all variables of a model and of its optimizer, which is built.

    Raises:
        ValueError: the values do not fit; nothing was changed.
    """
    variables = _variables(model)
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise ValueError("the variables have other shapes")
    if any(value.dtype.kind not in "biuf" for value in values):
        raise ValueError("the variables are not numbers")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
