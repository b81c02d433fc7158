"""Text for hyperparameters, thresholds, durations, sizes, and for anything from a file."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any

_UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories of characters that move the cursor, end a line, change the direction of text, are invisible, or
cannot be encoded."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Return a text in which characters that a terminal would not show are escapes, such as ``\x1b``.

    Text from files and file names is printed through this, so that it can neither control the terminal nor add lines.

    Args:
        text: Any text.
        keep: Characters to leave as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNPRINTABLE and character not in keep
        else character
        for character in text
    )


def describe(hyperparameters: dict[str, Any]) -> str:
    """Return hyperparameters on one line."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in hyperparameters.items()
    )


def describe_thresholds(thresholds: Mapping[str, float]) -> str:
    """Return the thresholds of a model on one line; empty without thresholds."""
    words = {"r_peak": "R peak {:.2f}", "window": "window {:.2f}"}
    found = [words[name].format(value) for name, value in thresholds.items() if name in words]
    if "removed_power" in thresholds:
        decibels = f"{10 * math.log10(thresholds['removed_power']):.0f}".replace("-", "−")
        found.append(f"removed power {decibels} dB")
    return ", ".join(found)


def duration(seconds: float) -> str:
    """Return a duration with suitable units: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(n_bytes: float) -> str:
    """Return a size with a suitable unit: ``340 kB``, ``1.2 GB``."""
    for unit in ("kB", "MB"):
        n_bytes /= 1000
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if n_bytes >= 10 else f"{n_bytes:.1f} {unit}"
    return f"{n_bytes / 1000:.1f} GB"


_LONGEST_VALUE = 200  # characters of a value in a message


def difference(saved: Any, requested: Any) -> tuple[str, str]:
    """Return two values of JSON for a message; of dictionaries, only the items that differ."""
    if isinstance(saved, dict) and isinstance(requested, dict):
        keys = [key for key in sorted({*saved, *requested}) if saved.get(key) != requested.get(key)]
        saved, requested = {key: saved.get(key) for key in keys}, {key: requested.get(key) for key in keys}
    return _short(saved), _short(requested)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
