"""Tests of the clock of a table: gaps, jumps, rounding and odd rates, in several blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ecg_data.readers.test_readers import FS, TIMES, leads, opened, read, rows, says, write_csv


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so short that every table here has several."""
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.text.BLOCK_BYTES", 12_000)


@pytest.mark.parametrize("by", [3.0, -3.0, 0.012])
@pytest.mark.parametrize("row", [1300, 1400])
def test_a_jump_far_down_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int, by: float) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.clock.HEAD_ROWS", 600)  # blocks are of 700
    times = TIMES + by * (np.arange(2500) >= row)
    message = says(write_csv(tmp_path / "a.csv", rows("time,ecg", times, leads()[:, 0])))
    assert f"the time jumps at line {row + 2:,}" in message


@pytest.mark.parametrize("clock", ["runs on", "stands"])
def test_a_clock_that_leaves_the_rows_far_down_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.clock.HEAD_ROWS", 600)
    # So coarse that no single step tells of a sample left out.
    samples = np.arange(2500.0)
    samples[1:-1:2] += 0.4
    assert opened(write_csv(tmp_path / "a.csv", rows("time,ecg", samples / FS, leads()[:, 0]))).fs == FS
    late = np.maximum(0, np.arange(2500) - 1000)
    samples += late // 10 if clock == "runs on" else -0.1 * late
    message = says(write_csv(tmp_path / "b.csv", rows("time,ecg", samples / FS, leads()[:, 0])))
    assert "column time: time and row number differ before line" in message


def test_clocks_are_rounded_and_a_little_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.clock.HEAD_ROWS", 600)
    for rate in (128.0, 360.0, 500.2, 1000.0):
        text = "\n".join(f"{round(1000 * n / rate)},0.5" for n in range(4000))
        table = opened(write_csv(tmp_path / "a.csv", "time_ms,ecg\n" + text))
        assert table.fs == pytest.approx(rate, rel=2e-3) and len(read(table)) == 4000


def test_one_sample_left_out_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.clock.HEAD_ROWS", 600)
    text = rows("time,ecg", TIMES, leads()[:, 0]).splitlines()
    del text[1500]
    assert "the time jumps at line 1,501" in says(write_csv(tmp_path / "a.csv", "\n".join(text)))


@pytest.mark.parametrize(("samples", "rate"), [(1050, 250.2), (1050, 360.34), (1300, 128.07)])
def test_an_exact_clock_of_an_odd_rate_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: int, rate: float
) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.clock.HEAD_ROWS", 1000)
    text = "\n".join(f"{n / rate:.9f},0.5" for n in range(samples))
    assert len(read(opened(write_csv(tmp_path / "a.csv", "time,ecg\n" + text)))) == samples


@pytest.mark.parametrize("rate", [125.0, 250.0, 360.0])
def test_a_clock_of_six_digits_is_read_beyond_a_thousand_seconds(tmp_path: Path, rate: float) -> None:
    seconds = 940 + np.arange(round(90 * rate)) / rate
    path = write_csv(tmp_path / "a.csv", "time,ecg\n" + "\n".join(f"{at:g},0.5" for at in seconds))
    assert len(read(opened(path))) == len(seconds)


def test_lines_are_counted_with_comments_and_blank_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.clock.HEAD_ROWS", 600)
    text = rows("time,ecg", TIMES + 3.0 * (np.arange(2500) >= 1000), leads()[:, 0]).splitlines()
    text[5:5] = ["# a comment", "# another"]
    assert "the time jumps at line 1,004" in says(write_csv(tmp_path / "a.csv", "\n".join(text)))
