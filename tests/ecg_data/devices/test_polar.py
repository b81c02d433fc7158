"""Tests of text files of Polar Sensor Logger, which are tables with three clocks."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.ecg_data.clinical.signals import opened, problem, values
from tests.recordings import ecg

FS = 130.0
PACKET = 73
"""Samples of one packet of a chest strap."""

HEADER = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]"
MICROVOLTS = np.rint(1000 * ecg(60.0, FS)).astype(np.int64)
AT = np.arange(len(MICROVOLTS))
TIMES = AT / FS
PACKETS = AT // PACKET * PACKET / FS
JITTER = np.random.default_rng(2).normal(0, 0.03, len(AT) // PACKET + 1)[AT // PACKET]
"""Delay of the radio in s, which is that of the phone's clock."""


def written(
    folder: Path,
    *,
    phone: np.ndarray = PACKETS + JITTER,
    sensor: np.ndarray = TIMES,
    elapsed: np.ndarray = TIMES,
    samples: np.ndarray = MICROVOLTS,
    header: str = HEADER,
) -> Path:
    path = folder / "Polar_H10_02849638_ECG.txt"
    start = datetime(2026, 7, 16, 21, 34, 53)
    rows = [
        f"{(start + timedelta(seconds=one)).isoformat(timespec='milliseconds')};"
        f"{599636646177065964 + round(two * 1e9)};{three * 1000:.6f};{value}"
        for one, two, three, value in zip(phone, sensor, elapsed, samples, strict=True)
    ]
    path.write_text("\n".join([header, *rows, ""]))
    return path


def assert_is_the_signal(path: Path, **options: object) -> None:
    np.testing.assert_allclose(values(path, **options)[:, 0], MICROVOLTS / 1000, atol=1e-9)


@pytest.mark.parametrize(
    "phone", [TIMES, PACKETS, PACKETS + JITTER, TIMES + JITTER], ids="even packets late mixed".split()
)
def test_the_rate_comes_from_the_clock_of_the_sensor(tmp_path: Path, phone: np.ndarray) -> None:
    path = written(tmp_path, phone=phone)
    recording = opened(path)
    assert (recording.fs, recording.leads) == (FS, ("ecg",))
    assert_is_the_signal(path)
    assert_is_the_signal(path, fs=FS, units="uV")
    assert_is_the_signal(path, time_column="sensor timestamp [ns]")


def test_the_start_is_read_if_the_clock_of_the_phone_is_even(tmp_path: Path) -> None:
    assert opened(written(tmp_path, phone=TIMES)).start_time == "2026-07-16T21:34:53"


def test_the_deviation_of_the_clock_of_the_sensor_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, sensor=AT / 129.6, elapsed=AT / 129.6)
    assert opened(path).fs == pytest.approx(129.6, rel=1e-6)
    assert opened(path, fs=FS).fs == FS


@pytest.mark.parametrize("header", [HEADER, HEADER.replace("sensor timestamp [ns]", "sensor timestamp [ns] ")])
def test_packets_with_slightly_uneven_times_are_read(tmp_path: Path, header: str) -> None:
    starts = np.arange(len(AT) // PACKET + 2) * PACKET / FS
    starts = starts + np.random.default_rng(5).normal(0, 0.0005, len(starts))
    times = np.interp(AT, np.arange(len(starts)) * PACKET, starts)
    path = written(tmp_path, sensor=times, elapsed=times, header=header)
    assert opened(path).fs == pytest.approx(FS, rel=1e-4)
    assert_is_the_signal(path)


def test_packets_with_one_time_for_all_samples_need_the_rate(tmp_path: Path) -> None:
    path = written(tmp_path, sensor=PACKETS, elapsed=PACKETS)
    assert "give time_column 'none' and fs" in problem(path)
    assert_is_the_signal(path, time_column="none", fs=FS)


@pytest.mark.parametrize("first", [PACKET, 40 * PACKET, 90 * PACKET])
@pytest.mark.parametrize("lost", [1, PACKET, 10 * PACKET])
def test_lost_packets_are_an_error(tmp_path: Path, first: int, lost: int) -> None:
    times = TIMES + (first <= AT) * lost / FS
    message = problem(written(tmp_path, phone=times, sensor=times, elapsed=times))
    assert "time_column 'none'" in message
    assert f"line {first + 2:,}" in message


def test_a_clock_that_goes_back_is_an_error(tmp_path: Path) -> None:
    times = TIMES - 5 * (AT >= 6000)
    assert "the time jumps at line 6,002" in problem(written(tmp_path, sensor=times, elapsed=times))


def test_contradicting_rates_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert "130 Hz, but fs is 250 Hz" in problem(path, fs=250.0)
    path = written(tmp_path, elapsed=AT / 200)
    assert "disagree (130 and 200 Hz)" in problem(path)
    path = written(tmp_path, header=HEADER.replace("[ns]", "[us]"))
    assert "disagree" in problem(path)


def test_wrong_and_missing_units_are_an_error(tmp_path: Path) -> None:
    assert "too large for an ECG" in problem(written(tmp_path, header=HEADER.replace("uV", "mV")))
    assert "give gain" in problem(written(tmp_path, header=HEADER.replace("uV", "counts")))
    assert "integers look like ADC units" in problem(written(tmp_path, header=HEADER.replace(" [uV]", "")))
    assert "is a voltage" in problem(written(tmp_path, header=HEADER.replace("uV", "mg")))
    assert "unit 'nsx' of the time is unknown" in problem(written(tmp_path, header=HEADER.replace("[ns]", "[nsx]")))
    assert "units is 'mV'" in problem(written(tmp_path), units="mV")


def test_other_streams_of_a_sensor_are_not_an_ecg(tmp_path: Path) -> None:
    path = written(tmp_path, header="Phone timestamp;sensor timestamp [ns];timestamp [ms];X [mg]")
    assert "none of its columns (X [mg]) is a voltage" in problem(path) or "is a voltage" in problem(path)


def test_cut_files_are_an_error(tmp_path: Path) -> None:
    content = written(tmp_path).read_bytes()
    path = tmp_path / "a.txt"
    path.write_bytes(content[: content.rindex(b";")])
    assert "cut off" in problem(path)
    path.write_bytes(content[:30])
    assert "no rows" in problem(path)
    path.write_bytes(content + content)
    assert "is not a number" in problem(path) or "is not a time" in problem(path)
