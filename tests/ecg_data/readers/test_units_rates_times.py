"""Unit, sampling rate and time are stated or requested; statements that contradict each other are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_study.ecg_data.readers.units import UnitKind, parse_unit, split_name
from tests.recordings import (
    FS,
    SIGNAL,
    TIMES,
    ecg,
    edit_header,
    is_signal,
    opened,
    problem_of,
    read,
    write_edf,
    write_rows,
    write_table,
    write_wfdb,
)


@pytest.mark.parametrize(
    ("text", "millivolts"),
    [
        *(("mV", 1.0), ("MV", 1.0), ("millivolts", 1.0), (" mv. ", 1.0), ("milli volt", 1.0)),
        *(("uV", 1e-3), ("µV", 1e-3), ("μV", 1e-3), ("Âµv", 1e-3), ("Î¼V", 1e-3), ("microvolt", 1e-3)),
        *(("V", 1e3), ("volts", 1e3), ("nV", 1e-6), ("nanovolts", 1e-6)),
    ],
)
def test_voltages_in_all_spellings(text: str, millivolts: float) -> None:
    unit = parse_unit(text)
    assert (unit.kind, unit.millivolts) == (UnitKind.VOLTAGE, millivolts)


@pytest.mark.parametrize("text", ["counts", "adc", "ADC units", "LSB", "raw counts", "digits", "ADU"])
def test_adc_units_are_not_voltages(text: str) -> None:
    assert parse_unit(text).kind is UnitKind.ADC


@pytest.mark.parametrize("text", ["mmHg", "%", "bpm", "g", "m/s²", "°C", "Hz", "ms", "Ohm", "NU", "a.u.", "mA", "kPa"])
def test_other_quantities_are_not_voltages(text: str) -> None:
    assert parse_unit(text).kind is UnitKind.OTHER


@pytest.mark.parametrize("text", ["", "xyz", "mVolt/10", "10 uV", "uV/bit", "mV mV", "dBuV", "?V", "\ufffdV"])
def test_unknown_units_are_unknown(text: str) -> None:
    assert parse_unit(text).kind is UnitKind.UNKNOWN


@pytest.mark.parametrize(
    ("text", "name", "unit"),
    [
        *(("ecg (mV)", "ecg", "mV"), ("ECG[uV]", "ECG", "uV"), ("ecg {µV}", "ecg", "µV"), ("ecg <mV>", "ecg", "mV")),
        *(("signal_mv", "signal", "mv"), ("ecg uV", "ecg", "uV"), ("ECG/uV", "ECG", "uV"), ("ecg.uV", "ecg", "uV")),
        *(("ECG, uV", "ECG", "uV"), ("ECG in uV", "ECG", "uV"), ("ecg-mV", "ecg", "mV"), ("ecg_adc", "ecg", "adc")),
        *(("ecg (counts)", "ecg", "counts"), ("abp (mmHg)", "abp", "mmHg"), ("ecg_raw (mmHg)", "ecg_raw", "mmHg")),
        *(("ecg_V", "ecg", "V"), ("ECG (V)", "ECG", "V"), ("ecg (xyz)", "ecg", "xyz"), ("ecg (mV/10)", "ecg", "mV/10")),
        *(("V", "V", None), ("lead V", "lead V", None), ("V5", "V5", None), ("ECG (II)", "ECG (II)", None)),
        *(("ecg (left arm)", "ecg (left arm)", None), ("ECG (raw)", "ECG (raw)", None), ("uV", "uV", None)),
        *(("ecg (RA-LA)", "ecg (RA-LA)", None), ("", "", None), ("ecg_raw", "ecg_raw", None)),
    ],
)
def test_a_name_is_divided_into_name_and_unit(text: str, name: str, unit: str | None) -> None:
    divided = split_name(text)
    assert (divided.name, divided.unit.text if divided.unit else None) == (name, unit)


@pytest.mark.parametrize("column", ["ecg (counts)", "ECG [adc]", "ecg_lsb", "ecg (mmHg)", "ecg (%)", "ecg (xyz)"])
def test_a_column_that_is_not_a_voltage_is_not_read_as_mv(tmp_path: Path, column: str) -> None:
    write_table(tmp_path / "a.csv", f"time_s,{column}", TIMES, SIGNAL)
    assert re.search("gain|units|not a voltage|is a voltage", problem_of(tmp_path / "a.csv"))
    if "mmHg" not in column and "%" not in column:
        is_signal(read(tmp_path / "a.csv", gain=1.0))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_micro_sign_in_any_encoding(tmp_path: Path, encoding: str, end: str) -> None:
    rows = write_table(tmp_path / "a.csv", "", TIMES * 1000, SIGNAL * 1000)
    (tmp_path / "a.csv").write_bytes((end.join(["time (ms),ecg (µV)", *rows]) + end).encode(encoding))
    is_signal(read(tmp_path / "a.csv"))


@pytest.mark.parametrize("unit", [b"\xb5V", "µV".encode(), "μV".encode(), b"uV", b"microV"])
def test_microvolts_of_an_edf_file(tmp_path: Path, unit: bytes) -> None:
    fields = {"unit": unit, "physical minimum": b"-5000", "physical maximum": b"5000"}
    is_signal(read(write_edf(tmp_path / "a.edf", SIGNAL, fields=fields)))


def test_a_micro_sign_in_a_wfdb_header(tmp_path: Path) -> None:
    is_signal(read(edit_header(write_wfdb(tmp_path, SIGNAL), "1000(0)/mV", "1(0)/µV")))


def test_a_wfdb_signal_without_a_gain_needs_one(tmp_path: Path) -> None:
    record = write_wfdb(tmp_path, SIGNAL, line="0 16 0 {first} {checksum} 0 II")
    assert "has ADC units ('ADC units'); give gain" in problem_of(record)
    is_signal(read(record, gain=1000.0))
    offset = write_wfdb(tmp_path / "b", SIGNAL + 0.5, line="0(500) 16 0 {first} {checksum} 0 II")
    is_signal(read(offset, gain=1000.0))
    assert "omit adc_zero" in problem_of(offset, gain=1000.0, adc_zero=3.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.int32, np.uint16])
def test_integers_in_an_array_need_a_unit(tmp_path: Path, dtype: Any) -> None:
    np.save(tmp_path / "a.npy", (np.round(SIGNAL * 200) + 512).astype(dtype))
    assert "integers look like ADC units" in problem_of(tmp_path / "a.npy", fs=FS)
    is_signal(read(tmp_path / "a.npy", fs=FS, gain=200.0, adc_zero=512.0), within=0.003)


@pytest.mark.parametrize(("factor", "size"), [(1000.0, "large"), (1e-3, "small"), (210.3, "large")])
@pytest.mark.parametrize("kind", ["npy", "csv", "stated"])
def test_numbers_that_cannot_be_mv_are_noticed(tmp_path: Path, factor: float, size: str, kind: str) -> None:
    if kind == "npy":
        np.save(tmp_path / "a.npy", SIGNAL * factor)
        path, options = tmp_path / "a.npy", {"fs": FS}
    else:
        header = "time_s,ecg" if kind == "csv" else "time_s,ecg_mV"
        rows = [f"{time:.3f},{value:.9f}" for time, value in zip(TIMES, SIGNAL * factor, strict=True)]
        path, options = write_rows(tmp_path / "a.csv", header, rows), {}
    assert f"which is too {size} for an ECG" in problem_of(path, **options)


def test_a_railed_lead_does_not_spoil_the_others(tmp_path: Path) -> None:
    """A lead whose electrode is off touches the rails of its amplifier, in a file that states its unit."""
    railed = 150.0 * np.sign(np.sin(2 * np.pi * 50 * TIMES))
    write_table(tmp_path / "a.csv", "time_s,II_mV,V5_mV", TIMES, SIGNAL, railed)
    is_signal(read(tmp_path / "a.csv", lead="all"))


@pytest.mark.parametrize(
    ("header", "options", "problem"),
    [
        ("time_s,ecg_uV", {"units": "mV"}, "has the unit 'uV', but units is 'mV'; omit units"),
        ("time_s,ecg_mV", {"gain": 200.0}, "has the unit 'mV', but gain is for ADC units; omit gain"),
        ("time_s,ecg (mmHg)", {"units": "mV"}, "voltage"),
        ("time_s,ecg (counts)", {"units": "uV"}, "has ADC units"),
        ("time_s,ecg", {"fs": 500.0}, "column time_s: has 250 Hz, but fs is 500 Hz"),
        ("time_s,ecg", {"fs": 253.0}, "column time_s: has 250 Hz, but fs is 253 Hz"),
        ("clock_s,ecg", {"time_column": "clock_s", "fs": 500.0}, "has 250 Hz, but fs is 500 Hz"),
        ("# fs: 500\ntime_s,ecg", {}, "has 250 Hz, but the lines before the table state 500 Hz"),
        ("# Sampling Rate (Hz):= 500.00\nx,ecg", {"fs": 250.0}, "state 500 Hz|sampling rate of 500 Hz"),
        ("# units: uV\ntime_s,ecg_mV", {}, "has the unit 'mV', but the lines before the table state 'uV'"),
        ("# units: uV\ntime_s,ecg", {"units": "mV"}, "has the unit 'uV', but units is 'mV'"),
        ("# values in uV\ntime_s,ecg", {}, "mention 'uV', but no column has a unit"),
        ("# fs: 250\n# sampling rate: 500\ntime_s,ecg", {}, "several sampling rates"),
        ("# sampling rate: fast\ntime_s,ecg", {}, "is not a number in Hz"),
        ("time (beats),ecg", {}, "unit 'beats' of the time is unknown"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, header: str, options: dict[str, Any], problem: str) -> None:
    write_table(tmp_path / "a.csv", header, TIMES, SIGNAL)
    assert re.search(problem, problem_of(tmp_path / "a.csv", **options)), problem_of(tmp_path / "a.csv", **options)


RATE_LINES = ["fs: 250", "Sampling Rate (Hz):= 250.00", "sampling_rate=0.25 kHz", "SampleRate,250 Hz"]
RATE_LINES += ["Samples per second: 250", "Sampling Rate (Samples/sec),250", "ADC Rate: 250", "Rate: 250 Hz"]
RATE_LINES += ["Sampling interval: 4 ms", "interval (ms): 4", "dt = 0.004", "Sampling period: 0.004 s", "4 msec/sample"]
RATE_LINES += ["Interval=\t0.004 s", "Sample time: 4000 µs", "Abtastrate: 250 Hz"]


@pytest.mark.parametrize("line", RATE_LINES)
@pytest.mark.parametrize("mark", ["# ", ""])
def test_the_sampling_rate_before_a_table_is_used(tmp_path: Path, line: str, mark: str) -> None:
    path = write_rows(tmp_path / "a.txt", f"{mark}{line}\necg_mV", [f"{value:.4f}" for value in SIGNAL])
    assert opened(path).fs == 250.0
    is_signal(read(path))
    is_signal(read(path, fs=250.0))


@pytest.mark.parametrize("line", RATE_LINES)
def test_another_rate_than_before_the_table_is_refused(tmp_path: Path, line: str) -> None:
    path = write_rows(tmp_path / "a.txt", f"{line}\necg_mV", [f"{value:.4f}" for value in SIGNAL[:500]])
    assert "the lines before the table state a sampling rate of 250 Hz" in problem_of(path, fs=500.0)


@pytest.mark.parametrize("line", ["Rate: 120", "Frequency: 150", "Freq: 150 Hz", "Heart rate: 120", "Interval: 800"])
def test_other_rates_are_not_the_sampling_rate(tmp_path: Path, line: str) -> None:
    path = write_rows(tmp_path / "a.txt", f"{line}\necg_mV", [f"{value:.4f}" for value in SIGNAL[:500]])
    assert "give fs in Hz" in problem_of(path)
    is_signal(read(path, fs=FS), SIGNAL[:500])


@pytest.mark.parametrize("line", ["Sampling interval: 4", "dt: fast", "Sampling period: 0 s"])
def test_a_sampling_interval_must_be_a_time(tmp_path: Path, line: str) -> None:
    path = write_rows(tmp_path / "a.txt", f"{line}\necg_mV", [f"{value:.4f}" for value in SIGNAL[:500]])
    assert "the sampling interval in" in problem_of(path, fs=FS)


def test_the_unit_before_a_table_is_used(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.txt", "# units: uV\n# fs: 250", [f"{1000 * value:.4f}" for value in SIGNAL])
    is_signal(read(path))


@pytest.mark.parametrize("unit", ["uV", "mV"])
def test_names_in_a_comment_have_their_units(tmp_path: Path, unit: str) -> None:
    factor = {"uV": 1000.0, "mV": 1.0}[unit]
    np.savetxt(tmp_path / "a.txt", SIGNAL * factor, header=f"ecg_{unit}")
    is_signal(read(tmp_path / "a.txt", fs=FS))
    np.savetxt(tmp_path / "b.txt", np.column_stack([TIMES, SIGNAL * factor]), header=f"time_s ecg_{unit}")
    is_signal(read(tmp_path / "b.txt"))


@pytest.mark.parametrize(
    ("name", "per_second"),
    [
        *(("time (min)", 1 / 60), ("elapsed (minutes)", 1 / 60), ("t [h]", 1 / 3600), ("time_ms", 1e3)),
        *(("timestamp (us)", 1e6), ("time (µs)", 1e6), ("sensor timestamp [ns]", 1e9), ("seconds", 1.0)),
        *(("Time/s", 1.0), ("milliseconds", 1e3), ("Elapsed time (s)", 1.0), ("time", 1.0)),
    ],
)
def test_times_in_all_units(tmp_path: Path, name: str, per_second: float) -> None:
    rows = [f"{time * per_second:.12g},{value:.4f}" for time, value in zip(TIMES, SIGNAL, strict=True)]
    path = write_rows(tmp_path / "a.csv", f"{name},ecg", rows)
    assert opened(path).fs == pytest.approx(250.0, rel=1e-6)
    is_signal(read(path))


def test_times_in_minutes_without_a_unit_are_not_seconds(tmp_path: Path) -> None:
    rows = [f"{i / 125 / 60:.9f},{value:.4f}" for i, value in enumerate(ecg(fs=125.0))]
    path = write_rows(tmp_path / "a.csv", "time,ecg", rows)
    assert "7500 Hz if its unit is s; name the unit" in problem_of(path)


def test_fs_tells_the_unit_of_times_without_one(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", "time,ecg", TIMES * 1000, SIGNAL)
    assert "0.25 Hz if its unit is s" in problem_of(tmp_path / "a.csv")
    is_signal(read(tmp_path / "a.csv", fs=FS))


@pytest.mark.parametrize("lost", [[2500], [1250, 3750], [1], [9998], [5000, 5001], list(range(4999, 5249))])
def test_lost_samples_are_noticed(tmp_path: Path, lost: list[int]) -> None:
    kept = np.delete(np.arange(len(SIGNAL)), lost)
    rows = [f"{TIMES[i]:.3f},{SIGNAL[i]:.4f}" for i in kept]
    problem = problem_of(write_rows(tmp_path / "a.csv", "time_s,ecg", rows))
    assert re.search(rf"line {lost[0] + 2:,};", problem), problem


def test_a_clock_can_be_declared_wrong(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", "time_s,ecg", TIMES * 1.3, SIGNAL)
    assert opened(tmp_path / "a.csv", time_column="none", fs=FS).fs == FS
    is_signal(read(tmp_path / "a.csv", time_column="none", fs=FS))
    assert "give fs in Hz" in problem_of(tmp_path / "a.csv", time_column="none")


def test_two_clocks_must_agree(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", "seconds,time_ms,ecg", TIMES * 1.25, TIMES * 1000, SIGNAL)
    assert "columns seconds and time_ms disagree (200 and 250 Hz); give time_column" in problem_of(tmp_path / "a.csv")
    assert opened(tmp_path / "a.csv", time_column="time_ms").fs == 250.0
    write_table(tmp_path / "b.csv", "seconds,time_ms,ecg", TIMES, TIMES * 1000, SIGNAL)
    is_signal(read(tmp_path / "b.csv", lead="all"))


@pytest.mark.parametrize("start", [0.0, 100.0, 86_395.0])
def test_times_of_day_go_on_after_midnight(tmp_path: Path, start: float) -> None:
    rows = []
    for time, value in zip(TIMES, SIGNAL, strict=True):
        seconds = (start + time) % 86_400
        rows.append(f"{int(seconds // 3600):02}:{int(seconds // 60 % 60):02}:{seconds % 60:06.3f},{value:.4f}")
    path = write_rows(tmp_path / "a.csv", "time,ecg", rows)
    assert (opened(path).fs, opened(path).start_s) == (250.0, start)
    is_signal(read(path))


def test_a_table_with_a_row_of_units(tmp_path: Path) -> None:
    """The form of PhysioNet's exports: names and units in single quotes, and times in minutes and seconds."""
    rows = [
        f"{int(time // 60)}:{time % 60:06.3f},{1000 * value:.3f}" for time, value in zip(TIMES, SIGNAL, strict=True)
    ]
    path = write_rows(tmp_path / "a.csv", "'Elapsed time','MLII'\n'mm:ss.mmm','uV'", rows)
    assert (opened(path).fs, opened(path).leads) == (250.0, ("MLII",))
    is_signal(read(path))


@pytest.mark.parametrize("zone", ["", "Z", "+02:00", "-0330"])
def test_dates_are_the_start_of_a_recording_in_their_own_time_zone(tmp_path: Path, zone: str) -> None:
    start = np.datetime64("2026-11-24T03:00:00.000")
    dates = [str(start + np.timedelta64(round(1000 * time), "ms")) + zone for time in TIMES]
    path = tmp_path / "a.csv"
    write_table(path, "timestamp,ecg", dates, SIGNAL)
    stated = {"Z": "+00:00", "-0330": "-03:30"}.get(zone, zone)
    assert (opened(path).start_time, opened(path).start_s) == (f"2026-11-24T03:00:00{stated}", 0.0)
    is_signal(read(path))


def test_a_clock_that_starts_later_is_kept(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", "time_s,ecg", TIMES + 100, SIGNAL)
    assert opened(tmp_path / "a.csv").start_s == 100.0


@pytest.mark.parametrize("fs", [1e-300, 0.0, -250.0, 99.0, 10_001.0, 1e9, 1e307, float("inf"), float("nan")])
def test_a_sampling_rate_out_of_range_is_refused(tmp_path: Path, fs: float) -> None:
    np.save(tmp_path / "a.npy", SIGNAL)
    assert "ECG from 100 to 10,000 Hz can be read" in problem_of(tmp_path / "a.npy", fs=fs)


def test_a_wfdb_header_without_a_rate_needs_one(tmp_path: Path) -> None:
    record = edit_header(write_wfdb(tmp_path, SIGNAL), "r 1 250 10000", "r 1")
    assert "its header has no sampling rate; give fs in Hz" in problem_of(record)
    is_signal(read(record, fs=FS))
