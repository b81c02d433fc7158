"""Tests of downloads, from a local server with a small substitute for MIT-BIH."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ecg_study.ecg_data.databases.physionet import MITDB, NSTDB, STRESS_LEVELS, Published, download, stress_record
from ecg_study.errors import DataError


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Published, str]]:
    """A folder that is served in the place of PhysioNet's mitdb, with two records, and what is to be fetched."""
    folder = tmp_path / "www" / "mitdb" / MITDB.version
    folder.mkdir(parents=True)
    lines = []
    for name in ("100", "101"):
        for ending in ("hea", "dat", "atr"):
            content = f"{name}.{ending}".encode() * 100
            (folder / f"{name}.{ending}").write_bytes(content)
            lines.append(f"{hashlib.sha256(content).hexdigest()} {name}.{ending}\n")
    sums = "".join(lines)
    (folder / "SHA256SUMS.txt").write_text(sums)
    files = tuple(line.split()[1] for line in lines)
    database = replace(MITDB, files=files, sha256=hashlib.sha256(sums.encode()).hexdigest())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "www")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr("ecg_study.ecg_data.databases.physionet._RETRIES", 0)
    yield folder, database, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_all_files_arrive_and_progress_is_told(published: tuple[Path, Published, str], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    folder, database, url = published
    directory = tmp_path / "raw" / "mitdb"
    download(database, directory, progress=lambda *step: told.append(step), base_url=url)
    arrived = {path.name: path.read_bytes() for path in (tmp_path / "raw" / "mitdb").iterdir()}
    assert arrived == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert told == [("Downloading mitdb", done, 6) for done in range(7)]
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["mitdb"]


def test_a_broken_download_leaves_nothing_that_looks_whole_and_goes_on(
    published: tuple[Path, Published, str], tmp_path: Path
) -> None:
    folder, database, url = published
    good = (folder / "101.dat").read_bytes()
    (folder / "101.dat").write_bytes(good[:-1])
    with pytest.raises(DataError, match=r"101\.dat: SHA-256 differs from the published"):
        download(database, tmp_path / "raw" / "mitdb", base_url=url)
    assert not (tmp_path / "raw" / "mitdb").exists()
    (folder / "101.dat").unlink()
    with pytest.raises(DataError, match=r"101\.dat: download failed .*raw_dir"):
        download(database, tmp_path / "raw" / "mitdb", base_url=url)
    (folder / "101.dat").write_bytes(good)
    (folder / "100.dat").unlink()  # it passed before, and is not asked for again
    download(database, tmp_path / "raw" / "mitdb", base_url=url)
    assert (tmp_path / "raw" / "mitdb" / "101.dat").read_bytes() == good


def test_a_forged_list_of_checksums_is_refused(published: tuple[Path, Published, str], tmp_path: Path) -> None:
    folder, database, url = published
    (folder / "SHA256SUMS.txt").write_text("forged\n")
    with pytest.raises(DataError, match=r"SHA256SUMS\.txt: SHA-256 differs"):
        download(database, tmp_path / "raw" / "mitdb", base_url=url)


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.databases.physionet._RETRIES", 0)
    with pytest.raises(DataError, match="download failed"):
        download(MITDB, tmp_path / "raw" / "mitdb", base_url="http://127.0.0.1:9/")


def test_a_temporary_file_of_a_killed_download_is_removed(
    published: tuple[Path, Published, str], tmp_path: Path
) -> None:
    folder, database, url = published
    collected = tmp_path / "raw" / ".mitdb.download"
    collected.mkdir(parents=True)
    (collected / "tmpabc").write_bytes(b"half")
    download(database, tmp_path / "raw" / "mitdb", base_url=url)
    assert {path.name for path in (tmp_path / "raw" / "mitdb").iterdir()} == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("database", [MITDB, NSTDB], ids=["mitdb", "nstdb"])
def test_the_pinned_list_is_the_published_one(database: Published, real_data: Path) -> None:
    content = (real_data / database.name / "SHA256SUMS.txt").read_bytes()
    assert hashlib.sha256(content).hexdigest() == database.sha256
    assert set(database.files) <= {line.split()[1] for line in content.decode().splitlines()}


def test_names_of_noise_stress_records() -> None:
    assert [stress_record("118", snr) for snr in STRESS_LEVELS] == [
        "118e24",
        "118e18",
        "118e12",
        "118e06",
        "118e00",
        "118e_6",
    ]
