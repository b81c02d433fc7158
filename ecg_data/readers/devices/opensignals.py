"""OpenSignals text files of biosignalsplux and BITalino."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import SelectedLead, checked_leads, rate_of_header, select_leads
from ecg_study.ecg_data.readers.devices.opensignals_header import RAW, Column, OpenSignalsHeader, read_header
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.ecg_data.readers.tables.cells import CellFormat, Rows, read_rows
from ecg_study.ecg_data.readers.tables.text import line_blocks
from ecg_study.errors import RecordError

_HEAD_ROWS = 5000

_LONGEST_COUNTER = 1 << 16
"""Samples after which the counters of devices start again, at most."""

_LONGEST_GAP_SECONDS = 3600.0


def open_opensignals(path: Path, options: ReadOptions) -> Recording:
    """Open an OpenSignals text file of one or several devices.

    Samples are ADC values, unless the header states units. The counter of the samples is checked in each row.

    Raises:
        RecordError: the header is damaged or contradicts the rows; samples are lost; or lead, unit or sampling rate
            cannot be used.
    """
    header = read_header(path)
    cells = CellFormat("\t", _width(path, header))
    header = _with_conversions(path, header, cells)
    described = [(column.name, column.unit) for column in header.columns]
    selected = select_leads(path, described, options=options, assume_millivolts=False, noun="columns")
    fs = rate_of_header(path, header.fs, options=options)
    return Recording(
        path=path,
        name=path.stem,
        fs=fs,
        leads=tuple(lead.label for lead in selected),
        samples=None,
        blocks=checked_leads(
            path,
            selected,
            blocks=lambda: _blocks(path, header, cells, selected, fs),
            options=options,
            fs=fs,
            samples=None,
        ),
        start_time=header.start_time,
    )


def _width(path: Path, header: OpenSignalsHeader) -> int:
    """Return the cells per row: one for each column, and an empty one after the tab at the end of a row."""
    expected = len(header.columns)
    for block in line_blocks(path, block_bytes=1 << 17):
        for number, line in enumerate(block.content.split(b"\n"), block.first_line):
            if number < header.first_line or not line.strip() or line.startswith(b"#"):
                continue
            found = line.count(b"\t") + 1
            if found not in (expected, expected + 1):
                columns = found - line.endswith(b"\t")
                problem = f"line {number:,} has {columns:,} columns, but its header names {expected:,}"
                raise RecordError(path, f"{problem}; the file is damaged")
            return found
    raise RecordError(path, "has no samples after its header; the file is truncated")


def _rows(
    path: Path, header: OpenSignalsHeader, cells: CellFormat, numbers: Sequence[int], *, block_bytes: int | None = None
) -> Iterator[Rows]:
    names = [column.name for column in header.columns]
    extra = [len(names)] if cells.width > len(names) else []
    expected = header.first_line
    for rows in read_rows(
        path,
        cells,
        first_line=header.first_line,
        numbers=numbers,
        names=[*names, *("" for _ in extra)],
        empty=extra,
        block_bytes=block_bytes,
    ):
        odd = rows.lines != np.arange(expected, expected + len(rows.lines))
        if odd.any():
            line = expected + int(odd.argmax())
            raise RecordError(path, f"line {line:,} is a comment among the rows; a file must have one recording")
        expected += len(rows.lines)
        yield rows


def _with_conversions(path: Path, header: OpenSignalsHeader, cells: CellFormat) -> OpenSignalsHeader:
    """Return the header without ``RAW`` for columns with fractions: they were converted, whatever it states."""
    head = next(_rows(path, header, cells, range(len(header.columns)), block_bytes=500_000), None)
    if head is None:
        raise RecordError(path, "has no samples after its header; the file is truncated")
    numbers = head.numbers[:_HEAD_ROWS]
    fractional = (numbers != np.rint(numbers)) & ~np.isnan(numbers)
    columns = [
        replace(column, unit="", top=0) if column.unit == RAW and found else column
        for column, found in zip(header.columns, fractional.any(axis=0).tolist(), strict=True)
    ]
    return replace(header, columns=tuple(columns))


def _blocks(
    path: Path, header: OpenSignalsHeader, cells: CellFormat, selected: Sequence[SelectedLead], fs: float
) -> Iterator[np.ndarray]:
    """Read the selected leads in mV, shape ``(samples, leads)``; samples that were lost are missing."""
    leads = [lead.column for lead in selected]
    counted = [place for place, column in enumerate(header.columns) if column.is_counter]
    counters = [_Counter(path, header.columns[place].top + 1, round(_LONGEST_GAP_SECONDS * fs)) for place in counted]
    gains = np.array([lead.scale.gain for lead in selected])
    adc_zeros = np.array([lead.scale.adc_zero for lead in selected])
    for rows in _rows(path, header, cells, [*leads, *counted]):
        values = rows.numbers[:, : len(leads)]
        _check_digital(path, [header.columns[column] for column in leads], values, rows.lines)
        lost = [
            counter.lost_before(rows.numbers[:, len(leads) + place], rows.lines)
            for place, counter in enumerate(counters)
        ]
        values = (values - adc_zeros) / gains
        if lost:
            if any((other != lost[0]).any() for other in lost[1:]):
                raise RecordError(path, f"its devices lost different samples near line {rows.lines[0]:,}")
            values = np.insert(values, np.repeat(np.arange(len(values)), lost[0]), np.nan, axis=0)
        yield values


def _check_digital(path: Path, columns: Sequence[Column], values: np.ndarray, lines: np.ndarray) -> None:
    """Refuse ADC values that the stated resolution does not have."""
    for column, samples in zip(columns, values.T, strict=True):
        if column.unit != RAW:
            continue
        top = float(column.top or 1 << 32)
        wrong = (samples != np.rint(samples)) | (samples < 0) | (samples > top)
        wrong &= ~np.isnan(samples)
        if wrong.any():
            place = int(wrong.argmax())
            problem = f"line {lines[place]:,}: {samples[place]:g} in column {column.name} is not an integer from 0"
            raise RecordError(path, f"{problem} to {top:,.0f}, which its header states; the file is damaged")


class _Counter:
    """Check of a column that numbers the samples.

    Args:
        path: path of the file.
        modulus: number at which the counter starts again; 1 if the header does not state it.
        longest_gap: most samples of a gap.
    """

    def __init__(self, path: Path, modulus: int, longest_gap: int) -> None:
        self._path = path
        self._modulus = modulus if modulus > 1 else 0
        self._longest_gap = longest_gap
        self._last: float | None = None

    def lost_before(self, numbers: np.ndarray, lines: np.ndarray) -> np.ndarray:
        """Return the number of samples that were lost before each of the next rows.

        The number is certain only for a counter that has passed the point where others start again.

        Raises:
            RecordError: the counter is not a number, goes back, or skips numbers that cannot be counted.
        """
        missing = np.isnan(numbers)
        if missing.any():
            raise RecordError(self._path, f"line {lines[int(missing.argmax())]:,}: the number of the sample is missing")
        steps = np.diff(numbers, prepend=numbers[0] - 1 if self._last is None else self._last)
        before = numbers - steps
        self._last = float(numbers[-1])
        if self._modulus:
            # A counter with a stated size, or that has started again.
            odd = np.mod(steps, self._modulus) != 1
            odd |= (numbers >= self._modulus) | (numbers < 0)
        else:
            restarts = np.flatnonzero((steps != 1) & (numbers == 0) & (steps < 0))
            if len(restarts):
                self._modulus = self._size(before[restarts[0]] + 1, lines[restarts[0]])
                return self._again(numbers, lines, before[0])
            odd = steps != 1
        if not odd.any():
            return np.zeros(len(numbers), np.int64)
        place = int(odd.argmax())
        certain = odd & (before >= _LONGEST_COUNTER) & (steps > 1) & (steps <= self._longest_gap)
        if self._modulus or not certain[odd].all():
            problem = f"line {lines[place]:,}: its number is {numbers[place]:g} after {before[place]:g}"
            raise RecordError(self._path, f"{problem}; an unknown number of samples was lost, or the file is damaged")
        return np.where(odd, steps - 1, 0).astype(np.int64)

    def _again(self, numbers: np.ndarray, lines: np.ndarray, before: float) -> np.ndarray:
        self._last = before
        return self.lost_before(numbers, lines)

    def _size(self, found: float, line: int) -> int:
        """Return the number at which the counter starts again: a power of 2."""
        size = int(found) if np.isfinite(found) else 0
        if size < 2 or size & (size - 1) or size > _LONGEST_COUNTER:
            problem = f"line {line:,}: its number is 0 after {found - 1:g}; samples were lost, or the file is damaged"
            raise RecordError(self._path, problem)
        return size
