"""Tests of recordings of BIOPAC AcqKnowledge."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.ecg_data.clinical.signals import (
    FS,
    SAMPLES,
    digital,
    millivolts,
    opened,
    problem,
    tolerant,
    values,
)
from tests.ecg_data.devices.acq_writer import LAYOUTS, Channel, acq, interleaved

ECG = Channel(digital(), "ECG - ECG100C")
SECOND = Channel(digital(1), "EMG", "uV", scale=5.0)
FORMS = [(revision, order, False) for revision in LAYOUTS for order in "<>"]
FORMS += [(revision, order, True) for revision in LAYOUTS if revision >= 41 for order in "<>"]
FORM_NAMES = [f"{revision} {order} {'compressed' if packed else 'plain'}" for revision, order, packed in FORMS]


def written(tmp_path: Path, content: bytes | None = None) -> Path:
    path = tmp_path / "a.acq"
    path.write_bytes(acq([ECG, SECOND], milliseconds=2.0) if content is None else content)
    return path


@pytest.mark.parametrize(("revision", "order", "packed"), FORMS, ids=FORM_NAMES)
def test_all_versions_are_read_in_both_byte_orders(tmp_path: Path, revision: int, order: str, packed: bool) -> None:
    content = acq([ECG, SECOND], revision=revision, order=order, compressed=packed, milliseconds=2.0, markers=3)
    path = written(tmp_path, content)
    recording = opened(path, lead="all")
    assert (recording.fs, recording.leads, recording.samples) == (FS, ("ECG - ECG100C", "EMG"), SAMPLES)
    np.testing.assert_allclose(
        values(path, lead="all"), millivolts(np.column_stack([digital(), digital(1)])), atol=1e-9
    )
    assert opened(path).leads == ("ECG - ECG100C",)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("extra", [0, 1, -1])
def test_channels_with_other_rates_and_types_are_read(tmp_path: Path, packed: bool, extra: int) -> None:
    slow = Channel(digital()[: SAMPLES // 4 + extra], "RESP", "Volts", divider=4, scale=0.1)
    quarter = Channel(digital(2)[: SAMPLES // 2], "ECG 2", divider=2, offset=0.25)
    floats = Channel(millivolts(digital(3)), "ECG 3", kind="f8", scale=7.0, offset=3.0)
    path = written(tmp_path, acq([slow, ECG, quarter, floats], compressed=packed, milliseconds=2.0))
    for lead, expected, fs in (
        ("ECG - ECG100C", millivolts(digital()), 500),
        ("ECG 2", millivolts(digital(2))[: SAMPLES // 2] + 0.25, 250),
        ("ECG 3", millivolts(digital(3)), 500),
    ):
        assert opened(path, lead=lead).fs == fs
        np.testing.assert_allclose(values(path, lead=lead)[:, 0], expected, atol=1e-9)
    assert "125 Hz" in problem(path, lead="RESP", fs=500.0)
    assert "different sampling rates" in problem(path, lead="all")


def test_long_recordings_are_read_in_parts(tmp_path: Path) -> None:
    long = Channel(digital(samples=320_000))
    half = Channel(digital(1, 160_000), "ECG 2", divider=2)
    path = written(tmp_path, acq([long, half], milliseconds=2.0))
    np.testing.assert_allclose(values(path, lead="1")[:, 0], millivolts(long.values), atol=1e-9)
    np.testing.assert_allclose(values(path, lead="2")[:, 0], millivolts(half.values), atol=1e-9)


@pytest.mark.parametrize("name", ["ECG - ECG100C", "EKG - ERS100C", "ECG, X, RSPEC-R"])
def test_the_channel_of_an_ecg_amplifier_is_the_usual_lead(tmp_path: Path, name: str) -> None:
    breath = Channel(digital(1), "RSP - RSP100C", "Volts")
    path = written(tmp_path, acq([breath, replace(ECG, name=name)], milliseconds=2.0))
    assert opened(path).leads == (name,)
    np.testing.assert_allclose(values(path)[:, 0], millivolts(digital()), atol=1e-9)


def test_repeated_missing_and_unicode_names_are_told_apart(tmp_path: Path) -> None:
    channels = [replace(ECG, name=name) for name in ("", "ECG", "ECG", "Débit µ")]
    for revision in (45, 132):
        path = written(tmp_path, acq(channels, revision=revision, order="<"))
        assert opened(path, lead="all").leads == ("lead_1", "ECG_1", "ECG_2", "Débit µ")


def test_units_are_read_requested_and_compared(tmp_path: Path) -> None:
    path = written(tmp_path, acq([replace(ECG, unit="")]))
    assert "has no unit; give units" in problem(path)
    assert "unit 'foo' is unknown" in problem(written(tmp_path, acq([replace(ECG, unit="foo")])))
    assert "is a voltage" in problem(written(tmp_path, acq([replace(ECG, unit="mmHg")])))
    assert "too large for an ECG" in problem(written(tmp_path, acq([replace(ECG, unit="Volts")])))
    path = written(tmp_path)
    assert "omit gain" in problem(path, gain=200.0)
    assert "omit units" in problem(path, units="uV")
    assert "500 Hz, but fs is 250 Hz" in problem(path, fs=250.0)


@pytest.mark.parametrize("milliseconds", [0.05, 20.0])
def test_rates_that_no_ecg_has_are_an_error(tmp_path: Path, milliseconds: float) -> None:
    assert "ECG from 100" in problem(written(tmp_path, acq([ECG], milliseconds=milliseconds)))


@pytest.mark.parametrize("revision", [30, 34, 46, 60, 61, 83, 133, 300])
def test_other_versions_are_refused(tmp_path: Path, revision: int) -> None:
    content = bytearray(acq([ECG], order="<"))
    struct.pack_into("<i", content, 2, revision)
    assert f"has revision {revision} of the AcqKnowledge format" in problem(written(tmp_path, bytes(content)))


def test_a_spectrum_is_refused(tmp_path: Path) -> None:
    assert "horizontal axis is not the time" in problem(written(tmp_path, acq([ECG], axis=2)))


def changed(content: bytes, place: int, layout: str, *numbers: float) -> bytes:
    altered = bytearray(content)
    struct.pack_into(f">{layout}", altered, place, *numbers)
    return bytes(altered)


FIRST = LAYOUTS[132].graph + 40
"""Place of the first channel's header."""

TYPES = FIRST + 2 * LAYOUTS[132].channel + 8


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("place", "layout", "number", "message"),
    [
        (6, "i", 100_000, "truncated"),
        (10, "h", 3, ""),
        (10, "h", 900, "the number of channels is 900"),
        (2398, "h", 0, ""),
        (2398, "h", -1, "the number of blocks after its header is 65,535"),
        (LAYOUTS[132].graph, "i", 0, "the length of a block after its header is 0"),
        (FIRST, "i", -5, "the length of the header of channel 1 is -5"),
        (FIRST, "i", 1 << 30, "the length of the header of channel 1"),
        (FIRST + 88, "i", -1, "the number of samples of channel 1 is -1"),
        (FIRST + 88, "i", 0, "different durations"),
        (FIRST + 88, "i", SAMPLES - 1, ""),
        (FIRST + 88, "i", 2_000_000_000, "different durations"),
        (FIRST + 92, "d", float("nan"), "the scale nan"),
        (FIRST + 92, "d", float("inf"), "the scale inf"),
        (FIRST + 92, "d", 0.0, "the scale 0"),
        (FIRST + 100, "d", float("nan"), "the offset nan"),
        (FIRST + 152, "h", 2, "different durations"),
        (FIRST + 152, "h", -1, "the divider of channel 1 is 65,535"),
        (TYPES, "h", 4, "samples of 4 bytes and type 2"),
        (TYPES + 2, "h", 7, "samples of 2 bytes and type 7"),
    ],
)
def test_a_wrong_header_is_an_error(
    tmp_path: Path, packed: bool, place: int, layout: str, number: float, message: str
) -> None:
    content = acq([ECG, SECOND], compressed=packed, milliseconds=2.0)
    assert message in problem(written(tmp_path, changed(content, place, layout, number)), lead="1")


def test_the_two_headers_of_a_compressed_channel_must_agree(tmp_path: Path) -> None:
    content = acq([ECG, SECOND], compressed=True, milliseconds=2.0)
    second = content.index(b"\xb0\x0f") - 4
    for place, layout, number in (
        (10, "i", 5),
        (14, "h", 2),
        (16, "d", 3.0),
        (24, "h", 8),
        (26, "d", 0.1),
        (34, "d", 1),
    ):
        message = problem(written(tmp_path, changed(content, second + place, layout, number)))
        assert "the two headers of channel 1 differ" in message
    assert "two headers" in problem(written(tmp_path, changed(content, second + 52, "i", 4)))
    assert "two headers" in problem(written(tmp_path, changed(content, 16, "d", 1.0)))


def test_compressed_samples_must_have_the_stated_size(tmp_path: Path) -> None:
    content = acq([ECG], compressed=True)
    start = content.index(b"mV", content.index(b"\xb0\x0f")) + 2
    length = len(content) - start
    for packed in (digital()[:-1], np.zeros(10_000_000, np.int64), digital()[:0]):
        other = zlib.compress(packed.astype("<i2").tobytes())
        altered = changed(content, start - len(ECG.name) - 2 - 4, "i", len(other))[:start] + other
        wanted = "more than 5,000 bytes" if len(packed) > len(digital()) else "unpacks to another size"
        assert wanted in problem(written(tmp_path, altered))
    noise = np.random.default_rng(1).integers(0, 256, length, np.uint8).tobytes()
    assert "cannot be decompressed" in problem(written(tmp_path, content[:start] + noise))
    damaged = changed(content, start + length // 2, "q", -1)
    assert "channel 1" in problem(written(tmp_path, damaged))


@pytest.mark.parametrize(("revision", "order", "packed"), FORMS, ids=FORM_NAMES)
def test_cut_files_are_an_error(tmp_path: Path, revision: int, order: str, packed: bool) -> None:
    short = [replace(ECG, values=digital(0, 700)), replace(SECOND, values=digital(1, 700))]
    content = acq(short, revision=revision, order=order, compressed=packed)
    # What follows the journal of a file of AcqKnowledge 4 and later does not belong to the samples.
    end = len(content) if packed or revision < 60 else content.index(b"<settings/>")
    rng = np.random.default_rng(revision)
    for size in {*rng.integers(64, end, 25).tolist(), end - 1}:
        problem(written(tmp_path, content[:size]))


@pytest.mark.parametrize("removed", [2, -2, 4, -400])
@pytest.mark.parametrize("revision", [35, 45, 132])
def test_more_or_fewer_samples_than_stated_are_an_error(tmp_path: Path, removed: int, revision: int) -> None:
    content = acq([ECG, SECOND], revision=revision)
    place = content.index(interleaved([ECG, SECOND], ">")) + 600
    altered = content[:place] + (content[place + removed :] if removed > 0 else b"\1" * -removed + content[place:])
    message = problem(written(tmp_path, altered))
    assert "markers" in message or "journal" in message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("revision", [45, 132])
def test_altered_files_are_never_misread(tmp_path: Path, packed: bool, revision: int) -> None:
    content = acq([replace(ECG, values=digital(0, 700))], revision=revision, compressed=packed, order="<")
    path = tmp_path / "a.acq"
    rng = np.random.default_rng(revision)
    for place in rng.integers(0, len(content), 150).tolist():
        altered = bytearray(content)
        altered[place] ^= int(rng.integers(1, 256))
        path.write_bytes(altered)
        found = tolerant(lambda: values(path, lead="1"))
        assert found is None or found.shape == (700, 1)


def test_huge_compressed_files_are_an_error(tmp_path: Path) -> None:
    content = changed(acq([ECG], compressed=True), FIRST + 88, "i", 2_000_000_000)
    assert "at most 1,000,000,000 are read" in problem(written(tmp_path, content))
