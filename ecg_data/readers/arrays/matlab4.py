"""Values of MATLAB files of version 4, by the format description of MathWorks (*MAT-File Format*)."""

from __future__ import annotations

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
from ecg_study.errors import RecordError

_HEADER_BYTES = 20
_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")
_PRECISIONS = ("f8", "f4", "i4", "i2", "u2", "u1")
_NUMBERS, _TEXT, _SPARSE = 0, 1, 2
_MAX_NAME_BYTES = 256


@dataclass(frozen=True)
class _Header:
    """Header of a matrix.

    Attributes:
        dtype: type of its elements, with the byte order.
        kind: numbers, text or a sparse matrix.
        rows: number of rows.
        columns: number of columns.
        is_complex: whether it has an imaginary part.
        name: its name.
        end: index of its first element, from the start of the header.
    """

    dtype: np.dtype
    kind: int
    rows: int
    columns: int
    is_complex: bool
    name: str
    end: int

    @property
    def size(self) -> int:
        """Bytes of its elements."""
        return self.rows * self.columns * self.dtype.itemsize * (2 if self.is_complex else 1)


def _parsed(head: bytes) -> _Header | None:
    """Return the header of a matrix; ``None`` if the bytes are not one."""
    for machine, order in enumerate(_ORDERS):
        if len(head) < _HEADER_BYTES:
            return None
        code, rows, columns, imaginary, length = (int(n) for n in np.frombuffer(head[:_HEADER_BYTES], f"{order}i4"))
        # Thousands: byte order; tens: precision; ones: kind. The hundreds are always 0.
        zero, precision, kind = code // 100 % 10, code // 10 % 10, code % 10
        if code // 1000 != machine or zero or precision > 5 or kind > 2:
            continue
        if rows < 0 or columns < 0 or imaginary not in (0, 1) or not 2 <= length <= _MAX_NAME_BYTES:
            continue
        name = head[_HEADER_BYTES : _HEADER_BYTES + length]
        if len(name) < length or name[-1:] != b"\0" or not name[:-1].decode("latin-1").isidentifier():
            continue
        dtype = np.dtype(_PRECISIONS[precision]).newbyteorder(order)
        text = name[:-1].decode("ascii", errors="replace")
        return _Header(dtype, kind, rows, columns, bool(imaginary), text, _HEADER_BYTES + length)
    return None


def is_matlab4(head: bytes) -> bool:
    """Return whether the first bytes are the header of a matrix of version 4."""
    return _parsed(head) is not None


def read_matlab4(path: Path, content: np.ndarray) -> NamedValues:
    """Return the values of a file of version 4.

    Args:
        path: path of the file, for messages.
        content: its bytes.

    Raises:
        RecordError: the file is damaged or truncated.
    """
    values = NamedValues()
    place = 0
    while place < len(content):
        header = _parsed(content[place : place + _HEADER_BYTES + _MAX_NAME_BYTES].tobytes())
        if header is None:
            problem = f"no matrix begins at byte {place:,}; the file is damaged, or other bytes follow its matrices"
            raise RecordError(path, problem)
        start = place + header.end
        if start + header.size > len(content):
            problem = (
                f"truncated: matrix {header.name} has {header.size:,} bytes, but {len(content) - start:,} are left"
            )
            raise RecordError(path, problem)
        _add(header, content[start : start + header.size], values)
        if len(values) > MAX_VALUES:
            raise RecordError(path, f"has more than {MAX_VALUES:,} named values")
        place = start + header.size
    return values


def _add(header: _Header, content: np.ndarray, values: NamedValues) -> None:
    if header.kind == _SPARSE or header.is_complex:
        values.unreadable[header.name] = "complex numbers" if header.is_complex else "a sparse matrix"
        return
    matrix = content.view(header.dtype).reshape((header.rows, header.columns), order="F")
    if header.kind == _NUMBERS:
        if matrix.size:
            values.arrays.append(named_array(header.name, matrix))
        return
    codes = matrix.astype(np.float64).reshape(-1, order="F")
    if codes.size > MAX_TEXT_BYTES or not ((codes >= 0) & (codes < 0xFFFF) & (codes == np.rint(codes))).all():
        values.unreadable[header.name] = "a long text" if codes.size > MAX_TEXT_BYTES else "a text of unknown letters"
        return
    values.texts.append(NamedText(header.name, rows_of_text("".join(map(chr, codes.astype(int))), rows=header.rows)))
