"""Atomic writes, locks and checksums of files and folders.

Files and folders are written under a temporary name next to their place, and renamed when they are complete. A kill or
a full disk leaves the old state or the new one, never a part of it.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it to ``path`` on success, remove it on an error.

    The temporary name keeps the extension of ``path``, because many writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{os.getpid()}-{path.name}"
    try:
        yield temporary
        with open(temporary, "r+b") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_half_written(directory: Path) -> None:
    """Remove the temporary files of `replacing` that killed processes left in a folder that no process writes to."""
    for leftover in directory.glob(".*-*"):
        if leftover.name[1:].split("-")[0].isdigit() and leftover.is_file():
            leftover.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path``, completely or not at all.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` during the block; yield ``False`` if another process holds it.

    The operating system releases the lock when the process ends, even if it is killed. The file itself stays.
    """
    # Imported here: without fcntl, filelock warns on import that it falls back to files with a process id.
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder next to ``path``; rename it to ``path`` on success, remove it on an error.

    If another process creates ``path`` in the meantime, that folder stays and ours is removed: both have the same
    content. A lock protects the folder while it is filled, so that `remove_abandoned` can tell folders of killed
    processes from folders in use.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    token = secrets.token_hex(4)
    temporary, lock = (path.parent / f".{path.name}.{token}.{kind}" for kind in ("partial", "lock"))
    try:
        # The lock comes first: a folder without a held lock is abandoned.
        with locked(lock):
            try:
                temporary.mkdir()
                yield temporary
                try:
                    temporary.rename(path)
                except OSError:
                    if not path.is_dir():
                        raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    finally:
        lock.unlink(missing_ok=True)


def remove_abandoned(path: Path) -> None:
    """Remove the folders of `new_directory` that killed processes left next to ``path``."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        lock = leftover.with_suffix(".lock")
        with locked(lock) as abandoned:
            if abandoned:
                shutil.rmtree(leftover, ignore_errors=True)
        if abandoned:
            with suppress(PermissionError):  # Windows: another process opened it
                lock.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, which does not depend on the order of keys."""
    return sha256_of_text(json.dumps(value, sort_keys=True, allow_nan=False))


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_checksums(path: Path) -> dict[str, str]:
    """Read a ``SHA256SUMS.txt`` as file name → SHA-256; empty if the file is missing.

    Raises:
        ValueError: a line is not a digest and a name, or the text is not UTF-8.
    """
    if not path.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name.strip().lstrip("*").removeprefix("./"): digest.lower() for digest, name in pairs}
