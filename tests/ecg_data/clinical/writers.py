"""Writers of small files in clinical formats, by their specifications, for tests."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.ecg_data.clinical.signals import FS, MICROVOLTS


def base64_of(content: bytes) -> str:
    """Return Base64 in lines of 76 letters."""
    return base64.encodebytes(content).decode()


def muse_lead(name: str, signal: np.ndarray, unit: str = "MICROVOLTS") -> str:
    content = signal.astype("<i2").tobytes()
    return f"""<LeadData><LeadByteCountTotal>{len(content)}</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset>
        <LeadSampleCountTotal>{len(signal)}</LeadSampleCountTotal>
        <LeadAmplitudeUnitsPerBit>{MICROVOLTS}</LeadAmplitudeUnitsPerBit>
        <LeadAmplitudeUnits>{unit}</LeadAmplitudeUnits><LeadID>{name}</LeadID>
        <LeadOffsetFirstSample>0</LeadOffsetFirstSample><FirstSampleBaseline>0</FirstSampleBaseline>
        <LeadSampleSize>2</LeadSampleSize><LeadDataCRC32>{zlib.crc32(content)}</LeadDataCRC32>
        <WaveFormData>\n{base64_of(content)}</WaveFormData></LeadData>"""


def muse_wave(kind: str, leads: dict[str, np.ndarray], unit: str = "MICROVOLTS") -> str:
    listed = "\n".join(muse_lead(name, signal, unit) for name, signal in leads.items())
    return f"""<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>{len(leads)}</NumberofLeads>
        <SampleType>CONTINUOUS_SAMPLES</SampleType><SampleBase>{FS}</SampleBase><SampleExponent>0</SampleExponent>
        {listed}</Waveform>"""


def muse(*waves: str) -> str:
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE RestingECG SYSTEM "restecg.dtd">
<RestingECG><TestDemographics><AcquisitionDate>09-22-2020</AcquisitionDate>
<AcquisitionTime>09:03:32</AcquisitionTime></TestDemographics>{"".join(waves)}</RestingECG>"""


def aecg_lead(code: str, signal: np.ndarray, unit: str = "uV") -> str:
    digits = " ".join(str(value) for value in signal)
    return f"""<component><sequence><code code="{code}" codeSystem="2.16.840.1.113883.6.24"/>
        <value xsi:type="SLIST_PQ"><origin value="0" unit="{unit}"/><scale value="{MICROVOLTS}" unit="{unit}"/>
        <digits>{digits}</digits></value></sequence></component>"""


AECG_TIME = """<component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>
    <value xsi:type="GLIST_TS"><head value="20021122091000.000"/><increment value="0.002" unit="s"/></value>
    </sequence></component>"""


def aecg_series(leads: Sequence[str], *, code: str = "RHYTHM", time: str = AECG_TIME) -> str:
    return f"""<component><series><code code="{code}" codeSystem="2.16.840.1.113883.5.4"/>
        <effectiveTime><low value="20021122091000"/><high value="20021122091005"/></effectiveTime>
        <component><sequenceSet>{time}{"".join(leads)}</sequenceSet></component></series></component>"""


def aecg(*series: str) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?><!-- of a test -->
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">
<code code="93000"/>{"".join(series)}</AnnotatedECG>"""


def ishne(leads: Sequence[np.ndarray], *, codes: Sequence[int], total: bool = False, comment: bytes = b"note") -> bytes:
    """Return an ISHNE file.

    Args:
        leads: leads in digital units.
        codes: codes of the leads.
        total: whether the header states the samples of all leads, as some writers do.
        comment: block of variable length.
    """
    count, samples = len(leads), len(leads[0])
    header = bytearray(522)
    header[:8] = b"ISHNE1.0"
    start = len(header) + len(comment)
    struct.pack_into("<4ih", header, 10, len(comment), samples * count if total else samples, 522, start, 1)
    struct.pack_into("<3h", header, 138, 22, 11, 2002)
    struct.pack_into("<3h", header, 150, 9, 10, 0)
    struct.pack_into("<h", header, 156, count)
    struct.pack_into("<12h", header, 158, *codes, *[-9] * (12 - count))
    struct.pack_into("<12h", header, 182, *[1] * count, *[-9] * (12 - count))
    struct.pack_into("<12h", header, 206, *[1000 * MICROVOLTS] * count, *[-9] * (12 - count))
    struct.pack_into("<h", header, 272, FS)
    data = np.column_stack(leads).astype("<i2").tobytes()
    return with_ishne_checksum(bytes(header) + comment + data)


def with_ishne_checksum(content: bytes) -> bytes:
    """Return an ISHNE file with the checksum of its header."""
    start = struct.unpack_from("<i", content, 22)[0]
    return content[:8] + struct.pack("<H", binascii.crc_hqx(content[10:start], 0xFFFF)) + content[10:]


def scp_section(number: int, body: bytes) -> bytes:
    body += b"\0" * (len(body) % 2)
    rest = struct.pack("<HIBB6s", number, 16 + len(body), 20, 20, b"SCPECG" if not number else b"") + body
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def scp(bodies: dict[int, bytes]) -> bytes:
    """Return an SCP-ECG file of sections."""
    sections = {number: scp_section(number, body) for number, body in sorted(bodies.items())}
    place = 6 + 16 + 10 * (len(sections) + 1)
    pointers = struct.pack("<HII", 0, place - 6, 7)
    for number, section in sections.items():
        pointers += struct.pack("<HII", number, len(section), place + 1)
        place += len(section)
    content = scp_section(0, pointers) + b"".join(sections.values())
    rest = struct.pack("<I", 6 + len(content)) + content
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def scp_leads(codes: Sequence[int], samples: int, *, flags: int = 4, first: int = 1) -> bytes:
    """Return the body of section 3."""
    listed = b"".join(struct.pack("<IIB", first, first + samples - 1, code) for code in codes)
    return bytes([len(codes), flags | len(codes) << 3]) + listed


def scp_data(
    leads: Sequence[bytes], *, differences: int, bimodal: int = 0, nanovolts: int = 1000 * MICROVOLTS
) -> bytes:
    """Return the body of section 5 or 6 with encoded leads."""
    head = struct.pack("<HHBB", nanovolts, 1_000_000 // FS, differences, bimodal)
    return head + struct.pack(f"<{len(leads)}H", *map(len, leads)) + b"".join(leads)


def differences_of(signal: np.ndarray, order: int) -> list[int]:
    """Return a signal, or its first or second differences after the first one or two samples."""
    if not order:
        return [int(value) for value in signal]
    return [int(value) for value in (*signal[:order], *np.diff(signal, order))]


def standard_code(value: int) -> str:
    """Return the bits of a value in the standard Huffman table."""
    if not value:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("1" if value < 0 else "0")
    if -128 <= value < 128:
        return "1111111110" + f"{value & 0xFF:08b}"
    return "1111111111" + f"{value & 0xFFFF:016b}"


def packed(numbers: Sequence[int], code: Callable[[int], str] = standard_code) -> bytes:
    """Return numbers in a Huffman code, whose last byte is filled with zeros."""
    bits = "".join(code(number) for number in numbers)
    bits += "0" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def xli(channels: Sequence[np.ndarray]) -> bytes:
    """Return channels compressed as Philips does."""
    result = b""
    for signal in channels:
        chunk, first = _xli_chunk(np.asarray(signal, np.int64))
        result += struct.pack("<iHh", len(chunk), 1, first) + chunk
    return result


def _xli_chunk(signal: np.ndarray) -> tuple[bytes, int]:
    second = 2 * signal[1:-1] - signal[:-2] - signal[2:]
    words = np.concatenate((signal[:2], second[1:] + 64, [64])).astype(">i2").tobytes()
    codes = _lzw(words[0::2] + words[1::2])
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big"), int(second[0])


def _lzw(content: bytes) -> list[int]:
    table = {bytes([value]): value for value in range(256)}
    codes, word = [], b""
    for value in content:
        longer = word + bytes([value])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        if len(table) < 1023:
            table[longer] = len(table)
        word = bytes([value])
    return [*codes, table[word], 1023]


def philips(content: bytes, names: Sequence[str], samples: int, *, compression: str = "XLI", more: str = "") -> str:
    """Return Philips XML of version 1.04.

    Args:
        content: waveforms, compressed or not.
        names: names of the leads.
        samples: number of samples.
        compression: compression of ``content``.
        more: more attributes of the waveforms.
    """
    return f"""<?xml version="1.0" encoding="utf-16"?>
<restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>PhilipsECG</documenttype><documentversion>1.04</documentversion></documentinfo>
<dataacquisition date="2020-05-18" time="15:48:11"><signalcharacteristics><samplingrate>{FS}</samplingrate>
<resolution>{MICROVOLTS}.0</resolution><bitspersample>16</bitspersample><signaloffset>0</signaloffset>
<signalsigned>True</signalsigned><numberchannelsvalid>{len(names)}</numberchannelsvalid></signalcharacteristics>
</dataacquisition><waveforms><parsedwaveforms dataencoding="Base64" compression="{compression}"
 numberofleads="{len(names)}" leadlabels="{" ".join(names)}" durationperchannel="{samples * 1000 // FS}"
 samplespersecond="{FS}" resolution="{MICROVOLTS}" {more}>{base64_of(content)}</parsedwaveforms>
<repbeats dataencoding="Base64" samplespersec="1000" resolution="1"><repbeat leadname="I"/></repbeats></waveforms>
</restingecgdata>"""


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path
