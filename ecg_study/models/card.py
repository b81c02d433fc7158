"""Model card: validated metadata of a saved model, with a JSON Schema."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from ecg_study.errors import ModelError
from ecg_study.files import sha256_of

CARD_FORMAT = 4
"""Version of ``card.json``. Formats 1 to 3 are converted when they are read; newer formats are refused.

Format 1 has no ONNX file. Format 2 has no ``drift``, since its denoisers keep baseline wander. Format 3 has the field
names of version 0.1.0.
"""

CARD_FILE, PAGE_FILE, MODEL_FILE, ONNX_FILE = "card.json", "CARD.md", "model.keras", "model.onnx"
DISCLAIMER = "For research. Not a medical device: no diagnosis or treatment may rest on its output."
ModelKind = Literal["denoiser", "detector"]
DENOISER = "denoiser"
DETECTOR = "detector"
MODEL_KINDS = (DENOISER, DETECTOR)

REFRACTORY_PERIOD = 0.2
"""Refractory period of the heart in seconds.

References:
    Pan and Tompkins, A real-time QRS detection algorithm, IEEE Trans Biomed Eng 32(3), 1985.
"""

_FIELDS_BEFORE_FORMAT_4 = {
    "task": "model_kind",
    "segment": "segment_samples",
    "window": "window_samples",
    "normalisation": "normalization",
    "refractory": "refractory_period",
    "drift": "baseline_wander",
}
"""Stored field of formats 1 to 3 → field of `ModelCard`."""

_LINEAGE = "fine_tuned_from"
"""Entry of `ModelCard.data` in a fine-tuned model: the hash and the data of the model that training started from."""

_DATA_BEFORE_FORMAT_4 = {"licence": "license", "sigma_mv": "noise_sigma_mv", "trained further from": _LINEAGE}
"""Stored entry of formats 1 to 3 → entry of `ModelCard.data`."""

_Share = Annotated[float, Ge(0), Le(1)]
_Samples = Annotated[int, Ge(1), Le(10_000_000)]


@dataclass(frozen=True)
class ModelCard:
    """Metadata of a model: its input, its thresholds, its origin and its test metrics.

    Attributes:
        model_kind: ``"denoiser"`` or ``"detector"``.
        fs: Sampling rate of the training data in Hz.
        segment_samples: Samples that the model reads at once.
        window_samples: Samples per window.
        normalization: Scaling that the model applies to its input, which is in mV.
        thresholds: Peak probabilities of a detector, chosen on validation records: lowest value of an R peak
            (``r_peak``) and of a window with a beat (``window``). Empty for a denoiser.
        refractory_period: Shortest time between two R peaks in seconds.
        preset: Name of the search space.
        hyperparameters: Best configuration of the search.
        parameters: Number of trainable weights.
        data: Database, attribution, records of each part, added noise, and key of the cached data.
        metrics: Metrics of this model; each name includes the records.
        seed: Seed of the study.
        polarity: ``"either"`` for a detector that was trained on leads of both polarities. ``"upright"`` for one that
            was trained on leads as recorded; it is applied to each lead and to its inverse.
        baseline_wander: ``"kept"`` or ``"removed"`` by a denoiser. If removed, the denoised signal lies around 0 mV.
        disclaimer: Uses that are excluded.
    """

    model_kind: ModelKind
    fs: Annotated[float, Ge(1), Le(100_000)]
    segment_samples: _Samples
    window_samples: _Samples
    normalization: str
    thresholds: dict[str, _Share]
    refractory_period: Annotated[float, Gt(0), Le(10)]
    preset: str
    hyperparameters: dict[str, Any]
    parameters: Annotated[int, Ge(0)]
    data: dict[str, Any]
    metrics: dict[str, Any]
    seed: int
    polarity: Literal["upright", "either"] = "upright"
    baseline_wander: Literal["kept", "removed"] = "kept"
    disclaimer: str = field(default=DISCLAIMER)


def card_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``card.json``, published as ``docs/card.schema.json``."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(ModelCard).json_schema()
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    files = {"type": "object", "additionalProperties": digest, "required": [MODEL_FILE]}
    schema["properties"] = {"format": {"const": CARD_FORMAT}, "sha256": files, **schema["properties"]}
    schema["required"] = ["format", "sha256", *schema["required"]]
    schema["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def card_content(card: ModelCard, hashes: dict[str, str]) -> dict[str, Any]:
    """Return the content of ``card.json``.

    Args:
        card: Card to store.
        hashes: SHA-256 of each model file, by file name.
    """
    return {"format": CARD_FORMAT, "sha256": hashes, **asdict(card)}


def read_card(directory: Path) -> ModelCard:
    """Read the card of a model folder and verify the hashes of the model files.

    Raises:
        ModelError: A file is missing, changed or damaged, or the card has a newer format.
    """
    path = directory / CARD_FILE
    for needed in (path, directory / MODEL_FILE):
        if not needed.is_file():
            raise ModelError(f"{needed}: not found; a model folder has {MODEL_FILE} and {CARD_FILE}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, hashes = content.pop("format"), content.pop("sha256")
        if version not in range(1, CARD_FORMAT + 1):
            raise ModelError(f"{path}: format {version} is not supported (latest: {CARD_FORMAT}); update this program")
        card = _validate(_to_current_names(content, version))
        if MODEL_FILE not in hashes:
            raise ValueError(f"sha256 lacks {MODEL_FILE}")
        digests = {str(name): str(digest) for name, digest in hashes.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: not a valid model card ({' '.join(str(error).split())})") from error
    _check_files(directory, digests)
    return card


def _to_current_names(content: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the fields of a card of any format under their current names."""
    if version >= 4:
        return content
    content["data"] = _to_current_data(content["data"])
    return {_FIELDS_BEFORE_FORMAT_4.get(name, name): value for name, value in content.items()}


def _to_current_data(data: dict[str, Any]) -> dict[str, Any]:
    renamed = {_DATA_BEFORE_FORMAT_4.get(name, name): value for name, value in data.items()}
    if _LINEAGE in renamed:
        renamed[_LINEAGE] = {**renamed[_LINEAGE], "data": _to_current_data(renamed[_LINEAGE]["data"])}
    return renamed


def _validate(content: dict[str, Any]) -> ModelCard:
    """Return the card if each value has the type and range that `ModelCard` declares.

    Raises:
        ValueError: A value does not; the text names the field.
    """
    from pydantic import TypeAdapter, ValidationError

    unknown = sorted(set(content) - set(ModelCard.__dataclass_fields__))
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(unknown)}")
    try:
        card: ModelCard = TypeAdapter(ModelCard).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}, not {first['input']!r}"[:200]) from error
    if card.model_kind == DETECTOR and not {"r_peak", "window"} <= set(card.thresholds):
        raise ValueError("thresholds: a detector needs r_peak and window")
    return card


def _check_files(directory: Path, digests: dict[str, str]) -> None:
    if (directory / ONNX_FILE).exists() and ONNX_FILE not in digests:
        raise ModelError(f"{directory / ONNX_FILE}: not listed in {CARD_FILE}; get a new copy of the model")
    for name, digest in digests.items():
        if name not in (MODEL_FILE, ONNX_FILE):
            raise ModelError(f"{directory / CARD_FILE}: lists {name!r}, which is not a file of a model folder")
        if not (directory / name).is_file():
            raise ModelError(f"{directory / name}: not found; get a new copy of the model")
        if sha256_of(directory / name) != digest:
            raise ModelError(f"{directory / name}: differs from the hash in {CARD_FILE}; get a new copy of the model")
