"""Bundles: a folder with a trained model and its card, all that is needed to use it again."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.errors import EcgStudyError
from ecg_study.files import new_directory, sha256_of, write_json, write_text
from ecg_study.models.card import CARD_FILE, MODEL_FILE, ONNX_FILE, PAGE_FILE, ModelCard, card_content, read_card
from ecg_study.models.onnx_export import check_onnx, convert_to_onnx
from ecg_study.models.runtimes import ENGINES, KerasRuntime, OnnxRuntime, Runtime, is_onnx_installed

if TYPE_CHECKING:
    import keras

_LARGEST = 500_000_000  # bytes unpacked: a hundred times the largest network of the spaces

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
"""What a model of ours is made of. Anything else in a bundle is refused before it is opened: a lambda layer or a layer
that loads a program from elsewhere would run code that came with the file."""


@dataclass(frozen=True)
class SavedModel:
    """A Keras model with its card."""

    card: ModelCard
    model: keras.Model


def save_model(directory: Path, model: keras.Model, card: ModelCard, page: str = "") -> None:
    """Write a bundle into ``directory``, which must not exist; whole or not at all.

    The model is saved without loss, metrics and optimizer: it is there to be used, and half as large. Its ONNX form is
    written beside it.

    Args:
        directory: to be made.
        model: to be saved.
        card: what it is, for programs.
        page: the same for people, as markdown.
    """
    import keras

    with new_directory(directory) as temporary:
        bare = keras.Model(model.inputs, model.outputs, name=model.name)
        bare.save(temporary / MODEL_FILE)
        (temporary / ONNX_FILE).write_bytes(convert_to_onnx(bare))
        hashes = {name: sha256_of(temporary / name) for name in (MODEL_FILE, ONNX_FILE)}
        write_json(temporary / CARD_FILE, card_content(card, hashes))
        if page:
            write_text(temporary / PAGE_FILE, page)


def open_model(directory: Path) -> SavedModel:
    """Open a bundle with Keras. Nothing in it is ever run.

    Raises:
        StudyError: see `read_card`; or the model holds a layer that could run code.
    """
    card = read_card(directory)
    return SavedModel(card, _open_keras(directory / MODEL_FILE, card))


def open_runtime(directory: Path, engine: str | None = None) -> tuple[ModelCard, Runtime]:
    """Open a bundle for use, with whatever runs it.

    Args:
        directory: the bundle.
        engine: one of ``ENGINES``; unless told, ONNX Runtime where it is installed and the bundle has that form.

    Raises:
        StudyError: see `open_model`; or what was asked for is not there.
    """
    if engine not in (None, *ENGINES):
        raise EcgStudyError(f"the engine {engine!r} is not known; choose {' or '.join(ENGINES)}")
    card = read_card(directory)
    path = directory / ONNX_FILE
    if engine == "onnx" and not is_onnx_installed():
        raise EcgStudyError("onnx: not installed; pip install onnx onnxruntime")
    if engine == "onnx" and not path.is_file():
        raise EcgStudyError(f"{path}: missing; this bundle has no ONNX form, use keras")
    if engine == "keras" or not (is_onnx_installed() and path.is_file()):
        return card, KerasRuntime(_open_keras(directory / MODEL_FILE, card))
    content = path.read_bytes()
    check_onnx(content, path)
    runs = OnnxRuntime(content, path)
    _check_shape(path, runs.shape, card)
    return card, runs


def onnx_runtime(model: keras.Model) -> OnnxRuntime:
    """What runs a Keras model that is in memory by its ONNX form, as a bundle of it would be run."""
    return OnnxRuntime(convert_to_onnx(model), Path(model.name))


def _open_keras(path: Path, card: ModelCard) -> keras.Model:
    _refuse_foreign_layers(path)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file makes Keras, HDF5 and zip raise all kinds
        raise EcgStudyError(f"{path}: cannot be opened ({' '.join(str(error).split())[:200]})") from error
    _check_shape(path, tuple(model.input_shape[1:]), card)
    _check_shape(path, tuple(model.output_shape[1:]), card)
    return model


def _check_shape(path: Path, shape: tuple[Any, ...], card: ModelCard) -> None:
    if shape != (card.segment, 1):
        raise EcgStudyError(f"{path}: reads {shape[0]} samples where its card says {card.segment}")


def _refuse_foreign_layers(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [item.file_size for item in archive.infolist()]
            if sum(sizes) > _LARGEST:
                raise ValueError(f"it unpacks to {sum(sizes):,} bytes")
            names = _class_names(json.loads(archive.read("config.json")))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, RuntimeError, NotImplementedError) as error:
        raise EcgStudyError(f"{path}: not a Keras model ({' '.join(str(error).split())})") from error
    foreign = sorted(names - _ALLOWED)
    if foreign:
        raise EcgStudyError(f"{path}: holds {', '.join(foreign)}, which no model of this study has; refused unopened")


def _class_names(value: Any) -> set[str]:
    """Every class named anywhere in a model's configuration, with its package where that is not Keras."""
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
