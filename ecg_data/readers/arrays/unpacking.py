"""Unpacking of compressed data into memory or a temporary file, within a limit."""

from __future__ import annotations

import math
import mmap
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.errors import RecordError

MAX_UNPACKED_BYTES = 4_000_000_000
"""Largest unpacked array: a 24-hour recording of twelve leads at 500 Hz has half as many bytes in 32 bits."""

_LARGEST_RATIO, _SMALL = 100, 64_000_000
"""Signals and tables of numbers take a tenth to a half of their size when compressed. Less than a hundredth means that
one value is repeated, which would only take time. Small contents may be so."""

_IN_MEMORY, _PIECE, _FREE_DISK = 1 << 22, 1 << 20, 1 << 28


def largest_content(packed_bytes: int) -> int:
    """Return the bytes that data of some bytes may have when they are decompressed."""
    return min(MAX_UNPACKED_BYTES, max(_SMALL, _LARGEST_RATIO * packed_bytes))


def unpack(path: Path, pieces: Iterable[bytes], *, limit: int = MAX_UNPACKED_BYTES) -> np.ndarray:
    """Return joined pieces as bytes: in memory if they are few, otherwise in a temporary file that has no name.

    The file exists as long as the returned array.

    Args:
        path: path of the packed file, for messages.
        pieces: unpacked bytes in order.
        limit: most bytes.

    Raises:
        RecordError: there are more bytes than ``limit``, or the disk is full.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as target:
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise RecordError(path, f"its unpacked content has more than {limit:,} bytes, which is too large")
            if size > _IN_MEMORY and shutil.disk_usage(tempfile.gettempdir()).free < _FREE_DISK:
                raise RecordError(path, "its unpacked content does not fit on the disk for temporary files")
            target.write(piece)
        if size <= _IN_MEMORY:
            target.seek(0)
            return np.frombuffer(target.read(), np.uint8)
        target.flush()
        # The map keeps the content after the file is closed.
        return np.frombuffer(mmap.mmap(target.fileno(), size, access=mmap.ACCESS_READ), np.uint8)


def scratch_array(path: Path, shape: tuple[int, ...], *, dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array to write to, in a temporary file that has no name. It may be larger than the memory.

    Raises:
        RecordError: the disk is full. Writing to the array would end the program then.
    """
    size = math.prod(shape) * dtype.itemsize
    if shutil.disk_usage(tempfile.gettempdir()).free < size + _FREE_DISK:
        raise RecordError(path, "its unpacked content does not fit on the disk for temporary files")
    with tempfile.TemporaryFile() as scratch:
        return np.memmap(scratch, dtype, mode="w+", shape=shape)


def inflate(path: Path, packed: np.ndarray, *, place: str) -> Iterator[bytes]:
    """Yield the content of a zlib stream in pieces.

    Args:
        path: path of the file, for messages.
        packed: bytes of the stream, and of nothing else.
        place: what is compressed, for messages.

    Raises:
        RecordError: the stream is damaged, truncated, or followed by other bytes.
    """
    stream = zlib.decompressobj()
    packed_end = 0
    try:
        for start in range(0, len(packed), _PIECE):
            waiting = packed[start : start + _PIECE].tobytes()
            packed_end = start + len(waiting)
            while waiting and not stream.eof:
                yield stream.decompress(waiting, _PIECE)
                waiting = stream.unconsumed_tail
            if stream.eof:
                break
        while not stream.eof:
            piece = stream.decompress(stream.unconsumed_tail, _PIECE)
            if not piece:
                break
            yield piece
    except zlib.error as error:
        raise RecordError(path, f"{place}: damaged; it cannot be decompressed") from error
    if not stream.eof:
        raise RecordError(path, f"{place}: truncated; its compressed data end too early")
    if stream.unused_data or packed_end < len(packed):
        raise RecordError(path, f"{place}: damaged; other bytes follow its compressed data")
