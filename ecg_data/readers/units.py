"""Units of measurement in headers: voltages, ADC units, and everything else."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum


class UnitKind(Enum):
    """Kind of quantity that a unit measures."""

    VOLTAGE = "voltage"
    ADC = "ADC units"
    OTHER = "another quantity"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Unit:
    """Unit as written in a file.

    Attributes:
        text: text of the unit.
        kind: kind of quantity.
        millivolts: mV per unit of a voltage, otherwise 0.
    """

    text: str
    kind: UnitKind
    millivolts: float = 0.0


VOLTAGE_NAMES = ("V", "mV", "uV", "nV")
"""Names of the units of voltage that a user can give."""

_VOLTS_IN_MV = {"": 1e3, "k": 1e6, "m": 1.0, "u": 1e-3, "n": 1e-6, "milli": 1.0, "micro": 1e-3, "nano": 1e-6}

_VOLTAGE = re.compile(r"(k|m|u|n|milli|micro|nano)?[ -]?(?:v|volts?)", re.IGNORECASE)

_ADC = re.compile(
    r"(?:raw |signed |unsigned )?(?:adc|adu|a/d)(?: ?(?:units?|counts?|values?|codes?|steps?))?"
    r"|(?:raw )?counts?|lsbs?|digits?|ticks?|dac|digital|bits?|quants?",
    re.IGNORECASE,
)

_SI = "|".join(("", "k", "m", "u", "n", "p", "c", "d", "h", "G", "M"))
_SYMBOLS = (
    # Base units, and those of a patient monitor.
    *("s", "sec", "second", "seconds", "min", "minutes", "h", "hours", "Hz", "A", "W", "J", "N", "C", "F", "H", "T"),
    *(
        "Pa",
        "bar",
        "mmHg",
        "cmH2O",
        "torr",
        "g",
        "gal",
        "m",
        "l",
        "L",
        "mol",
        "K",
        "degC",
        "degF",
        "°C",
        "°F",
        "°",
        "deg",
    ),
    *("rad", "Ohm", "ohm", "ohms", "Ω", "S", "lx", "lux", "cd", "B", "dB", "px", "pixel"),
    *(
        "m/s",
        "m/s2",
        "m/s^2",
        "m/s²",
        "ms-2",
        "deg/s",
        "dps",
        "°/s",
        "rad/s",
        "l/min",
        "L/min",
        "1/min",
        "/min",
        "g/dl",
    ),
)
_OTHER_SYMBOL = re.compile(f"(?:{_SI})(?:{'|'.join(re.escape(symbol) for symbol in _SYMBOLS)})")
_OTHER_WORD = re.compile(
    r"%|‰|percent|per ?cent|ppm|bpm|beats/min|beats per minute|breaths/min|rpm|nu|n\.u\.|a\.?u\.?|-|none|n/?a"
    r"|arb(?:itrary|\.)? ?units?|normali[sz]ed|unitless|index|ratio|boolean|bool|celsius|fahrenheit|kelvin|pascals?"
    r"|grams?|gravity",
    re.IGNORECASE,
)


def parse_unit(text: str) -> Unit:
    """Return the unit that a text means; its kind is unknown if the text is not a known unit."""
    plain = _plain(text)
    found = _VOLTAGE.fullmatch(plain)
    if found:
        return Unit(text, UnitKind.VOLTAGE, _VOLTS_IN_MV[(found.group(1) or "").lower()])
    if _ADC.fullmatch(plain):
        return Unit(text, UnitKind.ADC)
    if _OTHER_WORD.fullmatch(plain) or _OTHER_SYMBOL.fullmatch(plain):
        return Unit(text, UnitKind.OTHER)
    return Unit(text, UnitKind.UNKNOWN)


def voltage_in(text: str) -> float | None:
    """Return the mV per unit of a text that is a voltage, otherwise ``None``."""
    unit = parse_unit(text)
    return unit.millivolts if unit.kind is UnitKind.VOLTAGE else None


def _plain(text: str) -> str:
    """Return a unit with the letter u for micro, whatever the encoding of the sign was.

    The micro sign and the Greek letter mu look alike. The sign in UTF-8 that was read as Latin-1 is ``Âµ``, and the
    letter is ``Î¼``.
    """
    text = text.replace("Âµ", "µ").replace("Î¼", "µ")
    text = unicodedata.normalize("NFKC", text).replace("μ", "u")
    return re.sub(r"\s+", " ", text).strip(" \t'\"").rstrip(".")


_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "millis"), 1e-3),
    **dict.fromkeys(("us", "usec", "usecs", "microsecond", "microseconds", "micros"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanosecond", "nanoseconds", "nanos"), 1e-9),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
"""Unit, in lower case → seconds per unit."""


def seconds_in(unit: str) -> float | None:
    """Return the seconds in a unit of time; ``None`` if the text is not one."""
    return _SECONDS.get(unit.strip().lower().rstrip(".").replace("µ", "u").replace("μ", "u"))


_BRACKETS = re.compile(
    r"^(?P<name>.*?)[ _]*(?:\((?P<a>[^()]*)\)|\[(?P<b>[^\[\]]*)\]|\{(?P<c>[^{}]*)\}|<(?P<d>[^<>]*)>)\s*$"
)
_SEPARATED = re.compile(r"^(?P<name>.*[^\s_/.,:;=|-])\s*(?P<mark>[\s_/.,:;=|-]|\bin\b)\s*(?P<unit>[^\s_/.,:;=|-]+)\s*$")


@dataclass(frozen=True)
class NameAndUnit:
    """Name of a column or lead, divided into its name and the unit at its end.

    Attributes:
        name: name without the unit.
        unit: the unit; ``None`` if the name has none.
    """

    name: str
    unit: Unit | None


def split_name(text: str) -> NameAndUnit:
    """Divide a name such as ``ECG (mV)``, ``signal_uV``, ``ECG/µV`` or ``ecg [counts]``.

    A text in brackets at the end is a unit if it is a known one, or if it is unknown and not a description such as
    ``(left arm)`` or ``(II)``. After another separator, it is a unit if it is a voltage or means ADC units.
    A single letter V is a chest lead, except in brackets, after ``_`` or after ``/``.
    """
    text = text.strip()
    found = _BRACKETS.match(text)
    if found:
        inner = next((value for value in found.group("a", "b", "c", "d") if value is not None), "")
        unit = parse_unit(inner)
        if unit.kind is not UnitKind.UNKNOWN or not _is_description(inner):
            return NameAndUnit(found["name"].strip(), unit)
        return NameAndUnit(text, None)
    found = _SEPARATED.match(text)
    if found:
        unit = parse_unit(found["unit"])
        is_chest_lead = found["unit"] == "V" and found["mark"] not in "_/"
        if unit.kind in (UnitKind.VOLTAGE, UnitKind.ADC) and not is_chest_lead:
            return NameAndUnit(found["name"].strip(" _").removesuffix(" in"), unit)
    return NameAndUnit(text, None)


_DESCRIPTION = re.compile(
    r"|\d+|(?:m?l?i{1,3}|mli|a?v[rlf]|v\d{0,2}[rl]?|[rlf][al]?[-/][rlf][al]?|[xyz]|c[mcs]\d|d\d|ecg|ekg)"
    r"|(?:lead|channel|ch|limb|chest|precordial|derivation|electrode|sensor|left|right|upper|lower|arm|leg|foot|hand|wrist"
    r"|filtered|unfiltered|raw|clean|cleaned|noisy|denoised|derived|processed|recorded|original|resampled|inverted|front"
    r"|first|second|third|top|bottom|main|test|patient|modified|bipolar|unipolar|dry|wet|standard|mason|likar|holter)",
    re.IGNORECASE,
)


def _is_description(text: str) -> bool:
    """Return whether a text in brackets describes a lead, as ``left arm``, ``filtered``, ``II`` or ``RA-LA`` do."""
    return all(_DESCRIPTION.fullmatch(word) for word in re.split(r"[ _]+", text.strip()))
