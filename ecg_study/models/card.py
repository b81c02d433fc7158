"""The card of a bundle: what must be known to use its model, as a checked value with a published schema."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from ecg_study.errors import EcgStudyError
from ecg_study.files import sha256_of

CARD_FORMAT = 3
"""Version of the card. A card of a newer version is refused; those of format 1, without an ONNX form, and of format 2,
whose denoisers keep the baseline, can be read."""

CARD_FILE, PAGE_FILE, MODEL_FILE, ONNX_FILE = "card.json", "CARD.md", "model.keras", "model.onnx"
DISCLAIMER = "For research. Not a medical device: no diagnosis or treatment may rest on its output."
ModelKind = Literal["denoiser", "detector"]
DENOISER = "denoiser"
DETECTOR = "detector"
MODEL_KINDS = (DENOISER, DETECTOR)

REFRACTORY = 0.2
"""Refractory period of the heart in seconds.

References:
    Pan and Tompkins, A real-time QRS detection algorithm, IEEE Trans Biomed Eng 32(3), 1985.
"""

_Share = Annotated[float, Ge(0), Le(1)]
_Samples = Annotated[int, Ge(1), Le(10_000_000)]


@dataclass(frozen=True)
class ModelCard:
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
        polarity: detector: ``"either"`` where it was trained on leads both ways up; ``"upright"`` where on leads as
            they are, so that it is asked twice.
        drift: denoiser: whether the wander of the baseline is ``"kept"`` or ``"removed"``; where it is removed the
            cleaned signal lies around 0.
        disclaimer: what the model must not be used for.
    """

    task: Literal["denoiser", "detector"]
    fs: Annotated[float, Ge(1), Le(100_000)]
    segment: _Samples
    window: _Samples
    normalisation: str
    thresholds: dict[str, _Share]
    refractory: Annotated[float, Gt(0), Le(10)]
    preset: str
    hyperparameters: dict[str, Any]
    parameters: Annotated[int, Ge(0)]
    data: dict[str, Any]
    metrics: dict[str, Any]
    seed: int
    polarity: Literal["upright", "either"] = "upright"
    drift: Literal["kept", "removed"] = "kept"
    disclaimer: str = field(default=DISCLAIMER)


def card_schema() -> dict[str, Any]:
    """JSON Schema of ``card.json``, as it is published in ``docs/card.schema.json``."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(ModelCard).json_schema()
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    files = {"type": "object", "additionalProperties": digest, "required": [MODEL_FILE]}
    schema["properties"] = {"format": {"const": CARD_FORMAT}, "sha256": files, **schema["properties"]}
    schema["required"] = ["format", "sha256", *schema["required"]]
    schema["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def card_content(card: ModelCard, hashes: dict[str, str]) -> dict[str, Any]:
    """What is written as ``card.json``.

    Args:
        card: the card.
        hashes: SHA-256 of each file of the bundle beside the card.
    """
    return {"format": CARD_FORMAT, "sha256": hashes, **asdict(card)}


def read_card(directory: Path) -> ModelCard:
    """Read a bundle's card, and check that the files beside it are those it was written for.

    Raises:
        StudyError: a file is missing, changed or damaged, or the card is of a newer version.
    """
    path = directory / CARD_FILE
    for needed in (path, directory / MODEL_FILE):
        if not needed.is_file():
            raise EcgStudyError(f"{needed}: missing; a bundle is a folder with {MODEL_FILE} and {CARD_FILE}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, hashes = content.pop("format"), content.pop("sha256")
        if version not in range(1, CARD_FORMAT + 1):
            raise EcgStudyError(
                f"{path}: format {version}, this program reads up to {CARD_FORMAT}; use the one that wrote it"
            )
        card = _checked(content)
        if MODEL_FILE not in hashes:
            raise ValueError(f"sha256 has no {MODEL_FILE}")
        digests = {str(name): str(digest) for name, digest in hashes.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EcgStudyError(f"{path}: not the card of a bundle ({' '.join(str(error).split())})") from error
    _check_files(directory, digests)
    return card


def _checked(content: dict[str, Any]) -> ModelCard:
    """The card, each value of the kind and in the range that `ModelCard` says.

    Raises:
        ValueError: one is not; the text names it.
    """
    from pydantic import TypeAdapter, ValidationError

    unknown = sorted(set(content) - set(ModelCard.__dataclass_fields__))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}")
    try:
        card: ModelCard = TypeAdapter(ModelCard).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}, not {first['input']!r}"[:200]) from error
    if card.task == "detector" and not {"r_peak", "window"} <= set(card.thresholds):
        raise ValueError("thresholds: r_peak and window are needed")
    return card


def _check_files(directory: Path, digests: dict[str, str]) -> None:
    if (directory / ONNX_FILE).exists() and ONNX_FILE not in digests:
        raise EcgStudyError(f"{directory / ONNX_FILE}: its card does not know it; take a fresh copy of the bundle")
    for name, digest in digests.items():
        if name not in (MODEL_FILE, ONNX_FILE):
            raise EcgStudyError(f"{directory / CARD_FILE}: names the file {name!r}, which no bundle has")
        if not (directory / name).is_file():
            raise EcgStudyError(f"{directory / name}: missing; take a fresh copy of the bundle")
        if sha256_of(directory / name) != digest:
            raise EcgStudyError(f"{directory / name}: changed since its card was written; take a fresh copy")
