"""Writing files and folders so that what stands under its name is always whole.

Everything is written beside its place under a temporary name and renamed when it is complete, so that a kill or
a full disk leaves either the old state or the new one, never half of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LOCK_NAME = ".lock"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is renamed to ``path``, on an error removed.

    The temporary name keeps the ending of ``path``, since many writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{os.getpid()}-{path.name}"
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_half_written(directory: Path) -> None:
    """Remove what killed processes left behind of `replacing` in a folder that nobody else writes to just now."""
    for leftover in directory.glob(".*-*"):
        if leftover.name[1:].split("-")[0].isdigit() and leftover.is_file():
            leftover.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 under ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` under ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON under ``path``, whole or not at all. NaN is refused: it is no JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock ``path`` while the block runs; yields ``False`` where another process holds it.

    The lock ends with the process, however that ends; the empty file stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success it becomes ``path``, on an error it is removed.

    Where another process made ``path`` in the meantime, that one stays and ours is dropped: both were built from
    the same input. The folder is locked while it is being filled, which lets `remove_abandoned` tell the work of a
    killed process from that of a living one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    lock = open(temporary / "locking", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now does it get its name: nobody sees this lock while it is not held.
        (temporary / "locking").rename(temporary / _LOCK_NAME)
        yield temporary
        (temporary / _LOCK_NAME).unlink()
        temporary.chmod(0o755)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        lock.close()
        shutil.rmtree(temporary, ignore_errors=True)


def remove_abandoned(path: Path) -> None:
    """Remove what killed processes left behind of `new_directory` for ``path``; living ones hold a lock."""
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        try:
            with open(leftover / _LOCK_NAME) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
        except (FileNotFoundError, BlockingIOError):
            # Without a lock file it is being made or renamed this very moment; with a lock held it is in use.
            continue


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with open(path, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: the same for equal values, whatever the order of their keys."""
    return sha256_of_text(json.dumps(value, sort_keys=True, allow_nan=False))


def sha256_of_text(text: str) -> str:
    """SHA-256 of a text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_checksums(path: Path) -> dict[str, str]:
    """Read a ``SHA256SUMS.txt``: file name → SHA-256. A file that is not there gives an empty dictionary.

    Raises:
        ValueError: a line is not a digest and a name, or the text is not UTF-8.
    """
    if not path.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name.strip().lstrip("*").removeprefix("./"): digest.lower() for digest, name in pairs}
