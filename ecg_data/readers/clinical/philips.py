"""Resting ECGs in XML of Philips (Sierra ECG), versions 1.03 and 1.04.

Their compression, XLI, is LZW codes of ten bits over second differences.

References:
    Philips, Sierra ECG XML schema; Watford, sierra-ecg-tools, which describes XLI from files.
"""

from __future__ import annotations

import struct
from datetime import datetime
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import Channel, check_rate_given, recording_from_channels
from ecg_study.ecg_data.readers.clinical.series import reader_of
from ecg_study.ecg_data.readers.clinical.xml_tree import Element, bytes_in, integer_in, number_in, read_xml
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_VERSIONS = ("1.03", "1.04", "1.04.01", "1.04.02")

_STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_STANDARD_SETS = ("STD-12", "10-WIRE")

_MAX_SAMPLES = 1_000_000
"""Most samples of a lead: 16 minutes at 1,000 Hz."""

_MAX_LEADS = 32


def open_philips(path: Path, options: ReadOptions) -> Recording:
    """Open a resting ECG of Philips: the leads of its rhythm, not its representative beats.

    Raises:
        RecordError: the file is damaged; its parts contradict each other; or its version or encoding cannot be read.
    """
    root = read_xml(path)
    version = root.text_at("documentinfo", "documentversion")
    if version not in _VERSIONS:
        problem = f"is Philips XML of version {version[:20]!r}; {', '.join(_VERSIONS)} can be read"
        raise RecordError(path, f"{problem}; export it as DICOM or HL7 aECG")
    waves = root.all("waveforms", "parsedwaveforms")
    if len(waves) != 1:
        raise RecordError(path, f"has {len(waves)} parsed waveforms instead of one; export it as DICOM or HL7 aECG")
    acquisition = root.first("dataacquisition") or Element("dataacquisition", {})
    described = acquisition.first("signalcharacteristics") or Element("signalcharacteristics", {})
    wave = _Wave(path, waves[0], described)
    fs = check_rate_given(path, wave.number("samplespersecond", "samplingrate"), options=ReadOptions())
    microvolts = wave.number("resolution", "resolution", "signalresolution")
    if microvolts <= 0:
        raise RecordError(path, f"its resolution is {microvolts:g} µV; it must be positive")
    names = wave.names()
    samples = wave.samples(fs)
    values = wave.values(names, samples)
    channels = [
        Channel(name, "uV", fs, samples, reader_of(lead, microvolts)) for name, lead in zip(names, values, strict=True)
    ]
    return recording_from_channels(path, channels, options=options, start_time=_start_time(acquisition))


class _Wave:
    """Waveforms of a file, with their attributes, and with the elements that describe the signal.

    Version 1.04 has most facts in both; version 1.03 has some only in the elements.
    """

    def __init__(self, path: Path, wave: Element, described: Element) -> None:
        self._path = path
        self._wave = wave
        self._described = described

    def _text(self, attribute: str, *elements: str) -> str:
        """Return a fact; the attribute and the elements must agree."""
        found = [self._wave.attributes.get(attribute, "").strip()]
        found += [self._described.text_at(element) for element in elements]
        found = [text for text in found if text]
        if len(set(found)) > 1 and len({_comparable(text) for text in found}) > 1:
            listed = " and ".join(repr(text[:20]) for text in found)
            raise RecordError(self._path, f"states {attribute} twice, as {listed}; the file is damaged")
        return found[0] if found else ""

    def number(self, attribute: str, *elements: str) -> float:
        """Return a number that must be stated."""
        return number_in(self._path, self._text(attribute, *elements), name=attribute)

    def names(self) -> list[str]:
        """Return the names of the leads."""
        names = self._wave.attributes.get("leadlabels", "").split()
        stated = self._text("numberofleads", *(() if names else ("numberchannelsvalid",)))
        count = integer_in(self._path, stated, name="number of leads")
        if not names:
            kind = self._described.text_at("leadset") or self._described.text_at("acquisitiontype")
            if kind not in _STANDARD_SETS or count != len(_STANDARD_LEADS):
                problem = f"has {count:,} leads of the set {kind[:20]!r} without names"
                raise RecordError(self._path, f"{problem}; export it as DICOM or HL7 aECG")
            names = list(_STANDARD_LEADS)
        if count != len(names) or not 0 < count <= _MAX_LEADS:
            raise RecordError(self._path, f"states {count:,} leads, but names {len(names):,}; the file is damaged")
        return names

    def samples(self, fs: float) -> int:
        """Return the number of samples of a lead."""
        milliseconds = number_in(self._path, self._text("durationperchannel"), name="durationperchannel")
        samples = milliseconds * fs / 1000
        if samples != round(samples) or not 3 <= samples <= _MAX_SAMPLES:
            problem = f"durationperchannel is {milliseconds:g} ms, which is {samples:,.10g} samples at {fs:g} Hz"
            raise RecordError(self._path, f"{problem}; 3 to {_MAX_SAMPLES:,} samples can be read")
        return int(samples)

    def values(self, names: list[str], samples: int) -> list[np.ndarray]:
        """Return the samples of each lead in digital units."""
        bits = self._text("bitspersample", "bitspersample") or self._wave.attributes.get("nbitspersample", "")
        signed = self._text("signalsigned", "signalsigned").lower()
        offset = self._text("signaloffset", "signaloffset") or "0"
        if bits != "16" or signed not in ("true", "1", "yes") or number_in(self._path, offset, name="signaloffset"):
            problem = f"has {bits[:9] or 'unstated'} bits per sample, signalsigned {signed[:9]!r}, offset {offset[:9]}"
            raise RecordError(self._path, f"{problem}; 16 signed bits with offset 0 can be read")
        encoding = self._wave.attributes.get("dataencoding", "")
        compression = self._compression()
        if encoding != "Base64" or compression not in ("", "XLI"):
            problem = f"its waveforms have the encoding {encoding[:20]!r} and compression {compression[:20]!r}"
            raise RecordError(self._path, f"{problem}; Base64 and XLI can be read; export it as DICOM or HL7 aECG")
        content = bytes_in(self._path, self._wave.text, name="parsedwaveforms")
        if compression:
            return self._decompressed(content, names, samples)
        if len(content) != 2 * samples * len(names):
            problem = f"has {len(content):,} bytes of waveforms, but states {samples:,} samples of {len(names)} leads"
            raise RecordError(self._path, f"{problem}; the file is damaged")
        return list(np.frombuffer(content, "<i2").reshape(len(names), samples))

    def _compression(self) -> str:
        attributes = self._wave.attributes
        if attributes.get("compressflag", "").lower() in ("false", "0", "no"):
            return ""
        compression = attributes.get("compression", "") or attributes.get("compressmethod", "")
        return "" if compression.lower() in ("uncompressed", "none") else compression

    def _decompressed(self, content: bytes, names: list[str], samples: int) -> list[np.ndarray]:
        values = decode_xli(self._path, content, samples=samples)
        if len(values) < len(names):
            problem = f"has {len(values)} compressed channels, but names {len(names)} leads"
            raise RecordError(self._path, f"{problem}; the file is damaged")
        # Recorders store 16 channels; those after the leads have nothing but a calibration pulse.
        values = values[: len(names)]
        if tuple(names[:6]) == _STANDARD_LEADS[:6]:
            return [*_limb_leads(values[:6]), *values[6:]]
        if {"III", "aVR", "aVL", "aVF"} & set(names):
            problem = "has limb leads in an unusual order, whose compression is unknown"
            raise RecordError(self._path, f"{problem}; export it as DICOM or HL7 aECG")
        return values


def _limb_leads(values: list[np.ndarray]) -> list[np.ndarray]:
    """Return I, II, III, aVR, aVL and aVF; the last four are stored as differences from sums of the first two."""
    one, two = values[:2]
    three = two - one - values[2]
    return [
        one,
        two,
        three,
        -_half(one + two) - values[3],
        _half(one - three) - values[4],
        _half(two + three) - values[5],
    ]


def _half(values: np.ndarray) -> np.ndarray:
    """Return half of integers, rounded toward 0 as in C: the four leads then agree within half a unit."""
    return np.asarray(np.sign(values) * (np.abs(values) // 2))


def _comparable(text: str) -> object:
    """Return a number as such, so that 5 and 5.00 are the same, and other texts in lower case."""
    try:
        return float(text)
    except ValueError:
        return text.lower()


def _start_time(acquisition: Element) -> str:
    """Return the date and time of the recording in ISO 8601; empty if there is none."""
    text = f"{acquisition.attributes.get('date', '')} {acquisition.attributes.get('time', '')}"
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").isoformat()
    except ValueError:
        return ""


_CODE_BITS = 10
_END = (1 << _CODE_BITS) - 1
_HEADER = struct.Struct("<iHh")
"""Header of a chunk: bytes that follow, an unknown number, and the first difference."""

_MOST_CHANNELS = 32

_BIAS = 64
"""Subtracted from stored differences."""


def decode_xli(path: Path, content: bytes, *, samples: int) -> list[np.ndarray]:
    """Return the channels of compressed content, each as int64 of shape ``(samples,)``.

    Args:
        path: path of the file, for messages.
        content: compressed content.
        samples: number of samples of each channel.

    Raises:
        RecordError: a channel is truncated or damaged, or has another number of samples.
    """
    channels: list[np.ndarray] = []
    place = 0
    while place < len(content):
        name = f"channel {len(channels) + 1} of the waveforms"
        if len(channels) == _MOST_CHANNELS:
            raise RecordError(path, f"has more than {_MOST_CHANNELS} channels; the file is damaged")
        start = place + _HEADER.size
        size, _, first = _HEADER.unpack_from(content, place) if start <= len(content) else (0, 0, 0)
        if not 0 < size <= len(content) - start:
            raise RecordError(path, f"{name} is truncated; the file is damaged")
        stored = _decompress(content[start : start + size], 2 * samples)
        if stored is None:
            raise RecordError(path, f"{name} does not have {samples:,} samples when decompressed; the file is damaged")
        channels.append(_undo_differences(stored, first))
        place = start + size
    return channels


def _decompress(chunk: bytes, size: int) -> bytes | None:
    """Return the decompressed bytes; ``None`` if they are not ``size`` bytes and a code for the end."""
    bits = np.unpackbits(np.frombuffer(chunk, np.uint8))
    whole = len(bits) - len(bits) % _CODE_BITS
    codes = bits[:whole].reshape(-1, _CODE_BITS) @ (1 << np.arange(_CODE_BITS - 1, -1, -1))
    words = [bytes([value]) for value in range(256)]
    result = bytearray()
    previous = b""
    for code in codes.tolist():
        if code == _END:
            return bytes(result) if len(result) == size else None
        if code < len(words):
            word = words[code]
        elif previous and code == len(words):
            word = previous + previous[:1]
        else:
            return None
        if previous and len(words) < _END:
            words.append(previous + word[:1])
        result += word
        previous = word
        if len(result) > size:
            return None
    return None


def _undo_differences(stored: bytes, first: int) -> np.ndarray:
    """Return samples. The first half of the bytes are the high ones; the first two words are samples."""
    half = len(stored) // 2
    pairs = np.frombuffer(stored, np.uint8).reshape(2, half)
    words = (pairs[0].astype(np.uint16) << 8 | pairs[1]).view(np.int16).astype(np.int64)
    # x[n] = 2 x[n-1] - x[n-2] - d[n-1], where d[1] is in the header and d[n] in word n.
    differences = np.concatenate(([first], words[2:-1] - _BIAS))
    slopes = words[1] - words[0] - np.cumsum(differences)
    return np.concatenate((words[:2], words[1] + np.cumsum(slopes)))[:half]
