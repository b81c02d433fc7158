"""Recordings in text tables: CSV files with commas, semicolons, tabs or spaces."""

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
    choose_leads,
    to_millivolts,
    unit_in,
    without_unit,
)
from ecg_study.errors import RecordError, one_line

_ROWS = 500_000
"""Rows in memory at a time."""

_HEAD = 5000
"""Rows from which columns, sampling rate and number type are determined."""

_DELIMITERS = ",;\t "
_TIME_NAMES = frozenset(
    {"time", "t", "time_s", "time_ms", "time_us", "timestamp", "seconds", "sec", "elapsed", "datetime"}
)
_TIME_UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}

_UNEVEN = 0.5
"""Largest deviation of a time, in samples, for evenly spaced samples with a rounded clock."""

_STRIDE = 1000
"""Rows after which time and row number are compared. Over this interval, a clock that stands or drifts by a thousandth
is detected, and a smaller deviation from the nominal rate is tolerated."""

_PLAY = 0.75
"""Largest difference of the two, in samples, beyond the rounding of the clock; one missing sample exceeds it."""

_COARSEST = 4.0
"""Coarsest rounding of a clock, in samples: six digits resolve 10 ms from 1,000 s on."""


@dataclass(frozen=True)
class _Layout:
    """Layout of a table.

    Attributes:
        delimiter: character between columns.
        names: names of the columns; numbers from 1 if there is no header.
        skipped: number of lines before the first row of numbers.
    """

    delimiter: str
    names: tuple[str, ...]
    skipped: int


def open_table(path: Path, options: ReadOptions) -> Recording:
    """Open a text table with one lead per column.

    The sampling rate comes from ``options`` or from a column with the time. Times are numbers in seconds, or in the
    unit in the column's name, or dates. An empty field is a missing sample.

    Raises:
        RecordError: the file is not a table of numbers; a column is missing; times are not evenly spaced; or the
            sampling rate or the unit is unknown.
    """
    layout = _layout(path)
    time = _time_column(path, layout, options)
    others = [column for column, name in enumerate(layout.names) if column != time]
    if not others:
        raise RecordError(path, "no column except the time")
    names = [layout.names[column] for column in others]
    columns = [others[i] for i in choose_leads(path, names, lead=options.lead, noun="columns")]
    if options.lead == ALL_LEADS:
        columns = [column for column in columns if layout.names[column] != "R_peak"]
    clock = _clock(path, layout, time) if options.fs is None else None
    scales = []
    for column in columns:
        name, integers = layout.names[column], _are_integers(_numbers(path, layout, column, _HEAD))
        scales.append(to_millivolts(path, options, integers=integers, unit=unit_in(name), column=name))
    gains, adc_zeros = (np.array(values) for values in zip(*scales, strict=True))

    def blocks() -> Iterator[np.ndarray]:
        for values in _read(path, layout, columns, clock):
            yield (values - adc_zeros) / gains

    leads = tuple(without_unit(layout.names[column]) for column in columns)
    rate = clock.rate if clock is not None else float(options.fs or 0)
    return Recording(path, path.stem, rate, leads, None, blocks)


def _are_integers(values: np.ndarray) -> bool:
    """Return whether numbers look like ADC units."""
    known = values[np.isfinite(values)]
    return bool((known != 0).any()) and bool((known == np.round(known)).all())


@dataclass(frozen=True)
class _Clock:
    """Column with the time, which must continue as in the first rows.

    Attributes:
        path: path of the table.
        layout: layout of the table.
        column: index of the column with the time.
        rate: sampling rate in Hz in the first rows, rounded to an integer if the clock's resolution allows it.
        step: seconds per row in the first rows.
        rounding: largest deviation in the first rows, in samples.
    """

    path: Path
    layout: _Layout
    column: int
    rate: float
    step: float
    rounding: float

    def check(self, times: np.ndarray, row: int) -> None:
        """Refuse times that stand still, go back or skip samples.

        Args:
            times: consecutive times in seconds, starting with the last `_STRIDE` times of the previous call.
            row: row of the first time.
        """
        if len(times) < 2:
            return
        tolerance = self._tolerance(np.abs(np.diff(times) / self.step - 1))
        for stride, problem in ((1, "the time jumps at"), (_STRIDE, "time and row number differ before")):
            ahead = (times[stride:] - times[:-stride]) / self.step - stride
            odd = ~(np.abs(ahead) <= tolerance[stride - 1 :])
            if odd.any():
                line = _line_of(self.path, self.layout, row + int(odd.argmax()) + stride)
                found = f"column {self.layout.names[self.column]}: {problem} line {line:,}; fill gaps with empty rows"
                raise RecordError(self.path, found + ", or give fs if rows are evenly spaced", parameter="fs")

    def _tolerance(self, deviations: np.ndarray) -> np.ndarray:
        """Return the largest deviation of each row, in samples, from how uneven the rows around it are.

        A missing sample is an exception among even rows; a clock that has become coarse is uneven everywhere.
        """
        padded = np.pad(np.nan_to_num(deviations, nan=_COARSEST), (-len(deviations) % _STRIDE, 0), "reflect")
        usual = np.quantile(padded.reshape(-1, _STRIDE), 0.95, axis=1)
        usual = np.maximum(usual, np.concatenate([usual[:1], usual[:-1]]))
        grain = np.repeat(np.clip(usual, self.rounding, _COARSEST), _STRIDE)[-len(deviations) :]
        return np.asarray(2 * grain + _PLAY)


def _layout(path: Path) -> _Layout:
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            first = [line for _, line in zip(range(_HEAD), lines, strict=False)]
    except UnicodeDecodeError as error:
        raise RecordError(path, "not a text table in UTF-8; save it as CSV in UTF-8") from error
    skipped = 0
    while skipped < len(first) and (not first[skipped].strip() or first[skipped].lstrip().startswith("#")):
        skipped += 1
    rows = first[skipped:]
    if not rows or any("\0" in line for line in rows):
        raise RecordError(path, "not a text table" if rows else "empty")
    filled = [line.strip("\r\n ") for line in rows if line.strip() and not line.lstrip().startswith("#")]
    # A row from the middle: the last one may be truncated.
    delimiter = _delimiter(filled[0], filled[len(filled) // 2])
    fields = [field.strip() for field in _fields(path, filled[0], delimiter)]
    if all(_is_number(field) or not field for field in fields):
        layout = _Layout(delimiter, tuple(str(number + 1) for number in range(len(fields))), skipped)
    elif len(filled) < 2:
        raise RecordError(path, "no rows after the header")
    else:
        layout = _Layout(delimiter, tuple(fields), skipped + 1)
    _check_widths(path, layout, rows, skipped + 1)
    return layout


def _check_widths(path: Path, layout: _Layout, rows: list[str], line: int) -> None:
    """Refuse rows with more columns than the first, which is on ``line``: their assignment is unknown."""
    for number, row in enumerate(rows, line):
        # A comment at the end of a row is not a column; in the header, it may be a name.
        content = row if number == line else row.split("#")[0]
        fields = _fields(path, content.strip("\r\n"), layout.delimiter)
        while fields and not fields[-1].strip():
            fields.pop()
        if len(fields) > len(layout.names):
            problem = f"line {number:,} has {len(fields)} columns, but line {line:,} has {len(layout.names)}"
            raise RecordError(path, problem + "; name each column, and use decimal points")


def _fields(path: Path, row: str, delimiter: str) -> list[str]:
    try:
        return next(
            csv.reader([row.strip() if delimiter == " " else row], delimiter=delimiter, skipinitialspace=True), []
        )
    except csv.Error as error:
        raise RecordError(path, f"not a text table ({error})") from error


def _line_of(path: Path, layout: _Layout, row: int) -> int:
    """Return the line number, from 1, of a row of numbers; blank lines and comments are not rows."""
    number = layout.skipped
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as lines:
        for number, line in enumerate(lines, 1):
            if number > layout.skipped and line.split("#")[0].strip():
                row -= 1
            if row < 0:
                break
    return number


def _delimiter(first: str, other: str) -> str:
    """Return the most frequent delimiter that occurs equally often in two rows."""
    counts = {mark: other.count(mark) for mark in _DELIMITERS if other.count(mark)}
    # Spaces after commas, and commas within numbers, occur in rows of numbers only.
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
            problem = f"no column {options.time_column!r} among {listed}; use another time_column"
            raise RecordError(path, problem, parameter="time_column")
        return layout.names.index(options.time_column)
    named = [column for column, name in enumerate(layout.names) if _time_name(name) in _TIME_NAMES]
    return named[0] if named else None


def _time_name(name: str) -> str:
    return name.lower().split("(")[0].split("[")[0].strip()


def _time_unit(name: str) -> float:
    """Return the seconds per unit of a time column; 1 if its name has no unit."""
    words = name.lower().replace("(", "_").replace("[", "_").replace(")", "").replace("]", "").split("_")
    return _TIME_UNITS.get(words[-1].strip(), 1.0)


def _clock(path: Path, layout: _Layout, time: int | None) -> _Clock:
    """Return the clock in the first rows."""
    if time is None:
        problem = "no column with the time; give fs in Hz, or time_column"
        raise RecordError(path, problem, parameter="fs")
    name = layout.names[time]
    times = _times(path, layout, time)
    if len(times) < 2 or not np.isfinite(times).all():
        problem = "too few times to determine the sampling rate; give fs in Hz"
        raise RecordError(path, f"column {name}: {problem}", parameter="fs")
    steps = np.diff(times)
    step = float((times[-1] - times[0]) / (len(times) - 1))
    if step <= 0 or (steps <= 0).any():
        line = _line_of(path, layout, int((steps <= 0).argmax()) + 1)
        problem = f"the time does not increase at line {line:,}; give fs if rows are evenly spaced"
        raise RecordError(path, f"column {name}: {problem}", parameter="fs")
    deviations = np.abs(times - times[0] - step * np.arange(len(times))) / step
    if deviations.max() > _UNEVEN:
        line = _line_of(path, layout, int(np.abs(steps - np.median(steps)).argmax()) + 1)
        problem = f"column {name}: samples are not evenly spaced, see line {line:,}"
        problem += "; fill gaps with empty rows, or give fs if rows are evenly spaced"
        raise RecordError(path, problem, parameter="fs")
    return _Clock(path, layout, time, _rounded(1 / step, (times[-1] - times[0])), step, float(deviations.max()))


def _rounded(rate: float, seconds: float) -> float:
    """Return the nearest integer rate if it differs by less than one sample over ``seconds``, else the rate."""
    nearest = round(rate)
    return float(nearest) if nearest and abs(rate - nearest) * seconds < 1.0 else rate


def _times(path: Path, layout: _Layout, time: int) -> np.ndarray:
    """Return the first times in seconds."""
    try:
        return _numbers(path, layout, time, _HEAD) * _time_unit(layout.names[time])
    except RecordError:
        return _seconds(path, layout, time, _frame(path, layout, [time], nrows=_HEAD, dtype=str).iloc[:, 0])


def _seconds(path: Path, layout: _Layout, time: int, texts: Any) -> np.ndarray:
    """Convert times, as numbers or dates, to seconds."""
    import pandas as pd

    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().all():
        return np.asarray(numbers, np.float64) * _time_unit(layout.names[time])
    try:
        dates = pd.to_datetime(texts, format="ISO8601", utc=True)
    except (ValueError, TypeError) as error:
        problem = f"column {layout.names[time]}: {texts.iloc[0]!r} is not a time (a number, or ISO 8601)"
        raise RecordError(path, problem + "; give fs in Hz", parameter="fs") from error
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
    """Return the first rows of a column."""
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
    """Return the error for the first field that is not a number; this reads the table again."""
    row = 0
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as lines:
        for number, line in enumerate(lines):
            if number < layout.skipped or not line.strip() or line.startswith("#"):
                continue
            row = number + 1
            fields = _fields(path, line.strip("\r\n"), layout.delimiter)
            if len(fields) <= max(columns):
                return RecordError(path, f"line {row:,} has {len(fields)} columns instead of {max(columns) + 1}")
            for column in columns:
                field = fields[column].strip()
                if field and not _is_number(field) and field.lower() not in ("na", "n/a", "null", "none"):
                    advice = "; use decimal points" if "," in field else "; leave missing samples empty"
                    problem = f"line {row:,}: {field[:40]!r} in column {layout.names[column]} is not a number"
                    return RecordError(path, problem + advice)
    return RecordError(path, f"not a table of numbers ({one_line(error, limit=120)})")
