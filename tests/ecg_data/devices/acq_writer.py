"""Writer of AcqKnowledge files, from the published layout of their headers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Channel:
    """A channel to write: digital values if its type is ``i2``, else values in its unit."""

    values: np.ndarray
    name: str = "ECG"
    unit: str = "mV"
    divider: int = 1
    scale: float = 0.005
    offset: float = 0.0
    kind: str = "i2"

    @property
    def size(self) -> int:
        return int(self.kind[1])


@dataclass(frozen=True)
class Layout:
    """Lengths of the headers of one revision."""

    graph: int
    channel: int
    divider: int
    compressed: int


LAYOUTS = {
    35: Layout(322, 132, 0, 0),
    38: Layout(1800, 252, 250, 0),
    41: Layout(1944, 254, 250, 1936),
    42: Layout(2976, 256, 250, 1936),
    45: Layout(13104, 262, 250, 1936),
    84: Layout(1564, 1716, 152, 972),
    108: Layout(1574, 1820, 152, 972),
    124: Layout(2400, 1826, 152, 972),
    128: Layout(2410, 1826, 152, 972),
    132: Layout(2414, 1828, 152, 972),
}


def acq(
    channels: Sequence[Channel],
    *,
    revision: int = 132,
    order: str = ">",
    milliseconds: float = 1.0,
    compressed: bool = False,
    markers: int = 1,
    axis: int = 0,
) -> bytes:
    """Return the content of a file."""
    layout = LAYOUTS[revision]
    graph = bytearray(layout.graph)
    struct.pack_into(f"{order}hiihhh", graph, 0, 0, revision, layout.graph, len(channels), axis, 1)
    struct.pack_into(f"{order}d", graph, 16, milliseconds)
    if layout.compressed:
        struct.pack_into(f"{order}i", graph, layout.compressed, compressed)
    if revision >= 124:
        struct.pack_into(f"{order}h", graph, 2398, 1)
        graph += struct.pack(f"{order}i", 40) + bytes(36)
    parts = [bytes(graph), *(_header(channel, layout, order, position) for position, channel in enumerate(channels))]
    parts.append(
        struct.pack(f"{order}i", 8) + bytes(4) if revision > 60 else struct.pack(f"{order}hh", 40, 0) + bytes(36)
    )
    parts += [struct.pack(f"{order}hh", channel.size, 2 if channel.kind == "i2" else 1) for channel in channels]
    if not compressed:
        parts.append(interleaved(channels, order))
    parts += [_markers(revision, order, markers), _journal(revision, order)]
    if compressed:
        parts.append(_before_compressed(revision, order))
        parts += [
            _packed(channel, revision, order, milliseconds, position) for position, channel in enumerate(channels)
        ]
    elif revision > 60:
        parts.append(b"<settings/>" * 30)
    return b"".join(parts)


def _header(channel: Channel, layout: Layout, order: str, position: int) -> bytes:
    header = bytearray(layout.channel)
    encoding = "utf-8" if layout.divider == 152 else "latin-1"
    struct.pack_into(f"{order}ih40s", header, 0, layout.channel, position, channel.name.encode(encoding))
    struct.pack_into(f"{order}20s", header, 68, channel.unit.encode(encoding))
    struct.pack_into(f"{order}idd", header, 88, len(channel.values), channel.scale, channel.offset)
    if layout.divider:
        struct.pack_into(f"{order}h", header, layout.divider, channel.divider)
    return bytes(header)


def interleaved(channels: Sequence[Channel], order: str) -> bytes:
    """Return all samples in the order in which they were recorded, one after the other."""
    parts = []
    last = max(len(channel.values) * channel.divider for channel in channels)
    for tick in range(last):
        for channel in channels:
            number, rest = divmod(tick, channel.divider)
            if not rest and number < len(channel.values):
                code = "h" if channel.kind == "i2" else "d"
                parts.append(struct.pack(f"{order}{code}", channel.values[number]))
    return b"".join(parts)


def _markers(revision: int, order: str, count: int) -> bytes:
    if revision > 60:
        extra = {84: 0, 108: 0, 124: 16, 128: 32, 132: 32}[revision]
        items = bytes(26 * count)
        header = struct.pack(f"{order}iii", 25 + extra + len(items), count + 1, count) + bytes(6) + b"defl\0"
        return header + bytes(2 + extra) + items
    items = b"".join(struct.pack(f"{order}ihhhh", 0, 0, 0, 0, 9) + b"marker 1\0\0" for _ in range(count))
    if revision < 38:
        return struct.pack(f"{order}ii", 8 + len(items), count) + items
    kinds = bytes(84 + 28 * count) if revision >= 41 else b""
    return struct.pack(f"{order}ii", len(items), count) + items + kinds


def _journal(revision: int, order: str) -> bytes:
    if revision > 60:
        return struct.pack(f"{order}i", 6) + bytes(2)
    return b"" if revision < 38 else b"\x44\x33\x22\x11" + struct.pack(f"{order}hi", 1, 5) + b"Notes"


def _before_compressed(revision: int, order: str) -> bytes:
    text = b"Feb 05 2016"
    if revision < 60:
        return bytes(34) + struct.pack(f"{order}i", len(text)) + text
    return bytes(24) + struct.pack(f"{order}ii", len(text), 4) + bytes(20 + 6 * (revision >= 108)) + text + b"Data"


def _packed(channel: Channel, revision: int, order: str, milliseconds: float, position: int) -> bytes:
    content = zlib.compress(channel.values.astype(f"<{channel.kind}").tobytes())
    name, unit = channel.name.encode(), channel.unit.encode()
    header = struct.pack(f"{order}iHh", 60, 0xB00F, 1) + (bytes(2) if revision < 60 else b"")
    header += struct.pack(f"{order}hih", position, len(channel.values), channel.divider)
    header += struct.pack(f"{order}dhdd", milliseconds, channel.size, channel.scale, channel.offset)
    header += bytes(44 - len(header))
    lengths = (len(name), len(unit), channel.size * len(channel.values), len(content))
    return header + struct.pack(f"{order}iiii", *lengths) + name + unit + content
