"""Recordings in text tables: CSV files with commas, semicolons, tabs or spaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import SelectedLead, check_rate_given, checked_leads, select_leads
from ecg_study.ecg_data.readers.leads import is_ecg_lead
from ecg_study.ecg_data.readers.recording import NO_COLUMN, SAME_RATE, ReadOptions, Recording
from ecg_study.ecg_data.readers.tables.cells import Rows, read_rows
from ecg_study.ecg_data.readers.tables.clock import Clock, find_clock
from ecg_study.ecg_data.readers.tables.clock_check import ClockCheck
from ecg_study.ecg_data.readers.tables.layout import Layout, read_layout
from ecg_study.ecg_data.readers.tables.thousands import ThousandsCheck
from ecg_study.ecg_data.readers.units import UnitKind, parse_unit, split_name
from ecg_study.errors import RecordError


def open_table(path: Path, options: ReadOptions) -> Recording:
    """Open a text table with one lead per column.

    What the first rows show (delimiter, decimal mark, columns, sampling rate) is checked in every row while the table
    is read. The sampling rate comes from a column with the time, from the lines before the table, or from ``options``;
    if several state it, they must agree. Times are numbers in the unit of the column's name or in seconds, times of
    day, or dates in ISO 8601. An empty cell and a blank line are missing samples.

    Raises:
        RecordError: the file is not a table of numbers; a column is missing; times are not evenly spaced; or the
            sampling rate or the unit is unknown or contradicts another statement.
    """
    layout = read_layout(path)
    clock, times = find_clock(path, layout, options=options)
    selected = _select(path, layout, times, options)
    fs = _rate(path, layout, clock, options)

    def blocks() -> Iterator[np.ndarray]:
        check = ClockCheck(clock) if clock is not None else None
        declared = [lead.scale.declared for lead in selected]
        thousands = ThousandsCheck(path, [lead.label for lead in selected], declared=declared)
        gains = np.array([lead.scale.gain for lead in selected])
        adc_zeros = np.array([lead.scale.adc_zero for lead in selected])
        for rows in _rows(path, layout, selected, clock):
            if check is not None and clock is not None:
                check.add(clock.seconds(rows, None if clock.as_text else len(selected)), rows.lines)
            thousands.add(rows.numbers[:, : len(selected)])
            yield (rows.numbers[:, : len(selected)] - adc_zeros) / gains
        thousands.finish()

    start_time, start_s = "", clock.start if clock is not None else 0.0
    if clock is not None and clock.start_time:
        start_time, start_s = clock.start_time, 0.0
    return Recording(
        path=path,
        name=path.stem,
        fs=fs,
        leads=tuple(lead.label for lead in selected),
        samples=None,
        blocks=checked_leads(path, selected, blocks=blocks, options=options, fs=fs, samples=None),
        start_s=start_s,
        start_time=start_time,
    )


def _rows(path: Path, layout: Layout, selected: Sequence[SelectedLead], clock: Clock | None) -> Iterator[Rows]:
    numbers = [lead.column for lead in selected]
    if clock is not None and not clock.as_text:
        numbers.append(clock.column)
    return read_rows(
        path,
        layout.cells,
        first_line=layout.first_line,
        numbers=numbers,
        texts=clock.column if clock is not None and clock.as_text else None,
        names=layout.names,
        empty=layout.empty,
    )


def _select(path: Path, layout: Layout, times: frozenset[int], options: ReadOptions) -> list[SelectedLead]:
    """Select leads among the columns that are not times."""
    others = [i for i in range(layout.cells.width) if i not in times and i not in layout.empty]
    if options.time_column == NO_COLUMN and options.lead not in ("auto", "all"):
        others = [i for i in range(layout.cells.width) if i not in layout.empty]
    if options.lead in ("auto", "all"):
        others = [i for i in others if i not in layout.rising]
        others = [i for i in others if _may_be_lead(layout, i)] or others
    if not others:
        raise RecordError(path, "no column of numbers except the time")
    described = [_with_stated_unit(path, layout, layout.names[i]) for i in others]
    selected = select_leads(path, described, options=options, assume_millivolts=True, noun="columns")
    selected = [replace(lead, column=others[lead.column]) for lead in selected]
    for lead in selected:
        if lead.column in layout.rising:
            problem = f"column {lead.label}: increases from row to row, like a time; choose another lead"
            raise RecordError(path, problem, parameter="lead")
    unstated = next((lead for lead in selected if not lead.scale.declared), None)
    if unstated is not None and layout.metadata.mentioned:
        problem = f"column {unstated.label}: the lines before the table mention {layout.metadata.mentioned!r}, but no "
        problem += "column has a unit; give units (mV, uV or V), or gain for ADC units"
        raise RecordError(path, problem, parameter="units", parameters=("gain",))
    return selected


def _may_be_lead(layout: Layout, column: int) -> bool:
    """Return whether a column may be a lead. A column of notes is not one, but a lead may have texts in some rows.

    A lead with texts is an error when it is read, because without it, another lead would be read in silence.
    """
    if column not in layout.texts or column in layout.partly_numbers:
        return True
    unit = split_name(layout.names[column]).unit
    return is_ecg_lead(layout.names[column]) or (unit is not None and unit.kind is UnitKind.VOLTAGE)


def _with_stated_unit(path: Path, layout: Layout, name: str) -> tuple[str, str]:
    """Return the name of a column, and the unit that the lines before the table state for it."""
    stated = layout.metadata.unit
    own = split_name(name).unit
    if not stated or own is None:
        return name, stated
    both = parse_unit(stated)
    voltages = both.kind is UnitKind.VOLTAGE and own.kind is UnitKind.VOLTAGE
    if voltages and both.millivolts != own.millivolts:
        problem = f"column {name}: has the unit {own.text!r}, but the lines before the table state {stated!r}"
        raise RecordError(path, f"{problem}; correct one of them")
    return name, ""


def _rate(path: Path, layout: Layout, clock: Clock | None, options: ReadOptions) -> float:
    stated = layout.metadata.fs
    if clock is not None:
        if stated is not None and abs(clock.rate / stated - 1) > SAME_RATE:
            problem = f"column {clock.name}: has {clock.rate:g} Hz, but the lines before the table state {stated:g} Hz"
            raise RecordError(path, f"{problem}; correct one of them")
        return check_rate_given(path, clock.rate, options=options, source=f"column {clock.name}: has")
    if stated is not None:
        return check_rate_given(path, stated, options=options, source="the lines before the table state")
    if options.fs is None:
        problem = "no column with the time; give fs in Hz, or time_column"
        raise RecordError(path, problem, parameter="fs", parameters=("time_column",))
    return check_rate_given(path, options.fs, options=options)
