"""Recordings in HL7 aECG (annotated ECG), an XML format for clinical trials.

References:
    HL7 v3 annotated ECG, R1, 2004; Brown and Badilini, HL7 aECG implementation guide, 2005.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import MAX_CHANNELS, Channel, check_rate_given, recording_from_channels
from ecg_study.ecg_data.readers.clinical.series import Series, longest_series, moment_in, name_of_mdc, reader_of
from ecg_study.ecg_data.readers.clinical.xml_tree import Element, number_in, numbers_in, read_xml
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.ecg_data.readers.units import voltage_in
from ecg_study.errors import RecordError

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}

_DURATION_TOLERANCE = 2.0
"""Largest difference in s between the samples and the effective time, whose two ends may be rounded to seconds."""


def open_aecg(path: Path, options: ReadOptions) -> Recording:
    """Open an HL7 aECG file: its rhythm, not its representative beats.

    Raises:
        RecordError: the file is damaged; leads differ in length; the samples do not fill the effective time; or lead,
            unit or sampling rate cannot be used.
    """
    root = read_xml(path)
    rhythms = [one for one in root.all("component", "series") if _code(one) in ("", "RHYTHM")]
    if not rhythms:
        kinds = sorted({_code(one)[:40] for one in root.walk() if one.name in ("series", "derivedSeries")})
        raise RecordError(path, f"has no rhythm, only these series: {', '.join(kinds[:8]) or 'none'}")
    series = longest_series(path, [_series(path, one) for one in rhythms], options=options)
    return recording_from_channels(path, series.channels, options=options, start_time=series.start_time)


def _code(element: Element) -> str:
    """Return the code of a series or sequence."""
    code = element.first("code")
    return "" if code is None else code.attributes.get("code", "").strip()


def _series(path: Path, element: Element) -> Series:
    sets = element.all("component", "sequenceSet")
    if len(sets) != 1:
        problem = f"a rhythm has {len(sets):,} sequence sets; one can be read, because there may be gaps between them"
        raise RecordError(path, f"{problem}; export each as a file")
    sequences = sets[0].all("component", "sequence")
    times = [one for one in sequences if _code(one).startswith("TIME_")]
    leads = [one for one in sequences if not _code(one).startswith("TIME_")]
    if len(times) > 1:
        raise RecordError(path, f"a rhythm has {len(times):,} time sequences; one can be read")
    if not 0 < len(leads) <= MAX_CHANNELS:
        raise RecordError(path, f"has {len(leads):,} leads; 1 to {MAX_CHANNELS:,} can be read")
    fs, start_time = _time(path, times[0]) if times else (None, "")
    channels = tuple(_channel(path, one, fs, position) for position, one in enumerate(leads, 1))
    lengths = sorted({channel.samples for channel in channels})
    if len(lengths) > 1:
        listed = ", ".join(f"{length:,}" for length in lengths[:20])
        raise RecordError(path, f"its leads have different lengths ({listed} samples); the file is damaged")
    seconds = lengths[0] / fs if fs else 0.0
    if fs:
        _check_duration(path, element, seconds)
    return Series(channels, seconds, start_time)


def _time(path: Path, sequence: Element) -> tuple[float, str]:
    """Return the sampling rate in Hz and the start in ISO 8601 of a generated list of times."""
    value = sequence.first("value") or Element("value", {})
    kind = value.attributes.get("type", "").rpartition(":")[2]
    if kind not in ("GLIST_TS", "GLIST_PQ"):
        problem = f"its times are of the type {kind[:40]!r}; GLIST_TS and GLIST_PQ, with an increment, can be read"
        raise RecordError(path, problem)
    increment = value.first("increment") or Element("increment", {})
    unit = increment.attributes.get("unit", "").strip()
    if unit not in _SECONDS:
        known = ", ".join(_SECONDS)
        raise RecordError(path, f"increment of the time: unit {unit[:40]!r} is not a unit of time ({known})")
    step = number_in(path, increment.attributes.get("value", ""), name="increment of the time") * _SECONDS[unit]
    if step <= 0:
        raise RecordError(path, f"increment of the time: {step:g} s; it must be positive")
    head = value.first("head") or Element("head", {})
    moment = moment_in(head.attributes.get("value", "")) if kind == "GLIST_TS" else None
    # Increments such as 3.90625 ms are written with few digits, so the rate has no more than six.
    fs = check_rate_given(path, float(f"{1 / step:.6g}"), options=ReadOptions())
    return fs, "" if moment is None else moment.isoformat()


def _check_duration(path: Path, element: Element, seconds: float) -> None:
    """Check that the samples fill the effective time, if it has both ends."""
    ends = []
    for name in ("low", "high"):
        end = element.first("effectiveTime", name)
        ends.append(None if end is None else moment_in(end.attributes.get("value", "")))
    if ends[0] is None or ends[1] is None or ends[1] <= ends[0]:
        return
    stated = (ends[1] - ends[0]).total_seconds()
    if abs(stated - seconds) > _DURATION_TOLERANCE:
        problem = f"its samples last {seconds:g} s, but its effective time is {stated:g} s"
        raise RecordError(path, f"{problem}; samples are missing, or the increment of the time is wrong")


def _channel(path: Path, sequence: Element, fs: float | None, position: int) -> Channel:
    name = name_of_mdc(_code(sequence))
    place = f"lead {name[:40] or position}"
    value = sequence.first("value") or Element("value", {})
    kind = value.attributes.get("type", "").rpartition(":")[2]
    if kind != "SLIST_PQ":
        raise RecordError(path, f"{place}: its values are of the type {kind[:40]!r}; SLIST_PQ can be read")
    scale, unit = _quantity(path, value, "scale", place)
    origin, origin_unit = _quantity(path, value, "origin", place)
    if not scale:
        raise RecordError(path, f"{place}: its scale is 0")
    if origin and origin_unit != unit:
        factors = voltage_in(origin_unit), voltage_in(unit)
        if factors[0] is None or factors[1] is None:
            problem = f"its origin has the unit {origin_unit[:40]!r}, and its scale has {unit[:40]!r}"
            raise RecordError(path, f"{place}: {problem}; they do not agree")
        origin *= factors[0] / factors[1]
    values: np.ndarray = numbers_in(path, value.text_at("digits"), name=place)
    if not len(values):
        raise RecordError(path, f"{place}: has no samples")
    return Channel(name, unit, fs, len(values), reader_of(values, scale, offset=origin))


def _quantity(path: Path, value: Element, name: str, place: str) -> tuple[float, str]:
    """Return a physical quantity and its unit."""
    element = value.first(name) or Element(name, {})
    number = number_in(path, element.attributes.get("value", ""), name=f"{place}: {name}")
    return number, element.attributes.get("unit", "").strip()
