"""Resting ECGs in XML of GE MUSE.

MUSE exports the measured leads: I, II and V1 to V6. III, aVR, aVL and aVF are sums of I and II that it does not
export, so they cannot be selected here either.

References:
    GE Healthcare, MUSE XML, ``restecg.dtd``.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import MAX_CHANNELS, Channel, check_rate_given, recording_from_channels
from ecg_study.ecg_data.readers.clinical.series import Series, longest_series, reader_of
from ecg_study.ecg_data.readers.clinical.xml_tree import Element, bytes_in, integer_in, number_in, read_xml
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_UNITS = {
    "MICROVOLTS": "uV",
    "MICROVOLT": "uV",
    "MILLIVOLTS": "mV",
    "MILLIVOLT": "mV",
    "NANOVOLTS": "nV",
    "NANOVOLT": "nV",
    "VOLTS": "V",
    "VOLT": "V",
}


def open_muse(path: Path, options: ReadOptions) -> Recording:
    """Open a resting ECG of GE MUSE: the leads of its rhythm, not its median beats.

    Raises:
        RecordError: the file is damaged; a count, a checksum or the number of leads differs from the data; or lead,
            unit or sampling rate cannot be used.
    """
    root = read_xml(path)
    rhythms = [wave for wave in root.all("Waveform") if wave.text_at("WaveformType").lower() == "rhythm"]
    if not rhythms:
        kinds = sorted({wave.text_at("WaveformType")[:20] or "no type" for wave in root.all("Waveform")})
        raise RecordError(path, f"has no rhythm, only these waveforms: {', '.join(kinds[:8]) or 'none'}")
    start_time = _start_time(root)
    series = longest_series(path, [_series(path, wave, start_time) for wave in rhythms], options=options)
    return recording_from_channels(path, series.channels, options=options, start_time=series.start_time)


def _series(path: Path, wave: Element, start_time: str) -> Series:
    kind = wave.text_at("SampleType").upper()
    if kind not in ("", "CONTINUOUS_SAMPLES"):
        raise RecordError(path, f"SampleType is {kind[:40]!r} instead of CONTINUOUS_SAMPLES")
    fs = _rate(path, wave)
    leads = wave.all("LeadData")
    if wave.first("NumberofLeads") is not None:
        stated = integer_in(path, wave.text_at("NumberofLeads"), name="NumberofLeads")
        if stated != len(leads):
            raise RecordError(path, f"NumberofLeads is {stated:,}, but it has {len(leads):,}; the file is damaged")
    if not 0 < len(leads) <= MAX_CHANNELS:
        raise RecordError(path, f"has {len(leads):,} leads; 1 to {MAX_CHANNELS:,} can be read")
    channels = tuple(_channel(path, lead, fs, position) for position, lead in enumerate(leads, 1))
    lengths = {channel.samples for channel in channels}
    if len(lengths) > 1:
        listed = ", ".join(f"{length:,}" for length in sorted(lengths)[:20])
        raise RecordError(path, f"its leads have different lengths ({listed} samples); the file is damaged")
    seconds = channels[0].samples / fs if fs else 0.0
    return Series(channels, seconds, start_time)


def _rate(path: Path, wave: Element) -> float | None:
    """Return ``SampleBase * 10 ** SampleExponent`` in Hz; ``None`` if the file has none."""
    if wave.first("SampleBase") is None:
        return None
    base = number_in(path, wave.text_at("SampleBase"), name="SampleBase")
    exponent = 0
    if wave.first("SampleExponent") is not None:
        exponent = integer_in(path, wave.text_at("SampleExponent"), name="SampleExponent")
    if abs(exponent) > 12:
        raise RecordError(path, f"SampleExponent is {exponent}, which is not that of a sampling rate")
    return check_rate_given(path, base * 10.0**exponent, options=ReadOptions())


def _channel(path: Path, lead: Element, fs: float | None, position: int) -> Channel:
    name = lead.text_at("LeadID")
    place = f"lead {name[:40] or position}"
    size = integer_in(path, lead.text_at("LeadSampleSize"), name=f"{place}: LeadSampleSize")
    if size not in (2, 4):
        raise RecordError(path, f"{place}: LeadSampleSize is {size} bytes; 2 or 4 can be read")
    content = bytes_in(path, lead.text_at("WaveFormData"), name=f"{place}: WaveFormData")
    values = _values(path, lead, content, size, place)
    for zero in ("LeadTimeOffset", "LeadOffsetFirstSample", "FirstSampleBaseline"):
        if _count(path, lead, zero, place) not in (None, 0):
            raise RecordError(path, f"{place}: {zero} is not 0, which cannot be read")
    scale = number_in(path, lead.text_at("LeadAmplitudeUnitsPerBit"), name=f"{place}: LeadAmplitudeUnitsPerBit")
    if scale <= 0:
        raise RecordError(path, f"{place}: LeadAmplitudeUnitsPerBit is {scale:g}; it must be positive")
    unit = lead.text_at("LeadAmplitudeUnits")
    return Channel(name, _UNITS.get(unit.upper(), unit), fs, len(values), reader_of(values, scale))


def _values(path: Path, lead: Element, content: bytes, size: int, place: str) -> np.ndarray:
    """Return the samples, after comparing them with the counts and the checksum in the file."""
    stated = _count(path, lead, "LeadByteCountTotal", place)
    if stated is not None and stated != len(content):
        problem = f"LeadByteCountTotal is {stated:,}, but it has {len(content):,} bytes; the file is damaged"
        raise RecordError(path, f"{place}: {problem}")
    samples, rest = divmod(len(content), size)
    expected = _count(path, lead, "LeadSampleCountTotal", place)
    if rest or expected not in (None, samples):
        problem = f"LeadSampleCountTotal is {expected}, but it has {len(content):,} bytes of {size}-byte samples"
        raise RecordError(path, f"{place}: {problem}; the file is damaged")
    checksum = _count(path, lead, "LeadDataCRC32", place)
    # Converters that do not compute it write 0.
    if checksum and checksum % (1 << 32) != zlib.crc32(content):
        raise RecordError(path, f"{place}: checksum (LeadDataCRC32) does not match; the signal is damaged")
    return np.frombuffer(content, f"<i{size}")


def _count(path: Path, lead: Element, name: str, place: str) -> int | None:
    if lead.first(name) is None:
        return None
    return integer_in(path, lead.text_at(name), name=f"{place}: {name}")


def _start_time(root: Element) -> str:
    """Return the date and time of the recording in ISO 8601; empty if they are not in the American order of MUSE."""
    date = root.text_at("TestDemographics", "AcquisitionDate")
    time = root.text_at("TestDemographics", "AcquisitionTime")
    try:
        return datetime.strptime(f"{date} {time}", "%m-%d-%Y %H:%M:%S").isoformat()
    except ValueError:
        return ""
