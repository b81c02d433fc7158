"""Metadata in comments and other lines before a table: sampling rate and unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE
from ecg_study.ecg_data.readers.units import UnitKind, parse_unit
from ecg_study.errors import RecordError

_KEY_VALUE = re.compile(
    r"""^["']?(?P<key>[^:=;,\t]{1,60}?)["']?\s*(?::=|[:=;,\t])\s*["']?(?P<value>.*?)["']?\s*[;,]*$"""
)

_RATE_KEY = re.compile(
    r"(?:ecg |signal |data |nominal )?"
    r"(?:sampl(?:e|ing)[ _-]?(?:rate|freq(?:uency)?)|fs|srate|sfreq|(?P<bare>rate|freq(?:uency)?))"
    r"(?:[ _]*[(\[]?(?P<unit>k?hz|hertz|samples?(?:/| per )s(?:ec(?:ond)?)?)[)\]]?)?",
    re.IGNORECASE,
)
_UNIT_KEY = re.compile(
    r"(?:ecg |signal |data |amplitude |physical |voltage )?(?:units?|dimension)(?: of (?:measurement|measure|ecg))?",
    re.IGNORECASE,
)
_SCALE_KEY = re.compile(
    r"(?:adc|ad|ecg|signal|amplifier|channel)?[ _-]?"
    r"(?:gain|scale|scale[ _-]?factor|lsb|conversion[ _-]?factor|adc[ _-]?zero)\b.*",
    re.IGNORECASE,
)
"""A calibration: the numbers may not be converted yet."""

_NUMBER_AND_UNIT = re.compile(r"(?P<number>[0-9]+(?:[.,][0-9]+)?)\s*(?P<unit>[A-Za-z/ ]*)")
_HERTZ = re.compile(r"|k?hz|hertz|kilohertz|sps|samples?(?:/| per )s(?:ec(?:ond)?)?", re.IGNORECASE)

_WORD = re.compile(r"(?<![\w.])(?:[munµμ]?V|[mu]v|(?:milli|micro|nano)volts?|volts?|ADC|adc|counts?|LSB)(?![\w.])")
"""A unit as a word in a sentence."""


@dataclass(frozen=True)
class Metadata:
    """Metadata in the lines before a table.

    Attributes:
        fs: sampling rate in Hz; ``None`` if it is not stated.
        unit: unit of columns without one; empty if it is not stated.
        mentioned: unit or calibration that a line mentions, although none states the unit; empty if none does.
    """

    fs: float | None = None
    unit: str = ""
    mentioned: str = ""


def is_key_value(text: str) -> bool:
    """Return whether a line is a key with its value, as ``fs: 250``."""
    return re.match(r"[^:=]{1,60}[:=]", text) is not None


def metadata_in(path: Path, lines: Sequence[str]) -> Metadata:
    """Return the metadata in the lines before a table.

    Raises:
        RecordError: two lines state different sampling rates or units, or a rate cannot be understood.
    """
    rates: dict[float, str] = {}
    units: dict[str, str] = {}
    mentioned: list[str] = []
    for line in lines:
        found = _KEY_VALUE.fullmatch(line.strip())
        rate_key = _RATE_KEY.fullmatch(found["key"].strip()) if found else None
        if found and rate_key:
            rate = _rate(path, line, found["value"], rate_key)
            if rate is not None:
                rates.setdefault(rate, line)
        elif found and _UNIT_KEY.fullmatch(found["key"].strip()) and found["value"].strip():
            units.setdefault(found["value"].strip(), line)
        elif found and _SCALE_KEY.fullmatch(found["key"].lstrip("#% ").strip()):
            mentioned.append(found["key"].lstrip("#% ").strip())
        else:
            mentioned += _WORD.findall(line)
    if len(rates) > 1:
        raise RecordError(path, f"states several sampling rates: {', '.join(f'{rate:g} Hz' for rate in rates)}")
    if len(units) > 1:
        raise RecordError(path, f"states several units: {', '.join(units)}")
    foreign = [word for word in mentioned if parse_unit(word).kind is not UnitKind.VOLTAGE or word.lower() != "mv"]
    return Metadata(next(iter(rates), None), next(iter(units), ""), foreign[0] if foreign else "")


def _rate(path: Path, line: str, value: str, key: re.Match[str]) -> float | None:
    """Return a sampling rate in Hz; ``None`` if a key such as ``rate`` has another meaning."""
    found = _NUMBER_AND_UNIT.fullmatch(value.strip())
    unit = found["unit"].strip() if found else ""
    if found is None or not _HERTZ.fullmatch(unit):
        if key["bare"]:
            return None
        raise RecordError(path, f"the sampling rate in {line.strip()[:60]!r} is not a number in Hz")
    kilo = (unit or key["unit"] or "").lower().startswith("k")
    rate = float(found["number"].replace(",", ".")) * (1000.0 if kilo else 1.0)
    # A frequency may also be that of a filter or of the mains.
    return None if key["bare"] and not LOWEST_RATE <= rate <= HIGHEST_RATE else rate
