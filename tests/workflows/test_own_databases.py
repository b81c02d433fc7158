"""Databases of the user: described by a table, joined with known ones, split by person, shared out in training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

import study
from ecg_study.ecg_data.databases.catalog import Database, open_database, split_database
from ecg_study.ecg_data.databases.own import OwnDatabase
from ecg_study.ecg_data.databases.records import read_database_record
from ecg_study.ecg_data.databases.splits import PARTS, TEST
from ecg_study.errors import DataError, SettingsError
from ecg_study.models.card import DETECTOR
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.preparation import prepare_data
from ecg_study.workflows.settings import Settings, load_settings, save_settings
from tests.known_databases import SECONDS, write_databases, write_record

NAMES = tuple(f"p{number}" for number in range(10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``mitdb`` and ten records of a ward, two of one person, one of a person of ``mitdb``."""
    directory = write_databases(tmp_path_factory.mktemp("own"))
    for number, name in enumerate(NAMES):
        write_record(directory / "ward", name, fs=250, leads=("I",), seed=300 + number)
    groups = {name: f"patient{name}" for name in NAMES} | {"p1": "patientp0", "p2": "mitdb/101"}
    text = "record,group\n" + "".join(f"{name},{group}\n" for name, group in groups.items())
    (directory / "people.csv").write_text(text)
    return directory


def _opened(folder: Path, names: str = "mitdb,ward", **more: Any) -> Database:
    more = {"groups": folder / "people.csv"} | more
    own = {"ward": OwnDatabase("ward", folder / "ward", **more)}
    return open_database(names, raw_dir=folder, own=own)


def test_records_are_joined_under_the_name_of_the_database(folder: Path) -> None:
    data = _opened(folder)
    assert data.name == "mitdb,ward" and [name for name in data.records if name.startswith("ward/")] == [
        f"ward/{name}" for name in NAMES
    ]
    assert data.path("ward/p3") == folder / "ward" / "p3" and data.path("mitdb/100") == folder / "mitdb" / "100"
    assert len(read_database_record(data, "ward/p3", lead="auto", fs=360.0).r_peaks) == 28
    alone = _opened(folder, "ward")
    assert alone.records == NAMES and alone.path("p3") == folder / "ward" / "p3"


@pytest.mark.parametrize("names", ["mitdb,ward", "ward"])
@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_in_two_parts(folder: Path, names: str, seed: int) -> None:
    data = _opened(folder, names)
    split = split_database(data, data.records, seed=seed)
    parts = {data.member(record).name: part for part in PARTS for record in split.part(part)}
    assert parts["p0"] == parts["p1"], "of one person"
    assert parts["p2"] == "train", "record 101 of MIT-BIH is of this person, and is for training"
    assert {parts[name] for name in NAMES} == set(PARTS)


def test_a_database_can_be_for_training_or_for_the_test_alone(folder: Path) -> None:
    def ward(use: str) -> Counter[str]:
        data = _opened(folder, part=use, groups=None)
        split = split_database(data, data.records, seed=1)
        return Counter(part for part in PARTS for record in split.part(part) if record.startswith("ward/"))

    assert ward("split") == {"train": 6, "validation": 2, "test": 2}
    assert ward("train") == {"train": 8, "validation": 2}
    assert ward("test") == {"test": 10}


def test_a_person_of_the_training_records_is_no_test_person(folder: Path) -> None:
    data = _opened(folder, part="test")
    with pytest.raises(DataError, match=r"records mitdb/101 .train. and ward/p2 .test. are of one subject"):
        split_database(data, data.records, seed=1)


def test_only_the_given_symbols_are_beats(folder: Path, tmp_path: Path) -> None:
    write_record(tmp_path, "a", fs=250, leads=("I",))
    at = np.arange(1, 20) * 250
    wfdb.wrann("a", "man", at, ["N", "V", "F"] * 6 + ["Q"], fs=250, write_dir=str(tmp_path))
    own = OwnDatabase("mine", tmp_path, symbols=("V", "Q"), annotator="man", align=False)
    data = open_database("mine", own={"mine": own})
    found = read_database_record(data, "a", lead="auto", aligned=True).r_peaks
    np.testing.assert_array_equal(found, at[[*range(1, 18, 3), 18]])
    assert folder


def test_intervals_without_annotations_come_from_the_table(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    rows = "".join(f"{name},{name},2,20\n" for name in NAMES)
    table.write_text("record,group,first_mark_s,last_mark_s\n" + rows)
    record = read_database_record(_opened(folder, groups=table), "ward/p1", lead="auto")
    first, last = record.excluded_intervals
    assert first == (0, 498) and last == (250 * 20 + 3, round(SECONDS * 250)), "5 ms are added on either side"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "databases: ward: folder: is missing"),
        ({"folder": "x", "part": "all"}, "databases: ward: part: 'all' is not one of split, train, test"),
        ({"folder": "x", "share": 1.0}, "databases: ward: share: 1.0 is not a number between 0 and 1"),
        ({"folder": "x", "symbol": ["N"]}, "databases: ward: symbol: unknown setting; did you mean 'symbols'?"),
        ("x", "databases: ward: is not a table with the key folder"),
    ],
)
def test_a_wrong_table_is_one_line(table: object, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(databases={"ward": table}, database="ward")  # type: ignore[dict-item]
    assert str(caught.value) == says


def test_a_name_must_be_free_and_known(folder: Path) -> None:
    with pytest.raises(SettingsError, match="'mitdb' is a known database; choose another name"):
        Settings(databases={"mitdb": {"folder": "x"}})  # type: ignore[dict-item]
    with pytest.raises(SettingsError, match="'my ward' is not a name of letters, digits, hyphens and underscores"):
        Settings(databases={"my ward": {"folder": "x"}})  # type: ignore[dict-item]
    with pytest.raises(SettingsError, match="'ward' is not one of synthetic, mitdb"):
        Settings(database="mitdb,ward")
    with pytest.raises(SettingsError, match="the shares add up to 1 or more"):
        tables: Any = {name: {"folder": "x", "share": 0.6} for name in ("a", "b")}
        Settings(databases=tables, database="mitdb,a,b")
    with pytest.raises(SettingsError, match=r"ward: folder: .*nowhere is not a folder"):
        open_database("ward", own={"ward": OwnDatabase("ward", folder / "nowhere")})
    (folder / "short.csv").write_text("record,group\np0,a\n")
    with pytest.raises(DataError, match=r"short\.csv: has no row for p1"):
        _opened(folder, groups=folder / "short.csv")


def test_the_settings_file_keeps_the_tables(folder: Path, tmp_path: Path) -> None:
    written = tmp_path / "study.toml"
    written.write_text(
        f'database = "ward,mitdb"\nraw-dir = "{folder}"\ndata-dir = "{tmp_path / "data"}"\n\n[databases.ward]\n'
        f'folder = "{folder / "ward"}"\ngroups = "{folder / "people.csv"}"\nsymbols = ["N"]\nshare = 0.5\n'
    )
    settings = Settings(**load_settings(written))
    assert settings.database == "mitdb,ward", "in the usual order"
    save_settings(settings, tmp_path / "saved.toml")
    assert Settings(**load_settings(tmp_path / "saved.toml")) == settings
    assert study.main(["prepare", "--config", str(written)]) == 0
    assert study.main(["prepare", "--config", str(written), "--database", "qtdb,ward"]) == 0
    assert study.main(["prepare", "--database", "mitdb,ward", "--raw-dir", str(folder)]) == 2


def test_the_share_of_a_database_in_training_is_the_given_one(folder: Path, tmp_path: Path) -> None:
    tables: Any = {"ward": {"folder": str(folder / "ward"), "groups": str(folder / "people.csv"), "share": 0.75}}
    settings = Settings(
        databases=tables, database="mitdb,ward", raw_dir=str(folder), data_dir=str(tmp_path), segment_samples=720
    )
    data = prepare_data(settings)
    task = TrainingTask(DETECTOR, data.cache, data.split, PRESETS["quick"], shares=data.shares)
    stream = task.training_stream(1)
    rows = np.concatenate([stream.rows(number) for number in range(stream.batches_per_epoch)])
    own = data.cache.rows([record for record in data.split.train if record.startswith("ward/")])
    assert np.isin(rows, own).mean() == pytest.approx(0.75, abs=0.01)
    assert json.loads((data.cache.directory / "manifest.json").read_text())["mark_offsets_ms"].keys() >= {"ward/p3"}
    assert data.split.part(TEST)
