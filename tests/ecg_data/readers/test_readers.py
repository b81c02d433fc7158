"""Tests of recordings in all formats: values, and one-line errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecg_study.ecg_data.readers import recording as recording_module
from ecg_study.ecg_data.readers.opening import find_recordings, open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import EcgStudyError, RecordError
from tests.conftest import WriteRecord

FS = 250.0
TIMES = np.arange(2500) / FS


def leads(count: int = 2) -> np.ndarray:
    return np.column_stack([np.sin(2 * np.pi * (number + 1) * TIMES) for number in range(count)])


def read(recording: Recording) -> np.ndarray:
    return np.concatenate(list(recording.blocks()))


def opened(path: Path, **options: object) -> Recording:
    return open_recording(path, ReadOptions(**options))  # type: ignore[arg-type]


def says(path: Path, **options: object) -> str:
    with pytest.raises(RecordError) as caught:
        read(opened(path, **options))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so short that every recording here has several."""
    for module in ("channels", "wfdb.signals"):
        monkeypatch.setattr(f"ecg_study.ecg_data.readers.{module}.BLOCK_SECONDS", 3.0)
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.text.BLOCK_BYTES", 12_000)
    assert recording_module.BLOCK_SECONDS > 3.0


def test_wfdb_records_are_read_in_blocks(write_record: WriteRecord) -> None:
    path = write_record(signal=leads(), fs=FS, leads=("V5", "MLII"), beats=())
    one = opened(path)
    assert (one.name, one.fs, one.leads, one.samples) == ("r", 250.0, ("MLII",), 2500)
    np.testing.assert_allclose(read(one), leads()[:, 1:], atol=0.001)
    both = opened(path.with_suffix(".hea"), lead="all")
    np.testing.assert_allclose(read(both), leads(), atol=0.001)
    assert len(list(both.blocks())) == 4
    assert "'II' is not among its leads (V5, MLII)" in says(path, lead="II")
    path.with_suffix(".hea").rename(path.with_suffix(".HEA"))
    assert "WFDB files have lower-case extensions; rename them" in says(path.with_suffix(".HEA"))


def test_a_loaded_recording_has_all_blocks(write_record: WriteRecord, tmp_path: Path) -> None:
    path = write_record(signal=leads(), fs=FS, leads=("V5", "MLII"), beats=())
    record = opened(path, lead="all").load()
    assert (record.name, record.fs, record.leads) == ("r", FS, ("V5", "MLII"))
    assert record.signal.dtype == np.float32
    np.testing.assert_array_equal(record.signal, read(opened(path, lead="all")).astype(np.float32))
    np.testing.assert_array_equal(record.signal, read_record(path, lead="all", annotator=None).signal)
    assert not len(record.r_peaks)
    np.save(tmp_path / "a.npy", leads())
    np.testing.assert_allclose(opened(tmp_path / "a.npy", fs=FS, lead="2").load().signal, leads()[:, 1:], atol=1e-6)


def test_a_damaged_lead_matters_to_a_database_but_not_to_a_recording_of_another(write_record: WriteRecord) -> None:
    path = write_record(signal=leads(), fs=FS, leads=("V5", "MLII"), beats=())
    content = bytearray(path.with_suffix(".dat").read_bytes())
    content[40] ^= 1  # of V5
    path.with_suffix(".dat").write_bytes(content)
    assert len(read(opened(path, lead="MLII"))) == 2500
    with pytest.raises(RecordError, match="lead V5: checksum"):
        read_record(path, lead="MLII", annotator=None)


def test_the_first_lead_of_a_wfdb_record_is_the_usual_one(write_record: WriteRecord) -> None:
    assert opened(write_record(signal=leads(), leads=("V5", "V2"), beats=())).leads == ("V5",)


def test_missing_samples_of_a_wfdb_record_are_missing(write_record: WriteRecord) -> None:
    signal = leads(1)
    signal[100:200] = np.nan
    found = read(opened(write_record(signal=signal, beats=())))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(signal))


def test_damaged_wfdb_records_are_named(write_record: WriteRecord) -> None:
    path = write_record(signal=leads(1), beats=())
    data, header = path.with_suffix(".dat"), path.with_suffix(".hea")
    content = bytearray(data.read_bytes())
    content[40] ^= 1
    data.write_bytes(content)
    with pytest.raises(RecordError, match=r"lead II: checksum .* the signal is damaged"):
        read(opened(path))
    data.write_bytes(content[:100])
    with pytest.raises(RecordError, match=r"r\.dat: truncated"):
        opened(path)
    header.write_text(header.read_text().replace("r.dat", "../r.dat"))
    assert "refers to the file '../r.dat' outside its own folder" in says(header)
    header.write_text("not a header at all\n")
    says(header)
    assert "no such file" in says(path.with_name("nowhere").with_suffix(".hea"))


def write_edf(path: Path, signal: np.ndarray, labels: tuple[str, ...] = ("ECG", "Resp"), unit: str = "uV") -> Path:
    from edfio import Bdf, BdfSignal, Edf, EdfSignal

    kind, file = (BdfSignal, Bdf) if path.suffix == ".bdf" else (EdfSignal, Edf)
    scale = {"uV": 1000.0, "mV": 1.0, "bpm": 1.0}[unit]
    signals = [
        kind(scale * column, FS, label=label, physical_dimension=unit)
        for label, column in zip(labels, signal.T, strict=True)
    ]
    file(signals).write(path)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("ending", [".edf", ".bdf"])
def test_edf_files_are_read_in_blocks(tmp_path: Path, ending: str) -> None:
    path = write_edf(tmp_path / f"night{ending}", leads())
    one = opened(path)
    assert (one.name, one.fs, one.leads, one.samples) == ("night", 250.0, ("ECG",), 2500)
    np.testing.assert_allclose(read(one), leads()[:, :1], atol=1e-4)
    assert opened(path, lead="all").leads == ("ECG", "Resp")
    np.testing.assert_allclose(read(opened(path, lead="Resp")), leads()[:, 1:], atol=1e-4)


def test_edf_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    assert "none of its leads (C3, C4) has the name of an ECG lead; choose a lead" in says(
        write_edf(tmp_path / "a.edf", leads(), ("C3", "C4"))
    )
    assert "none of its leads (ECG, Resp) is a voltage" in says(write_edf(tmp_path / "b.edf", leads(), unit="bpm"))
    path = tmp_path / "c.edf"
    path.write_bytes(bytes(range(256)))
    assert "not a EDF file" in says(path)
    whole = write_edf(tmp_path / "d.edf", leads()).read_bytes()
    for length in (100, 300, len(whole) - 700):
        path.write_bytes(whole[:length])
        says(path)


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(columns: str, *values: np.ndarray, mark: str = ",") -> str:
    table = [mark.join(f"{value:.6f}" for value in row) for row in zip(*values, strict=True)]
    return "\n".join([columns, *table] if columns else table) + "\n"


@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
def test_tables_tell_their_rate_by_their_time(tmp_path: Path, mark: str) -> None:
    path = write_csv(tmp_path / "a.csv", rows(mark.join(["time_s", "II", "V5"]), TIMES, *leads().T, mark=mark))
    table = opened(path)
    assert (table.name, table.fs, table.leads) == ("a", 250.0, ("II",))
    np.testing.assert_allclose(read(table), leads()[:, :1], atol=1e-5)
    np.testing.assert_allclose(read(opened(path, lead="all")), leads(), atol=1e-5)


def test_units_and_times_are_read_off_the_names(tmp_path: Path) -> None:
    text = rows("Time (ms),ECG (uV),other", 1000 * TIMES, 1000 * leads()[:, 0], TIMES)
    table = opened(write_csv(tmp_path / "a.csv", text))
    assert (table.fs, table.leads) == (250.0, ("ECG",))
    np.testing.assert_allclose(read(table), leads()[:, :1], atol=1e-5)
    dates = [f"2026-11-24 03:00:{second:09.6f},{value:.5f}" for second, value in zip(TIMES, leads()[:, 0], strict=True)]
    table = opened(write_csv(tmp_path / "b.csv", "timestamp,signal_mv\n" + "\n".join(dates)))
    assert (table.fs, table.leads) == (250.0, ("signal",))
    assert len(read(table)) == 2500


def test_a_table_without_a_header_or_time_needs_a_rate(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "# a watch\n" + rows("", leads()[:, 0]))
    assert "give fs in Hz" in says(path)
    np.testing.assert_allclose(read(opened(path, fs=250.0)), leads()[:, :1], atol=1e-5)
    two = write_csv(tmp_path / "b.csv", rows("", *leads().T))
    assert "none of its columns (1, 2) has the name of an ECG lead" in says(two, fs=250.0)
    np.testing.assert_allclose(read(opened(two, fs=250.0, lead="2")), leads()[:, 1:], atol=1e-5)
    named = write_csv(tmp_path / "c.csv", rows("clock,x", TIMES, leads()[:, 0]))
    assert opened(named, time_column="clock").fs == 250.0
    assert "no column 'tick' among clock, x" in says(named, time_column="tick")


def test_empty_fields_are_missing_samples(tmp_path: Path) -> None:
    text = rows("time,ecg", TIMES, leads()[:, 0]).splitlines()
    text[101] = text[101].split(",")[0] + ","
    text[102] = text[102].split(",")[0] + ",nan"
    found = read(opened(write_csv(tmp_path / "a.csv", "\n".join(text))))
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [100, 101]


@pytest.mark.parametrize(
    ("line", "replaced", "message"),
    [
        (5, "0.012,abc", "line 5: 'abc' in column ecg is not a number; leave missing samples empty"),
        (2000, "7.992,1+2j", "line 2,000: '1+2j' in column ecg is not a number"),
        (4, "0.0045,0.5", "samples are not evenly spaced, see line"),
        (4, "0.004,0.5", "the time does not increase at line 4;"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_by_line(tmp_path: Path, line: int, replaced: str, message: str) -> None:
    text = rows("time,ecg", TIMES, leads()[:, 0]).splitlines()
    text[line - 1] = replaced
    assert message in says(write_csv(tmp_path / "a.csv", "\n".join(text)))


def test_rows_wider_than_their_header_are_refused(tmp_path: Path) -> None:
    named = [f'"{number}",{line}' for number, line in enumerate(rows("", *leads().T).splitlines(), 1)]
    path = write_csv(tmp_path / "a.csv", '"ecg","resp"\n' + "\n".join(named))  # as R writes the names of rows
    for lead in ("resp", "ecg", "all"):
        assert "line 2 has 3 columns, but line 1 has 2; name each column" in says(path, fs=FS, lead=lead)
    commas = "ecg\n0\n" + "\n".join(f"{value:.3f}".replace(".", ",") for value in leads()[1:, 0])
    message = says(write_csv(tmp_path / "b.csv", "# a watch\n" + commas), fs=FS)
    assert "line 4 has 2 columns, but line 3 has 1; name each column, and use decimal points" in message
    ended = rows("time,ecg", TIMES, leads()[:, 0]).splitlines()
    ended[1:] = [line + ",," for line in ended[1:]]
    np.testing.assert_allclose(read(opened(write_csv(tmp_path / "c.csv", "\n".join(ended)))), leads()[:, :1], atol=1e-5)


@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
@pytest.mark.parametrize("end", ["\n\n", "\n# end of file\n", ""])
def test_how_a_table_ends_does_not_matter(tmp_path: Path, mark: str, end: str) -> None:
    text = rows(f"time{mark}ecg", TIMES, leads()[:, 0], mark=mark).rstrip().splitlines()
    text[50] += " # an artefact, see the log"
    path = write_csv(tmp_path / "a.csv", "\n".join(text) + end)
    np.testing.assert_allclose(read(opened(path)), leads()[:, :1], atol=1e-5)


def test_a_field_without_end_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", 'ecg,note\n0.5,"' + 200_000 * "x" + '"\n')
    assert "not a table of numbers, see line 2" in says(path, fs=FS, lead="ecg")


def test_each_column_has_a_unit_of_its_own(tmp_path: Path) -> None:
    text = "II,V5\n" + "\n".join(f"{a:.4f},{round(1000 * b)}" for a, b in leads())
    path = write_csv(tmp_path / "a.csv", text)
    message = says(path, fs=FS, lead="all")
    assert "lead V5: integers look like ADC units" in message and "or choose another lead" in message
    np.testing.assert_allclose(read(opened(path, fs=FS)), leads()[:, :1], atol=1e-3)


def test_decimal_commas_are_read(tmp_path: Path) -> None:
    text = rows("time;ecg", TIMES, leads()[:, 0], mark=";").replace(".", ",")
    table = opened(write_csv(tmp_path / "a.csv", text))
    assert table.fs == FS
    np.testing.assert_allclose(read(table), leads()[:, :1], atol=1e-5)


def test_tables_that_are_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(bytes(range(256)))
    assert "not a text table" in says(path)
    path.write_bytes(b"")
    assert "empty" in says(path)
    path.write_text("time,ecg\n")
    assert "no rows after the header" in says(path)
    path.write_text("time\n0\n1\n")
    assert "no column except the time" in says(path)
    assert "'II' is not among its columns (ecg)" in says(write_csv(path, rows("time,ecg", TIMES, TIMES)), lead="II")
    assert "'monday' in column time is not a time" in says(write_csv(path, "time,ecg\nmonday,1.5\ntuesday,2.5\n"))
    ints = "\n".join(f"{time:.3f},{round(1000 * value)}" for time, value in zip(TIMES, leads()[:, 0], strict=True))
    path = write_csv(path, "time,ecg\n" + ints)
    assert "integers look like ADC units; give gain" in says(path)
    np.testing.assert_allclose(read(opened(path, gain=1000.0)), leads()[:, :1], atol=1e-3)
    np.testing.assert_allclose(read(opened(path, units="uV")), leads()[:, :1], atol=1e-3)


def test_arrays_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, leads())
    assert "give fs in Hz" in says(path, lead="all")
    assert "none of its columns (1, 2) has the name of an ECG lead; choose a lead, or 'all'" in says(path, fs=FS)
    assert "'II' is not among its columns (1, 2)" in says(path, fs=FS, lead="II")
    both = opened(path, fs=FS, lead="all")
    assert (both.leads, both.samples) == (("1", "2"), 2500)
    np.testing.assert_array_equal(read(both), leads())
    np.testing.assert_array_equal(read(opened(path, fs=FS, lead="2")), leads()[:, 1:])
    np.save(path, (200 * leads()[:, 0] + 1024).astype(np.int16))
    assert "look like ADC units" in says(path, fs=FS)
    np.testing.assert_allclose(read(opened(path, fs=FS, gain=200.0, adc_zero=1024.0)), leads()[:, :1], atol=0.006)


@pytest.mark.parametrize(
    "values",
    [np.zeros((2, 3, 4)), np.zeros(0), np.zeros(9, complex), np.array(["a"]), np.zeros((2, 500)), np.array(1.0)],
)
def test_arrays_that_are_no_signal_are_named(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "a.npy"
    np.save(path, values)
    says(path, fs=FS)


def test_an_array_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "not a NumPy array of numbers" in says(path, fs=FS)


def test_files_of_no_kind_and_absurd_rates_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x04\x00" + bytes(100))
    assert "not a readable format" in says(path)
    assert "no such file" in says(tmp_path / "b.csv")
    np.save(tmp_path / "a.npy", leads()[:, 0])
    for rate in (1.0, 1e6):
        assert "ECG from 100 to 10,000 Hz can be read" in says(tmp_path / "a.npy", fs=rate)


def test_what_a_file_would_make_no_use_of_is_refused(tmp_path: Path, write_record: WriteRecord) -> None:
    record = write_record(signal=leads(), fs=FS, leads=("V5", "MLII"), beats=())
    assert opened(record, fs=FS).fs == FS
    assert opened(record, fs=FS * 1.00001).fs == FS, "as far as it was written"
    assert "has a sampling rate of 250 Hz, but fs is 500 Hz; omit fs" in says(record, fs=500.0)
    assert "this file format does not use time_column; omit time_column," in says(record, time_column="t")
    assert "has the unit 'mV', but gain is for ADC units; omit gain" in says(record, gain=200.0)
    assert "has the unit 'mV', but units is 'uV'; omit units" in says(record, units="uV")
    np.save(tmp_path / "a.npy", leads()[:, 0])
    assert "this file format does not use time_column" in says(tmp_path / "a.npy", fs=FS, time_column="t")
    with pytest.raises(EcgStudyError, match="adc_zero: requires gain"):
        ReadOptions(fs=FS, adc_zero=1024.0)
    with pytest.raises(EcgStudyError, match=r"gain: give gain .* or units .*, not both"):
        ReadOptions(fs=FS, gain=200.0, units="mV")
    moved = opened(tmp_path / "a.npy", fs=FS, gain=2.0, adc_zero=1.0)
    np.testing.assert_allclose(read(moved), (leads()[:, :1] - 1) / 2)


def test_a_folder_is_the_recordings_in_it(tmp_path: Path) -> None:
    for name in ("b.hea", "b.dat", "a.csv", "c.EDF", ".hidden.csv", "notes.md"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_recordings(tmp_path)] == ["a.csv", "b.hea", "c.EDF"]
    assert find_recordings(tmp_path / "b") == [tmp_path / "b"]
    for name in ("README.txt", "SHA256SUMS.txt", "watch.txt"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_recordings(tmp_path)] == ["a.csv", "b.hea", "c.EDF", "watch.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="no recording in this folder"):
        find_recordings(tmp_path / "empty")
