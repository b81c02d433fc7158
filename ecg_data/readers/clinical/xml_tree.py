"""XML from untrusted files: a small tree of elements, bounded in size and depth, without entities.

A document type declaration is passed over, and nothing that it names is loaded. Entity declarations are an error.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from ecg_study.errors import RecordError

MAX_BYTES = 64_000_000
"""Largest XML file. A resting ECG of twelve leads has up to 3 MB; numbers need up to eight times as much memory."""

_MAX_ELEMENTS, _MAX_DEPTH, _MAX_ATTRIBUTES = 200_000, 64, 400_000
"""Bounds of a tree. The largest resting ECGs have about 10,000 elements, at a depth of 20."""

_PIECE = 1 << 20
"""Characters of numbers that are converted at once."""


@dataclass(slots=True)
class Element:
    """An element of an XML file. Namespaces are removed from all names.

    Attributes:
        name: name of the element.
        attributes: attributes by name.
        children: elements in it.
        parts: its own text, in the order of the file.
    """

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The element's own text, without white space around it."""
        return "".join(self.parts).strip()

    def all(self, *names: str) -> list[Element]:
        """Return the elements at a path of names below this one, in the order of the file."""
        found = [self]
        for name in names:
            found = [child for element in found for child in element.children if child.name == name]
        return found

    def first(self, *names: str) -> Element | None:
        """Return the first element at a path of names below this one."""
        return next(iter(self.all(*names)), None)

    def text_at(self, *names: str) -> str:
        """Return the text of the first element at a path of names; empty if it is missing."""
        found = self.first(*names)
        return "" if found is None else found.text

    def walk(self) -> Iterator[Element]:
        """Yield this element and all below it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_xml(path: Path) -> Element:
    """Return the root element of an XML file.

    Raises:
        RecordError: the file is not well-formed, declares entities, or is too large.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RecordError(path, f"has {size:,} bytes; XML of up to {MAX_BYTES:,} bytes is read")
    builder = _Builder(path)
    try:
        # At once: in parts, older versions of expat read a long token again with each part.
        builder.parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        place = f"line {error.lineno:,}, column {error.offset + 1:,}"
        problem = f"not well-formed XML at {place} ({expat.ErrorString(error.code)})"
        raise RecordError(path, f"{problem}; the file is damaged or truncated") from error
    except (LookupError, ValueError) as error:  # of an encoding that Python does not know
        raise RecordError(path, "its XML declaration has an unknown encoding") from error
    return builder.root()


class _Builder:
    """Handlers of a parser that build the tree."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[Element] = []
        self._root: Element | None = None
        self._elements = self._attributes = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._entity
        self.parser.UnparsedEntityDeclHandler = self._entity
        self.parser.ExternalEntityRefHandler = self._entity
        self.parser.SkippedEntityHandler = self._entity
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def root(self) -> Element:
        if self._root is None:
            raise RecordError(self._path, "not well-formed XML: it has no element")
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        self._attributes += len(attributes)
        if self._elements > _MAX_ELEMENTS or self._attributes > _MAX_ATTRIBUTES or len(self._open) >= _MAX_DEPTH:
            problem = f"has more than {_MAX_ELEMENTS:,} XML elements, or elements nested deeper than {_MAX_DEPTH}"
            raise RecordError(self._path, f"{problem}, which no ECG has")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        if self._open and (self._open[-1].parts or not text.isspace()):
            self._open[-1].parts.append(text)

    def _entity(self, *_: object) -> int:
        raise RecordError(self._path, "its XML declares or uses entities, which are not read; save it without them")


def _local(name: str) -> str:
    """Return a name without its namespace, which the parser puts before a space."""
    return name.rpartition(" ")[2]


_CHARACTERS = frozenset("0123456789+-.eE")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def number_in(path: Path, text: str, *, name: str) -> float:
    """Return the number in a text.

    Args:
        path: path of the file, for messages.
        text: text of an element or attribute.
        name: name of it, for messages.

    Raises:
        RecordError: the text is missing, or not a finite number in decimal notation.
    """
    text = text.strip()
    if not text:
        raise RecordError(path, f"{name} is missing")
    if _NUMBER.fullmatch(text) is None or not math.isfinite(float(text)):
        advice = "; the decimal mark must be a point" if "," in text else ""
        raise RecordError(path, f"{name}: {text[:40]!r} is not a number{advice}")
    return float(text)


def integer_in(path: Path, text: str, *, name: str) -> int:
    """Return the integer in a text.

    Raises:
        RecordError: the text is missing, or not an integer.
    """
    value = number_in(path, text, name=name)
    if value != int(value):
        raise RecordError(path, f"{name}: {text.strip()[:40]!r} is not an integer")
    return int(value)


def numbers_in(path: Path, text: str, *, name: str) -> np.ndarray:
    """Return the numbers in a text, separated by white space, as float64 of shape ``(numbers,)``.

    Raises:
        RecordError: a part is not a number.
    """
    pieces, start = [], 0
    while start < len(text):
        end = start + _PIECE
        while end < len(text) and not text[end].isspace():
            end += 1
        pieces.append(_piece_of_numbers(path, text[start:end].split(), name))
        start = end
    return np.concatenate(pieces) if pieces else np.empty(0)


def _piece_of_numbers(path: Path, words: list[str], name: str) -> np.ndarray:
    try:
        if not all(map(_CHARACTERS.issuperset, words)):
            raise ValueError
        values = np.array(words, np.float64) if words else np.empty(0)
    except ValueError as error:
        wrong = next(word for word in words if _NUMBER.fullmatch(word) is None)
        advice = "; the decimal mark must be a point" if "," in wrong else ""
        raise RecordError(path, f"{name}: {wrong[:40]!r} is not a number{advice}") from error
    if not np.isfinite(values).all():
        raise RecordError(path, f"{name}: a number is too large")
    return values


def bytes_in(path: Path, text: str, *, name: str) -> bytes:
    """Return the bytes of a text in Base64, which may contain white space.

    Raises:
        RecordError: the text is not Base64, or has no bytes.
    """
    try:
        content = b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError(path, f"{name}: not Base64; the file is damaged") from error
    if not content:
        raise RecordError(path, f"{name}: has no samples")
    return content
