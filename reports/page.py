"""A page as prose, tables of typed cells and plots, which the renderers turn into text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from ecg_study.evaluation.results.values import GRU, LSTM, Estimate

TEMPLATES = Path(__file__).parent / "templates"

CI = "with 95 % confidence interval"
"""End of the caption of a table of estimates."""

_T = TypeVar("_T")

CellKind = Literal["text", "prose", "code", "number", "signed", "percent"]
"""``prose`` is text that may wrap; ``signed`` a number with its sign; ``percent`` a share from 0 to 1."""

_NUMERIC = ("number", "signed", "percent")


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Attributes:
        value: text, number or estimate with its 95 % confidence interval; ``None`` if it was not measured.
        unit: shown after the value; empty if the heading of the column has it.
        digits: decimals; ``None`` for as many as the value has, and thousands separators in whole numbers.
        kind: determines format and alignment.
    """

    value: str | int | float | Estimate | None
    unit: str = ""
    digits: int | None = None
    kind: CellKind = "text"

    @property
    def numeric(self) -> bool:
        """True for a cell of a column of numbers."""
        return self.kind in _NUMERIC

    @property
    def main(self) -> str:
        """The value as plain text, without interval and unit."""
        if self.value is None:
            return "–"
        if isinstance(self.value, str):
            return self.value
        return self._number(self.value.value if isinstance(self.value, Estimate) else self.value)

    @property
    def interval(self) -> str:
        """The confidence interval in brackets; empty without one."""
        if not isinstance(self.value, Estimate):
            return ""
        return f"[{self._number(self.value.low)}, {self._number(self.value.high)}]"

    @property
    def shown_unit(self) -> str:
        """The unit after the value; empty without a value."""
        return "" if self.value is None else "%" if self.kind == "percent" else self.unit

    def __str__(self) -> str:
        """Return value, interval and unit as plain text."""
        return " ".join(part for part in (self.main, self.interval, self.shown_unit) if part)

    def _number(self, value: float) -> str:
        sign = "+" if self.kind == "signed" else ""
        if self.kind == "percent":
            value *= 100
        if self.digits is None:
            return f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign}g}"
        # Adding 0 turns a rounded -0 into 0.
        return f"{round(value, self.digits) + 0.0:{sign}.{self.digits}f}"


def number(value: float | Estimate | None, digits: int | None = None, *, unit: str = "") -> Cell:
    """Return a cell with a number or an estimate."""
    return Cell(value, unit, digits, "number")


def signed(value: float | Estimate | None, digits: int) -> Cell:
    """Return a cell with a number, or an estimate, that shows its sign."""
    return Cell(value, "", digits, "signed")


def percent(share: float | None, digits: int) -> Cell:
    """Return a cell with a share (0 to 1) as a percentage."""
    return Cell(share, "", digits, "percent")


@dataclass(frozen=True)
class Column:
    """The heading of a column, with the unit of its values."""

    heading: str
    unit: str = ""

    def __str__(self) -> str:
        """Return heading and unit as plain text."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading


@dataclass(frozen=True)
class Row:
    """One row of a table; the row of our model is highlighted."""

    cells: tuple[Cell, ...]
    highlighted: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of a row names it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def numeric(self, place: int) -> bool:
        """Return whether a column holds only numbers; ``place`` counts from 0."""
        return bool(self.rows) and all(row.cells[place].numeric for row in self.rows)


def make_row(*cells: Cell | str, highlighted: bool = False) -> Row:
    """Return a row; plain strings become text."""
    return Row(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells), highlighted)


def make_table(caption: str, columns: Sequence[str | Column], *, rows: Sequence[Row]) -> Table:
    """Return a table; plain strings become headings without unit."""
    heads = tuple(Column(column) if isinstance(column, str) else column for column in columns)
    assert all(len(row.cells) == len(heads) for row in rows)
    return Table(caption, heads, tuple(rows))


def method_row(method: str, cells: Sequence[Cell]) -> Row:
    """Return the row of a method, highlighted if it is our model."""
    return make_row(method, *cells, highlighted=method in (LSTM, GRU))


def unique(items: Iterable[_T]) -> list[_T]:
    """Return each item once, in the order of first occurrence."""
    return list(dict.fromkeys(items))


@dataclass(frozen=True)
class Plot:
    """A picture in ``plots/`` beside the page, with its caption."""

    name: str
    caption: str

    @property
    def path(self) -> str:
        """Path from the page."""
        return f"plots/{self.name}.png"


Block = str | Table | Plot
"""Prose in CommonMark, a table, or a plot."""


@dataclass(frozen=True)
class Page:
    """The blocks of a page in their order."""

    title: str
    blocks: tuple[Block, ...]


class _Marker(str):
    """The place of a table or plot in the text of a template."""


def fill_page(template: str, title: str, **values: Any) -> Page:
    """Fill a template of prose; its calls of ``show`` place tables and plots.

    Args:
        template: file name in ``templates/``.
        title: title of the page.
        **values: what the template uses.
    """
    import jinja2

    shown: list[Table | Plot] = []

    def show(block: Table | Plot) -> str:
        shown.append(block)
        return _Marker(f"\0{len(shown) - 1}\0")

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # CommonMark; values from files pass through `plain`
        finalize=lambda value: value.replace("\0", "") if type(value) is str else value,
    )
    environment.filters["plain"] = plain
    try:
        text = environment.get_template(template).render(title=title, show=show, **values)
    except jinja2.UndefinedError as error:  # of a damaged report
        raise LookupError(str(error)) from error
    parts = re.split("\0([0-9]+)\0", text)
    blocks: list[Block] = []
    for place, part in enumerate(parts):
        if place % 2:
            blocks.append(shown[int(part)])
        elif part.strip():
            blocks.append(re.sub(r"\n{3,}", "\n\n", part.strip("\n")))
    return Page(title, tuple(blocks))


def plain(text: str) -> str:
    """Escape a text so that no character has a meaning in CommonMark."""
    # An underscore inside a word has none.
    return re.sub(r"([\\`*\[\]<>#!&|~]|(?<!\w)_|_(?!\w))", r"\\\1", text)
