"""Lines of text about the available models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecg_study.formatting import printable
from ecg_study.inference.loading import ModelEntry
from ecg_study.models.card import DENOISER, DETECTOR, ModelCard
from ecg_study.search_spaces.built_in import RENAMED_PRESETS

_METRICS = {
    DETECTOR: (
        ("R peaks within 150 ms", "f1", "F1 within 150 ms"),
        ("R peaks within 50 ms", "f1", "50 ms"),
    ),
    DENOISER: (("mean over records", "rmse", "RMSE in mV"),),
}
"""The metrics of a card that are listed: end of the key in the card, name of the metric, and label."""


def model_lines(entries: Sequence[ModelEntry]) -> list[str]:
    """Return one or two lines for each model: name, kind, size, training data, and test metrics."""
    if not entries:
        return ["no models found"]
    lines = []
    for entry in entries:
        if entry.card is None:
            lines.append(printable(f"{entry.name}: cannot be used: {entry.problem}"))
            continue
        card = entry.card
        size = f"{card.parameters:,} weights, {card.fs:g} Hz"
        lines.append(printable(f"{entry.name}: {card.model_kind}, {size}, {_origin(card)}"))
        # A report measures with white noise, `evaluate` measures detectors as recorded.
        for start, condition in (("test, ", _condition(card)), ("test, as recorded, ", " as recorded")):
            metrics = [_metric(card, start + end, *rest) for end, *rest in _METRICS[card.model_kind]]
            if listed := [metric for metric in metrics if metric]:
                lines.append(f"  on test records{condition}: {', '.join(listed)}")
    return lines


def _origin(card: ModelCard) -> str:
    database = card.data.get("database", "unknown database")
    preset = RENAMED_PRESETS.get(card.preset, card.preset)
    return f"trained on {database}, preset {preset}, seed {card.seed}"


def _condition(card: ModelCard) -> str:
    sigma = card.data.get("noise_sigma_mv")
    return f" with white noise of {sigma:g} mV" if isinstance(sigma, (int, float)) else ""


def _metric(card: ModelCard, key: str, name: str, label: str) -> str:
    value: Any = card.metrics.get(key)
    value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict) and "value" in value:
        known = value["low"] is not None and value["high"] is not None
        interval = f" [{value['low']:.4f}, {value['high']:.4f}]" if known else ""
        return f"{label} {value['value']:.4f}{interval}"
    return f"{label} {value:.4f}" if isinstance(value, (int, float)) else ""
