"""Results that cost time, kept under the hash of everything they depend on."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.files import write_bytes

Arrays = dict[str, np.ndarray]


class ResultStore:
    """A folder of ``.npz`` files, one a result.

    A file that is damaged counts as not there: what it held can be computed again.

    Args:
        directory: the folder; made when something is first put in.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._used: set[str] = set()

    def get(self, key: str) -> Arrays | None:
        """What was put under this key; ``None`` where nothing was."""
        self._used.add(key)
        try:
            with np.load(io.BytesIO(self._path(key).read_bytes()), allow_pickle=False) as saved:
                return {name: saved[name] for name in saved.files}
        except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile, KeyError):
            return None

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays under a key, whole or not at all."""
        self._used.add(key)
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **arrays)
        write_bytes(self._path(key), packed.getvalue())

    def remove_unused(self) -> None:
        """Remove what was neither asked for nor put in since this store was opened."""
        for path in self.directory.glob("*/*.npz"):
            if path.stem not in self._used:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.npz"


def key_of(what: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """Hash of settings, as JSON, and of the content of arrays."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, allow_nan=False).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
