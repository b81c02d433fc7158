"""The bundles at hand, in lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecg_study.inference.loading import ModelEntry
from ecg_study.models.card import ModelCard

_FIGURES = {
    "detector": (
        ("test, R peaks within 150 ms", "f1", "F1 within 150 ms"),
        ("test, R peaks within 50 ms", "f1", "50 ms"),
    ),
    "denoiser": (("test, mean over records", "rmse", "RMSE in mV"),),
}
"""What of a card's metrics is shown: key, figure, and how it is called."""


def model_lines(found: Sequence[ModelEntry]) -> list[str]:
    """A line or two for each bundle: its name, what it is, what it can do and on whom that was measured."""
    if not found:
        return ["No bundles at hand; 'study.py run' makes two in outputs/models."]
    lines = []
    for item in found:
        if item.card is None:
            lines.append(f"{item.name}: cannot be used: {item.problem}")
            continue
        card = item.card
        size = f"{card.parameters:,} weights, {card.fs:g} Hz"
        lines.append(f"{item.name}: {card.model_kind}, {size}, {_origin(card)}")
        figures = [_figure(card, *wanted) for wanted in _FIGURES[card.model_kind]]
        shown = [figure for figure in figures if figure]
        if shown:
            lines.append(f"  on test records: {', '.join(shown)}")
    return lines


def _origin(card: ModelCard) -> str:
    database = card.data.get("database", "unknown database")
    return f"trained on {database}, preset {card.preset}, seed {card.seed}"


def _figure(card: ModelCard, key: str, name: str, said: str) -> str:
    value: Any = card.metrics.get(key)
    value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, dict) and "value" in value:
        interval = f" [{value['low']:.4f}, {value['high']:.4f}]" if value.get("low") is not None else ""
        return f"{said} {value['value']:.4f}{interval}"
    return f"{said} {value:.4f}" if isinstance(value, (int, float)) else ""
