"""Recordings in MATLAB files of version 7.3, which are HDF5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.arrays.hdf5 import (
    SIGNATURE,
    members,
    opened_hdf5,
    small_values,
    stored_array,
)
from ecg_study.ecg_data.readers.arrays.named import MAX_VALUES, NamedText, NamedValues, rows_of_text
from ecg_study.ecg_data.readers.arrays.signal import recording_from_arrays
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_HEADER_BYTES = 512
_MAX_DEPTH = 16
_NUMBERS = frozenset({"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})


def is_matlab73(head: bytes) -> bool:
    """Return whether the first bytes are those of an HDF5 file after the header of MATLAB."""
    return head[:6] == b"MATLAB" and head[_HEADER_BYTES : _HEADER_BYTES + 8] == SIGNATURE


def open_matlab73(path: Path, options: ReadOptions) -> Recording:
    """Open a MATLAB file of version 7.3.

    Raises:
        RecordError: the file is damaged or truncated; or see `recording_from_arrays`.
    """
    with opened_hdf5(path) as file:
        reader = _Reader(path, file)
        reader.add_group(file, "", depth=0)
        return recording_from_arrays(path, reader.values, options=options)


class _Reader:
    """Collects the values of a file.

    Args:
        path: path of the file, for messages.
        file: file of h5py.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.values = NamedValues()
        self._path = path
        self._file = file
        self._visits = 0

    def _count(self, values: int = 1) -> None:
        """Count groups, arrays and cells: links of a small file can lead to the same ones millions of times.

        Raises:
            RecordError: there are too many.
        """
        self._visits += values
        if self._visits > MAX_VALUES:
            raise RecordError(self._path, f"has more than {MAX_VALUES:,} named values, or the same ones several times")

    def add_group(self, group: Any, name: str, *, depth: int) -> None:
        """Add the members of the file or of a structure, whose ``name`` comes before theirs."""
        import h5py

        self._count()
        if depth > _MAX_DEPTH:
            raise RecordError(self._path, f"has structures within more than {_MAX_DEPTH} structures")
        for member, value in members(self._path, group):
            if not name and member in ("#refs#", "#subsystem#"):
                continue
            label = f"{name}.{member}" if name else member
            if isinstance(value, h5py.Group):
                if "MATLAB_sparse" in value.attrs:
                    self.values.unreadable[label] = "a sparse matrix"
                else:
                    self.add_group(value, label, depth=depth + 1)
            else:
                self.add(value, label, depth=depth)

    def add(self, dataset: Any, name: str, *, depth: int) -> None:
        """Add an array, a text, or what the cells of a cell array refer to."""
        import h5py

        self._count()
        if depth > _MAX_DEPTH:
            raise RecordError(self._path, f"has structures within more than {_MAX_DEPTH} structures")
        kind = _class_of(dataset)
        if dataset.attrs.get("MATLAB_empty", 0):
            return
        if h5py.check_ref_dtype(dataset.dtype) is h5py.Reference:
            self._add_cells(dataset, name, depth)
        elif kind == "char":
            self.values.texts.append(NamedText(name, self._text(dataset)))
        elif kind in _NUMBERS:
            array = stored_array(self._path, dataset, name=name, transposed=True)
            if array is None:
                self.values.unreadable[name] = "complex numbers" if dataset.dtype.names else "no array of numbers"
            else:
                self.values.arrays.append(array)
        else:
            self.values.unreadable[name] = "logical values" if kind == "logical" else f"an object ({kind[:20] or '?'})"

    def _text(self, dataset: Any) -> tuple[str, ...]:
        codes = small_values(self._path, dataset)
        if codes.dtype.kind != "u" or codes.ndim != 2:
            raise RecordError(self._path, f"{str(dataset.name)[:60]}: not a text; the file is damaged")
        letters = [chr(int(code)) if int(code) < 0xD800 else "\N{REPLACEMENT CHARACTER}" for code in codes.reshape(-1)]
        return rows_of_text("".join(letters), rows=codes.shape[1])

    def _add_cells(self, dataset: Any, name: str, depth: int) -> None:
        """Add what references lead to; cells that contain texts only are one value with several texts."""
        import h5py

        if dataset.size > MAX_VALUES:
            problem = f"{name[:60]} has {dataset.size:,} values; at most {MAX_VALUES:,} can be read"
            raise RecordError(self._path, problem)
        self._count(int(dataset.size))
        cells = [self._file[reference] for reference in small_values(self._path, dataset).reshape(-1)]
        if all(isinstance(cell, h5py.Dataset) and _class_of(cell) == "char" for cell in cells):
            texts = [() if cell.attrs.get("MATLAB_empty", 0) else self._text(cell) for cell in cells]
            if all(len(text) <= 1 for text in texts):
                self.values.texts.append(NamedText(name, tuple(text[0] if text else "" for text in texts)))
                return
        for number, cell in enumerate(cells, 1):
            if isinstance(cell, h5py.Dataset):
                self.add(cell, f"{name}{{{number}}}", depth=depth + 1)
            else:
                self.add_group(cell, f"{name}{{{number}}}", depth=depth + 1)


def _class_of(dataset: Any) -> str:
    """Return the MATLAB class of a dataset."""
    value = dataset.attrs.get("MATLAB_class", b"")
    return value.decode("ascii", errors="replace") if isinstance(value, (bytes, np.bytes_)) else str(value)
