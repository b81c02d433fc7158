"""The weights of a trial with the state of its optimizer, as bytes that travel and as files.

They are plain NumPy arrays and not HDF5: where the disk is full, HDF5 fails while it closes its file, with an error
that names nothing or with the end of the process. Nothing in them can be run when they are read.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.errors import EcgStudyError

if TYPE_CHECKING:
    import keras


def weights_path(directory: Path, trial: str) -> Path:
    """Where the weights of a trial's best epoch are kept."""
    return directory / f"{trial}.npz"


def copy_variables(model: keras.Model) -> list[np.ndarray]:
    """The present values of all variables of a model and of its optimizer."""
    return [np.array(variable.numpy()) for variable in _variables(model)]


def pack_weights(values: list[np.ndarray]) -> bytes:
    """Variables as the bytes of an ``.npz`` file."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **{f"{index:04d}": value for index, value in enumerate(values)})
    return packed.getvalue()


def load_weights(model: keras.Model, packed: bytes, trial: str) -> None:
    """Put the variables of ``trial`` into a model of the same configuration, whose optimizer is built.

    Raises:
        StudyError: the bytes are damaged or of another model.
    """
    variables = _variables(model)
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as saved:
            arrays = [saved[name] for name in sorted(saved.files)]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise EcgStudyError(
            f"the weights of trial {trial} are damaged ({error}); give --fresh to begin the search anew"
        ) from error
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise EcgStudyError(f"the weights of trial {trial} are of another model; give --fresh to begin the search anew")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
