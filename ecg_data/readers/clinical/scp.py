"""Recordings in SCP-ECG.

Every checksum is verified. Huffman codes, differences and the subtraction of reference beats are undone exactly.
Bimodal compression is refused: it stores the signal between the beats at a lower rate.

References:
    EN 1064:2005+A1:2007 (ISO 11073-91064), Standard communication protocol: computer-assisted electrocardiography.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import Channel, recording_from_channels
from ecg_study.ecg_data.readers.clinical.scp_huffman import HuffmanTable, decode, read_tables
from ecg_study.ecg_data.readers.clinical.series import LEAD_OF_CODE
from ecg_study.ecg_data.readers.recording import ALL_LEADS, ReadOptions, Recording
from ecg_study.errors import RecordError

MAX_BYTES = 64_000_000
"""Largest file. The leads of section 6 have at most 65,535 bytes each, and there are at most 255."""

_MAX_SAMPLES = 4_000_000
"""Most samples of all leads: 12 leads of 10 minutes at 500 Hz."""

_RECORD_HEADER, _SECTION_HEADER = 6, 16
_KNOWN_SECTIONS = 12


@dataclass(frozen=True)
class _Lead:
    """Lead of section 3: code, and positions of its first and last sample from 1."""

    code: int
    first: int
    last: int

    @property
    def samples(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class _Data:
    """Samples of section 5 or 6 as stored.

    Attributes:
        section: number of the section.
        nanovolts: nV per unit.
        interval: µs between samples.
        differences: 0 for samples, 1 or 2 for first or second differences.
        bimodal: byte 6: whether section 6 has bimodal compression.
        leads: encoded samples of each lead.
    """

    section: int
    nanovolts: int
    interval: int
    differences: int
    bimodal: int
    leads: tuple[bytes, ...]


@dataclass(frozen=True)
class _Beat:
    """Beat of section 4: its type, and where the reference beat was subtracted, as positions from 1."""

    kind: int
    first: int
    fiducial: int
    last: int


def open_scp(path: Path, options: ReadOptions) -> Recording:
    """Open an SCP-ECG file: the rhythm of section 6.

    Raises:
        RecordError: the file is truncated, longer than it states, or damaged; it has bimodal compression or long-term
            data (version 3); leads do not start together; or lead, unit or sampling rate cannot be used.
    """
    sections = _read_sections(path)
    if 6 not in sections:
        kind = "has long-term data of SCP-ECG 3, which" if 12 in sections else "has no rhythm (section 6), so it"
        raise RecordError(path, f"{kind} cannot be read; export it as DICOM, HL7 aECG or EDF")
    if 3 not in sections:
        raise RecordError(path, "has no leads (section 3); the file is damaged")
    leads, flags = _read_leads(path, sections[3])
    tables = read_tables(path, sections[2]) if 2 in sections else []
    data = _read_data(path, sections[6], 6, len(leads))
    if data.bimodal:
        problem = "has bimodal compression, which is not lossless, so it cannot be read"
        raise RecordError(path, f"{problem}; export it without it, or as DICOM or HL7 aECG")
    if len({lead.first for lead in leads}) > 1 and options.lead == ALL_LEADS:
        raise RecordError(path, "its leads do not start at the same time; choose one", parameter="lead")
    add_beats = _reference_beats(path, sections, leads, data, tables) if flags & 1 else None
    channels = [_channel(path, position, leads, data, tables, add_beats) for position in range(len(leads))]
    return recording_from_channels(path, channels, options=options, start_time=_start_time(sections.get(1, b"")))


def _read_sections(path: Path) -> dict[int, bytes]:
    """Return the sections without their headers, after verifying sizes and checksums."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RecordError(path, f"has {size:,} bytes; SCP-ECG of up to {MAX_BYTES:,} bytes is read")
    content = path.read_bytes()
    stated = int(struct.unpack_from("<I", content, 2)[0]) if size >= _RECORD_HEADER else 0
    if size < stated or size < _RECORD_HEADER + _SECTION_HEADER:
        raise RecordError(path, f"truncated: {size:,} bytes, but its header states {stated:,}")
    if size > stated:
        raise RecordError(path, f"{size:,} bytes, which is longer than its header states ({stated:,})")
    if _checksum(content[2:]) != struct.unpack_from("<H", content)[0]:
        raise RecordError(path, "its checksum (CRC) does not match; the file is damaged")
    pointers = _section(path, content, 0, (_RECORD_HEADER, int(struct.unpack_from("<I", content, 10)[0])))
    sections = {}
    for place in range(0, len(pointers) - 9, 10):
        number, length, index = struct.unpack_from("<HII", pointers, place)
        if not number or not length:
            continue
        if number in sections:
            raise RecordError(path, f"has two sections {number}; the file is damaged")
        if number <= _KNOWN_SECTIONS:
            sections[number] = _section(path, content, number, (index - 1, length))
    return sections


def _section(path: Path, content: bytes, number: int, place: tuple[int, int]) -> bytes:
    """Return one section without its header.

    Args:
        path: path of the file, for messages.
        content: the whole file.
        number: number of the section.
        place: its first byte and its length.
    """
    start, length = place
    if start < _RECORD_HEADER or length < _SECTION_HEADER or start + length > len(content):
        problem = f"section {number} is stated to have {length:,} bytes from byte {start:,}"
        raise RecordError(path, f"{problem}, which is not within the file; the file is damaged")
    section = content[start : start + length]
    stored, found, stated = struct.unpack_from("<HHI", section)
    if found != number or stated != length:
        problem = f"section {number} of {length:,} bytes is said to be section {found} of {stated:,} bytes"
        raise RecordError(path, f"{problem}; the file is damaged")
    if stored != _checksum(section[2:]):
        raise RecordError(path, f"section {number}: its checksum (CRC) does not match; the file is damaged")
    return section[_SECTION_HEADER:]


def _checksum(content: bytes) -> int:
    """Return the CRC-CCITT with the initial value 0xFFFF."""
    return binascii.crc_hqx(content, 0xFFFF)


def _read_leads(path: Path, body: bytes) -> tuple[list[_Lead], int]:
    """Return the leads of section 3 and its flags."""
    count, flags = (body[0], body[1]) if len(body) >= 2 else (0, 0)
    if not count or len(body) < 2 + 9 * count:
        raise RecordError(path, f"section 3 states {count} leads, but has {len(body):,} bytes; the file is damaged")
    leads = []
    for number in range(count):
        first, last, code = struct.unpack_from("<IIB", body, 2 + 9 * number)
        if not 1 <= first <= last:
            raise RecordError(path, f"lead {number + 1}: from sample {first:,} to {last:,}; the file is damaged")
        leads.append(_Lead(code, first, last))
    samples = sum(lead.samples for lead in leads)
    if samples > _MAX_SAMPLES:
        raise RecordError(path, f"states {samples:,} samples; SCP-ECG of up to {_MAX_SAMPLES:,} samples is read")
    return leads, flags


def _read_data(path: Path, body: bytes, section: int, leads: int) -> _Data:
    """Return the samples of section 5 or 6 as stored."""
    if len(body) < 6 + 2 * leads:
        raise RecordError(path, f"section {section} has {len(body):,} bytes, too few for {leads} leads")
    nanovolts, interval, differences, bimodal = struct.unpack_from("<HHBB", body)
    lengths = struct.unpack_from(f"<{leads}H", body, 6)
    start = 6 + 2 * leads
    # One byte may follow, because sections have an even length.
    if sum(lengths) not in (len(body) - start, len(body) - start - 1):
        problem = f"section {section} states {sum(lengths):,} bytes of samples, but has {len(body) - start:,}"
        raise RecordError(path, f"{problem}; the file is damaged")
    if not nanovolts or not interval or differences > 2:
        problem = f"section {section}: {nanovolts} nV per unit, {interval} µs per sample, differences {differences}"
        raise RecordError(path, f"{problem}; the file is damaged")
    parts = []
    for length in lengths:
        parts.append(body[start : start + length])
        start += length
    return _Data(section, nanovolts, interval, differences, bimodal, tuple(parts))


def _samples(path: Path, data: _Data, position: int, count: int, tables: list[HuffmanTable]) -> np.ndarray:
    """Return the samples of one lead as int64: codes and differences undone."""
    place = f"section {data.section}, lead {position + 1}"
    content = data.leads[position]
    if tables:
        values = decode(path, content, count=count, tables=tables, place=place)
    elif len(content) == 2 * count:
        values = np.frombuffer(content, "<i2").astype(np.int64)
    else:
        raise RecordError(path, f"{place}: {len(content):,} bytes for {count:,} samples; the file is damaged")
    for start in range(data.differences, 0, -1):
        # Of second differences, the first two values are samples; the second minus the first is the first difference.
        if start == 2 and len(values) > 1:
            values[1] -= values[0]
            values[1:] = np.cumsum(values[1:])
        elif start == 1:
            values = np.cumsum(values)
    # Encoders compute with 16 bits, so that a difference may have wrapped around.
    return values.astype(np.int16).astype(np.int64)


def _channel(
    path: Path,
    position: int,
    leads: list[_Lead],
    data: _Data,
    tables: list[HuffmanTable],
    add_beats: Callable[[np.ndarray, int], None] | None,
) -> Channel:
    lead = leads[position]

    @cache
    def samples() -> np.ndarray:
        values = _samples(path, data, position, lead.samples, tables)
        if add_beats is not None:
            add_beats(values, position)
        return values

    def read(start: int, end: int) -> np.ndarray:
        return samples()[start:end] * float(data.nanovolts)

    name = LEAD_OF_CODE.get(lead.code, f"lead code {lead.code}")
    return Channel(name, "nV", 1e6 / data.interval, lead.samples, read)


def _reference_beats(
    path: Path, sections: dict[int, bytes], leads: list[_Lead], data: _Data, tables: list[HuffmanTable]
) -> Callable[[np.ndarray, int], None]:
    """Return a function that adds the reference beat of a lead to its residual signal."""
    if 4 not in sections or 5 not in sections:
        raise RecordError(path, "has no reference beat (sections 4 and 5), which was subtracted; the file is damaged")
    reference = _read_data(path, sections[5], 5, len(leads))
    if (reference.nanovolts, reference.interval) != (data.nanovolts, data.interval):
        problem = "its reference beat has another resolution or sampling rate than its rhythm, which cannot be read"
        raise RecordError(path, f"{problem}; export it as DICOM or HL7 aECG")
    milliseconds, fiducial, beats = _read_beats(path, sections[4])
    count = round(milliseconds * 1000 / reference.interval)

    def add(values: np.ndarray, position: int) -> None:
        beat = _samples(path, reference, position, count, tables)
        for one in beats:
            # Positions are from 1, also that of the fiducial point in the reference beat.
            start = one.first - leads[position].first
            end = one.last - leads[position].first + 1
            offset = fiducial - one.fiducial + one.first - 1
            if one.kind == 0:  # the reference beat was subtracted from beats of this type only
                if not 0 <= start < end <= len(values) or not 0 <= offset <= len(beat) - (end - start):
                    problem = f"samples {one.first:,} to {one.last:,} of a beat are not within the signal"
                    raise RecordError(path, f"section 4: {problem} and the reference beat; the file is damaged")
                values[start:end] += beat[offset : offset + end - start]

    return add


def _read_beats(path: Path, body: bytes) -> tuple[int, int, list[_Beat]]:
    """Return from section 4: length of the reference beat in ms, its fiducial point, and the beats."""
    milliseconds, fiducial, count = struct.unpack_from("<HHH", body) if len(body) >= 6 else (0, 0, 0)
    if not milliseconds or len(body) < 6 + 14 * count:
        problem = f"section 4 states {count:,} beats, but has {len(body):,} bytes"
        raise RecordError(path, f"{problem}; the file is damaged")
    return milliseconds, fiducial, [_Beat(*struct.unpack_from("<HIII", body, 6 + 14 * i)) for i in range(count)]


def _start_time(body: bytes) -> str:
    """Return the date and time of the recording (tags 25 and 26 of section 1) in ISO 8601; empty if there is none."""
    tags, place = {}, 0
    while place + 3 <= len(body) and body[place] != 255:
        length = int(struct.unpack_from("<H", body, place + 1)[0])
        tags[body[place]] = body[place + 3 : place + 3 + length]
        place += 3 + length
    try:
        year, month, day = struct.unpack("<HBB", tags.get(25, b""))
        return datetime(year, month, day, *struct.unpack("<BBB", tags.get(26, b""))).isoformat()
    except (struct.error, ValueError):
        return ""
