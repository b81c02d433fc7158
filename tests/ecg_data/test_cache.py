"""Tests of the segment cache: reuse, keys, interrupted builds and memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecg_study.ecg_data.databases.catalog import Database, open_database
from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.ecg_data.segments.batches import denoiser_reader, detector_reader, soft_targets
from ecg_study.ecg_data.segments.cache import cache_key, open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.ecg_data.segments.stream import ValidationBatches
from ecg_study.errors import DataError, EcgStudyError
from ecg_study.files import sha256_of
from tests.conftest import SMALL, SmallData

ROOT = Path(__file__).parents[2]


def _open(directory: Path, tmp_path: Path) -> Database:
    return open_database("folder", data_dir=tmp_path / "data", raw_dir=directory)


def test_arrays_hold_what_the_records_hold(small_data: SmallData) -> None:
    cache = small_data.cache
    assert cache.noisy.shape == cache.clean.shape == cache.r_peaks.shape == (16 * 15, 720)
    assert isinstance(cache.noisy, np.memmap)
    for entry in cache.entries:
        record = read_record(small_data.database.directory / entry.record)
        whole = slice(0, 15 * 720)
        rows = slice(entry.first, entry.last)
        np.testing.assert_array_equal(cache.clean[rows].ravel(), record.signal[whole, 0])
        noise = gaussian_noise(len(record.signal), sigma_mv=0.05, seed=1, record=entry.record, lead=entry.lead)
        np.testing.assert_array_equal(cache.noisy[rows].ravel(), (record.signal[:, 0] + noise)[whole])
        assert np.flatnonzero(cache.r_peaks[rows].ravel()).tolist() == [p for p in record.r_peaks if p < 15 * 720]
    added = cache.noisy - cache.clean
    assert added.std() == pytest.approx(0.05, rel=0.01)
    assert abs(np.corrcoef(added[0], added[15])[0, 1]) < 0.15  # no two records share their noise


def test_second_run_finds_it_and_any_change_does_not(own_raw_dir: Path, tmp_path: Path) -> None:
    first = open_cache(_open(own_raw_dir, tmp_path), SMALL, data_dir=tmp_path / "data")
    written = (first.directory / "noisy.npy").stat().st_mtime_ns
    again = open_cache(_open(own_raw_dir, tmp_path), SMALL, data_dir=tmp_path / "data")
    assert again.directory == first.directory
    assert (again.directory / "noisy.npy").stat().st_mtime_ns == written
    keys = {first.key}
    for changed in (
        replace(SMALL, segment_samples=1440),
        replace(SMALL, window_samples=72),
        replace(SMALL, noise_sigma_mv=0.1),
        replace(SMALL, seed=2),
        replace(SMALL, lead="V5"),
        replace(SMALL, skip_invalid=True),
    ):
        keys.add(open_cache(_open(own_raw_dir, tmp_path), changed, data_dir=tmp_path / "data").key)
    header = own_raw_dir / "s01.hea"
    header.write_text(header.read_text() + "# a comment\n")
    keys.add(open_cache(_open(own_raw_dir, tmp_path), SMALL, data_dir=tmp_path / "data").key)
    assert len(keys) == 8


def test_damage_to_the_cache_is_named(own_raw_dir: Path, tmp_path: Path) -> None:
    database = _open(own_raw_dir, tmp_path)
    cache = open_cache(database, SMALL, data_dir=tmp_path / "data")
    with open(cache.directory / "clean.npy", "r+b") as array:
        array.truncate(1000)
    with pytest.raises(EcgStudyError, match="damaged; delete the folder"):
        open_cache(database, SMALL, data_dir=tmp_path / "data")


@pytest.mark.parametrize("name", ["clean.npy", "noisy.npy", "r_peaks.npy", "manifest.json"])
def test_changed_content_of_the_same_size_is_noticed(name: str, own_raw_dir: Path, tmp_path: Path) -> None:
    database = _open(own_raw_dir, tmp_path)
    path = open_cache(database, SMALL, data_dir=tmp_path / "data").directory / name
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(DataError, match=f"damaged; delete the folder to build it again .*{name} has changed"):
        open_cache(database, SMALL, data_dir=tmp_path / "data")
    path.write_bytes(content)
    assert open_cache(database, SMALL, data_dir=tmp_path / "data").records


def test_a_cache_without_checksums_is_opened(own_raw_dir: Path, tmp_path: Path) -> None:
    """Earlier versions wrote none."""
    database = _open(own_raw_dir, tmp_path)
    cache = open_cache(database, SMALL, data_dir=tmp_path / "data")
    (cache.directory / "SHA256SUMS.txt").unlink()
    assert open_cache(database, SMALL, data_dir=tmp_path / "data").entries == cache.entries
    for content in ("", "x", "0" * 64 + "  clean.npy\n", "0" * 64 + "  ../clean.npy\n"):
        (cache.directory / "SHA256SUMS.txt").write_text(content)
        with pytest.raises(DataError, match="the cache is damaged"):
            open_cache(database, SMALL, data_dir=tmp_path / "data")


@pytest.mark.parametrize(
    "change",
    [
        {"fs": "fast"},
        {"fs": 0},
        {"entries": [{"record": "s01"}]},
        {"entries": 5},
        {"left_out": []},
        {"files": None},
        {"key": 5},
    ],
    ids=str,
)
def test_a_damaged_manifest_is_named(change: dict[str, object], own_raw_dir: Path, tmp_path: Path) -> None:
    database = _open(own_raw_dir, tmp_path)
    directory = open_cache(database, SMALL, data_dir=tmp_path / "data").directory
    (directory / "SHA256SUMS.txt").unlink()
    manifest = json.loads((directory / "manifest.json").read_text())
    for content in (json.dumps(manifest | change), "[" * 100_000, "[]", "﻿{}"):
        (directory / "manifest.json").write_text(content)
        with pytest.raises(DataError, match="the cache is damaged; delete the folder"):
            open_cache(database, SMALL, data_dir=tmp_path / "data")


def test_bad_records_stop_the_build_or_are_left_out(own_raw_dir: Path, tmp_path: Path) -> None:
    for name in ("s02", "s04"):
        data = bytearray((own_raw_dir / f"{name}.dat").read_bytes())
        data[99] ^= 255
        (own_raw_dir / f"{name}.dat").write_bytes(bytes(data))
    database = _open(own_raw_dir, tmp_path)
    with pytest.raises(EcgStudyError, match=r"2 records cannot be used: .*s02: .*checksum.*s04: .*skip_invalid"):
        open_cache(database, SMALL, data_dir=tmp_path / "data")
    assert not list((tmp_path / "data" / "processed").iterdir())
    cache = open_cache(database, replace(SMALL, skip_invalid=True), data_dir=tmp_path / "data")
    assert cache.records == ("s01", "s03", "s05")
    assert set(cache.excluded_records) == {"s02", "s04"}


def test_a_file_that_cannot_be_read_is_the_error_of_its_record(
    own_raw_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> str:
        if path.name == "s02.dat":
            raise PermissionError(13, "Permission denied", str(path))
        return sha256_of(path)

    monkeypatch.setattr("ecg_study.ecg_data.databases.catalog.sha256_of", failing)
    with pytest.raises(EcgStudyError, match=r"s02\.dat: cannot be read \(Permission denied\)"):
        _open(own_raw_dir, tmp_path)
    database = open_database("folder", data_dir=tmp_path, raw_dir=own_raw_dir, skip_invalid=True)
    assert database.records == ("s01", "s03", "s04", "s05")
    assert "Permission denied" in database.unreadable["s02"]


def test_a_record_shorter_than_a_segment_is_named(own_raw_dir: Path, tmp_path: Path) -> None:
    settings = replace(SMALL, segment_samples=144 * 100)
    with pytest.raises(EcgStudyError, match=r"s01, .*s05: shorter than a segment: 10,800 of 14,400 samples \(40.0 s\)"):
        open_cache(_open(own_raw_dir, tmp_path), settings, data_dir=tmp_path / "data")


def test_a_copy_under_another_name_is_refused(own_raw_dir: Path, tmp_path: Path) -> None:
    for ending in ("hea", "dat", "atr"):
        content = (own_raw_dir / f"s01.{ending}").read_bytes().replace(b"s01", b"x01")
        (own_raw_dir / f"x01.{ending}").write_bytes(content)
    with pytest.raises(EcgStudyError, match=r"s01\.dat and x01\.dat are the same signal under two names"):
        _open(own_raw_dir, tmp_path)


def test_a_list_of_checksums_that_is_none_is_named(own_raw_dir: Path, tmp_path: Path) -> None:
    (own_raw_dir / "SHA256SUMS.txt").write_text("oneword\n")
    with pytest.raises(EcgStudyError, match=r"SHA256SUMS\.txt: not a list of SHA-256"):
        _open(own_raw_dir, tmp_path)
    (own_raw_dir / "SHA256SUMS.txt").write_text(f"{'A' * 64} ./s01.dat\n")
    with pytest.raises(EcgStudyError, match=r"s01\.dat: differs from its SHA-256"):
        _open(own_raw_dir, tmp_path)


def test_a_rate_too_low_for_the_comparison_is_refused(own_raw_dir: Path, tmp_path: Path) -> None:
    for header in own_raw_dir.glob("*.hea"):
        header.write_text(header.read_text().replace(" 2 360 ", " 2 60 "))
    for path in own_raw_dir.glob("*.atr"):
        wfdb.wrann(path.stem, "atr", np.array([50]), ["N"], fs=60, write_dir=str(own_raw_dir))
    with pytest.raises(EcgStudyError, match="record s01: has 60 Hz; a study needs 100 to 10,000 Hz"):
        open_cache(_open(own_raw_dir, tmp_path), SMALL, data_dir=tmp_path / "data")


def test_rates_must_agree(own_raw_dir: Path, tmp_path: Path) -> None:
    header = own_raw_dir / "s03.hea"
    header.write_text(header.read_text().replace("s03 2 360", "s03 2 250"))
    wfdb.wrann("s03", "atr", np.array([50]), ["N"], fs=250, write_dir=str(own_raw_dir))
    with pytest.raises(EcgStudyError, match=r"different sampling rates \(s01 360 Hz, s03 250 Hz\)"):
        open_cache(_open(own_raw_dir, tmp_path), SMALL, data_dir=tmp_path / "data")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_samples": 0}, "window_samples: 0 is not positive"),
        ({"segment_samples": 721}, r"segment_samples: 721 is not a multiple of window_samples \(144\); use 720"),
        ({"noise_sigma_mv": -1.0}, "noise_sigma_mv: -1.0 mV is out of range"),
    ],
)
def test_settings_out_of_range_are_named(change: dict[str, float], message: str) -> None:
    with pytest.raises(EcgStudyError, match=message):
        replace(SegmentSettings(), **change)  # type: ignore[arg-type]  # wrong on purpose


_BUILD = """
    import sys
    from pathlib import Path
    from ecg_study.ecg_data.databases.catalog import open_database
    from ecg_study.ecg_data.segments.cache import cache_key, open_cache
    from ecg_study.ecg_data.segments.layout import SegmentSettings
    raw, data, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    if limit:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    database = open_database("folder", data_dir=data, raw_dir=raw)
    def progress(what, done, total):
        print(done, flush=True)
    cache = open_cache(database, SegmentSettings(segment_samples=720), data_dir=data, progress=progress)
    print("rows", len(cache.noisy))
"""


def _build(raw: Path, data: Path, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(_BUILD), str(raw), str(data), str(limit)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_that_counts(raw_dir: Path, tmp_path: Path) -> None:
    for lines in (1, 5, 12):
        process = _build(raw_dir, tmp_path / "data")
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        whole = [path for path in (tmp_path / "data" / "processed").iterdir() if not path.name.startswith(".")]
        assert whole == []
    cache = open_cache(
        open_database("folder", data_dir=tmp_path, raw_dir=raw_dir),
        SegmentSettings(segment_samples=720),
        data_dir=tmp_path / "data",
    )
    assert len(cache.noisy) == 240
    assert list((tmp_path / "data" / "processed").iterdir()) == [cache.directory]


@pytest.mark.slow
def test_two_processes_build_the_same_at_once(raw_dir: Path, tmp_path: Path) -> None:
    processes = [_build(raw_dir, tmp_path / "data") for _ in range(3)]
    for process in processes:
        out, err = process.communicate()
        assert out.splitlines()[-1:] == ["rows 240"], err
    assert len(list((tmp_path / "data" / "processed").iterdir())) == 1


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(raw_dir: Path, tmp_path: Path) -> None:
    _, err = _build(raw_dir, tmp_path / "data", limit=100_000).communicate()
    assert "OSError" in err
    assert list((tmp_path / "data" / "processed").iterdir()) == []


def test_batches_read_the_rows_that_were_asked_for(small_data: SmallData) -> None:
    cache = small_data.cache
    rows = cache.rows(["s02", "s05"])
    batches = list(ValidationBatches(denoiser_reader(cache, None, training=False), rows, batch_size=8))
    assert [len(noisy) for noisy, _ in batches] == [8, 8, 8, 6]
    np.testing.assert_array_equal(np.concatenate([noisy for noisy, _ in batches])[..., 0], cache.noisy[rows])
    np.testing.assert_array_equal(np.concatenate([clean for _, clean in batches])[..., 0], cache.clean[rows])
    detector = ValidationBatches(detector_reader(cache, None, training=False), rows, batch_size=8)
    targets = np.concatenate([target for _, target in detector])
    np.testing.assert_array_equal(targets[..., 0], soft_targets(cache.r_peaks[rows]))


@pytest.mark.slow
def test_48_records_in_both_leads_take_little_memory(real_data: Path, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from ecg_study.ecg_data.databases.catalog import open_database
        from ecg_study.ecg_data.segments.cache import cache_key, open_cache
        from ecg_study.ecg_data.segments.layout import SegmentSettings
        data = Path(sys.argv[2])
        database = open_database("mitdb", data_dir=data, raw_dir=sys.argv[1])
        cache = open_cache(database, SegmentSettings(lead="all"), data_dir=data)
        # Not ru_maxrss, which a process takes over from the one that started it.
        peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
        print(len(cache.noisy), peak.split()[1])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(real_data / "mitdb"), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows, kilobytes = (int(word) for word in done.stdout.split())
    assert rows == 30_854
    assert kilobytes < 1_500_000
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_the_lock_tells_living_builds_from_dead_ones(raw_dir: Path, tmp_path: Path) -> None:
    living = _build(raw_dir, tmp_path / "data")
    assert living.stdout is not None
    living.stdout.readline()
    os.kill(living.pid, signal.SIGSTOP)
    time.sleep(0.05)
    open_cache(
        open_database("folder", data_dir=tmp_path, raw_dir=raw_dir),
        SegmentSettings(segment_samples=720, seed=1),
        data_dir=tmp_path / "data",
    )
    os.kill(living.pid, signal.SIGCONT)
    out, err = living.communicate()
    assert out.splitlines()[-1:] == ["rows 240"], err


def test_the_key_depends_on_which_records_are_unreadable_but_not_on_the_reasons(small_data: SmallData) -> None:
    database = small_data.database
    assert cache_key(database, SMALL) == small_data.cache.key
    keys = {cache_key(replace(database, unreadable={"x": reason}), SMALL) for reason in ("missing", "damaged")}
    assert len(keys) == 1
    assert keys != {small_data.cache.key}
