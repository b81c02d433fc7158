"""Disk cache of computed arrays, keyed by the hash of everything they depend on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.files import write_bytes
from ecg_study.reading import UnreadableError, read_npz

Arrays = dict[str, np.ndarray]


class ResultCache:
    """Folder of ``.npz`` files, one per result.

    A damaged file counts as missing, because its result can be computed again.

    Args:
        directory: the folder; created with the first result.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._used: set[str] = set()

    def get(self, key: str) -> Arrays | None:
        """Return the arrays stored under a key, or ``None``."""
        self._used.add(key)
        try:
            return read_npz(self._path(key))
        except (FileNotFoundError, UnreadableError):
            return None

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store arrays under a key, completely or not at all."""
        self._used.add(key)
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **arrays)
        write_bytes(self._path(key), packed.getvalue())

    def remove_unused(self) -> None:
        """Remove all results that were neither read nor stored through this object."""
        for path in self.directory.glob("*/*.npz"):
            # A hidden one is being written by another process, or is removed with the next result in its folder.
            if path.stem not in self._used and not path.name.startswith("."):
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.npz"


def content_key(settings: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """Return the hash of settings, as JSON, and of the content of arrays."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, allow_nan=False).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
