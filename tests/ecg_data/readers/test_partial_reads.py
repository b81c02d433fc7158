"""Size, header and data of a file agree, or the file is refused: nothing is read in part."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from tests.recordings import SIGNAL, edit_header, is_signal, problem_of, read, write_edf, write_rows, write_wfdb

BODY = 512  # bytes before the samples of an EDF file with one signal


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_a_truncated_edf_file_is_refused(tmp_path: Path, share: float, bits: int) -> None:
    path = write_edf(tmp_path / "a.edf", SIGNAL, bits=bits)
    whole = path.read_bytes()
    path.write_bytes(whole[: BODY + int((len(whole) - BODY) * share)])
    assert re.match(r"truncated: [\d,]+ bytes, but its header states 40 data records", problem_of(path))


@pytest.mark.parametrize("length", [1, 8, 255, 256, 300, 511])
def test_a_truncated_edf_header_is_refused(tmp_path: Path, length: int) -> None:
    path = write_edf(tmp_path / "a.edf", SIGNAL)
    path.write_bytes(path.read_bytes()[:length])
    problem_of(path)


@pytest.mark.parametrize("more", [1, 2, 500, 20_000])
def test_an_edf_file_longer_than_its_header_states_is_refused(tmp_path: Path, more: int) -> None:
    path = write_edf(tmp_path / "a.edf", SIGNAL)
    path.write_bytes(path.read_bytes() + bytes(more))
    assert "longer than the 40 data records of its header" in problem_of(path)


def test_an_edf_file_that_was_not_closed_has_the_records_of_its_size(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", SIGNAL, fields={"records": b"-1"})
    is_signal(read(path))
    path.write_bytes(path.read_bytes()[:-2])
    assert "the last one is truncated" in problem_of(path)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("physical minimum", b"-5,0", "'-5,0' .physical minimum of signal 1 .ECG.. is not a number; the decimal mark"),
        ("physical maximum", b"", "'' .physical maximum"),
        ("physical maximum", b"nan", "'nan'"),
        ("physical maximum", b"-5", "no calibration for signal 1 .ECG.: physical range -5 to -5"),
        ("digital minimum", b"32767", "no calibration"),
        ("digital maximum", b"1e1", "is not an integer"),
        ("digital maximum", b"2.5", "is not an integer"),
        ("samples", b"0", "0 samples per data record"),
        ("samples", b"-250", "-250 samples per data record"),
        ("samples", b"2 50", "'2 50' .samples per data record"),
        ("records", b"0", "0 data records"),
        ("records", b"-2", "-2 data records"),
        ("records", b"4e1", "is not an integer"),
        ("records", b"9" * 8, "truncated"),
        ("duration", b"0", "data records of 0 s"),
        ("duration", b"-1", "data records of -1 s"),
        ("duration", b"nan", "'nan' .duration of a data record. is not a number"),
        ("signals", b"0", "states 0 signals"),
        ("signals", b"-1", "states -1 signals"),
        ("signals", b"9999", "states 9,999 signals"),
        ("header bytes", b"256", "256 header bytes, but 1 signals need 512"),
        ("reserved", b"EDF+D", "discontinuous"),
    ],
)
def test_an_edf_header_field_that_cannot_be_understood_is_named(
    tmp_path: Path, field: str, value: bytes, problem: str
) -> None:
    assert re.search(problem, problem_of(write_edf(tmp_path / "a.edf", SIGNAL, fields={field: value})))


def test_an_inverted_edf_signal_is_read(tmp_path: Path) -> None:
    fields = {"physical minimum": b"5", "physical maximum": b"-5"}
    is_signal(-read(write_edf(tmp_path / "a.edf", SIGNAL, fields=fields)))


def test_two_arrays_in_one_numpy_file_are_refused(tmp_path: Path) -> None:
    with open(tmp_path / "a.npy", "wb") as target:
        np.save(target, SIGNAL[:6000])
        np.save(target, SIGNAL[6000:])
    assert "bytes follow the array" in problem_of(tmp_path / "a.npy", fs=250.0)


@pytest.mark.parametrize("cut", [1, 8, 1000, 79_990])
def test_a_truncated_numpy_file_is_refused(tmp_path: Path, cut: int) -> None:
    np.save(tmp_path / "a.npy", SIGNAL)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-cut])
    assert "truncated" in problem_of(tmp_path / "a.npy", fs=250.0)


@pytest.mark.parametrize("shape", ["(99999999999999999999,)", "(10000, -1)", "(" * 200 + ")" * 200, "(10000,), 'x': 1"])
def test_a_numpy_header_of_another_size_is_refused(tmp_path: Path, shape: str) -> None:
    np.save(tmp_path / "a.npy", SIGNAL)
    content = (tmp_path / "a.npy").read_bytes()
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(598) + b"\n"
    made = content[:6] + b"\x01\x00" + len(header).to_bytes(2, "little") + header + content[128:]
    (tmp_path / "a.npy").write_bytes(made)
    problem_of(tmp_path / "a.npy", fs=250.0)


@pytest.mark.parametrize(
    "gain",
    ["1(0.0)/uV", "1000,0(0)/mV", "1000(0/mV", "1000 (0)/mV", "1000(0)mV", "1e/mV", "0x3E8/mV", "1000(0)/", "inf/mV"],
)
def test_a_wfdb_gain_field_is_understood_as_a_whole(tmp_path: Path, gain: str) -> None:
    record = write_wfdb(tmp_path, SIGNAL)
    edit_header(record, "1000(0)/mV", gain)
    problem = problem_of(record)
    assert "gain" in problem or "is not an integer" in problem


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("r 1 250 10000", "r 1 250 ten", "the number of samples 'ten' is not an integer"),
        ("r 1 250 10000", "r 1 2,5 10000", "the sampling rate '2,5' is not a number"),
        ("r 1 250 10000", "r 2 250 10000", "states 2 signals, but describes 1"),
        ("r 1 250 10000", "r x 250 10000", "no number of signals"),
        ("r 1 250 10000", "r 1 250 10001", "truncated: 20,000 bytes instead of 20,002"),
        (
            "r 1 250 10000",
            "r 1 250 9998",
            "holds 10,000 samples per signal, but the header states 9,998; correct the header",
        ),
        ("r.dat 16 ", "r.dat 17 ", "the format '17' is unknown"),
        ("r.dat 16 ", "r.dat 16y ", "the format '16y' is unknown"),
        ("r.dat 16 ", "r.dat 16x2 ", "different sampling rates"),
        ("r.dat 16 ", "r.dat 16+2 ", "truncated"),
        ("r.dat 16 ", "r.dat 16:10000 ", "skew of 10,000 samples exceeds the record"),
        ("/mV 16 0 ", "/mV 16 zero ", "the field 'zero' .ADC zero. is not an integer"),
    ],
)
def test_a_wfdb_header_is_understood_as_a_whole(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert re.search(problem, problem_of(edit_header(write_wfdb(tmp_path, SIGNAL), old, new)))


def test_every_missing_byte_of_a_table_shows(tmp_path: Path) -> None:
    """A file that was cut off in its last row is refused; one that was cut off before it has fewer rows."""
    path = write_rows(tmp_path / "a.csv", "time_s,ecg", ["0.000,0.1", "0.004,0.25", "0.008,0.35"] * 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b",")])
    assert "the file is cut off there; delete this line" in problem_of(path)


@pytest.mark.parametrize("cut", [1, 9, 5000])
def test_a_truncated_compressed_file_is_refused(tmp_path: Path, cut: int) -> None:
    content = gzip.compress(write_edf(tmp_path / "a.edf", SIGNAL).read_bytes())
    path = tmp_path / "b.edf.gz"
    path.write_bytes(content)
    is_signal(read(path))
    path.write_bytes(content[:-cut])
    assert "damaged or truncated" in problem_of(path)
