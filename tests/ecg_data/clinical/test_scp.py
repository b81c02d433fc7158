"""Tests of recordings in SCP-ECG."""

from __future__ import annotations

import binascii
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.readers.clinical.scp_huffman import decode, read_tables, standard_table
from ecg_study.errors import RecordError
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
from tests.ecg_data.clinical.writers import differences_of, packed, scp, scp_data, scp_leads

LEADS = [digital(position) for position in range(3)]
CODES = (1, 2, 3)
STANDARD = struct.pack("<H", 19999)
START = b"\x19\4\0" + struct.pack("<HBB", 2002, 11, 22) + b"\x1a\3\0" + bytes([9, 10, 0]) + b"\xff\0\0"


def bodies(*, differences: int = 2, coded: bool = True, bimodal: int = 0) -> dict[int, bytes]:
    """Return the sections of a file with three leads."""
    numbers = [differences_of(lead, differences) for lead in LEADS]
    data = [packed(lead) if coded else np.array(lead).astype("<i2").tobytes() for lead in numbers]
    tables = {2: STANDARD} if coded else {}
    rhythm = scp_data(data, differences=differences, bimodal=bimodal)
    return {1: START, **tables, 3: scp_leads(CODES, SAMPLES), 6: rhythm}


def written(tmp_path: Path, content: dict[int, bytes] | bytes) -> Path:
    path = tmp_path / "a.scp"
    path.write_bytes(content if isinstance(content, bytes) else scp(content))
    return path


@pytest.mark.parametrize("differences", [0, 1, 2])
@pytest.mark.parametrize("coded", [True, False])
def test_every_lossless_form_is_read(tmp_path: Path, differences: int, coded: bool) -> None:
    recording = opened(written(tmp_path, bodies(differences=differences, coded=coded)), lead="all")
    assert (recording.fs, recording.leads, recording.samples) == (FS, ("I", "II", "V1"), SAMPLES)
    assert recording.start_time == "2002-11-22T09:10:00"
    np.testing.assert_allclose(values(recording.path, lead="all"), millivolts(np.column_stack(LEADS)), atol=1e-9)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=300))
def test_the_standard_huffman_code_is_decoded_exactly(numbers: list[int]) -> None:
    found = decode(Path("a"), packed(numbers), count=len(numbers), tables=[standard_table()], place="lead 1")
    assert found.tolist() == numbers


def test_differences_that_wrap_around_16_bits_are_undone(tmp_path: Path) -> None:
    lead = np.where(np.arange(SAMPLES) % 50 < 25, 20000, -20000)
    numbers = [(number + 32768) % 65536 - 32768 for number in differences_of(lead, 2)]
    content = {2: STANDARD, 3: scp_leads([2], SAMPLES), 6: scp_data([packed(numbers)], differences=2, nanovolts=100)}
    np.testing.assert_allclose(values(written(tmp_path, content))[:, 0], lead / 10000, atol=1e-9)


def own_tables() -> bytes:
    """Return two tables: -1, 0 and a switch in the first; 8-bit numbers and the way back in the second."""

    def code(prefix: str, bits: int, *, mode: int = 1, value: int = 0) -> bytes:
        return struct.pack("<BBBhI", len(prefix), bits, mode, value, int(prefix[::-1], 2))

    first = code("0", 1) + code("10", 2, value=-1) + code("11", 2, mode=0, value=2)
    second = code("0", 1, mode=0, value=1) + code("1", 9)
    return struct.pack("<HH", 2, 3) + first + struct.pack("<H", 2) + second


def test_tables_in_the_file_are_used(tmp_path: Path) -> None:
    def bits(number: int) -> str:
        return {0: "0", -1: "10"}.get(number, "11" + "1" + f"{number & 0xFF:08b}" + "0")

    lead = digital(0) // 3
    content = {2: own_tables(), 3: scp_leads([2], SAMPLES)}
    content[6] = scp_data([packed(differences_of(lead, 1), bits)], differences=1)
    np.testing.assert_allclose(values(written(tmp_path, content))[:, 0], millivolts(lead), atol=1e-9)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (struct.pack("<H", 0), "states 0 Huffman tables"),
        (struct.pack("<H", 9999), "states 9,999 Huffman tables"),
        (own_tables()[:-1], "table 2 is truncated"),
        (own_tables()[:4] + own_tables()[4:13] * 3 + own_tables()[31:], "begin with each other"),
        (struct.pack("<HHBBBhI", 1, 1, 1, 1, 0, 5, 0), "refers to one that is missing"),
        (struct.pack("<HHBBBhI", 1, 1, 40, 40, 1, 5, 0), "40 of 40 bits"),
        (b"", "states 0 Huffman tables"),
    ],
)
def test_damaged_tables_are_an_error(body: bytes, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        read_tables(Path("a"), body)


def test_reference_beats_are_added_to_the_rhythm(tmp_path: Path) -> None:
    """The reference beat is subtracted from two of three beats; the third has another type."""
    beat_samples, fiducial = 200, 101
    beats = [digital(position, beat_samples) for position in range(3)]
    places = [(0, 300, 401), (1, 800, 901), (0, 1300, 1401)]
    residuals = [lead.copy() for lead in LEADS]
    listed = b""
    for kind, start, at in places:
        listed += struct.pack("<HIII", kind, start - 20 + 1, at - 20, start + 150)
        if kind == 0:
            for position, residual in enumerate(residuals):
                residual[start - 20 : start + 150] -= beats[position][:170]
    content = bodies()
    content[3] = scp_leads(CODES, SAMPLES, flags=5)
    content[4] = struct.pack("<HHH", beat_samples * 1000 // FS, fiducial, len(places)) + listed
    content[5] = scp_data([packed(differences_of(beat, 2)) for beat in beats], differences=2)
    content[6] = scp_data([packed(differences_of(lead, 2)) for lead in residuals], differences=2)
    path = written(tmp_path, content)
    np.testing.assert_allclose(values(path, lead="all"), millivolts(np.column_stack(LEADS)), atol=1e-9)
    for section in (4, 5):
        rest = {number: body for number, body in content.items() if number != section}
        assert "no reference beat" in problem(written(tmp_path, rest))
    other = {**content, 5: scp_data([b""] * 3, differences=2, nanovolts=2500)}
    assert "another resolution" in problem(written(tmp_path, other))
    far = listed[:10] + struct.pack("<I", 4000) + listed[14:]
    assert "not within the signal" in problem(written(tmp_path, {**content, 4: content[4][:6] + far}))


def test_bimodal_compression_is_refused_with_a_way_out(tmp_path: Path) -> None:
    message = problem(written(tmp_path, bodies(bimodal=1)))
    assert "bimodal compression, which is not lossless" in message
    assert "export it" in message


def test_long_term_data_are_refused(tmp_path: Path) -> None:
    content = bodies()
    content[12] = content.pop(6)
    assert "long-term data of SCP-ECG 3" in problem(written(tmp_path, content))


def test_a_size_that_differs_is_named(tmp_path: Path) -> None:
    content = scp(bodies())
    assert f"longer than its header states ({len(content):,})" in problem(written(tmp_path, content + b"\0\0"))
    assert f"truncated: {len(content) - 2:,} bytes" in problem(written(tmp_path, content[:-2]))


@pytest.mark.parametrize("section", [3, 6])
def test_a_missing_section_is_an_error(tmp_path: Path, section: int) -> None:
    content = bodies()
    del content[section]
    assert f"section {section}" in problem(written(tmp_path, content))


def with_record_checksum(content: bytes) -> bytes:
    return struct.pack("<H", binascii.crc_hqx(content[2:], 0xFFFF)) + content[2:]


def test_all_checksums_are_verified(tmp_path: Path) -> None:
    content = bytearray(scp(bodies()))
    content[-9] ^= 1
    assert "its checksum (CRC) does not match" in problem(written(tmp_path, bytes(content)))
    # With the right checksum of the record, that of the section remains.
    assert "section 6: its checksum" in problem(written(tmp_path, with_record_checksum(bytes(content))))
    content = bytearray(scp(bodies()))
    content[40] ^= 1
    assert "section 0: its checksum" in problem(written(tmp_path, with_record_checksum(bytes(content))))


@pytest.mark.parametrize(
    ("section", "place", "layout", "number", "message"),
    [
        (3, 0, "<B", 200, "states 200 leads"),
        (3, 0, "<B", 0, "states 0 leads"),
        (3, 2, "<I", 0, "lead 1: from sample 0"),
        (3, 2, "<I", 5000, "from sample 5,000 to 2,500"),
        (3, 6, "<I", SAMPLES + 20, "of 2,520 samples"),
        (3, 6, "<I", 1 << 31, "samples; SCP-ECG of up to"),
        (3, 6, "<I", SAMPLES - 40, "bits follow its 2,460 samples"),
        (6, 0, "<H", 0, "0 nV per unit"),
        (6, 2, "<H", 0, "0 µs per sample"),
        (6, 4, "<B", 3, "differences 3"),
        (6, 6, "<H", 60000, "bytes of samples"),
    ],
)
def test_a_wrong_field_is_an_error(
    tmp_path: Path, section: int, place: int, layout: str, number: int, message: str
) -> None:
    content = {key: bytearray(body) for key, body in bodies().items()}
    struct.pack_into(layout, content[section], place, number)
    assert message in problem(written(tmp_path, {key: bytes(body) for key, body in content.items()}), lead="1")


def test_leads_that_do_not_start_together_are_read_one_by_one(tmp_path: Path) -> None:
    content = bodies()
    later = struct.pack("<IIB", SAMPLES + 1, 2 * SAMPLES, 3)
    content[3] = content[3][:20] + later
    path = written(tmp_path, content)
    assert "do not start at the same time" in problem(path, lead="all")
    np.testing.assert_allclose(values(path, lead="V1")[:, 0], millivolts(LEADS[2]), atol=1e-9)


def test_unknown_and_repeated_codes_are_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, {**bodies(), 3: scp_leads((2, 2, 250), SAMPLES)})
    assert opened(path, lead="all").leads == ("II_1", "II_2", "lead code 250")


def test_an_amplitude_that_no_ecg_has_is_an_error(tmp_path: Path) -> None:
    lead = differences_of(digital(0, 60 * FS), 0)
    content = {3: scp_leads([2], 60 * FS), 6: scp_data([np.array(lead).astype("<i2").tobytes()], differences=0)}
    assert len(values(written(tmp_path, content))) == 60 * FS
    content[6] = struct.pack("<H", 1) + content[6][2:]
    assert "too small for an ECG" in problem(written(tmp_path, content))


def test_options_that_contradict_the_file_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, bodies())
    assert "omit fs" in problem(path, fs=250.0)
    assert "omit units" in problem(path, units="mV")


def test_cut_and_altered_files_are_never_misread(tmp_path: Path) -> None:
    assert_cut_and_altered_files_are_never_misread(tmp_path / "a.scp", scp(bodies()), seed=2)


def test_an_altered_file_is_always_an_error(tmp_path: Path) -> None:
    content = scp(bodies())
    rng = np.random.default_rng(3)
    for place in rng.integers(32, len(content), 100).tolist():
        altered = bytearray(content)
        altered[place] ^= int(rng.integers(1, 256))
        assert problem(written(tmp_path, bytes(altered)))
