"""Recordings in the ISHNE format of Holter recorders.

References:
    Badilini, The ISHNE Holter standard output file format, Ann Noninvasive Electrocardiol 3, 1998.
"""

from __future__ import annotations

import binascii
import struct
from datetime import datetime
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import Channel, check_rate_given, recording_from_channels
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_HEADER_BYTES = 522
"""Bytes before the block of variable length: magic number, checksum, and 512 bytes of header."""

_CHECKED_FROM = 10  # the checksum covers what follows it

_MOST_LEADS = 12

_NAMES = ("", "", *"X Y Z I II III aVR aVL aVF V1 V2 V3 V4 V5 V6 ES AS AI".split())
"""Names of leads by their code; 0 is an unknown one, 1 a bipolar one without a name."""

_LEAD_FAULT = -32768
"""Sample while a lead has no contact."""

_MOST_COMMENT_BYTES = 100_000_000


def open_ishne(path: Path, options: ReadOptions) -> Recording:
    """Open an ISHNE file as a memory map.

    Raises:
        RecordError: the file is truncated, longer than its header states, or damaged; or lead, unit or sampling rate
            cannot be used.
    """
    size = path.stat().st_size
    with open(path, "rb") as source:
        header = source.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            raise RecordError(path, f"truncated: {size:,} bytes, but the header alone has {_HEADER_BYTES}")
        start = _start_of_samples(path, header, size)
        rest = source.read(start - _HEADER_BYTES)
    _check_sum(path, header, rest)
    count, samples = _shape(path, header, size - start)
    fs = check_rate_given(path, float(_short(header, 272)), options=ReadOptions())
    values = np.memmap(path, "<i2", mode="r", offset=start, shape=(samples, count))
    channels = [_channel(header, values, position, fs) for position in range(count)]
    return recording_from_channels(path, channels, options=options, start_time=_start_time(header))


def _short(header: bytes, place: int) -> int:
    return int(struct.unpack_from("<h", header, place)[0])


def _start_of_samples(path: Path, header: bytes, size: int) -> int:
    """Return the place of the first sample, on which three fields of the header must agree."""
    comment_bytes, _, comment, samples = struct.unpack_from("<4i", header, 10)
    if not 0 <= comment_bytes <= _MOST_COMMENT_BYTES:
        raise RecordError(path, f"its header states a block of {comment_bytes:,} bytes; the file is damaged")
    start = _HEADER_BYTES + int(comment_bytes)
    if comment not in (_HEADER_BYTES, 0, -9) or samples != start:
        problem = f"its header puts the samples at byte {samples:,}, but they must follow its blocks at {start:,}"
        raise RecordError(path, f"{problem}; the file is damaged")
    if start >= size:
        raise RecordError(path, f"truncated: {size:,} bytes, but its header and comments have {start:,}")
    return start


def _check_sum(path: Path, header: bytes, comment: bytes) -> None:
    """Check the CRC of the header. Writers differ in the order of its bytes, and some do not compute it and write 0."""
    stored = struct.unpack_from("<H", header, 8)[0]
    computed = binascii.crc_hqx(header[_CHECKED_FROM:] + comment, 0xFFFF)
    if stored not in (0, computed, (computed & 0xFF) << 8 | computed >> 8):
        problem = f"its header has the checksum {stored:#06x}, but its content has {computed:#06x}"
        raise RecordError(path, f"{problem}; the file is damaged")


def _shape(path: Path, header: bytes, data_bytes: int) -> tuple[int, int]:
    """Return the number of leads, and of samples per lead, which must agree with the size of the file.

    The number in the header is that of samples per lead, or of all leads: writers differ.
    """
    count, stated = _short(header, 156), int(struct.unpack_from("<i", header, 14)[0])
    if not 1 <= count <= _MOST_LEADS:
        raise RecordError(path, f"its header states {count:,} leads; 1 to {_MOST_LEADS} are possible")
    samples, rest = divmod(data_bytes, 2 * count)
    if rest or not samples or stated not in (samples, samples * count):
        found = f"{data_bytes:,} bytes of samples, which is {data_bytes / 2 / count:,.10g} samples per lead"
        problem = f"{found}, but its header states {stated:,} samples of {count} leads"
        raise RecordError(path, f"{problem}; the file is truncated, or longer than it should be")
    return count, samples


def _channel(header: bytes, values: np.ndarray, position: int, fs: float) -> Channel:
    code, resolution = _short(header, 158 + 2 * position), _short(header, 206 + 2 * position)
    name = _NAMES[code] if 0 <= code < len(_NAMES) else ""
    # A resolution of 0 or -9 means that it is unknown.
    scale, unit = (float(resolution), "nV") if resolution > 0 else (1.0, "")

    def read(start: int, end: int) -> np.ndarray:
        stored = np.asarray(values[start:end, position])
        return np.where(stored == _LEAD_FAULT, np.nan, stored * scale)

    return Channel(name, unit, fs, len(values), read, integers=resolution <= 0)


def _start_time(header: bytes) -> str:
    """Return the start in ISO 8601; empty if the header has none."""
    day, month, year = struct.unpack_from("<3h", header, 138)
    hour, minute, second = struct.unpack_from("<3h", header, 150)
    try:
        return datetime(year, month, day, hour, minute, second).isoformat()
    except ValueError:
        return ""
