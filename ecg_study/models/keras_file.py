"""Check of a Keras file before Keras opens it, and its weights.

Keras gets the checked configuration, and the weights are set from arrays that were read here. It never opens the file.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.errors import ModelError, one_line
from ecg_study.extras import import_keras, install_hint
from ecg_study.formatting import printable
from ecg_study.models.keras_layers import KerasNetwork, LayerWeights, read_network
from ecg_study.models.network_size import BYTES_PER_VALUE, MAX_MODEL_BYTES, NetworkError
from ecg_study.reading import parse_json

if TYPE_CHECKING:
    import h5py
    import keras

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MEMBERS = {_CONFIG: 5_000_000, _METADATA: 100_000, _WEIGHTS: MAX_MODEL_BYTES}
"""Members that Keras writes, and the most bytes of each. The configuration of a pretrained model has 12 kB."""

_END = struct.Struct("<4s4H2LH")
"""End of a zip file without a comment: mark, disks, entries, size and place of the directory, length of a comment."""

_MAX_DIRECTORY_BYTES = 1_000
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # bit of the flags of a member

# These are the classes that zipfile raises for damaged and for unknown files.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, LookupError, ValueError, RuntimeError)

_ALLOWED = frozenset(
    {
        "DTypePolicy",
        "Functional",
        "InputLayer",
        "__keras_tensor__",
        *("Bidirectional", "Conv1D", "Dense", "Dropout", "GRU", "LSTM", "LayerNormalization", "Reshape"),
        *("Add", "Divide", "Mean", "Multiply", "Sqrt", "Subtract"),
        *("Constant", "GlorotUniform", "Ones", "Orthogonal", "Zeros"),
    }
)
"""Keras classes that a model may have. A file with any other class is refused before Keras opens it: a lambda layer, or
a layer that imports a module, would run code from the file."""


@dataclass(frozen=True)
class CheckedKeras:
    """A Keras model that has been checked.

    Attributes:
        config: Configuration, for ``keras.saving.deserialize_keras_object``.
        network: What the configuration says about the model.
        weights: Weights of each layer, by its name, in the order of ``set_weights``.
    """

    config: dict[str, Any]
    network: KerasNetwork
    weights: dict[str, list[np.ndarray]]


def check_keras(content: bytes, path: Path) -> CheckedKeras:
    """Read a Keras file. Refuse one with anything that `save_model` does not write, or that is too large.

    Args:
        content: Content of the file.
        path: Path of the file, for messages.

    Raises:
        ModelError: The file is damaged, or has other members or layers, or weights of other shapes than its layers. Or
            Keras is not installed.
    """
    try:
        members = _read_members(content)
        config, _ = (_parse(members[name], name) for name in (_CONFIG, _METADATA))
    except _DAMAGED as error:
        raise ModelError(f"{path}: not a Keras model ({printable(one_line(error, limit=200))})") from error
    foreign = sorted(_class_names(config) - _ALLOWED)
    if foreign:
        listed = ", ".join(foreign[:5])
        raise ModelError(f"{path}: has {printable(listed[:200])}, which no model of this project uses; not opened")
    try:
        network = read_network(config)
        weights = _read_weights(members[_WEIGHTS], network.weights)
    except NetworkError as error:
        raise ModelError(f"{path}: {printable(one_line(error, limit=200))}; not opened") from error
    except ModuleNotFoundError as error:
        raise ModelError(install_hint("keras")) from error
    return CheckedKeras(config, network, weights)


def open_keras(checked: CheckedKeras, path: Path) -> keras.Model:
    """Build a Keras model from a checked file.

    Raises:
        ModelError: Keras or its backend is not installed or is unknown, or Keras refuses the model.
    """
    try:
        keras = import_keras()
    except ModuleNotFoundError as error:  # of Keras, or of its backend
        raise ModelError(install_hint((error.name or "keras").partition(".")[0])) from error
    except ValueError as error:
        raise ModelError(f"KERAS_BACKEND: {printable(one_line(error, limit=200))}") from error

    try:
        model = keras.saving.deserialize_keras_object({**checked.config, "compile_config": None}, safe_mode=True)
        for name, arrays in checked.weights.items():
            model.get_layer(name).set_weights(arrays)
    except Exception as error:  # Keras and its backends raise many classes
        raise ModelError(f"{path}: cannot be opened ({one_line(error, limit=200)})") from error
    if model.count_params() != sum(array.size for arrays in checked.weights.values() for array in arrays):
        raise ModelError(f"{path}: has layers without weights")
    return model


def _read_members(content: bytes) -> dict[str, bytes]:
    """Return the members of a Keras file by name. No more is read than a member may have, whatever its header says."""
    _check_directory(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = archive.infolist()
        if sorted(item.filename for item in found) != sorted(_MEMBERS):
            listed = ", ".join(item.filename for item in found)
            raise ValueError(f"has {listed[:200] or 'no members'}, not {', '.join(_MEMBERS)}")
        members = {}
        for item in found:
            largest = _MEMBERS[item.filename]
            if item.flag_bits & _ENCRYPTED or item.compress_type not in _COMPRESSION:
                raise ValueError(f"{item.filename} is encrypted, or compressed in a way that Keras does not use")
            with archive.open(item) as member:
                members[item.filename] = member.read(largest + 1)
            if max(item.file_size, len(members[item.filename])) > largest:
                raise ValueError(f"{item.filename} has more than {largest:,} bytes")
        return members


def _parse(content: bytes, name: str) -> Any:
    try:
        return parse_json(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not UTF-8 text") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_directory(content: bytes) -> None:
    """Refuse a zip file whose directory is not that of three members, before zipfile reads all its entries."""
    start = len(content) - _END.size
    if start < 0:
        raise ValueError("it is too short")
    mark, *_, entries, size, _, comment = _END.unpack_from(content, start)
    if mark != b"PK\5\6" or comment or content[max(0, start - 20) : start].startswith(b"PK\6\7"):
        raise ValueError("it does not end like a zip file that Keras writes")
    if entries != len(_MEMBERS) or size > _MAX_DIRECTORY_BYTES:
        raise ValueError(f"has {entries} members, not {len(_MEMBERS)}")


def _class_names(config: Any) -> set[str]:
    """Return all class names in the configuration of a model; others with their package."""
    names, waiting = set[str](), [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            if "class_name" in value:
                module = value.get("module") or "keras"
                name = str(value["class_name"])
                names.add(name if module == "keras" or str(module).startswith("keras.") else f"{module}.{name}")
    return names


def _read_weights(content: bytes, layers: list[LayerWeights]) -> dict[str, list[np.ndarray]]:
    """Read the weights of layers from an HDF5 file.

    Raises:
        NetworkError: Weights are missing, or are stored in another way than Keras stores them.
    """
    import h5py

    wanted = sum(len(layer.groups) * sum(map(_n_bytes, layer.shapes)) for layer in layers)
    if wanted > len(content):
        raise NetworkError(f"{_WEIGHTS} has {len(content):,} bytes, fewer than the {wanted:,} of its layers")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return {
                layer.layer: [
                    _read_dataset(file, f"{group}/{number}", shape)
                    for group in layer.groups
                    for number, shape in enumerate(layer.shapes)
                ]
                for layer in layers
            }
    except NetworkError:
        raise
    except Exception as error:  # HDF5 raises many classes for a damaged file
        raise NetworkError(f"{_WEIGHTS} cannot be read ({one_line(error, limit=200)})") from error


def _n_bytes(shape: tuple[int, ...]) -> int:
    return BYTES_PER_VALUE * int(np.prod(shape, dtype=object))


def _read_dataset(file: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a dataset of the file. Nothing is read from other files, and nothing is unpacked."""
    import h5py

    item: Any = file
    for part in name.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if type(link) is not h5py.HardLink:
            raise NetworkError(f"{_WEIGHTS} lacks {name}" if link is None else f"{_WEIGHTS} has a link at {name}")
        item = item[part]
    if not isinstance(item, h5py.Dataset) or item.shape != shape or item.dtype != np.dtype("<f4"):
        found = f"{item.dtype} of shape {item.shape}" if isinstance(item, h5py.Dataset) else "a group"
        raise NetworkError(f"{_WEIGHTS} has {found} at {name}, not float32 of shape {shape}")
    stored = item.id.get_create_plist()
    # Contiguous data takes exactly its size, so reading allocates no more than the file has.
    plain = stored.get_layout() == h5py.h5d.CONTIGUOUS and not stored.get_nfilters() and not item.external
    if not plain or item.id.get_storage_size() != _n_bytes(shape):
        raise NetworkError(f"{_WEIGHTS} has compressed, missing or distant data at {name}")
    weights = np.empty(shape, np.float32)
    item.read_direct(weights)
    return weights
