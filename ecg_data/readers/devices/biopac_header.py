"""Headers of AcqKnowledge files (``.acq``): channels, layout of the samples, and the sections after them.

References:
    BIOPAC Systems, Application Note 156: ACQ file format for PC with Windows (versions to 3.9); and the notes on later
    versions in bioread, https://github.com/uwmadison-chm/bioread.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from ecg_study.errors import RecordError

VERSIONS = ((35, 45), (84, 132))
"""First and last revisions of the format that are read: AcqKnowledge 3.0.3 to 3.9, and 4.1 to 5.0."""

_FOURTH = 61
"""First revision of AcqKnowledge 4, whose headers differ."""

_WITH_JOURNAL = 38
"""First revision with a journal after the markers."""

_MOST_CHANNELS = 256
_LONGEST_HEADER = 1 << 20
_JOURNAL = b"\x44\x33\x22\x11"
_FREQUENCY_AXIS = 2


class Fields:
    """Numbers in the bytes of a file.

    Args:
        path: path of the file, for messages.
        content: all bytes of the file.
        order: byte order, ``"<"`` or ``">"``.
    """

    def __init__(self, path: Path, content: memoryview, *, order: str) -> None:
        self.path = path
        self.content = content
        self.order = order

    def integer(self, place: int, *, size: int = 4, signed: bool = True) -> int:
        """Return the integer at a place."""
        code = {2: "h", 4: "i"}[size]
        return int(self._unpacked(place, size, code if signed else code.upper()))

    def number(self, place: int) -> float:
        """Return the float of 8 bytes at a place."""
        return float(self._unpacked(place, 8, "d"))

    def text(self, place: int, size: int) -> str:
        """Return the text at a place, up to the first zero byte."""
        stored = bytes(self._part(place, size)).partition(b"\0")[0]
        try:
            return stored.decode("utf-8").strip()
        except UnicodeDecodeError:
            return stored.decode("latin-1").strip()

    def length(self, place: int, name: str, *, size: int = 4, least: int = 0, most: int = _LONGEST_HEADER) -> int:
        """Return a length or count at a place.

        Raises:
            RecordError: it is out of range.
        """
        found = self.integer(place, size=size, signed=size == 4)
        if not least <= found <= most:
            raise RecordError(self.path, f"{name} is {found:,} instead of {least:,} to {most:,}; the file is damaged")
        return found

    def _unpacked(self, place: int, size: int, code: str) -> float:
        value: float = struct.unpack(self.order + code, self._part(place, size))[0]
        return value

    def _part(self, place: int, size: int) -> memoryview:
        if place < 0 or place + size > len(self.content):
            problem = f"truncated: {len(self.content):,} bytes, but its headers go on to byte {place + size:,}"
            raise RecordError(self.path, problem)
        return self.content[place : place + size]


@dataclass(frozen=True)
class AcqChannel:
    """Header of a channel.

    Attributes:
        name: name; it may be empty, and several channels may have the same.
        unit: unit after the conversion.
        samples: number of samples.
        divider: base samples per sample.
        scale: units per digital unit of integers.
        offset: value of the digital value 0 of integers, in the unit.
        size: bytes per sample: 2 for integers, 8 for floats, which are in the unit.
    """

    name: str
    unit: str
    samples: int
    divider: int
    scale: float
    offset: float
    size: int


@dataclass(frozen=True)
class AcqHeader:
    """Headers of a file.

    Attributes:
        order: byte order of the headers, and of samples that are not compressed.
        revision: revision of the format.
        seconds: seconds per base sample.
        compressed: whether the samples of each channel are compressed.
        channels: all channels.
        data: place of the first sample, or of the section after the headers if samples are compressed.
    """

    order: str
    revision: int
    seconds: float
    compressed: bool
    channels: tuple[AcqChannel, ...]
    data: int


def byte_order(head: bytes) -> str:
    """Return the byte order of the first bytes of an AcqKnowledge file; empty if they are not of one."""
    if len(head) < 64:
        return ""
    for order in "<>":
        item, revision, length, channels, axis = struct.unpack_from(f"{order}hiihh", head)
        (seconds,) = struct.unpack_from(f"{order}d", head, 16)
        known = item == 0 and 30 <= revision < 1000 and 200 <= length <= _LONGEST_HEADER and 0 < channels < 1000
        if known and 0 <= axis <= 10 and 1e-4 < seconds < 1e7:
            return order
    return ""


def read_header(path: Path, content: memoryview) -> AcqHeader:
    """Read the headers before the samples.

    Raises:
        RecordError: the revision is unknown, or a length, a type or a count is out of range.
    """
    order = byte_order(bytes(content[:64]))
    fields = Fields(path, content, order=order or "<")
    revision = fields.integer(2)
    if not order or not any(first <= revision <= last for first, last in VERSIONS):
        problem = f"has revision {revision:,} of the AcqKnowledge format; AcqKnowledge 3.0.3 to 3.9 and 4.1 to 5.0 can"
        raise RecordError(path, f"{problem} be read; save it as one of these, or as text")
    if fields.integer(12, size=2) >= _FREQUENCY_AXIS:
        raise RecordError(path, "its horizontal axis is not the time; save the recording, not a spectrum")
    milliseconds = fields.number(16)
    late = revision >= _FOURTH
    place = fields.length(6, "the length of its header", least=300)
    compressed = False
    if revision >= 41:
        compressed = bool(fields.integer(972 if late else 1936))
    for _ in range(
        fields.length(2398, "the number of blocks after its header", size=2, most=64) if revision >= 124 else 0
    ):
        place += fields.length(place, "the length of a block after its header", least=4)
    described = []
    for number in range(fields.length(10, "the number of channels", size=2, least=1, most=_MOST_CHANNELS)):
        size = fields.length(place, f"the length of the header of channel {number + 1}", least=112)
        described.append(_channel(fields, place, revision, number + 1))
        place += size
    place += (
        fields.length(place, "the length of a section", least=4)
        if late
        else fields.length(place, "the length of a section", size=2, least=4)
    )
    channels = []
    for number, channel in enumerate(described, 1):
        kind = (fields.integer(place, size=2), fields.integer(place + 2, size=2))
        if kind not in ((8, 0), (8, 1), (2, 2)):
            raise RecordError(
                path, f"channel {number} has samples of {kind[0]} bytes and type {kind[1]}, which is unknown"
            )
        channels.append(replace(channel, size=kind[0]))
        place += 4
    _check_durations(path, channels)
    return AcqHeader(order, revision, milliseconds / 1000, compressed, tuple(channels), place)


def _channel(fields: Fields, place: int, revision: int, number: int) -> AcqChannel:
    scale, offset = fields.number(place + 92), fields.number(place + 100)
    if not (math.isfinite(scale) and math.isfinite(offset) and scale):
        problem = f"channel {number} has the scale {scale:g} and the offset {offset:g}; the file is damaged"
        raise RecordError(fields.path, problem)
    divider = 1
    if revision >= 38:
        # 0 means that all base samples are stored.
        at = place + (152 if revision >= _FOURTH else 250)
        divider = fields.length(at, f"the divider of channel {number}", size=2, most=1 << 15) or 1
    return AcqChannel(
        name=fields.text(place + 6, 40),
        unit=fields.text(place + 68, 20),
        samples=fields.length(place + 88, f"the number of samples of channel {number}", most=(1 << 31) - 1),
        divider=divider,
        scale=scale,
        offset=offset,
        size=0,  # It is stored after the headers of all channels.
    )


def _check_durations(path: Path, channels: list[AcqChannel]) -> None:
    """Refuse channels whose numbers of samples and dividers contradict each other."""
    lengths = [channel.samples * channel.divider for channel in channels]
    slack = 2 * max(channel.divider for channel in channels)
    if not max(lengths) or max(lengths) - min(lengths) > slack:
        listed = ", ".join(f"{channel.samples:,} × {channel.divider}" for channel in channels[:20])
        raise RecordError(path, f"its channels have different durations (samples × divider: {listed})")


def end_of_data(fields: Fields, header: AcqHeader) -> int:
    """Return the place after samples that are not compressed, where the markers must follow."""
    end = header.data + sum(channel.samples * channel.size for channel in header.channels)
    if end > len(fields.content):
        problem = f"truncated: {len(fields.content):,} bytes, but its samples alone go on to byte {end:,}"
        raise RecordError(fields.path, problem)
    place = after_markers(fields, end, revision=header.revision)
    if header.revision >= _WITH_JOURNAL:
        after_journal(fields, place, revision=header.revision)
    return end


def after_markers(fields: Fields, place: int, *, revision: int) -> int:
    """Return the place after the markers, which must be whole."""
    if revision >= _FOURTH:
        length = fields.length(place, "the length of its markers", least=25, most=1 << 30)
        count = fields.length(place + 4, "the number of its markers", least=1, most=length)
        if bytes(fields.content[place + 18 : place + 22]) != b"defl" or not count:
            raise RecordError(fields.path, "its markers do not follow its samples; the file is damaged")
        return _within(fields, place + length)
    if revision < _WITH_JOURNAL:
        # The length includes its own field, and a marker has 10 bytes and its text.
        length = fields.length(place, "the length of its markers", least=8, most=1 << 30)
        fields.length(place + 4, "the number of its markers", most=(length - 8) // 10)
        return _within(fields, place + length)
    length = fields.length(place, "the length of its markers", most=1 << 30)
    count = fields.length(place + 4, "the number of its markers", most=length // 12)
    end = _within(fields, place + 8 + length)
    if revision >= 41 and bytes(fields.content[end : end + 4]) != _JOURNAL:
        end = _within(fields, end + 84 + 28 * count)  # colors and kinds of the markers
    if bytes(fields.content[end : end + 4]) != _JOURNAL:
        raise RecordError(fields.path, "its journal does not follow its markers; the file is damaged")
    return end


def after_journal(fields: Fields, place: int, *, revision: int) -> int:
    """Return the place after the journal."""
    if revision >= _FOURTH:
        return _within(fields, place + fields.length(place, "the length of its journal", least=4, most=1 << 30))
    return _within(fields, place + 10 + fields.length(place + 6, "the length of its journal", most=1 << 30))


def _within(fields: Fields, place: int) -> int:
    if place > len(fields.content):
        problem = f"truncated: {len(fields.content):,} bytes, but its markers and journal go on to byte {place:,}"
        raise RecordError(fields.path, problem)
    return place
