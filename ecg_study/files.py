"""Atomic writes, locks and checksums of files and folders.

Files and folders are written under a temporary name next to their place, and renamed when they are complete. A kill or
a full disk leaves the old state or the new one, never a part of it. A temporary name has a random token, and a lock
file with the same token is held as long as it is in use. The lock tells what a killed process left from what is in
use: process ids do not, because they are used again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecg_study.errors import InputError, StateError
from ecg_study.reading import UnreadableError, read_json, read_text

CHECKSUMS_FILE = "SHA256SUMS.txt"
"""File with the SHA-256 of the other files of a folder, as the command ``sha256sum`` writes it."""

_TEMPORARY = re.compile(r"\.ecg-([0-9a-f]{8})\.(.+)", re.DOTALL)
_LOCK, _JOURNAL = "lock", "renames"  # endings of the files with a token that belong to no result
_COMMIT_LOCK = ".ecg-study.lock"
_COMMIT_SECONDS = 60.0  # renaming takes milliseconds
_LONGEST_TAIL = 40  # characters of a name that a temporary name repeats, so that it does not become too long


@dataclass
class _FileSet:
    """Files of one folder that get their names together; ``renames`` has those that are not renamed yet."""

    directory: Path
    token: str
    renames: dict[str, str] = field(default_factory=dict)


_file_set: ContextVar[_FileSet | None] = ContextVar("_file_set", default=None)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it to ``path`` on success, remove it on an error.

    The temporary name keeps the extension of ``path``, because many writers choose their format by it. Within
    `writing_together`, the file gets its name together with the others.
    """
    path = Path(path)
    files = _file_set.get()
    if files is not None and files.directory == path.parent:
        temporary = path.parent / _temporary_name(files.token, path.name)
        files.renames[temporary.name] = path.name
        yield temporary
        _sync(temporary)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    with temporary_path(path.parent, path.name) as temporary:
        yield temporary
        _sync(temporary)
        temporary.replace(path)


@contextmanager
def writing_together(directory: Path, *, check: Callable[[], None] | None = None) -> Iterator[None]:
    """Give the files that `replacing` writes to a folder during the block their names together, at its end.

    After an error, none of them is left. Of two processes that write the same files, the files of one replace those of
    the other. If the process is killed while the files get their names, `remove_abandoned` continues.

    Args:
        directory: Folder of the files; created if it is missing.
        check: Called before the files get their names, while no other process gives names in this folder.

    Raises:
        InputError: The folder cannot be used.
    """
    make_directory(directory)
    with _claimed(directory) as token:
        files = _FileSet(directory, token)
        outer = _file_set.set(files)
        try:
            yield
            _rename_together(files, check)
        finally:
            _file_set.reset(outer)
            for name in files.renames:
                (directory / name).unlink(missing_ok=True)


def _rename_together(files: _FileSet, check: Callable[[], None] | None) -> None:
    lock = files.directory / _COMMIT_LOCK
    with locked(lock, seconds=_COMMIT_SECONDS) as ours:
        if not ours:
            raise StateError(f"{lock}: another process has written to this folder for a minute; wait for it")
        try:
            if check is not None:
                check()
            journal = files.directory / _temporary_name(files.token, _JOURNAL)
            _write_journal(journal, files.renames)
            # From here on, the files are complete: after an error or a kill, `remove_abandoned` continues.
            renames, files.renames = files.renames, {}
            _rename(files.directory, renames)
            journal.unlink()
        finally:
            _remove_held(lock)


def _write_journal(journal: Path, renames: dict[str, str]) -> None:
    try:
        with open(journal, "w", encoding="utf-8") as target:
            json.dump(renames, target)
            target.flush()
            os.fsync(target.fileno())
    except OSError:
        journal.unlink(missing_ok=True)
        raise


def _rename(directory: Path, renames: dict[str, str]) -> None:
    for temporary, name in renames.items():
        with suppress(FileNotFoundError):
            (directory / temporary).replace(directory / name)


@contextmanager
def temporary_path(directory: Path, name: str) -> Iterator[Path]:
    """Yield a hidden path in an existing folder, which ends like ``name``, for a file or folder.

    What is there at the end of the block is removed.
    """
    with _claimed(directory) as token:
        temporary = directory / _temporary_name(token, name)
        try:
            yield temporary
        finally:
            _remove(temporary)


@contextmanager
def _claimed(directory: Path) -> Iterator[str]:
    """Yield a token for temporary names in a folder. Its lock file exists longer than they do."""
    while True:
        token = secrets.token_hex(4)
        lock = directory / _temporary_name(token, _LOCK)
        try:
            with locked(lock) as ours:
                if not ours:
                    continue  # `remove_abandoned` of another process has just seen it
                yield token
                return
        finally:
            with suppress(OSError):
                lock.unlink(missing_ok=True)


def _temporary_name(token: str, name: str) -> str:
    return f".ecg-{token}.{name[-_LONGEST_TAIL:]}"


def _sync(path: Path) -> None:
    with open(path, "r+b") as written:
        os.fsync(written.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_abandoned(directory: Path) -> None:
    """Remove temporary files and folders that killed processes left in a folder; those in use stay.

    Files that a killed process was giving their names get them, so that no set of files stays incomplete.
    """
    found: dict[str, list[Path]] = {}
    try:
        for entry in os.scandir(directory):
            if match := _TEMPORARY.fullmatch(entry.name):
                found.setdefault(match[1], []).append(Path(entry.path))
    except (FileNotFoundError, NotADirectoryError):
        return
    for token, paths in found.items():
        lock = directory / _temporary_name(token, _LOCK)
        with suppress(PermissionError):  # of another user; or, on Windows, opened by another process
            with locked(lock) as abandoned:
                if abandoned:
                    _finish_renames(directory / _temporary_name(token, _JOURNAL))
                    for path in paths:
                        if path != lock:
                            _remove(path)
            if abandoned:
                lock.unlink(missing_ok=True)


def _finish_renames(journal: Path) -> None:
    with suppress(FileNotFoundError, UnreadableError):  # half a journal: nothing was renamed yet
        renames = read_json(journal)
        token = journal.name.removesuffix(_JOURNAL)
        if not isinstance(renames, dict):
            return
        # Only names that this module writes.
        if all(old.startswith(token) and Path(str(new)).name == new != old for old, new in renames.items()):
            _rename(journal.parent, renames)


def make_directory(path: Path) -> None:
    """Create a folder with its parents if it is missing, and check that files can be created there.

    Raises:
        InputError: It is not a folder, or cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with temporary_path(path, "test") as temporary:
            temporary.touch()
    except (FileExistsError, NotADirectoryError) as error:
        problem = "is not a folder" if path.exists() else "has a file in its path"
        raise InputError(f"{path}: {problem}; choose another output folder", parameters=("output_dir",)) from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to write; choose another output folder") from error


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
def locked(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Hold the lock file ``path`` during the block; yield ``False`` if another process holds it.

    The operating system releases the lock when the process ends, even if it is killed. The file itself stays.

    Args:
        path: Lock file.
        seconds: Time to wait for another process.
    """
    # Imported here: without fcntl, filelock warns on import that it falls back to files with a process id.
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds, blocking=seconds > 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def exclusive(path: Path, *, busy: str) -> Iterator[None]:
    """Hold the lock file ``path`` during the block, and remove it at the end.

    Args:
        path: Lock file.
        busy: Message for the case that another process holds it.

    Raises:
        StateError: Another process holds it.
    """
    with locked(path) as ours:
        if not ours:
            raise StateError(busy, parameters=("output_dir",))
        try:
            yield
        finally:
            _remove_held(path)


def _remove_held(lock: Path) -> None:
    """Remove a lock file while it is held, so that nobody else can have it; Windows refuses to."""
    with suppress(OSError):
        lock.unlink(missing_ok=True)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder next to ``path``; rename it to ``path`` on success, remove it on an error.

    If another process creates ``path`` in the meantime, that folder stays and ours is removed: both have the same
    content.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    with temporary_path(path.parent, path.name) as temporary:
        temporary.mkdir()
        yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise


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


def write_checksums(directory: Path) -> None:
    """Write the SHA-256 of all files of a folder to its ``SHA256SUMS.txt``."""
    names = sorted(path.name for path in directory.iterdir() if path.name != CHECKSUMS_FILE)
    lines = [f"{sha256_of(directory / name)}  {name}\n" for name in names]
    write_text(directory / CHECKSUMS_FILE, "".join(lines))


def read_checksums(path: Path) -> dict[str, str]:
    """Read a ``SHA256SUMS.txt`` as file name → SHA-256; empty if the file is missing.

    Raises:
        ValueError: a line is not a digest and a name, or the text is not UTF-8.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return {}
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {name.strip().lstrip("*").removeprefix("./"): digest.lower() for digest, name in pairs}
