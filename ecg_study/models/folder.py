"""Model folder: a trained model on disk with its card and its ONNX form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.errors import InputError, ModelError
from ecg_study.files import new_directory, sha256_of, write_json, write_text
from ecg_study.models.card import (
    CARD_FILE,
    MODEL_FILE,
    ONNX_FILE,
    PAGE_FILE,
    ModelCard,
    StoredModel,
    card_content,
    read_folder,
)
from ecg_study.models.keras_file import check_keras, open_keras
from ecg_study.models.network_size import NetworkSize
from ecg_study.models.onnx_export import convert_to_onnx
from ecg_study.models.onnx_file import check_onnx
from ecg_study.models.runtimes import RUNTIMES, KerasRuntime, OnnxRuntime, Runtime, is_onnx_installed

if TYPE_CHECKING:
    import keras


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

    Raises:
        ModelError: The model is larger than `open_model` opens, or has other layers.
    """
    import keras

    with new_directory(Path(directory)) as temporary:
        bare = keras.Model(model.inputs, model.outputs, name=model.name)
        bare.save(temporary / MODEL_FILE)
        (temporary / ONNX_FILE).write_bytes(convert_to_onnx(bare))
        # What would not be opened is not written.
        check_onnx((temporary / ONNX_FILE).read_bytes(), temporary / ONNX_FILE)
        check_keras((temporary / MODEL_FILE).read_bytes(), temporary / MODEL_FILE)
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
    stored = read_folder(folder)
    model, _ = _open_keras(stored, folder)
    return SavedModel(stored.card, model)


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
    stored = read_folder(directory)
    path = directory / ONNX_FILE
    if runtime == "onnx" and not is_onnx_installed():
        raise ModelError("runtime 'onnx': not installed; run pip install onnx onnxruntime", parameters=("runtime",))
    if runtime == "onnx" and ONNX_FILE not in stored.files:
        raise ModelError(f"{path}: not found; use the runtime 'keras'", parameters=("runtime",))
    if runtime == "keras" or not (is_onnx_installed() and ONNX_FILE in stored.files):
        model, size = _open_keras(stored, directory)
        return stored.card, KerasRuntime(model, directory / MODEL_FILE, size=size)
    checked = check_onnx(stored.files[ONNX_FILE], path)
    _check_segment(path, checked.segment_samples, stored.card)
    return stored.card, OnnxRuntime(checked, path)


def onnx_runtime(model: keras.Model) -> OnnxRuntime:
    """Create an ONNX Runtime from an in-memory Keras model."""
    path = Path(model.name)
    return OnnxRuntime(check_onnx(convert_to_onnx(model), path), path)


def _open_keras(stored: StoredModel, directory: Path) -> tuple[keras.Model, NetworkSize]:
    path = directory / MODEL_FILE
    checked = check_keras(stored.files[MODEL_FILE], path)
    samples = checked.network.segment_samples
    if checked.network.output != (1, samples, 1):
        raise ModelError(f"{path}: returns the shape {checked.network.output[1:]} for {samples} samples; not opened")
    _check_segment(path, samples, stored.card)
    return open_keras(checked, path), checked.network.size


def _check_segment(path: Path, samples: int, card: ModelCard) -> None:
    if samples != card.segment_samples:
        raise ModelError(f"{path}: reads {samples} samples, but its card has segment_samples = {card.segment_samples}")
