"""Databases from PhysioNet: downloads, checked by their published SHA-256."""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecg_study.ecg_data.databases.splits import DS1, DS2, NOISE_STRESS, PACED
from ecg_study.errors import DataError
from ecg_study.files import read_checksums
from ecg_study.progress import Progress

CHECKSUMS = "SHA256SUMS.txt"


@dataclass(frozen=True)
class Published:
    """A database as PhysioNet publishes it.

    Attributes:
        name: its short name.
        version: its version.
        files: names of the files to download.
        sha256: SHA-256 of its list of checksums, by which all other files are checked.
        parameter: parameter that names a folder with these files instead.
    """

    name: str
    version: str
    files: tuple[str, ...]
    sha256: str
    parameter: str


MITDB_RECORDS = tuple(sorted((*DS1, *DS2, *PACED)))

NOISE_RECORDS: tuple[Literal["bw", "em", "ma"], ...] = ("bw", "em", "ma")
"""Baseline wander, electrode motion artifact and muscle artifact, from electrodes placed so that no ECG is visible."""

STRESS_LEVELS = (24, 18, 12, 6, 0, -6)
"""SNR in dB of the noise stress records."""


def stress_record(record: str, snr: int) -> str:
    """Return the name of the noise stress record made of ``record``: ``118e06`` at 6 dB, ``119e_6`` at -6 dB."""
    return f"{record}e{snr:02d}" if snr >= 0 else f"{record}e_{-snr}"


_STRESS_RECORDS = tuple(stress_record(record, snr) for record in NOISE_STRESS for snr in STRESS_LEVELS)

MITDB = Published(
    "mitdb",
    "1.0.0",
    tuple(f"{record}.{ending}" for record in MITDB_RECORDS for ending in ("hea", "dat", "atr")),
    "b61158a96d5f2ca80edfb354a9a66a6324836c390a84e1966dcee2b907d6be43",
    "raw_dir",
)

NSTDB = Published(
    "nstdb",
    "1.0.0",
    (
        *(f"{record}.{ending}" for record in NOISE_RECORDS for ending in ("hea", "dat")),
        *(f"{record}.{ending}" for record in _STRESS_RECORDS for ending in ("hea", "dat", "atr")),
    ),
    "b76bd98c5111439fcfff2f410afd70d64e79f072049c45b5a9916a3044fdb84f",
    "noise_dir",
)

PHYSIONET_URL = "https://physionet.org/files/"

_LOCAL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RETRIES = 2  # after a lost connection; pooch waits 1 s, then 2 s
_TIMEOUT = 60.0  # seconds without an answer


def download(
    database: Published, directory: Path, *, progress: Progress | None = None, base_url: str = PHYSIONET_URL
) -> None:
    """Download a database.

    Files are collected in a folder next to ``directory``, and each is checked when it arrives. When all are complete,
    the folder is renamed to ``directory``. An interrupted download resumes with the files that are already complete.

    Args:
        database: files to download.
        directory: folder to create.
        progress: called with the number of complete files.
        base_url: parent URL of the databases.

    Raises:
        DataError: the server does not answer, or a file differs from its published checksum.
    """
    collected = directory.parent / f".{directory.name}.download"
    base_url = f"{base_url}{database.name}/{database.version}/"
    _fetch(database, base_url, collected / CHECKSUMS, database.sha256)
    published = read_checksums(collected / CHECKSUMS)
    for done, name in enumerate(database.files):
        if progress is not None:
            progress(f"Downloading {database.name}", done, len(database.files))
        if name not in published:
            raise DataError(f"{collected / CHECKSUMS}: {name} is missing; delete {collected} and try again")
        _fetch(database, base_url, collected / name, published[name])
    if progress is not None:
        progress(f"Downloading {database.name}", len(database.files), len(database.files))
    for path in collected.iterdir():
        if path.name not in (CHECKSUMS, *database.files):
            path.unlink()  # a killed download leaves a temporary file
    if directory.exists():
        shutil.rmtree(collected)  # another process was faster, with the same checked content
    else:
        collected.rename(directory)


def _fetch(database: Published, base_url: str, path: Path, sha256: str) -> None:
    import pooch

    logger = pooch.get_logger()
    logger.setLevel("WARNING")  # `progress` reports each file
    files = pooch.create(path.parent, base_url, registry={path.name: f"sha256:{sha256}"}, retry_if_failed=_RETRIES)
    try:
        files.fetch(path.name, downloader=pooch.HTTPDownloader(timeout=_TIMEOUT))
    except ValueError as error:
        problem = f"SHA-256 differs from the published {sha256[:12]}…; try again"
        raise DataError(f"{base_url}{path.name}: {problem}") from error
    except OSError as error:  # the network errors of requests are OSErrors too
        if error.filename or error.errno in _LOCAL_ERRORS:
            raise
        reason = " ".join(str(error).split())
        problem = f"download failed ({reason}); try again, or give a folder with the files as {database.parameter}"
        raise DataError(f"{base_url}{path.name}: {problem}", parameters=(database.parameter,)) from error
    path.chmod(0o644)  # a temporary file is readable by its owner only
