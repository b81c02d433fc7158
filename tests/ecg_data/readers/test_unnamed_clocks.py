"""Tests of times under any name: they show rate and gaps, and they are never leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_study.ecg_data.readers.rising import is_rising, unit_of, usual_step
from tests.recordings import FS, SIGNAL, TIMES, ecg, is_signal, opened, problem_of, read, write_rows

KEPT = np.delete(np.arange(6000), np.s_[1000:2250])
"""Samples of a recording from which 5 s are cut out."""


def table(path: Path, names: str, kept: np.ndarray, *, per_second: float = 1.0, start: float = 0.0) -> Path:
    rows = [f"{start + TIMES[i] * per_second:.9g};{SIGNAL[i]:.4f};{SIGNAL[i] / 2:.4f}" for i in kept.tolist()]
    return write_rows(path, names, rows)


@pytest.mark.parametrize(
    ("name", "per_second"),
    [
        *(("Zeit (s)", 1.0), ("Temps [ms]", 1e3), ("X [s]", 1.0), ("ts_ms", 1e3), ("uptime_us", 1e6), ("[s]", 1.0)),
        *(("Zeit", 1.0), ("Zeit", 1e3), ("时间", 1 / 60), ("Zeitstempel", 1e6), ("x", 1.0), ("sample", FS)),
    ],
)
def test_a_time_of_any_name_shows_gaps(tmp_path: Path, name: str, per_second: float) -> None:
    names = f"{name};ecg (mV);V5 (mV)"
    whole = table(tmp_path / "a.csv", names, np.arange(6000), per_second=per_second)
    is_signal(read(whole, fs=FS), SIGNAL[:6000])
    assert opened(whole, fs=FS, lead="all").leads == ("ecg", "V5")
    cut = table(tmp_path / "b.csv", names, KEPT, per_second=per_second)
    assert "samples are not evenly spaced, see line 1,002" in problem_of(cut, fs=FS)
    late = np.delete(np.arange(6000), np.s_[5500:5750])
    late_cut = table(tmp_path / "c.csv", names, late, per_second=per_second)
    assert f"column {name}: the time jumps at line 5,502" in problem_of(late_cut, fs=FS)
    is_signal(read(cut, fs=FS, time_column="none"), SIGNAL[KEPT])


@pytest.mark.parametrize(("name", "per_second"), [("Zeit (s)", 1.0), ("Zeit", 1.0), ("Zeit", 1e3), ("y", 1.0)])
def test_a_time_of_any_name_contradicts_another_rate(tmp_path: Path, name: str, per_second: float) -> None:
    path = table(tmp_path / "a.csv", f"{name};ecg;V5", np.arange(3000), per_second=per_second)
    assert "250 Hz, but fs is 500 Hz" in problem_of(path, fs=500.0)
    stated = write_rows(tmp_path / "b.csv", "fs: 500", path.read_text().splitlines())
    assert "250 Hz, but" in problem_of(stated)


def test_a_unit_of_time_makes_a_clock(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "Zeit (ms);ecg;V5", np.arange(3000), per_second=1e3, start=2000.0)
    assert (opened(path).fs, opened(path).start_s) == (FS, 2.0)


def test_texts_of_times_make_a_clock(tmp_path: Path) -> None:
    rows = [f"2026-11-24T03:00:{TIMES[i]:06.3f},{SIGNAL[i]:.4f}" for i in range(3000)]
    path = write_rows(tmp_path / "a.csv", "Zeitstempel,ecg", rows)
    assert opened(path).fs == FS
    assert "has 250 Hz, but fs is 500 Hz" in problem_of(path, fs=500.0)
    del rows[1000:1500]
    assert "not evenly spaced" in problem_of(write_rows(tmp_path / "a.csv", "Zeitstempel,ecg", rows), fs=FS)


@pytest.mark.parametrize("mark", [",", ";"])
def test_dates_with_decimal_commas_are_read(tmp_path: Path, mark: str) -> None:
    rows = [f'"2026-11-24 03:00:{TIMES[i]:06.3f}"'.replace(".", ",") + f"{mark}{SIGNAL[i]:.4f}" for i in range(3000)]
    path = write_rows(tmp_path / "a.csv", f"time{mark}ecg", rows)
    assert opened(path).start_time == "2026-11-24T03:00:00"
    is_signal(read(path), SIGNAL[:3000])


def test_other_quantities_with_a_unit_of_time_are_no_clock(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [f"{800 + 50 * rng.normal():.1f},{SIGNAL[i]:.4f},12" for i in range(3000)]
    path = write_rows(tmp_path / "a.csv", "RR (ms),ecg,delay_ms", rows)
    is_signal(read(path, fs=FS), SIGNAL[:3000])


@pytest.mark.parametrize("largest", [255, 4095, 6000, 65_535])
@pytest.mark.parametrize("first", [0, 1])
def test_a_counter_may_begin_again(tmp_path: Path, largest: int, first: int) -> None:
    numbers = [first + i % (largest + 1 - first) for i in range(len(SIGNAL))]
    rows = [f"{number},{value:.4f}" for number, value in zip(numbers, SIGNAL, strict=True)]
    path = write_rows(tmp_path / "a.csv", "nr,ecg", rows)
    assert opened(path, fs=FS, lead="all").leads == ("ecg",)
    assert opened(path, fs=FS).start_s == 0.0
    is_signal(read(path, fs=FS))
    np.savez(tmp_path / "a.npz", nr=np.array(numbers), ecg=SIGNAL, fs=FS)
    is_signal(read(tmp_path / "a.npz"))
    if largest > 5000:
        del rows[9000]
        path = write_rows(tmp_path / "b.csv", "nr,ecg", rows)
        assert "column nr: the time jumps at line 9,002" in problem_of(path, fs=FS)


@pytest.mark.parametrize("lead", ["Zeit", "1"])
def test_a_time_is_never_a_lead(tmp_path: Path, lead: str) -> None:
    path = table(tmp_path / "a.csv", "Zeit;ecg;V5", np.arange(3000))
    assert "column Zeit: increases from row to row, like a time; choose another lead" in problem_of(
        path, fs=FS, lead=lead
    )


def test_a_column_that_rises_unevenly_beside_a_clock_is_no_lead(tmp_path: Path) -> None:
    bytes_sent = np.cumsum(np.random.default_rng(1).integers(1, 9, 3000))
    rows = [f"{TIMES[i]:.4f},{bytes_sent[i]},{SIGNAL[i]:.4f},{SIGNAL[i] / 2:.4f}" for i in range(3000)]
    path = write_rows(tmp_path / "a.csv", "time,n,ch1,ch2", rows)
    assert opened(path, lead="all").leads == ("ch1", "ch2")


def test_x_and_y_are_leads_only_with_z(tmp_path: Path) -> None:
    rows = [f"{SIGNAL[i] / 2:.4f},{SIGNAL[i]:.4f},{SIGNAL[i] / 4:.4f}" for i in range(3000)]
    problem = problem_of(write_rows(tmp_path / "a.csv", "x,y,chest", rows), fs=FS)
    assert "none of its columns (x, y, chest) has the name of an ECG lead" in problem
    assert opened(write_rows(tmp_path / "b.csv", "x,y,z", rows), fs=FS).leads == ("x",)
    assert opened(write_rows(tmp_path / "c.csv", "chest,y (mV),x", rows), fs=FS).leads == ("y",)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"x": TIMES, "y": SIGNAL, "fs": 500.0}, "'x': increases evenly like a time, with 250 Hz, but the sampling"),
        ({"x": np.r_[TIMES[:5000], TIMES[5000:] + 5], "y": SIGNAL, "fs": FS}, "'x': its times are not evenly spaced"),
        ({"d": np.column_stack([TIMES * 2, SIGNAL, SIGNAL]), "columns": ["time", "I", "II"], "fs": FS}, "'time': 125"),
        ({"d": np.column_stack([TIMES * 2, SIGNAL]), "fs": FS}, "'1': increases evenly like a time, with 125 Hz"),
        ({"data": TIMES, "fs": FS}, "no signal: its numbers increase from sample to sample"),
        ({"x": SIGNAL, "y": SIGNAL / 2, "fs": FS}, "has several arrays of samples (x 10,000; y 10,000)"),
    ],
)
def test_times_in_archives_are_compared(tmp_path: Path, values: dict[str, Any], problem: str) -> None:
    np.savez(tmp_path / "a.npz", **values)
    assert problem in problem_of(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("values", "lead"),
    [
        ({"x": TIMES, "y": SIGNAL, "fs": FS}, "y"),
        ({"x": np.arange(10_000), "y": SIGNAL, "fs": FS}, "y"),
        ({"d": np.column_stack([TIMES, SIGNAL, -SIGNAL]), "columns": ["time", "II", "I"], "fs": FS}, "II"),
        ({"d": np.column_stack([TIMES, SIGNAL]), "fs": FS}, "2"),
    ],
)
def test_signals_beside_times_are_read(tmp_path: Path, values: dict[str, Any], lead: str) -> None:
    np.savez(tmp_path / "a.npz", **values)
    assert opened(tmp_path / "a.npz").leads == (lead,)
    is_signal(read(tmp_path / "a.npz"))


def test_times_in_an_array_are_no_lead(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.column_stack([TIMES, SIGNAL]))
    assert opened(tmp_path / "a.npy", fs=FS, lead="all").leads == ("2",)
    assert "lead 1: increases from sample to sample" in problem_of(tmp_path / "a.npy", fs=FS, lead="1")


@pytest.mark.parametrize("fs", [100.0, 250.0, 1000.0, 10_000.0])
@pytest.mark.parametrize("noise", [0.0, 0.001, 0.05])
def test_an_ecg_does_not_rise(fs: float, noise: float) -> None:
    assert not is_rising(ecg(10.0, fs, noise=noise)[:5000])


def test_units_of_times() -> None:
    assert usual_step(np.r_[TIMES[:500], TIMES[500:] + 5]) == pytest.approx(0.004)
    assert usual_step(np.round(TIMES * 360 / 250, 3)) == pytest.approx(0.00576, rel=1e-3)
    assert usual_step(np.cumsum(np.random.default_rng(1).exponential(1.0, 500))) is None
    assert [unit_of(step, FS) for step in (0.004, 4.0, 4000.0, 1.0, 3.0)] == [1.0, 1e-3, 1e-6, 1 / FS, None]


@pytest.mark.parametrize("hour", ["3", "03"])
def test_dates_with_dots_begin_with_the_day(tmp_path: Path, hour: str) -> None:
    rows = [f"5.2.2026 {hour}:00:{TIMES[i]:06.3f};{SIGNAL[i]:.4f}".replace(".", ",") for i in range(3000)]
    rows = [row.replace("5,2,2026", "5.2.2026") for row in rows]
    path = write_rows(tmp_path / "a.csv", "Zeit;EKG", rows)
    assert (opened(path).fs, opened(path).start_time) == (FS, "2026-02-05T03:00:00")
    is_signal(read(path), SIGNAL[:3000])
    del rows[1000:1500]
    assert "not evenly spaced, see line 1,002" in problem_of(write_rows(tmp_path / "a.csv", "Zeit;EKG", rows))
    rows[5] = rows[5].replace("5.2.", "31.2.")
    assert "line 7: '31.2.2026" in problem_of(write_rows(tmp_path / "a.csv", "Zeit;EKG", rows))


def test_a_column_of_times_in_an_array_is_compared_with_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.column_stack([TIMES, SIGNAL]))
    is_signal(read(path, fs=FS))
    assert "'1': increases evenly like a time, with 250 Hz, but the sampling rate is 500 Hz" in problem_of(
        path, fs=500.0
    )
    np.save(path, np.delete(np.column_stack([TIMES, SIGNAL]), slice(2000, 2100), axis=0))
    assert "'1': its times are not evenly spaced, see sample 1,999" in problem_of(path, fs=FS)
    np.save(path, np.column_stack([np.arange(len(SIGNAL)), SIGNAL]))  # a counter fits any rate
    is_signal(read(path, fs=FS))
