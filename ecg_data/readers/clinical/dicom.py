"""Waveforms in DICOM: 12-lead, general and ambulatory ECG.

References:
    DICOM PS3.3 C.10.9 (waveform), PS3.5 (encoding), PS3.16 CID 3001 (ECG leads).
"""

from __future__ import annotations

import io
import math
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.channels import MAX_CHANNELS, Channel, check_rate_given, recording_from_channels
from ecg_study.ecg_data.readers.clinical.dicom_structure import StructureCheck
from ecg_study.ecg_data.readers.clinical.series import LEAD_OF_CODE, Series, longest_series, moment_in
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

MAX_BYTES = 200_000_000
"""Largest file and largest content of a deflated file: 24 hours of three leads at 300 Hz."""

_PREFIX_BYTES = 128 + 4 + 12
"""Bytes before the file meta information: preamble, magic number, and the element with its length."""

_IMPLICIT, _EXPLICIT, _DEFLATED, _BIG_ENDIAN = (f"1.2.840.10008.1.2{part}" for part in ("", ".1", ".1.99", ".2"))
"""Transfer syntaxes. Compressed ones are for images."""

_TYPES = {(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2", (32, "SL"): "i4", (32, "UL"): "u4"}
"""Types of samples by bits allocated and sample interpretation. The companded ones, for speech, are missing."""

_LEAD_CODE = {"MDC": re.compile(r"2:([0-9]+)"), "SCPECG": re.compile(r"5\.6\.3-9-([0-9]+)")}
"""Codes of leads in the two coding schemes of CID 3001; both have the numbers of EN 1064."""

_PADDED_SECONDS = 0.2

_UCUM = {"mm[Hg]": "mmHg", "cm[H2O]": "cmH2O"}


def open_dicom(path: Path, options: ReadOptions) -> Recording:
    """Open a DICOM file with waveforms: its longest original multiplex group, not its median beats.

    Raises:
        RecordError: the file is truncated or damaged, or has no waveforms; the samples differ from the stated number;
            or lead, unit or sampling rate cannot be used.
    """
    content, implicit, little_endian = _data_set(path)
    with _as_record_error(path):
        from pydicom.filereader import read_dataset

        data = read_dataset(io.BytesIO(content), implicit, little_endian)
        groups = list(data.get("WaveformSequence") or ())
        if not groups:
            kind = getattr(data.get("SOPClassUID"), "name", "without a SOP class")
            raise RecordError(path, f"is DICOM without waveforms ({kind})")
        original = [group for group in groups if str(group.get("WaveformOriginality", "ORIGINAL")) != "DERIVED"]
        if not original:
            raise RecordError(path, "has no original waveforms, only derived ones such as median beats")
        start = moment_in(str(data.get("AcquisitionDateTime") or ""))
        # All groups are checked, so that a damaged file is not read in part.
        for group in groups:
            _samples(path, group, little_endian=little_endian)
        series = [_series(path, group, start, little_endian=little_endian) for group in original]
    chosen = longest_series(path, series, options=options)
    return recording_from_channels(
        path, chosen.channels, options=options, noun="channels", start_time=chosen.start_time
    )


@contextmanager
def _as_record_error(path: Path) -> Iterator[None]:
    """Turn every error and every warning of the library into a `RecordError`: it goes on after most faults."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except (RecordError, OSError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise RecordError(path, f"its DICOM elements cannot be read ({reason}); the file is damaged") from error


def _data_set(path: Path) -> tuple[bytes, bool, bool]:
    """Return the checked data set, whether its value representations are implicit, and whether it is little-endian."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RecordError(path, f"has {size:,} bytes; DICOM of up to {MAX_BYTES:,} bytes is read")
    with _as_record_error(path):
        from pydicom.datadict import dictionary_VR
        from pydicom.filereader import read_file_meta_info

        meta = read_file_meta_info(path)
        syntax = str(meta.get("TransferSyntaxUID", ""))
        length = int(meta.FileMetaInformationGroupLength)
    if syntax not in (_IMPLICIT, _EXPLICIT, _DEFLATED, _BIG_ENDIAN):
        raise RecordError(path, f"transfer syntax {syntax[:64]!r} is not one of waveforms")
    with open(path, "rb") as source:
        source.seek(_PREFIX_BYTES + length)
        content = source.read()
    if syntax == _DEFLATED:
        content = _inflated(path, content)

    def is_sequence(tag: int) -> bool:
        try:
            return str(dictionary_VR(tag)) == "SQ"
        except KeyError:
            return False

    implicit, little_endian = syntax == _IMPLICIT, syntax != _BIG_ENDIAN
    StructureCheck(path, content, little_endian=little_endian, is_sequence=is_sequence).run(implicit=implicit)
    return content, implicit, little_endian


def _inflated(path: Path, content: bytes) -> bytes:
    """Return the content of a deflated data set, up to `MAX_BYTES`."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        result = stream.decompress(content, MAX_BYTES + 1)
    except zlib.error as error:
        raise RecordError(path, "its deflated data set cannot be decompressed; the file is damaged") from error
    if len(result) > MAX_BYTES:
        raise RecordError(path, f"its deflated data set is too large; DICOM of up to {MAX_BYTES:,} bytes is read")
    # A byte of padding may follow.
    if not stream.eof or len(stream.unused_data) > 1:
        raise RecordError(path, "its deflated data set is truncated, or longer than it should be")
    return result


def _number(path: Path, item: Any, keyword: str, *, place: str) -> float | None:
    """Return the single finite number of an element; ``None`` if it is missing or empty."""
    value = item.get(keyword)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RecordError(path, f"{place}: {keyword} is {str(value)[:40]!r} instead of a number")
    return number


def _required(path: Path, item: Any, keyword: str, *, place: str) -> float:
    number = _number(path, item, keyword, place=place)
    if number is None:
        raise RecordError(path, f"{place}: {keyword} is missing")
    return number


def _label(group: Any) -> str:
    """Return the label of a multiplex group for messages, of any length: the library warns of one of 17 letters."""
    if "MultiplexGroupLabel" not in group:
        return ""
    value = group.get_item("MultiplexGroupLabel").value or ""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:40]


def _samples(path: Path, group: Any, *, little_endian: bool) -> np.ndarray:
    """Return the samples of a multiplex group as stored, shape ``(samples, channels)``."""
    place = f"multiplex group {_label(group) or 'without a label'}"
    names = ("NumberOfWaveformChannels", "NumberOfWaveformSamples", "WaveformBitsAllocated")
    channels, samples, bits = (int(_required(path, group, name, place=place)) for name in names)
    interpretation = str(group.get("WaveformSampleInterpretation", ""))
    kind = _TYPES.get((bits, interpretation))
    if kind is None:
        problem = f"samples of {bits} bits with the interpretation {interpretation[:20]!r} cannot be read"
        raise RecordError(path, f"{place}: {problem}")
    if not 0 < channels <= MAX_CHANNELS or samples < 1:
        raise RecordError(path, f"{place}: states {samples:,} samples of {channels:,} channels")
    element = group.get_item("WaveformData")
    content = group.get("WaveformData") or b""
    expected = channels * samples * (bits // 8)
    # A value has an even length.
    if len(content) != expected + expected % 2:
        problem = f"has {len(content):,} bytes of samples, but states {samples:,} samples of {channels} channels"
        raise RecordError(path, f"{place}: {problem}; the file is truncated, or longer than it should be")
    if bits == 8 and not little_endian and element.VR == "OW":
        content = np.frombuffer(content, ">u2").astype("<u2").tobytes()
    order = "<" if little_endian else ">"
    return np.frombuffer(content, order + kind, channels * samples).reshape(samples, channels)


def _series(path: Path, group: Any, start: datetime | None, *, little_endian: bool) -> Series:
    values = _samples(path, group, little_endian=little_endian)
    definitions = list(group.get("ChannelDefinitionSequence") or ())
    if len(definitions) != values.shape[1]:
        problem = f"describes {len(definitions)} channels, but states {values.shape[1]}; the file is damaged"
        raise RecordError(path, problem)
    fs = _number(path, group, "SamplingFrequency", place="multiplex group")
    if fs is not None:
        check_rate_given(path, fs, options=ReadOptions())
    padding = _padding(path, group, values.dtype)
    channels = tuple(
        _channel(path, item, values[:, position], fs, padding) for position, item in enumerate(definitions)
    )
    offset = _number(path, group, "MultiplexGroupTimeOffset", place="multiplex group") or 0.0
    start_time = "" if start is None else (start + timedelta(milliseconds=offset)).isoformat()
    return Series(channels, len(values) / fs if fs else 0.0, start_time)


def _padding(path: Path, group: Any, dtype: np.dtype[Any]) -> np.generic | None:
    """Return the sample that stands for a missing one; ``None`` if the group has none."""
    padding = group.get("WaveformPaddingValue")
    if not padding:
        return None
    # The value has an even length, also that of a sample of one byte.
    if not dtype.itemsize <= len(padding) <= max(2, dtype.itemsize):
        raise RecordError(path, f"WaveformPaddingValue has {len(padding)} bytes instead of those of a sample")
    value: np.generic = np.frombuffer(bytes(padding), dtype, 1)[0]
    return value


def _missing(values: np.ndarray, padding: np.generic, fs: float | None) -> np.ndarray:
    """Return which samples are missing.

    Some writers declare a padding value that the signal takes too, such as 0. Then only long runs of it are missing:
    no signal stays on one value for `_PADDED_SECONDS`.
    """
    equal = np.asarray(values == padding)
    others = values[~equal]
    if not len(others) or not others.min() <= padding <= others.max():
        return equal
    edges = np.flatnonzero(np.diff(equal, prepend=False, append=False))
    shortest = round(_PADDED_SECONDS * (fs or 1000.0))
    missing = np.zeros(len(equal), bool)
    for start, end in edges.reshape(-1, 2):
        missing[start:end] = end - start >= shortest
    return missing


def _channel(path: Path, item: Any, values: np.ndarray, fs: float | None, padding: np.generic | None) -> Channel:
    name = _name(item)
    place = f"channel {name[:40]}"
    sensitivity = _number(path, item, "ChannelSensitivity", place=place)
    factor = _number(path, item, "ChannelSensitivityCorrectionFactor", place=place)
    baseline = _number(path, item, "ChannelBaseline", place=place) or 0.0
    units = list(item.get("ChannelSensitivityUnitsSequence") or ())
    unit = str(units[0].get("CodeValue", "")) if units else ""
    if sensitivity == 0 or factor == 0:
        raise RecordError(path, f"{place}: its sensitivity or correction factor is 0")
    skew = _number(path, item, "ChannelSampleSkew", place=place) or 0.0
    seconds = _number(path, item, "ChannelTimeSkew", place=place) or 0.0
    if abs(skew + seconds * (fs or 0.0)) > 1:
        raise RecordError(path, f"{place}: is more than one sample later than other channels, which cannot be read")
    scale = (1.0 if sensitivity is None else sensitivity) * (1.0 if factor is None else factor)

    @cache
    def missing() -> np.ndarray | None:
        return None if padding is None else _missing(values, padding, fs)

    def read(start: int, end: int) -> np.ndarray:
        physical = np.asarray(values[start:end], np.float64) * scale + baseline
        where = missing()
        return physical if where is None else np.where(where[start:end], np.nan, physical)

    known = sensitivity is not None
    return Channel(name, _UCUM.get(unit, unit) if known else "", fs, len(values), read, integers=not known)


def _name(item: Any) -> str:
    """Return the name of a channel: of the standard code of its source, else its meaning, else its label."""
    sources = list(item.get("ChannelSourceSequence") or ())
    if sources:
        pattern = _LEAD_CODE.get(str(sources[0].get("CodingSchemeDesignator", "")))
        found = pattern.fullmatch(str(sources[0].get("CodeValue", ""))) if pattern else None
        if found and LEAD_OF_CODE.get(int(found[1])):
            return LEAD_OF_CODE[int(found[1])]
        if sources[0].get("CodeMeaning"):
            return str(sources[0].CodeMeaning).strip()
    return str(item.get("ChannelLabel") or "").strip()
