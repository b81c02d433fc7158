"""Recordings in NumPy archives (``.npz``): ZIP files of arrays with names."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.arrays.named import (
    MAX_TEXT_BYTES,
    MAX_VALUES,
    NamedArray,
    NamedText,
    NamedValues,
)
from ecg_study.ecg_data.readers.arrays.signal import recording_from_arrays
from ecg_study.ecg_data.readers.arrays.unpacking import largest_content, unpack
from ecg_study.ecg_data.readers.npy import read_npy_header
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError, OSError)
"""Errors of the module zipfile for damaged archives, and of damaged headers of arrays."""


def is_npz(head: bytes) -> bool:
    """Return whether the first bytes are those of a ZIP file whose first member is an array."""
    name_length = int.from_bytes(head[26:28], "little")
    return head[:4] == b"PK\x03\x04" and head[30 : 30 + name_length].endswith(b".npy")


def open_npz(path: Path, options: ReadOptions) -> Recording:
    """Open a ``.npz`` file; arrays are unpacked when they are needed.

    Raises:
        RecordError: the archive is damaged, truncated or encrypted; its members have other sizes than their headers
            state; or see `recording_from_arrays`. Python objects are never loaded.
    """
    values = NamedValues()
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_VALUES:
                raise RecordError(path, f"has {len(members):,} arrays; at most {MAX_VALUES:,} can be read")
            for member in members:
                _add(path, archive, member, values)
    except _DAMAGED as error:
        raise RecordError(path, "damaged or truncated; it is not a complete .npz archive") from error
    return recording_from_arrays(path, values, options=options)


def _add(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, values: NamedValues) -> None:
    """Add a member of the archive to the named values."""
    if not member.filename.endswith(".npy"):
        values.unreadable[member.filename] = "not an array"
        return
    name = member.filename.removesuffix(".npy")
    if member.flag_bits & 1:
        raise RecordError(path, f"array {name}: encrypted; save it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RecordError(path, f"array {name}: unknown compression; save it with numpy.savez")
    shape, fortran_order, dtype, start = _read_header(path, archive, member, name)
    if dtype.hasobject:
        values.unreadable[name] = "Python objects"
        return
    count = 1
    for length in shape:
        count *= int(length)
    if start + count * dtype.itemsize != member.file_size:
        problem = f"array {name}: its header states {start + count * dtype.itemsize:,} bytes"
        raise RecordError(path, f"{problem}, but the archive {member.file_size:,}; the file is damaged")
    if dtype.kind not in "fiuUS" or dtype.names:
        values.unreadable[name] = str(dtype)[:40]
        return
    if not count or not dtype.itemsize:
        return

    @cache
    def unpacked() -> np.ndarray:
        data = unpack(path, _content(path, member, name), limit=largest_content(member.compress_size))
        if len(data) != member.file_size:
            raise RecordError(path, f"array {name}: {len(data):,} bytes instead of {member.file_size:,}; truncated")
        flat = data[start:].view(np.dtype(np.uint8)).view(dtype)
        return flat.reshape(shape, order="F" if fortran_order else "C")

    if dtype.kind in "US":
        if member.file_size <= MAX_TEXT_BYTES:
            values.texts.append(NamedText(name, _texts(unpacked())))
        else:
            values.unreadable[name] = "a long text"
        return
    values.arrays.append(NamedArray(name, tuple(shape), dtype, lambda index: unpacked()[index]))


def _read_header(
    path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, order, type and the place of the first element."""
    try:
        with archive.open(member) as source:
            return (*read_npy_header(source), source.tell())
    except _DAMAGED as error:
        raise RecordError(path, f"array {name}: not a NumPy array; the file is damaged") from error


def _content(path: Path, member: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    """Yield the bytes of a member; the archive compares their checksum at the end."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as source:
            while piece := source.read(1 << 20):
                yield piece
    except _DAMAGED as error:
        raise RecordError(path, f"array {name}: damaged or truncated; it cannot be unpacked") from error


def _texts(values: np.ndarray) -> tuple[str, ...]:
    items = values.reshape(-1).tolist()
    return tuple(_text(item).strip() for item in items[:4096])


def _text(item: str | bytes) -> str:
    if isinstance(item, str):
        return item
    try:
        return item.decode("utf-8")
    except UnicodeDecodeError:
        return item.decode("latin-1")
