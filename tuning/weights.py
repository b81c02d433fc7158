"""The weights of a trial on disk, with the state of its optimizer.

They are written as plain NumPy arrays and not as HDF5: where the disk is full, HDF5 fails while it closes its file,
with an error that names nothing or with the end of the process. Nothing in such a file can be run when it is read.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_data import StudyError
from ecg_data.files import replacing

if TYPE_CHECKING:
    import keras


def weights_path(directory: Path, trial: str) -> Path:
    """Where the weights of a trial's best epoch are kept."""
    return directory / f"{trial}.npz"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write all variables of a model and of its optimizer, whole or not at all."""
    arrays = {f"{index:04d}": np.asarray(variable.numpy()) for index, variable in enumerate(_variables(model))}
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def load_weights(model: keras.Model, path: Path) -> None:
    """Put saved variables into a model of the same configuration, whose optimizer is built.

    Raises:
        StudyError: the file is missing, damaged or of another model.
    """
    variables = _variables(model)
    try:
        with np.load(path, allow_pickle=False) as saved:
            arrays = [saved[name] for name in sorted(saved.files)]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise StudyError(f"{path}: cannot be read ({error}); give --fresh to begin the search anew") from error
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise StudyError(f"{path}: of another model; give --fresh to begin the search anew")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
