"""Recordings in text tables: CSV, with commas, semicolons, tabs or blanks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import (
    ALL_LEADS,
    ReadOptions,
    Recording,
    choose_columns,
    to_millivolts,
    unit_in,
    without_unit,
)
from ecg_study.errors import RecordError

_ROWS = 500_000
"""Rows that are in memory at once."""

_HEAD = 5000
"""Rows from which columns, rate and kind of number are told."""

_DELIMITERS = ",;\t "
_TIME_NAMES = frozenset(
    {"time", "t", "time_s", "time_ms", "time_us", "timestamp", "seconds", "sec", "elapsed", "datetime"}
)
_TIME_UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}

_UNEVEN = 0.5
"""Share of a sample by which a time may lie off its place: clocks are rounded, samples are not left out."""

_STRIDE = 1000
"""Rows over which the time is compared with their number, further down: enough that a clock which stands or runs off by
a thousandth shows, few enough that one which differs from its nominal rate by less does not."""

_PLAY = 0.75
"""Samples by which the two may differ beyond what the rounding of the clock explains: less than one left out."""

_COARSEST = 4.0
"""Samples to which a clock may be rounded further down: one of six digits has 10 ms from 1,000 s on."""


@dataclass(frozen=True)
class _Layout:
    """How a table is laid out.

    Attributes:
        delimiter: between its columns.
        names: of its columns; their numbers where it has no header.
        skipped: lines before the first row of numbers.
    """

    delimiter: str
    names: tuple[str, ...]
    skipped: int


def open_table(path: Path, options: ReadOptions) -> Recording:
    """Open a text table with a lead in each column.

    The sampling rate is that of ``options`` or that of a column with the time, in seconds unless its name says
    otherwise, or as dates. An empty field is a missing sample.

    Raises:
        RecordError: it is no table, has text among its numbers, no such column, or a time that is uneven, or nothing
            tells its rate or unit.
    """
    layout = _layout(path)
    time = _time_column(path, layout, options)
    others = [column for column, name in enumerate(layout.names) if column != time]
    if not others:
        raise RecordError(path, "has no column beside the time")
    columns = [others[i] for i in choose_columns(path, [layout.names[o] for o in others], options.lead, "columns")]
    if options.lead == ALL_LEADS:
        columns = [column for column in columns if layout.names[column] != "R_peak"]
    clock = _clock(path, layout, time) if options.fs is None else None
    scales = []
    for column in columns:
        name, whole = layout.names[column], _is_whole(_numbers(path, layout, column, _HEAD))
        scales.append(to_millivolts(path, options, whole, unit_in(name), name))
    gains, adc_zeros = (np.array(values) for values in zip(*scales, strict=True))

    def blocks() -> Iterator[np.ndarray]:
        for values in _read(path, layout, columns, clock):
            yield (values - adc_zeros) / gains

    names = tuple(without_unit(layout.names[column]) for column in columns)
    rate = clock.rate if clock is not None else float(options.fs or 0)
    return Recording(path, path.stem, rate, names, None, blocks)


def _is_whole(values: np.ndarray) -> bool:
    """Whether numbers look like ADC units."""
    known = values[np.isfinite(values)]
    return bool((known != 0).any()) and bool((known == np.round(known)).all())


@dataclass(frozen=True)
class _Clock:
    """The column with the time, which must go on as it began.

    Attributes:
        path: of the table.
        layout: its columns.
        column: that with the time.
        rate: sampling rate in Hz, by the first rows, a whole one if their rounding allows that.
        step: seconds from row to row, by the same.
        off: samples by which one of these lies off its place at most.
    """

    path: Path
    layout: _Layout
    column: int
    rate: float
    step: float
    off: float

    def check(self, times: np.ndarray, row: int) -> None:
        """Refuse times that stand still, go back, or leave samples out; ``row`` is that of the first.

        Those of one call are to begin with the last `_STRIDE` of the call before.
        """
        if len(times) < 2:
            return
        play = self._play(np.abs(np.diff(times) / self.step - 1))
        for stride, problem in ((1, "the time jumps at"), (_STRIDE, "time and number of rows part before")):
            ahead = (times[stride:] - times[:-stride]) / self.step - stride
            odd = ~(np.abs(ahead) <= play[stride - 1 :])
            if odd.any():
                line = _line_of(self.path, self.layout, row + int(odd.argmax()) + stride)
                found = f"column {self.layout.names[self.column]}: {problem} line {line:,}"
                raise RecordError(self.path, found + "; fill gaps with empty rows, or give --fs if rows are even")

    def _play(self, deviations: np.ndarray) -> np.ndarray:
        """Samples by which each row may be off, by how unevenly nearly all around it follow each other.

        One that is left out is an exception among even rows; a clock that has become coarse is uneven throughout.
        """
        padded = np.pad(np.nan_to_num(deviations, nan=_COARSEST), (-len(deviations) % _STRIDE, 0), "reflect")
        usual = np.quantile(padded.reshape(-1, _STRIDE), 0.95, axis=1)
        usual = np.maximum(usual, np.concatenate([usual[:1], usual[:-1]]))
        grain = np.repeat(np.clip(usual, self.off, _COARSEST), _STRIDE)[-len(deviations) :]
        return np.asarray(2 * grain + _PLAY)


def _layout(path: Path) -> _Layout:
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            first = [line for _, line in zip(range(_HEAD), lines, strict=False)]
    except UnicodeDecodeError as error:
        raise RecordError(path, "not a text table, or not in UTF-8; save it as CSV in UTF-8") from error
    skipped = 0
    while skipped < len(first) and (not first[skipped].strip() or first[skipped].lstrip().startswith("#")):
        skipped += 1
    rows = first[skipped:]
    if not rows or any("\0" in line for line in rows):
        raise RecordError(path, "not a text table" if rows else "is empty")
    filled = [line.strip("\r\n ") for line in rows if line.strip() and not line.lstrip().startswith("#")]
    # Neither the header nor the last row, which may have been cut off.
    delimiter = _delimiter(filled[0], filled[len(filled) // 2])
    fields = [field.strip() for field in _fields(path, filled[0], delimiter)]
    if all(_is_number(field) or not field for field in fields):
        layout = _Layout(delimiter, tuple(str(number + 1) for number in range(len(fields))), skipped)
    elif len(filled) < 2:
        raise RecordError(path, "has a header and no rows")
    else:
        layout = _Layout(delimiter, tuple(fields), skipped + 1)
    _check_widths(path, layout, rows, skipped + 1)
    return layout


def _check_widths(path: Path, layout: _Layout, rows: list[str], line: int) -> None:
    """Refuse rows of more columns than the first: nobody could tell which is which. ``line`` is that of the first."""
    for number, row in enumerate(rows, line):
        # What follows in a comment is no column, in the header aside.
        content = row if number == line else row.split("#")[0]
        fields = _fields(path, content.strip("\r\n"), layout.delimiter)
        while fields and not fields[-1].strip():
            fields.pop()
        if len(fields) > len(layout.names):
            problem = f"line {number:,} has {len(fields)} columns where line {line:,} has {len(layout.names)}"
            raise RecordError(path, problem + "; name each column, and write decimals with a point")


def _fields(path: Path, row: str, delimiter: str) -> list[str]:
    try:
        return next(
            csv.reader([row.strip() if delimiter == " " else row], delimiter=delimiter, skipinitialspace=True), []
        )
    except csv.Error as error:
        raise RecordError(path, f"not a text table ({error})") from error


def _line_of(path: Path, layout: _Layout, row: int) -> int:
    """The line in which a row of numbers stands, from 1; blank lines and comments are no rows."""
    number = layout.skipped
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as lines:
        for number, line in enumerate(lines, 1):
            if number > layout.skipped and line.split("#")[0].strip():
                row -= 1
            if row < 0:
                break
    return number


def _delimiter(first: str, last: str) -> str:
    """What stands between the columns: as often in the last row as in the first, and most often of those."""
    counts = {mark: last.count(mark) for mark in _DELIMITERS if last.count(mark)}
    # Blanks after commas, and commas within numbers, are in the rows only.
    same = {mark: count for mark, count in counts.items() if first.count(mark) == count} or counts
    return max(same, key=lambda mark: (same[mark], -_DELIMITERS.index(mark)), default=",")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _time_column(path: Path, layout: _Layout, options: ReadOptions) -> int | None:
    if options.time_column:
        if options.time_column not in layout.names:
            listed = ", ".join(layout.names)
            raise RecordError(path, f"has no column {options.time_column!r} ({listed}); choose with --time-column")
        return layout.names.index(options.time_column)
    named = [column for column, name in enumerate(layout.names) if _time_name(name) in _TIME_NAMES]
    return named[0] if named else None


def _time_name(name: str) -> str:
    return name.lower().split("(")[0].split("[")[0].strip()


def _time_unit(name: str) -> float:
    """Seconds in one of a time column's unit; 1 where its name says none."""
    words = name.lower().replace("(", "_").replace("[", "_").replace(")", "").replace("]", "").split("_")
    return _TIME_UNITS.get(words[-1].strip(), 1.0)


def _clock(path: Path, layout: _Layout, time: int | None) -> _Clock:
    """What the first rows tell of the time."""
    if time is None:
        raise RecordError(path, "has no column with the time; give --fs in Hz, or name one with --time-column")
    name = layout.names[time]
    times = _times(path, layout, time)
    if len(times) < 2 or not np.isfinite(times).all():
        raise RecordError(path, f"column {name}: too few times to tell the rate from; give --fs in Hz")
    steps = np.diff(times)
    step = float((times[-1] - times[0]) / (len(times) - 1))
    if step <= 0 or (steps <= 0).any():
        line = _line_of(path, layout, int((steps <= 0).argmax()) + 1)
        raise RecordError(path, f"column {name}: the time does not rise at line {line:,}; give --fs if rows are even")
    off = np.abs(times - times[0] - step * np.arange(len(times))) / step
    if off.max() > _UNEVEN:
        line = _line_of(path, layout, int(np.abs(steps - np.median(steps)).argmax()) + 1)
        problem = f"column {name}: samples are not evenly spaced, see line {line:,}"
        raise RecordError(path, problem + "; fill the gap with empty rows, or give --fs if rows are even")
    return _Clock(path, layout, time, _rounded(1 / step, (times[-1] - times[0])), step, float(off.max()))


def _rounded(rate: float, seconds: float) -> float:
    """A whole rate where the times, rounded as clocks are, tell no other."""
    nearest = round(rate)
    return float(nearest) if nearest and abs(rate - nearest) * seconds < 1.0 else rate


def _times(path: Path, layout: _Layout, time: int) -> np.ndarray:
    """The first times in seconds."""
    try:
        return _numbers(path, layout, time, _HEAD) * _time_unit(layout.names[time])
    except RecordError:
        return _seconds(path, layout, time, _frame(path, layout, [time], nrows=_HEAD, dtype=str).iloc[:, 0])


def _seconds(path: Path, layout: _Layout, time: int, texts: Any) -> np.ndarray:
    """Times as they stand in a column, numbers or dates, in seconds."""
    import pandas as pd

    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().all():
        return np.asarray(numbers, np.float64) * _time_unit(layout.names[time])
    try:
        dates = pd.to_datetime(texts, format="ISO8601", utc=True)
    except (ValueError, TypeError) as error:
        problem = f"column {layout.names[time]}: {texts.iloc[0]!r} is no time (a number, or ISO 8601); give --fs in Hz"
        raise RecordError(path, problem) from error
    return np.asarray((dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), np.float64)


def _frame(path: Path, layout: _Layout, columns: list[int], **more: Any) -> Any:
    import pandas as pd

    return pd.read_csv(
        path,
        sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
        header=None,
        skiprows=layout.skipped,
        usecols=columns,
        comment="#",
        encoding="utf-8-sig",
        skip_blank_lines=True,
        **more,
    )


def _numbers(path: Path, layout: _Layout, column: int, rows: int) -> np.ndarray:
    """The first rows of a column."""
    try:
        frame = _frame(path, layout, [column], nrows=rows, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise _not_numbers(path, layout, [column], error) from error
    return np.asarray(frame.iloc[:, 0])


def _read(path: Path, layout: _Layout, columns: list[int], clock: _Clock | None) -> Iterator[np.ndarray]:
    kinds: dict[int, type] = dict.fromkeys(columns, np.float64)
    if clock is not None:
        kinds[clock.column] = str
    last, row = np.empty(0), 0
    try:
        with _frame(path, layout, sorted(kinds), dtype=kinds, chunksize=_ROWS) as chunks:
            for chunk in chunks:
                if clock is not None:
                    times = np.concatenate([last, _seconds(path, layout, clock.column, chunk[clock.column])])
                    clock.check(times, row - len(last))
                    last, row = times[-_STRIDE:], row + len(chunk)
                yield chunk[columns].to_numpy(np.float64)
    except (ValueError, OverflowError) as error:
        raise _not_numbers(path, layout, columns, error) from error


def _not_numbers(path: Path, layout: _Layout, columns: list[int], error: Exception) -> RecordError:
    """Names the first field that is no number; reads the table once more for it."""
    row = 0
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as lines:
        for number, line in enumerate(lines):
            if number < layout.skipped or not line.strip() or line.startswith("#"):
                continue
            row = number + 1
            fields = _fields(path, line.strip("\r\n"), layout.delimiter)
            if len(fields) <= max(columns):
                return RecordError(path, f"line {row:,} has {len(fields)} columns where {max(columns) + 1} are needed")
            for column in columns:
                field = fields[column].strip()
                if field and not _is_number(field) and field.lower() not in ("na", "n/a", "null", "none"):
                    advice = "; write decimals with a point" if "," in field else "; leave missing samples empty"
                    problem = f"line {row:,}: {field[:40]!r} in column {layout.names[column]} is no number"
                    return RecordError(path, problem + advice)
    return RecordError(path, f"not a table of numbers ({' '.join(str(error).split())[:120]})")
