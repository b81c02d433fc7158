"""Clock of a table: the sampling rate from a column with the time, which must hold to the last row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.recording import NO_COLUMN, SAME_RATE, ReadOptions
from ecg_study.ecg_data.readers.rising import rate_of, unit_of, usual_step
from ecg_study.ecg_data.readers.tables.cells import Rows, read_rows
from ecg_study.ecg_data.readers.tables.layout import HEAD_ROWS, Layout
from ecg_study.ecg_data.readers.tables.times import (
    date_from_seconds,
    parse_time_name,
    seconds_from_texts,
    time_unit_of,
)
from ecg_study.errors import RecordError

STRIDE = 1000
"""Rows after which time and row number are compared. Over this interval, a clock that stands or drifts by a thousandth
is detected, and a smaller deviation from the nominal rate is tolerated."""

_PLAY = 0.75
"""Largest difference of the two, in samples, beyond the rounding of the clock; one missing sample exceeds it."""

_COARSEST = 4.0
"""Coarsest rounding of a clock, in samples: six digits resolve 10 ms from 1,000 s on."""

_UNEVEN = 0.5
"""Largest deviation of a time, in samples, for evenly spaced samples with a rounded clock."""

_FASTEST_ASSUMED = 5000.0
"""Highest sampling rate in Hz of times without a unit. Times in minutes look like seconds of 60 times the rate."""

DAY_SECONDS = 86_400.0

_HEAD_BYTES = 400_000


@dataclass(frozen=True)
class Clock:
    """Column with the time, which must continue as in the first rows.

    Attributes:
        path: path of the table.
        name: name of the column.
        column: index of the column.
        as_text: whether the times are texts, such as dates.
        unit: seconds per unit of a number.
        rate: sampling rate in Hz in the first rows, rounded to an integer if the clock's resolution allows it.
        step: seconds per row in the first rows.
        rounding: largest deviation in the first rows, in samples.
        start: first time in seconds.
        start_time: date and time of the first row in ISO 8601; empty if the times are not dates.
        counts: whether the numbers count the samples; they may begin again at 0 or 1.
    """

    path: Path
    name: str
    column: int
    as_text: bool
    unit: float
    rate: float
    step: float
    rounding: float
    start: float
    start_time: str
    counts: bool = False

    def seconds(self, rows: Rows, numbers: int | None) -> np.ndarray:
        """Return the times of some rows in seconds; NaN where a time is missing.

        Args:
            rows: rows with the column of the clock.
            numbers: position of the clock among the numbers of the rows; ``None`` if it is a text.
        """
        return _seconds(self.path, self.name, rows, numbers, self.unit)


def tolerance_samples(deviations: np.ndarray, rounding: float) -> np.ndarray:
    """Return the largest deviation of each row, in samples, from how uneven the rows around it are.

    A missing sample is an exception among even rows; a clock that has become coarse is uneven everywhere.
    """
    padded = np.pad(deviations, (-len(deviations) % STRIDE, 0), "reflect")
    usual = np.quantile(padded.reshape(-1, STRIDE), 0.95, axis=1)
    usual = np.maximum(usual, np.concatenate([usual[:1], usual[:-1]]))
    grain = np.repeat(np.clip(usual, rounding, _COARSEST), STRIDE)[-len(deviations) :]
    return np.asarray(2 * grain + _PLAY)


def filled_times(times: np.ndarray, step: float) -> np.ndarray:
    """Return times without gaps: missing ones lie between their neighbors, or ``step`` after the last."""
    missing = np.isnan(times)
    if not missing.any():
        return times
    known = np.flatnonzero(~missing)
    if not len(known):
        return times
    rows = np.arange(len(times))
    filled: np.ndarray = np.interp(rows, known, times[known])
    filled[: known[0]] = times[known[0]] - step * (known[0] - rows[: known[0]])
    filled[known[-1] + 1 :] = times[known[-1]] + step * (rows[known[-1] + 1 :] - known[-1])
    return filled


def find_clock(path: Path, layout: Layout, *, options: ReadOptions) -> tuple[Clock | None, frozenset[int]]:
    """Return the clock of a table, and all its columns with times.

    Args:
        path: path of the table.
        layout: its layout.
        options: ``time_column`` names the column, and ``fs`` must agree with it.

    Returns:
        The clock, or ``None`` if no column is a time; and the columns that are times, which are not leads.

    Raises:
        RecordError: the named column is missing; times are not evenly spaced; or two columns disagree.
    """
    columns = _time_columns(path, layout, options)
    if len(columns) + len(layout.empty) == layout.cells.width and options.time_column != NO_COLUMN:
        raise RecordError(path, "no column except the time")
    if options.time_column == NO_COLUMN:
        return None, frozenset(columns)
    if not columns:
        return _clock_without_a_name(path, layout, options), frozenset()
    clocks, errors = [], []
    for column in columns:
        try:
            clocks.append(_clock(path, layout, column, options))
        except RecordError as error:
            errors.append(error)
    if not clocks:
        # A column that contradicts fs has even times, unlike the others.
        raise next((error for error in errors if error.parameter == "fs"), errors[0])
    first = clocks[0]
    for other in clocks[1:]:
        if not math.isclose(first.rate, other.rate, rel_tol=SAME_RATE):
            problem = f"columns {first.name} and {other.name} disagree ({first.rate:g} and {other.rate:g} Hz)"
            raise RecordError(path, f"{problem}; give time_column", parameter="time_column")
    return first, frozenset(columns)


def _time_columns(path: Path, layout: Layout, options: ReadOptions) -> list[int]:
    if options.time_column and options.time_column != NO_COLUMN:
        found = [i for i, name in enumerate(layout.names) if name == options.time_column]
        if len(found) != 1:
            listed = ", ".join(layout.names[:20])
            problem = (
                f"no column {options.time_column!r} among {listed}" if not found else "several columns have that name"
            )
            raise RecordError(path, f"{problem}; use another time_column", parameter="time_column")
        return found
    named = [
        i
        for i, name in enumerate(layout.names)
        if layout.has_header and i not in layout.empty and parse_time_name(path, name) is not None
    ]
    return named or sorted(layout.times)


def _clock_without_a_name(path: Path, layout: Layout, options: ReadOptions) -> Clock | None:
    """Return the clock of a column that increases evenly, if the sampling rate is known; it shows gaps.

    Raises:
        RecordError: the column has gaps, or another sampling rate in each unit of time.
    """
    fs = layout.metadata.fs if options.fs is None else options.fs
    for column in sorted(layout.rising) if fs is not None and fs > 0 else ():
        times, _ = _head_times(path, layout, column, False, 1.0)
        step = usual_step(times)
        if step is None or fs is None:
            continue
        unit, rate = unit_of(step, fs), rate_of(step)
        counts = unit == 1 / fs
        if counts and (np.diff(times[~np.isnan(times)]) < 0).any():  # a counter that begins again too often
            continue
        if unit is not None:
            clock = _clock(path, layout, column, options, unit=unit)
            start = 0.0 if counts and clock.start < 1.5 * clock.step else clock.start
            return replace(clock, start=start, counts=counts)
        if rate is not None:
            problem = (
                f"column {layout.names[column]}: increases evenly like a time, with {rate:g} Hz, but fs is {fs:g} Hz"
            )
            advice = f"correct fs, or state that no column is the time: time_column {NO_COLUMN!r}"
            raise RecordError(path, f"{problem}; {advice}", parameter="fs", parameters=("time_column",))
    return None


def _clock(path: Path, layout: Layout, column: int, options: ReadOptions, *, unit: float | None = None) -> Clock:
    """Return the clock in the first rows of a column; ``unit`` is in seconds, unless the name has one."""
    name = layout.names[column]
    as_text = column in layout.texts
    stated = time_unit_of(path, name) if unit is None else unit
    unit = 1.0 if stated is None or as_text else stated
    times, lines = _head_times(path, layout, column, as_text, unit)
    known = np.flatnonzero(~np.isnan(times))
    if len(known) < 2:
        problem = "too few times to determine the sampling rate; give time_column 'none' and fs in Hz"
        raise RecordError(path, f"column {name}: {problem}", parameter="time_column", parameters=("fs",))
    steps = np.diff(times[known]) / np.diff(known)
    if (steps <= 0).any():
        line = lines[known[int((steps <= 0).argmax()) + 1]]
        problem = f"the time does not increase at line {line:,}; correct it, or give time_column 'none' and fs"
        raise RecordError(path, f"column {name}: {problem}", parameter="time_column", parameters=("fs",))
    step = _usual_step(times, known)
    times = filled_times(times, step)
    rounding = _check_head(path, name, times, lines, step)
    step = float((times[-1] - times[0]) / (len(times) - 1))
    if not as_text and stated is None:
        scale = _assumed_scale(path, name, 1 / step, options)
        step, times, unit = step * scale, times * scale, scale
    rate = _rounded(1 / step, float(times[-1] - times[0]))
    if options.fs is not None:
        if not math.isclose(rate, options.fs, rel_tol=SAME_RATE):
            problem = f"column {name}: has {rate:g} Hz, but fs is {options.fs:g} Hz; omit fs, or correct the time"
            raise RecordError(path, problem, parameter="fs")
        rate = options.fs
    start, date = float(times[0]), ""
    if as_text and start > DAY_SECONDS * 400:
        date = date_from_seconds(start, like=_text_at(path, layout, column, int(known[0])))
    return Clock(path, name, column, as_text, unit, rate, step, rounding, start, date)


def _text_at(path: Path, layout: Layout, column: int, row: int) -> str:
    """Return the text of a row of a column."""
    blocks = _read_clock_rows(path, layout, [], column)
    texts = chain.from_iterable(rows.texts for rows in blocks if rows.texts is not None)
    return str(next(islice(texts, row, None)))


def _head_times(path: Path, layout: Layout, column: int, as_text: bool, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first times in seconds, and their line numbers."""
    times: list[np.ndarray] = []
    lines: list[np.ndarray] = []
    done = 0
    name = layout.names[column]
    for rows in _read_clock_rows(path, layout, [] if as_text else [column], column if as_text else None):
        part = _seconds(path, name, rows, None if as_text else 0, unit)
        times.append(part)
        lines.append(rows.lines)
        done += len(part)
        if done >= HEAD_ROWS:
            break
    joined = np.concatenate(times)[:HEAD_ROWS] if times else np.empty(0)
    if as_text and len(joined) and not joined[~np.isnan(joined)][:1] > DAY_SECONDS * 400:
        jumps = np.diff(joined, prepend=joined[:1]) < -DAY_SECONDS / 2
        joined = joined + DAY_SECONDS * np.cumsum(jumps)
    return joined, np.concatenate(lines)[:HEAD_ROWS] if lines else np.empty(0, np.int64)


def _read_clock_rows(path: Path, layout: Layout, numbers: Sequence[int], texts: int | None) -> Iterable[Rows]:
    """Read rows in blocks that are not much longer than the head of a table."""
    return read_rows(
        path,
        layout.cells,
        first_line=layout.first_line,
        numbers=numbers,
        texts=texts,
        names=layout.names,
        block_bytes=_HEAD_BYTES,
    )


def _seconds(path: Path, name: str, rows: Rows, numbers: int | None, unit: float) -> np.ndarray:
    if numbers is not None:
        return np.asarray(rows.numbers[:, numbers] * unit)
    if rows.texts is None:
        raise ValueError("the column of the clock was not read as text")
    return seconds_from_texts(path, name, texts=rows.texts, lines=rows.lines)


def _usual_step(times: np.ndarray, known: np.ndarray) -> float:
    """Return the seconds per row, whatever a few missing samples are: the median over intervals of some rows."""
    stride = min(100, len(known) - 1)
    intervals = (times[known[stride:]] - times[known[:-stride]]) / (known[stride:] - known[:-stride])
    return float(np.median(intervals))


def _check_head(path: Path, name: str, times: np.ndarray, lines: np.ndarray, step: float) -> float:
    """Return the rounding of a clock in its first rows, in samples.

    Raises:
        RecordError: the times are not evenly spaced.
    """
    advice = "fill gaps with empty rows, or give time_column 'none' and fs if rows are evenly spaced"
    single = np.abs(np.diff(times) / step - 1)
    rounding = min(float(np.quantile(single, 0.95)), _UNEVEN)
    tolerance = tolerance_samples(single, rounding)
    odd = single > np.maximum(tolerance, _PLAY)
    if not odd.any():
        mean = float((times[-1] - times[0]) / (len(times) - 1))
        deviations = np.abs(times - times[0] - mean * np.arange(len(times))) / mean
        if deviations.max() <= _UNEVEN:
            return float(deviations.max())
        odd = single >= single.max()
    line = lines[int(odd.argmax()) + 1]
    problem = f"column {name}: samples are not evenly spaced, see line {line:,}; {advice}"
    raise RecordError(path, problem, parameter="time_column", parameters=("fs",))


def _assumed_scale(path: Path, name: str, rate: float, options: ReadOptions) -> float:
    """Return the seconds per unit of times without a unit: 1, or what makes them agree with ``fs``.

    Raises:
        RecordError: the rate cannot be that of an ECG if the unit is s.
    """
    if options.fs is not None:
        for scale in (1.0, 1e-3, 1e-6, 1e-9):
            if math.isclose(rate / scale, options.fs, rel_tol=SAME_RATE):
                return scale
        return 1.0
    if not 50 <= rate <= _FASTEST_ASSUMED:
        problem = f"column {name}: has {rate:g} Hz if its unit is s; name the unit, as in time_ms, or give fs"
        raise RecordError(path, problem, parameter="fs")
    return 1.0


def _rounded(rate: float, seconds: float) -> float:
    """Return the nearest integer rate if it differs by less than one sample over ``seconds``, else the rate."""
    nearest = round(rate)
    return float(nearest) if nearest and abs(rate - nearest) * seconds < 1.0 else rate
