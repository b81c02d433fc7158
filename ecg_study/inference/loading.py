"""Opening a bundle by its folder or its name, and listing those at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecg_study.errors import StudyError
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.models.card import CARD_FILE, Card, read_card
from ecg_study.models.folder import open_engine

SHIPPED = Path(__file__).parent.parent / "models" / "pretrained"
"""Bundles that come with the project."""

DEFAULT = "gru-detector"
"""The bundle that is applied where none is named."""

_MADE = Path("outputs") / "models"
"""Where `make study` puts the bundles of a study, from the folder it is called in."""


@dataclass(frozen=True)
class Found:
    """A bundle at hand.

    Attributes:
        name: what `load` takes.
        directory: where it is.
        card: its card, or ``None`` where it cannot be opened.
        problem: why not, in one line; else empty.
    """

    name: str
    directory: Path
    card: Card | None
    problem: str


def find_bundle(name: str | Path, made: Path = _MADE) -> Path:
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
    at_hand = [found.name for found in list_bundles(made)]
    known = f"at hand are {', '.join(at_hand)}" if at_hand else "'study.py run' makes some"
    raise StudyError(f"{name}: no such bundle, neither a folder nor a name; {known}")


def _there(path: Path, made: Path) -> Path | None:
    for place in (Path(), SHIPPED, made):
        if (place / path / CARD_FILE).is_file():
            return place / path
    return None


def is_bundle(name: str, made: Path = _MADE) -> bool:
    """Whether `find_bundle` finds a bundle of this name."""
    return _there(Path(name), made) is not None


def list_bundles(made: Path = _MADE) -> list[Found]:
    """The bundles that come with the project, and those that studies made.

    Args:
        made: where studies put theirs.
    """
    found = []
    for place in (SHIPPED, made):
        for card in sorted(place.glob(f"*/{CARD_FILE}")):
            directory = card.parent
            name = directory.name if place == SHIPPED else str(directory)
            try:
                found.append(Found(name, directory, read_card(directory), ""))
            except StudyError as error:
                found.append(Found(name, directory, None, str(error)))
    return found


def load(name: str | Path, engine: str | None = None) -> Detector | Denoiser:
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
    directory = find_bundle(name)
    card, runs = open_engine(directory, engine)
    return Detector(card, runs) if card.task == "detector" else Denoiser(card, runs)


def load_detector(name: str | Path, engine: str | None = None) -> Detector:
    """Open a detector; see `load`.

    Raises:
        StudyError: see `load`; or the bundle holds a denoiser.
    """
    opened = load(name, engine)
    if not isinstance(opened, Detector):
        raise StudyError(f"{name}: holds a denoiser, not a detector")
    return opened


def load_denoiser(name: str | Path, engine: str | None = None) -> Denoiser:
    """Open a denoiser; see `load`.

    Raises:
        StudyError: see `load`; or the bundle holds a detector.
    """
    opened = load(name, engine)
    if not isinstance(opened, Denoiser):
        raise StudyError(f"{name}: holds a detector, not a denoiser")
    return opened
