"""Check for a mark between thousands, which looks like a decimal mark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecg_study.errors import RecordError

_LARGEST_GROUP = 33.0
"""Thousands of the largest numbers: 33 mV in µV."""


class ThousandsCheck:
    """Check of the numbers of a table, block by block.

    In ``998``, ``999``, ``1,000``, ``1,001``, the comma is a mark between thousands. Read as decimals, all numbers with
    a fraction are between 1 and 33, with three decimals, although whole numbers reach almost 1,000. No signal is so.
    If all numbers are between 1 and 33, as ``2,048`` of a converter, they need a unit.

    Args:
        path: path of the file.
        labels: labels of the leads.
        declared: whether the unit of each lead is known.
    """

    def __init__(self, path: Path, labels: Sequence[str], *, declared: Sequence[bool]) -> None:
        self._path = path
        self._labels = labels
        self._open = [True] * len(labels)
        self._marked = np.zeros(len(labels), np.int64)
        self._largest = np.zeros(len(labels))
        self._smallest = np.full(len(labels), np.inf)
        self._thousandths = [False] * len(labels)
        self._declared = declared

    def add(self, numbers: np.ndarray) -> None:
        """Add numbers as they are in the file, shape ``(rows, leads)``."""
        for lead, still_open in enumerate(self._open):
            if not still_open:
                continue
            size = np.abs(numbers[:, lead])
            with np.errstate(invalid="ignore"):
                fractional = size != np.rint(size)
            fractional &= np.isfinite(size)
            marked, whole = size[fractional], size[~fractional & np.isfinite(size)]
            thousandths = marked * 1000
            decimals = bool((np.abs(thousandths - np.rint(thousandths)) > 1e-6).any())
            if decimals or (len(marked) and (marked.min() < 1 or marked.max() >= _LARGEST_GROUP)):
                self._open[lead] = False
                continue
            self._marked[lead] += len(marked)
            self._thousandths[lead] |= bool((np.rint(thousandths) % 10 != 0).any())
            self._thousandths[lead] |= bool((np.rint(thousandths) % 10 != 0).any())
            self._largest[lead] = max(self._largest[lead], whole.max(initial=0.0))
            self._smallest[lead] = min(self._smallest[lead], whole.min(initial=np.inf))

    def finish(self) -> None:
        """Check what all rows show.

        Raises:
            RecordError: the numbers of a lead have a mark between thousands.
        """
        for lead, label in enumerate(self._labels):
            if not self._open[lead] or not self._marked[lead]:
                continue
            problem = f"column {label}: its numbers seem to have a mark between thousands, as in 1,234"
            if 500 <= self._largest[lead] < 1000:
                raise RecordError(self._path, f"{problem}; save it without")
            in_groups = self._thousandths[lead] and self._smallest[lead] >= 1 and self._largest[lead] < _LARGEST_GROUP
            if in_groups and not self._declared[lead]:
                problem += "; save it without, or give units (mV, uV or V) if they are decimals"
                raise RecordError(self._path, problem, parameter="units")
