"""Layout of a text table: delimiter, decimal mark, header, units, and metadata in the lines before the table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ecg_study.ecg_data.readers.leads import is_ecg_lead
from ecg_study.ecg_data.readers.tables.cells import (
    CellFormat,
    is_missing,
    is_number,
    split_row,
    without_comment,
)
from ecg_study.ecg_data.readers.tables.columns import MOST, columns_in
from ecg_study.ecg_data.readers.tables.metadata import Metadata, is_key_value, metadata_in
from ecg_study.ecg_data.readers.tables.text import decode, line_blocks
from ecg_study.ecg_data.readers.tables.times import is_time_text
from ecg_study.ecg_data.readers.units import UnitKind, parse_unit, split_name
from ecg_study.errors import RecordError

HEAD_ROWS = 5000
"""Rows from which the layout is determined. All later rows are checked against it."""

_HEAD_BYTES = 500_000

_FEW_ROWS = 20

_DELIMITERS = (";", "\t", ",", "|", " ")
"""Delimiters in the order of preference: a comma may be a decimal mark, and a space may be in a date."""

_TIME_OF_DAY = re.compile(r"h{1,2}:m{1,2}.*|m{1,2}:s{1,2}.*", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """Layout of a table.

    Attributes:
        cells: how rows are divided into cells.
        names: names of the columns with their units; numbers from 1 if there is no header.
        has_header: whether the names are from the file.
        first_line: number of the first line with a row, from 1.
        empty: columns without a name that are empty in the first rows, as after a delimiter at the end of each row.
        texts: columns with text in most of the first rows.
        partly_numbers: those of ``texts`` with a number in one of the first rows.
        rising: columns whose numbers increase from row to row in the first rows, as times and counters do.
        times: columns that may be a time although their name does not say so: ``rising`` ones with a unit of time, and
            those with times as texts.
        metadata: sampling rate and unit in the lines before the table.
    """

    cells: CellFormat
    names: tuple[str, ...]
    has_header: bool
    first_line: int
    empty: tuple[int, ...]
    texts: frozenset[int]
    partly_numbers: frozenset[int]
    rising: frozenset[int]
    times: frozenset[int]
    metadata: Metadata


@dataclass(frozen=True)
class _Line:
    """A line that is neither blank nor a comment."""

    number: int
    text: str


def read_layout(path: Path) -> Layout:
    """Determine the layout of a table from its first rows.

    Raises:
        RecordError: the file is not a table of numbers, or its header does not have a name for each column.
    """
    lines, comments = _head(path)
    if not lines:
        raise RecordError(path, "contains only comments" if comments else "empty")
    # Without the lines before the table, and without the last line, which may be incomplete.
    body = lines[len(lines) // 2 : -1][-400:] or lines[-1:]
    delimiter, width = _delimiter(body)
    try:
        rows = [split_row(line.text, delimiter) for line in body]
    except ValueError:
        rows = [line.text.split(delimiter) for line in body]
    rows = [row for row in rows if len(row) == width]
    decimal = _decimal(delimiter, rows)
    clean = [
        column
        for column in range(width)
        if all(is_missing(row[column]) or is_number(row[column], decimal=decimal) for row in rows)
        and (not all(is_missing(row[column]) for row in rows) or width == 1)
    ]
    cells = CellFormat(delimiter, width, decimal)
    shares = () if clean else columns_in(_whole_rows(lines, cells), cells).shares
    numeric = clean or [column for column, share in enumerate(shares) if share >= MOST]
    if not numeric:
        raise RecordError(path, _no_numbers(lines))
    place = _first_row(path, lines, cells, numeric)
    above = [line for line in comments if line.number < lines[place].number]
    blank = {column for column in range(width) if all(is_missing(row[column]) for row in rows)} if width > 1 else set()
    header = _header(path, lines[:place], above, lines[place], cells, blank)
    _check_first_names(path, header, lines[:place], lines[place:], cells, numeric)
    first_line = lines[place].number
    if header.first_row_is_names:
        first_line += 1
    empty = tuple(column for column in sorted(blank) if not header.names[column])
    names = header.names if header.given else tuple(str(number) for number in range(1, width + 1))
    found = columns_in(_whole_rows([line for line in lines if line.number >= first_line], cells), cells, names=names)
    # A column with mostly numbers stays selectable: reading it then fails with the line of the first text.
    texts = {column for column, share in enumerate(found.shares) if share < MOST} - set(clean) - blank
    partly_numbers = frozenset(column for column in texts if found.shares[column] > 0)
    metadata = metadata_in(path, [line.text for line in (*above, *lines[: header.preamble])])
    return Layout(
        cells=cells,
        names=names,
        has_header=header.given,
        first_line=first_line,
        empty=empty,
        texts=frozenset(texts),
        partly_numbers=partly_numbers,
        rising=found.rising,
        times=found.times,
        metadata=metadata,
    )


def _head(path: Path) -> tuple[list[_Line], list[_Line]]:
    """Return the first lines that are not blank, and the first comments without their mark."""
    lines: list[_Line] = []
    comments: list[_Line] = []
    single_blanks = 0
    for block in islice(line_blocks(path, block_bytes=_HEAD_BYTES), 4):
        for number, content in enumerate(block.content.split(b"\n")[:-1], block.first_line):
            text = decode(content)
            row = without_comment(text)
            if row is None:
                comments.append(_Line(number, text.strip().lstrip("#").strip()))
            elif row.strip():
                single_blanks += bool(lines) and lines[-1].number == number - 2
                lines.append(_Line(number, row))
        if len(lines) >= HEAD_ROWS:
            break
    if len(lines) > _FEW_ROWS and single_blanks > 0.4 * len(lines):
        raise RecordError(path, "every second line is blank; remove the blank lines")
    return lines[:HEAD_ROWS], comments


def _delimiter(body: Sequence[_Line]) -> tuple[str, int]:
    """Return the delimiter and the number of cells that most rows have."""
    best: tuple[int, float, str, int] | None = None
    for delimiter in _DELIMITERS:
        counts: Counter[int] = Counter()
        for line in body:
            try:
                counts[len(split_row(line.text, delimiter))] += 1
            except ValueError:
                continue
        width, rows = next(((w, n) for w, n in counts.most_common() if w > 1), (1, 0))
        if width < 2 or rows <= len(body) // 2:
            continue
        numeric = _numeric_share(body, delimiter, width)
        if best is None or rows > 1.2 * best[0] or (rows > best[0] / 1.2 and numeric > best[1]):
            best = (rows, numeric, delimiter, width)
    # The delimiter of a single column does not occur in it.
    return (best[2], best[3]) if best is not None else (_unused_delimiter(body), 1)


def _numeric_share(body: Sequence[_Line], delimiter: str, width: int) -> float:
    """Return the share of cells that are numbers or missing, among rows of the given width."""
    rows = [cells for line in body if len(cells := _cells(line, delimiter)) == width]
    known = [is_missing(cell) or is_number(cell) or is_number(cell, decimal=",") for row in rows for cell in row]
    return sum(known) / len(known)


def _whole_rows(lines: Sequence[_Line], cells: CellFormat) -> list[list[str]]:
    return [row for line in lines if len(row := _cells(line, cells.delimiter)) == cells.width]


def _unused_delimiter(body: Sequence[_Line]) -> str:
    """Return a delimiter for a single column: the one whose appearance would be an error of the row."""
    return "," if not any("," in line.text for line in body) else ";"


def _decimal(delimiter: str, rows: Sequence[Sequence[str]]) -> str:
    """Return the decimal mark. A comma is one if it is not the delimiter, and if no number has a point."""
    if delimiter == ",":
        return "."
    cells = [cell for row in rows for cell in row]
    commas = any("," in cell and is_number(cell, decimal=",") for cell in cells)
    points = any("." in cell and is_number(cell) for cell in cells)
    return "," if commas and not points else "."


def _no_numbers(lines: Sequence[_Line]) -> str:
    if len(lines) == 1:
        return "no rows after the header"
    number, text = lines[1].number, lines[1].text.strip()[:40]
    shown = f"line {number:,}: {text!r}" if text.isprintable() else f"line {number:,}"
    return f"not a table of numbers, see {shown}; columns must be divided by commas, semicolons, tabs or spaces"


def _first_row(path: Path, lines: Sequence[_Line], cells: CellFormat, numeric: Sequence[int]) -> int:
    """Return the index of the first line that is a row of the table."""
    for place, line in enumerate(lines):
        row = _cells(line, cells.delimiter)
        if len(row) != cells.width:
            continue
        if all(is_missing(row[column]) or is_number(row[column], decimal=cells.decimal) for column in numeric):
            return place
    raise RecordError(path, "no rows of numbers")


def _cells(line: _Line, delimiter: str) -> list[str]:
    try:
        return split_row(line.text, delimiter)
    except ValueError:
        return line.text.split(delimiter)


@dataclass(frozen=True)
class _Header:
    """Names of the columns.

    Attributes:
        names: names with units; empty texts if they are not given.
        given: whether the file has names.
        preamble: number of lines before the header.
        first_row_is_names: whether the first row of numbers is the numbers of columns, as pandas writes them.
    """

    names: tuple[str, ...]
    given: bool
    preamble: int
    first_row_is_names: bool = False


def _header(
    path: Path,
    before: Sequence[_Line],
    comments: Sequence[_Line],
    first: _Line,
    cells: CellFormat,
    blank: set[int],
) -> _Header:
    """Return the names of the columns from the last lines before the first row."""
    if not before:
        names = _names_in_comment(comments, first, cells)
        if names:
            return _Header(names, True, 0)
        first_row = tuple(_cells(first, cells.delimiter))
        if _are_column_numbers(first_row):
            return _Header(first_row, True, 0, first_row_is_names=True)
        return _Header(("",) * cells.width, False, 0)
    for line in before[:-1]:
        row = _cells(line, cells.delimiter)
        if all(is_number(cell, decimal=cells.decimal) for cell in row if cell):
            problem = f"line {line.number:,} is neither a name nor a row of the table: {line.text.strip()[:40]!r}"
            raise RecordError(path, problem)
    fitted = _fitted(before[-1], cells, blank)
    units = None if fitted is None else [_without_brackets(name) for name in fitted]
    if len(before) > 1 and units is not None and all(_is_unit(unit) for unit in units if unit):
        above = _fitted(before[-2], cells, blank)
        if above is not None and any(units):
            joined = tuple(_with_unit(name, unit) for name, unit in zip(above, units, strict=True))
            return _Header(joined, True, len(before) - 2)
    if fitted is None:
        found = len(_cells(before[-1], cells.delimiter))
        problem = f"line {first.number:,} has {_columns(cells.width)}, but line {before[-1].number:,} has {found:,}"
        raise RecordError(path, f"{problem}; name each column, and use decimal points")
    return _Header(fitted, True, len(before) - 1)


def _columns(count: int) -> str:
    return f"{count:,} column" if count == 1 else f"{count:,} columns"


def _fitted(line: _Line, cells: CellFormat, blank: set[int]) -> tuple[str, ...] | None:
    """Return one name per column; ``None`` if there are more or fewer.

    Names may be followed by empty ones. Columns that are empty in each row, as after a delimiter at its end, need no
    name. In a table with spaces, a unit in brackets belongs to the name before it, and names of several words are two
    spaces apart.
    """
    names = _cells(line, cells.delimiter)
    while len(names) > cells.width and not names[-1]:
        names = names[:-1]
    if cells.delimiter == " " and len(names) > cells.width:
        apart = re.split(r"\s{2,}|\t", line.text.strip())
        names = apart if len(apart) == cells.width else re.split(r"\s+(?![(\[{])", line.text.strip())
    if len(names) < cells.width and all(column in blank for column in range(len(names), cells.width)):
        names += [""] * (cells.width - len(names))
    return tuple(names) if len(names) == cells.width else None


def _is_unit(text: str) -> bool:
    return parse_unit(text).kind is not UnitKind.UNKNOWN or _TIME_OF_DAY.fullmatch(text) is not None or text == "-"


def _without_brackets(text: str) -> str:
    """Return a unit without the brackets around it, as ``rdsamp`` of PhysioNet writes it."""
    found = re.fullmatch(r"\((.*)\)|\[(.*)\]", text)
    return text if found is None else (found[1] or found[2] or "").strip()


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit and split_name(name).unit is None else name


def _names_in_comment(comments: Sequence[_Line], first: _Line, cells: CellFormat) -> tuple[str, ...]:
    """Return the names in a comment just before the first row, as ``numpy.savetxt`` writes them; empty without."""
    last = next((line for line in reversed(comments) if line.number == first.number - 1), None)
    if last is None or is_key_value(last.text):
        return ()
    names = _cells(last, cells.delimiter)
    if len(names) != cells.width and cells.delimiter != " ":
        names = last.text.split()
    if len(names) != cells.width or any(is_number(name) or not name for name in names):
        return ()
    # A sentence above a single column is not its name.
    if cells.width == 1 and " " in names[0] and split_name(names[0]).unit is None:
        return ()
    return tuple(names)


def _are_column_numbers(row: Sequence[str]) -> bool:
    """Return whether a row is the header that pandas writes for columns without names: nothing, 0, 1, 2."""
    return len(row) > 1 and not row[0] and list(row[1:]) == [str(number) for number in range(len(row) - 1)]


def _check_first_names(
    path: Path,
    header: _Header,
    before: Sequence[_Line],
    rows: Sequence[_Line],
    cells: CellFormat,
    numeric: Sequence[int],
) -> None:
    """Refuse a header that is a row with a text, or a first row that is the numbers of columns.

    Raises:
        RecordError: taken as a header, a row would be lost; taken as a row, a header would become a sample.
    """
    if header.given and not header.first_row_is_names:
        name = _name_of_row(header, before, rows, cells, numeric)
        if name is not None:
            problem = f"line {rows[0].number - 1:,}: {name[:40]!r} is neither a number nor a name of a column"
            raise RecordError(path, f"{problem}; leave missing samples empty")
    if not header.given and len(rows) > 3:
        first = _cells(rows[0], cells.delimiter)
        later = [_cells(line, cells.delimiter) for line in rows[1:10]]
        numbered = first == [str(number) for number in range(cells.width)]
        fractional = all("." in cell for row in later for cell in row if not is_missing(cell))
        if numbered and fractional:
            problem = f"line {rows[0].number:,} may be the numbers of the columns; give the columns names, or delete it"
            raise RecordError(path, problem)


def _name_of_row(
    header: _Header, before: Sequence[_Line], rows: Sequence[_Line], cells: CellFormat, numeric: Sequence[int]
) -> str | None:
    """Return a name that shows that the header is a row with texts in place of numbers; ``None`` if it is a header.

    A time or a number is not a name. The name of a column is neither one of its later cells nor a repeated line.
    """
    for column in numeric:
        name = header.names[column]
        if re.match(r"[+-]*[.,]?[0-9]", name) and len(re.findall(r"[^\W\d_]", name)) < 2:
            return name
    if not before:
        return None
    last = _whole_rows(before[-2:], cells)
    later = _whole_rows(rows, cells)
    others = set(range(cells.width)) - set(numeric)
    repeated = {last[0][i] for i in numeric if last[0][i] == last[1][i] != ""} if len(last) > 1 else set()
    in_rows = last and any(last[-1][i] and any(row[i] == last[-1][i] for row in later) for i in others)
    if in_rows or any(map(is_time_text, header.names)) or not all(map(is_ecg_lead, repeated)):
        return header.names[numeric[0]]
    return None
