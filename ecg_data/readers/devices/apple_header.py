"""Metadata in the lines before the samples of an Apple Health export.

The export is in the language of the phone, so a line is known by its value and place where possible, not by its key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ecg_study.ecg_data.readers.leads import is_other_signal
from ecg_study.ecg_data.readers.tables.metadata import metadata_in
from ecg_study.ecg_data.readers.units import Unit, UnitKind, parse_unit
from ecg_study.errors import RecordError

_FEWEST_LINES = 5
"""Fewest lines before the samples; an export has ten, of which some may be missing."""

_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LOOKS_LIKE_NUMBER = re.compile(r"[+-]?[.,]?[0-9][0-9.,eE+-]*")

_HERTZ_WORDS = frozenset(
    "hz khz hertz hertzů hertzi hertziä hertsiä herc herců herców hercios hertzios hercow hertzet герц гц герца герців"
    " χερτζ ヘルツ 赫兹 赫茲 헤르츠 هرتز הרץ เฮิรตซ์ héc".split()
)
"""The unit of the sampling rate, in lower case, in languages of Apple Health."""

_RATE = re.compile(r"(?P<number>\S*[0-9]\S*?)\s*(?P<unit>[^\W\d_]+)\.?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}")


@dataclass(frozen=True)
class HeaderLine:
    """A line before the samples.

    Attributes:
        number: line number from 1.
        key: text before the first comma.
        value: text after it without quotes; a decimal comma is part of it.
    """

    number: int
    key: str
    value: str


@dataclass(frozen=True)
class AppleHeader:
    """Metadata in the lines before the samples.

    Attributes:
        first_line: number of the first line with a sample, from 1; 0 if there is none.
        fs: sampling rate in Hz; ``None`` if no line states it.
        unit: unit of the samples; empty if no line states it.
        lead: name of the lead; empty if no line states it.
        start_time: start in ISO 8601; empty if no line states it.
    """

    first_line: int
    fs: float | None
    unit: str
    lead: str
    start_time: str


def is_apple_health(text: str) -> bool:
    """Return whether a text begins as an ECG of Apple Health: lines with key and value, then one number per line.

    Tables with lines before them begin like this, too. They have as many cells per row as the line above, or names
    directly above their numbers. A number with a comma may be two cells, so more must agree.
    """
    lines = text.splitlines()[:-1]
    header, first = _header_lines(lines)
    pairs = [line for line in header if line.value]
    dated = any(_DATE.fullmatch(line.value) for line in pairs)
    rated = any(_hertz(line.value) is not None for line in pairs)
    if len(header) < _FEWEST_LINES or not (dated or rated):
        return False
    if first is None:
        # Cut off before the first sample, or a text that goes on.
        return dated and rated and not any(_LOOKS_LIKE_NUMBER.match(line) for line in lines)
    last = header[-1]
    rows = [row for line in lines[first : first + 20] if (row := _cell(line))]
    if "," not in lines[last.number - 1] or not all(_NUMBER.fullmatch(row) for row in rows[:3]):
        return False
    if any(_NUMBER.fullmatch(row) and "," in row for row in rows):
        apart = not first or not _cell(lines[first - 1])
        named = parse_unit(last.key).kind is UnitKind.UNKNOWN and not is_other_signal(last.key)
        return apart and dated and rated and named and parse_unit(last.value).kind is not UnitKind.UNKNOWN
    return True


def _cell(line: str) -> str:
    """Return the only cell of a line. Spreadsheets write a comma after it, as other lines have two cells."""
    return line.strip().removesuffix(",").strip()


def _header_lines(lines: Sequence[str]) -> tuple[list[HeaderLine], int | None]:
    """Return the lines before the samples that are not blank, and the index of the first sample."""
    header: list[HeaderLine] = []
    for index, line in enumerate(lines):
        if _LOOKS_LIKE_NUMBER.fullmatch(_cell(line)):
            return header, index
        key, _, value = line.partition(",")
        if key.strip():
            header.append(HeaderLine(index + 1, key.strip(), _plain(value)))
    return header, None


def _plain(value: str) -> str:
    """Return a value without quotes. Some languages have a no-break space between number and unit."""
    return " ".join(value.split()).strip(' "').replace('""', '"')


def read_header(path: Path, lines: Sequence[str]) -> AppleHeader:
    """Return the metadata in the first lines of a file.

    Raises:
        RecordError: two lines contradict each other, or the sampling rate is not a number.
    """
    header, first = _header_lines(lines)
    stated: dict[str, str] = {}
    for line in header:
        if stated.setdefault(line.key, line.value) != line.value:
            problem = f"line {line.number:,}: {line.key[:40]!r} is stated twice, as {stated[line.key][:40]!r} and as"
            raise RecordError(path, f"{problem} {line.value[:40]!r}; a file must have one recording")
    metadata = metadata_in(path, [f"{line.key},{line.value}" for line in header])
    fs = _rate(path, header, metadata.fs)
    unit, lead = _unit_and_lead(path, header, metadata.unit)
    return AppleHeader(first + 1 if first is not None else 0, fs, unit, lead, _start_time(header))


def _hertz(value: str) -> re.Match[str] | None:
    """Return the number and the unit of a value in Hz; ``None`` if it has another unit."""
    found = _RATE.fullmatch(value)
    return found if found and found["unit"].lower() in _HERTZ_WORDS else None


def _rate(path: Path, header: Sequence[HeaderLine], stated: float | None) -> float | None:
    rates = set() if stated is None else {stated}
    for line in header:
        found = _hertz(line.value)
        if found is None:
            continue
        if not re.fullmatch(r"[0-9]{1,6}(?:[.,][0-9]{1,9})?", found["number"]):
            problem = f"line {line.number:,}: the sampling rate {line.value[:40]!r} is not a number in Hz"
            raise RecordError(path, problem)
        rates.add(float(found["number"].replace(",", ".")) * (1000.0 if found["unit"].lower() == "khz" else 1.0))
    if len(rates) > 1:
        raise RecordError(path, f"states several sampling rates: {', '.join(f'{rate:g} Hz' for rate in sorted(rates))}")
    return next(iter(rates), None)


def _unit_and_lead(path: Path, header: Sequence[HeaderLine], stated: str) -> tuple[str, str]:
    """Return the unit and the name of the lead. The last two lines have them: the lead, then its unit."""
    places = [
        place
        for place, line in enumerate(header)
        if _is_measured(parse_unit(line.value)) and (line.value != "V" or place == len(header) - 1)
    ]
    units = [header[place].value for place in places]
    if stated and stated not in units:
        places += [place for place, line in enumerate(header) if line.value == stated][-1:]
        units.append(stated)
    if len({(parse_unit(unit).kind, parse_unit(unit).millivolts) for unit in units}) > 1:
        raise RecordError(path, f"states several units: {', '.join(unit[:20] for unit in units[:20])}")
    if not places and len(header) > 1 and _are_a_block(header[:-3:-1]):
        places = [len(header) - 1]  # a unit in another script
    if not places:
        return "", ""
    unit, before = header[places[-1]], header[places[-1] - 1] if places[-1] else None
    named = before is not None and before.number == unit.number - 1 and _hertz(before.value) is None
    return unit.value, before.value if before is not None and named else ""


def _is_measured(unit: Unit) -> bool:
    return unit.kind in (UnitKind.VOLTAGE, UnitKind.ADC)


def _are_a_block(last_two: Sequence[HeaderLine]) -> bool:
    """Return whether the last two lines are the lead and its unit: next to each other, and neither is the rate."""
    after, before = last_two
    return after.number == before.number + 1 and all(_hertz(line.value) is None for line in last_two)


def _start_time(header: Sequence[HeaderLine]) -> str:
    found = [line.value for line in header if _DATE.fullmatch(line.value)]
    try:
        return datetime.strptime(found[0], "%Y-%m-%d %H:%M:%S %z").isoformat() if len(found) == 1 else ""
    except ValueError:
        return ""
