"""Headers of WFDB records, read strictly: every field is understood as a whole, or the header is refused.

References:
    WFDB Applications Guide, header(5) and signal(5), https://physionet.org/physiotools/wag/header-5.htm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ecg_study.ecg_data.readers.channels import MAX_CHANNELS
from ecg_study.errors import RecordError

BITS_PER_SAMPLE = {
    **{"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12},
    **{"310": 32 / 3, "311": 32 / 3},
}
"""Signal format → bits per sample."""

COMPRESSED_FORMATS = ("508", "516", "524")
"""Formats in which FLAC compresses the samples."""

_MAX_HEADER_BYTES = 2_000_000

_MOST_WITHOUT_LENGTH = 50_000_000
"""Most samples of all signals of a record whose header states no length: they are read at once."""

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?"
_INTEGER = r"[+-]?[0-9]{1,18}"
_RATE = re.compile(rf"(?P<fs>{_NUMBER})(?:/{_NUMBER}(?:\({_NUMBER}\))?)?")
_FORMAT = re.compile(
    r"(?P<format>[0-9]{1,3})(?:x(?P<frame>[0-9]{1,6}))?(?::(?P<skew>[0-9]{1,12}))?(?:\+(?P<offset>[0-9]{1,15}))?"
)
_GAIN = re.compile(rf"(?P<gain>{_NUMBER})(?:\((?P<baseline>{_INTEGER})\))?(?:/(?P<unit>\S+))?")


@dataclass(frozen=True)
class WfdbSignal:
    """One signal of a record.

    Attributes:
        file: name of the signal file, in the folder of the header.
        format: format of the samples.
        skew: samples by which the signal is late in the file.
        offset: bytes before the first sample in the file.
        gain: ADC units per unit; 0 if the signal is not calibrated.
        baseline: ADC units at 0 units.
        unit: unit of the calibrated signal.
        first_value: value of the first sample, where differences start.
        checksum: sum of all samples modulo 2¹⁶; ``None`` if it is missing.
        name: description of the signal; empty if it is missing.
    """

    file: str
    format: str
    skew: int
    offset: int
    gain: float
    baseline: int
    unit: str
    first_value: int
    checksum: int | None
    name: str


@dataclass(frozen=True)
class WfdbHeader:
    """Header of a record with one segment and one sampling rate.

    Attributes:
        path: path of the record without extension.
        fs: sampling rate in Hz; ``None`` if it is missing.
        samples: samples per signal.
        signals: all signals.
        start_time: date and time of the first sample in ISO 8601; empty if it is missing.
        states_length: whether the header states the number of samples. Otherwise, it is that of the signal files.
        first_line: line with the name of the record and its sampling rate.
    """

    path: Path
    fs: float | None
    samples: int
    signals: tuple[WfdbSignal, ...]
    start_time: str
    states_length: bool
    first_line: str

    @property
    def names(self) -> list[str]:
        """Names of all signals as in the header."""
        return [signal.name for signal in self.signals]


def record_path(path: Path) -> Path:
    """Return the path of a record without the extension of its header."""
    if path.suffix != ".hea" and path.suffix.lower() == ".hea":
        raise RecordError(path, "WFDB files have lower-case extensions; rename them (.hea, .dat)")
    return path.with_suffix("") if path.suffix == ".hea" else path


def read_header(path: Path) -> WfdbHeader:
    """Read the header of a record, and compare it with the size of the signal files.

    Args:
        path: path of the record without extension.

    Raises:
        RecordError: the header is missing, damaged, or of a record that cannot be read; a signal file is missing,
            shorter than the header states, or outside the folder of the header.
    """
    if not path.name:
        raise RecordError(path, "is a folder; give the path of a record in it")
    header_path = path.with_name(path.name + ".hea")
    first, lines = _described(header_path)
    words = first.split()
    count = _signal_count(header_path, words)
    fs = _rate(header_path, words[2]) if len(words) > 2 else None
    stated = _length(header_path, words[3]) if len(words) > 3 else None
    if len(lines) < count:
        raise RecordError(header_path, f"states {count:,} signals, but describes {len(lines):,}")
    if len(lines) > count:
        raise RecordError(
            header_path, f"states {count:,} signals, but describes {len(lines):,}; correct the first line"
        )
    signals = tuple(_signal(header_path, line, number) for number, line in enumerate(lines, 1))
    samples = _samples(header_path, signals, stated)
    for signal in signals:
        if signal.skew >= samples:
            raise RecordError(header_path, f"lead {signal.name}: a skew of {signal.skew:,} samples exceeds the record")
    return WfdbHeader(path, fs, samples, signals, _start_time(words[4:]), stated is not None, first)


def signal_files(header: WfdbHeader) -> list[Path]:
    """Return the signal files of a record, each once."""
    return [header.path.with_name(name) for name in dict.fromkeys(signal.file for signal in header.signals)]


def states_signal_file(header_path: Path, name: str) -> bool:
    """Return whether a header states a signal file of this name; the rest of the header is not checked.

    Raises:
        RecordError: the file is not a text of the size of a header.
    """
    return any(line.split()[0] == name for line in _described(header_path)[1])


def _described(header_path: Path) -> tuple[str, list[str]]:
    """Return the record line and the signal lines of a header."""
    if not header_path.is_file():
        problem = "is not a file" if header_path.exists() else "no such file; a WFDB record requires a header (.hea)"
        raise RecordError(header_path, problem)
    if header_path.stat().st_size > _MAX_HEADER_BYTES:
        raise RecordError(header_path, f"larger than {_MAX_HEADER_BYTES:,} bytes; not a WFDB header")
    content = header_path.read_bytes()
    if b"\0" in content:
        raise RecordError(header_path, "not a WFDB header: it contains zero bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise RecordError(header_path, "not a WFDB header: it describes nothing")
    return lines[0], lines[1:]


def _signal_count(header_path: Path, words: list[str]) -> int:
    if "/" in words[0] and re.fullmatch(r"[^/]+/[0-9]+", words[0]):
        raise RecordError(header_path, "multi-segment records are not supported; join the segments")
    if len(words) < 2 or not re.fullmatch("[0-9]{1,6}", words[1]):
        raise RecordError(header_path, "not a WFDB header: its first line has no number of signals")
    count = int(words[1])
    if not count:
        raise RecordError(header_path, "the header describes no signal")
    if count > MAX_CHANNELS:
        raise RecordError(header_path, f"states {count:,} signals; at most {MAX_CHANNELS:,} can be read")
    return count


def _rate(header_path: Path, word: str) -> float:
    found = _RATE.fullmatch(word)
    if found is None:
        raise RecordError(header_path, f"the sampling rate {word!r} is not a number")
    if not float(found["fs"]) > 0:
        raise RecordError(header_path, f"the sampling rate is {float(found['fs']):g} Hz; it must be positive")
    return float(found["fs"])


def _length(header_path: Path, word: str) -> int:
    """Return the number of samples."""
    if not re.fullmatch("[0-9]{1,15}", word):
        raise RecordError(header_path, f"the number of samples {word!r} is not an integer")
    if not int(word):
        raise RecordError(header_path, "states 0 samples; correct the number, or omit it")
    return int(word)


def _signal(header_path: Path, line: str, number: int) -> WfdbSignal:
    words = line.split(maxsplit=8)
    place = f"signal line {number}"
    if len(words) < 2:
        raise RecordError(header_path, f"{place}: {line!r} has no format")
    if not words[0].isprintable():
        raise RecordError(header_path, f"{place}: the file name {words[0]!r} has characters that cannot be printed")
    if "/" in words[0] or "\\" in words[0] or words[0] in {".", "..", "-", "~"}:
        raise RecordError(header_path, f"refers to the file {words[0]!r} outside its own folder")
    layout = _FORMAT.fullmatch(words[1])
    if layout is None or (layout["format"] not in BITS_PER_SAMPLE and layout["format"] not in COMPRESSED_FORMATS):
        raise RecordError(header_path, f"{place}: the format {words[1]!r} is unknown")
    if int(layout["frame"] or 1) != 1:
        raise RecordError(header_path, "its leads have different sampling rates; resample them to one rate")
    scale = _GAIN.fullmatch(words[2]) if len(words) > 2 else None
    if len(words) > 2 and scale is None:
        problem = f"{place}: the gain field {words[2]!r} is not gain(baseline)/unit, as in 200(0)/mV"
        raise RecordError(header_path, problem)
    integers = [_integer(header_path, place, words, position) for position in range(3, 8)]
    _, adc_zero, first_value, checksum, _ = integers
    baseline = int(scale["baseline"]) if scale and scale["baseline"] else adc_zero or 0
    return WfdbSignal(
        file=words[0],
        format=layout["format"],
        skew=int(layout["skew"] or 0),
        offset=int(layout["offset"] or 0),
        gain=float(scale["gain"]) if scale else 0.0,
        baseline=baseline,
        unit=(scale["unit"] if scale else None) or "mV",
        first_value=first_value if first_value is not None else adc_zero or 0,
        checksum=checksum,
        name=words[8].strip() if len(words) > 8 else "",
    )


_FIELDS = ("resolution of the ADC", "ADC zero", "initial value", "checksum", "block size")


def _integer(header_path: Path, place: str, words: list[str], position: int) -> int | None:
    if len(words) <= position:
        return None
    if not re.fullmatch(_INTEGER, words[position]):
        field = _FIELDS[position - 3]
        raise RecordError(header_path, f"{place}: the field {words[position]!r} ({field}) is not an integer")
    return int(words[position])


_MOST_PADDING = 3  # bytes after the samples, of writers that fill words of four bytes


def _samples(header_path: Path, signals: tuple[WfdbSignal, ...], stated: int | None) -> int:
    """Return the number of samples, which must agree with the size of the signal files.

    Raises:
        RecordError: a file is missing, or shorter or longer than the header states; or the header states no length,
            and the files do not show one.
    """
    lengths = set()
    for name in dict.fromkeys(signal.file for signal in signals):
        members = [signal for signal in signals if signal.file == name]
        file = header_path.with_name(name)
        if not file.is_file():
            raise RecordError(
                file, "is not a file" if file.exists() else "missing; the header names it as a signal file"
            )
        formats = {signal.format for signal in members}
        offsets = {signal.offset for signal in members}
        if len(formats) > 1 or len(offsets) > 1:
            raise RecordError(header_path, f"the signals in {name} have different formats or offsets")
        bits = BITS_PER_SAMPLE.get(members[0].format)
        if bits is None:
            _check_compressed(file, members, stated)
            continue
        size = file.stat().st_size - members[0].offset
        if stated is not None:
            expected = members[0].offset + int(-(-stated * len(members) * bits // 8))
            if size + members[0].offset < expected:
                actual = size + members[0].offset
                raise RecordError(file, f"truncated: {actual:,} bytes instead of {expected:,}")
            if size + members[0].offset > expected + _MOST_PADDING:
                held = int(size * 8 // (bits * len(members)))
                problem = f"holds {held:,} samples per signal, but the header states {stated:,}; correct the header"
                raise RecordError(file, problem)
            continue
        found = int(max(size, 0) * 8 // (bits * len(members)))
        if max(size, 0) * 8 - found * bits * len(members) >= 8:
            raise RecordError(file, "its size is not that of whole samples, and the header states no length")
        lengths.add(found)
    if stated is not None:
        return stated
    if len(lengths) != 1 or not max(lengths):
        raise RecordError(header_path, "states no number of samples, and the signal files do not show it")
    if max(lengths) * len(signals) > _MOST_WITHOUT_LENGTH:
        raise RecordError(header_path, "states no number of samples, and its files are large; add the number")
    return lengths.pop()


def _check_compressed(file: Path, members: Sequence[WfdbSignal], stated: int | None) -> None:
    """Compare the number of samples in a FLAC file with that of the header.

    Raises:
        RecordError: the file is damaged, or holds more or fewer samples.
    """
    if stated is None or members[0].offset:
        return
    with open(file, "rb") as source:
        head = source.read(42)
    # The first block of a FLAC file is STREAMINFO; 36 bits of it are the number of samples per channel, 0 if unknown.
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F:
        raise RecordError(file, "not a FLAC file, or truncated")
    held = int.from_bytes(head[21:26], "big") & (1 << 36) - 1
    if held and held != stated:
        verb = "holds only" if held < stated else "holds"
        problem = f"{verb} {held:,} samples per signal, but the header states {stated:,}; correct the header"
        raise RecordError(file, problem)


def _start_time(words: list[str]) -> str:
    """Return the start in ISO 8601; empty if date or time is missing."""
    for time_format in ("%H:%M:%S.%f", "%H:%M:%S"):
        try:
            return datetime.strptime(" ".join(words[:2]), f"{time_format} %d/%m/%Y").isoformat()
        except ValueError:
            continue
    return ""
