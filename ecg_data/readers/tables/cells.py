"""Cells of a text table: each row is a sample, and each cell is a number, missing, or an error."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.tables.text import LineBlock, decode, line_blocks
from ecg_study.errors import RecordError

_SPREADSHEET_ERRORS = ("#N/A", "#NA", "#NUM!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NULL!")
_C_RUNTIME = tuple(f"{sign}1.#{kind}" for sign in ("", "-", "+") for kind in ("IND", "QNAN", "SNAN", "IND00", "QNAN0"))
MISSING = frozenset(
    {
        *("", "NA", "N/A", "n/a", "na", "<NA>", "NULL", "null", "Null", "None", "none"),
        *(sign + name for sign in ("", "-", "+") for name in ("nan", "NaN", "NAN", "Nan")),
        *("nan(ind)", "-nan(ind)", "nan(snan)", "-nan(snan)"),
        *_SPREADSHEET_ERRORS,
        *_C_RUNTIME,
    }
)
"""Cells that mean a missing value in spreadsheets, pandas, R, SQL and programs in C."""

_NUMBER = r"[+-]?(?:[0-9]+{mark}?[0-9]*|{mark}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?"
_NUMBERS = {mark: re.compile(_NUMBER.format(mark=re.escape(mark))) for mark in ".,"}


_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[ \u00a0\u202f.,'’][0-9]{3})+(?:[.,][0-9]*)?")
"""A number with a mark between thousands."""

_QUOTED = "\x01"
"""Character that stands for a delimiter within quotes while the rows are divided into cells."""


def is_number(cell: str, *, decimal: str = ".") -> bool:
    """Return whether a cell is a decimal number."""
    return _NUMBERS[decimal].fullmatch(cell.strip()) is not None


def is_missing(cell: str) -> bool:
    """Return whether a cell means a missing value."""
    return cell.strip() in MISSING


@dataclass(frozen=True)
class CellFormat:
    """How rows are divided into cells.

    Attributes:
        delimiter: character between cells; a space means one or more spaces or tabs.
        width: cells per row.
        decimal: decimal mark, ``"."`` or ``","``.
    """

    delimiter: str
    width: int
    decimal: str = "."


@dataclass(frozen=True)
class Rows:
    """Some rows of a table.

    Attributes:
        first_row: index of the first row; rows are numbered through the file.
        lines: line number of each row, from 1, shape ``(rows,)``.
        numbers: cells as numbers, shape ``(rows, columns)``; missing cells are NaN.
        texts: text of each cell of one column, if it was requested.
    """

    first_row: int
    lines: np.ndarray
    numbers: np.ndarray
    texts: np.ndarray | None = None


def split_row(row: str, delimiter: str) -> list[str]:
    """Return the cells of one row without quotes and surrounding spaces.

    Raises:
        ValueError: a quotation mark is opened and not closed.
    """
    if delimiter == " ":
        row = " ".join(row.split())
    if '"' not in row:
        return [_unquoted(cell.strip()) for cell in row.split(delimiter)]
    try:
        cells = next(csv.reader([row], delimiter=delimiter, skipinitialspace=True, strict=True), [""])
    except csv.Error as error:
        raise ValueError("a quotation mark is not closed") from error
    return [_unquoted(cell.strip()) for cell in cells]


def _unquoted(cell: str) -> str:
    return cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == "'" else cell


_COMMENT = re.compile(r"^#(?![,;|])|(?<=\s)#(?![,;|\t'\"])")


def without_comment(row: str) -> str | None:
    """Return a row without the comment at its end; ``None`` if the whole line is a comment.

    A comment begins with ``#`` at the start of a line or after a space, not within quotes. Errors of spreadsheets,
    such as ``#N/A``, are cells, and so is a ``#`` at the end of a cell, as in ``'sample #','MLII'``.
    """
    for found in _COMMENT.finditer(row):
        if row[: found.start()].count('"') % 2:
            continue  # within a cell in quotes
        rest = row[found.start() :]
        if not any(re.match(re.escape(word) + r"(?=$|[\s,;|])", rest) for word in _SPREADSHEET_ERRORS):
            return row[: found.start()].rstrip() if row[: found.start()].strip() else None
    return row


def read_rows(
    path: Path,
    cell_format: CellFormat,
    *,
    first_line: int,
    numbers: Sequence[int],
    texts: int | None = None,
    names: Sequence[str],
    empty: Sequence[int] = (),
    block_bytes: int | None = None,
) -> Iterator[Rows]:
    """Read the rows of a table in blocks.

    A blank line between rows is a row without values. Comments are not rows.

    Args:
        path: file to read.
        cell_format: how rows are divided into cells.
        first_line: line number of the first row, from 1.
        numbers: columns to read as numbers.
        texts: column to read as text.
        names: names of all columns, for messages.
        empty: columns that must be empty.
        block_bytes: bytes to read at a time.

    Raises:
        RecordError: a row has another number of cells, a cell is neither a number nor missing, or a number is infinite.
    """
    row, blank = 0, 0
    for block in line_blocks(path, block_bytes=block_bytes):
        lines = _row_lines(path, cell_format, block, first_line)
        # Blank lines at the end of the file are not rows, so they wait for a row that follows.
        numbered = _Numbered(lines.numbers, lines.content)
        numbered, trailing = _without_trailing_blanks(numbered)
        if not len(numbered.numbers):
            blank += trailing
            continue
        if blank:
            before = np.arange(numbered.numbers[0] - blank, numbered.numbers[0])
            numbered = _Numbered(np.concatenate([before, numbered.numbers]), b"\n" * blank + numbered.content)
        blank = trailing
        made = _parse(path, cell_format, numbered, numbers, texts, names, empty, cut_off=block.cut_off)
        yield Rows(row, numbered.numbers, made[0], made[1])
        row += len(numbered.numbers)


@dataclass(frozen=True)
class _Numbered:
    """Lines of rows: their numbers, and their content with line feeds."""

    numbers: np.ndarray
    content: bytes


def _row_lines(path: Path, cell_format: CellFormat, block: LineBlock, first_line: int) -> _Numbered:
    """Return the lines of rows, without comments, quotes and repeated spaces."""
    content, first = block.content, block.first_line
    if first < first_line:
        skipped = min(first_line - first, content.count(b"\n"))
        content = content.split(b"\n", skipped)[skipped]
        first += skipped
    if b'"' in content:
        # Cells in quotes without a delimiter, which are all cells but notes.
        mark = re.escape(cell_format.delimiter).encode()
        content = re.sub(rb'(?<![^\n%b])"([^"\n%b#]*)"(?![^\n%b])' % (mark, mark, mark), rb"\1", content)
    if b'"' in content or b"#" in content or b"'" in content:
        return _cleaned(path, cell_format, content, first)
    if cell_format.delimiter == " ":
        content = re.sub(rb"[ \t]+", b" ", content)
        content = re.sub(rb"(?m)^ | $", b"", content)
    elif cell_format.delimiter == "\t":
        content = re.sub(rb"(?m)^ +$", b"", content)
    else:
        content = re.sub(rb"(?m)^[ \t]+$", b"", content)
    return _Numbered(np.arange(first, first + content.count(b"\n")), content)


def _cleaned(path: Path, cell_format: CellFormat, content: bytes, first: int) -> _Numbered:
    """Return the lines of rows, one by one: without comments, and with cells without quotes and delimiters."""
    numbers, rows = [], []
    for number, line in enumerate(content.split(b"\n")[:-1], first):
        row = without_comment(line.decode("latin-1"))
        if row is None:
            continue
        try:
            cells = split_row(row, cell_format.delimiter) if row.strip() else []
        except ValueError as error:
            raise RecordError(path, f"line {number:,}: {error}; notes must not go over several lines") from error
        numbers.append(number)
        rows.append(cell_format.delimiter.join(cell.replace(cell_format.delimiter, _QUOTED) for cell in cells))
    joined = "".join(row + "\n" for row in rows)
    return _Numbered(np.array(numbers, np.int64), joined.encode("latin-1"))


def _without_trailing_blanks(lines: _Numbered) -> tuple[_Numbered, int]:
    """Return the lines without blank lines at their end, and the number of these."""
    content = lines.content.rstrip(b"\n")
    blank = len(lines.content) - len(content) - 1 if content else len(lines.content)
    if not content:
        return _Numbered(lines.numbers[:0], b""), blank
    return _Numbered(lines.numbers[: len(lines.numbers) - blank], content + b"\n"), blank


def _parse(
    path: Path,
    cell_format: CellFormat,
    lines: _Numbered,
    numbers: Sequence[int],
    texts: int | None,
    names: Sequence[str],
    empty: Sequence[int],
    *,
    cut_off: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the cells of some columns as numbers, and those of one column as text."""
    import pandas as pd

    content = _with_equal_widths(path, cell_format, lines, cut_off=cut_off)
    columns = sorted({*numbers, *empty, *([] if texts is None else [texts])})
    kinds: dict[int, type] = {column: str if column == texts else np.float64 for column in columns}
    try:
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=cell_format.delimiter,
            decimal=cell_format.decimal,
            header=None,
            names=list(range(cell_format.width)),
            usecols=columns,
            dtype=kinds,
            na_values=sorted(MISSING),
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            quoting=csv.QUOTE_NONE,
            encoding="latin-1",
        )
    except (ValueError, OverflowError) as error:
        raise _not_a_number(path, cell_format, lines, [*numbers, *empty], names) from error
    values = frame[list(numbers)].to_numpy(np.float64)
    if len(values) != len(lines.numbers):
        raise RecordError(path, f"{len(values):,} rows were read of {len(lines.numbers):,}; not a table of numbers")
    if np.isinf(values).any() or (len(empty) and frame[list(empty)].notna().to_numpy().any()):
        raise _not_a_number(path, cell_format, lines, [*numbers, *empty], names)
    if texts is None:
        return values, None
    found = frame[texts].to_numpy(object)
    if _QUOTED.encode() in content:
        found = np.array([_shown(cell, cell_format) if isinstance(cell, str) else cell for cell in found], object)
    return values, found


def _shown(cell: str, cell_format: CellFormat) -> str:
    """Return a cell with the delimiters that it has in the file."""
    return cell.replace(_QUOTED, cell_format.delimiter)


def _with_equal_widths(path: Path, cell_format: CellFormat, lines: _Numbered, *, cut_off: bool) -> bytes:
    """Return rows that all have the same number of cells; a blank line becomes a row of empty cells.

    Raises:
        RecordError: a row has another number of cells.
    """
    stored = np.frombuffer(lines.content, np.uint8)
    ends = np.flatnonzero(stored == ord("\n"))
    marks = np.flatnonzero(stored == ord(cell_format.delimiter))
    found = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    lengths = np.diff(ends, prepend=-1) - 1
    wrong = (found != cell_format.width) & (lengths > 0)
    if wrong.any():
        row = int(wrong.argmax())
        line = f"line {lines.numbers[row]:,}"
        problem = f"{line} has {_columns(int(found[row]))} instead of {cell_format.width}"
        if cut_off and row == len(found) - 1 and found[row] < cell_format.width:
            raise RecordError(path, f"{problem}: the file is cut off there; delete this line")
        raise RecordError(path, problem)
    if cell_format.width == 1 or lengths.all():
        # pandas takes a blank line for the end of the cells of a single column.
        return lines.content if lengths.all() else re.sub(rb"(?m)^$(?!\Z)", b"NA", lines.content)
    return re.sub(rb"(?m)^$(?!\Z)", cell_format.delimiter.encode() * (cell_format.width - 1), lines.content)


def _columns(count: int) -> str:
    return f"{count:,} column" if count == 1 else f"{count:,} columns"


def _not_a_number(
    path: Path, cell_format: CellFormat, lines: _Numbered, columns: Sequence[int], names: Sequence[str]
) -> RecordError:
    """Return the error for the first cell that is neither a number nor missing."""
    for number, line in zip(lines.numbers.tolist(), lines.content.split(b"\n"), strict=False):
        if not line:
            continue
        cells = decode(line).split(cell_format.delimiter)
        for column in columns:
            cell = cells[column].strip()
            if is_missing(cell) or (is_number(cell, decimal=cell_format.decimal) and np.isfinite(_value(cell))):
                continue
            cell = _shown(cell, cell_format)
            advice = "; leave missing samples empty"
            if cell_format.decimal == "." and is_number(cell, decimal=","):
                advice = "; use the same decimal mark in all rows"
            elif _THOUSANDS.fullmatch(cell):
                advice = "; save it without marks between thousands"
            return RecordError(
                path, f"line {number:,}: {cell[:40]!r} in column {names[column]} is not a number{advice}"
            )
    return RecordError(path, f"not a table of numbers after line {lines.numbers[0]:,}")


def _value(cell: str) -> float:
    return float(cell.replace(",", "."))
