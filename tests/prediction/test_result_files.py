"""Result files of a recording: complete as a set, or absent; another process or a full disk does not mix them."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import study
from ecg_study import files
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import InputError
from ecg_study.inference.detector import Detector
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.prediction.outputs import DETECTOR_FORMATS, Prediction, predict_recordings
from ecg_study.prediction.recordings import DetectedRecording
from ecg_study.prediction.wfdb_files import wfdb_name, write_annotations
from tests.inference.test_detector import CARD, SlopeRuntime, ecg
from tests.recordings import SIGNAL, edit_header, opened, write_wfdb
from tests.tiny import ROOT

ALL = tuple(DETECTOR_FORMATS)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "raw" / "r.csv"
    path.parent.mkdir()
    rows = [f"{number / 360:.6f},{value:.4f}" for number, value in enumerate(ecg(360)[:3600])]
    path.write_text("time_s,II_mV\n" + "\n".join(rows) + "\n")
    return path


def predict(recording: Path, directory: Path, *, overwrite: bool = False) -> Prediction:
    detector = Detector(CARD, SlopeRuntime())
    (found,) = predict_recordings(
        detector, [recording], model_name="slope", directory=directory, formats=ALL, overwrite=overwrite
    )
    return found


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


WHOLE = ["r.beats.csv", "r.beats.json", "r.beats.png", "r.qrs", "r.samples.csv"]


def failing(function: Callable[..., object], at: int, error: OSError) -> Callable[..., object]:
    """Return a function that fails at its n-th call."""
    calls = 0

    def call(*arguments: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        if calls == at:
            raise error
        return function(*arguments, **more)

    return call


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("write", [1, 2, 3, 4, 5, 6])
def test_a_full_disk_at_any_write_leaves_nothing(
    write: int, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing(os.fsync, write, full()))  # five files, and the list of their names
        with pytest.raises(OSError, match="No space left"):
            predict(recording, tmp_path / "out")
    assert names(tmp_path) == ["raw"]
    assert predict(recording, tmp_path / "out").error is None
    assert names(tmp_path / "out") == WHOLE


@pytest.mark.parametrize("rename", [1, 3, 5])
def test_renaming_that_fails_is_continued(
    rename: int, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        # The first call gives the annotations their temporary name.
        patched.setattr(Path, "replace", failing(Path.replace, rename + 1, full()))
        with pytest.raises(OSError, match="No space left"):
            predict(recording, tmp_path / "out")
    again = predict(recording, tmp_path / "out")
    assert isinstance(again.error, InputError), "the first run is complete now"
    assert "exists" in str(again.error)
    assert names(tmp_path / "out") == WHOLE


def test_results_of_another_process_are_not_replaced(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were not there when this process began."""
    out = tmp_path / "out"
    begin = files._rename_together

    def other_first(*arguments: object) -> None:
        (out / "r.qrs").write_text("of the other process")
        begin(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_rename_together", other_first)
    assert "r.qrs: exists" in str(predict(recording, out).error)
    assert names(out) == ["r.qrs"]
    monkeypatch.undo()
    assert predict(recording, out, overwrite=True).error is None
    assert names(out) == WHOLE


def test_the_output_folder_is_checked_before_the_recording_is_read(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "predictions"):
        with pytest.raises(InputError, match="choose another output folder"):
            predict(recording, directory)
    recording.write_text("no recording")
    (tmp_path / "out" / "r.qrs").mkdir(parents=True)
    assert "a folder has this name" in str(predict(recording, tmp_path / "out", overwrite=True).error)


def test_existing_results_can_be_skipped(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command that a stopped run names skips complete sets of results, and repeats incomplete ones."""
    other = recording.with_name("q.csv")
    other.write_text(recording.read_text())
    command = ["predict", str(recording), str(other), "--out", str(tmp_path / "out"), "--formats", "csv,json"]
    assert study.main([*command[:2], *command[3:]]) == 0
    made = tmp_path / "out" / "predictions"
    before = (made / "r.beats.csv").stat().st_mtime_ns
    capsys.readouterr()
    assert study.main([*command, "--skip-existing"]) == 0
    said = capsys.readouterr().out
    assert "r.csv: skipped, its results exist: " in said and re.search("q.csv: [0-9]+ R peaks", said)
    assert (made / "r.beats.csv").stat().st_mtime_ns == before
    assert names(made) == ["q.beats.csv", "q.beats.json", "r.beats.csv", "r.beats.json"]
    (made / "r.beats.json").unlink()
    assert study.main([*command, "--skip-existing"]) == 2, "part of a set is not a result"


def test_a_run_without_results_leaves_no_folder(recording: Path, tmp_path: Path) -> None:
    recording.write_text("no recording")
    assert predict(recording, tmp_path / "new" / "out").error is not None
    assert names(tmp_path) == ["raw"]


def test_the_signal_file_of_a_denoised_record_is_protected(
    tiny_study: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "r_denoised.dat").write_text("of the user")
    model = str(tiny_study / "models" / "denoiser")
    given = ["predict", str(recording), "--model", model, "--formats", "wfdb", "--out", str(tmp_path)]
    assert study.main(given) == 2
    assert "r_denoised.dat: exists; pass --overwrite" in capsys.readouterr().err
    assert study.main([*given, "--overwrite"]) == 0
    assert names(tmp_path / "predictions") == ["r_denoised.dat", "r_denoised.hea"]


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ecg_study.cli.main", "predict", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _wait_for(folder: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while not any(path.stat().st_size for path in folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def long_recording(tmp_path: Path) -> Path:
    signal = np.tile(ecg(360)[:3600], 60)
    np.save(tmp_path / "long.npy", signal)
    return tmp_path / "long.npy"


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [".*.denoised", ".*.denoised.csv", ".*.dat"])
def test_a_killed_run_leaves_nothing_to_the_next(pattern: str, long_recording: Path, tmp_path: Path) -> None:
    given = [str(long_recording), "--model", "lstm-denoiser", "--fs", "360", "--formats", "csv,wfdb,json"]
    given += ["--out", str(tmp_path / "out"), "--overwrite"]
    made = tmp_path / "out" / "predictions"
    process = _start(*given)
    _wait_for(made, pattern, process)
    process.kill()
    process.communicate()
    other = _start(*given)
    assert other.communicate()[1] == b""
    assert other.returncode == 0
    assert names(made) == ["long.denoised.csv", "long.denoised.json", "long_denoised.dat", "long_denoised.hea"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_two_processes_give_the_results_of_one(options: list[str], long_recording: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "long.npy"
    other.parent.mkdir()
    np.save(other, -2 * np.load(long_recording)[:30_000])
    given = ["--model", "lstm-denoiser", "--fs", "360", "--formats", "csv,json", "--out", str(tmp_path), *options]
    processes = [_start(str(path), *given) for path in (long_recording, other)]
    said = [process.communicate()[1].decode() for process in processes]
    assert sorted(process.returncode for process in processes) == ([0, 0] if options else [0, 2]), said
    rows = (tmp_path / "predictions" / "long.denoised.csv").read_text().count("\n") - 1
    summary = (tmp_path / "predictions" / "long.denoised.json").read_text()
    assert f'"samples": {rows},' in summary
    assert names(tmp_path / "predictions") == ["long.denoised.csv", "long.denoised.json"]


@pytest.mark.slow
def test_after_a_full_disk_the_same_command_goes_on(long_recording: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys, study\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "sys.exit(study.main(sys.argv[1:]))"
    )
    given = ["predict", str(long_recording), "--fs", "360", "--formats", "csv,json,samples", "--out", str(tmp_path)]
    stopped = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert stopped.returncode == 2
    assert len(stopped.stderr.splitlines()) == 1
    assert "free some space and run the same command again" in stopped.stderr
    assert not (tmp_path / "predictions").exists()
    assert study.main(given) == 0


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("100", "100"), ("a b", "a_b"), ("日本", r"__-[0-9a-f]{6}"), ("中国", r"__-[0-9a-f]{6}"), ("a.b", r"a_b-\w{6}")],
)
def test_wfdb_names_are_valid_and_differ(name: str, wanted: str) -> None:
    assert re.fullmatch(wanted, wfdb_name(name))
    assert len({wfdb_name(other) for other in ("日本", "中国", "a.b", "a_b", "a:b")}) == 5


@pytest.mark.parametrize("fs", [250.0, 1000 / 3, 200 / 1.2345, 511.914, 128.2051282])
def test_annotations_of_any_rate_are_read_back(tmp_path: Path, fs: float) -> None:
    beats = np.arange(0, 10_000, 371)
    record = edit_header(write_wfdb(tmp_path, SIGNAL), "r 1 250 ", f"r 1 {fs:.12g} ")
    detected = DetectedRecording(opened(record), len(SIGNAL), RPeaks(beats, np.ones(len(beats))))
    write_annotations(tmp_path / "r.qrs", detected)
    np.testing.assert_array_equal(read_record(record, annotator="qrs").r_peaks, beats)
