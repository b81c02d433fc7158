"""Model folder: a trained model on disk with its card and its ONNX form."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.errors import InputError, ModelError
from ecg_study.extras import install_hint
from ecg_study.files import new_directory, sha256_of, write_json, write_text
from ecg_study.models.card import CARD_FILE, MODEL_FILE, ONNX_FILE, PAGE_FILE, ModelCard, card_content, read_card
from ecg_study.models.onnx_export import check_onnx, convert_to_onnx
from ecg_study.models.runtimes import RUNTIMES, KerasRuntime, OnnxRuntime, Runtime, is_onnx_installed

if TYPE_CHECKING:
    import keras

_MAX_UNPACKED_BYTES = 500_000_000  # a hundred times the largest network of the search spaces

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
class SavedModel:
    """A Keras model with its card."""

    card: ModelCard
    model: keras.Model


def save_model(directory: str | Path, model: keras.Model, *, card: ModelCard, page: str = "") -> None:
    """Write a model folder completely or not at all.

    Loss, metrics and optimizer are not saved, which halves the file. The ONNX form is written next to the Keras model.

    Args:
        directory: Folder to create; it must not exist.
        model: Keras model to save.
        card: Metadata, written as ``card.json``.
        page: The same for readers as Markdown, written as ``CARD.md``; default: no such file.
    """
    import keras

    with new_directory(Path(directory)) as temporary:
        bare = keras.Model(model.inputs, model.outputs, name=model.name)
        bare.save(temporary / MODEL_FILE)
        (temporary / ONNX_FILE).write_bytes(convert_to_onnx(bare))
        hashes = {name: sha256_of(temporary / name) for name in (MODEL_FILE, ONNX_FILE)}
        write_json(temporary / CARD_FILE, card_content(card, hashes))
        if page:
            write_text(temporary / PAGE_FILE, page)


def open_model(directory: str | Path) -> SavedModel:
    """Open a model folder with Keras. No code from the folder runs.

    Raises:
        ModelError: See `read_card`; or the model has a layer that could run code.
    """
    folder = Path(directory)
    card = read_card(folder)
    return SavedModel(card, _open_keras(folder / MODEL_FILE, card))


def open_runtime(directory: Path, runtime: str | None = None) -> tuple[ModelCard, Runtime]:
    """Open a model folder for inference. No code from the folder runs.

    Args:
        directory: Model folder.
        runtime: ``"onnx"`` or ``"keras"``; default: ONNX Runtime if it is installed and the folder has an ONNX file.

    Raises:
        InputError: The runtime is unknown.
        ModelError: See `open_model`; or the requested runtime is not available.
    """
    if runtime not in (None, *RUNTIMES):
        raise InputError(f"runtime: {runtime!r} is unknown; use {' or '.join(RUNTIMES)}", parameters=("runtime",))
    card = read_card(directory)
    path = directory / ONNX_FILE
    if runtime == "onnx" and not is_onnx_installed():
        raise ModelError("runtime 'onnx': not installed; run pip install onnx onnxruntime", parameters=("runtime",))
    if runtime == "onnx" and not path.is_file():
        raise ModelError(f"{path}: not found; use the runtime 'keras'", parameters=("runtime",))
    if runtime == "keras" or not (is_onnx_installed() and path.is_file()):
        return card, KerasRuntime(_open_keras(directory / MODEL_FILE, card))
    content = path.read_bytes()
    check_onnx(content, path)
    opened = OnnxRuntime(content, path)
    _check_shape(path, opened.shape, card)
    return card, opened


def onnx_runtime(model: keras.Model) -> OnnxRuntime:
    """Create an ONNX Runtime from an in-memory Keras model."""
    return OnnxRuntime(convert_to_onnx(model), Path(model.name))


def _open_keras(path: Path, card: ModelCard) -> keras.Model:
    _refuse_foreign_classes(path)
    try:
        import keras
    except ModuleNotFoundError as error:
        raise ModelError(install_hint("keras")) from error

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, HDF5 and zip raise many classes for a damaged file
        raise ModelError(f"{path}: cannot be opened ({' '.join(str(error).split())[:200]})") from error
    _check_shape(path, tuple(model.input_shape[1:]), card)
    _check_shape(path, tuple(model.output_shape[1:]), card)
    return model


def _check_shape(path: Path, shape: tuple[Any, ...], card: ModelCard) -> None:
    if shape != (card.segment_samples, 1):
        raise ModelError(f"{path}: reads {shape[0]} samples, but its card has segment_samples = {card.segment_samples}")


def _refuse_foreign_classes(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [item.file_size for item in archive.infolist()]
            if sum(sizes) > _MAX_UNPACKED_BYTES:
                raise ValueError(f"unpacks to {sum(sizes):,} bytes")
            names = _class_names(json.loads(archive.read("config.json")))
    # zipfile raises the last two for encrypted members and unknown compression, KeyError for a missing member.
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"{path}: not a Keras model ({' '.join(str(error).split())})") from error
    foreign = sorted(names - _ALLOWED)
    if foreign:
        raise ModelError(f"{path}: has {', '.join(foreign)}, which no model of this project uses; not opened")


def _class_names(value: Any) -> set[str]:
    """Return all class names in the configuration of a model; others with their package."""
    if isinstance(value, list):
        return set().union(*(_class_names(item) for item in value))
    if not isinstance(value, dict):
        return set()
    names = set().union(*(_class_names(item) for item in value.values()))
    if "class_name" in value:
        module = value.get("module") or "keras"
        name = str(value["class_name"])
        names.add(name if module == "keras" or str(module).startswith("keras.") else f"{module}.{name}")
    return names
