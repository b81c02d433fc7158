"""Channels of a file as leads of a recording: selection, units, sampling rate, and checks while reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.checks import checked_blocks
from ecg_study.ecg_data.readers.leads import choose_leads, ecg_leads, is_other_signal, lead_labels, list_names
from ecg_study.ecg_data.readers.recording import (
    ALL_LEADS,
    BLOCK_SECONDS,
    HIGHEST_RATE,
    LOWEST_RATE,
    ReadOptions,
    Recording,
)
from ecg_study.ecg_data.readers.rising import HEAD_SAMPLES, is_rising
from ecg_study.ecg_data.readers.units import Unit, UnitKind, parse_unit, split_name
from ecg_study.errors import RecordError

MAX_CHANNELS = 4096
"""Most channels of one file; no recorder has as many."""

_RATE_TOLERANCE = 1e-4  # relative; rates are written with as few as five digits


@dataclass(frozen=True)
class Channel:
    """One signal of a file, as its header describes it.

    Attributes:
        name: name in the file; it may be empty, and several channels may have the same.
        unit: unit in the file; empty if it has none.
        fs: sampling rate in Hz; ``None`` if the file has none.
        samples: number of samples.
        read: returns the samples from a first index to an end index, excluded, as float64 in the unit, shape
            ``(samples,)``; missing samples are NaN.
        integers: whether the samples are integers without a calibration.
        problem: why the channel cannot be read, which is an error if it is selected; empty if it can.
    """

    name: str
    unit: str
    fs: float | None
    samples: int
    read: Callable[[int, int], np.ndarray]
    integers: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Scale:
    """Conversion of a channel to mV: ``(values - adc_zero) / gain``.

    Attributes:
        gain: units per mV.
        adc_zero: units at 0 mV.
        declared: whether the file or the user named the unit. Otherwise it is mV by convention.
    """

    gain: float
    adc_zero: float
    declared: bool


@dataclass(frozen=True)
class SelectedLead:
    """A lead to read: its column in the file, its label and its conversion to mV."""

    column: int
    label: str
    scale: Scale


def recording_from_channels(
    path: Path,
    channels: Sequence[Channel],
    *,
    options: ReadOptions,
    assume_millivolts: bool = False,
    noun: str = "leads",
    start_time: str = "",
) -> Recording:
    """Return the selected leads of a file as a recording.

    Args:
        path: path of the file.
        channels: all channels of the file.
        options: lead to read, and metadata that the file lacks.
        assume_millivolts: whether numbers without a unit are mV. Otherwise, a channel without a unit is an error.
        noun: word for channels in this file format.
        start_time: date and time of the first sample in ISO 8601.

    Raises:
        RecordError: the lead is missing or not a voltage; unit or sampling rate is missing, or contradicts ``options``;
            or the selected leads differ in sampling rate or length.
    """
    if assume_millivolts:
        channels = _without_times(path, channels, options)
    selected = select_leads(
        path,
        [(channel.name, channel.unit) for channel in channels],
        options=options,
        assume_millivolts=assume_millivolts,
        noun=noun,
        integers=[channel.integers for channel in channels],
    )
    chosen = [channels[lead.column] for lead in selected]
    if assume_millivolts and any(_is_rising(channel) for channel in chosen):
        problem = f"lead {selected[0].label}: increases from sample to sample, like a time; choose another lead"
        raise RecordError(path, problem, parameter="lead")
    unreadable = next((channel for channel in chosen if channel.problem), None)
    if unreadable is not None:
        raise RecordError(path, unreadable.problem, parameter="lead")
    fs = _common_rate(path, chosen, options)
    samples = chosen[0].samples
    if any(channel.samples != samples for channel in chosen):
        lengths = ", ".join(f"{channel.samples:,}" for channel in chosen[:20])
        raise RecordError(path, f"its {noun} have different lengths ({lengths} samples); choose one", parameter="lead")
    if not samples:
        raise RecordError(path, "has no samples")
    block = max(1, round(BLOCK_SECONDS * fs))

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, samples, block):
            end = min(start + block, samples)
            columns = [_read(path, lead, channel, start, end) for lead, channel in zip(selected, chosen, strict=True)]
            # Each lead is contiguous in memory, which the checks and the models read lead by lead.
            yield np.array(columns).T

    return Recording(
        path=path,
        name=path.stem,
        fs=fs,
        leads=tuple(lead.label for lead in selected),
        samples=samples,
        blocks=checked_leads(path, selected, blocks=blocks, options=options, fs=fs, samples=samples),
        start_time=start_time,
    )


def _without_times(path: Path, channels: Sequence[Channel], options: ReadOptions) -> Sequence[Channel]:
    """Return the channels among which a lead is selected by its name or all are: without times and counters."""
    if options.lead not in (ALL_LEADS, "auto"):
        return channels
    left = [channel for channel in channels if not _is_rising(channel)]
    if not left:
        raise RecordError(path, "no signal: its numbers increase from sample to sample, like times", parameter="lead")
    return left


def _is_rising(channel: Channel) -> bool:
    return is_rising(np.asarray(channel.read(0, min(HEAD_SAMPLES, channel.samples)), np.float64))


def checked_leads(
    path: Path,
    selected: Sequence[SelectedLead],
    *,
    blocks: Callable[[], Iterator[np.ndarray]],
    options: ReadOptions,
    fs: float,
    samples: int | None,
) -> Callable[[], Iterator[np.ndarray]]:
    """Return ``blocks`` of the selected leads with the checks of `checked_blocks`."""
    return checked_blocks(
        path,
        [lead.label for lead in selected],
        declared=[lead.scale.declared for lead in selected],
        blocks=blocks,
        fs=fs,
        samples=samples,
        integers_error=lambda position: integers_error(path, f"lead {selected[position].label}", options=options),
    )


def _read(path: Path, lead: SelectedLead, channel: Channel, start: int, end: int) -> np.ndarray:
    values = np.asarray(channel.read(start, end), np.float64)
    if values.shape != (end - start,):
        problem = f"{values.size:,} samples instead of {end - start:,} at sample {start:,}; the file is damaged"
        raise RecordError(path, f"lead {lead.label}: {problem}")
    if lead.scale.adc_zero:
        values = values - lead.scale.adc_zero
    return values if lead.scale.gain == 1 else values / lead.scale.gain


def _common_rate(path: Path, chosen: Sequence[Channel], options: ReadOptions) -> float:
    rates = sorted({channel.fs for channel in chosen if channel.fs is not None})
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in rates[:20])
        raise RecordError(path, f"its leads have different sampling rates ({listed} Hz); choose one", parameter="lead")
    if any(channel.fs is None for channel in chosen):
        if options.fs is None:
            raise RecordError(path, "has no sampling rate; give fs in Hz", parameter="fs")
        rates = rates or [options.fs]
    return check_rate_given(path, rates[0], options=options)


def rate_of_header(path: Path, fs: float | None, *, options: ReadOptions) -> float:
    """Return the sampling rate of a file in Hz: that of its header, or else the given one.

    Raises:
        RecordError: neither is known, they differ, or the rate is out of range.
    """
    if fs is not None:
        return check_rate_given(path, fs, options=options)
    if options.fs is None:
        raise RecordError(path, "its header has no sampling rate; give fs in Hz", parameter="fs")
    return check_rate_given(path, options.fs, options=options)


def check_rate_given(path: Path, fs: float, *, options: ReadOptions, source: str = "has") -> float:
    """Return the sampling rate of a file in Hz.

    Args:
        path: path of the file, for messages.
        fs: sampling rate that the file states.
        options: given metadata.
        source: beginning of the message, such as ``"column time: has"``.

    Raises:
        RecordError: the rate is out of range, or ``options`` state another one.
    """
    if not LOWEST_RATE <= fs <= HIGHEST_RATE:
        problem = f"{source} {fs:g} Hz; ECG from {LOWEST_RATE:g} to {HIGHEST_RATE:,g} Hz can be read"
        raise RecordError(path, problem)
    if options.fs is not None and not math.isclose(fs, options.fs, rel_tol=_RATE_TOLERANCE):
        problem = f"{source} a sampling rate of {fs:g} Hz, but fs is {options.fs:g} Hz; omit fs"
        raise RecordError(path, problem, parameter="fs")
    return fs


def select_leads(
    path: Path,
    names_and_units: Sequence[tuple[str, str]],
    *,
    options: ReadOptions,
    assume_millivolts: bool,
    noun: str,
    integers: Sequence[bool] = (),
) -> list[SelectedLead]:
    """Select leads, and determine the conversion of each to mV. Only voltages are leads.

    A channel whose unit field is empty may have its unit in its name, such as ``ECG (mV)``.

    Args:
        path: path of the file, for messages.
        names_and_units: name and unit of all channels.
        options: lead to read, and metadata that the file lacks.
        assume_millivolts: whether numbers without a unit are mV.
        noun: word for channels in this file format.
        integers: whether each channel has integers without a calibration (default: none has).

    Raises:
        RecordError: see `recording_from_channels`.
    """
    if len(names_and_units) > MAX_CHANNELS:
        raise RecordError(path, f"has {len(names_and_units):,} {noun}; at most {MAX_CHANNELS:,} can be read")
    if not names_and_units:
        raise RecordError(path, f"has no {noun}")
    parts = [_divided(name, unit) for name, unit in names_and_units]
    names = [name for name, _ in names_and_units]
    labels = lead_labels([name for name, _ in parts])
    units = [unit for _, unit in parts]
    columns = _columns(path, names, labels, units, options, noun)
    return [
        SelectedLead(
            column,
            labels[column],
            _scale(
                path,
                f"{noun.removesuffix('s')} {names[column] or labels[column]}",
                units[column],
                options,
                assume_millivolts=assume_millivolts,
                integers=bool(integers) and integers[column],
            ),
        )
        for column in columns
    ]


def _divided(name: str, unit: str) -> tuple[str, Unit | None]:
    if unit.strip():
        return name, parse_unit(unit)
    divided = split_name(name)
    return divided.name, divided.unit


def _columns(
    path: Path,
    names: Sequence[str],
    labels: Sequence[str],
    units: Sequence[Unit | None],
    options: ReadOptions,
    noun: str,
) -> list[int]:
    if options.lead not in (ALL_LEADS, "auto"):
        return choose_leads(path, names, lead=options.lead, labels=labels, noun=noun)
    voltages = [i for i, unit in enumerate(units) if unit is not None and unit.kind is UnitKind.VOLTAGE]
    unstated = [
        i
        for i, unit in enumerate(units)
        if (unit is None or unit.kind in (UnitKind.ADC, UnitKind.UNKNOWN))
        and not is_other_signal(names[i])
        # A column without a name beside columns with names is an index.
        and (names[i].strip() or not any(name.strip() for name in names))
    ]
    possible = sorted([*voltages, *unstated])
    if not possible:
        raise RecordError(path, f"none of its {noun} ({list_names(labels)}) is a voltage")
    if options.lead == ALL_LEADS:
        are_leads = ecg_leads([labels[i] for i in unstated])
        return voltages or [i for i, is_lead in zip(unstated, are_leads, strict=True) if is_lead] or unstated
    found = choose_leads(
        path,
        [names[i] for i in possible],
        lead="auto",
        labels=[labels[i] for i in possible],
        noun=noun,
        voltages=[place for place, i in enumerate(possible) if i in voltages],
    )
    return [possible[i] for i in found]


def _scale(
    path: Path, place: str, unit: Unit | None, options: ReadOptions, *, assume_millivolts: bool, integers: bool
) -> Scale:
    """Return the conversion of a channel to mV.

    Raises:
        RecordError: the unit is not a voltage, is missing, or contradicts ``options``.
    """
    if unit is not None and unit.kind is UnitKind.OTHER:
        raise RecordError(path, f"{place}: unit {unit.text!r} is not a voltage")
    if unit is not None and unit.kind is UnitKind.VOLTAGE:
        if options.gain is not None:
            problem = f"{place}: has the unit {unit.text!r}, but gain is for ADC units; omit gain"
            raise RecordError(path, problem, parameter="gain")
        if options.units and not math.isclose(parse_unit(options.units).millivolts, unit.millivolts):
            problem = f"{place}: has the unit {unit.text!r}, but units is {options.units!r}; omit units"
            raise RecordError(path, problem, parameter="units")
        return Scale(1 / unit.millivolts, 0.0, declared=True)
    if options.gain is not None:
        return Scale(options.gain, options.adc_zero or 0.0, declared=True)
    if unit is not None and unit.kind is UnitKind.ADC:
        problem = f"{place}: has ADC units ({unit.text!r}); give gain (ADC units per mV) and adc_zero"
        raise RecordError(path, problem, parameter="gain", parameters=("adc_zero",))
    if options.units:
        return Scale(1 / parse_unit(options.units).millivolts, 0.0, declared=True)
    if unit is not None:
        problem = f"{place}: unit {unit.text!r} is unknown; give units (mV, uV or V), or gain for ADC units"
        raise RecordError(path, problem, parameter="units", parameters=("gain",))
    if integers:
        raise integers_error(path, place, options=options)
    if not assume_millivolts:
        problem = f"{place}: has no unit; give units (mV, uV or V), or gain for ADC units"
        raise RecordError(path, problem, parameter="units", parameters=("gain",))
    return Scale(1.0, 0.0, declared=False)


def integers_error(path: Path, place: str, *, options: ReadOptions) -> RecordError:
    """Return the error for integers without a unit."""
    others = ", or choose another lead" if options.lead == ALL_LEADS else ""
    problem = f"{place}: integers look like ADC units; give gain (ADC units per mV) and adc_zero"
    problem += f", or units (mV or uV){others}"
    return RecordError(path, problem, parameter="gain", parameters=("units", "adc_zero"))
