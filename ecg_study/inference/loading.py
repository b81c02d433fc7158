"""Lookup and loading of models by name or folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecg_study.errors import EcgStudyError, InputError, ModelError
from ecg_study.formatting import printable
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.models.card import CARD_FILE, DETECTOR, ModelCard, read_card
from ecg_study.models.folder import open_runtime

PRETRAINED_DIR = Path(__file__).parent.parent / "models" / "pretrained"
"""Folder of the pretrained models."""

DEFAULT_MODEL = "gru-detector"
"""Name of the pretrained model that is used by default."""

_STUDY_MODELS_DIR = Path("outputs") / "models"
"""Folder of the models of a study with the default output folder."""


@dataclass(frozen=True)
class ModelEntry:
    """A model in a list of models.

    Attributes:
        name: Name for `load_model`.
        directory: Model folder.
        card: Card of the model, or ``None`` if the model cannot be used.
        problem: Reason in one line if the model cannot be used, otherwise empty.
    """

    name: str
    directory: Path
    card: ModelCard | None
    problem: str


def list_models(models_dir: str | Path = _STUDY_MODELS_DIR) -> list[ModelEntry]:
    """List the pretrained models and the models of a study.

    Args:
        models_dir: Folder of the study's models.
    """
    entries = []
    for parent in (PRETRAINED_DIR, Path(models_dir)):
        for card in sorted(parent.glob(f"*/{CARD_FILE}")):
            directory = card.parent
            name = directory.name if parent == PRETRAINED_DIR else str(directory)
            try:
                entries.append(ModelEntry(name, directory, read_card(directory), ""))
            except EcgStudyError as error:
                entries.append(ModelEntry(name, directory, None, str(error)))
    return entries


def find_model(name_or_folder: str | Path, models_dir: str | Path = _STUDY_MODELS_DIR) -> Path:
    """Return the folder of a model.

    Args:
        name_or_folder: Model folder, or name of a pretrained model or of a model of a study.
        models_dir: Folder of the study's models.

    Raises:
        InputError: ``name_or_folder`` is neither text nor a path.
        ModelError: The model is not found; the message lists the available models.
    """
    if not isinstance(name_or_folder, (str, Path)):
        raise InputError(f"model: {name_or_folder!r} is neither the name nor the folder of a model")
    path = Path(name_or_folder)
    for parent in (Path(), PRETRAINED_DIR, Path(models_dir)):
        if _has_card(parent / path):
            return parent / path
    if len(path.parts) > 1:
        return path  # opening it tells which file is missing
    available = printable(", ".join(entry.name for entry in list_models(models_dir))) or "none"
    name = printable(str(name_or_folder))[:200]
    raise ModelError(f"{name}: neither a model folder nor the name of a model; available models: {available}")


def _has_card(directory: Path) -> bool:
    try:
        return (directory / CARD_FILE).exists()
    except (OSError, ValueError):  # a name that is too long, or has a null character
        return False


def load_model(
    name_or_folder: str | Path, *, runtime: str | None = None, models_dir: str | Path = _STUDY_MODELS_DIR
) -> Detector | Denoiser:
    """Load a model. No code from the model folder runs.

    Args:
        name_or_folder: Model folder, or name of a pretrained model or of a model of a study.
        runtime: ``"onnx"`` or ``"keras"``, which needs the extra ``study``; default: ``"onnx"`` if the model has an
            ONNX form.
        models_dir: Folder of the study's models.

    Returns:
        A `Detector` or a `Denoiser`, by the kind of the model.

    Raises:
        ModelError: The model is not found, damaged, changed or of a newer format. Or it could run code, or is larger
            than any model of this project.
    """
    card, opened = open_runtime(find_model(name_or_folder, models_dir), runtime)
    return Detector(card, opened) if card.model_kind == DETECTOR else Denoiser(card, opened)


def load_detector(name_or_folder: str | Path, *, runtime: str | None = None) -> Detector:
    """Load a detector; see `load_model`.

    Raises:
        ModelError: See `load_model`; or the model is a denoiser.
    """
    model = load_model(name_or_folder, runtime=runtime)
    if not isinstance(model, Detector):
        raise ModelError(f"{name_or_folder}: is a denoiser, not a detector")
    return model


def load_denoiser(name_or_folder: str | Path, *, runtime: str | None = None) -> Denoiser:
    """Load a denoiser; see `load_model`.

    Raises:
        ModelError: See `load_model`; or the model is a detector.
    """
    model = load_model(name_or_folder, runtime=runtime)
    if not isinstance(model, Denoiser):
        raise ModelError(f"{name_or_folder}: is a detector, not a denoiser")
    return model
