"""Databases: synthetic records, known databases, several of these, or any folder of WFDB records."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ecg_study.ecg_data.databases.facts import JOINABLE, database_names
from ecg_study.ecg_data.databases.groups import GROUPS_FILE, joined_subjects, read_groups
from ecg_study.ecg_data.databases.own import NO_OWN_DATABASES, OwnDatabase, OwnDatabases, off_r_peak
from ecg_study.ecg_data.databases.physionet import CHECKSUMS, MITDB, download
from ecg_study.ecg_data.databases.splits import Member, Part, Split, split_by_record, split_by_subject, split_mitdb
from ecg_study.ecg_data.databases.subjects import SUBJECTS
from ecg_study.ecg_data.databases.synthetic import VERSION, write_synthetic
from ecg_study.ecg_data.readers.recording import as_record_errors
from ecg_study.ecg_data.readers.wfdb import record_files
from ecg_study.ecg_data.readers.wfdb.annotations import BEAT_SYMBOLS
from ecg_study.errors import DataError, RecordError, RecordErrors, SettingsError
from ecg_study.files import read_checksums, sha256_of
from ecg_study.progress import Progress

SIGNAL_ENDINGS = (".dat", ".d16", ".mat", ".edf", ".sig")


_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Database:
    """A folder of WFDB records with complete files, or a folder with one such folder per database.

    Attributes:
        name: one of `DATABASES` or of the user's own, or several of them with commas in between.
        directory: folder with the WFDB files; of several databases, the folder with their folders.
        records: names of the records to use, sorted; of several databases, with the name of the database in front, as
            in ``"mitdb/100"``. See `path`.
        annotator: extension of the annotation files.
        checksums: file name → SHA-256, for every file of every usable record.
        unreadable: reason for each record that was excluded because a file is missing or damaged; only with
            ``skip_invalid``, otherwise such a record is an error.
        subjects: record → its subject, such as ``"mitdb/100"``, if it is not the record's own; also of other records.
        annotated_seconds: record → seconds from the start between which all beats are annotated, if not everywhere.
        own: those of its databases that are the user's own, by name.
    """

    name: str
    directory: Path
    records: tuple[str, ...]
    annotator: str
    checksums: dict[str, str]
    unreadable: dict[str, str]
    subjects: Mapping[str, str] = field(default_factory=dict)
    annotated_seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    own: OwnDatabases = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its databases."""
        return tuple(self.name.split(","))

    def path(self, record: str) -> Path:
        """Return the path of a record without its extension."""
        own = self.own.get(self.member(record).database)
        return self.directory / record if own is None else own.folder / self.member(record).name

    def annotator_of(self, record: str) -> str:
        """Return the extension of the annotation file of a record."""
        own = self.own.get(self.member(record).database)
        return self.annotator if own is None else own.annotator

    def beat_symbols(self, record: str) -> Collection[str]:
        """Return the annotation codes of beats of a record."""
        own = self.own.get(self.member(record).database)
        return own.symbols if own is not None and own.symbols else BEAT_SYMBOLS

    def has_moved_marks(self, record: str) -> bool:
        """Return whether the marks of a record may lie off the R peaks, and are moved to them if that is wanted."""
        return self.member(record).database in off_r_peak(self.names, self.own)

    def member(self, record: str) -> Member:
        """Return the names of a record and of its subject that are unique over all databases."""
        unique = record if len(self.names) > 1 else f"{self.name}/{record}"
        database, _, name = unique.partition("/")
        return Member(record, database, name, self.subjects.get(record, unique))


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
    own: OwnDatabases = NO_OWN_DATABASES,
) -> Database:
    """Open a database or several, and download or generate what is missing if that is possible.

    Args:
        name: one of `DATABASES` or of ``own``; or several of ``mitdb``, ``qtdb``, ``cinc2014`` and ``own`` with commas
            in between.
        data_dir: parent folder of ``raw/``, where downloaded and generated records are kept.
        raw_dir: folder with existing files; of several databases, the folder with one folder of this name each.
        records: names of the records to use (default: all).
        seed: seed of the synthetic database.
        annotator: extension of the annotation files.
        skip_invalid: whether to exclude records whose files are missing or damaged; otherwise they are an error.
        progress: called with the number of downloaded files or generated records.
        own: databases of the user by name.

    Raises:
        SettingsError: the name, ``raw_dir`` or a record is not valid.
        RecordErrors: files are missing, or differ from a ``SHA256SUMS.txt`` in their folder.
        DataError: the folder has no records, or a record twice; or the download failed.
    """
    if isinstance(records, str):
        raise SettingsError("records", f"{records!r} is not a list of names; use [{records!r}]", value=records)
    raw = None if raw_dir is None else Path(raw_dir)
    names = database_names(name, own=own)
    used = {each: own[each] for each in names if each in own}
    directories: dict[str, Path] = {}
    for each in reversed(names):  # the first is MIT-BIH, which is downloaded only if all others are there
        if each in used:
            directories[each] = _own_folder(used[each])
            continue
        folder = raw / each if raw is not None and len(names) > 1 else raw
        directories[each] = _directory(each, data_dir=Path(data_dir), raw_dir=folder, seed=seed, progress=progress)
    opened: dict[str, Database] = {}
    for each in names:
        wanted = records if len(names) == 1 else _records_in(each, records, names)
        extension = used[each].annotator if each in used else annotator
        found = _open_folder(each, directories[each], records=wanted, annotator=extension, skip_invalid=skip_invalid)
        opened[each] = _with_own_groups(found, used[each], own) if each in used else found
    if len(names) == 1:
        return replace(opened[name], own=used)
    return replace(_joined(opened, raw or Path(data_dir) / "raw", annotator=annotator), own=used)


def _open_folder(name: str, directory: Path, *, records: Sequence[str], annotator: str, skip_invalid: bool) -> Database:
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
    if name == "qtdb":  # a quarter of its records has no annotations of all beats
        present = [record for record in present if (directory / f"{record}.{annotator}").is_file()] or present
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
    database = Database(name, directory, usable, annotator, checksums, unreadable)
    if name == "cinc2014":
        return _with_groups(database, directory / GROUPS_FILE)
    known = SUBJECTS.get(name, {})
    return replace(database, subjects={record: known[record] for record in usable if record in known})


def _own_folder(own: OwnDatabase) -> Path:
    if not own.folder.is_dir():
        problem = f"{own.name}: folder: {own.folder} is not a folder"
        raise SettingsError("databases", problem, value=str(own.folder))
    return own.folder


def _with_own_groups(database: Database, own: OwnDatabase, others: Collection[str]) -> Database:
    return database if own.groups is None else _with_groups(database, own.groups, with_times=False, own=others)


def _with_groups(database: Database, path: Path, *, with_times: bool = True, own: Collection[str] = ()) -> Database:
    """Return a database with the subjects and annotated intervals of a table, see `read_groups`."""
    groups = read_groups(path, database=database.name, with_times=with_times, own=own)
    missing = [record for record in database.records if record not in groups.subjects]
    if missing:
        raise DataError(f"{path}: has no row for {', '.join(missing)}")
    # The annotated intervals change the arrays of a cache, so the table counts as one of the files.
    return replace(
        database,
        checksums=database.checksums | {path.name: sha256_of(path)},
        subjects=groups.subjects,  # also of records that are not used, which other tables may name
        annotated_seconds={
            record: groups.annotated_seconds[record]
            for record in database.records
            if record in groups.annotated_seconds
        },
    )


def _records_in(name: str, records: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the given records of one of several databases, by their names in it."""
    for record in records:
        if record.partition("/")[0] not in names:
            problem = f"{record}: of several databases, name a record as in {names[0]}/NAME"
            raise SettingsError("records", problem, value=tuple(records))
    own = [record.partition("/")[2] for record in records if record.startswith(f"{name}/")]
    if records and not own:
        problem = f"none of {name}; name one, or leave this database out"
        raise SettingsError("records", problem, value=tuple(records), parameters=("database",))
    return own


def _joined(opened: Mapping[str, Database], directory: Path, *, annotator: str) -> Database:
    checksums = _with_database({name: part.checksums for name, part in opened.items()})
    _refuse_copies(checksums)
    present = {name: {path.stem for path in part.directory.glob("*.hea")} for name, part in opened.items()}
    subjects = joined_subjects({name: part.subjects for name, part in opened.items()}, present=present)
    return Database(
        name=",".join(opened),
        directory=directory,
        records=tuple(sorted(f"{name}/{record}" for name, part in opened.items() for record in part.records)),
        annotator=annotator,
        checksums=checksums,
        unreadable=_with_database({name: part.unreadable for name, part in opened.items()}),
        subjects=_with_database(subjects),
        annotated_seconds=_with_database({name: part.annotated_seconds for name, part in opened.items()}),
    )


def _with_database(values: Mapping[str, Mapping[str, _Value]]) -> dict[str, _Value]:
    """Return the values of several databases under keys with the name of the database in front."""
    return {f"{name}/{key}": value for name, own in values.items() for key, value in own.items()}


def record_of(file: str) -> str:
    """Return the name of the record that a file in `Database.checksums` belongs to."""
    return str(PurePosixPath(file).with_suffix(""))


def unusable_records(errors: Sequence[RecordError], *, skip_invalid: bool) -> RecordErrors:
    """Return the error for records that cannot be used, with advice for the given ``skip_invalid``."""
    if skip_invalid:
        return RecordErrors(errors, "no record is left")
    return RecordErrors(errors, "repair them, or exclude them with skip_invalid", parameters=("skip_invalid",))


def split_database(database: Database, records: Sequence[str], *, seed: int, test_database: str = "") -> Split:
    """Split a database by its published protocol, or by seed if it has none; several by subject.

    Args:
        database: the database, or several.
        records: its records that can be used.
        seed: seed of a split at random.
        test_database: one of several databases, all records of which are tested; see `split_by_subject`.

    Raises:
        SettingsError: ``test_database`` is not one of several databases.
        DataError: a part is empty.
    """
    if test_database:
        check_test_database(test_database, database.name)
    elif database.name == "mitdb":
        return split_mitdb(records)
    if not set(database.names) <= {*JOINABLE, *database.own}:
        return split_by_record(records, seed)
    members = [database.member(record) for record in sorted(set(records))]
    whole: dict[str, Part] = {name: own.part for name, own in database.own.items() if own.part != "split"}
    return split_by_subject(members, seed=seed, test_database=test_database, whole=whole)


def check_test_database(name: str, databases: str) -> None:
    """Check that one of several databases can be left for the test.

    Raises:
        SettingsError: it is not one of several databases.
    """
    names = databases.split(",")
    if len(names) < 2:
        problem = f"{name!r} can be tested as a whole only beside others; name several as database"
    elif name not in names:
        problem = f"{name!r} is not one of the databases {', '.join(names)}"
    else:
        return
    raise SettingsError("test_database", problem, value=name, parameters=("database",))


def _directory(name: str, *, data_dir: Path, raw_dir: Path | None, seed: int, progress: Progress | None) -> Path:
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
    directory = data_dir / "raw" / name
    if name != "mitdb" and (name == "folder" or not directory.is_dir()):
        raise SettingsError("raw_dir", f"missing; the database {name!r} requires the folder with its records")
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
