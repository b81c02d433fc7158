"""Structure of a DICOM data set: whether every length fits, before a tolerant library reads it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ecg_study.errors import RecordError

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

_LONG = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations whose length has 32 bits."""

_SHORT = frozenset("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

_MAX_DEPTH, _MAX_ELEMENTS = 16, 200_000
"""Bounds of a data set. A waveform has four levels, and 500 elements per multiplex group."""


@dataclass(frozen=True)
class _Element:
    """Header of an element: tag, whether it is a sequence, length of its value, and place of its value."""

    tag: int
    is_sequence: bool
    length: int
    start: int


class StructureCheck:
    """Check of one data set.

    Args:
        path: path of the file, for messages.
        content: the data set.
        little_endian: order of bytes.
        is_sequence: whether a tag is a sequence, for data sets that do not state it.
    """

    def __init__(self, path: Path, content: bytes, *, little_endian: bool, is_sequence: Callable[[int], bool]) -> None:
        self._path = path
        self._content = content
        self._order = "<" if little_endian else ">"
        self._is_sequence = is_sequence
        self._elements = 0

    def run(self, *, implicit: bool) -> None:
        """Check all elements.

        Args:
            implicit: whether value representations are not stated.

        Raises:
            RecordError: an element is truncated, stands twice or is unknown; or they are too many or nested too deep.
        """
        self._check_elements(0, len(self._content), depth=0, implicit=implicit, delimited=False)

    def _error(self, at: int, problem: str) -> RecordError:
        return RecordError(self._path, f"{problem} at byte {at:,} of its data set; the file is truncated or damaged")

    def _check_elements(self, at: int, end: int, *, depth: int, implicit: bool, delimited: bool) -> int:
        """Return the place after the elements, which end at ``end`` or with a delimiter."""
        if depth > _MAX_DEPTH:
            raise RecordError(self._path, f"its sequences are nested deeper than {_MAX_DEPTH}, which no ECG has")
        tags: set[int] = set()
        while delimited or at != end:
            self._elements += 1
            if self._elements > _MAX_ELEMENTS:
                raise RecordError(self._path, f"has more than {_MAX_ELEMENTS:,} elements, which no ECG has")
            element = self._header(at, end, implicit=implicit)
            if element.tag == _ITEM_END and delimited:
                return element.start
            if element.tag in tags:
                raise self._error(at, f"element ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) stands twice")
            tags.add(element.tag)
            at = self._check_value(element, end, depth=depth, implicit=implicit)
        return at

    def _check_value(self, element: _Element, end: int, *, depth: int, implicit: bool) -> int:
        """Return the place after the value of an element."""
        if element.length == _UNDEFINED:
            if not element.is_sequence:
                raise self._error(element.start, "an element has no length")
            return self._check_items(element.start, end, depth=depth + 1, implicit=implicit, delimited=True)
        after = element.start + element.length
        if after > end:
            raise self._error(element.start, f"an element of {element.length:,} bytes does not fit")
        if element.is_sequence:
            self._check_items(element.start, after, depth=depth + 1, implicit=implicit, delimited=False)
        return after

    def _check_items(self, at: int, end: int, *, depth: int, implicit: bool, delimited: bool) -> int:
        """Return the place after the items of a sequence, which end at ``end`` or with a delimiter."""
        while delimited or at != end:
            if at + 8 > end:
                raise self._error(at, "a sequence ends")
            group, number, length = struct.unpack_from(f"{self._order}HHI", self._content, at)
            tag = group << 16 | number
            at += 8
            if tag == _SEQUENCE_END and delimited and not length:
                return at
            if tag != _ITEM or (length != _UNDEFINED and at + length > end):
                raise self._error(at, "an item of a sequence does not fit")
            undefined = length == _UNDEFINED
            after = end if undefined else at + length
            at = self._check_elements(at, after, depth=depth, implicit=implicit, delimited=undefined)
        return at

    def _header(self, at: int, end: int, *, implicit: bool) -> _Element:
        if at + 8 > end:
            raise self._error(at, "an element ends")
        group, number, length = struct.unpack_from(f"{self._order}HHI", self._content, at)
        tag = group << 16 | number
        if group == 0xFFFE:
            return _Element(tag, False, length, at + 8)
        if implicit:
            return _Element(tag, self._is_sequence(tag), length, at + 8)
        kind = self._content[at + 4 : at + 6].decode("latin-1")
        if kind in _SHORT:
            length = struct.unpack_from(f"{self._order}H", self._content, at + 6)[0]
            return _Element(tag, False, length, at + 8)
        if kind not in _LONG or at + 12 > end:
            raise self._error(at, f"an element of the kind {kind!r} cannot be read")
        length = struct.unpack_from(f"{self._order}I", self._content, at + 8)[0]
        return _Element(tag, kind == "SQ", length, at + 12)
