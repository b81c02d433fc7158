"""Times in a column of a table: names, units, and texts such as dates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.tables.cells import is_missing, is_number
from ecg_study.ecg_data.readers.units import seconds_in
from ecg_study.errors import RecordError

_NAMES = re.compile(
    r"(?:elapsed|relative|absolute|recording|sensor|phone|device|system|local|unix|utc|ecg|start)?[ _]*"
    r"(?:times?|t|time[ _]?stamps?|elapsed|date[ _-]?time|clock|epoch)(?:[ _]*(?:elapsed|utc|local))?"
    r"|secs?|seconds?|minutes?|milliseconds?|msecs?|microseconds?",
    re.IGNORECASE,
)
"""Names of columns with the time, without a unit."""

_FORMAT = re.compile(
    r"[hmsdyfHMSDYF:.,/ _-]*(?:hh?|mm?):(?:mm?|ss?)[hmsdyfHMSDYF:.,/ _-]*|date.*|iso.*|utc|local", re.IGNORECASE
)
"""Texts in brackets that describe how a time is written."""

_CLOCK_TIME = re.compile(r"(?:(?P<hours>\d{1,3}):)?(?P<minutes>\d{1,3}):(?P<seconds>\d{1,2}(?:[.,]\d{1,9})?)")
_DOTTED_DATE = re.compile(
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})(?:,? +|_|T)(?P<hour>\d{1,2})(?P<rest>:\d{2}.*)"
)
_ISO_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}[T ]\d{2}:?\d{2}")


_DATE = r"(?:\d{4}-\d\d-\d\d|\d{8}(?=T)|\d{4}/\d\d/\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{2,4})"
_TIME_OF_DAY = r"(?:\d{1,3}:\d\d(?::\d\d)?(?:[.,:]\d+)?|(?<=T)\d{4,6}(?:[.,]\d+)?)(?: ?[AP]M)?(?: ?Z| ?[+-]\d\d:?\d\d)?"
_TIME_TEXT = re.compile(
    rf"[\[('\"]*(?:{_DATE}(?:(?:T|,? +|_){_TIME_OF_DAY})?|{_TIME_OF_DAY}(?:,? +{_DATE})?)[\])'\"]*", re.IGNORECASE
)


def is_time_text(text: str) -> bool:
    """Return whether a text is a date, a time of day or both, in any usual form."""
    return _TIME_TEXT.fullmatch(text.strip()) is not None


def is_readable_time(text: str) -> bool:
    """Return whether `seconds_from_texts` reads a text."""
    plain = _plain(text)
    return _CLOCK_TIME.fullmatch(plain) is not None or _ISO_DATE.match(plain) is not None


def has_time_unit(name: str) -> bool:
    """Return whether a name ends with a unit of time, as ``Zeit (s)`` and ``t_ms`` do, or is one."""
    plain, unit = divide_time_name(name)
    return seconds_in(plain if unit is None else unit) is not None


@dataclass(frozen=True)
class TimeName:
    """Name of a column with the time.

    Attributes:
        seconds: seconds per unit; ``None`` if the name has no unit.
    """

    seconds: float | None


def parse_time_name(path: Path, name: str) -> TimeName | None:
    """Return what a column name says about its times; ``None`` if it is not the name of a time.

    Raises:
        RecordError: the unit is unknown.
    """
    plain, unit = divide_time_name(name)
    if _NAMES.fullmatch(plain) is None:
        return None
    return TimeName(_unit_seconds(path, name, plain, unit))


def time_unit_of(path: Path, name: str) -> float | None:
    """Return the seconds per unit that a column name states; ``None`` if it has no unit.

    Raises:
        RecordError: the unit is unknown.
    """
    plain, unit = divide_time_name(name)
    return _unit_seconds(path, name, plain, unit)


def _unit_seconds(path: Path, name: str, plain: str, unit: str | None) -> float | None:
    if unit is None:
        return seconds_in(plain) if len(plain) > 2 else None
    if not unit or _FORMAT.fullmatch(unit):
        return None
    seconds = seconds_in(unit)
    if seconds is None:
        known = "s, ms, us, ns, min or h"
        raise RecordError(path, f"column {name}: unit {unit!r} of the time is unknown; use {known}")
    return seconds


def divide_time_name(name: str) -> tuple[str, str | None]:
    """Return a name without its unit, and the unit; ``None`` without one."""
    name = name.strip()
    found = re.fullmatch(r"(.*?)[ _]*[(\[{<](.*)[)\]}>]", name)
    if found:
        return found[1].strip(), found[2].strip()
    found = re.fullmatch(r"(.*?)\s*[ _/.,:-]\s*([^ _/.,:-]+)", name)
    if found and seconds_in(found[2]) is not None and found[1].lower() not in ("elapsed", "relative"):
        return found[1].strip(), found[2].strip()
    return name, None


def are_numbers(cells: Sequence[Any], *, decimal: str) -> bool:
    """Return whether all cells that are not missing are numbers."""
    return all(is_number(cell, decimal=decimal) for cell in cells if isinstance(cell, str) and not is_missing(cell))


def date_from_seconds(seconds: float, *, like: str) -> str:
    """Return a date and time in ISO 8601 in the time zone of a text; without a zone if the text has none.

    Args:
        seconds: seconds since 1970, from `seconds_from_texts`.
        like: a text of the same column.
    """
    import pandas as pd

    zone = pd.Timestamp(_plain(like).replace(",", ".")).tzinfo
    moment = pd.Timestamp(seconds, unit="s", tz="UTC").round("us")
    return str(moment.tz_convert(zone).isoformat())


def _plain(text: str) -> str:
    """Return a text without quotes; a date with dots, which begins with the day, as ISO 8601 writes it."""
    plain = text.strip().strip("'\"[]").strip()
    found = _DOTTED_DATE.fullmatch(plain)
    if found is None:
        return plain
    day, month, hour = (int(found[name]) for name in ("day", "month", "hour"))
    return f"{found['year']}-{month:02}-{day:02} {hour:02}{found['rest']}"


def seconds_from_texts(path: Path, name: str, *, texts: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Convert times of day and dates to seconds; missing times become NaN.

    Times of day, such as ``10:00:00.004`` and ``0:00.004``, count from midnight or from zero. Dates in ISO 8601, and
    those with dots such as ``24.11.2026 10:00:00``, count from 1970, those without a time zone as if they were UTC.

    Raises:
        RecordError: a text is neither.
    """
    import pandas as pd

    seconds = np.full(len(texts), np.nan)
    cleaned = [_plain(text) if isinstance(text, str) else "" for text in texts]
    dated = [place for place, text in enumerate(cleaned) if _ISO_DATE.match(text)]
    if dated:
        # ISO 8601 allows a decimal comma. A text that is not a date becomes NaN, which is reported below.
        iso = [cleaned[place].replace(",", ".") for place in dated]
        moments = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
        seconds[dated] = np.asarray((moments - pd.Timestamp(0, tz="UTC")).total_seconds(), np.float64)
    for place in np.flatnonzero(np.isnan(seconds)).tolist():
        text = cleaned[place]
        if is_missing(text):
            continue
        found = _CLOCK_TIME.fullmatch(text)
        if found is None:
            shown = f"{texts[place].strip()[:40]!r} in column {name}"
            raise RecordError(
                path, f"line {lines[place]:,}: {shown} is not a time (a number, h:m:s, ISO 8601 or DD.MM.YYYY)"
            )
        whole = 3600.0 * int(found["hours"] or 0) + 60.0 * int(found["minutes"])
        seconds[place] = whole + float(found["seconds"].replace(",", "."))
    return seconds
