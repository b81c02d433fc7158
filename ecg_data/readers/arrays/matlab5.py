"""Values of MATLAB files of version 5 to 7.2, by the format description of MathWorks (*MAT-File Format*)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ecg_study.ecg_data.readers.arrays.named import (
    MAX_TEXT_BYTES,
    MAX_VALUES,
    NamedText,
    NamedValues,
    named_array,
    rows_of_text,
)
from ecg_study.ecg_data.readers.arrays.unpacking import MAX_UNPACKED_BYTES, inflate, largest_content, unpack
from ecg_study.errors import RecordError

_HEADER_BYTES = 128

_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Number of a data type → type of its elements."""

_TEXT_STORED = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15

_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Number of an array class → type of its elements; they may be stored in a shorter one."""

_CELL, _STRUCTURE, _TEXT, _OPAQUE = 1, 2, 4, 17
_OTHER_CLASSES = {3: "an object", 5: "a sparse matrix", 16: "a function", _OPAQUE: "an object", 18: "an object"}
_COMPLEX, _LOGICAL = 0x08, 0x02

_MAX_DEPTH, _MAX_AXES = 16, 32


@dataclass(frozen=True)
class _Bytes:
    """Interval of bytes that contains elements.

    Attributes:
        content: bytes of the file, or of a decompressed element.
        start: index of the first byte.
        end: index after the last byte.
    """

    content: np.ndarray
    start: int
    end: int

    def of_type(self, dtype: str) -> np.ndarray:
        """Return the bytes as numbers."""
        return self.content[self.start : self.end].view(dtype)

    def tobytes(self) -> bytes:
        return self.content[self.start : self.end].tobytes()


@dataclass(frozen=True)
class _Element:
    """Element: a type and its data."""

    kind: int
    data: _Bytes

    @property
    def size(self) -> int:
        return self.data.end - self.data.start


def is_matlab5(head: bytes) -> bool:
    """Return whether the first bytes are the header of a file of version 5 to 7.2."""
    return head[124:128] in (b"\x00\x01IM", b"\x01\x00MI") and head[:1] not in (b"\0", b"")


def read_matlab5(path: Path, content: np.ndarray) -> NamedValues:
    """Return the values of a file of version 5 to 7.2.

    Compressed values are decompressed into temporary files, `MAX_UNPACKED_BYTES` in all.

    Args:
        path: path of the file, for messages.
        content: its bytes.

    Raises:
        RecordError: the file is damaged or truncated, or larger than the limits.
    """
    order: Literal["<", ">"] = "<" if content[126:128].tobytes() == b"IM" else ">"
    reader = _Reader(path, order)
    left = MAX_UNPACKED_BYTES
    for element in reader.elements(_Bytes(content, _HEADER_BYTES, len(content)), padded=False):
        if element.kind == _COMPRESSED:
            packed = element.data.content[element.data.start : element.data.end]
            unpacked = unpack(
                path, inflate(path, packed, place="a compressed value"), limit=min(left, largest_content(len(packed)))
            )
            left -= len(unpacked)
            inner = list(reader.elements(_Bytes(unpacked, 0, len(unpacked))))
            if len(inner) != 1:
                raise reader.damaged("a compressed value contains several elements")
            element = inner[0]
        if element.kind != _MATRIX:
            raise reader.damaged(f"an element has the type {element.kind}")
        reader.add(element.data, "", depth=0)
    return reader.values


class _Reader:
    """Parser of elements.

    Args:
        path: path of the file, for messages.
        order: byte order of the file.
    """

    def __init__(self, path: Path, order: Literal["<", ">"]) -> None:
        self.values = NamedValues()
        self._path = path
        self._order = order

    def damaged(self, problem: str) -> RecordError:
        """Return the error for a damaged file."""
        return RecordError(self._path, f"damaged MATLAB file: {problem}")

    def elements(self, outer: _Bytes, *, padded: bool = True) -> Iterator[_Element]:
        """Yield the elements that fill an interval.

        Args:
            outer: the interval.
            padded: whether each element begins at a multiple of 8 bytes. Compressed ones at the top level do not.
        """
        place = outer.start
        while place < outer.end:
            if outer.end - place < 8:
                raise self.damaged(f"truncated at byte {place:,}")
            first, second = (int(n) for n in outer.content[place : place + 8].view(f"{self._order}u4"))
            if first >> 16:  # a small element: size and type in four bytes, data in the next four
                kind, size, start = first & 0xFFFF, first >> 16, place + 4
                if size > 4:
                    raise self.damaged(f"a small element of {size} bytes")
                following = place + 8
            else:
                kind, size, start = first, second, place + 8
                following = start + (size if not padded or kind == _COMPRESSED else size + -size % 8)
            if start + size > outer.end:
                problem = f"truncated: an element of {size:,} bytes at byte {place:,}"
                raise self.damaged(f"{problem}, but {outer.end - start:,} are left")
            yield _Element(kind, _Bytes(outer.content, start, start + size))
            place = following

    def add(self, matrix: _Bytes, name: str, *, depth: int) -> None:
        """Add an array, and what is within it, to the values; ``name`` is that of its field or cell."""
        if len(self.values) > MAX_VALUES:
            raise RecordError(self._path, f"has more than {MAX_VALUES:,} named values")
        if depth > _MAX_DEPTH:
            raise RecordError(self._path, f"has structures within more than {_MAX_DEPTH} structures")
        if matrix.start == matrix.end:  # an empty array in a cell or a field
            return
        parts = self.elements(matrix)
        flags = self._next(parts, (_UINT32,))
        if flags.size != 8:
            raise self.damaged(f"array flags of {flags.size} bytes")
        word = int(flags.data.of_type(f"{self._order}u4")[0])
        array_class, bits = word & 0xFF, word >> 8 & 0xFF
        if array_class == _OPAQUE:  # it has neither dimensions nor data of its own
            stated = self._name(self._next(parts, (_INT8,)))
            self.values.unreadable[self._free(name or stated or "(no name)")] = _OTHER_CLASSES[array_class]
            return
        shape = self._shape(self._next(parts, (_INT32,)))
        stated = self._name(self._next(parts, (_INT8,)))
        name = name or stated
        if not name:  # the data of objects, which come last in a file
            return
        if array_class in _NUMBERS and not bits & (_COMPLEX | _LOGICAL):
            self._add_numbers(parts, name, shape, _NUMBERS[array_class])
        elif array_class == _TEXT:
            self._add_text(parts, name, shape)
        elif array_class == _CELL:
            self._add_cells(parts, name, shape, depth)
        elif array_class == _STRUCTURE:
            self._add_structure(parts, name, shape, depth)
        elif array_class in _NUMBERS:
            self.values.unreadable[name] = "complex numbers" if bits & _COMPLEX else "logical values"
        elif array_class in _OTHER_CLASSES:
            self.values.unreadable[name] = _OTHER_CLASSES[array_class]
        else:
            raise self.damaged(f"{name[:60]} has the array class {array_class}")

    def _free(self, name: str) -> str:
        return name if name not in self.values.unreadable else f"{name} {len(self.values.unreadable)}"

    def _next(self, parts: Iterator[_Element], kinds: tuple[int, ...]) -> _Element:
        """Return the next element, which must be of one of some types."""
        element = next(parts, None)
        if element is None:
            raise self.damaged("truncated: an array without its data")
        if element.kind not in kinds:
            raise self.damaged(f"an element has the type {element.kind} instead of {kinds[0]}")
        return element

    def _end(self, parts: Iterator[_Element], name: str) -> None:
        if next(parts, None) is not None:
            raise self.damaged(f"{name[:60]} has more data than its shape")

    def _shape(self, element: _Element) -> tuple[int, ...]:
        if element.size % 4 or not 2 <= element.size // 4 <= _MAX_AXES:
            raise self.damaged(f"a shape of {element.size} bytes")
        shape = tuple(int(length) for length in element.data.of_type(f"{self._order}i4"))
        if min(shape) < 0:
            raise self.damaged(f"an array of the shape {shape}")
        return shape

    def _name(self, element: _Element) -> str:
        return element.data.tobytes()[:200].rstrip(b"\0").decode("ascii", errors="replace")

    def _add_numbers(self, parts: Iterator[_Element], name: str, shape: tuple[int, ...], dtype: str) -> None:
        element = self._next(parts, tuple(_STORED))
        stored = np.dtype(_STORED[element.kind]).newbyteorder(self._order)
        if element.size != _product(shape) * stored.itemsize:
            problem = f"{name[:60]} has {element.size:,} bytes instead of {_product(shape) * stored.itemsize:,}"
            raise self.damaged(problem)
        self._end(parts, name)
        if not element.size:
            return
        array = element.data.of_type(stored.str).reshape(shape, order="F")
        self.values.arrays.append(named_array(name, array, dtype=np.dtype(dtype)))

    def _add_text(self, parts: Iterator[_Element], name: str, shape: tuple[int, ...]) -> None:
        element = self._next(parts, (*_TEXT_STORED, 2, 4, 1, 3))
        self._end(parts, name)
        if element.size > MAX_TEXT_BYTES or len(shape) != 2:
            self.values.unreadable[name] = "a long text"
            return
        if element.kind in _TEXT_STORED:
            encoding = _TEXT_STORED[element.kind]
            encoding += "" if encoding == "utf-8" else ("-le" if self._order == "<" else "-be")
            text = element.data.tobytes().decode(encoding, errors="replace")
        else:
            stored = np.dtype(_STORED[element.kind]).newbyteorder(self._order)
            if element.size % stored.itemsize:
                raise self.damaged(f"{name[:60]} has {element.size} bytes")
            text = "".join(chr(int(code) & 0xFFFF) for code in element.data.of_type(stored.str))
        if len(text) != _product(shape):
            raise self.damaged(f"{name[:60]} has {len(text):,} letters instead of {_product(shape):,}")
        self.values.texts.append(NamedText(name, rows_of_text(text, rows=shape[0])))

    def _add_cells(self, parts: Iterator[_Element], name: str, shape: tuple[int, ...], depth: int) -> None:
        """Add a cell array: cells that contain texts only are one value with several texts."""
        count = self._bounded(_product(shape), name)
        cells = [self._next(parts, (_MATRIX,)) for _ in range(count)]
        self._end(parts, name)
        before = self.values
        self.values = NamedValues()
        try:
            for number, cell in enumerate(cells, 1):
                self.add(cell.data, f"{name}{{{number}}}", depth=depth + 1)
            inner = self.values
        finally:
            self.values = before
        if len(inner.texts) == count == len(inner) and all(len(text.texts) <= 1 for text in inner.texts):
            texts = tuple(text.texts[0] if text.texts else "" for text in inner.texts)
            self.values.texts.append(NamedText(name, texts))
            return
        self.values.extend(inner)

    def _add_structure(self, parts: Iterator[_Element], name: str, shape: tuple[int, ...], depth: int) -> None:
        """Add the fields of a structure; those of an array of structures have the number of theirs."""
        length_element = self._next(parts, (_INT32,))
        if length_element.size != 4:
            raise self.damaged(f"{name[:60]} has no length of field names")
        length = int(length_element.data.of_type(f"{self._order}i4")[0])
        names_element = self._next(parts, (_INT8,))
        if length <= 0 or names_element.size % length:
            raise self.damaged(f"{name[:60]} has field names of {length} bytes")
        joined = names_element.data.tobytes()
        count = self._bounded(len(joined) // length, name)
        fields = [
            joined[i * length : (i + 1) * length].split(b"\0")[0].decode("ascii", "replace") for i in range(count)
        ]
        structures = self._bounded(_product(shape) * max(count, 1), name) // max(count, 1)
        for number in range(1, structures + 1):
            for field in fields:
                label = f"{name}({number}).{field}" if structures > 1 else f"{name}.{field}"
                self.add(self._next(parts, (_MATRIX,)).data, label, depth=depth + 1)
        self._end(parts, name)

    def _bounded(self, count: int, name: str) -> int:
        if count > MAX_VALUES:
            raise RecordError(self._path, f"{name[:60]} has {count:,} values; at most {MAX_VALUES:,} can be read")
        return count


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product
