"""Text files of any size and encoding as blocks of whole lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.readers.content import read_head, utf_16_without_mark
from ecg_study.errors import RecordError

BLOCK_BYTES = 8_000_000
"""Bytes of a file that are in memory at a time."""

MAX_LINE_BYTES = 1_000_000
"""Longest line. A row of 4,096 columns with 20 characters each has 84,000."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class LineBlock:
    """Some lines of a text, one after the other.

    Attributes:
        first_line: number of the first line, from 1.
        content: the lines in an encoding that extends ASCII; each ends with a line feed.
        cut_off: whether the file ends with the last line, and without a line feed.
    """

    first_line: int
    content: bytes
    cut_off: bool = False


def line_blocks(path: Path, *, block_bytes: int | None = None) -> Iterator[LineBlock]:
    """Read a text file in blocks of whole lines. Line ends of all systems become line feeds.

    UTF-16 and UTF-32 become UTF-8. Other encodings extend ASCII and stay as they are: numbers are ASCII.

    Args:
        path: file to read.
        block_bytes: bytes to read at a time (default: `BLOCK_BYTES`).

    Raises:
        RecordError: a line is too long, or the file contains zero bytes, or is not valid UTF-16.
    """
    rest, line = b"", 1
    for part in _parts(path, block_bytes or BLOCK_BYTES):
        # A carriage return at the end may be the first half of a line end.
        held = b"\r" if part.endswith(b"\r") else b""
        content = rest + part[: len(part) - len(held)]
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = content.rfind(b"\n") + 1
        whole, rest = content[:end], content[end:] + held
        if len(rest) > MAX_LINE_BYTES:
            line += whole.count(b"\n")
            raise RecordError(path, f"line {line:,} is longer than {MAX_LINE_BYTES:,} bytes; not a table of numbers")
        if whole:
            _refuse_zeros(path, whole, line)
            yield LineBlock(line, whole)
            line += whole.count(b"\n")
    rest = rest.replace(b"\r", b"\n").removesuffix(b"\x1a")  # the end of a text file of DOS
    if rest:
        _refuse_zeros(path, rest, line)
        yield LineBlock(line, rest if rest.endswith(b"\n") else rest + b"\n", cut_off=not rest.endswith(b"\n"))


def _refuse_zeros(path: Path, content: bytes, line: int) -> None:
    place = content.find(b"\0")
    if place >= 0:
        line += content[:place].count(b"\n")
        raise RecordError(path, f"line {line:,} contains zero bytes; the file is damaged, or not a text")


def _parts(path: Path, block_bytes: int) -> Iterator[bytes]:
    """Read a file in parts, in an encoding that extends ASCII and without a byte order mark."""
    head = read_head(path)
    mark, encoding = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", ""))
    encoding = encoding or utf_16_without_mark(head)
    with open(path, "rb") as source:
        source.seek(len(mark))
        if not encoding.startswith(("utf-16", "utf-32")):
            while part := source.read(block_bytes):
                yield part
            return
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while part := source.read(block_bytes):
                yield decoder.decode(part).encode("utf-8")
            yield decoder.decode(b"", final=True).encode("utf-8")
        except UnicodeError as error:
            raise RecordError(path, f"not valid {encoding[:6].upper()}: the file is damaged or truncated") from error


def decode(content: bytes) -> str:
    """Return text in UTF-8, or else in Latin-1 with the additions of Windows."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")
