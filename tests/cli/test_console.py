"""Tests of the console: text from files neither controls the terminal nor adds lines."""

from __future__ import annotations

import pytest
from rich.table import Table
from rich.text import Text

from ecg_study.cli.console import open_console, print_error

NAME = "r\x1b[2J\x1b]0;title\x07\u202e\x9b"


def test_printed_text_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    open_console().print(f"{NAME}\ngru-detector: 100 % found", "second")
    printed = capsys.readouterr().out
    assert printed == r"r\x1b[2J\x1b]0;title\x07\u202e\x9b\ngru-detector: 100 % found second" + "\n"


def test_tables_and_other_text_have_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    console = open_console()
    table = Table("lead")
    table.add_row(NAME)
    console.print(table)
    console.print(Text(NAME))
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()
    assert r"r\x1b[2J" in printed


def test_an_error_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_error("ecg-study", f"{NAME}\n\u2028gru-detector: fine") == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and printed.endswith("\n")
    assert printed[:-1].isprintable()
