"""The command line: quick help, settings from three places, one-line errors, predictions."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import study
from ecg_study.cli import parser, verbs
from ecg_study.cli.options import as_options, with_options
from ecg_study.errors import EcgStudyError, RecordError, SettingsError
from ecg_study.extras import install_hint
from ecg_study.workflows.settings import Settings, as_mapping

ROOT = Path(__file__).parents[2]
HEAVY = {"tensorflow", "keras", "dask", "matplotlib"}
VERBS = tuple(verb.name for verb in verbs.VERBS)


def _error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that a refused command prints."""
    assert study.main(arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("ecg-study: error: ")
    return lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_answers_at_once_without_heavy_packages(verb: str) -> None:
    code = f"import sys, study\ntry: study.main(sys.argv[1:])\nfinally: print({HEAVY} & set(sys.modules))"
    started = time.monotonic()
    words = [verb, "--help"] if verb else ["--help"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 5
    assert "examples:" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.slow
def test_the_program_is_named_as_it_was_called() -> None:
    done = subprocess.run([sys.executable, "study.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: python study.py VERB")
    assert "  python study.py run\n" in done.stdout
    done = subprocess.run(
        [sys.executable, "study.py", "prepare", "--seed", "x"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "python study.py: error: --seed: 'x' is not an integer of 0 or more\n"


def test_every_example_of_the_help_is_accepted() -> None:
    """Each command of an epilog parses, and its options are valid."""
    for verb in verbs.VERBS:
        commands = [line for line in verb.examples.splitlines() if line.startswith("  {prog} ")]
        assert commands
        for command in commands:
            words = shlex.split(command)[1:]
            given = vars(parser.build_parser("ecg-study", "").parse_args(words))
            assert given.pop("verb") is verb
            Settings.parse_text({name: value for name, value in given.items() if name in Settings.model_fields})
            verb.options.parse_text({name: value for name, value in given.items() if name in verb.options.model_fields})


def test_options_override_the_file_and_the_file_the_defaults(
    raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'database = "folder"\nraw-dir = "{raw_dir}"\nsegment-samples = 720\nwindow-samples = 72\n')
    options = ["prepare", "--config", str(file), "--data-dir", str(tmp_path), "--window-samples", "144"]
    assert study.main(options) == 0
    assert "240 segments of 16 records" in capsys.readouterr().out
    (manifest,) = tmp_path.glob("processed/*/manifest.json")
    assert '"window": 144' in manifest.read_text()
    assert '"segment": 720' in manifest.read_text()


def test_an_error_in_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.toml").write_text("sede = 1")
    message = _error(["prepare", "--config", str(tmp_path / "s.toml")], capsys)
    assert message.endswith("s.toml: sede: unknown setting; did you mean 'seed'?")


@pytest.mark.slow
def test_settings_are_saved_and_can_be_used_again(tiny_study: Path) -> None:
    saved = tomllib.loads((tiny_study / "settings.toml").read_text())
    given = {name for name, value in as_mapping(Settings()).items() if value is not None} | {"workers"}
    assert set(saved) == given
    assert (saved["database"], saved["raw-dir"], saved["segment-samples"]) == ("folder", "raw", 720)


def test_settings_are_shown_as_options() -> None:
    made = Settings(seed=3, records=("a", "b"), skip_invalid=True, max_hours=0.5, workers=2, tensorboard=True)
    assert as_options(made) == "--seed 3 --records a,b --skip-invalid --max-hours 0.5"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--database", "folder"], "--raw-dir: "),
        (["--raw-dir", "{raw}"], "--raw-dir: "),
        (["--database", "folder", "--raw-dir", "{tmp}/none"], "none is not a folder"),
        (["--database", "folder", "--raw-dir", "{tmp}"], "no WFDB record (.hea)"),
        (["--database", "folder", "--raw-dir", "{raw}", "--records", "s01,x"], "--records: "),
        (["--database", "folder", "--raw-dir", "{raw}", "--lead", "V9"], "'V9'"),
        (
            ["--database", "folder", "--raw-dir", "{raw}", "--segment-samples", "1000"],
            "--segment-samples: 1000 is not a multiple of --window-samples (144)",
        ),
        (
            ["--database", "folder", "--raw-dir", "{raw}", "--annotator", "qrs"],
            "no annotations; the R peaks of a record are read from this file; set --annotator if",
        ),
        (
            ["--database", "sinthetic"],
            "--database: 'sinthetic' is not one of synthetic, mitdb, qtdb, cinc2014, folder; did you mean",
        ),
        (["--annotator", "a/b"], "--annotator: 'a/b' is not a file extension"),
        (["--noise-sigma-mv", "-1"], "--noise-sigma-mv: '-1' is not a number of 0 or more"),
        (["--config", "{tmp}/no.toml"], "no.toml: no such file"),
        (["--max-hours", "0"], "--max-hours: '0' is not a positive number"),
        (["--max-hours", "inf"], "--max-hours: 'inf' is not a positive number"),
        (["--max-trials", "0"], "--max-trials: '0' is not a positive integer"),
        (["--workers", "-1"], "--workers: '-1' is not an integer from 0 to 1,000"),
        (["--workers", "2", "--scheduler", "tcp://h:1"], "give --workers or --scheduler, not both"),
        (["--model-kind", "gru"], "--model-kind: 'gru' is not one of denoiser, detector"),
    ],
)
def test_wrong_input_is_one_line(
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
        ([], "the following arguments are required: VERB; see ecg-study --help"),
        (["compare", "a"], "the following arguments are required: B; see ecg-study compare --help"),
        (["compare", "a", "b", "--seed", "7"], "--seed: compare has no such option or argument; see ecg-study compare"),
        (["compare", "a", "b", "--config", "s.toml"], "--config: compare has no such option or argument"),
        (["export", "--preset", "full"], "--preset: export has no such option or argument"),
        (["serch"], "argument VERB: invalid choice: 'serch'; did you mean 'search'?"),
        (["Predict", "100"], "argument VERB: invalid choice: 'Predict'; did you mean 'predict'?"),
        (["xyz"], "argument VERB: invalid choice: 'xyz'; choose from predict, models"),
        (["prepare", "--max-trials", "3"], "--max-trials: prepare has no such option or argument"),
        (["prepare", "--recods", "a"], "--recods: prepare has no such option or argument; did you mean --records?"),
        (["run", "--out-dir", "a"], "did you mean --output-dir?"),
        (["prepare", "--records", ""], "argument --records: '' has no name; leave the option out for the default"),
        (["prepare", "--records", ","], "argument --records: ',' has no name"),
        (["prepare", "--seed"], "argument --seed: expected one argument"),
    ],
)
def test_unknown_options_and_verbs_are_one_line(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in _error(options, capsys)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["data"], "data: this verb is now called prepare"),
        (["bundles"], "bundles: this verb is now called models"),
        (["run", "--segment", "720"], "--segment: this option is now called --segment-samples"),
        (["run", "--window=72"], "--window: this option is now called --window-samples"),
        (["run", "--noise", "0.1"], "--noise: this option is now called --noise-sigma-mv"),
        (["run", "--fresh"], "--fresh: this option is now called --restart"),
        (["search", "--only", "detector"], "--only: this option is now called --model-kind"),
        (["prepare", "--skip-bad"], "--skip-bad: this option is now called --skip-invalid"),
        (["predict", "100", "--baseline", "3"], "--baseline: this option is now called --adc-zero"),
        (["predict", "100", "--write", "csv"], "--write: this option is now called --formats"),
        (["predict", "100", "--engine", "onnx"], "--engine: this option is now called --runtime"),
        (["compare", "a", "b", "--write", "c.md"], "--write: this option is now called --output"),
    ],
)
def test_old_names_lead_to_the_new_ones(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in _error(options, capsys)


def test_models_are_evaluated_on_test_records(
    raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--database", "folder", "--raw-dir", str(raw_dir), "--data-dir", str(tmp_path)]
    assert study.main(["evaluate", "gru-detector", "lstm-denoiser-white", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("gru-detector") and "F1 within 150 ms" in line for line in lines)
    assert any(line.startswith("lstm-denoiser-white") and "MAE / RMSE in mV" in line for line in lines)
    message = _error(["evaluate", "gru-detector", *options, "--records", "x"], capsys)
    assert "--records: x: not in the test part; choose from s" in message


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            RecordError("a.npy", "no sampling rate; pass fs in Hz", parameter="fs"),
            "a.npy: no sampling rate; pass --fs in Hz",
        ),
        (SettingsError("seed", "a seed is needed"), "--seed: a seed is needed"),
        (
            SettingsError("adc_zero", "requires gain (ADC units per mV)", parameters=("gain",)),
            "--adc-zero: requires --gain (ADC units per mV)",
        ),
        (
            RecordError("a.edf", "has no lead 'X'; choose lead", parameter="lead"),
            "a.edf: has no lead 'X'; choose --lead",
        ),
        (EcgStudyError("the fs_raw of no fs", parameters=("fs",)), "the fs_raw of no --fs"),
        (EcgStudyError("raw_dir/raw_dir: not a folder"), "raw_dir/raw_dir: not a folder"),
        (
            RecordError("a.edf", "'X' is not among its leads; use another lead", parameter="lead"),
            "a.edf: 'X' is not among its leads; use another lead (--lead)",
        ),
        (
            RecordError(
                "a.csv",
                "integers look like ADC units; give gain and adc_zero, or units (mV or uV)",
                parameter="gain",
                parameters=("units", "adc_zero"),
            ),
            "a.csv: integers look like ADC units; give --gain and --adc-zero, or --units (mV or uV)",
        ),
    ],
)
def test_parameters_in_errors_are_shown_as_options(error: EcgStudyError, says: str) -> None:
    assert with_options(error) == says


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["plan", "search", "report", "run", "finetune"])
def test_without_the_extra_study_one_line_says_what_to_install(verb: str, tmp_path: Path, raw_dir: Path) -> None:
    code = "import sys, study\nsys.modules['tensorflow'] = None\nsys.exit(study.main(sys.argv[1:]))"
    more = ["gru-detector"] if verb == "finetune" else []
    options = [verb, *more, "--database", "folder", "--raw-dir", str(raw_dir), "--data-dir", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    expected = f"ecg-study: error: {install_hint('tensorflow')}"
    assert done.stderr.splitlines() == [expected]


def test_a_segment_that_no_frame_divides_is_refused_before_training(
    small_options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*small_options, "--segment-samples", "360", "--window-samples", "72", "--out", str(tmp_path)]
    assert study.main(["search", *options]) == 2
    assert "360 is not a multiple of the preset's frame (16)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_report_without_a_search_says_so(
    small_options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = _error(["report", *small_options, "--out", str(tmp_path)], capsys)
    assert "no search found; run the search first, or set --output-dir to its folder" in message


def test_a_report_on_other_data_than_the_search_is_refused(
    tiny_study: Path, small_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = _error(["report", *small_options, "--noise-sigma-mv", "0.1", "--out", str(tiny_study)], capsys)
    assert "used --noise-sigma-mv = 0.05" in message and "--noise-sigma-mv = 0.1 was requested" in message
    assert str(tiny_study) in message


@pytest.mark.slow
def test_a_full_disk_is_one_line(raw_dir: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys, study\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.exit(study.main(sys.argv[1:]))"
    )
    options = f"prepare --database folder --raw-dir {raw_dir} --segment-samples 720 --data-dir {tmp_path}".split()
    done = subprocess.run([sys.executable, "-c", code, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "ecg-study: error: " in done.stderr
    assert "is the disk full?" in done.stderr
    assert list((tmp_path / "processed").iterdir()) == []


def test_an_error_of_a_temporary_file_names_the_file_that_was_meant(
    tiny_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").mkdir()
    message = _error(["compare", str(tiny_study), str(tiny_study), "--output", str(tmp_path / "a.md")], capsys)
    assert f"{tmp_path / 'a.md'}: Is a directory; correct this" in message
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]


def test_the_synthetic_database_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["prepare", "--data-dir", str(tmp_path), "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert "840 segments of 30 records" in out
    assert (tmp_path / "raw" / "synthetic-v2-seed0" / "s30.atr").is_file()
    damaged = tmp_path / "raw" / "synthetic-v2-seed0" / "s03.dat"
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"xx")
    message = _error(["prepare", "--data-dir", str(tmp_path), "--seed", "0"], capsys)
    assert "s03.dat: differs from its SHA-256 in SHA256SUMS.txt" in message


def test_two_parts_never_share_a_subject(capsys: pytest.CaptureFixture[str], real_data: Path, tmp_path: Path) -> None:
    options = ["prepare", "--database", "mitdb", "--raw-dir", str(real_data / "mitdb"), "--data-dir", str(tmp_path)]
    assert study.main([*options, "--records", "101,109,201,202"]) == 0
    out = capsys.readouterr().out
    assert "excluded 201: " in out
    assert "train: 101\n" in out
