"""The MIT-BIH Arrhythmia Database from PhysioNet, checked file by file against the published SHA-256."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

from ecg_data.errors import StudyError
from ecg_data.files import read_checksums, replacing, sha256_of
from ecg_data.splits import DS1, DS2, PACED

MITDB_VERSION = "1.0.0"
MITDB_RECORDS = tuple(sorted((*DS1, *DS2, *PACED)))
CHECKSUMS = "SHA256SUMS.txt"
CHECKSUMS_SHA256 = "b61158a96d5f2ca80edfb354a9a66a6324836c390a84e1966dcee2b907d6be43"
"""SHA-256 of the list of checksums itself, as published with version 1.0.0: what all other files are held against."""

_LOCAL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def download_mitdb(directory: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Download all 48 records with their annotations into ``directory``.

    Files are gathered in a folder beside it, each checked when it arrives; only when all are there and right is that
    folder renamed to ``directory``. A download that broke off is taken up again with the files that passed.

    Args:
        directory: the folder to make; it must not exist.
        progress: called with the files done and their total.

    Raises:
        StudyError: PhysioNet does not answer, or a file differs from what was published.
    """
    gathering = directory.parent / f".{directory.name}.download"
    gathering.mkdir(parents=True, exist_ok=True)
    _fetch(gathering / CHECKSUMS, CHECKSUMS_SHA256)
    published = read_checksums(gathering / CHECKSUMS)
    names = [f"{record}.{ending}" for record in MITDB_RECORDS for ending in ("hea", "dat", "atr")]
    for done, name in enumerate(names):
        if progress is not None:
            progress(done, len(names))
        if name not in published:
            raise StudyError(f"{gathering / CHECKSUMS}: does not list {name}; delete {gathering} and try again")
        _fetch(gathering / name, published[name])
    if progress is not None:
        progress(len(names), len(names))
    if directory.exists():
        shutil.rmtree(gathering)  # another process was faster, with the same checked content
    else:
        gathering.rename(directory)


def _fetch(path: Path, sha256: str) -> None:
    from wfdb.io import download

    if path.is_file() and sha256_of(path) == sha256:
        return
    url = f"{download.config.db_index_url}mitdb/{MITDB_VERSION}/{path.name}"
    with replacing(path) as temporary:
        try:
            download.dl_full_file(url, str(temporary))
        except OSError as error:  # wfdb's and requests' network errors are OSErrors too
            if error.filename or error.errno in _LOCAL_ERRORS:
                raise
            reason = " ".join(str(error).split())
            advice = "try again, or point --raw-dir at files you have"
            raise StudyError(f"{url}: download failed ({reason}); {advice}") from error
        found = sha256_of(temporary)
        if found != sha256:
            raise StudyError(f"{url}: SHA-256 {found[:12]}… differs from the published {sha256[:12]}…; try again")
