"""Model card: validated metadata of a saved model, with a JSON Schema."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen

from ecg_study.errors import ModelError, one_line
from ecg_study.formatting import printable
from ecg_study.models.calibration import Calibration
from ecg_study.models.network_size import MAX_MODEL_BYTES
from ecg_study.reading import UnreadableError, parse_json, read_bytes

CARD_FORMAT = 6
"""Version of ``card.json``. Formats 1 to 5 are converted when they are read; newer formats are refused.

Format 1 has no ONNX file. Format 2 has no ``drift``, since its denoisers keep baseline wander. Format 3 has the field
names of version 0.1.0. Format 4 has no ``highpass_hz``, since its denoisers have no filter. The denoisers of format 5
have no thresholds, and its detectors no ``baseline_window_s`` and no ``calibration``.
"""

CARD_FILE, PAGE_FILE, MODEL_FILE, ONNX_FILE = "card.json", "CARD.md", "model.keras", "model.onnx"
DISCLAIMER = "For research. Not a medical device: no diagnosis or treatment may rest on its output."
_MAX_CARD_BYTES = 5_000_000  # the largest card of the pretrained models has 7 kB
ModelKind = Literal["denoiser", "detector"]
REMOVED_POWER = "removed_power"
"""Threshold of a denoiser."""

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

LINEAGE = "fine_tuned_from"
"""Entry of `ModelCard.data` in a fine-tuned model: the hash and the data of the model that training started from."""

_DATA_BEFORE_FORMAT_4 = {"licence": "license", "sigma_mv": "noise_sigma_mv", "trained further from": LINEAGE}
"""Stored entry of formats 1 to 3 → entry of `ModelCard.data`."""

_Share = Annotated[float, Ge(0), Le(1)]
_Samples = Annotated[int, Ge(1), Le(10_000_000)]
_Text = Annotated[str, MaxLen(2_000)]
_Name = Annotated[str, MaxLen(200)]
_Count = Annotated[int, Ge(-(2**63)), Lt(2**64)]
_Number = Annotated[float, Ge(-1e100), Le(1e100)]
_Scalar = bool | _Count | _Number | _Text | None

_MAX_METRICS_CHARACTERS = 100_000  # those of the pretrained detector have 3,000
_METRIC_LEVELS = 5  # a report nests three


class _Hyperparameters:
    """Type of `ModelCard.hyperparameters`: scalars by name."""

    def __get_pydantic_core_schema__(self, _: Any, handler: Any) -> Any:
        return handler.generate_schema(dict[_Name, _Scalar])


class _Metrics:
    """Type of `ModelCard.metrics`: scalars and intervals, in tables of tables."""

    def __get_pydantic_core_schema__(self, _: Any, handler: Any) -> Any:
        from pydantic import AfterValidator, ConfigDict, with_config
        from typing_extensions import TypedDict

        interval = TypedDict("interval", {"value": _Number, "low": _Number | None, "high": _Number | None})  # noqa: UP013
        exact: Any = with_config(ConfigDict(extra="forbid"))(interval)
        name = Annotated[_Name, AfterValidator(_not_part_of_interval)]
        level: Any = _Scalar
        for _level in range(_METRIC_LEVELS):
            level = dict[name, _Scalar | exact | level]
        return handler.generate_schema(level)


def _not_part_of_interval(name: str) -> str:
    if name in ("value", "low", "high"):
        raise ValueError("an interval has three numbers: value, low and high")
    return name


class _Data:
    """Type of `ModelCard.data`: any values, of which the program reads those that are listed here."""

    def __get_pydantic_core_schema__(self, _: Any, handler: Any) -> Any:
        from pydantic import ConfigDict, with_config
        from typing_extensions import TypedDict

        lists = dict[_Name, list[_Name]]
        known = {"database": _Name, "noise_sigma_mv": _Number | None, "records": lists, "signals": lists}
        data = TypedDict("data", known, total=False)  # type: ignore[misc]
        return handler.generate_schema(with_config(ConfigDict(extra="allow"))(data))


@dataclass(frozen=True)
class ModelCard:
    """Metadata of a model: its input, its thresholds, its origin and its test metrics.

    Attributes:
        model_kind: ``"denoiser"`` or ``"detector"``.
        fs: Sampling rate of the training data in Hz.
        segment_samples: Samples that the model reads at once.
        window_samples: Samples per window.
        normalization: Scaling that the model applies to its input, which is in mV.
        thresholds: Chosen on validation records. Peak probabilities of a detector: lowest value of an R peak
            (``r_peak``) and of a window with a beat (``window``). For a denoiser that has one: power that is removed
            from a segment over power that is left (``removed_power``), below which less is removed than the network
            would.
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
        highpass_hz: Edge of the zero-phase high-pass filter that a denoiser applies before the network, in Hz; ``None``
            for no filter. The only filter is `ecg_data.filters.remove_baseline_wander`.
        baseline_window_s: Length in seconds of the moving average that a detector subtracts from each segment before
            the network, see `ecg_data.scaling.subtract_moving_average`; ``None`` subtracts nothing.
        calibration: Function from the peak probability of a detector to the confidence of an R peak, fitted on
            validation records; ``None`` keeps the peak probability.
        disclaimer: Uses that are excluded.
    """

    model_kind: ModelKind
    fs: Annotated[float, Ge(10), Le(10_000)]
    segment_samples: _Samples
    window_samples: _Samples
    normalization: _Text
    thresholds: dict[str, _Share]
    refractory_period: Annotated[float, Gt(0), Le(10)]
    preset: _Name
    hyperparameters: Annotated[dict[str, Any], _Hyperparameters()]
    parameters: Annotated[int, Ge(0), Lt(2**63)]
    data: Annotated[dict[str, Any], _Data()]
    metrics: Annotated[dict[str, Any], _Metrics()]
    seed: _Count
    polarity: Literal["upright", "either"] = "upright"
    baseline_wander: Literal["kept", "removed"] = "kept"
    highpass_hz: Annotated[float, Ge(0.5), Le(0.5)] | None = None
    baseline_window_s: Annotated[float, Ge(0.1), Le(2.0)] | None = None
    calibration: Calibration | None = None
    disclaimer: _Text = field(default=DISCLAIMER)

    @property
    def operating_point(self) -> OperatingPoint:
        """Thresholds and calibration."""
        return OperatingPoint(self.thresholds, self.calibration)


@dataclass(frozen=True)
class OperatingPoint:
    """Thresholds and calibration of a model, chosen on validation records after the training; see `ModelCard`."""

    thresholds: dict[str, float]
    calibration: Calibration | None = None


def card_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``card.json``, published as ``docs/card.schema.json``."""
    schema = _card_adapter().json_schema()
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


@dataclass(frozen=True)
class StoredModel:
    """The files of a model folder, read once.

    Attributes:
        card: Card of the model.
        files: Content of each model file, by file name. The hash of each is that in the card.
    """

    card: ModelCard
    files: dict[str, bytes]


def read_card(directory: Path) -> ModelCard:
    """Read the card of a model folder and verify the hashes of the model files.

    Raises:
        ModelError: A file is missing, changed or damaged, or the card has a newer format.
    """
    return read_folder(directory).card


def read_folder(directory: Path) -> StoredModel:
    """Read the card and the model files of a folder.

    What was read is what was verified: a file that is replaced afterwards changes nothing.

    Raises:
        ModelError: See `read_card`.
    """
    path = directory / CARD_FILE
    for needed in (path, directory / MODEL_FILE):
        if not _exists(needed):
            raise ModelError(f"{needed}: not found; a model folder has {MODEL_FILE} and {CARD_FILE}")
    try:
        content = parse_json(_read(path, limit=_MAX_CARD_BYTES).decode("utf-8"))
        version, hashes = content.pop("format"), content.pop("sha256")
        if version not in range(1, CARD_FORMAT + 1):
            text = printable(str(version))[:20]
            raise ModelError(f"{path}: format {text} is not supported (latest: {CARD_FORMAT}); update this program")
        card = _validate(_to_current_names(content, version))
        if MODEL_FILE not in hashes:
            raise ValueError(f"sha256 lacks {MODEL_FILE}")
        digests = {str(name): str(digest) for name, digest in hashes.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: not a valid model card ({printable(one_line(error, limit=200))})") from error
    return StoredModel(card, _read_files(directory, digests))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a null character
        return False


def _read(path: Path, *, limit: int) -> bytes:
    try:
        return read_bytes(path, limit=limit)
    except UnreadableError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def _to_current_names(content: dict[str, Any], version: int) -> dict[str, Any]:
    """Return the fields of a card of any format under their current names."""
    if version >= 4:
        return content
    content["data"] = _to_current_data(content["data"])
    return {_FIELDS_BEFORE_FORMAT_4.get(name, name): value for name, value in content.items()}


def _to_current_data(data: dict[str, Any]) -> dict[str, Any]:
    renamed = {_DATA_BEFORE_FORMAT_4.get(name, name): value for name, value in data.items()}
    if LINEAGE in renamed:
        renamed[LINEAGE] = {**renamed[LINEAGE], "data": _to_current_data(renamed[LINEAGE]["data"])}
    return renamed


def _validate(content: dict[str, Any]) -> ModelCard:
    """Return the card if each value has the type and range that `ModelCard` declares.

    Raises:
        ValueError: A value does not; the text names the field.
    """
    from pydantic import ValidationError

    unknown = sorted(set(content) - set(ModelCard.__dataclass_fields__))
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(unknown)}")
    if len(json.dumps(content.get("metrics"))) > _MAX_METRICS_CHARACTERS:
        raise ValueError(f"metrics: has more than {_MAX_METRICS_CHARACTERS:,} characters")
    try:
        card: ModelCard = _card_adapter().validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = max(error.errors(include_url=False), key=lambda item: len(_place(content, item["loc"])))
        place = _place(content, first["loc"])
        # A value of one of several types has an error for each type.
        problem = first["msg"] if len(place) == len(first["loc"]) else "Input should be another kind of value"
        raise ValueError(f"{'.'.join(place)}: {problem}, not {first['input']!r}"[:200]) from error
    if card.highpass_hz is not None and card.baseline_wander != "removed":
        raise ValueError("highpass_hz: only for a denoiser that removes baseline wander")
    if card.baseline_window_s is not None and card.model_kind != DETECTOR:
        raise ValueError("baseline_window_s: only for a detector")
    if card.calibration is not None and card.model_kind != DETECTOR:
        raise ValueError("calibration: only for a detector")
    allowed = {REMOVED_POWER} if card.highpass_hz is not None else set()
    if card.model_kind == DENOISER and not (set(card.thresholds) <= allowed and all(card.thresholds.values())):
        raise ValueError(f"thresholds: a denoiser has {REMOVED_POWER} above 0 at most, and only with highpass_hz")
    if card.model_kind == DETECTOR and not {"r_peak", "window"} <= set(card.thresholds):
        raise ValueError("thresholds: a detector needs r_peak and window")
    return card


@cache
def _card_adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(ModelCard)


def _place(content: Any, location: tuple[int | str, ...]) -> list[str]:
    """Return the parts of the location of an error that are places in the card, not names of types."""
    place = [str(part) for part in location[:1]]
    content = content.get(place[0]) if place else None
    for part in location[1:]:
        try:
            content = content[part]
        except (LookupError, TypeError):
            continue
        place.append(str(part))
    return place


def _read_files(directory: Path, digests: dict[str, str]) -> dict[str, bytes]:
    if _exists(directory / ONNX_FILE) and ONNX_FILE not in digests:
        raise ModelError(f"{directory / ONNX_FILE}: not listed in {CARD_FILE}; get a new copy of the model")
    files = {}
    for name, digest in digests.items():
        path = directory / name
        if name not in (MODEL_FILE, ONNX_FILE):
            raise ModelError(f"{directory / CARD_FILE}: lists {name[:100]!r}, which is not a file of a model folder")
        if not _exists(path):
            raise ModelError(f"{path}: not found; get a new copy of the model")
        files[name] = _read(path, limit=MAX_MODEL_BYTES)
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ModelError(f"{path}: differs from the hash in {CARD_FILE}; get a new copy of the model")
    return files
