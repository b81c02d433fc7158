"""Recordings in EDF, EDF+ and BDF files.

The header is read strictly, field by field: a field that cannot be understood is an error, because a converter's way of
going on would change the signal.

References:
    Kemp et al., A simple format for exchange of digitized polygraphic recordings, Electroencephalogr Clin Neurophysiol
    82, 1992; Kemp and Olivan, European data format 'plus' (EDF+), Clin Neurophysiol 114, 2003; BioSemi, BDF.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import MAX_CHANNELS, Channel, recording_from_channels
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_GENERAL_BYTES, _SIGNAL_BYTES = 256, 256
"""Bytes of the general header, and of the header of each signal."""

_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Bytes per signal of: label, transducer, unit, physical minimum and maximum, digital minimum and maximum,
prefiltering, samples per data record, reserved."""

_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")


_ONSET = re.compile(rb"([+-][0-9]{1,9}(?:\.[0-9]{0,40})?)[\x14\x15]")
_ONSET_BYTES = 64

_LATE_SECONDS = 0.1
"""Largest deviation of a data record from its place. Recorders that write the time of their clock deviate by less."""

_LATE_SECONDS_IF_DISCONTINUOUS = 0.002
"""The same in a file whose header states interruptions."""


@dataclass(frozen=True)
class _Signal:
    """Header of one signal.

    Attributes:
        label: label in the file.
        unit: physical dimension.
        physical: values at the digital minimum and maximum.
        digital: digital minimum and maximum.
        samples: samples per data record.
        start: index of its first sample in a data record.
        problem: why its samples cannot be read; empty if they can. Files may have such signals that nobody uses.
    """

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[int, int]
    samples: int
    start: int
    problem: str = ""


@dataclass(frozen=True)
class _Header:
    """Header of a file.

    Attributes:
        bytes_per_sample: 2 in EDF, 3 in BDF.
        start_time: date and time of the first sample in ISO 8601; empty if the header has none.
        header_bytes: bytes before the first data record.
        records: number of data records.
        seconds: duration of a data record.
        signals: headers of all signals, annotations excluded.
        record_samples: samples of all signals in one data record.
        discontinuous: whether the header states interruptions (EDF+D).
        annotations: first sample and number of samples of the first annotation signal in a data record; empty if there
            is none.
    """

    bytes_per_sample: int
    start_time: str
    header_bytes: int
    records: int
    seconds: float
    signals: tuple[_Signal, ...]
    record_samples: int
    discontinuous: bool
    annotations: tuple[int, ...]


def open_edf(path: Path, options: ReadOptions) -> Recording:
    """Open an EDF, EDF+ or BDF file as a memory map.

    Raises:
        RecordError: the file is truncated, longer than its header states, damaged or interrupted; the lead is
            missing or not a voltage; or leads have different sampling rates.
    """
    header = _read_header(path)
    _check_times(path, header)
    dtype, width = (np.dtype("<i2"), 1) if header.bytes_per_sample == 2 else (np.dtype(np.uint8), 3)
    shape = (header.records, header.record_samples * width)
    data = np.memmap(path, dtype, mode="r", offset=header.header_bytes, shape=shape)
    channels = [
        Channel(
            signal.label,
            signal.unit,
            signal.samples / header.seconds,
            signal.samples * header.records,
            _reader(data, signal, header.bytes_per_sample),
            problem=signal.problem,
        )
        for signal in header.signals
    ]
    return recording_from_channels(path, channels, options=options, start_time=header.start_time)


def _check_times(path: Path, header: _Header) -> None:
    """Compare the times of the data records, with which annotations begin in EDF+, with a continuous recording.

    Raises:
        RecordError: a data record begins earlier or later; some have no time; or none has, although the header states
            interruptions.
    """
    onsets = _onsets(path, header) if header.annotations else [None]
    missing = next((record for record, onset in enumerate(onsets) if onset is None), None)
    if missing is not None and any(onset is not None for onset in onsets):
        raise RecordError(path, f"data record {missing + 1:,} has no time, unlike others; the file is damaged")
    if missing is not None:  # an annotation signal of another kind
        if header.discontinuous:
            problem = "discontinuous recording (EDF+D) without the times of its data records"
            raise RecordError(path, f"{problem}; split it at the interruptions")
        return
    most = _LATE_SECONDS_IF_DISCONTINUOUS if header.discontinuous else _LATE_SECONDS
    for record, onset in enumerate(onsets):
        late = (onset or 0.0) - (onsets[0] or 0.0) - record * header.seconds
        if abs(late) > most:
            problem = f"data record {record + 1:,} begins {abs(late):g} s too {'late' if late > 0 else 'early'}"
            raise RecordError(path, f"{problem} for a continuous recording; split it at the interruptions")


def _onsets(path: Path, header: _Header) -> list[float | None]:
    """Return the time of each data record in seconds; ``None`` if it has none."""
    first, samples = (header.bytes_per_sample * number for number in header.annotations)
    shape = (header.records, header.record_samples * header.bytes_per_sample)
    data = np.memmap(path, np.uint8, mode="r", offset=header.header_bytes, shape=shape)
    starts = data[:, first : first + min(samples, _ONSET_BYTES)]
    found = (_ONSET.match(row.tobytes()) for row in starts)
    return [None if onset is None else float(onset[1]) for onset in found]


def _reader(data: np.ndarray, signal: _Signal, bytes_per_sample: int) -> Callable[[int, int], np.ndarray]:
    width = 1 if bytes_per_sample == 2 else 3
    columns = slice(signal.start * width, (signal.start + signal.samples) * width)
    (low, high), (first, last) = signal.physical, signal.digital
    slope = (high - low) / ((last - first) or 1)  # a signal without a calibration is never read

    def read(start: int, end: int) -> np.ndarray:
        record = start // signal.samples
        stored = np.asarray(data[record : -(-end // signal.samples), columns])
        digital = stored.reshape(-1) if bytes_per_sample == 2 else _from_24_bits(stored)
        skipped = start - record * signal.samples
        part = digital[skipped : skipped + end - start]
        values: np.ndarray = part * slope
        values += low - first * slope
        return values

    return read


def _from_24_bits(stored: np.ndarray) -> np.ndarray:
    """Return little-endian integers of 24 bits as int32."""
    padded = np.zeros((stored.size // 3, 4), np.uint8)
    padded[:, 1:] = stored.reshape(-1, 3)
    return np.asarray(padded.view("<i4").reshape(-1) >> 8)


def _read_header(path: Path) -> _Header:
    size = path.stat().st_size
    with open(path, "rb") as source:
        general = source.read(_GENERAL_BYTES)
        if len(general) < _GENERAL_BYTES:
            raise RecordError(path, f"truncated: {size:,} bytes, but the header alone has more")
        count = _integer(path, general[252:256], "number of signals")
        if not 0 < count <= MAX_CHANNELS:
            raise RecordError(path, f"its header states {count:,} signals; 1 to {MAX_CHANNELS:,} can be read")
        described = source.read(_SIGNAL_BYTES * count)
    header_bytes = _GENERAL_BYTES + _SIGNAL_BYTES * count
    if len(described) < _SIGNAL_BYTES * count:
        raise RecordError(path, f"truncated: {size:,} bytes, but the header of {count} signals has {header_bytes:,}")
    stated = _integer(path, general[184:192], "number of bytes in the header")
    if stated != header_bytes:
        problem = f"its header states {stated:,} header bytes, but {count} signals need {header_bytes:,}"
        raise RecordError(path, f"{problem}; the file is damaged")
    discontinuous = re.match(r"[EB]DF\+D", _text(general[192:236]), re.IGNORECASE) is not None
    bytes_per_sample = 3 if general[:1] == b"\xff" else 2
    signals, record_samples, annotations = _signals(path, described, count)
    records = _records(path, general, header_bytes, record_samples * bytes_per_sample, size)
    seconds = _number(path, general[244:252], "duration of a data record")
    if seconds <= 0:
        raise RecordError(path, f"its header states data records of {seconds:g} s; the duration must be positive")
    start_time = _start_time(general)
    return _Header(
        bytes_per_sample,
        start_time,
        header_bytes,
        records,
        seconds,
        signals,
        record_samples,
        discontinuous,
        annotations,
    )


def _records(path: Path, general: bytes, header_bytes: int, record_bytes: int, size: int) -> int:
    """Return the number of data records, which must agree with the size of the file."""
    records = _integer(path, general[236:244], "number of data records")
    found, rest = divmod(size - header_bytes, record_bytes)
    if records == -1:  # the recorder did not close the file, so only its size shows the length
        if rest or not found:
            raise RecordError(path, "its header states no number of data records, and the last one is truncated")
        return found
    if records < 1:
        raise RecordError(path, f"its header states {records:,} data records; it must have at least one")
    expected = header_bytes + records * record_bytes
    if size < expected:
        problem = f"truncated: {size:,} bytes, but its header states {records:,} data records ({expected:,} bytes)"
        raise RecordError(path, problem)
    if size > expected:
        problem = (
            f"{size:,} bytes, which is longer than the {records:,} data records of its header ({expected:,} bytes)"
        )
        raise RecordError(path, f"{problem}; correct the header, or split the file")
    return records


def _signals(path: Path, described: bytes, count: int) -> tuple[tuple[_Signal, ...], int, tuple[int, ...]]:
    """Return the headers of signals, the samples of all in a data record, and the place of annotations."""
    fields: list[list[bytes]] = []
    place = 0
    for width in _WIDTHS:
        fields.append([described[place + width * i : place + width * (i + 1)] for i in range(count)])
        place += width * count
    signals = []
    annotations: tuple[int, ...] = ()
    start = 0
    for i in range(count):
        label = _text(fields[0][i])
        name = f"signal {i + 1} ({label})"
        samples = _integer(path, fields[8][i], f"samples per data record of {name}")
        if samples < 0:
            raise RecordError(path, f"its header states {samples} samples per data record for {name}")
        if label not in _ANNOTATIONS:
            signals.append(_signal(path, name, label, [field[i] for field in fields], samples, start))
        elif not annotations and samples:
            annotations = (start, samples)
        start += samples
    if not signals:
        raise RecordError(path, "no signal except annotations")
    if not start:
        raise RecordError(path, signals[0].problem)
    return tuple(signals), start, annotations


def _signal(path: Path, name: str, label: str, fields: list[bytes], samples: int, start: int) -> _Signal:
    low, high = (
        _number(path, fields[place], f"physical {end} of {name}") for place, end in ((3, "minimum"), (4, "maximum"))
    )
    first, last = (
        _integer(path, fields[place], f"digital {end} of {name}") for place, end in ((5, "minimum"), (6, "maximum"))
    )
    problem = ""
    if not samples:
        problem = f"its header states 0 samples per data record for {name}; choose another lead"
    elif low == high or first >= last:
        problem = f"no calibration for {name}: physical range {low:g} to {high:g}, digital range {first} to {last}"
    return _Signal(label, _text(fields[2]), (low, high), (first, last), samples, start, problem)


def _text(field: bytes) -> str:
    """Return the text of a field. Recorders write the micro sign in Latin-1, or in UTF-8."""
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.strip(" \0")


def _number(path: Path, field: bytes, name: str) -> float:
    text = _text(field)
    if re.fullmatch(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?", text) is None:
        advice = "; the decimal mark must be a point" if "," in text else ""
        raise RecordError(path, f"header field {text!r} ({name}) is not a number{advice}")
    return float(text)


def _integer(path: Path, field: bytes, name: str) -> int:
    text = _text(field)
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise RecordError(path, f"header field {text!r} ({name}) is not an integer")
    return int(text)


def _start_time(general: bytes) -> str:
    """Return the start in ISO 8601; empty if it is not a date. Two digits of the year mean 1985 to 2084."""
    try:
        start = datetime.strptime(_text(general[168:184]), "%d.%m.%y%H.%M.%S")
    except ValueError:
        return ""
    if start.year < 1985:
        start = start.replace(year=start.year + 100)
    elif start.year > 2084:
        start = start.replace(year=start.year - 100)
    return start.isoformat()
