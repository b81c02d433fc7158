"""Named values of a file: arrays, and texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_VALUES = 2000
"""Most named values of a file."""

MAX_TEXT_BYTES = 1_000_000
"""Longest text that is read."""


@dataclass(frozen=True)
class NamedArray:
    """Array of numbers in a file.

    Attributes:
        name: name of the array; fields of a structure have the name of the structure and a point before theirs.
        shape: shape.
        dtype: type of its elements.
        part: returns the part of the array at an index of slices and integers, as an indexed array does.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    part: Callable[[Any], np.ndarray]

    @property
    def size(self) -> int:
        """Number of elements, as an integer of any size."""
        product = 1
        for length in self.shape:
            product *= int(length)
        return product

    @property
    def described(self) -> str:
        """Name with shape, for messages."""
        return f"{self.name[:60]} {'×'.join(f'{length:,}' for length in self.shape) or 'scalar'}"


@dataclass(frozen=True)
class NamedText:
    """Texts in a file: one, or one per lead.

    Attributes:
        name: name as that of an array.
        texts: the texts, without spaces at their ends.
    """

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class NamedValues:
    """All named values of a file.

    Attributes:
        arrays: arrays of numbers.
        texts: texts.
        unreadable: name and kind of values that are neither, such as objects.
    """

    arrays: list[NamedArray] = field(default_factory=list)
    texts: list[NamedText] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.arrays) + len(self.texts) + len(self.unreadable)

    def extend(self, others: NamedValues) -> None:
        """Add all values of others."""
        self.arrays.extend(others.arrays)
        self.texts.extend(others.texts)
        self.unreadable.update(others.unreadable)


def named_array(name: str, values: np.ndarray, *, dtype: np.dtype[Any] | None = None) -> NamedArray:
    """Return an array in memory, or a memory map, as a named array.

    Args:
        name: name of the array.
        values: its elements.
        dtype: type that the file states (default: that in which the elements are stored).
    """
    return NamedArray(name, values.shape, dtype or values.dtype, values.__getitem__)


def rows_of_text(text: str, *, rows: int) -> tuple[str, ...]:
    """Return the rows of a matrix of letters that are stored column by column, without spaces at their ends."""
    return tuple(text[row::rows].strip(" \0") for row in range(rows))


def key_of(name: str) -> str:
    """Return the last part of a name in lower case, without separators: ``EEG.Sampling_Rate`` is ``samplingrate``."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())
