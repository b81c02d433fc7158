"""Groups and arrays of HDF5 files.

The package h5py reads the structure. Compressed data are decompressed here, because the HDF5 library does not bound
what a compressed chunk grows to, and it fills missing chunks with zeros.

References:
    HDF5 File Format Specification 3.0, https://docs.hdfgroup.org/hdf5/v1_14/_f_m_t3.html.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.arrays.named import MAX_TEXT_BYTES, NamedArray
from ecg_study.ecg_data.readers.arrays.unpacking import inflate, largest_content, scratch_array, unpack
from ecg_study.errors import RecordError

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_DEFLATE, _SHUFFLE = 1, 2  # numbers of filters in the specification
_MAX_CHUNKS = 200_000
_MAX_CHUNK_BYTES = 64_000_000
"""Largest chunk, which is decompressed in memory. The programs that write these files make chunks of about 1 MB."""

_MAX_MEMBERS = 10_000


@contextmanager
def _damage_as_record_errors(path: Path) -> Iterator[None]:
    """Turn the errors of h5py for damaged files, which have many types, into one of the recording."""
    try:
        yield
    except RecordError:
        raise
    except Exception as error:
        raise RecordError(path, "damaged or truncated: its HDF5 structure cannot be read") from error


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open a file as `h5py.File`, for reading; it is closed with the last array of it, or at once after an error.

    Raises:
        RecordError: the file is damaged or truncated, or any error of h5py within the context.
    """
    import h5py

    with _damage_as_record_errors(path):
        file = h5py.File(path, "r", locking=False)
        try:
            yield file
        except BaseException:
            file.close()
            raise


def members(path: Path, group: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and object of the members of a group. Only what is stored in this file is followed.

    Raises:
        RecordError: a member is a link to another place or another file, or there are too many.
    """
    import h5py

    if len(group) > _MAX_MEMBERS:
        raise RecordError(path, f"has a group of {len(group):,} members; at most {_MAX_MEMBERS:,} can be read")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise RecordError(path, f"{name[:60]!r} is a link; copy what it refers to into the file")
        yield name, group[name]


def stored_array(path: Path, dataset: Any, *, name: str, transposed: bool = False) -> NamedArray | None:
    """Return a dataset of numbers as an array; ``None`` if its elements are not numbers, or if it has none.

    Args:
        path: path of the file, for messages.
        dataset: dataset of h5py.
        name: name of the array.
        transposed: whether the array is the transpose of the dataset, as in MATLAB.

    Raises:
        RecordError: samples are stored in another file, compressed in an unknown way, or missing.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu" or not dataset.shape:
        return None
    if not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype)):
        return None  # numbers in a format that NumPy does not have
    shape = tuple(int(length) for length in dataset.shape)
    if 0 in shape:
        return None
    _check_storage(path, name, dataset)
    read = _chunk_reader(path, name, dataset) if dataset.chunks else dataset.__getitem__

    def part(index: Any) -> np.ndarray:
        with _damage_as_record_errors(path):
            found = read(tuple(reversed(index)) if transposed else index)
        return np.asarray(found).T if transposed else np.asarray(found)

    return NamedArray(name, shape[::-1] if transposed else shape, dataset.dtype, part)


def small_values(path: Path, dataset: Any) -> np.ndarray:
    """Return all elements of a small dataset.

    Raises:
        RecordError: it is large, or its elements are missing.
    """
    size = int(np.prod([int(length) for length in dataset.shape], dtype=object)) * dataset.dtype.itemsize
    if size > MAX_TEXT_BYTES:
        raise RecordError(path, f"{dataset.name[:60]} has {size:,} bytes of metadata")
    _check_storage(path, str(dataset.name), dataset)
    return np.asarray(dataset[()])


def _check_storage(path: Path, name: str, dataset: Any) -> None:
    """Check that all elements are stored in this file.

    Raises:
        RecordError: they are not.
    """
    size = dataset.dtype.itemsize
    for length in dataset.shape:
        size *= int(length)
    limit = largest_content(path.stat().st_size)
    if size > limit:
        raise RecordError(path, f"{name[:60]} has {size:,} bytes; at most {limit:,} can be read from this file")
    if dataset.is_virtual or dataset.external:
        raise RecordError(path, f"the samples of {name[:60]} are in another file; copy them into this one")
    if dataset.chunks is None:
        stored = dataset.id.get_storage_size()
        if stored != size or stored > path.stat().st_size:
            raise RecordError(path, f"{name[:60]} has {stored:,} bytes instead of {size:,}; the file is incomplete")
        return
    _filters(path, name, dataset)
    expected = 1
    for length, chunk in zip(dataset.shape, dataset.chunks, strict=True):
        expected *= -(-int(length) // int(chunk))
    if expected > _MAX_CHUNKS:
        raise RecordError(path, f"{name[:60]} is divided into {expected:,} chunks; at most {_MAX_CHUNKS:,} can be read")
    found = dataset.id.get_num_chunks()
    if found != expected:
        raise RecordError(path, f"{name[:60]} has {found:,} chunks instead of {expected:,}; the file is incomplete")


def _filters(path: Path, name: str, dataset: Any) -> list[int]:
    """Return the filters of a dataset in the order in which they were applied."""
    properties = dataset.id.get_create_plist()
    found = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if found not in ([], [_DEFLATE], [_SHUFFLE], [_SHUFFLE, _DEFLATE]):
        raise RecordError(path, f"{name[:60]} has an unknown compression; save it without one, or with gzip")
    return found


def _chunk_reader(path: Path, name: str, dataset: Any) -> Any:
    """Return a function that reads parts of a dataset in chunks, all of which are decompressed on first use."""

    @cache
    def whole() -> np.ndarray:
        order = _places(dataset)
        joined = unpack(
            path,
            (_chunk(path, name, dataset, place) for place in order),
            limit=2 * largest_content(path.stat().st_size),
        )
        chunks = joined.view(dataset.dtype).reshape(len(order), *dataset.chunks)
        if len(order) == 1:
            only: np.ndarray = chunks[0]
            return only[tuple(slice(0, length) for length in dataset.shape)]
        array = scratch_array(path, dataset.shape, dtype=dataset.dtype)
        for chunk, place in zip(chunks, order, strict=True):
            index = tuple(slice(start, start + step) for start, step in zip(place, dataset.chunks, strict=True))
            target = array[index]
            target[...] = chunk[tuple(slice(0, length) for length in target.shape)]
        return array

    return lambda index: whole()[index]


def _places(dataset: Any) -> list[tuple[int, ...]]:
    """Return the first index of each chunk."""
    axes = [range(0, length, chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    return list(itertools.product(*axes))


def _chunk(path: Path, name: str, dataset: Any, place: tuple[int, ...]) -> bytes:
    """Return the decompressed bytes of a chunk."""
    itemsize = dataset.dtype.itemsize
    size = int(np.prod([int(length) for length in dataset.chunks], dtype=object)) * itemsize
    described = f"{name[:60]}, chunk at {place[0]:,}"
    stored = dataset.id.get_chunk_info_by_coord(place)
    if stored.byte_offset is None or stored.filter_mask:
        raise RecordError(path, f"{described}: missing or not compressed; the file is damaged")
    if max(size, stored.size) > max(2 * size, path.stat().st_size) or size > _MAX_CHUNK_BYTES:
        raise RecordError(path, f"{described}: has {max(size, stored.size):,} bytes, which is too large")
    _, content = dataset.id.read_direct_chunk(place)
    filters = _filters(path, name, dataset)
    if _DEFLATE in filters:
        packed = np.frombuffer(content, np.uint8)
        content = unpack(path, inflate(path, packed, place=described), limit=size).tobytes()
    if len(content) != size:
        raise RecordError(path, f"{described}: {len(content):,} bytes instead of {size:,}; the file is damaged")
    if _SHUFFLE in filters:
        # The shuffle filter stores the first bytes of all elements, then the second ones, and so on.
        content = np.frombuffer(content, np.uint8).reshape(itemsize, -1).T.tobytes()
    return bytes(content)
