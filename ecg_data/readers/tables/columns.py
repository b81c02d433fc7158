"""Columns of a table by their cells in the first rows: numbers, texts, and times under any name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecg_study.ecg_data.readers.rising import FEWEST_STEPS, MOST_STEPS
from ecg_study.ecg_data.readers.tables.cells import CellFormat, is_missing, is_number
from ecg_study.ecg_data.readers.tables.times import has_time_unit, is_readable_time

MOST = 0.5
"""Share of numbers among the cells of a column that is one of numbers."""

_FEWEST_DIFFERENT = 0.2
"""Share of steps of a clock, whose numbers are rounded or whose texts repeat."""


@dataclass(frozen=True)
class Columns:
    """Kinds of cells in each column.

    Attributes:
        shares: share of numbers among the cells of each column that are not missing.
        rising: columns whose numbers increase from row to row, as times and counters do and no ECG does.
        times: columns of times, by the unit in their name or by their texts.
    """

    shares: tuple[float, ...]
    rising: frozenset[int]
    times: frozenset[int]


@dataclass
class _Steps:
    """Counts over the cells of one column."""

    known: int = 0
    numbers: int = 0
    times: int = 0
    up: int = 0
    down: int = 0
    last: float | None = None
    last_text: str = ""
    changes: int = 0

    def add(self, cell: str, decimal: str) -> None:
        """Count one cell with content."""
        self.known += 1
        if not is_number(cell, decimal=decimal):
            self.times += is_readable_time(cell)
            self.changes += cell != self.last_text
            self.last_text = cell
            return
        self.numbers += 1
        value = float(cell.replace(",", "."))
        if self.last is not None:
            self.up += value > self.last
            self.down += value < self.last
        self.last = value


def columns_in(rows: Sequence[Sequence[str]], cells: CellFormat, *, names: Sequence[str] = ()) -> Columns:
    """Return the kinds of cells in the first rows.

    Args:
        rows: cells of the rows that have the right number of columns.
        cells: how rows are divided into cells.
        names: names of the columns with their units.
    """
    counts = [_Steps() for _ in range(cells.width)]
    for row in rows:
        for count, cell in zip(counts, row, strict=True):
            if not is_missing(cell):
                count.add(cell, cells.decimal)
    rising, times = set(), set()
    for column, count in enumerate(counts):
        steps = count.numbers - 1
        if count.numbers == count.known and steps >= FEWEST_STEPS:
            if count.up >= MOST_STEPS * steps:
                rising.add(column)
            never_back = count.down <= (1 - MOST_STEPS) * steps and count.up >= _FEWEST_DIFFERENT * steps
            if never_back and names and has_time_unit(names[column]):
                times.add(column)
        if count.times >= MOST_STEPS * count.known and count.changes >= max(_FEWEST_DIFFERENT * count.known, 2):
            times.add(column)
    shares = tuple(count.numbers / max(count.known, 1) for count in counts)
    return Columns(shares, frozenset(rising), frozenset(times))
