"""Tests of text for terminals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.formatting import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("V5, é, µV, 導, 😀, ½", "V5, é, µV, 導, 😀, ½"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x00\x07\x7f\x9b", r"\x00\x07\x7f\x9b"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("a\u202eb\u2066c\u200f", r"a\u202eb\u2066c\u200f"),
        ("gru-detector\u200b\ufeff", r"gru-detector\u200b\ufeff"),
        ("a\U000e0041", r"a\U000e0041"),
        ("\udc80", r"\udc80"),
    ],
)
def test_characters_that_a_terminal_does_not_show_become_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_the_result_is_one_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert printable(shown) == shown


def test_given_characters_are_kept() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
