"""Recordings in NumPy files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from ecg_study.ecg_data.readers.arrays.metadata import check_rising
from ecg_study.ecg_data.readers.arrays.named import NamedArray
from ecg_study.ecg_data.readers.channels import Channel, recording_from_channels
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.ecg_data.readers.rising import HEAD_SAMPLES, is_rising
from ecg_study.errors import RecordError

_MAX_HEADER_CHARACTERS = 10_000  # NumPy's own bound for headers from untrusted files


def open_array(path: Path, options: ReadOptions) -> Recording:
    """Open a ``.npy`` file of shape ``(samples,)`` or ``(samples, leads)`` as a memory map.

    Raises:
        RecordError: the file is not an array of real numbers, or its size differs from what its header states; ``fs``
            is missing, or contradicts a column of times; or the unit of integers is unknown.
    """
    values = _map(path)
    if options.fs is None:
        raise RecordError(path, "a .npy file has no sampling rate; give fs in Hz", parameter="fs")
    channels = array_channels(path, values)
    for channel in channels if len(channels) > 1 else ():
        if is_rising(channel.read(0, min(HEAD_SAMPLES, channel.samples))):
            column = NamedArray(channel.name, (channel.samples,), values.dtype, _part_of(channel))
            check_rising(path, column, fs=options.fs)
    return recording_from_channels(path, channels, options=options, assume_millivolts=True, noun="columns")


def array_channels(path: Path, values: np.ndarray, *, unit: str = "", fs: float | None = None) -> list[Channel]:
    """Return the columns of an array as channels, which are called 1, 2, and so on.

    Args:
        path: path of the file, for messages.
        values: array of shape ``(samples,)`` or ``(samples, leads)``.
        unit: unit of all columns; empty if it is unknown.
        fs: sampling rate in Hz; ``None`` if it is unknown.

    Raises:
        RecordError: the array has another shape, or does not contain real numbers.
    """
    if values.dtype.kind not in "fiu":
        raise RecordError(path, f"contains {values.dtype} instead of real numbers")
    if values.ndim not in (1, 2) or not values.size:
        raise RecordError(path, f"has shape {values.shape} instead of (samples,) or (samples, leads)")
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.shape[1] > max(64, len(values)):
        problem = f"has shape {values.shape}, which means {values.shape[1]:,} leads; save it transposed (.T)"
        raise RecordError(path, problem)
    integers = values.dtype.kind in "iu"
    return [
        Channel(str(column + 1), unit, fs, len(values), _reader(values, column), integers)
        for column in range(values.shape[1])
    ]


def _reader(values: np.ndarray, column: int) -> Callable[[int, int], np.ndarray]:
    def read(start: int, end: int) -> np.ndarray:
        return values[start:end, column].astype(np.float64)

    return read


def _part_of(channel: Channel) -> Callable[[tuple[slice]], np.ndarray]:
    def part(index: tuple[slice]) -> np.ndarray:
        start, end, _ = index[0].indices(channel.samples)
        return channel.read(start, end)

    return part


def _map(path: Path) -> np.ndarray:
    """Return the array as a memory map, after comparing the size of the file with its header."""
    with open(path, "rb") as source:
        try:
            shape, fortran_order, dtype = read_npy_header(source)
        except ValueError as error:
            raise RecordError(path, "not a NumPy array of numbers: its header is damaged") from error
        offset = source.tell()
    if dtype.hasobject:
        raise RecordError(path, "not a NumPy array of numbers: it contains Python objects")
    expected = offset + dtype.itemsize * _product(shape)
    size = path.stat().st_size
    if size < expected:
        raise RecordError(path, f"truncated: {size:,} bytes, but its header states {expected:,}")
    if size > expected:
        problem = f"{size - expected:,} bytes follow the array; a file must contain one array and nothing else"
        raise RecordError(path, problem)
    if not _product(shape):
        raise RecordError(path, f"has shape {shape} instead of (samples,) or (samples, leads)")
    order = "F" if fortran_order else "C"
    return np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order=order)  # type: ignore[call-overload, no-any-return]


def read_npy_header(source: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array; return shape, whether the first axis is contiguous, and type.

    Raises:
        ValueError: the header is damaged.
    """
    from numpy.lib import format as npy_format

    try:
        version = npy_format.read_magic(source)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran_order, dtype = read(source, max_header_size=_MAX_HEADER_CHARACTERS)
    except (EOFError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError, OverflowError) as error:
        raise ValueError("damaged header") from error
    return shape, fortran_order, dtype


def _product(shape: tuple[int, ...]) -> int:
    """Return the number of elements as an integer of any size."""
    product = 1
    for length in shape:
        product *= int(length)
    return product
