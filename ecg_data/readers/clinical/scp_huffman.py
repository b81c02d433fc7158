"""Huffman codes of SCP-ECG: tables of section 2, and decoding of sections 5 and 6.

References:
    EN 1064 (ISO 11073-91064), clauses 5.5 and C.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.errors import RecordError

DEFAULT_TABLE = 19999
"""Number of tables in section 2 that stands for the table of the standard."""

_LONGEST_PREFIX = _MOST_EXTRA_BITS = 16
_MOST_TABLES = 16

_CODE_BYTES = 9


@dataclass(frozen=True)
class HuffmanCode:
    """One code of a table.

    Attributes:
        prefix_bits: bits of the prefix, by which it is recognized.
        bits: bits of the prefix and of the number that follows it, in two's complement.
        is_value: whether it means a value; otherwise, the following codes are of another table.
        value: the value if no number follows; or the position of the other table, from 1.
        prefix: the prefix, whose first bit is the most significant.
    """

    prefix_bits: int
    bits: int
    is_value: bool
    value: int
    prefix: int


@dataclass(frozen=True)
class HuffmanTable:
    """Codes of a table by what the next bits are.

    Attributes:
        width: bits of an index of ``codes``.
        codes: the code for the next ``width`` bits; ``None`` where they begin no code.
    """

    width: int
    codes: tuple[HuffmanCode | None, ...]


def standard_table() -> HuffmanTable:
    """Return the table of the standard: 0 in one bit, up to ±8 in ten, others with 8 or 16 bits after their prefix."""
    codes = [HuffmanCode(1, 1, True, 0, 0)]
    for size in range(1, 9):
        for sign, value in ((0, size), (1, -size)):
            codes.append(HuffmanCode(size + 2, size + 2, True, value, ((1 << size) - 1) << 2 | sign))
    codes.append(HuffmanCode(10, 18, True, 0, 0b1111111110))
    codes.append(HuffmanCode(10, 26, True, 0, 0b1111111111))
    table = _table(codes)
    assert table is not None
    return table


def read_tables(path: Path, body: bytes) -> list[HuffmanTable]:
    """Return the tables of section 2.

    Raises:
        RecordError: the section is damaged, or a table is not one of prefix codes.
    """
    count = int(struct.unpack_from("<H", body)[0]) if len(body) >= 2 else 0
    if count == DEFAULT_TABLE:
        return [standard_table()]
    if not 1 <= count <= _MOST_TABLES:
        raise RecordError(path, f"section 2 states {count:,} Huffman tables; 1 to {_MOST_TABLES} can be read")
    tables, place = [], 2
    for number in range(1, count + 1):
        size = int(struct.unpack_from("<H", body, place)[0]) if place + 2 <= len(body) else 0
        end = place + 2 + _CODE_BYTES * size
        if not size or end > len(body):
            raise RecordError(path, f"section 2: Huffman table {number} is truncated")
        codes = [_code(path, body[start : start + _CODE_BYTES]) for start in range(place + 2, end, _CODE_BYTES)]
        table = _table(codes)
        if table is None:
            raise RecordError(path, f"section 2: codes of Huffman table {number} begin with each other")
        tables.append(table)
        place = end
    targets = {code.value for table in tables for code in table.codes if code is not None and not code.is_value}
    if not targets <= set(range(1, count + 1)):
        raise RecordError(path, "section 2: a Huffman table refers to one that is missing")
    return tables


def _code(path: Path, stored: bytes) -> HuffmanCode:
    prefix_bits, bits, mode, value, code = struct.unpack("<BBBhI", stored)
    if not 1 <= prefix_bits <= _LONGEST_PREFIX or not 0 <= bits - prefix_bits <= _MOST_EXTRA_BITS or mode > 1:
        problem = f"a Huffman code with {prefix_bits} of {bits} bits and mode {mode} cannot be read"
        raise RecordError(path, f"section 2: {problem}")
    # The first bit is the least significant of the stored code.
    prefix = int(f"{code & ((1 << prefix_bits) - 1):0{prefix_bits}b}"[::-1], 2)
    return HuffmanCode(prefix_bits, bits, mode == 1, value, prefix)


def _table(codes: Sequence[HuffmanCode]) -> HuffmanTable | None:
    """Return a table of codes; ``None`` if one begins with another."""
    width = max(code.prefix_bits for code in codes)
    entries: list[HuffmanCode | None] = [None] * (1 << width)
    for code in codes:
        free = width - code.prefix_bits
        span = slice(code.prefix << free, (code.prefix + 1) << free)
        if any(entry is not None for entry in entries[span]):
            return None
        entries[span] = [code] * (1 << free)
    return HuffmanTable(width, tuple(entries))


def decode(path: Path, content: bytes, *, count: int, tables: Sequence[HuffmanTable], place: str) -> np.ndarray:
    """Return the values of a lead as int64 of shape ``(count,)``.

    Args:
        path: path of the file, for messages.
        content: encoded values.
        count: number of values.
        tables: tables of section 2; the first is used first.
        place: lead and section, for messages.

    Raises:
        RecordError: the bits are not a code, or are not as many as ``count`` values need.
    """
    bits = 8 * len(content)
    if count > bits:
        raise RecordError(path, f"{place}: {bits:,} bits are too few for {count:,} samples; the file is truncated")
    windows = _windows(content)
    values = np.empty(count, np.int64)
    table, at, found = tables[0], 0, 0
    while found < count:
        code = table.codes[windows[at] >> (16 - table.width)] if at < bits else None
        if code is None or at + code.bits > bits:
            problem = f"its bits end, or are no code, after {found:,} of {count:,} samples"
            raise RecordError(path, f"{place}: {problem}; the file is damaged")
        if not code.is_value:
            table = tables[code.value - 1]
        else:
            extra = code.bits - code.prefix_bits
            value = code.value
            if extra:
                number = windows[at + code.prefix_bits] >> (16 - extra)
                value = number - (1 << extra) if number >> (extra - 1) else number
            values[found] = value
            found += 1
        at += code.bits
    if bits - at >= 16:  # leads end at a byte, or at an even one
        raise RecordError(path, f"{place}: {bits - at:,} bits follow its {count:,} samples; the file is damaged")
    return values


def _windows(content: bytes) -> list[int]:
    """Return the 16 bits that start at each bit; zeros follow the last."""
    padded = np.frombuffer(content + b"\0\0\0", np.uint8).astype(np.uint32)
    of_byte = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    windows: list[int] = ((of_byte[:, np.newaxis] >> shifts) & 0xFFFF).reshape(-1).tolist()
    return windows
