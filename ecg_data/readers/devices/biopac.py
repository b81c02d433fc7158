"""Recordings of BIOPAC AcqKnowledge (``.acq``)."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.arrays.unpacking import inflate, unpack
from ecg_study.ecg_data.readers.channels import Channel, recording_from_channels
from ecg_study.ecg_data.readers.devices.biopac_header import (
    AcqChannel,
    AcqHeader,
    Fields,
    after_journal,
    after_markers,
    end_of_data,
    read_header,
)
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_MOST_UNPACKED = 1_000_000_000
"""Most bytes of all channels of a compressed file after decompression."""

_LONGEST_LABEL = 1024

_AT_ONCE = 1 << 18
"""Samples whose places are in memory at a time."""

Reader = Callable[[int, int], np.ndarray]


def open_acq(path: Path, options: ReadOptions) -> Recording:
    """Open an AcqKnowledge file as a memory map.

    Raises:
        RecordError: the file is truncated or damaged, or of an unknown version; or lead, unit or sampling rate cannot
            be used.
    """
    with open(path, "rb") as source:
        mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
    content = memoryview(mapped)
    header = read_header(path, content)
    fields = Fields(path, content, order=header.order)
    readers = _compressed(fields, header) if header.compressed else _interleaved(fields, header)
    channels = [
        Channel(
            channel.name,
            channel.unit,
            1 / header.seconds / channel.divider,
            channel.samples,
            _converted(channel, read),
        )
        for channel, read in zip(header.channels, readers, strict=True)
    ]
    return recording_from_channels(path, channels, options=options, noun="channels")


def _converted(channel: AcqChannel, read: Reader) -> Reader:
    if channel.size == 8:
        return read
    return lambda start, end: read(start, end) * channel.scale + channel.offset


def _type(channel: AcqChannel, order: str) -> np.dtype[np.generic]:
    return np.dtype(f"{order}f8" if channel.size == 8 else f"{order}i2")


def _interleaved(fields: Fields, header: AcqHeader) -> list[Reader]:
    """Return readers of samples that are stored in the order in which they were recorded."""
    end_of_data(fields, header)
    stored = np.frombuffer(fields.content, np.uint8)
    return [_interleaved_reader(stored, header, position) for position in range(len(header.channels))]


def _interleaved_reader(stored: np.ndarray, header: AcqHeader, position: int) -> Reader:
    channel = header.channels[position]
    kind = _type(channel, header.order)
    if len({(other.divider, other.samples) for other in header.channels}) == 1:
        # Each base sample that is stored has all channels.
        frame = sum(other.size for other in header.channels)
        first = header.data + sum(other.size for other in header.channels[:position])
        values = np.ndarray((channel.samples,), kind, stored.data, offset=first, strides=(frame,))
        return lambda start, end: values[start:end].astype(np.float64)

    def read(start: int, end: int) -> np.ndarray:
        values = np.empty(end - start)
        for done in range(start, end, _AT_ONCE):
            places = sample_places(header, position, start=done, end=min(done + _AT_ONCE, end))
            parts = stored[places[:, np.newaxis] + np.arange(channel.size)]
            values[done - start : done - start + len(parts)] = np.ascontiguousarray(parts).view(kind)[:, 0]
        return values

    return read


def sample_places(header: AcqHeader, position: int, *, start: int, end: int) -> np.ndarray:
    """Return the bytes at which samples of a channel begin, int64 of shape ``(end - start,)``.

    A channel has a sample in each base sample that is a multiple of its divider, as long as it has samples. Within a
    base sample, channels are in the order of their headers.
    """
    base = np.arange(start, end, dtype=np.int64) * header.channels[position].divider
    places = np.full(len(base), header.data, np.int64)
    for other, channel in enumerate(header.channels):
        before = base // channel.divider + 1 if other < position else -(-base // channel.divider)
        places += np.minimum(before, channel.samples) * channel.size
    return places


def _compressed(fields: Fields, header: AcqHeader) -> list[Reader]:
    """Return readers of samples that are compressed with zlib, one channel after the other."""
    total = sum(channel.samples * channel.size for channel in header.channels)
    if total > _MOST_UNPACKED:
        raise RecordError(fields.path, f"unpacks to {total:,} bytes; at most {_MOST_UNPACKED:,} are read")
    place = after_markers(fields, header.data, revision=header.revision)
    place = after_journal(fields, place, revision=header.revision)
    if header.revision < 61:
        place += 38 + fields.length(place + 34, "the length of a text")
    else:
        texts = fields.length(place + 24, "the length of a text") + fields.length(place + 28, "the length of a text")
        place += (58 if header.revision >= 108 else 52) + texts
    readers = []
    for number, channel in enumerate(header.channels, 1):
        start, length = _compressed_part(fields, header, place, channel, number)
        readers.append(_compressed_reader(fields, channel, start, length, number))
        place = start + length
    return readers


def _compressed_part(
    fields: Fields, header: AcqHeader, place: int, channel: AcqChannel, number: int
) -> tuple[int, int]:
    """Return place and length of the compressed samples of a channel, whose second header must agree with the first."""
    at = place + (12 if header.revision < 61 else 10)
    label, unit, unpacked = (fields.length(place + 44 + 4 * part, "a length", most=1 << 30) for part in range(3))
    stated = (
        fields.integer(at),
        fields.integer(at + 4, size=2) or 1,
        fields.number(at + 6),
        fields.integer(at + 14, size=2),
        fields.number(at + 16),
        fields.number(at + 24),
        unpacked,
    )
    expected = (
        channel.samples,
        channel.divider,
        header.seconds * 1000,
        channel.size,
        channel.scale,
        channel.offset,
        channel.samples * channel.size,
    )
    if max(label, unit) > _LONGEST_LABEL or not np.allclose(stated, expected, rtol=1e-9, atol=0):
        raise RecordError(fields.path, f"the two headers of channel {number} differ; the file is damaged")
    length = fields.length(place + 56, f"the size of channel {number}", most=(1 << 31) - 1)
    start = place + 60 + label + unit
    if start + length > len(fields.content):
        problem = f"truncated: {len(fields.content):,} bytes, but channel {number} goes on to byte {start + length:,}"
        raise RecordError(fields.path, problem)
    return start, length


def _compressed_reader(fields: Fields, channel: AcqChannel, start: int, length: int, number: int) -> Reader:
    unpacked: list[np.ndarray] = []

    def read(first: int, end: int) -> np.ndarray:
        if not unpacked:
            content = _unpack(fields, start, length, channel.samples * channel.size, number)
            # Compressed samples are little-endian, whatever the order of the headers is.
            unpacked.append(content.view(_type(channel, "<")))
        return unpacked[0][first:end].astype(np.float64)

    return read


def _unpack(fields: Fields, start: int, length: int, expected: int, number: int) -> np.ndarray:
    packed = np.frombuffer(fields.content[start : start + length], np.uint8)
    content = unpack(fields.path, inflate(fields.path, packed, place=f"channel {number}"), limit=expected)
    if len(content) != expected:
        problem = f"channel {number} unpacks to another size than the {expected:,} bytes that its header states"
        raise RecordError(fields.path, f"{problem}; the file is damaged")
    return content
