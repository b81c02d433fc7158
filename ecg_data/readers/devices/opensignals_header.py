"""Header of OpenSignals text files: devices, columns, resolution and sampling rate.

References:
    PLUX, OpenSignals File Specifications: TXT Format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ecg_study.ecg_data.readers.channels import MAX_CHANNELS
from ecg_study.ecg_data.readers.tables.text import decode, line_blocks
from ecg_study.errors import RecordError
from ecg_study.reading import UnreadableError, parse_json

_MAX_LINES = 100
_END = re.compile(r"#?\s*EndOfHeaders?\s*")

_COUNTER = "nSeq"
_DIGITAL = re.compile(r"(?:DI|DO|I|O)[0-9]{0,2}")
"""Digital inputs and outputs, where the header does not list the channels."""

_UNNAMED_SENSORS = frozenset(("", "raw", "custom", "other", "unknown"))
"""Types that are not those of a sensor, in lower case; some are followed by ``/`` and a range."""

RAW = "ADC"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: type of its sensor, such as ``ECG``; its name in the file if the type is not stated.
        unit: unit that the header states; ``RAW`` for samples without a conversion; empty if it is unknown.
        top: largest sample without a conversion; 0 if it is not stated.
        is_counter: whether it numbers the samples.
        is_digital: whether it is a digital input or output.
    """

    name: str
    unit: str
    top: int = 0
    is_counter: bool = False
    is_digital: bool = False


@dataclass(frozen=True)
class OpenSignalsHeader:
    """Header of a file.

    Attributes:
        columns: columns of all devices, in the order of the file.
        fs: sampling rate in Hz; ``None`` if it is not stated.
        first_line: number of the first line after the header, from 1.
        start_time: start in ISO 8601, without fractions of a second; empty if it is not stated.
    """

    columns: tuple[Column, ...]
    fs: float | None
    first_line: int
    start_time: str


def read_header(path: Path) -> OpenSignalsHeader:
    """Read the header of a file.

    Raises:
        RecordError: it is cut off, is not JSON, or contradicts itself.
    """
    lines = [
        line
        for block in islice(line_blocks(path, block_bytes=1 << 20), 1)
        for line in decode(block.content).split("\n")
    ]
    end = next((place for place, line in enumerate(lines[:_MAX_LINES]) if _END.fullmatch(line)), None)
    if end is None:
        raise RecordError(path, "its header does not end with 'EndOfHeader'; the file is truncated or damaged")
    text = "\n".join(line.removeprefix("#") for line in lines[1:end])
    try:
        devices = parse_json(text)
    except UnreadableError as error:
        raise RecordError(path, f"its header cannot be read: {error}") from error
    if not isinstance(devices, dict) or not devices or not all(isinstance(one, dict) for one in devices.values()):
        raise RecordError(path, "its header does not describe a device; the file is damaged")
    ordered = _in_order(path, list(devices.values()))
    columns = tuple(column for device in ordered for column in _columns(path, device))
    if not columns or len(columns) > MAX_CHANNELS:
        raise RecordError(path, f"its header states {len(columns):,} columns; 1 to {MAX_CHANNELS:,} can be read")
    rates = {_rate(path, device) for device in ordered}
    if len(rates) > 1:
        listed = ", ".join("none" if rate is None else f"{rate:g} Hz" for rate in rates)
        raise RecordError(path, f"its devices have different sampling rates ({listed}); export each one separately")
    return OpenSignalsHeader(columns, rates.pop(), end + 2, start_time_of(ordered[0]))


def _in_order(path: Path, devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the devices in the order of their columns, on which the header must agree with itself."""
    positions = [device.get("position") for device in devices]
    stated = [place for place in positions if isinstance(place, int)]
    if len(set(stated)) == len(devices) and stated != sorted(stated):
        raise RecordError(path, "the positions of its devices contradict their order; export each one separately")
    return devices


def _texts(path: Path, device: dict[str, Any], key: str) -> list[str] | None:
    """Return a list of texts; ``None`` if it is missing."""
    found = device.get(key)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise RecordError(path, f"field {key!r} of its header is not a list of names; the file is damaged")
    return found


def _columns(path: Path, device: dict[str, Any]) -> list[Column]:
    names = _texts(path, device, "column")
    if names is None and _texts(path, device, "label"):
        # Files of 2015 and before, in which a counter comes before the channels.
        names = [_COUNTER, *device["label"]]
    if not names:
        raise RecordError(path, "its header does not name the columns (field 'column')")
    names = [name.strip() for name in names]
    before = _columns_before_channels(path, device, names)
    channels = len(names) - before
    sensors, labels = _texts(path, device, "sensor"), _texts(path, device, "label")
    for key, found in (("sensor", sensors), ("label", labels)):
        if found is not None and len(found) != channels:
            problem = f"field {key!r} of its header has {len(found):,} entries for {channels:,} channels"
            raise RecordError(path, f"{problem}; the file is damaged")
    converted = device.get("convertedValues") in (1, True)
    units = _units(device, channels)
    columns = []
    for place, name in enumerate(names):
        bits = _bits(device, place, before, len(names))
        if place < before:
            counts = name == _COUNTER
            columns.append(Column(name, "index" if counts else "boolean", (1 << bits) - 1, counts, not counts))
            continue
        channel = place - before
        sensor = sensors[channel].strip() if sensors else ""
        unit = units[channel] or ("" if converted else RAW)
        top = 0 if converted or units[channel] else (1 << bits) - 1
        columns.append(Column(sensor if is_sensor_type(sensor) else name, unit, top))
    return columns


def _columns_before_channels(path: Path, device: dict[str, Any], names: list[str]) -> int:
    """Return the number of columns with the counter and digital inputs and outputs, which come first."""
    known = [name == _COUNTER or _DIGITAL.fullmatch(name) is not None for name in names]
    before = known.index(False) if False in known else len(known)
    listed = device.get("channels")
    if isinstance(listed, list) and len(listed) != len(names) - before:
        problem = f"field 'channels' of its header has {len(listed):,} entries, but {len(names) - before:,} columns"
        raise RecordError(path, f"{problem} are channels; the file is damaged")
    return before


def _units(device: dict[str, Any], channels: int) -> list[str]:
    """Return the unit of each channel; empty where none is stated."""
    for key in ("unit", "units"):
        found = device.get(key)
        if isinstance(found, list) and len(found) == channels and all(isinstance(one, str) for one in found):
            return [one.strip() for one in found]
    return [""] * channels


def _bits(device: dict[str, Any], place: int, before: int, columns: int) -> int:
    """Return the bits of a column; 0 if they are not stated. The list covers all columns, or only the channels."""
    listed = device.get("resolution")
    if isinstance(listed, int):
        listed = [listed] * (columns - before)  # one for all channels
    if not isinstance(listed, list) or len(listed) not in (columns, columns - before):
        return 0
    place -= columns - len(listed)
    bits = listed[place] if place >= 0 else 0
    return bits if isinstance(bits, int) and 1 <= bits <= 32 else 0


def _rate(path: Path, device: dict[str, Any]) -> float | None:
    stated = device.get("sampling rate")
    if stated is None or stated == "":
        return None
    try:
        rate = float(stated) if isinstance(stated, (int, float, str)) and not isinstance(stated, bool) else math.nan
    except (ValueError, OverflowError):
        rate = math.nan
    if not math.isfinite(rate):
        raise RecordError(path, f"the sampling rate {str(stated)[:40]!r} in its header is not a number in Hz")
    return rate


def is_sensor_type(text: str) -> bool:
    """Return whether a text states the type of a sensor, such as ``ECG``."""
    return text.lower().partition("/")[0] not in _UNNAMED_SENSORS


def start_time_of(device: Mapping[str, Any]) -> str:
    """Return the start. Fractions of a second are written in two ways, so they are left out."""
    date, time = str(device.get("date", "")), str(device.get("time", ""))
    found = re.fullmatch(
        r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2}) ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.[0-9]*)?", f"{date} {time}"
    )
    try:
        return datetime(*(int(part) for part in found.groups())).isoformat() if found else ""  # type: ignore[arg-type]
    except ValueError:
        return ""
