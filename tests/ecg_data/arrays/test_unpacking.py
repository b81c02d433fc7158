"""Decompression within limits."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from ecg_study.ecg_data.readers.arrays import unpacking
from ecg_study.ecg_data.readers.arrays.unpacking import inflate, scratch_array, unpack
from ecg_study.errors import RecordError

CONTENT = np.random.default_rng(1).integers(0, 4, 3_000_000, np.uint8).tobytes()
PACKED = zlib.compress(CONTENT)
PATH = Path("a.mat")


def inflated(packed: bytes) -> bytes:
    return b"".join(inflate(PATH, np.frombuffer(packed, np.uint8), place="ecg"))


def test_a_stream_of_several_pieces_is_decompressed() -> None:
    assert inflated(PACKED) == CONTENT


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (PACKED[:-1], "ecg: truncated"),
        (PACKED[: len(PACKED) // 2], "ecg: truncated"),
        (b"", "ecg: truncated"),
        (PACKED + b"x", "ecg: damaged; other bytes follow"),
        (PACKED + bytes(2_000_000), "ecg: damaged; other bytes follow"),
        (PACKED[:5000] + b"\0\0\0\0" + PACKED[5004:], "ecg: damaged"),
        (b"not compressed", "ecg: damaged"),
    ],
)
def test_damaged_streams_are_refused(packed: bytes, problem: str) -> None:
    with pytest.raises(RecordError, match=problem):
        inflated(packed)


@pytest.mark.parametrize("in_memory", [10, 1 << 22])
def test_unpacked_bytes_are_the_pieces(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_IN_MEMORY", in_memory)
    assert unpack(PATH, [b"ab" * 50, b"", b"cd"]).tobytes() == b"ab" * 50 + b"cd"
    with pytest.raises(RecordError, match="more than 101 bytes"):
        unpack(PATH, [b"ab" * 50, b"cd"], limit=101)


def test_a_full_disk_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_IN_MEMORY", 10)
    monkeypatch.setattr(unpacking, "_FREE_DISK", 1 << 60)
    with pytest.raises(RecordError, match="does not fit on the disk"):
        unpack(PATH, [b"ab" * 50])
    with pytest.raises(RecordError, match="does not fit on the disk"):
        scratch_array(PATH, (10, 2), dtype=np.dtype(float))
