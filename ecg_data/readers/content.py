"""File formats, recognized by the first bytes of a file."""

from __future__ import annotations

import codecs
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.readers.arrays.hdf5 import SIGNATURE
from ecg_study.ecg_data.readers.arrays.matlab import is_matlab
from ecg_study.ecg_data.readers.arrays.matlab73 import is_matlab73
from ecg_study.ecg_data.readers.arrays.npz import is_npz
from ecg_study.ecg_data.readers.devices.apple_header import is_apple_health
from ecg_study.ecg_data.readers.devices.biopac_header import byte_order
from ecg_study.errors import RecordError

HEAD_BYTES = 4096
"""Bytes from which a format is recognized."""

_READERS = "ecg_study.ecg_data.readers"


@dataclass(frozen=True)
class FileFormat:
    """A file format with its reader.

    Attributes:
        name: name for messages.
        endings: usual extensions, in lower case. They are a hint where the content is not characteristic.
        reader: module and function that read it, as ``module:function``.
        matches: whether the first bytes of a file are of this format.
        packages: packages of the extra ``formats`` that reading needs.
    """

    name: str
    endings: tuple[str, ...]
    reader: str
    matches: Callable[[bytes], bool]
    packages: tuple[str, ...] = ()


def _is_edf(head: bytes) -> bool:
    return head[:8] == b"0       " and head[184:192].strip().isdigit()


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def _is_scp(head: bytes) -> bool:
    """Return whether section 0 of SCP-ECG comes first, and its first pointer is to itself, at byte 7."""
    return len(head) >= 32 and head[8:10] == b"\0\0" and head[22:24] == b"\0\0" and head[28:32] == b"\7\0\0\0"


_XML_PROLOG = (("<?", "?>"), ("<!--", "-->"), ("<!DOCTYPE", ">"))
"""First and last letters of what may stand before the root element of XML."""

_XML_START = re.compile(r"<(?:[\w.-]+:)?(?P<name>[A-Za-z_][\w.-]*)[\s/>]")


def _text_of(head: bytes) -> str:
    """Return the first bytes of a text, in UTF-8, UTF-16 or else Latin-1."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", errors="replace")
    head = head.removeprefix(codecs.BOM_UTF8)
    encoding = utf_16_without_mark(head)
    if encoding:
        return head.decode(encoding, errors="replace")
    try:
        # The last character may be cut off.
        return codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return head.decode("latin-1")


def xml_root(head: bytes) -> str:
    """Return the name of the root element of an XML file; empty if it is not XML, or has a long comment before it."""
    text = _text_of(head)
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        last = next((last for first, last in _XML_PROLOG if text.startswith(first, at)), None)
        if last is None:
            found = _XML_START.match(text, at)
            return found["name"] if found else ""
        end = text.find(last, at)
        if last == ">" and "[" in text[at : max(end, at)]:
            end = text.find(">", text.find("]", at)) if "]" in text[at:] else -1
        if end < 0:
            return ""
        at = end + len(last)


def _has_root(name: str) -> Callable[[bytes], bool]:
    return lambda head: xml_root(head) == name


def _never(_: bytes) -> bool:
    return False


WFDB = FileFormat("WFDB", (".hea",), f"{_READERS}.wfdb:open_wfdb", _never)
TABLE = FileFormat("text table", (".csv", ".tsv", ".txt"), f"{_READERS}.tables.table:open_table", _never)

_TEXT_FORMATS = (
    FileFormat(
        "OpenSignals",
        (".txt",),
        f"{_READERS}.devices.opensignals:open_opensignals",
        lambda head: _text_of(head).startswith("# OpenSignals Text File Format"),
    ),
    FileFormat(
        "Apple Health ECG",
        (".csv",),
        f"{_READERS}.devices.apple:open_apple_health",
        lambda head: is_apple_health(_text_of(head)),
    ),
)

_BINARY_FORMATS = (
    FileFormat("EDF", (".edf",), f"{_READERS}.edf:open_edf", _is_edf),
    FileFormat("BDF", (".bdf",), f"{_READERS}.edf:open_edf", lambda head: head[:8] == b"\xffBIOSEMI"),
    FileFormat("NumPy array", (".npy",), f"{_READERS}.npy:open_array", lambda head: head[:6] == b"\x93NUMPY"),
    FileFormat("NumPy archive", (".npz",), f"{_READERS}.arrays.npz:open_npz", is_npz),
    FileFormat("MATLAB", (".mat",), f"{_READERS}.arrays.matlab:open_matlab", is_matlab),
    FileFormat("MATLAB 7.3", (".mat",), f"{_READERS}.arrays.matlab73:open_matlab73", is_matlab73, ("h5py",)),
    FileFormat(
        "OpenSignals HDF5",
        (".h5", ".hdf5"),
        f"{_READERS}.devices.opensignals_hdf5:open_opensignals_hdf5",
        lambda head: head[:8] == SIGNATURE,
        ("h5py",),
    ),
    FileFormat("DICOM", (".dcm", ".dicom"), f"{_READERS}.clinical.dicom:open_dicom", _is_dicom, ("pydicom",)),
    FileFormat("SCP-ECG", (".scp",), f"{_READERS}.clinical.scp:open_scp", _is_scp),
    FileFormat("ISHNE", (".ecg",), f"{_READERS}.clinical.ishne:open_ishne", lambda head: head[:8] == b"ISHNE1.0"),
    FileFormat("HL7 aECG", (".xml",), f"{_READERS}.clinical.aecg:open_aecg", _has_root("AnnotatedECG")),
    FileFormat("GE MUSE XML", (".xml",), f"{_READERS}.clinical.muse:open_muse", _has_root("RestingECG")),
    FileFormat("AcqKnowledge", (".acq",), f"{_READERS}.devices.biopac:open_acq", lambda head: bool(byte_order(head))),
    FileFormat("Philips XML", (".xml",), f"{_READERS}.clinical.philips:open_philips", _has_root("restingecgdata")),
)

FORMATS = (WFDB, TABLE, *_BINARY_FORMATS, *_TEXT_FORMATS)
"""All formats that can be read."""

ENDINGS = tuple(dict.fromkeys(ending for file_format in FORMATS for ending in file_format.endings))
"""Extensions of readable files; a name without an extension is that of a WFDB record."""

_GZIP = b"\x1f\x8b"

_OTHER_FILES = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office file; save the sheet as CSV"),
    (b"BZh", "compressed with bzip2; decompress it"),
    (b"\xfd7zXZ", "compressed with xz; decompress it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; decompress it"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"ANN  1.0", "an ISHNE annotation file; give the .ecg file of the recording"),
)
"""First bytes of files that are often given by mistake, and what they are."""


def read_head(path: Path) -> bytes:
    """Return the first bytes of a regular file.

    Raises:
        RecordError: the path is not a file with content: a folder, a pipe, a device, or empty.
        OSError: the file cannot be opened.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise RecordError(path, f"is {kind}, not a file")
    with open(path, "rb") as source:
        head = source.read(HEAD_BYTES)
    if not head:
        raise RecordError(path, "empty")
    return head


def is_gzip(head: bytes) -> bool:
    """Return whether the first bytes are those of a file compressed with gzip."""
    return head[:2] == _GZIP


def detect_format(path: Path, head: bytes) -> FileFormat:
    """Return the format of a file by its first bytes.

    Raises:
        RecordError: the format cannot be read.
    """
    for file_format in _BINARY_FORMATS:
        if file_format.matches(head):
            return file_format
    root = xml_root(head)
    if root:
        known = "HL7 aECG (AnnotatedECG), GE MUSE (RestingECG) and Philips (restingecgdata) can be read"
        raise RecordError(path, f"is XML or HTML with the root element {root[:40]!r}; {known}")
    ending = path.suffix.lower()
    by_ending = next((f for f in _BINARY_FORMATS if ending in f.endings), None)
    if is_text(head):
        return next((f for f in _TEXT_FORMATS if f.matches(head)), TABLE)
    for first, kind in _OTHER_FILES:
        if head.startswith(first):
            raise RecordError(path, f"is {kind}")
    if ending in TABLE.endings:
        raise RecordError(path, "not a text table")
    if by_ending is not None:
        raise RecordError(path, f"not a {by_ending.name} file, nor one of another readable format")
    raise RecordError(path, f"not a readable format ({', '.join(ENDINGS)})")


def is_text(head: bytes) -> bool:
    """Return whether the first bytes are those of a text in UTF-8, UTF-16, Latin-1 or another extension of ASCII."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if utf_16_without_mark(head):
        return True
    # The controls that occur in text: tab, line feed, vertical tab, form feed, carriage return, end of file of DOS.
    return not any(byte < 32 and byte not in b"\t\n\v\f\r\x1a" for byte in head)


def utf_16_without_mark(head: bytes) -> str:
    """Return the encoding of ASCII text in UTF-16 that has no byte order mark; empty if it is not."""
    head = head[: len(head) - len(head) % 2]
    if len(head) < 4:
        return ""
    even, odd = head[0::2], head[1::2]
    if not any(odd) and all(even):
        return "utf-16-le"
    if not any(even) and all(odd):
        return "utf-16-be"
    return ""
