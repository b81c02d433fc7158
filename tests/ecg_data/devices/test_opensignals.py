"""Tests of OpenSignals text files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ecg_data.clinical.signals import opened, problem, tolerant, values
from tests.recordings import SIGNAL

FS = 1000
GAIN, ZERO = 341.33, 512.0
"""ADC units per mV, and at 0 mV, of a sensor with 10 bits."""

DIGITAL = np.rint(SIGNAL * GAIN + ZERO).astype(np.int64)
OTHER = np.rint(SIGNAL[::-1] * 100 + 300).astype(np.int64)
ROWS = len(DIGITAL)
MILLIVOLTS = (DIGITAL - ZERO) / GAIN


def bitalino(**changes: Any) -> dict[str, Any]:
    """Return the header of a BITalino with an ECG sensor on A2."""
    header = {
        "sensor": ["EDA", "ECG"],
        "device name": "20:16:02:26:60:88",
        "column": ["nSeq", "I1", "I2", "O1", "O2", "A1", "A2"],
        "sync interval": 2,
        "time": "7:3:47.29",
        "comments": "",
        "channels": [1, 2],
        "date": "2016-6-11",
        "mode": 0,
        "digital IO": [0, 0, 1, 1],
        "firmware version": "5.1",
        "device": "bitalino_rev",
        "position": 0,
        "sampling rate": FS,
        "label": ["A1", "A2"],
        "resolution": [4, 1, 1, 1, 1, 10, 10],
        "special": [{}, {}],
    }
    return {key: value for key, value in (header | changes).items() if value is not None}


def plux(**changes: Any) -> dict[str, Any]:
    """Return the header of a biosignalsplux, of which only the channels have a resolution."""
    return bitalino(
        **{
            "column": ["nSeq", "DI", "CH1", "CH2"],
            "label": ["CH1", "CH2"],
            "resolution": [16, 16],
            "digital IO": [0, 1],
            "device": "biosignalsplux",
        }
        | changes
    )


def table(*columns: np.ndarray, counter: np.ndarray | None = None, digital: int = 4) -> list[list[str]]:
    """Return the cells of rows: counter, digital inputs and outputs, channels."""
    counter = np.arange(1, ROWS + 1) % 16 if counter is None else counter
    zeros = [np.zeros(len(counter), np.int64)] * digital
    parts = [counter, *zeros, *(columns or (OTHER, DIGITAL))]
    return [[f"{cell:g}" if cell % 1 else str(int(cell)) for cell in row] for row in zip(*parts, strict=True)]


def written(
    folder: Path,
    devices: dict[str, Any] | str | None = None,
    *,
    rows: Sequence[Sequence[str]] | None = None,
    first: str = "# OpenSignals Text File Format",
    last: str = "# EndOfHeader",
    tail: str = "\t",
    end: str = "\n",
) -> Path:
    path = folder / "opensignals.txt"
    header = devices if isinstance(devices, str) else json.dumps(devices or {"20:16:02:26:60:88": bitalino()})
    lines = ["\t".join(row) + tail for row in (table() if rows is None else rows)]
    path.write_bytes(end.join([first, f"# {header}", last, *lines, ""]).encode())
    return path


def assert_is_the_signal(path: Path, expected: np.ndarray = MILLIVOLTS, **options: object) -> None:
    found = values(path, **{"gain": GAIN, "adc_zero": ZERO} | options)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-9)


@pytest.mark.parametrize("first", ["# OpenSignals Text File Format", "# OpenSignals Text File Format. Version 1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["\t", ""])
def test_the_ecg_sensor_is_read(tmp_path: Path, first: str, end: str, tail: str) -> None:
    path = written(tmp_path, first=first, end=end, tail=tail)
    recording = opened(path, gain=GAIN, adc_zero=ZERO)
    assert (recording.fs, recording.leads, recording.start_time) == (FS, ("ECG",), "2016-06-11T07:03:47")
    assert_is_the_signal(path)


def test_channels_are_selected_by_name_and_position(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert_is_the_signal(path, lead="7")
    assert_is_the_signal(path, (OTHER - ZERO) / GAIN, lead="EDA")
    path = written(tmp_path, {"a": bitalino(sensor=["RAW", "RAW"])})
    assert_is_the_signal(path, lead="A2")
    assert "choose a lead" in problem(path, gain=GAIN)
    path = written(tmp_path, {"a": bitalino(sensor=["ECG", "ECG"])})
    assert opened(path, gain=GAIN, lead="all").leads == ("ECG_1", "ECG_2")
    assert_is_the_signal(path, lead="ECG_2")
    path = written(tmp_path, {"a": bitalino(sensor=None, label=None)})
    assert_is_the_signal(path, lead="A2")


def test_the_gain_of_raw_samples_is_requested(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert "has ADC units ('ADC'); give gain" in problem(path)
    assert "give gain" in problem(path, units="mV")
    assert "not a voltage" in problem(path, lead="nSeq", gain=GAIN)
    assert "not a voltage" in problem(path, lead="I1", gain=GAIN)


@pytest.mark.parametrize("converted", [0, 1, None])
def test_converted_samples_need_a_unit(tmp_path: Path, converted: int | None) -> None:
    rows = table(OTHER, np.round(SIGNAL, 5))
    path = written(tmp_path, {"a": bitalino(convertedValues=converted)}, rows=rows)
    assert "has no unit; give units" in problem(path)
    np.testing.assert_allclose(values(path, units="mV")[:, 0], np.round(SIGNAL, 5), atol=1e-5)
    for unit, scale in (("mV", 1.0), ("uV", 1000.0)):
        rows = table(OTHER, np.round(SIGNAL * scale, 5))
        path = written(tmp_path, {"a": bitalino(convertedValues=converted, units=["uS", unit])}, rows=rows)
        np.testing.assert_allclose(values(path)[:, 0], SIGNAL, atol=1e-5)
        assert "omit gain" in problem(path, gain=GAIN)


def test_a_unit_that_is_not_a_voltage_is_an_error(tmp_path: Path) -> None:
    rows = table(OTHER, np.round(SIGNAL, 5))
    path = written(tmp_path, {"a": bitalino(units=["uS", "mmHg"])}, rows=rows)
    assert "is a voltage" in problem(path)
    path = written(tmp_path, {"a": bitalino(units=["uS", "V"])}, rows=table(OTHER, np.round(200 * SIGNAL, 5)))
    assert "too large for an ECG" in problem(path)


def test_the_sampling_rate_is_requested_and_compared(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": bitalino(**{"sampling rate": None})})
    assert "no sampling rate; give fs in Hz" in problem(path, gain=GAIN)
    assert_is_the_signal(path, fs=1000.0)
    path = written(tmp_path)
    assert "1000 Hz, but fs is 500 Hz" in problem(path, gain=GAIN, fs=500.0)
    assert_is_the_signal(written(tmp_path, {"a": bitalino(**{"sampling rate": "1000"})}))
    for rate, message in (
        (10, "10 Hz; ECG from 100"),
        ("fast", "not a number in Hz"),
        (True, "not a number"),
        ("nan", "not"),
    ):
        assert message in problem(written(tmp_path, {"a": bitalino(**{"sampling rate": rate})}), gain=GAIN)


def test_several_devices_are_read_side_by_side(tmp_path: Path) -> None:
    left, right = table(), table(DIGITAL, OTHER, counter=np.arange(ROWS), digital=1)
    rows = [first + second for first, second in zip(left, right, strict=True)]
    path = written(tmp_path, {"a": bitalino(), "b": plux(position=1)}, rows=rows)
    assert_is_the_signal(path, lead="7")
    assert_is_the_signal(path, lead="10")
    assert opened(path, lead="all", gain=GAIN).leads == ("ECG_1", "ECG_2")
    path = written(tmp_path, {"a": bitalino(), "b": plux(**{"sampling rate": 500})}, rows=rows)
    assert "different sampling rates" in problem(path, gain=GAIN)
    path = written(tmp_path, {"a": bitalino(position=1), "b": plux(position=0)}, rows=rows)
    assert "contradict their order" in problem(path, gain=GAIN)
    text = json.dumps({"a": bitalino()})[:-1] + ', "a": {}}'
    assert "a name has two values" in problem(written(tmp_path, text, rows=rows))


def test_older_files_without_names_of_columns_are_read(tmp_path: Path) -> None:
    header = plux(column=None, resolution=16, sensor=["CUSTOM/0.5/1.0/V", "ECG"])
    path = written(tmp_path, {"a": header}, rows=table(counter=np.arange(ROWS), digital=0))
    assert_is_the_signal(path)
    assert_is_the_signal(path, (OTHER - ZERO) / GAIN, lead="CH1")


@pytest.mark.parametrize("size", [16, 128, 4096, 1 << 30])
@pytest.mark.parametrize("start", [0, 5])
def test_counters_of_any_size_are_followed(tmp_path: Path, size: int, start: int) -> None:
    rows = table(counter=(np.arange(ROWS) + start) % size, digital=1)
    assert_is_the_signal(written(tmp_path, {"a": plux()}, rows=rows))


@pytest.mark.parametrize("size", [16, 128, 1 << 30])
@pytest.mark.parametrize("place", [3, 15, 16, 5000])
@pytest.mark.parametrize("step", [-3, -1, 1, 2, 200])
def test_samples_that_are_lost_or_repeated_are_an_error(tmp_path: Path, size: int, place: int, step: int) -> None:
    counter = np.arange(ROWS)
    counter[place:] += step
    if step % size == 0 or counter.min() < 0:
        return
    for header, digital in ((bitalino(), 4), (plux(), 1)):
        if digital == 4 and size != 16:
            continue
        rows = table(counter=counter % size, digital=digital)
        assert "line" in problem(written(tmp_path, {"a": header}, rows=rows), gain=GAIN)


def test_a_counter_beyond_its_stated_size_is_an_error(tmp_path: Path) -> None:
    rows = table(counter=np.arange(ROWS))
    assert "line 20: its number is 16 after 15" in problem(written(tmp_path, rows=rows), gain=GAIN)


def test_lost_samples_are_missing_if_their_number_is_certain(tmp_path: Path) -> None:
    counter = np.arange(ROWS) + 70_000
    counter[4000:] += 25
    path = written(tmp_path, {"a": plux()}, rows=table(counter=counter, digital=1))
    found = values(path, gain=GAIN, adc_zero=ZERO)[:, 0]
    assert np.flatnonzero(np.isnan(found)).tolist() == list(range(4000, 4025))
    np.testing.assert_allclose(found[~np.isnan(found)], MILLIVOLTS, atol=1e-9)
    counter[6000:] += 10**12
    path = written(tmp_path, {"a": plux()}, rows=table(counter=counter, digital=1))
    assert "unknown number of samples was lost" in problem(path, gain=GAIN)


@pytest.mark.parametrize("cell", ["1024", "-1", "99999", "1e9"])
def test_a_sample_that_the_resolution_does_not_have_is_an_error(tmp_path: Path, cell: str) -> None:
    rows = table()
    rows[7000][6] = cell
    assert "line 7,004" in problem(written(tmp_path, rows=rows), gain=GAIN)


@pytest.mark.parametrize("cell", ["x", "0,5", "inf", "1 2"])
def test_a_cell_that_is_not_a_number_is_an_error(tmp_path: Path, cell: str) -> None:
    rows = table()
    rows[7000][6] = cell
    assert "line 7,004" in problem(written(tmp_path, rows=rows), gain=GAIN)


def test_a_row_without_its_number_is_an_error(tmp_path: Path) -> None:
    rows = table()
    rows[7000][0] = ""
    assert "line 7,004: the number of the sample is missing" in problem(written(tmp_path, rows=rows), gain=GAIN)


def test_an_empty_cell_is_a_missing_sample(tmp_path: Path) -> None:
    rows = table()
    rows[7000][6] = ""
    found = values(written(tmp_path, rows=rows), gain=GAIN, adc_zero=ZERO)[:, 0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [7000]


def test_a_comment_among_the_rows_is_an_error(tmp_path: Path) -> None:
    rows = table()
    rows.insert(7000, ["# note"])
    assert "line 7,004 is a comment" in problem(written(tmp_path, rows=rows), gain=GAIN)


def test_a_fraction_among_raw_samples_is_an_error(tmp_path: Path) -> None:
    rows = table()
    rows[9000][6] = "511.5"
    assert "line 9,004: 511.5 in column ECG is not an integer" in problem(written(tmp_path, rows=rows), gain=GAIN)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "cannot be read: not JSON"),
        ("[]", "does not describe a device"),
        ("{}", "does not describe a device"),
        ('{"a": 1}', "does not describe a device"),
        ('{"a": {}}', "does not name the columns"),
        ("[" * 5000, "nested too deeply"),
        ({"a": bitalino(column="nSeq")}, "'column' of its header is not a list of names"),
        ({"a": bitalino(column=[1, 2])}, "'column' of its header is not a list of names"),
        ({"a": bitalino(column=["nSeq", "I1", "A1", "A2"])}, "has 7 columns, but its header names 4"),
        ({"a": bitalino(channels=[1, 2, 3])}, "'channels' of its header has 3 entries"),
        ({"a": bitalino(sensor=["ECG"])}, "'sensor' of its header has 1 entries for 2 channels"),
        ({"a": bitalino(label=["A1"])}, "'label' of its header has 1 entries for 2 channels"),
        (
            {"a": bitalino(column=[f"A{n}" for n in range(5000)], label=None, sensor=None, channels=None)},
            "5,000 columns",
        ),
    ],
)
def test_a_damaged_header_is_an_error(tmp_path: Path, header: Any, message: str) -> None:
    assert message in problem(written(tmp_path, header), gain=GAIN)


def test_cut_files_are_an_error(tmp_path: Path) -> None:
    content = written(tmp_path).read_bytes()
    path = tmp_path / "a.txt"
    end = content.index(b"EndOfHeader") + 12
    for size in (40, 200, end - 5, end, len(content) - 2, len(content) - 4, len(content) - 12):
        path.write_bytes(content[:size])
        problem(path, gain=GAIN)
    path.write_bytes(content + content)
    problem(path, gain=GAIN)
    path.write_bytes(content + b"1\t0\t0\t0\t0\t0\t0\t0\t\n")
    problem(path, gain=GAIN)


def test_altered_files_are_never_misread(tmp_path: Path) -> None:
    content = written(tmp_path, rows=table()[:700]).read_bytes()
    path = tmp_path / "a.txt"
    rng = np.random.default_rng(4)
    for place in rng.integers(0, 900, 200).tolist():
        altered = bytearray(content)
        altered[place] ^= int(rng.integers(1, 256))
        path.write_bytes(altered)
        found = tolerant(lambda: values(path, lead="7", gain=GAIN))
        assert found is None or found.shape[1] == 1
