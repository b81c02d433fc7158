"""Tests of reading WFDB records: values, and errors for damaged records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import RecordError
from tests.conftest import WriteRecord


def test_signal_comes_in_mv_with_rate_and_beats(write_record: WriteRecord) -> None:
    signal = np.linspace(-1, 1, 1000)
    record = read_record(write_record(signal=signal, beats=(10, 500), symbols="NV"))
    assert record.fs == 360
    assert record.signal.shape == (1000, 1)
    assert record.signal.dtype == np.float32
    np.testing.assert_allclose(record.signal[:, 0], signal, atol=0.0006)
    assert record.r_peaks.tolist() == [10, 500]


def test_only_beat_annotations_are_r_peaks(write_record: WriteRecord) -> None:
    symbols = '+N~|V"x/Q'
    beats = tuple(range(100, 100 + 50 * len(symbols), 50))
    record = read_record(write_record(beats=beats, symbols=symbols))
    assert record.r_peaks.tolist() == [150, 300, 450, 500]


def test_flutter_is_not_scored(write_record: WriteRecord) -> None:
    record = read_record(write_record(beats=(100, 500, 900, 1200, 2000), symbols="N[]N["))
    assert record.excluded_intervals == ((500, 901), (2000, 3000))


@pytest.mark.parametrize(
    ("leads", "asked", "expected"),
    [
        (("V5", "MLII"), "auto", ("MLII",)),
        (("V5", "V2"), "auto", ("V5",)),
        (("V5", "V2"), "V2", ("V2",)),
        (("MLII", "V5"), "all", ("MLII", "V5")),
    ],
)
def test_lead(write_record: WriteRecord, leads: tuple[str, ...], asked: str, expected: tuple[str, ...]) -> None:
    signal = np.random.default_rng(0).normal(0, 0.2, (900, 2))
    record = read_record(write_record(signal=signal, leads=leads), lead=asked)
    assert record.leads == expected
    columns = [leads.index(name) for name in expected]
    np.testing.assert_allclose(record.signal, signal[:, columns], atol=0.0006)


def test_microvolts_become_millivolts(write_record: WriteRecord) -> None:
    path = write_record(signal=np.linspace(-1, 1, 1000))
    in_mv = read_record(path).signal
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("/mV", "/uV"))
    np.testing.assert_allclose(read_record(path).signal, in_mv / 1000, rtol=1e-5)


def _cut(path: Path) -> None:
    data = path.with_suffix(".dat").read_bytes()
    path.with_suffix(".dat").write_bytes(data[:-100])


def _flip(path: Path) -> None:
    data = bytearray(path.with_suffix(".dat").read_bytes())
    data[500] ^= 1
    path.with_suffix(".dat").write_bytes(bytes(data))


def _point_outside(path: Path) -> None:
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace(f"{path.name}.dat", f"../{path.name}.dat"))


def _spoil_header(path: Path) -> None:
    path.with_suffix(".hea").write_text("nothing\n")


def _pressure(path: Path) -> None:
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("/mV", "/mmHg"))


@pytest.mark.parametrize(
    ("damage", "names", "says"),
    [
        (_cut, "r.dat", "truncated: 5,900 bytes instead of 6,000"),
        (_flip, "r", "checksum"),
        (lambda path: path.with_suffix(".dat").unlink(), "r.dat", "missing"),
        (lambda path: path.with_suffix(".atr").unlink(), "r.atr", "no annotations"),
        (lambda path: path.with_suffix(".hea").unlink(), "r.hea", "no such file"),
        (_point_outside, "r.hea", "outside its own folder"),
        (_spoil_header, "r.hea", "not a WFDB header"),
        (_pressure, "r", "unit 'mmHg' is not a voltage"),
    ],
)
def test_damage_is_named(write_record: WriteRecord, damage: object, names: str, says: str) -> None:
    path = write_record()
    assert callable(damage)
    damage(path)
    with pytest.raises(RecordError, match=says) as error:
        read_record(path)
    assert error.value.path == path.parent / names
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("(0)/mV", ",0(0)/mV", r"is not gain\(baseline\)/unit"),
        ("r 1 360", "r 1 nan", "the sampling rate 'nan' is not a number"),
        ("r 1 360", "r 1 1e400", "the sampling rate '1e400' is not a number"),
        ("r 1 360", "r 1 0", "sampling rate"),
        ("r.dat", ".", "outside its own folder"),
    ],
)
def test_what_wfdb_would_misread_is_refused(write_record: WriteRecord, old: str, new: str, says: str) -> None:
    path = write_record()
    header = path.with_suffix(".hea")
    assert old in header.read_text()
    header.write_text(header.read_text().replace(old, new))
    with pytest.raises(RecordError, match=says):
        read_record(path)


def test_annotations_of_another_rate_are_refused(write_record: WriteRecord) -> None:
    path = write_record()
    wfdb.wrann("r", "atr", np.array([50]), ["N"], fs=250, write_dir=str(path.parent))
    with pytest.raises(RecordError, match="its times are at 250 Hz, but the signal has 360 Hz"):
        read_record(path)


def test_two_leads_of_one_name_are_refused(write_record: WriteRecord) -> None:
    signal = np.random.default_rng(0).normal(0, 0.2, (900, 2))
    path = write_record(signal=signal, leads=("II", "V1"))
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("V1", "II"))
    with pytest.raises(RecordError, match="two leads have the same name"):
        read_record(path)


def test_values_that_are_no_ecg_are_named(write_record: WriteRecord) -> None:
    signal = np.random.default_rng(0).normal(0, 0.2, 900)
    signal[300:310] = np.nan
    with pytest.raises(RecordError, match=r"lead II: 10 samples are missing \(NaN\), the first at sample 300"):
        read_record(write_record(signal=signal))
    with pytest.raises(RecordError, match="lead II: flat"):
        read_record(write_record(signal=np.full(900, 0.1)))
    with pytest.raises(RecordError, match=r"'V9' is not among its leads \(II\)"):
        read_record(write_record(), lead="V9")
    with pytest.raises(RecordError, match="no beat annotation"):
        read_record(write_record(beats=(100,), symbols="~"))
    with pytest.raises(RecordError, match="annotated at sample 5,000, but the signal has 3,000 samples"):
        read_record(write_record(beats=(100, 5000), symbols="NN"))


def test_mitdb_has_its_beats(real_data: Path) -> None:
    directory = real_data / "mitdb"
    names = [path.stem for path in directory.glob("*.hea")]
    records = {name: read_record(directory / name) for name in names}
    assert sum(len(record.r_peaks) for record in records.values()) == 109_494
    assert records["114"].leads == ("MLII",)
    assert records["102"].leads == ("V5",)
    assert [name for name, record in records.items() if record.excluded_intervals] == ["207"]
