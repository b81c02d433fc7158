"""Tests of WFDB files that state a rate or a length: annotations with a time resolution, and FLAC signals."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wfdb

from ecg_study.ecg_data.readers.wfdb import read_annotations, read_record
from ecg_study.errors import RecordError
from tests.recordings import FS, SIGNAL, edit_header, is_signal, problem_of, read, write_wfdb

BEATS = np.arange(100, 10_000, 200)


def annotated(folder: Path, text: str, *, fs: float = FS) -> Path:
    """Write a record whose annotations begin with a note, and return its path."""
    record = write_wfdb(folder, SIGNAL, fs=fs)
    note = text.encode()
    head = bytes([0, 22 << 2, len(note), 63 << 2]) + note + b"\0" * (len(note) % 2)
    steps = np.diff(BEATS, prepend=0)
    beats = b"".join(int(1 << 10 | step).to_bytes(2, "little") for step in steps)
    (folder / "r.atr").write_bytes(head + beats + b"\0\0")
    return record


@pytest.mark.parametrize("text", ["250", "250.0", "250.0000000000000001", "2.5e2", "2.5E+02", "250.0001", " 250 "])
def test_a_time_resolution_in_any_form_is_read(tmp_path: Path, text: str) -> None:
    record = annotated(tmp_path, f"## time resolution: {text}")
    assert read_annotations(record).fs == pytest.approx(250.0, rel=1e-6)
    np.testing.assert_array_equal(read_record(record).r_peaks, BEATS)


@pytest.mark.parametrize("text", ["333.3333333333333", "1e3", "249.9", "360.0000000001"])
def test_another_time_resolution_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecordError, match=r"its times are at .* Hz, but the signal has 250 Hz"):
        read_record(annotated(tmp_path, f"## time resolution: {text}"))


@pytest.mark.parametrize("text", ["", "fast", "0", "-250", "nan", "inf", "250 Hz", "1_0", "1e999"])
def test_a_time_resolution_that_is_no_rate_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecordError, match=f"the time resolution '{text}' is not a sampling rate in Hz; correct it"):
        read_annotations(annotated(tmp_path, f"## time resolution: {text}"))


@pytest.mark.parametrize("fs", [1000 / 3, 200 / 1.2345, 256.41025641025641, 128.2051282])
def test_annotations_of_the_wfdb_package_are_read_at_any_rate(tmp_path: Path, fs: float) -> None:
    record = write_wfdb(tmp_path, SIGNAL)
    edit_header(record, "r 1 250 ", f"r 1 {fs:.12g} ")
    wfdb.wrann("r", "atr", BEATS, ["N"] * len(BEATS), fs=fs, write_dir=str(tmp_path))
    np.testing.assert_array_equal(read_record(record).r_peaks, BEATS)
    edit_header(record, f"r 1 {fs:.12g} ", "r 1 250 ")
    with pytest.raises(RecordError, match="its times are at"):
        read_record(record)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("r.dat", "r.v1.dat", "the file name 'r.v1.dat' must have letters from a to z"),
        ("r.dat", "r(1).dat", "the file name 'r(1).dat' must have letters from a to z"),
        ("r 1 250 ", "r.v1 1 250 ", "the record name 'r.v1' in its header must have letters from a to z"),
        ("r 1 250 ", "r 1 2.5E2 ", "the sampling rate in its header has an exponent; write it without"),
    ],
)
def test_what_the_wfdb_package_cannot_read_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    record = edit_header(write_wfdb(tmp_path, SIGNAL), old, new)
    if new.endswith(".dat"):
        (tmp_path / old).rename(tmp_path / new)
    assert problem in problem_of(record)


def test_a_compressed_header_is_named(tmp_path: Path) -> None:
    header = write_wfdb(tmp_path, SIGNAL).with_suffix(".hea")
    (tmp_path / "b.hea.gz").write_bytes(gzip.compress(header.read_bytes()))
    assert "a compressed WFDB header cannot be read" in problem_of(tmp_path / "b.hea.gz")


@pytest.mark.parametrize(
    ("fmt", "subtype", "shift"), [("508", "PCM_S8", 8), ("516", "PCM_16", 0), ("524", "PCM_24", 8)]
)
def test_a_flac_file_has_the_length_of_its_header(tmp_path: Path, fmt: str, subtype: str, shift: int) -> None:
    digital = np.round(SIGNAL * 60).astype(np.int32)
    stored = (digital << shift).astype(np.int32 if fmt == "524" else np.int16)
    with open(tmp_path / "r.dat", "wb") as target:
        soundfile.write(target, stored[:, None], int(FS), subtype=subtype, format="FLAC")
    header = tmp_path / "r.hea"
    header.write_text(f"r 1 250 {len(digital)}\nr.dat {fmt} 60(0)/mV 12 0 {digital[0]} {digital.sum() % 65536} 0 II\n")
    is_signal(read(header), digital / 60)
    for stated, verb in ((len(digital) - 100, "holds"), (len(digital) + 100, "holds only")):
        header.write_text(f"r 1 250 {stated}\nr.dat {fmt} 60(0)/mV\n")
        wanted = f"{verb} 10,000 samples per signal, but the header states {stated:,}; correct the header"
        assert problem_of(header, lead="1") == wanted
    (tmp_path / "r.dat").write_bytes(b"no music")
    assert problem_of(header, lead="1") == "not a FLAC file, or truncated"
