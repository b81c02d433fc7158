"""Typed cells, and pages that are made of a template."""

from __future__ import annotations

import pytest

from ecg_study.evaluation.results.values import Estimate
from ecg_study.reports.markdown import table_to_markdown, to_markdown
from ecg_study.reports.page import Cell, Column, Page, Plot, make_row, make_table, number, percent, plain, signed


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (number(2273), "2,273"),
        (number(0.99951, 4), "0.9995"),
        (number(-0.00001, 4), "0.0000"),
        (number(12.5), "12.5"),
        (number(3, 2, unit="ms"), "3.00 ms"),
        (number(None, 2, unit="ms"), "–"),
        (number(Estimate(0.5, 0.4, 0.6), 1, unit="mV"), "0.5 [0.4, 0.6] mV"),
        (signed(0.25, 1), "+0.2"),
        (signed(-3, 0), "-3"),
        (signed(Estimate(0.001, -0.002, 0.004), 3), "+0.001 [-0.002, +0.004]"),
        (percent(0.5012, 1), "50.1 %"),
        (percent(None, 1), "–"),
        (Cell("electrode motion"), "electrode motion"),
    ],
)
def test_cells_as_text(cell: Cell, text: str) -> None:
    assert str(cell) == text


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    rows = [
        make_row("x|y", number(Estimate(0.5, 0.4, 0.6), 1), number(None), "1"),
        make_row("z", number(12), number(3), "2"),
    ]
    text = table_to_markdown(make_table("t", ("a", Column("b", "mV"), "c", "d"), rows=rows))
    assert text.splitlines()[0] == "| a | b (mV) | c | d |"
    assert text.splitlines()[1] == "| --- | ---: | ---: | --- |"
    assert text.splitlines()[2] == r"| x\|y | 0.5 [0.4, 0.6] | – | 1 |"


def test_the_row_of_our_model_is_highlighted() -> None:
    table = make_table("t", ("method", "F1"), rows=[make_row("GRU", number(1.0, 1), highlighted=True)])
    assert table_to_markdown(table).splitlines()[2] == "| **GRU** | 1.0 |"


def test_blocks_are_separated_by_blank_lines() -> None:
    table = make_table("A table", ("a",), rows=[make_row("b")])
    text = to_markdown(Page("t", ("Prose.", table, Plot("name", "A plot"))))
    assert text == "Prose.\n\n**A table**\n\n| a |\n| --- |\n| b |\n\n![A plot](plots/name.png)\n"


def test_names_from_files_have_no_meaning_in_markdown() -> None:
    assert plain("a*b_c|[d](e)") == "a\\*b_c\\|\\[d\\](e)"
    assert plain("_118e_6 MLII_") == "\\_118e_6 MLII\\_"
