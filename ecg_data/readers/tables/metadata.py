"""Metadata in comments and other lines before a table: sampling rate and unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE
from ecg_study.ecg_data.readers.units import UnitKind, parse_unit, seconds_in
from ecg_study.errors import RecordError

_KEY_VALUE = re.compile(
    r"""^["']?(?P<key>[^:=;,\t]{1,60}?)["']?\s*(?::=|[:=;,\t])\s*["']?(?P<value>.*?)["']?\s*[;,]*$"""
)

_RATE_KEY = re.compile(
    r"(?:ecg |signal |data |nominal )?"
    r"(?:sampl(?:e|ing)[ _-]?(?:rate|freq(?:uency)?)|fs|srate|sfreq|samples?[ _]?(?:/|per)[ _]?s(?:ec(?:ond)?)?"
    r"|adc[ _-]?rate|abtast(?:rate|frequenz)|(?P<bare>rate|freq(?:uency)?))"
    r"(?:[ _]*[(\[]?(?P<unit>k?hz|hertz|samples?(?:/| per )s(?:ec(?:ond)?)?)[)\]]?)?",
    re.IGNORECASE,
)
"""A bare rate may also be that of the heart, and a bare frequency that of a filter or of the mains."""

_INTERVAL_KEY = re.compile(
    r"(?:ecg |signal |data |nominal )?(?:sampl(?:e|ing)[ _-]?(?:interval|period|time)|dt|(?P<bare>interval))"
    r"(?:[ _]*[(\[]?(?P<unit>[mµμu]?s|[mu]?secs?|(?:milli|micro)?seconds?)[)\]]?)?",
    re.IGNORECASE,
)
_PER_SAMPLE = re.compile(
    r"(?P<number>[0-9]+(?:[.,][0-9]+)?)\s*(?P<unit>[A-Za-zµμ]+)\s*(?:/| per )\s*sample", re.IGNORECASE
)
"""A line of text exports of AcqKnowledge: ``1 msec/sample``."""

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

_NUMBER_AND_UNIT = re.compile(r"(?P<number>[0-9]+(?:[.,][0-9]+)?)\s*(?P<unit>[A-Za-zµμ/ ]*)")
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
        interval_key = _INTERVAL_KEY.fullmatch(found["key"].strip()) if found else None
        per_sample = _PER_SAMPLE.fullmatch(line.strip())
        if found and rate_key:
            rate = _rate(path, line, found["value"], rate_key)
        elif found and interval_key:
            rate = _rate_of_interval(path, line, found["value"], interval_key)
        else:
            rate = _per_second(per_sample["number"], per_sample["unit"]) if per_sample else None
        if rate is not None and not any(math.isclose(rate, other, rel_tol=1e-4) for other in rates):
            rates[rate] = line
        if rate_key or interval_key or per_sample:
            continue
        if found and _UNIT_KEY.fullmatch(found["key"].strip()) and found["value"].strip():
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
    unit = (unit or key["unit"] or "").lower()
    rate = float(found["number"].replace(",", ".")) * (1000.0 if unit.startswith("k") else 1.0)
    if key["bare"]:
        is_of_samples = unit.startswith("s") or (unit != "" and key["bare"].lower() == "rate")
        return rate if is_of_samples and LOWEST_RATE <= rate <= HIGHEST_RATE else None
    return rate


def _rate_of_interval(path: Path, line: str, value: str, key: re.Match[str]) -> float | None:
    """Return the sampling rate in Hz of a sampling interval, which is in s if it has no unit."""
    found = _NUMBER_AND_UNIT.fullmatch(value.strip())
    unit = (found["unit"].strip() or key["unit"] or "") if found else ""
    rate = _per_second(found["number"], unit or "s") if found else None
    if key["bare"] and (not unit or rate is None):
        return None
    if rate is None or (not unit and not LOWEST_RATE <= rate <= HIGHEST_RATE):
        raise RecordError(path, f"the sampling interval in {line.strip()[:60]!r} is not a number in s, ms or us")
    return rate


def _per_second(number: str, unit: str) -> float | None:
    """Return how often an interval fits into a second; ``None`` if it is not a time above 0."""
    seconds = seconds_in(unit)
    interval = float(number.replace(",", ".")) * (seconds or 0.0)
    return float(f"{1 / interval:.9g}") if interval > 0 else None
