"""Bundles: a folder with a trained model and its card, all that is needed to use it again."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_data import StudyError
from ecg_data.files import new_directory, sha256_of, write_json

if TYPE_CHECKING:
    import keras

FORMAT = 1
"""Version of the card. A card of a newer version is refused."""

MODEL_FILE, CARD_FILE = "model.keras", "card.json"

_TASKS = ("denoiser", "detector")

_LARGEST = 500_000_000  # bytes unpacked: a hundred times the largest network of the spaces

DISCLAIMER = "For research. Not a medical device: no diagnosis or treatment may rest on its output."

_ALLOWED = frozenset(
    {
        "DTypePolicy",
        "Functional",
        "InputLayer",
        "__keras_tensor__",
        *("Bidirectional", "Dense", "Dropout", "GRU", "LSTM", "LayerNormalization", "Reshape"),
        *("Add", "Divide", "Mean", "Multiply", "Subtract"),
        *("Constant", "GlorotUniform", "Ones", "Orthogonal", "Zeros"),
    }
)
"""What a model of ours is made of. Anything else in a bundle is refused before it is opened: a lambda layer or a layer
that loads a program from elsewhere would run code that came with the file."""


@dataclass(frozen=True)
class Card:
    """What must be known to use a model, and what it can do.

    Attributes:
        task: ``"denoiser"`` or ``"detector"``.
        fs: sampling rate in Hz that the model was trained at.
        segment: samples the model reads at once.
        window: samples of a window.
        normalisation: what the model does to its input by itself; the input is in mV.
        thresholds: detector: activation above which a sample is an R peak (``r_peak``), and above which a window
            holds one (``window``); both chosen on validation records.
        refractory: seconds within which there is but one R peak.
        preset: the space that was searched.
        hyperparameters: the configuration that won.
        parameters: trainable weights.
        data: database, attribution, records of each part, noise, key of the cached data.
        metrics: figures of this model, each with the records it was measured on in its name.
        seed: seed of the study.
        disclaimer: what the model must not be used for.
    """

    task: str
    fs: float
    segment: int
    window: int
    normalisation: str
    thresholds: dict[str, float]
    refractory: float
    preset: str
    hyperparameters: dict[str, Any]
    parameters: int
    data: dict[str, Any]
    metrics: dict[str, Any]
    seed: int
    disclaimer: str = field(default=DISCLAIMER)


@dataclass(frozen=True)
class Bundle:
    """A model with its card, ready for use."""

    card: Card
    model: keras.Model


def save_bundle(directory: Path, model: keras.Model, card: Card) -> None:
    """Write a bundle into ``directory``, which must not exist; whole or not at all.

    The model is saved without loss, metrics and optimizer: it is there to be used, and half as large.
    """
    import keras

    with new_directory(directory) as temporary:
        bare = keras.Model(model.inputs, model.outputs, name=model.name)
        bare.save(temporary / MODEL_FILE)
        hashes = {MODEL_FILE: sha256_of(temporary / MODEL_FILE)}
        write_json(temporary / CARD_FILE, {"format": FORMAT, "sha256": hashes, **asdict(card)})


def read_card(directory: Path) -> Card:
    """Read a bundle's card, and check that the model beside it is the one it was written for.

    Raises:
        StudyError: a file is missing, changed or damaged, or the card is of a newer version.
    """
    path = directory / CARD_FILE
    for needed in (path, directory / MODEL_FILE):
        if not needed.is_file():
            raise StudyError(f"{needed}: missing; a bundle is a folder with {MODEL_FILE} and {CARD_FILE}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, hashes = content.pop("format"), content.pop("sha256")
        if version != FORMAT:
            raise StudyError(f"{path}: format {version}, this program reads {FORMAT}; use the program that wrote it")
        expected = {item.name for item in fields(Card)}
        if set(content) != expected:
            odd = sorted(set(content) ^ expected)
            raise StudyError(f"{path}: damaged: the keys {', '.join(odd)} are missing or unknown")
        card = Card(**content)
        _check_card(card)
        digest = hashes[MODEL_FILE]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyError(f"{path}: not the card of a bundle ({' '.join(str(error).split())})") from error
    if sha256_of(directory / MODEL_FILE) != digest:
        raise StudyError(f"{directory / MODEL_FILE}: changed since its card was written; take a fresh copy")
    return card


def _check_card(card: Card) -> None:
    """Raise ValueError where a value that `checkpoints` works with is of the wrong kind or out of range."""

    def number(name: str, value: Any, least: float, most: float) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise ValueError(f"{name} is {value!r}, not a number from {least:g} to {most:g}")

    if card.task not in _TASKS:
        raise ValueError(f"task is {card.task!r}, not {' or '.join(_TASKS)}")
    number("fs", card.fs, 1, 1e5)
    number("refractory", card.refractory, 0, 10)
    for name, value in (("segment", card.segment), ("window", card.window)):
        number(name, value, 1, 1e7)
        if not isinstance(value, int):
            raise ValueError(f"{name} is {value!r}, not a whole number of samples")
    for name in ("r_peak", "window") if card.task == "detector" else ():
        number(f"thresholds.{name}", card.thresholds[name], 0, 1)


def load_bundle(directory: Path) -> Bundle:
    """Open a bundle. Nothing in it is ever run.

    Raises:
        StudyError: see `read_card`; or the model holds a layer that could run code.
    """
    card = read_card(directory)
    path = directory / MODEL_FILE
    _refuse_foreign_layers(path)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file makes Keras, HDF5 and zip raise all kinds
        raise StudyError(f"{path}: cannot be opened ({' '.join(str(error).split())[:200]})") from error
    if model.input_shape != (None, card.segment, 1) or model.output_shape != (None, card.segment, 1):
        raise StudyError(f"{path}: reads {model.input_shape[1]} samples where its card says {card.segment}")
    return Bundle(card, model)


def _refuse_foreign_layers(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [item.file_size for item in archive.infolist()]
            if sum(sizes) > _LARGEST:
                raise ValueError(f"it unpacks to {sum(sizes):,} bytes")
            names = _class_names(json.loads(archive.read("config.json")))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, RuntimeError, NotImplementedError) as error:
        raise StudyError(f"{path}: not a Keras model ({' '.join(str(error).split())})") from error
    foreign = sorted(names - _ALLOWED)
    if foreign:
        raise StudyError(f"{path}: holds {', '.join(foreign)}, which no model of this study has; refused unopened")


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
