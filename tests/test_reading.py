"""Bounded reads: a file of another kind, size, depth or encoding is refused, and nothing waits for a pipe."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.reading import (
    MAX_JSON_BYTES,
    MAX_TOML_BYTES,
    UnreadableError,
    parse_json,
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
        (b"1" * 5_000, "not JSON"),
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
