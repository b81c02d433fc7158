"""Tests of tables of groups: one person is one subject, however the table is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecg_study.ecg_data.databases.catalog import Database, open_database, split_database
from ecg_study.ecg_data.databases.groups import Groups, joined_subjects, read_groups
from ecg_study.ecg_data.databases.own import OwnDatabase
from ecg_study.ecg_data.databases.splits import PARTS
from ecg_study.errors import DataError
from tests.known_databases import write_databases, write_record


def groups_in(folder: Path, text: str | bytes, *, own: tuple[str, ...] = ("ward", "Clinic")) -> Groups:
    path = folder / "people.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_groups(path, database="ward", with_times=False, own=own)


@pytest.mark.parametrize(
    "text",
    [
        "record,group\na,p1\nb, p1\n c ,p1 \n",
        "\ufeffrecord,group\na,p1\nb,p1\nc,p1\n",
        "record;group\na;p1\nb;p1\nc;p1\n",
        "record\tgroup\r\na\tp1\r\nb\tp1\r\nc\tp1\r\n",
        "Record, Group \na,p1\n\nb,p1\n,\nc,p1,,\n",
        "record,group\na,ward/p1\nb,WARD/p1\nc,ward/ p1\n",
        "record,group\na,p1\nb,p1\nc,p1\na,p1\n",
    ],
)
def test_one_person_is_one_subject(tmp_path: Path, text: str) -> None:
    assert groups_in(tmp_path, text).subjects == dict.fromkeys("abc", "ward/p1")


def test_spellings_of_a_letter_are_one(tmp_path: Path) -> None:
    found = groups_in(tmp_path, "record,group\na,Jos\u00e9\nb,Jose\u0301\n")
    assert set(found.subjects.values()) == {"ward/Jos\u00e9"}


@pytest.mark.parametrize(
    ("group", "subject"),
    [
        ("mitdb/100", "mitdb/100"),
        (" MITDB / 100", "mitdb/100"),
        ("qtdb/sel100", "mitdb/100"),
        ("QTDB/sel301", "qtdb/sel301"),
        ("mitdb/201", "mitdb/202"),
        ("clinic/x", "Clinic/x"),
    ],
)
def test_a_group_of_another_database_is_that_person(tmp_path: Path, group: str, subject: str) -> None:
    assert groups_in(tmp_path, f"record,group\na,{group}\n").subjects == {"a": subject}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("record,group\na,p1\na,p2\n", "line 3: record 'a' has two groups, 'ward/p1' and 'ward/p2'"),
        ("record,group,group\na,p1,p2\n", "several columns have the name 'group'"),
        ("record,group\na,p1\nb,P1\n", "line 3: the groups 'ward/P1' and 'ward/p1' differ in case only"),
        ("record,group\na,mitdb/999\n", "line 2: the group 'mitdb/999' is not a record of mitdb"),
        ("record,group\na,edb/e0103\n", "line 2: the group 'edb/e0103' names an unknown database; use one of"),
        ("record,group\na,/100\n", "line 2: the group '/100' names an unknown database"),
        ("record,group\na,mitdb/\n", "line 2: the group 'mitdb/' names no record"),
        ("record,group\na,mitdb\\100\n", "line 2: the group 'mitdb\\\\100' has a backslash"),
        ("record,group\na,p1,p2\n", "line 2: has more cells than the first line has names"),
        ("record,group\n,p1\n", "line 2: a record is empty"),
        ("record,group\na\n", "line 2: a group is empty"),
        ("record,group\na,M\u00fcller\n".encode("latin-1"), "not UTF-8 text"),
    ],
)
def test_tables_in_doubt_are_refused(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        groups_in(tmp_path, text)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("a,p1,50,5\n", "line 2: first_mark_s 50 is after last_mark_s 5"),
        ("a,p1,5,50\na,p1,5,60\n", "line 3: record 'a' has two annotated intervals"),
        ("a,p1,,\n", "line 2: an empty cell is not a time in seconds"),
        ("a,p1,1_0,20\n", "line 2: 1_0 is not a time in seconds"),
        ("a,p1,-1,20\n", "line 2: -1 is not a time in seconds"),
    ],
)
def test_wrong_intervals_are_refused(tmp_path: Path, rows: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        groups_in(tmp_path, "record,group,first_mark_s,last_mark_s\n" + rows)


def test_seconds_with_decimal_commas_are_read_beside_semicolons(tmp_path: Path) -> None:
    found = groups_in(tmp_path, "record;group;first_mark_s;last_mark_s\na;p1;1,5;20\n")
    assert found.annotated_seconds == {"a": (1.5, 20.0)}


def test_a_record_of_another_table_is_its_person() -> None:
    present = {"ward": {"a", "b"}, "clinic": {"x", "y"}}
    subjects = {"ward": {"a": "clinic/x", "b": "clinic/p7"}, "clinic": {"x": "clinic/p7", "y": "clinic/p8"}}
    found = joined_subjects(subjects, present=present)
    assert found["ward"] == {"a": "clinic/p7", "b": "clinic/p7"}
    chain = {"ward": {"a": "clinic/x"}, "clinic": {"x": "home/h"}, "home": {"h": "home/p9"}}
    found = joined_subjects(chain, present={"ward": {"a"}, "clinic": {"x"}, "home": {"h"}})
    assert found["ward"]["a"] == found["clinic"]["x"] == "home/p9"
    with pytest.raises(DataError, match="ward/a: its group 'clinic/z' is neither a record nor a subject of clinic"):
        joined_subjects({"ward": {"a": "clinic/z"}, "clinic": subjects["clinic"]}, present=present)
    with pytest.raises(DataError, match="ward/a: its group 'clinic/x' is both a record and another subject"):
        joined_subjects({"ward": {"a": "clinic/x"}, "clinic": {"x": "clinic/y", "y": "clinic/x"}}, present=present)


@pytest.mark.parametrize("position", range(8))
def test_a_copy_of_a_record_is_on_the_side_of_its_source(raw: Path, position: int) -> None:
    names = [f"w{number}" for number in range(8)]
    people = [f"{name},{'qtdb/sel100' if number == position else name}" for number, name in enumerate(names)]
    data = opened(raw, people)
    split = split_database(data, data.records, seed=1)
    parts = {record: part for part in PARTS for record in split.part(part)}
    assert parts[f"ward/w{position}"] == parts["mitdb/100"] == parts["qtdb/sel100"] == "test"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The known databases and eight records of a ward."""
    folder = write_databases(tmp_path_factory.mktemp("raw"))
    for number in range(8):
        write_record(folder / "ward", f"w{number}", fs=250, leads=("II",), seed=50 + number)
    return folder


def opened(folder: Path, people: list[str]) -> Database:
    table = folder / "people.csv"
    table.write_text("\n".join(["record,group", *people]) + "\n")
    own = {"ward": OwnDatabase("ward", folder / "ward", groups=table)}
    return open_database("mitdb,qtdb,ward", raw_dir=folder, own=own)
