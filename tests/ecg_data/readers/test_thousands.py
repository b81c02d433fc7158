"""Marks between thousands, which look like decimal marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.recordings import FS, SIGNAL, is_signal, problem_of, read, write_rows

MICROVOLTS = np.rint(1000 * SIGNAL).astype(int)


def written(folder: Path, numbers: list[str], *, header: str = "time_ms;ecg_uV") -> Path:
    return write_rows(folder / "a.csv", header, [f"{4 * i};{number}" for i, number in enumerate(numbers)])


@pytest.mark.parametrize("mark", [",", "."])
def test_marks_between_thousands_are_refused(tmp_path: Path, mark: str) -> None:
    path = written(tmp_path, [f"{number:,}".replace(",", mark) for number in MICROVOLTS])
    assert "column ecg: its numbers seem to have a mark between thousands" in problem_of(path)


def test_numbers_without_marks_are_read(tmp_path: Path) -> None:
    is_signal(read(written(tmp_path, [str(number) for number in MICROVOLTS])))


def test_decimals_are_read(tmp_path: Path) -> None:
    is_signal(read(written(tmp_path, [f"{1000 * value:.3f}" for value in SIGNAL])))
    is_signal(read(written(tmp_path, [f"{value:.3f}" for value in SIGNAL], header="time_ms;ecg_mV")), within=0.002)


def test_decimals_without_zeros_at_the_end_are_read(tmp_path: Path) -> None:
    steps = np.rint(8000 * SIGNAL) / 8  # whole and fractional numbers, up to three decimals
    is_signal(read(written(tmp_path, [f"{value:g}" for value in steps])))
    is_signal(read(written(tmp_path, [f"{value + 512:g}" for value in steps]), fs=FS), SIGNAL + 0.512)


@pytest.mark.parametrize("line", ["# gain: 2", "# ADC gain = 2 per mV", "# scale factor: 0.5"])
def test_a_calibration_before_a_table_without_a_unit_is_refused(tmp_path: Path, line: str) -> None:
    rows = [f"{4 * i},{2 * value:.4f}" for i, value in enumerate(SIGNAL)]
    path = write_rows(tmp_path / "a.csv", f"{line}\ntime_ms,ecg", rows)
    assert "mention" in problem_of(path) and "give units" in problem_of(path)
    is_signal(read(path, gain=2.0))


@pytest.mark.parametrize("mark", [",", "."])
def test_marks_in_all_numbers_need_a_unit(tmp_path: Path, mark: str) -> None:
    """A converter of 12 bits whose numbers are around 2,048."""
    numbers = [f"{number:,}".replace(",", mark) for number in np.rint(200 * SIGNAL + 2048).astype(int)]
    path = written(tmp_path, numbers, header="time_ms;ecg")
    assert "mark between thousands, as in 1,234; save it without, or give units" in problem_of(path)
    is_signal(read(path, units="mV"), np.rint(200 * SIGNAL + 2048) / 1000)


def test_an_offset_with_few_decimals_is_no_mark(tmp_path: Path) -> None:
    path = written(tmp_path, [f"{value + 2:.2f}" for value in SIGNAL], header="time_ms;ecg")
    is_signal(read(path), SIGNAL + 2, within=0.006)
