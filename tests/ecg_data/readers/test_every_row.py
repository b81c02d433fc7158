"""A row of a table is a sample, and a cell is a number or missing: what the first rows show holds for all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recordings import SIGNAL, TIMES, is_signal, opened, problem_of, read, write_rows, write_table

LATER = 6000
GAP = slice(3000, 3250)


def with_gap() -> np.ndarray:
    signal = SIGNAL.copy()
    signal[GAP] = np.nan
    return signal


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "a decimal comma": (lambda row: row.replace(".", ","), "line 6,002 has 4 columns instead of 2"),
    "another column": (lambda row: row.replace(",", ",36.6,"), "line 6,002 has 3 columns instead of 2"),
    "a column less": (lambda row: row.split(",")[1], "line 6,002 has 1 column instead of 2"),
    "another delimiter": (lambda row: row.replace(",", ";"), "line 6,002 has 1 column instead of 2"),
    "a delimiter at the end": (lambda row: row + ",", "line 6,002 has 3 columns instead of 2"),
    "a unit": (lambda row: row + " mV", "line 6,002: '.* mV' in column ecg is not a number"),
    "another order": (lambda row: ",".join(reversed(row.split(","))), "column time_s: the time jumps at line 6,002"),
    "a bracket": (lambda row: row.replace(",", ",("), "line 6,002: .* in column ecg is not a number"),
    "infinity": (lambda row: row.split(",")[0] + ",inf", "line 6,002: 'inf' in column ecg is not a number"),
    "a number too large": (lambda row: row.split(",")[0] + ",1e999", "line 6,002: '1e999' in column ecg"),
    "a number with underscores": (lambda row: row.split(",")[0] + ",1_0", "line 6,002: '1_0' in column ecg"),
    "a truth value": (lambda row: row.split(",")[0] + ",True", "line 6,002: 'True' in column ecg"),
    "a hexadecimal number": (lambda row: row.split(",")[0] + ",0x1F", "line 6,002: '0x1F' in column ecg"),
    "a quotation mark": (lambda row: row + '"', "line 6,002"),
    "a zero byte": (lambda row: row + "\0", "line 6,002 contains zero bytes"),
    "a comment sign in a cell": (lambda row: row + "#1", "line 6,002: .*#1' in column ecg is not a number"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("rows", ["one", "all"])
def test_a_change_far_down_is_named_by_its_line(tmp_path: Path, change: str, rows: str) -> None:
    alter, problem = CHANGES[change]
    table = write_table(tmp_path / "a.csv", "time_s,ecg", TIMES, SIGNAL)
    end = LATER + 1 if rows == "one" else len(table)
    path = write_rows(tmp_path / "a.csv", "time_s,ecg", [*table[:LATER], *map(alter, table[LATER:end]), *table[end:]])
    assert re.search(problem, problem_of(path)), problem_of(path)


def test_adc_units_after_zeros_are_noticed(tmp_path: Path) -> None:
    counts = np.concatenate([np.zeros(7000), np.round(SIGNAL * 200) + 512]).astype(int)
    path = write_rows(tmp_path / "a.csv", "ecg", [str(count) for count in counts])
    assert "integers look like ADC units; give gain" in problem_of(path, fs=250.0)


def test_millivolts_after_integers_are_millivolts(tmp_path: Path) -> None:
    pulse = (np.arange(7000) % 250 >= 125).astype(float)
    wanted = np.concatenate([pulse, SIGNAL])
    path = write_rows(tmp_path / "a.csv", "ecg", [f"{value:.4g}" for value in wanted])
    is_signal(read(path, fs=250.0), wanted)


MISSING = ["", "NA", "N/A", "NaN", "nan", "-nan", "null", "NULL", "None", "#N/A", "#NUM!", "#DIV/0!", "#VALUE!"]
MISSING += ["-1.#IND", "1.#QNAN", "-nan(ind)", "<NA>"]


@pytest.mark.parametrize("word", MISSING)
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_a_missing_cell_is_a_missing_sample(tmp_path: Path, word: str, columns: int) -> None:
    values = [word if GAP.start <= i < GAP.stop else f"{value:.4f}" for i, value in enumerate(SIGNAL)]
    first = [f"{time:.3f}" for time in TIMES]
    header = ",".join(["ecg", "time_s", "V5"][:columns])
    rows = [",".join(cells[:columns]) for cells in zip(values, first, values, strict=True)]
    path = write_rows(tmp_path / "a.csv", header, rows)
    is_signal(read(path, fs=250.0), with_gap())


@pytest.mark.parametrize("word", ["NA", "null", "nan", "#N/A"])
def test_a_first_sample_that_is_missing_is_not_a_header(tmp_path: Path, word: str) -> None:
    path = write_rows(tmp_path / "a.txt", "", [word, *(f"{value:.4f}" for value in SIGNAL[1:])])
    is_signal(read(path, fs=250.0), np.concatenate([[np.nan], SIGNAL[1:]]))


@pytest.mark.parametrize("filler", ["", ",", " ", "  ,  "])
def test_blank_rows_are_missing_samples(tmp_path: Path, filler: str) -> None:
    rows = write_table(tmp_path / "a.csv", "time_s,ecg", TIMES, SIGNAL)
    path = write_rows(tmp_path / "a.csv", "time_s,ecg", [*rows[:3000], *[filler] * 250, *rows[3250:]])
    is_signal(read(path), with_gap())


def test_a_blank_row_without_a_gap_in_time_is_refused(tmp_path: Path) -> None:
    rows = write_table(tmp_path / "a.csv", "time_s,ecg", TIMES, SIGNAL)
    path = write_rows(tmp_path / "a.csv", "time_s,ecg", [*rows[:7000], "", *rows[7000:]])
    assert "line 7,003; fill gaps with empty rows, and delete blank lines elsewhere" in problem_of(path)


def test_a_table_with_a_blank_line_after_each_row_is_refused(tmp_path: Path) -> None:
    rows = [line for value in SIGNAL for line in (f"{value:.4f}", "")]
    assert "every second line is blank" in problem_of(write_rows(tmp_path / "a.txt", "", rows), fs=250.0)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("tail", ["", "\n", "\n\n\n", "\n# end\n", "\x1a"])
def test_line_ends_of_all_systems_are_read(tmp_path: Path, end: str, tail: str) -> None:
    rows = write_table(tmp_path / "a.csv", "time_s,ecg", TIMES, SIGNAL, end=end)
    (tmp_path / "a.csv").write_bytes((end.join(["time_s,ecg", *rows]) + tail.replace("\n", end)).encode())
    is_signal(read(tmp_path / "a.csv"))


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 100_000])
def test_the_size_of_a_block_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.tables.text.BLOCK_BYTES", size)
    rows = write_table(tmp_path / "a.csv", "time_s,ecg", TIMES[:400], SIGNAL[:400], end="\r\n")
    rows[300] += " # a note"
    path = write_rows(tmp_path / "a.csv", "# a comment\r\ntime_s,ecg", rows, end="\r\n")
    is_signal(read(path), SIGNAL[:400])


def test_a_note_over_several_lines_is_refused(tmp_path: Path) -> None:
    rows = [f"{value:.4f}," for value in SIGNAL]
    rows[3000] += '"artifact'
    rows[3250] += 'moved"'
    path = write_rows(tmp_path / "a.csv", "ecg,note", rows)
    assert "line 3,002: a quotation mark is not closed" in problem_of(path, fs=250.0)


def test_notes_with_delimiters_and_quotes_are_one_cell(tmp_path: Path) -> None:
    rows = [f'"{value:.4f}",' for value in SIGNAL]
    rows[3000] += '"artifact, moved; ""loose"" cable # 2"'
    rows[6000] += "it's"
    is_signal(read(write_rows(tmp_path / "a.csv", '"ecg","note"', rows), fs=250.0))


def test_comments_between_rows_are_not_samples(tmp_path: Path) -> None:
    rows = write_table(tmp_path / "a.csv", "time_s,ecg", TIMES, SIGNAL)
    rows[6000:6000] = ["# moved, 3 s", "#"]
    rows[100] += " # artifact, see the log"
    is_signal(read(write_rows(tmp_path / "a.csv", "time_s,ecg", rows)))


def test_an_empty_cell_between_spaces_is_refused(tmp_path: Path) -> None:
    rows = [f"{value:8.4f} {value / 2:8.4f} {value / 4:8.4f}" for value in SIGNAL]
    rows[3000:3250] = [" " * 8 + row[8:] for row in rows[3000:3250]]
    problem = problem_of(write_rows(tmp_path / "a.txt", "I II V1", rows), fs=250.0, lead="I")
    assert "line 3,002 has 2 columns instead of 3" in problem


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("number,I,II", ["0.1,0.2", "0.2,0.3"]),
        ("ecg", ["0.1,0.2", "0.2,0.3"]),
        ("I,II", ["1,0.1,0.2", "2,0.2,0.3"]),
        ("time (s) I (mV) II", ["0.000 0.1 0.2 3", "0.004 0.2 0.3 3"]),
    ],
)
def test_a_header_names_each_column(tmp_path: Path, header: str, rows: list[str]) -> None:
    problem = problem_of(write_rows(tmp_path / "a.csv", header, rows * 9))
    assert re.search(r"line 2 has \d columns?, but line 1 has \d", problem)


def test_units_in_a_header_with_spaces_belong_to_their_names(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_table(path, "time (s) I (mV) II (uV)", TIMES, SIGNAL, 500 * SIGNAL, mark=" ")
    is_signal(read(path, lead="I"))
    is_signal(2 * read(path, lead="II"), within=0.002)


@pytest.mark.parametrize("header", ["'sample #','MLII'", "sample #,MLII", "#,MLII", '"sample #","MLII"'])
def test_a_number_sign_in_a_name_is_no_comment(tmp_path: Path, header: str) -> None:
    rows = [f"{number},{value:.4f}" for number, value in enumerate(SIGNAL)]
    is_signal(read(write_rows(tmp_path / "a.csv", header, rows), fs=250.0, lead="MLII"))


def test_names_and_units_on_two_lines_as_rdsamp_writes_them(tmp_path: Path) -> None:
    rows = [f"{time:12.3f} {value:8.4f} {2 * value:8.4f}" for time, value in zip(TIMES, SIGNAL, strict=True)]
    header = "   Elapsed time     MLII       V5\n   (seconds)        (mV)     (mV)"
    path = write_rows(tmp_path / "a.txt", header, rows)
    is_signal(read(path))
    is_signal(read(path, lead="V5") / 2)


@pytest.mark.parametrize("name", ["EEG Fp1 (mV)", "temperature_C", "resp (mV)", "EMG chin", "heart_rate"])
def test_a_single_column_of_another_sensor_is_no_ecg(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    write_table(path, f"time_s,{name}", TIMES, SIGNAL)
    assert re.search(r"none of its columns \(.*\) (has the name of an ECG lead|is a voltage)", problem_of(path))


@pytest.mark.parametrize("name", ["X1", "voltage (mV)", "channel 1", "value", "CM5"])
def test_a_single_column_of_any_other_name_is_the_lead(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / "a.csv", f"time_s,{name}", TIMES, SIGNAL)
    is_signal(read(tmp_path / "a.csv"))


@pytest.mark.parametrize("first", ["1_0", "1.2.3", "0.5x", "--0.5", "1,5", "+-1"])
def test_a_damaged_first_sample_is_not_a_header(tmp_path: Path, first: str) -> None:
    path = write_rows(tmp_path / "a.txt", "", [first, *(f"{value:.4f}" for value in SIGNAL[1:])])
    problem_of(path, fs=250.0)


def test_numbers_of_columns_are_not_a_sample(tmp_path: Path) -> None:
    rows = [f"{number},{value:.4f}" for number, value in enumerate(SIGNAL)]
    path = write_rows(tmp_path / "a.csv", ",0", rows)
    is_signal(read(path, fs=250.0))
    path = write_rows(tmp_path / "b.csv", "0", [f"{value:.4f}" for value in SIGNAL])
    assert "line 1 may be the numbers of the columns" in problem_of(path, fs=250.0)


@pytest.mark.parametrize("mark", [";", "\t", " "])
def test_decimal_commas_hold_to_the_end(tmp_path: Path, mark: str) -> None:
    rows = [f"{time:.3f}{mark}{value:.4f}".replace(".", ",") for time, value in zip(TIMES, SIGNAL, strict=True)]
    path = write_rows(tmp_path / "a.csv", f"time_s{mark}ecg", rows)
    is_signal(read(path))
    rows[7000] = rows[7000].replace(",", ".")
    assert "line 7,002" in problem_of(write_rows(tmp_path / "b.csv", f"time_s{mark}ecg", rows))


@given(
    values=st.lists(
        st.one_of(st.floats(-4, 4, allow_nan=False).map(lambda x: round(x, 4)), st.none()), min_size=3, max_size=60
    ),
    mark=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    missing=st.sampled_from(["", "NA", "nan"]),
)
def test_each_cell_is_read_at_its_place(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None], mark: str, end: str, missing: str
) -> None:
    """Whatever numbers and missing values a table has, each row is a sample, in its order."""
    if all(value is None or value == round(value) for value in values):
        values = [*values, 0.5]
    rows = [f"{i / 250:.3f}{mark}{missing if value is None else value}" for i, value in enumerate(values)]
    path = tmp_path_factory.mktemp("t") / "a.csv"
    write_rows(path, f"time_s{mark}ecg_mV", rows, end=end)
    found = np.concatenate(list(opened(path).blocks()))[:, 0]
    np.testing.assert_array_equal(found, np.array([np.nan if value is None else value for value in values]))
