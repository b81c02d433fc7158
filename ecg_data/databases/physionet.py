"""Databases from PhysioNet, checked file by file against their published SHA-256."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.databases.splits import DS1, DS2, NOISE_STRESS, PACED
from ecg_study.errors import EcgStudyError
from ecg_study.files import read_checksums, replacing, sha256_of

CHECKSUMS = "SHA256SUMS.txt"


@dataclass(frozen=True)
class Published:
    """A database as PhysioNet publishes it.

    Attributes:
        name: its short name.
        version: its version.
        files: the files that are wanted.
        sha256: SHA-256 of its list of checksums: what all other files are held against.
        option: what points at a folder of these files instead.
    """

    name: str
    version: str
    files: tuple[str, ...]
    sha256: str
    option: str


MITDB_RECORDS = tuple(sorted((*DS1, *DS2, *PACED)))

NOISE_RECORDS = ("bw", "em", "ma")
"""Baseline wander, electrode motion, muscle: noise without an ECG, from electrodes where no heart is seen."""

STRESS_LEVELS = (24, 18, 12, 6, 0, -6)
"""SNR in dB of the noise stress records."""


def stress_record(record: str, snr: int) -> str:
    """Name of the noise stress record made of ``record`` at this SNR: ``118e06``, ``119e_6``."""
    return f"{record}e{snr:02d}" if snr >= 0 else f"{record}e_{-snr}"


_STRESS_RECORDS = tuple(stress_record(record, snr) for record in NOISE_STRESS for snr in STRESS_LEVELS)

MITDB = Published(
    "mitdb",
    "1.0.0",
    tuple(f"{record}.{ending}" for record in MITDB_RECORDS for ending in ("hea", "dat", "atr")),
    "b61158a96d5f2ca80edfb354a9a66a6324836c390a84e1966dcee2b907d6be43",
    "--raw-dir",
)

NSTDB = Published(
    "nstdb",
    "1.0.0",
    (
        *(f"{record}.{ending}" for record in NOISE_RECORDS for ending in ("hea", "dat")),
        *(f"{record}.{ending}" for record in _STRESS_RECORDS for ending in ("hea", "dat", "atr")),
    ),
    "b76bd98c5111439fcfff2f410afd70d64e79f072049c45b5a9916a3044fdb84f",
    "--noise-dir",
)

_LOCAL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def download(database: Published, directory: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Download a database into ``directory``.

    Files are gathered in a folder beside it, each checked when it arrives; only when all are there and right is that
    folder renamed to ``directory``. A download that broke off is taken up again with the files that passed.

    Args:
        database: what to fetch.
        directory: the folder to make; it must not exist.
        progress: called with the files done and their total.

    Raises:
        StudyError: PhysioNet does not answer, or a file differs from what was published.
    """
    gathering = directory.parent / f".{directory.name}.download"
    gathering.mkdir(parents=True, exist_ok=True)
    _fetch(database, gathering / CHECKSUMS, database.sha256)
    published = read_checksums(gathering / CHECKSUMS)
    for done, name in enumerate(database.files):
        if progress is not None:
            progress(done, len(database.files))
        if name not in published:
            raise EcgStudyError(f"{gathering / CHECKSUMS}: does not list {name}; delete {gathering} and try again")
        _fetch(database, gathering / name, published[name])
    if progress is not None:
        progress(len(database.files), len(database.files))
    if directory.exists():
        shutil.rmtree(gathering)  # another process was faster, with the same checked content
    else:
        gathering.rename(directory)


def _fetch(database: Published, path: Path, sha256: str) -> None:
    from wfdb.io import download

    if path.is_file() and sha256_of(path) == sha256:
        return
    url = f"{download.config.db_index_url}{database.name}/{database.version}/{path.name}"
    with replacing(path) as temporary:
        try:
            download.dl_full_file(url, str(temporary))
        except OSError as error:  # wfdb's and requests' network errors are OSErrors too
            if error.filename or error.errno in _LOCAL_ERRORS:
                raise
            reason = " ".join(str(error).split())
            advice = f"try again, or point {database.option} at files you have"
            raise EcgStudyError(f"{url}: download failed ({reason}); {advice}") from error
        found = sha256_of(temporary)
        if found != sha256:
            raise EcgStudyError(f"{url}: SHA-256 {found[:12]}… differs from the published {sha256[:12]}…; try again")
