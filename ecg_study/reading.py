"""Bounded reads of files that this project writes, or that users write for it.

Such a file may be damaged, or come from somebody else. Its size, depth and kind are checked before its content is used.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
import struct
import tomllib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

MAX_JSON_BYTES = 32_000_000
"""Largest JSON file that is read: thirty times a large report. As Python objects it takes up to 700 MB."""

MAX_NPZ_BYTES = 500_000_000
"""Largest ``.npz`` file that is read, packed or unpacked: several times the weights of a large network."""

MAX_TOML_BYTES = 64_000
"""Largest TOML file that is read: tens of times the settings of a study."""

_MAX_DEPTH = 64  # of nested lists and tables; our own files have up to 12
_LONGEST_PROBLEM = 200  # characters
_MAX_DIGITS = 1000  # of an integer; our own numbers have up to 40, in states of random generators
_MAX_DOTS = 200  # in a line of a TOML file


class UnreadableError(ValueError):
    """A file is not what was expected; the message says what is wrong, without the path."""


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: File to read.
        limit: Largest size in bytes.

    Raises:
        UnreadableError: It is not a regular file, or is larger. A pipe or device is not opened.
        OSError: It is missing, or cannot be read.
    """
    _check_regular(Path(path).stat())
    # Without waiting, in case that a pipe took its place in the meantime.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as source:
        found = os.fstat(descriptor)
        _check_regular(found)
        content = source.read(limit + 1) if found.st_size <= limit else b""
    if found.st_size > limit or len(content) > limit:
        raise UnreadableError(f"{max(found.st_size, limit + 1):,} bytes, more than the limit of {limit:,}")
    return content


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableError("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("a pipe or a device, not a file")


def read_text(path: Path, *, limit: int = MAX_JSON_BYTES) -> str:
    """Return the content of a UTF-8 file.

    Raises:
        UnreadableError: See `read_bytes`; or it is not UTF-8.
        OSError: It is missing, or cannot be read.
    """
    try:
        return read_bytes(path, limit=limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 text (byte {error.start + 1:,})") from error


def read_json(path: Path, *, limit: int = MAX_JSON_BYTES) -> Any:
    """Return the value in a JSON file. Its size, its depth and its numbers are bounded.

    Raises:
        UnreadableError: See `read_text`; or it is not JSON, is nested too deeply, or has a number that is not finite.
        OSError: It is missing, or cannot be read.
    """
    return parse_json(read_text(path, limit=limit))


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; see `read_json`."""
    try:
        value = json.loads(
            text, parse_int=_short_integer, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repetition
        )
    except json.JSONDecodeError as error:
        raise UnreadableError(f"not JSON (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise UnreadableError("nested too deeply") from error
    except ValueError as error:
        raise UnreadableError(f"not JSON ({error})") from error
    _check_values(value)
    return value


def _short_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise UnreadableError(f"a number of {len(text):,} digits")
    return int(text)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Its size and depth are bounded.

    Raises:
        UnreadableError: See `read_text`; or it is not TOML, or is nested too deeply.
        OSError: It is missing, or cannot be read.
    """
    text = read_text(path, limit=MAX_TOML_BYTES)
    # tomllib takes time with the square of the parts of a dotted key.
    if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
        raise UnreadableError("nested too deeply")
    try:
        content = tomllib.loads(text)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"not a TOML file ({' '.join(str(error).split())[:200]})") from error
    except RecursionError as error:
        raise UnreadableError("nested too deeply") from error
    _check_values(content, finite=False)
    return content


def read_npz(path: Path, *, limit: int = MAX_NPZ_BYTES) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file; see `parse_npz`.

    Raises:
        UnreadableError: See `read_bytes` and `parse_npz`.
        OSError: It is missing, or cannot be read.
    """
    return parse_npz(read_bytes(path, limit=limit), limit=limit)


def parse_npz(content: bytes, *, limit: int = MAX_NPZ_BYTES) -> dict[str, np.ndarray]:
    """Return the arrays in the content of an ``.npz`` file, whose zip format detects changed bytes.

    Nothing is allocated for more than the file has.

    Args:
        content: Bytes of the file.
        limit: Largest size of all arrays in bytes.

    Raises:
        UnreadableError: The content is damaged, or larger.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            total = sum(item.file_size for item in archive.infolist())
            if total > limit:
                raise UnreadableError(f"unpacks to {total:,} bytes, more than the limit of {limit:,}")
            for item in archive.infolist():
                arrays[item.filename.removesuffix(".npy")] = _parse_npy(archive.read(item))
    except UnreadableError:
        raise
    # zipfile raises the last three for a wrong offset, encrypted members and unknown compression.
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        LookupError,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise UnreadableError("not a NumPy archive, or changed") from error
    return arrays


def _parse_npy(content: bytes) -> np.ndarray:
    source = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(source)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran_order, dtype = read(source)
        start = source.tell()
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - start:
            raise UnreadableError("an array has another size than its header says")
        array = np.frombuffer(content, dtype, offset=start) if len(content) > start else np.empty(0, dtype)
        return array.reshape(shape, order="F" if fortran_order else "C").copy()
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise UnreadableError("not a NumPy array") from error


def first_problem(error: Any) -> str:
    """Return place and reason of the first problem of a pydantic ``ValidationError``, on one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    problem = first["msg"].removeprefix("Value error, ")
    return " ".join((f"{place}: {problem}" if place else problem).split())[:_LONGEST_PROBLEM]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name has two values")
    return values


def _check_values(value: Any, *, finite: bool = True) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                following += item.values()
            elif isinstance(item, list):
                following += item
            elif finite and isinstance(item, float) and not math.isfinite(item):
                raise UnreadableError("a number is too large")
        if not following:
            return
        level = following
    raise UnreadableError("nested too deeply")
