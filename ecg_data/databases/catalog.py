"""Databases: synthetic records, MIT-BIH, or any folder of WFDB records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.databases.physionet import CHECKSUMS, MITDB, download
from ecg_study.ecg_data.databases.splits import Split, split_by_record, split_mitdb
from ecg_study.ecg_data.databases.synthetic import VERSION, write_synthetic
from ecg_study.ecg_data.readers.recording import as_record_errors
from ecg_study.ecg_data.readers.wfdb import record_files
from ecg_study.errors import DataError, RecordError, RecordErrors, SettingsError
from ecg_study.files import read_checksums, sha256_of
from ecg_study.progress import Progress

DATABASES = ("synthetic", "mitdb", "folder")
SIGNAL_ENDINGS = (".dat", ".d16", ".mat", ".edf", ".sig")

VERSIONS = {"synthetic": str(VERSION), "mitdb": MITDB.version, "folder": ""}
"""Version of each database; empty for a folder, whose version is unknown."""

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
    """A folder of WFDB records with complete files.

    Attributes:
        name: one of `DATABASES`.
        directory: folder with the WFDB files.
        records: names of the records to use, sorted.
        annotator: extension of the annotation files.
        checksums: file name → SHA-256, for every file of every usable record.
        unreadable: reason for each record that was excluded because a file is missing or damaged; only with
            ``skip_invalid``, otherwise such a record is an error.
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
    """Open a database, and download or generate it if necessary.

    Args:
        name: one of `DATABASES`.
        data_dir: parent folder of ``raw/``, where downloaded and generated records are kept.
        raw_dir: folder with existing files, for ``mitdb`` and ``folder``.
        records: names of the records to use (default: all).
        seed: seed of the synthetic database.
        annotator: extension of the annotation files.
        skip_invalid: whether to exclude records whose files are missing or damaged; otherwise they are an error.
        progress: called with the number of downloaded files or generated records.

    Raises:
        SettingsError: the name, ``raw_dir`` or a record is not valid.
        RecordErrors: files are missing, or differ from a ``SHA256SUMS.txt`` in their folder.
        DataError: the folder has no records, or a record twice; or the download failed.
    """
    if isinstance(records, str):
        raise SettingsError("records", f"{records!r} is not a list of names; use [{records!r}]", value=records)
    raw = None if raw_dir is None else Path(raw_dir)
    directory = _directory(name, data_dir=Path(data_dir), raw_dir=raw, seed=seed, progress=progress)
    published = published_checksums(directory)
    if name == "synthetic" and set(published) != {path.name for path in directory.iterdir()} - {CHECKSUMS}:
        raise DataError(f"{directory}: files are missing, or were added; delete the folder to generate it again")
    present = sorted(path.stem for path in directory.glob("*.hea"))
    if not present:
        problem = "no WFDB record (.hea) in this folder; give a folder of records as raw_dir"
        raise DataError(f"{directory}: {problem}", parameters=("raw_dir",))
    missing = [record for record in records if record not in present]
    if missing:
        problem = f"{', '.join(missing)} not in {directory}, which contains {_listed(present)}"
        raise SettingsError("records", problem, value=tuple(records))
    chosen = sorted(set(records) or present)
    checksums: dict[str, str] = {}
    errors: dict[str, RecordError] = {}
    for record in chosen:
        try:
            checksums |= checked_files(directory / record, annotator=annotator, published=published)
        except RecordError as error:
            errors[record] = error
    if errors and (not skip_invalid or len(errors) == len(chosen)):
        raise unusable_records(list(errors.values()), skip_invalid=skip_invalid)
    _refuse_copies(checksums)
    usable = tuple(record for record in chosen if record not in errors)
    unreadable = {record: str(error) for record, error in errors.items()}
    return Database(name, directory, usable, annotator, checksums, unreadable)


def unusable_records(errors: Sequence[RecordError], *, skip_invalid: bool) -> RecordErrors:
    """Return the error for records that cannot be used, with advice for the given ``skip_invalid``."""
    if skip_invalid:
        return RecordErrors(errors, "no record is left")
    return RecordErrors(errors, "repair them, or exclude them with skip_invalid", parameters=("skip_invalid",))


def split_database(database: Database, records: Sequence[str], *, seed: int) -> Split:
    """Split a database by its published protocol, or by seed if it has none."""
    return split_mitdb(records) if database.name == "mitdb" else split_by_record(records, seed)


def _directory(name: str, *, data_dir: Path, raw_dir: Path | None, seed: int, progress: Progress | None) -> Path:
    if name not in DATABASES:
        raise SettingsError("database", f"{name!r} is unknown; use one of {', '.join(DATABASES)}", value=name)
    if name == "synthetic":
        if raw_dir is not None:
            problem = "the database 'synthetic' is generated, not read; use the database 'mitdb' or 'folder'"
            raise SettingsError("raw_dir", problem, value=raw_dir, parameters=("database",))
        directory = data_dir / "raw" / f"synthetic-v{VERSION}-seed{seed}"
        if not directory.is_dir():
            write_synthetic(directory, seed=seed, progress=progress)
        return directory
    if raw_dir is not None:
        if not raw_dir.is_dir():
            raise SettingsError("raw_dir", f"{raw_dir} is not a folder", value=raw_dir)
        return raw_dir
    if name == "folder":
        raise SettingsError("raw_dir", "missing; the database 'folder' requires the folder with its records")
    directory = data_dir / "raw" / MITDB.name
    if not directory.is_dir():
        download(MITDB, directory, progress=progress)
    return directory


def published_checksums(directory: Path) -> dict[str, str]:
    """Return file name → SHA-256 by the ``SHA256SUMS.txt`` of a folder; empty if it has none.

    Raises:
        DataError: the list is damaged.
    """
    try:
        return read_checksums(directory / CHECKSUMS)
    except ValueError as error:
        problem = "not a list of SHA-256 checksums and file names; repair or remove it"
        raise DataError(f"{directory / CHECKSUMS}: {problem}") from error


def _refuse_copies(checksums: Mapping[str, str]) -> None:
    """Refuse one signal under two names: the split could assign the two to different parts."""
    seen: dict[str, str] = {}
    for name, digest in sorted(checksums.items()):
        if not name.endswith(SIGNAL_ENDINGS):
            continue  # headers and annotations are short and may be equal
        other = seen.setdefault(digest, name)
        if other != name:
            problem = f"{other} and {name} are the same signal under two names; choose records without one of them"
            raise DataError(problem, parameters=("records",))


def checked_files(path: Path, *, annotator: str | None, published: Mapping[str, str]) -> dict[str, str]:
    """Return file name → SHA-256 of a record's files, after comparison with the published checksums.

    Raises:
        RecordError: a file is missing, or differs from its published checksum.
    """
    with as_record_errors(path):
        files = record_files(path, annotator=annotator)
        sums = {file.name: sha256_of(file) for file in files}
    for file in files:
        if file.name in published and published[file.name] != sums[file.name]:
            raise RecordError(file, f"differs from its SHA-256 in {CHECKSUMS}; download it again")
    return sums


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]} … {names[-1]} ({len(names)} records)"
