"""The command line: quick help, settings from three places, one-line errors, predictions."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

import study
from ecg_study.workflows.settings import Settings, as_options

ROOT = Path(__file__).parents[2]
VERBS = ("run", "data", "plan", "search", "report", "compare", "export", "predict", "bundles", "finetune")


def _error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command prints."""
    assert study.main(arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("study.py: error: ")
    return lines[0]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_answers_at_once_without_tensorflow(verb: str) -> None:
    code = "import sys, study\ntry: study.main(sys.argv[1:])\nfinally: print('tensorflow' in sys.modules)"
    started = time.monotonic()
    words = [verb, "--help"] if verb else ["--help"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 2
    assert "examples:" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


def test_options_win_over_the_file_and_that_over_the_defaults(
    raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'database = "folder"\nraw-dir = "{raw_dir}"\nsegment = 720\nwindow = 72\n')
    options = ["data", "--config", str(file), "--data-dir", str(tmp_path), "--window", "144"]
    assert study.main(options) == 0
    assert "240 segments of 16 records" in capsys.readouterr().out
    (manifest,) = tmp_path.glob("processed/*/manifest.json")
    assert '"window": 144' in manifest.read_text()
    assert '"segment": 720' in manifest.read_text()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("sede = 1", "unknown key 'sede'; known are database"),
        ('seed = "one"', "seed = 'one' is no whole number"),
        ("seed = true", "seed = True is no whole number"),
        ("records = [1]", "records = [1] is no list of texts"),
        (
            'preset = "huge"',
            "preset: 'huge' is neither quick, standard, full, robust, white nor the path of a .toml file",
        ),
        ("seed = -1", "--seed: -1 is out of range; it must be at least 0"),
        ("noise = nan", "--noise: nan is no finite number"),
        ("seed = ", "not a TOML file"),
    ],
)
def test_a_bad_file_is_named(content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.toml").write_text(content)
    assert says in _error(["data", "--config", str(tmp_path / "s.toml")], capsys)


def test_settings_are_saved_and_can_be_used_again(tiny_study: Path) -> None:
    saved = tomllib.loads((tiny_study / "settings.toml").read_text())
    given = {name for name, value in asdict(Settings()).items() if value is not None} | {"workers"}
    assert set(saved) == {name.replace("_", "-") for name in given}
    assert (saved["database"], saved["raw-dir"], saved["segment"]) == ("folder", "raw", 720)
    made = Settings(seed=3, records=("a", "b"), skip_bad=True, max_hours=0.5, workers=2, scheduler="", tensorboard=True)
    assert as_options(made) == "--seed 3 --records a,b --skip-bad --max-hours 0.5"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--database", "folder"], "--raw-dir: the database 'folder' needs to know which folder"),
        (["--raw-dir", "{raw}"], "--raw-dir: the synthetic database is made, not read"),
        (["--database", "folder", "--raw-dir", "{tmp}/none"], "none is not a folder"),
        (["--database", "folder", "--raw-dir", "{tmp}"], "no WFDB record (.hea) in this folder"),
        (["--database", "folder", "--raw-dir", "{raw}", "--records", "s01,x"], "--records: x not in"),
        (["--database", "folder", "--raw-dir", "{raw}", "--lead", "V9"], "no lead 'V9', only MLII, V5"),
        (["--database", "folder", "--raw-dir", "{raw}", "--segment", "1000"], "no whole number of windows of 144"),
        (["--database", "folder", "--raw-dir", "{raw}", "--annotator", "qrs"], "s01.qrs: no annotations"),
        (["--annotator", "a/b"], "--annotator: 'a/b' is no file ending"),
        (["--noise", "-1"], "--noise: -1.0 is out of range; it must be at least 0"),
        (["--config", "{tmp}/no.toml"], "no.toml: no such file"),
        (["--max-hours", "0"], "--max-hours: 0 is out of range; it must be more than 0"),
        (["--max-hours", "inf"], "--max-hours: inf is no finite number"),
        (["--max-trials", "0"], "--max-trials: 0 is out of range; it must be at least 1"),
        (["--workers", "-1"], "--workers: -1 is out of range; it must be at least 0"),
        (["--workers", "2", "--scheduler", "tcp://h:1"], "--workers: the cluster of --scheduler decides how many"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], says: str, raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    filled = [word.format(raw=raw_dir, tmp=empty) for word in options]
    assert says in _error(["plan", *filled, "--data-dir", str(tmp_path / "data")], capsys)
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["compare", "a", "b", "--seed", "7"], "unrecognized arguments: --seed 7"),
        (["compare", "a", "b", "--config", "s.toml"], "unrecognized arguments: --config s.toml"),
        (["export", "--preset", "full"], "unrecognized arguments: --preset full"),
        (["data", "--max-trials", "3"], "unrecognized arguments: --max-trials 3"),
        (["data", "--records", ""], "--records: '' names no record; leave the option out to use all"),
        (["data", "--records", ","], "--records: ',' names no record"),
    ],
)
def test_settings_that_a_verb_does_not_use_are_refused(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        study.main(options)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_a_segment_that_no_frame_divides_is_refused_before_training(
    small_options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*small_options, "--segment", "360", "--window", "72", "--out", str(tmp_path)]
    assert study.main(["search", *options]) == 2
    assert "360 samples is no multiple of the frame of 16" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_report_without_a_search_says_so(
    small_options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = _error(["report", *small_options, "--out", str(tmp_path)], capsys)
    assert "no search here; run 'study.py search' with the same --out first" in message


def test_a_report_on_other_data_than_the_search_is_refused(
    tiny_study: Path, small_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = _error(["report", *small_options, "--noise", "0.1", "--out", str(tiny_study)], capsys)
    assert "begun with" in message
    assert "--fresh" in message


def test_a_full_disk_is_one_line(raw_dir: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys, study\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.exit(study.main(sys.argv[1:]))"
    )
    options = f"data --database folder --raw-dir {raw_dir} --segment 720 --data-dir {tmp_path}".split()
    done = subprocess.run([sys.executable, "-c", code, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "study.py: error: " in done.stderr
    assert "is the disk full?" in done.stderr
    assert list((tmp_path / "processed").iterdir()) == []


def test_the_synthetic_database_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["data", "--data-dir", str(tmp_path), "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert "848 segments of 16 records" in out
    assert (tmp_path / "raw" / "synthetic-v1-seed0" / "s16.atr").is_file()
    damaged = tmp_path / "raw" / "synthetic-v1-seed0" / "s03.dat"
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"xx")
    message = _error(["data", "--data-dir", str(tmp_path), "--seed", "0"], capsys)
    assert "s03.dat: differs from its SHA-256 in SHA256SUMS.txt" in message


def test_two_parts_never_share_a_person(capsys: pytest.CaptureFixture[str], real_data: Path, tmp_path: Path) -> None:
    options = ["data", "--database", "mitdb", "--raw-dir", str(real_data / "mitdb"), "--data-dir", str(tmp_path)]
    assert study.main([*options, "--records", "101,109,201,202"]) == 0
    out = capsys.readouterr().out
    assert "left out 201: same subject as 202, which is in test" in out
    assert "train: 101\n" in out
