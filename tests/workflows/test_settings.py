"""Settings: checks, and the TOML file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ecg_study.errors import SettingsError
from ecg_study.workflows.settings import FILE_SETTINGS, Settings, as_mapping, load_settings, save_settings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sede", 1, "sede: unknown setting; did you mean 'seed'?"),
        ("nonsense", 1, "nonsense: unknown setting; known are databases, database, raw_dir, "),
        ("seed", "one", "seed: 'one' is not an integer of 0 or more"),
        ("seed", "1", "seed: '1' is not an integer of 0 or more"),
        ("seed", True, "seed: True is not an integer of 0 or more"),
        ("seed", -1, "seed: -1 is not an integer of 0 or more"),
        ("records", "100", "records: '100' is not a list of names"),
        ("records", [1], "records: [1] is not a list of names"),
        ("preset", "quik", "preset: 'quik' is not one of quick, standard, robust"),
        ("preset", "quik", "; did you mean 'quick'?"),
        ("database", 3, "database: 3 is not text"),
        ("noise_sigma_mv", math.nan, "noise_sigma_mv: nan is not a number of 0 or more"),
        ("noise_sigma_mv", -1.0, "noise_sigma_mv: -1.0 is not a number of 0 or more"),
        ("segment_samples", 0, "segment_samples: 0 is not a positive integer"),
        ("segment_samples", 20.5, "segment_samples: 20.5 is not a positive integer"),
        ("max_hours", 0, "max_hours: 0 is not a positive number"),
        ("max_hours", math.inf, "max_hours: inf is not a positive number"),
        ("hours", 10_001, "hours: 10001 is not a positive number of at most 10,000"),
        ("workers", 1001, "workers: 1001 is not an integer from 0 to 1,000"),
        ("max_trials", 0, "max_trials: 0 is not a positive integer"),
        ("workers", -1, "workers: -1 is not an integer from 0 to 1,000"),
        ("skip_invalid", "yes", "skip_invalid: 'yes' is not true or false"),
        ("annotator", "a/b", "annotator: 'a/b' is not a file extension of letters and digits, such as 'atr'"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_is_expected(field: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**{field: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.field, caught.value.parameters) == (field, (field,))
    assert caught.value.value is value or caught.value.value == value


def test_workers_and_scheduler_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="give workers or scheduler, not both") as caught:
        Settings(workers=2, scheduler="tcp://host:8786")
    assert caught.value.parameters == ("workers", "scheduler")


def test_paths_and_lists_are_accepted() -> None:
    given: dict[str, Any] = {"raw_dir": Path("raw"), "records": ["a", "b"], "max_hours": 2}
    made = Settings(**given)
    assert (made.raw_dir, made.records, made.max_hours) == ("raw", ("a", "b"), 2.0)


def test_a_changed_copy_is_checked_too() -> None:
    assert Settings(seed=3).changed(workers=2) == Settings(seed=3, workers=2)
    with pytest.raises(SettingsError, match="workers: -2"):
        Settings().changed(workers=-2)


def test_settings_are_saved_and_read(tmp_path: Path) -> None:
    made = Settings(seed=3, records=("a", 'b"\\'), max_hours=0.5, skip_invalid=True, output_dir="ü s")
    save_settings(made, tmp_path / "s.toml")
    assert Settings(**load_settings(tmp_path / "s.toml")) == made
    assert "max-hours = 0.5" in (tmp_path / "s.toml").read_text()
    assert "workers" not in (tmp_path / "s.toml").read_text(), "unlimited and automatic values are left out"


def test_a_file_of_version_0_1_0_is_read(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(
        "# The settings of this study; use them again with --config.\n"
        'database = "synthetic"\nraw-dir = ""\nnoise-dir = ""\npreset = "quick"\nseed = 1\nout = "outputs"\n'
        'data-dir = "data"\nrecords = []\nlead = "auto"\nannotator = "atr"\nsegment = 720\nwindow = 72\nnoise = 0.1\n'
        'skip-bad = true\nwarm-start = ""\nscheduler = ""\ntensorboard = false\n'
    )
    values = load_settings(tmp_path / "settings.toml")
    assert Settings(**values) == Settings(
        segment_samples=720, window_samples=72, noise_sigma_mv=0.1, skip_invalid=True, output_dir="outputs"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sede = 1", "s.toml: sede: unknown setting; did you mean 'seed'?"),
        ("segmnt-samples = 1", "s.toml: segmnt-samples: unknown setting; did you mean 'segment-samples'?"),
        ("max-hours = 0", "s.toml: max-hours: 0 is not a positive number"),
        ("noise = -1", "s.toml: noise-sigma-mv: -1 is not a number of 0 or more"),
        ("noise = 0.1\nnoise-sigma-mv = 0.1", "s.toml: noise-sigma-mv: is given twice, by its old and its new name"),
        ("seed = ", "s.toml: not a TOML file"),
        (
            'sede = 1\nmax-hours = 0\nraw-dirr = "a"\nseed = 2',
            "s.toml: max-hours: 0 is not a positive number of at most 10,000; sede: unknown setting; "
            "did you mean 'seed'?; raw-dirr: ",
        ),
        ("records = " + "[" * 5000 + "]" * 5000, "s.toml: nested too deeply"),
        ("seed" + ".a" * 20_000 + " = 1", "s.toml: nested too deeply"),
        ("seed = 1 # " + "x" * 100_000, "s.toml: 100,011 bytes, more than the limit"),
    ],
)
def test_an_error_in_a_file_names_file_and_key(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "s.toml")
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: no such file"):
        load_settings(tmp_path / "none.toml")


def test_a_renamed_preset_is_read_from_a_file_and_named_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('preset = "white"')
    assert load_settings(tmp_path / "s.toml") == {"preset": "white-noise"}
    with pytest.raises(SettingsError, match=r"preset: 'white' is not .*; it is now called 'white-noise'"):
        Settings(preset="white")


def test_keys_are_the_names_of_options() -> None:
    assert {*as_mapping(Settings()), *FILE_SETTINGS} == {name.replace("_", "-") for name in Settings.model_fields}
