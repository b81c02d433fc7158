"""Opening a bundle by its folder or its name, and listing those at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecg_study.errors import EcgStudyError
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.models.card import CARD_FILE, ModelCard, read_card
from ecg_study.models.folder import open_runtime

PRETRAINED_DIR = Path(__file__).parent.parent / "models" / "pretrained"
"""Bundles that come with the project."""

DEFAULT_MODEL = "gru-detector"
"""The bundle that is applied where none is named."""

_MADE = Path("outputs") / "models"
"""Where `make study` puts the bundles of a study, from the folder it is called in."""


@dataclass(frozen=True)
class Found:
    """A bundle at hand.

    Attributes:
        name: what `load_model` takes.
        directory: where it is.
        card: its card, or ``None`` where it cannot be opened.
        problem: why not, in one line; else empty.
    """

    name: str
    directory: Path
    card: ModelCard | None
    problem: str


def find_model(name: str | Path, made: Path = _MADE) -> Path:
    """The folder of a bundle.

    Args:
        name: a folder, or the name of a bundle that comes with the project or that a study made.
        made: where studies put theirs.

    Raises:
        StudyError: there is none; the text names those at hand.
    """
    path = Path(name)
    found = _there(path, made)
    if found is not None or len(path.parts) > 1:
        return found or path
    at_hand = [found.name for found in list_models(made)]
    known = f"at hand are {', '.join(at_hand)}" if at_hand else "'study.py run' makes some"
    raise EcgStudyError(f"{name}: no such bundle, neither a folder nor a name; {known}")


def _there(path: Path, made: Path) -> Path | None:
    for place in (Path(), PRETRAINED_DIR, made):
        if (place / path / CARD_FILE).is_file():
            return place / path
    return None


def is_model_folder(name: str, made: Path = _MADE) -> bool:
    """Whether `find_model` finds a bundle of this name."""
    return _there(Path(name), made) is not None


def list_models(made: Path = _MADE) -> list[Found]:
    """The bundles that come with the project, and those that studies made.

    Args:
        made: where studies put theirs.
    """
    found = []
    for place in (PRETRAINED_DIR, made):
        for card in sorted(place.glob(f"*/{CARD_FILE}")):
            directory = card.parent
            name = directory.name if place == PRETRAINED_DIR else str(directory)
            try:
                found.append(Found(name, directory, read_card(directory), ""))
            except EcgStudyError as error:
                found.append(Found(name, directory, None, str(error)))
    return found


def load_model(name: str | Path, engine: str | None = None) -> Detector | Denoiser:
    """Open a bundle for use. Nothing in it is ever run as a program.

    Args:
        name: its folder, or its name.
        engine: ``"onnx"`` (ONNX Runtime) or ``"keras"``; unless told, the faster one that is installed.

    Returns:
        What the bundle holds; `load_detector` and `load_denoiser` say which.

    Raises:
        StudyError: there is no such bundle, it is damaged, changed or of a newer version, or it holds what could run
            code.
    """
    directory = find_model(name)
    card, runs = open_runtime(directory, engine)
    return Detector(card, runs) if card.task == "detector" else Denoiser(card, runs)


def load_detector(name: str | Path, engine: str | None = None) -> Detector:
    """Open a detector; see `load_model`.

    Raises:
        StudyError: see `load_model`; or the bundle holds a denoiser.
    """
    opened = load_model(name, engine)
    if not isinstance(opened, Detector):
        raise EcgStudyError(f"{name}: holds a denoiser, not a detector")
    return opened


def load_denoiser(name: str | Path, engine: str | None = None) -> Denoiser:
    """Open a denoiser; see `load_model`.

    Raises:
        StudyError: see `load_model`; or the bundle holds a detector.
    """
    opened = load_model(name, engine)
    if not isinstance(opened, Denoiser):
        raise EcgStudyError(f"{name}: holds a detector, not a denoiser")
    return opened
