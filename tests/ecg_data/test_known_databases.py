"""Tests of the known databases, alone and several in one study: names, subjects, rates and annotated intervals."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.databases.catalog import Database, open_database, split_database
from ecg_study.ecg_data.databases.facts import OFF_R_PEAK, attribution_of, licenses_of, versions_of
from ecg_study.ecg_data.databases.physionet import MITDB_RECORDS
from ecg_study.ecg_data.databases.records import COMMON_RATE, common_rate, read_database_record
from ecg_study.ecg_data.databases.splits import PARTS, Member, Split, split_by_subject
from ecg_study.ecg_data.databases.subjects import SUBJECTS, subject_of
from ecg_study.ecg_data.segments.cache import SegmentCache, open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.errors import DataError, RecordErrors, SettingsError
from ecg_study.evaluation.leads import read_leads
from ecg_study.reports import sentences
from tests.known_databases import GROUPS, MITDB, QTDB, write_databases, write_record

ALL = "mitdb,qtdb,cinc2014"
EXCERPTS = sorted(name for name, subject in SUBJECTS["qtdb"].items() if subject.startswith("mitdb/"))
SETTINGS = SegmentSettings(segment_samples=720, fs=COMMON_RATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small databases in one folder. Shared: copy before changing anything."""
    return write_databases(tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="module")
def joined(folder: Path) -> Database:
    """The three databases as one."""
    return open_database(ALL, raw_dir=folder)


@pytest.fixture(scope="module")
def cache(joined: Database, tmp_path_factory: pytest.TempPathFactory) -> SegmentCache:
    """Segments of the three databases."""
    return open_cache(joined, SETTINGS, data_dir=tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Records of two databases whose marks are 40 ms late."""
    folder = tmp_path_factory.mktemp("late")
    for seed, (database, name) in enumerate((("mitdb", "100"), ("qtdb", "sel301"))):
        write_record(folder / database, name, fs=250, leads=("MLII", "V5"), seed=seed, late=0.04)
    return open_database("mitdb,qtdb", raw_dir=folder)


class TestOneDatabase:
    def test_qtdb_has_the_records_with_annotations(self, folder: Path) -> None:
        database = open_database("qtdb", raw_dir=folder / "qtdb")
        assert database.records == tuple(sorted(QTDB))
        assert common_rate(database) is None, "all have 250 Hz"
        with pytest.raises(RecordErrors, match=r"sel30\.atr: no annotations"):
            open_database("qtdb", raw_dir=folder / "qtdb", records=["sel30"])

    def test_an_excerpt_of_mitdb_is_on_the_side_of_its_source(self, folder: Path) -> None:
        database = open_database("qtdb", raw_dir=folder / "qtdb")
        for seed in range(5):
            split = split_database(database, database.records, seed=seed)
            assert "sel100" in split.test
            assert split.excluded_records == {
                "sel102": "excerpt of mitdb/102, which is excluded (paced: in neither DS1 nor DS2)"
            }

    def test_all_records_of_a_group_are_in_one_part(self, folder: Path) -> None:
        database = open_database("cinc2014", raw_dir=folder / "cinc2014")
        split = split_database(database, database.records, seed=1)
        assert sorted([*split.train, *split.validation, *split.test]) == sorted(GROUPS)
        assert {split.subjects[record] for record in GROUPS} == {"cinc2014/a", "cinc2014/b", "cinc2014/c"}
        (part,) = [part for part in PARTS if "cinc1" in split.part(part)]
        assert "cinc2" in split.part(part)

    def test_only_annotated_time_is_used(self, folder: Path) -> None:
        database = open_database("cinc2014", raw_dir=folder / "cinc2014")
        record = read_database_record(database, "cinc2", lead="auto")  # 360 Hz, beats from 4.8 s to 22.4 s
        assert record.excluded_intervals == ((0, 1726), (8067, 8640))
        assert (record.r_peaks[0], record.r_peaks[-1]) == (1728, 8064)

    def test_different_rates_become_360_hz(self, folder: Path) -> None:
        database = open_database("cinc2014", raw_dir=folder / "cinc2014")
        assert common_rate(database) == 360
        assert common_rate(replace(database, records=("cinc1", "cinc3"))) is None
        at_360 = read_database_record(database, "cinc1", lead="auto", fs=360.0)
        assert at_360.fs == 360
        assert at_360.r_peaks[0] == 1728
        assert at_360.excluded_intervals[0] == (0, 1725)  # sample 1198 at 250 Hz

    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            ("group", "person", "has no column group"),
            ("cinc4,c", "cinc5,c", "has no row for cinc4"),
            ("4.8", "nan", r"not a table of records and their groups \(line 2: nan is not a time in seconds\)"),
            ("cinc4,c", "cinc4,", r"not a table of records and their groups \(line 5: a group is empty\)"),
        ],
    )
    def test_a_damaged_table_of_groups_is_named(
        self, folder: Path, tmp_path: Path, before: str, after: str, message: str
    ) -> None:
        shutil.copytree(folder / "cinc2014", tmp_path / "own")
        table = tmp_path / "own" / "groups.csv"
        table.write_text(table.read_text().replace(before, after))
        with pytest.raises(DataError, match=f"groups.csv: {message}"):
            open_database("cinc2014", raw_dir=tmp_path / "own")
        table.unlink()
        with pytest.raises(DataError, match=r"groups.csv: missing; it says which records are of one subject"):
            open_database("cinc2014", raw_dir=tmp_path / "own")

    def test_other_annotated_times_give_another_cache(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder / "cinc2014", tmp_path / "own")
        before = open_cache(open_database("cinc2014", raw_dir=tmp_path / "own"), SETTINGS, data_dir=tmp_path)
        table = tmp_path / "own" / "groups.csv"
        table.write_text(table.read_text().replace("4.8", "8.8"))
        after = open_cache(open_database("cinc2014", raw_dir=tmp_path / "own"), SETTINGS, data_dir=tmp_path)
        assert after.key != before.key
        assert len(after.clean) < len(before.clean)


class TestSeveralDatabases:
    def test_a_record_is_named_with_its_database(self, joined: Database, folder: Path) -> None:
        assert joined.name == ALL
        assert joined.records == tuple(
            sorted([f"mitdb/{n}" for n in MITDB] + [f"qtdb/{n}" for n in QTDB] + [f"cinc2014/{n}" for n in GROUPS])
        )
        assert all((joined.directory / record).with_suffix(".hea").is_file() for record in joined.records)
        assert open_database("cinc2014,mitdb,qtdb", raw_dir=folder) == joined, "the order does not matter"

    def test_segments_and_whole_leads_agree(self, joined: Database, cache: SegmentCache) -> None:
        assert cache.fs == 360
        assert cache.records == joined.records
        assert cache.directory.name.startswith("mitdb+qtdb+cinc2014-")
        for lead in read_leads(cache, joined, records=["mitdb/100", "qtdb/sel100", "cinc2014/cinc1"]):
            (entry,) = cache.entries_of([lead.record])
            rows = cache.noisy[entry.first : entry.last]
            first = 0 if lead.record != "cinc2014/cinc1" else 3  # 4.8 s of 2 s each
            np.testing.assert_array_equal(rows[0], lead.noisy[first * 720 : (first + 1) * 720].astype(np.float32))
        added = cache.noisy - cache.clean
        of = {record: cache.rows([record])[0] for record in ("mitdb/100", "qtdb/sel100")}
        assert abs(np.corrcoef(added[of["mitdb/100"]], added[of["qtdb/sel100"]])[0, 1]) < 0.15

    def test_the_signals_of_a_record_are_its_own(self, joined: Database, cache: SegmentCache) -> None:
        for record in ("mitdb/100", "qtdb/sel100"):
            assert cache.signals([record]) == {record: [joined.checksums[f"{record}.dat"]]}

    def test_some_records(self, folder: Path) -> None:
        chosen = ["mitdb/100", "qtdb/sel301"]
        assert open_database("mitdb,qtdb", raw_dir=folder, records=chosen).records == tuple(chosen)
        with pytest.raises(SettingsError, match="records: 100: of several databases, name a record as in mitdb/NAME"):
            open_database("mitdb,qtdb", raw_dir=folder, records=["100"])
        with pytest.raises(SettingsError, match="records: none of qtdb; name one, or leave this database out"):
            open_database("mitdb,qtdb", raw_dir=folder, records=["mitdb/100"])
        with pytest.raises(SettingsError, match=r"records: 999 not in .*mitdb, which contains"):
            open_database("mitdb,qtdb", raw_dir=folder, records=["mitdb/999", "qtdb/sel301"])

    def test_damaged_records_are_excluded_if_that_is_asked_for(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "own")
        (tmp_path / "own" / "qtdb" / "sel301.dat").unlink()
        with pytest.raises(RecordErrors, match=r"qtdb/sel301\.dat: "):
            open_database("mitdb,qtdb", raw_dir=tmp_path / "own")
        rest = open_database("mitdb,qtdb", raw_dir=tmp_path / "own", skip_invalid=True)
        assert list(rest.unreadable) == ["qtdb/sel301"]
        assert "qtdb/sel301" not in rest.records

    def test_what_cannot_be_joined_is_refused(self, folder: Path, tmp_path: Path) -> None:
        for names, problem in (
            ("mitdb,folder", "'folder' cannot be used together with others; mitdb, qtdb, cinc2014 can"),
            ("mitdb,mitdb", "'mitdb' is given twice"),
            ("mitdb,edb", "'edb' is unknown; use one of synthetic, mitdb, qtdb, cinc2014, folder"),
        ):
            with pytest.raises(SettingsError, match=f"database: {problem}"):
                open_database(names, raw_dir=folder)
        with pytest.raises(SettingsError, match=r"raw_dir: .*cinc2014 is not a folder"):
            open_database(ALL, raw_dir=tmp_path)

    def test_one_signal_in_two_databases_is_refused(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "own")
        shutil.copy(tmp_path / "own" / "mitdb" / "100.dat", tmp_path / "own" / "qtdb" / "sel100.dat")
        # The header of the copy, with the names of the record that it stands for.
        header = (tmp_path / "own" / "mitdb" / "100.hea").read_text().replace("100.dat", "sel100.dat")
        (tmp_path / "own" / "qtdb" / "sel100.hea").write_text(header.replace("100 ", "sel100 ", 1))
        with pytest.raises(DataError, match=r"mitdb/100\.dat and qtdb/sel100\.dat are the same signal under two names"):
            open_database("mitdb,qtdb", raw_dir=tmp_path / "own")

    def test_terms_of_each_are_listed(self) -> None:
        assert versions_of(["mitdb"]) == "1.0.0"
        assert versions_of(["mitdb", "qtdb"]) == "mitdb 1.0.0, qtdb 1.0.0"
        assert licenses_of(["mitdb", "cinc2014"]).startswith("mitdb: Open Data Commons")
        assert "Laguna P" in attribution_of(["mitdb", "qtdb"])


def _split(joined: Database, test_database: str = "") -> Split:
    return split_database(joined, joined.records, seed=1, test_database=test_database)


class TestSplit:
    def test_a_subject_of_two_databases_is_in_one_part(self, joined: Database) -> None:
        split = _split(joined)
        assert {"mitdb/100", "mitdb/202", "qtdb/sel100"} <= set(split.test)
        assert "mitdb/109" in split.validation
        assert split.subjects["qtdb/sel100"] == split.subjects["mitdb/100"] == "mitdb/100"
        assert set(split.excluded_records) == {"mitdb/102", "mitdb/201", "qtdb/sel102"}

    def test_parts_are_the_same_alone_and_with_others(self, joined: Database, folder: Path) -> None:
        split, alone = _split(joined), open_database("qtdb", raw_dir=folder / "qtdb")
        own = split_database(alone, alone.records, seed=1)
        for part in PARTS:
            of_qtdb = [record for record in split.part(part) if record.startswith("qtdb/")]
            assert of_qtdb == [f"qtdb/{record}" for record in own.part(part)]

    def test_qtdb_is_tested_without_its_excerpts_of_mitdb(self, joined: Database) -> None:
        split = _split(joined, "qtdb")
        assert split.test == tuple(f"qtdb/{n}" for n in sorted(QTDB) if n not in ("sel100", "sel102"))
        assert {"mitdb/100", "mitdb/201", "mitdb/202"} <= set(split.train), "test records of MIT-BIH train"
        assert split.excluded_records["qtdb/sel100"] == "excerpt of mitdb/100, not a record of another database"

    def test_mitdb_is_tested_as_a_whole(self, joined: Database) -> None:
        split = _split(joined, "mitdb")
        assert split.test == tuple(f"mitdb/{n}" for n in MITDB)
        assert {"qtdb/sel100", "qtdb/sel102"} <= set(split.excluded_records)

    def test_excerpts_train_with_their_source(self, joined: Database) -> None:
        split = _split(joined, "cinc2014")
        assert split.test == tuple(f"cinc2014/{n}" for n in GROUPS)
        assert {"qtdb/sel100", "mitdb/100"} <= set(split.train)

    def test_qtdb_without_mitdb_is_tested_with_its_excerpts(self, folder: Path) -> None:
        two = open_database("qtdb,cinc2014", raw_dir=folder)
        assert _split(two, "qtdb").test == tuple(f"qtdb/{n}" for n in sorted(QTDB))

    def test_a_database_that_is_not_used_cannot_be_tested(self, joined: Database, folder: Path) -> None:
        with pytest.raises(SettingsError, match="test_database: 'edb' is not one of the databases mitdb, qtdb, cinc"):
            _split(joined, "edb")
        alone = open_database("mitdb", raw_dir=folder / "mitdb")
        with pytest.raises(SettingsError, match="test_database: 'mitdb' can be tested as a whole only beside others"):
            _split(alone, "mitdb")

    @given(
        st.sets(st.sampled_from(MITDB_RECORDS), min_size=8),
        st.sets(st.sampled_from(EXCERPTS), min_size=4),
        st.lists(st.integers(0, 9), max_size=20),
        st.integers(0, 1000),
        st.sampled_from(["", "mitdb", "qtdb", "cinc2014"]),
    )
    def test_nobody_is_in_two_parts(
        self, mitdb: set[str], excerpts: set[str], groups: list[int], seed: int, test_database: str
    ) -> None:
        groups = [*range(3), *groups]  # with three subjects or more no part of a database is empty
        members = [
            *(Member(f"mitdb/{n}", "mitdb", n, subject_of(f"mitdb/{n}")) for n in sorted(mitdb)),
            *(Member(f"qtdb/{n}", "qtdb", n, subject_of(f"qtdb/{n}")) for n in sorted(excerpts)),
            *(Member(f"qtdb/x{n}", "qtdb", f"x{n}", f"qtdb/x{n}") for n in range(8)),
            *(Member(f"cinc2014/c{i}", "cinc2014", f"c{i}", f"cinc2014/{group}") for i, group in enumerate(groups)),
        ]
        split = split_by_subject(members, seed=seed, test_database=test_database)  # refuses a subject in two parts
        placed = [record for part in PARTS for record in split.part(part)]
        assert sorted([*placed, *split.excluded_records]) == sorted(member.record for member in members)
        if test_database:
            assert {record.partition("/")[0] for record in split.test} == {test_database}


class TestAlignedMarks:
    def test_marks_are_moved_where_a_database_is_known_to_be_off(self, late: Database) -> None:
        r_peaks = np.round(np.arange(0.8, 22.5, 0.8) * 250)
        moved = read_database_record(late, "qtdb/sel301", lead="auto", aligned=True)
        assert np.abs(moved.r_peaks - r_peaks).max() <= 1
        assert moved.mark_offset_s == pytest.approx(0.04, abs=0.001)
        own = read_database_record(late, "qtdb/sel301", lead="auto")
        assert np.abs(own.r_peaks - r_peaks - 10).max() <= 1
        kept = read_database_record(late, "mitdb/100", lead="auto", aligned=True)
        np.testing.assert_array_equal(kept.r_peaks, own.r_peaks)

    @pytest.mark.parametrize("lead", ["V5", "all"])
    def test_the_marks_of_all_leads_are_the_same(self, late: Database, lead: str) -> None:
        first = read_database_record(late, "qtdb/sel301", lead="auto", fs=360.0, aligned=True)
        other = read_database_record(late, "qtdb/sel301", lead=lead, fs=360.0, aligned=True)
        np.testing.assert_array_equal(other.r_peaks, first.r_peaks)

    def test_reports_name_the_same_databases(self) -> None:
        assert sentences._OFF_R_PEAK == OFF_R_PEAK

    def test_a_cache_says_by_how_much(self, late: Database, tmp_path: Path) -> None:
        own = open_cache(late, SETTINGS, data_dir=tmp_path)
        aligned = open_cache(late, replace(SETTINGS, aligned=True), data_dir=tmp_path)
        assert own.key != aligned.key
        assert own.mark_offsets_ms == {}
        assert aligned.mark_offsets_ms == {"qtdb/sel301": pytest.approx(40, abs=2)}
        again = open_cache(late, replace(SETTINGS, aligned=True), data_dir=tmp_path)
        assert again.mark_offsets_ms == aligned.mark_offsets_ms
        (lead,) = read_leads(aligned, late, records=["qtdb/sel301"])
        (entry,) = aligned.entries_of(["qtdb/sel301"])
        marks = aligned.r_peaks[entry.first : entry.last].ravel()
        assert np.flatnonzero(marks).tolist() == [peak for peak in lead.r_peaks if peak < len(marks)]


class TestRealDatabases:
    def test_subjects_of_qtdb_are_those_of_its_sources(self, real_data: Path) -> None:
        with open(real_data / "qtdb" / "sources.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            source = f"mitdb/{row['source_record']}" if row["in_mitdb"] == "yes" else None
            subject = subject_of(f"qtdb/{row['record']}")
            assert (subject if subject.startswith("mitdb/") else None) == source
        about = {row["record"]: row["person_header"].split(" / Recorder")[0] for row in rows if row["person_header"]}
        for record in about:
            other = subject_of(f"qtdb/{record}").partition("/")[2]
            assert about[record] == about[other]

    @pytest.mark.parametrize("test_database", ["", "mitdb", "qtdb", "cinc2014"])
    def test_nobody_is_in_two_parts(self, real_data: Path, test_database: str) -> None:
        database = open_database(ALL, raw_dir=real_data)
        assert len(database.records) == 48 + 81 + 70
        split = _split(database, test_database)
        tested = Counter(record.partition("/")[0] for record in split.test)
        if test_database:
            assert tested == {test_database: {"mitdb": 48, "qtdb": 81 - 14, "cinc2014": 70}[test_database]}
        else:
            assert tested["mitdb"] == 22
            assert {"qtdb/sel100", "qtdb/sel103", "qtdb/sel232"} <= set(split.test), "excerpts of DS2"
        assert all(len(split.part(part)) > 10 for part in PARTS)
