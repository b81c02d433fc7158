"""Choice of the signal among the named arrays of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.arrays.metadata import (
    check_calibration,
    is_metadata,
    is_time,
    lead_names,
    sampling_rate,
    units_of,
)
from ecg_study.ecg_data.readers.arrays.named import MAX_VALUES, NamedArray, NamedValues, key_of
from ecg_study.ecg_data.readers.channels import Channel, recording_from_channels
from ecg_study.ecg_data.readers.leads import ecg_leads, is_ecg_lead, is_other_signal
from ecg_study.ecg_data.readers.recording import ALL_LEADS, AUTO_LEAD, ReadOptions, Recording
from ecg_study.ecg_data.readers.rising import HEAD_SAMPLES, is_rising
from ecg_study.errors import RecordError

_MOST_UNNAMED_LEADS, _MOST_NAMED_LEADS = 16, 256
"""Most leads of an array. Without names of leads, more rows are segments or windows, which are no recording."""

_LONGER = 4
"""The axis of time is at least as many times longer than that of leads."""

_JOINED = frozenset({"datastart", "dataend"})
"""Names of arrays by which LabChart states where each channel begins and ends in its array of samples."""

_FEWEST_SAMPLES = 16
"""Shorter arrays are metadata."""


@dataclass(frozen=True)
class _Signal:
    """Array of samples.

    Attributes:
        array: the array.
        time_axis: axis of time.
        names: names of its leads; empty if it has one lead, or if they are unknown.
        named_leads: whether ``names`` come from the file.
    """

    array: NamedArray
    time_axis: int
    names: tuple[str, ...]
    named_leads: bool

    @property
    def samples(self) -> int:
        return self.array.shape[self.time_axis]

    def reader(self, lead: int) -> Callable[[int, int], np.ndarray]:
        """Return a function that reads an interval of one lead."""

        def read(start: int, end: int) -> np.ndarray:
            index: list[slice | int] = [lead] * len(self.array.shape)
            index[self.time_axis] = slice(start, end)
            return np.asarray(self.array.part(tuple(index)), np.float64)

        return read


def recording_from_arrays(path: Path, values: NamedValues, *, options: ReadOptions) -> Recording:
    """Return the signal among named arrays as a recording.

    The signal is the only array of samples of shape ``(samples,)``, ``(samples, leads)`` or ``(leads, samples)``, or
    ``options.lead`` names it. Several arrays of one length with the names of leads are leads of one recording.

    Raises:
        RecordError: the file has no array of samples, or several; the array joins several channels, or its orientation
            is unknown; the sampling rate is missing or contradicts another; or the unit is missing, or not a voltage.
    """
    if len(values) > MAX_VALUES:
        raise RecordError(path, f"has {len(values):,} named values; at most {MAX_VALUES:,} can be read")
    _check_names(path, values)
    if {key_of(array.name) for array in values.arrays} >= _JOINED:
        problem = "is an export of LabChart, in which one array has the samples of all channels one after another"
        raise RecordError(path, f"{problem}; save one channel, or export a text file")
    possible = [array for array in values.arrays if _may_be_signal(array)]
    if len(possible) > 1:
        possible = [array for array in possible if not _is_rising(array)] or possible
    chosen, options = _choose(path, values, possible, options)
    values = _metadata_of(chosen, values, possible)
    signals = [_oriented(path, array, values) for array in chosen]
    fs = _sampling_rate(path, values, signals, options)
    if fs is None and options.fs is None:
        raise RecordError(path, "has no sampling rate; give fs in Hz", parameter="fs")
    count = sum(len(signal.names) for signal in signals)
    units = units_of(path, values, leads=count)
    if not any(units):
        check_calibration(path, values, options=options)
    channels = [
        Channel(name, units[0], fs, signal.samples, signal.reader(lead), signal.array.dtype.kind in "iu")
        for signal in signals
        for lead, name in enumerate(signal.names)
    ]
    channels = [replace(channel, unit=unit) for channel, unit in zip(channels, units, strict=True)]
    noun = "leads" if len(signals) > 1 or signals[0].named_leads else "columns"
    return recording_from_channels(path, channels, options=options, assume_millivolts=True, noun=noun)


def _is_rising(array: NamedArray) -> bool:
    """Return whether an array has one number per sample that increase, as times and counters do."""
    if _leads(array) != 1:
        return False
    read = _Signal(array, int(np.argmax(array.shape)), ("",), named_leads=False).reader(0)
    return is_rising(read(0, min(HEAD_SAMPLES, array.size)))


def _sampling_rate(path: Path, values: NamedValues, signals: Sequence[_Signal], options: ReadOptions) -> float | None:
    """Return the sampling rate by the values, and by the times among the columns of the signal."""
    samples = signals[0].samples
    columns = [
        NamedArray(name, (samples,), signal.array.dtype, partial(_part, signal.reader(lead), samples))
        for signal in signals
        if len(signal.names) > 1
        for lead, name in enumerate(signal.names)
    ]
    others = [
        array
        for array in values.arrays
        if array.dtype.kind in "fiu" and not is_metadata(array) and array.size == samples == max(array.shape)
    ]
    times = [column for column in columns if is_time(column.name)]
    rising = [array for array in (*columns, *others) if not is_time(array.name) and _is_rising(array)]
    values = NamedValues([*values.arrays, *times], values.texts)
    return sampling_rate(path, values, samples=samples, options=options, rising=rising)


def _part(read: Callable[[int, int], np.ndarray], samples: int, index: tuple[slice]) -> np.ndarray:
    start, end, _ = index[0].indices(samples)
    return read(start, end)


def _metadata_of(chosen: Sequence[NamedArray], values: NamedValues, possible: Sequence[NamedArray]) -> NamedValues:
    """Return the values without those of structures of other signals, which have rates and units of their own."""
    chosen_names = {array.name for array in chosen}
    own = chosen[0].name.split(".")[:-1]
    others = [array.name.split(".")[:-1] for array in possible if array.name not in chosen_names]

    def is_related(name: str) -> bool:
        structure = name.split(".")[:-1]
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(structure, own, strict=False)))
        inner = [structure[: depth + 1] for depth in range(shared, len(structure))]
        return name in chosen_names or not any(
            is_other_signal(level[-1]) or any(other[: len(level)] == level for other in others) for level in inner
        )

    return NamedValues(
        [array for array in values.arrays if is_related(array.name)],
        [text for text in values.texts if is_related(text.name)],
    )


def _check_names(path: Path, values: NamedValues) -> None:
    names = [array.name for array in values.arrays] + [text.name for text in values.texts] + list(values.unreadable)
    repeated = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if repeated is not None:
        raise RecordError(path, f"several of its values have the name {repeated[:60]!r}; rename one")


def _may_be_signal(array: NamedArray) -> bool:
    """Return whether an array may have samples: real numbers along one axis, and leads along another."""
    if array.dtype.kind not in "fiu" or is_metadata(array):
        return False
    if len(array.shape) not in (1, 2) or max(array.shape) < _FEWEST_SAMPLES or not min(array.shape):
        return False
    return not is_other_signal(array.name.rpartition(".")[2])


def _choose(
    path: Path, values: NamedValues, possible: Sequence[NamedArray], options: ReadOptions
) -> tuple[list[NamedArray], ReadOptions]:
    """Return the arrays of the signal, and the options with the lead within them."""
    named = [array for array in values.arrays if array.name == options.lead]
    if named and options.lead not in (AUTO_LEAD, ALL_LEADS):
        array = named[0]
        if array.dtype.kind not in "fiu" or len(array.shape) not in (1, 2) or max(array.shape) < _FEWEST_SAMPLES:
            problem = f"{array.described} ({array.dtype}) is not an array of samples"
            raise RecordError(path, f"{problem}; choose another lead", parameter="lead")
        return [array], replace(options, lead="1" if _leads(array) == 1 else AUTO_LEAD)
    if not possible:
        raise RecordError(path, _nothing(values))
    if len(possible) == 1:
        return [possible[0]], options
    if len({other.size for other in possible}) == 1 and all(_leads(other) == 1 for other in possible):
        are_leads = ecg_leads([array.name.rpartition(".")[2] for array in possible])
        leads = [array for array, is_lead in zip(possible, are_leads, strict=True) if is_lead]
        recordings = [array for array in leads if re.match("ecg|ekg|signal", array.name.rpartition(".")[2].lower())]
        if leads and len(recordings) <= 1:
            return leads, options
    listed = "; ".join(array.described for array in possible[:20])
    raise RecordError(path, f"has several arrays of samples ({listed}); choose one as the lead", parameter="lead")


def _nothing(values: NamedValues) -> str:
    listed = [array.described for array in values.arrays[:20]]
    listed += [f"{name[:60]} ({kind})" for name, kind in list(values.unreadable.items())[:20]]
    problem = "has no array of samples, which has the shape (samples,), (samples, leads) or (leads, samples)"
    return f"{problem}; it has {'; '.join(listed)}" if listed else problem


def _leads(array: NamedArray) -> int:
    """Return the length of the shorter axis."""
    return min(array.shape) if len(array.shape) == 2 else 1


def _oriented(path: Path, array: NamedArray, values: NamedValues) -> _Signal:
    """Return an array with its axis of time, which is the long one.

    Raises:
        RecordError: both axes may be that of time; or the axis of leads is too long for leads, or has another length
            than the names of leads.
    """
    plain = array.name.rpartition(".")[2]
    if _leads(array) == 1:
        return _Signal(array, int(np.argmax(array.shape)), (plain,), named_leads=is_ecg_lead(plain))
    time_axis = int(np.argmax(array.shape))
    leads, samples = min(array.shape), max(array.shape)
    texts = lead_names(values)
    fitting = next((text for text in texts if len(text.names) == leads), None)
    other = next((text for text in texts if text.certain and len(text.names) > 1), None)
    if samples < _LONGER * leads:
        problem = f"{array.described} may be (samples, leads) or (leads, samples)"
        raise RecordError(path, f"{problem}; an array of samples must be at least {_LONGER} times as long as wide")
    if fitting is None and other is not None:
        raise RecordError(path, f"{array.described} has {leads:,} leads, but {len(other.names):,} names of leads")
    most = _MOST_NAMED_LEADS if fitting is not None else _MOST_UNNAMED_LEADS
    if leads > most:
        problem = f"{array.described} has {leads:,} leads, more than {most}; it looks like an array of segments"
        raise RecordError(path, f"{problem}; save one recording per file")
    names = fitting.names if fitting is not None else tuple(str(lead + 1) for lead in range(leads))
    return _Signal(array, time_axis, names, named_leads=fitting is not None)
