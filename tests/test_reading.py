"""Bounded reads: a file of another kind, size, depth or encoding is refused, and nothing waits for a pipe."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.reading import (
    MAX_JSON_BYTES,
    MAX_TOML_BYTES,
    UnreadableError,
    parse_json,
    parse_npz,
    read_bytes,
    read_json,
    read_toml,
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "line 1, column 2"),
        (b"\xff\xfe{}", "not UTF-8 text (byte 1)"),
        (b'{"a": "\xe9"}', "not UTF-8 text (byte 8)"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * 100 + b"]" * 100, "nested too deeply"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested too deeply"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "too large"),
        (b"1" * 5_000, "a number of 5,000 digits"),
        (b"\x00" * 100, "not JSON"),
    ],
)
def test_damaged_json_is_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UnreadableError, match=re.escape(problem)):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a = [" * 5_000, "not a TOML file"),
        ("a = " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("a = " + "[" * 90 + "]" * 90, "nested too deeply"),
        ("a" + ".a" * 20_000 + " = 1", "nested too deeply"),
        ("[" + "a." * 20_000 + "a]", "nested too deeply"),
        ("a = " + "{a = " * 90 + "1" + "}" * 90, "nested too deeply"),
        ("a = 1\na = 2", "not a TOML file"),
        ("x" * (MAX_TOML_BYTES + 1), "more than the limit"),
    ],
)
def test_damaged_toml_is_refused(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(content)
    with pytest.raises(UnreadableError, match=problem):
        read_toml(tmp_path / "a.toml")


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with open(path, "wb") as target:
        target.truncate(2_000_000_000)
    with pytest.raises(UnreadableError, match="2,000,000,000 bytes"):
        read_json(path)
    path.write_bytes(b" " * (MAX_JSON_BYTES - 2) + b"[]")
    assert read_json(path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither")
def test_pipes_devices_and_folders_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name, problem in (("pipe", "pipe or a device"), ("link", "pipe or a device"), (".", "folder")):
        with pytest.raises(UnreadableError, match=problem):
            read_bytes(tmp_path / name, limit=10)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "missing", limit=10)


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(_plain)
def test_what_was_written_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    for read in (read_json, read_toml):
        try:
            read(path)
        except UnreadableError as error:
            assert "\n" not in str(error)


def _packed(**arrays: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.savez(target, allow_pickle=False, **arrays)
    return target.getvalue()


ARRAYS: dict[str, np.ndarray] = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "number": np.array(2.5),
    "empty": np.empty((0, 4), np.int8),
}


def test_arrays_are_read_as_numpy_reads_them() -> None:
    found = parse_npz(_packed(**ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert found["matrix"].flags.writeable


@given(place=st.integers(0, 10_000), value=st.integers(1, 255))
def test_a_changed_byte_of_an_archive_changes_no_value(place: int, value: int) -> None:
    content = bytearray(_packed(**ARRAYS))
    content[place % len(content)] ^= value
    try:
        found = parse_npz(bytes(content))
    except UnreadableError:
        return
    # The archive may name an array otherwise, or repeat a date.
    for name in found.keys() & ARRAYS.keys():
        np.testing.assert_array_equal(found[name], ARRAYS[name])


def _archive(member: bytes, **changes: Any) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", **changes) as archive:
        archive.writestr("a.npy", member)
    return target.getvalue()


def _header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        _archive(b""),
        _archive(_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }")),
        _archive(_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -2), }") + bytes(16)),
        _archive(_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + bytes(8)),
        _archive(_header("{'descr': '<f8', 'fortran_order': False}") + bytes(8)),
        _archive(_header("[" * 20_000)),
        _archive(bytes(2_000_000), compression=zipfile.ZIP_DEFLATED),
    ],
    ids=["empty", "half", "no array", "huge shape", "negative", "objects", "no shape", "deep", "bomb"],
)
def test_a_damaged_archive_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse_npz(content, limit=1_000_000)
