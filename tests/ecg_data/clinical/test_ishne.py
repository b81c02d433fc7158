"""Tests of Holter recordings in the ISHNE format."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.ecg_data.clinical.signals import (
    FS,
    SAMPLES,
    assert_cut_and_altered_files_are_never_misread,
    digital,
    millivolts,
    opened,
    problem,
    values,
)
from tests.ecg_data.clinical.writers import ishne, with_ishne_checksum

LEADS = [digital(position) for position in range(3)]
CONTENT = ishne(LEADS, codes=(5, 6, 11))


def written(tmp_path: Path, content: bytes = CONTENT) -> Path:
    path = tmp_path / "a.ecg"
    path.write_bytes(content)
    return path


def changed(place: int, layout: str, *numbers: int) -> bytes:
    """Return the file with other numbers in its header, and the right checksum."""
    content = bytearray(CONTENT)
    struct.pack_into(layout, content, place, *numbers)
    return with_ishne_checksum(bytes(content))


def test_all_leads_are_read_with_their_units_rate_and_time(tmp_path: Path) -> None:
    recording = opened(written(tmp_path), lead="all")
    assert (recording.fs, recording.leads, recording.samples) == (FS, ("I", "II", "V1"), SAMPLES)
    assert recording.start_time == "2002-11-22T09:10:00"
    np.testing.assert_allclose(values(recording.path, lead="all"), millivolts(np.column_stack(LEADS)), atol=1e-9)


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("comment", [b"", b"a longer note"])
def test_both_meanings_of_the_number_of_samples_are_known(tmp_path: Path, total: bool, comment: bytes) -> None:
    path = written(tmp_path, ishne(LEADS, codes=(5, 6, 11), total=total, comment=comment))
    np.testing.assert_allclose(values(path, lead="all"), millivolts(np.column_stack(LEADS)), atol=1e-9)


def test_lead_faults_are_missing_samples(tmp_path: Path) -> None:
    lead = digital()
    lead[100:200] = -32768
    found = values(written(tmp_path, ishne([lead], codes=(6,))))[:, 0]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), np.arange(100, 200))


def test_the_checksum_may_have_either_order_of_bytes_or_be_missing(tmp_path: Path) -> None:
    for checksum in (CONTENT[9:7:-1], b"\0\0"):
        assert len(values(written(tmp_path, CONTENT[:8] + checksum + CONTENT[10:]))) == SAMPLES
    assert "checksum" in problem(written(tmp_path, CONTENT[:8] + b"\1\2" + CONTENT[10:]))
    comment = CONTENT[:523] + b"X" + CONTENT[524:]
    assert "checksum" in problem(written(tmp_path, comment))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], "header states 2,500 samples of 3 leads; the file is truncated"),
        (CONTENT[:-6], "2,499 samples per lead, but its header states 2,500"),
        (CONTENT + b"\0" * 6, "2,501 samples per lead"),
        (CONTENT[:400], "truncated: 400 bytes"),
        (CONTENT[:526], "truncated: 526 bytes"),
        (changed(14, "<i", -1), "header states -1 samples"),
        (changed(10, "<i", -5), "a block of -5 bytes"),
        (changed(22, "<i", 522), "puts the samples at byte 522"),
        (changed(156, "<h", 0), "states 0 leads"),
        (changed(156, "<h", 13), "states 13 leads"),
        (changed(156, "<h", 2), "header states 2,500 samples of 2 leads"),
        (changed(272, "<h", 0), "0 Hz; ECG from 100"),
        (changed(272, "<h", -500), "ECG from 100"),
        (b"ANN  1.0" + CONTENT[8:], "an ISHNE annotation file"),
    ],
)
def test_a_wrong_header_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in problem(written(tmp_path, content))


def test_an_unknown_resolution_is_requested(tmp_path: Path) -> None:
    for resolution in (-9, 0):
        path = written(tmp_path, changed(206, "<h", resolution))
        assert "integers look like ADC units; give gain" in problem(path, lead="I")
        assert len(values(path, lead="II")) == SAMPLES
        np.testing.assert_allclose(values(path, lead="I", gain=200.0)[:, 0], millivolts(LEADS[0]), atol=1e-9)


def test_a_resolution_that_no_ecg_has_is_an_error(tmp_path: Path) -> None:
    content = bytearray(ishne([digital(0, 60 * FS)], codes=(6,)))
    struct.pack_into("<h", content, 206, 5)
    path = written(tmp_path, with_ishne_checksum(bytes(content)))
    assert "too small for an ECG" in problem(path)


def test_unknown_and_repeated_leads_are_told_apart_by_position(tmp_path: Path) -> None:
    path = written(tmp_path, ishne(LEADS, codes=(0, 6, 6)))
    assert opened(path, lead="all").leads == ("lead_1", "II_1", "II_2")
    np.testing.assert_allclose(values(path, lead="3")[:, 0], millivolts(LEADS[2]), atol=1e-9)
    path = written(tmp_path, ishne(LEADS, codes=(-9, 77, 1)))
    assert opened(path, lead="all").leads == ("lead_1", "lead_2", "lead_3")


def test_a_wrong_date_is_not_a_start(tmp_path: Path) -> None:
    assert opened(written(tmp_path, changed(138, "<3h", 40, 1, 2002))).start_time == ""


def test_cut_and_altered_files_are_never_misread(tmp_path: Path) -> None:
    small = ishne([digital(0, 700), digital(1, 700)], codes=(5, 6))
    assert_cut_and_altered_files_are_never_misread(tmp_path / "a.ecg", small, seed=1)
