"""Where the records of a study come from: the synthetic database, MIT-BIH, or any folder of WFDB records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.databases.physionet import CHECKSUMS, MITDB, download
from ecg_study.ecg_data.databases.splits import Split, split_by_record, split_mitdb
from ecg_study.ecg_data.databases.synthetic import VERSION, write_synthetic
from ecg_study.ecg_data.readers.wfdb import as_record_errors, record_files
from ecg_study.errors import EcgStudyError, RecordError, RecordErrors
from ecg_study.files import read_checksums, sha256_of
from ecg_study.progress import Progress

DATABASES = ("synthetic", "mitdb", "folder")
SIGNAL_ENDINGS = (".dat", ".d16", ".mat", ".edf", ".sig")

VERSIONS = {"synthetic": str(VERSION), "mitdb": MITDB.version, "folder": ""}
"""Version of each database; of a folder of the user's own nothing is known."""

LICENSES = {
    "synthetic": "that of this program (MIT)",
    "mitdb": "Open Data Commons Attribution License 1.0",
    "folder": "",
}

ATTRIBUTION = {
    "synthetic": "Synthetic ECG by the dynamical model of McSharry et al. (2003); made by this program.",
    "mitdb": (
        "MIT-BIH Arrhythmia Database, PhysioNet. Moody GB, Mark RG. "
        "The impact of the MIT-BIH Arrhythmia Database. IEEE Eng Med Biol 20(3):45-50, 2001. Goldberger AL et al. "
        "PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220, 2000."
    ),
    "folder": "Records of the user.",
}


@dataclass(frozen=True)
class Database:
    """A folder of records that is there and can be read.

    Attributes:
        name: one of `DATABASES`.
        directory: the folder with the WFDB files.
        records: names of the records to use, sorted.
        annotator: ending of the annotation files.
        checksums: SHA-256 of every file of every usable record, by file name.
        unreadable: records left out because a file is missing or damaged, with the reason (only where the user asked
            for that; otherwise such a record is an error).
    """

    name: str
    directory: Path
    records: tuple[str, ...]
    annotator: str
    checksums: dict[str, str]
    unreadable: dict[str, str]


def open_database(
    name: str,
    *,
    data_dir: Path | str = "data",
    raw_dir: Path | str | None = None,
    records: Sequence[str] = (),
    seed: int = 1,
    annotator: str = "atr",
    skip_invalid: bool = False,
    progress: Progress | None = None,
) -> Database:
    """Make the database available, fetching or generating it where needed, and name its files' content.

    Args:
        name: one of `DATABASES`.
        data_dir: the folder under which ``raw/`` is kept.
        raw_dir: a folder with files already there, for ``mitdb`` and ``folder``.
        records: the records to use; empty for all.
        seed: seed of the synthetic database.
        annotator: ending of the annotation files.
        skip_bad: leave records out whose files are missing or damaged, instead of refusing all.
        progress: told how far a download or the generator is.

    Raises:
        StudyError: the folder or a record is not there, or files are missing or differ from a ``SHA256SUMS.txt``
            beside them.
    """
    directory = _directory(name, Path(data_dir), None if raw_dir is None else Path(raw_dir), seed, progress)
    published = _published(directory)
    if name == "synthetic" and set(published) != {path.name for path in directory.iterdir()} - {CHECKSUMS}:
        raise EcgStudyError(f"{directory}: files are missing or too many; delete the folder and it will be made again")
    present = sorted(path.stem for path in directory.glob("*.hea"))
    if not present:
        raise EcgStudyError(
            f"{directory}: no WFDB record (.hea) in this folder; point --raw-dir at a folder of records"
        )
    missing = [record for record in records if record not in present]
    if missing:
        raise EcgStudyError(f"--records: {', '.join(missing)} not in {directory}, which holds {_range(present)}")
    checksums: dict[str, str] = {}
    errors: dict[str, RecordError] = {}
    for record in sorted(set(records) or present):
        try:
            checksums |= checked_files(directory / record, annotator, published)
        except RecordError as error:
            errors[record] = error
    if errors and (not skip_invalid or len(errors) == len(set(records) or present)):
        raise unusable_records(list(errors.values()), skip_invalid=skip_invalid)
    _refuse_copies(checksums)
    usable = tuple(record for record in sorted(set(records) or present) if record not in errors)
    unreadable = {record: str(error) for record, error in errors.items()}
    return Database(name, directory, usable, annotator, checksums, unreadable)


def unusable_records(errors: Sequence[RecordError], *, skip_invalid: bool) -> RecordErrors:
    """Return the error for records that cannot be used, with advice for the given ``skip_invalid``."""
    if skip_invalid:
        return RecordErrors(errors, "no record is left")
    return RecordErrors(errors, "repair them, or exclude them with skip_invalid", parameters=("skip_invalid",))


def split_database(database: Database, records: Sequence[str], seed: int) -> Split:
    """The split of a database: by its published protocol where there is one, else seeded by record."""
    return split_mitdb(records) if database.name == "mitdb" else split_by_record(records, seed)


def _directory(name: str, data_dir: Path, raw_dir: Path | None, seed: int, progress: Progress | None) -> Path:
    if name not in DATABASES:
        raise EcgStudyError(f"--database: {name!r} is not known; choose {', '.join(DATABASES)}")
    if name == "synthetic":
        if raw_dir is not None:
            raise EcgStudyError("--raw-dir: the synthetic database is made, not read; use --database mitdb or folder")
        directory = data_dir / "raw" / f"synthetic-v{VERSION}-seed{seed}"
        if not directory.is_dir():
            write_synthetic(directory, seed, progress=_said(progress, "Synthetic records"))
        return directory
    if raw_dir is not None:
        if not raw_dir.is_dir():
            raise EcgStudyError(f"--raw-dir: {raw_dir} is not a folder")
        return raw_dir
    if name == "folder":
        raise EcgStudyError("--raw-dir: the database 'folder' needs to know which folder")
    directory = data_dir / "raw" / "mitdb"
    if not directory.is_dir():
        download(MITDB, directory, _said(progress, "Downloading mitdb"))
    return directory


def _published(directory: Path) -> dict[str, str]:
    try:
        return read_checksums(directory / CHECKSUMS)
    except ValueError as error:
        raise EcgStudyError(
            f"{directory / CHECKSUMS}: is no list of SHA-256 and file names; mend or remove it"
        ) from error


def _refuse_copies(checksums: dict[str, str]) -> None:
    """Refuse a record that is there twice under two names: the two could fall into different parts."""
    seen: dict[str, str] = {}
    for name, digest in sorted(checksums.items()):
        if not name.endswith(SIGNAL_ENDINGS):
            continue  # headers and annotations are short and may well be equal
        other = seen.setdefault(digest, name)
        if other != name:
            raise EcgStudyError(f"{other} and {name} are the same signal under two names; leave one out with --records")


def checked_files(path: Path, annotator: str | None, published: dict[str, str]) -> dict[str, str]:
    """File name → SHA-256 of a record's files, each held against the published list.

    Raises:
        RecordError: a file is missing, or differs from the list.
    """
    with as_record_errors(path):
        files = record_files(path, annotator)
        sums = {file.name: sha256_of(file) for file in files}
    for file in files:
        if file.name in published and published[file.name] != sums[file.name]:
            raise RecordError(file, f"differs from its SHA-256 in {CHECKSUMS}; fetch it again")
    return sums


def _said(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)


def _range(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]} … {names[-1]} ({len(names)} records)"
