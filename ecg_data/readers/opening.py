"""Recordings by path: the reader for a file, and the recordings in a folder."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import unicodedata
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.arrays.unpacking import largest_content
from ecg_study.ecg_data.readers.content import ENDINGS, TABLE, WFDB, FileFormat, detect_format, is_gzip, read_head
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording, as_record_errors
from ecg_study.ecg_data.readers.wfdb.header import states_signal_file
from ecg_study.errors import RecordError

_DOCUMENTS = frozenset(
    f"{name}.txt" for name in ("readme", "sha256sums", "license", "licence", "copying", "notes", "changes", "records")
)
"""Names, in lower case, of text files in a folder that are not recordings."""


def open_recording(path: Path, options: ReadOptions = ReadOptions()) -> Recording:  # noqa: B008  # it is immutable
    """Open a file with the reader for its content; its extension is only a hint.

    A file that is compressed with gzip is decompressed into a temporary file, which exists as long as the recording.

    Raises:
        RecordError: the file is missing, damaged or of an unknown format; it lacks metadata; or ``options`` contradict
            metadata that it has.
    """
    with as_record_errors(path):
        return _open(path, options)


def _open(path: Path, options: ReadOptions) -> Recording:
    if _is_wfdb_name(path):
        return _read_as(WFDB, path, options)
    if path.is_dir():
        raise _no_recording(path)
    if not path.exists():
        raise RecordError(path, "no such file")
    head = read_head(path)
    if is_gzip(head):
        return _open_compressed(path, options)
    return _read_as(detect_format(path, head), path, options)


def _is_wfdb_name(path: Path) -> bool:
    """Return whether a path names a WFDB record: its header, or the record without an extension."""
    if path.suffix.lower() == ".hea":
        return True
    if path.is_file():
        return False
    # The name of a record may contain a dot.
    return path.with_name(path.name + ".hea").exists() or (not path.suffix and not path.exists())


def _read_as(file_format: FileFormat, path: Path, options: ReadOptions) -> Recording:
    if options.time_column and file_format is not TABLE:
        problem = "this file format does not use time_column; omit time_column, or read this file separately"
        raise RecordError(path, problem, parameter="time_column")
    missing = [name for name in file_format.packages if find_spec(name) is None]
    if missing:
        problem = f"{file_format.name} files need the package {missing[0]}; install the extra formats"
        raise RecordError(path, f'{problem}: pip install ".[formats]" in a copy of the repository')
    module, _, function = file_format.reader.partition(":")
    reader = getattr(import_module(module), function)
    recording: Recording = reader(path, options)
    return recording


def _open_compressed(path: Path, options: ReadOptions) -> Recording:
    """Open a file that is compressed with gzip."""
    if Path(path.stem).suffix.lower() == ".hea":
        problem = "a compressed WFDB header cannot be read, because it names the files beside it"
        raise RecordError(path, f"{problem}; decompress it")
    folder = _TemporaryFolder()
    content = folder.path / (path.stem if path.suffix.lower() == ".gz" else path.name)
    _decompress(path, content)
    try:
        head = read_head(content)
        if is_gzip(head):
            raise RecordError(path, "is compressed twice; decompress it once")
        recording = _read_as(detect_format(content, head), content, options)
    except RecordError as error:
        raise _of_file(error, path) from error

    def blocks() -> Iterator[np.ndarray]:
        try:
            yield from recording.blocks()
        except RecordError as error:
            raise _of_file(error, path) from error
        finally:
            _ = folder  # It exists as long as something refers to this function.

    return replace(recording, path=path, blocks=blocks)


class _TemporaryFolder:
    """Folder that is removed when nothing refers to this object any more, and at the end of the program."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ecg-study-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _of_file(error: RecordError, path: Path) -> RecordError:
    """Return an error of the decompressed file as one of the compressed file."""
    return RecordError(path, error.problem, parameters=error.parameters)


def _decompress(path: Path, content: Path) -> None:
    """Write the decompressed content of a file, up to `largest_content`.

    Raises:
        RecordError: the file is damaged, truncated, or too large.
    """
    try:
        with gzip.open(path) as source, open(content, "wb") as target:
            limit = left = largest_content(path.stat().st_size)
            while part := source.read(1 << 20):
                left -= len(part)
                if left < 0 or shutil.disk_usage(content.parent).free < 1 << 28:
                    raise RecordError(path, f"its content does not fit; at most {limit:,} bytes are read")
                target.write(part)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordError(path, "damaged or truncated: it cannot be decompressed with gzip") from error


def find_recordings(path: Path) -> list[Path]:
    """Return the recordings in a folder, sorted by name; other paths are returned unchanged.

    Documents of databases, such as ``README.txt`` and ``SHA256SUMS.txt``, are skipped, and so are MATLAB files that are
    the signals of a WFDB record.

    Raises:
        RecordError: the folder has no recording.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if is_recording_name(file) and not file.name.startswith("."))
    found = [file for file in found if file.name.lower() not in _DOCUMENTS and not _is_signal_file(file)]
    if not found:
        raise _no_recording(path)
    return found


def _is_signal_file(path: Path) -> bool:
    """Return whether a MATLAB file has the signals of a WFDB record of the same name, which is a recording itself."""
    header = path.with_suffix(".hea")
    try:
        return path.suffix.lower() == ".mat" and header.is_file() and states_signal_file(header, path.name)
    except (RecordError, OSError):
        return False  # Both are reported when they are read.


def recording_name(path: Path) -> str:
    """Return the name of a recording, after which results are named: that of its file without the extension.

    Control characters are replaced by underscores.
    """
    name = path.name
    if is_recording_name(path):
        name = Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem
    return "".join("_" if unicodedata.category(letter) == "Cc" else letter for letter in name)


def is_recording_name(path: Path) -> bool:
    """Return whether a name has the extension of a readable file, compressed with gzip or not."""
    ending = path.suffix.lower()
    return (Path(path.stem).suffix.lower() if ending == ".gz" else ending) in ENDINGS


def _no_recording(folder: Path) -> RecordError:
    return RecordError(folder, f"no recording in this folder ({', '.join(ENDINGS)}); subfolders are not read")
