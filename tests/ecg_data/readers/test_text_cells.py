"""Tests of tables whose cells are texts in some rows: no lead and no row gets lost in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recordings import SIGNAL, TIMES, is_signal, opened, problem_of, read, write_rows

HEAD = 5000
"""Rows by which the layout of a table is judged; most of it by the last 400."""


def two_leads(folder: Path, text: str, rows: range, *, names: str = "time,MLII,V5") -> Path:
    """Write a table of two leads, the first of which has a text in some rows."""
    lines = [
        f"{time:.3f},{text if row in rows else f'{value:.4f}'},{value / 2:.4f}"
        for row, (time, value) in enumerate(zip(TIMES, SIGNAL, strict=True))
    ]
    return write_rows(folder / "a.csv", names, lines)


@pytest.mark.parametrize(
    ("text", "rows", "lead"),
    [
        ("-", range(4950, HEAD), "auto"),
        ("-", range(4950, HEAD), "all"),
        ("lead off", range(4000, 6000), "auto"),
        ('"1,234.5"', range(4700, 4701), "all"),
        ("−0.5", range(4999, HEAD), "MLII"),
    ],
)
def test_a_lead_with_texts_is_an_error(tmp_path: Path, text: str, rows: range, lead: str) -> None:
    problem = problem_of(two_leads(tmp_path, text, rows), lead=lead)
    assert problem.startswith(f"line {rows.start + 2:,}: {text.strip(chr(34))!r} in column MLII is not a number")


def test_marks_between_thousands_are_named(tmp_path: Path) -> None:
    path = two_leads(tmp_path, '"1,234.5"', range(4800, 4801), names="time,II (uV),V5 (uV)")
    assert problem_of(path).endswith("save it without marks between thousands")


def test_another_lead_is_read_if_it_is_chosen(tmp_path: Path) -> None:
    is_signal(2 * read(two_leads(tmp_path, "-", range(4950, HEAD)), lead="V5"), within=0.002)


@pytest.mark.parametrize("rows", [range(HEAD), range(len(SIGNAL))])
def test_a_lead_that_begins_with_texts_is_an_error(tmp_path: Path, rows: range) -> None:
    problem = problem_of(two_leads(tmp_path, "off", rows))
    assert problem == "line 2: 'off' in column MLII is not a number; leave missing samples empty"


def test_a_single_column_with_a_text_is_named(tmp_path: Path) -> None:
    values = [f"{value:.4f}" for value in SIGNAL]
    values[4900] = "-"
    problem = problem_of(write_rows(tmp_path / "a.csv", "ecg", values), fs=250.0)
    assert problem.startswith("line 4,902: '-' in column ecg is not a number")


def test_a_clock_with_a_text_is_named(tmp_path: Path) -> None:
    lines = [f"{'-' if row == 4900 else f'{time:.3f}'},{SIGNAL[row]:.4f}" for row, time in enumerate(TIMES)]
    problem = problem_of(write_rows(tmp_path / "a.csv", "time,ecg", lines))
    assert problem.startswith("line 4,902: '-' in column time is not a number")


@pytest.mark.parametrize("notes", [("ok", "moved"), ("N", ""), ("", "")])
def test_columns_of_notes_are_no_leads(tmp_path: Path, notes: tuple[str, str]) -> None:
    lines = [f"{time:.3f},{notes[row % 2]},{SIGNAL[row]:.4f}" for row, time in enumerate(TIMES)]
    path = write_rows(tmp_path / "a.csv", "time,ecg_quality,V5", lines)
    assert opened(path, lead="all").leads == ("V5",)
    is_signal(read(path))


ISO_TIMES = [f"2026-11-24T03:00:{time:06.3f}" for time in TIMES[:5000]]
TIMES_OF_DAY = [f"0:{time:06.3f}" for time in TIMES[:5000]]
FLAGS = ["bad" if row % 100 < 50 else "good" for row in range(5000)]


@pytest.mark.parametrize(
    ("names", "first", "off"),
    [
        ("time,ecg", ISO_TIMES, 500),
        ("", ISO_TIMES, 1),
        ("time,ecg", [time.replace("2026-11-24T", "24.11.2026 ") for time in ISO_TIMES], 2),
        ("time,ecg", TIMES_OF_DAY, 500),
        ("", TIMES_OF_DAY, 500),
        ("quality,ecg", FLAGS, 40),
        ("quality,ecg", ["same"] * 5000, 500),
        ("name,ecg", [f"row {row}" for row in range(5000)], 500),
    ],
)
def test_rows_with_texts_at_the_start_are_not_a_header(tmp_path: Path, names: str, first: list[str], off: int) -> None:
    lines = [f"{first[row]},{'lead off' if row < off else f'{SIGNAL[row]:.4f}'}" for row in range(5000)]
    line = off + bool(names)
    problem = problem_of(write_rows(tmp_path / "a.csv", names, lines), fs=250.0)
    wanted = f"line {line:,}: 'lead off' is neither a number nor a name of a column; leave missing samples empty"
    assert problem == wanted


@pytest.mark.parametrize(
    "header",
    [
        "Recorded,2026-11-24 03:00:00\ntime_s,ecg",
        "Start,03:00:00\nName,John\ntime_s,ecg",
        "time,ecg\ns,mV",
        "Signal,ecg\ntime_s,ecg",
    ],
)
def test_lines_before_a_header_may_have_times(tmp_path: Path, header: str) -> None:
    lines = [f"{time:.3f},{value:.4f}" for time, value in zip(TIMES[:3000], SIGNAL, strict=False)]
    is_signal(read(write_rows(tmp_path / "a.csv", header, lines), fs=250.0), SIGNAL[:3000])
