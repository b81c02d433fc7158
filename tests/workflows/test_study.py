"""A study from Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import ecg_study as es
from ecg_study.extras import require_packages
from ecg_study.tuning.state import OtherSearchError
from ecg_study.workflows.saved_settings import naming_settings
from ecg_study.workflows.settings import Settings, load_settings, save_settings
from ecg_study.workflows.study import Study


@pytest.fixture
def settings(raw_dir: Path, noise_dir: Path, tiny_preset: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "database": "folder",
        "raw_dir": raw_dir,
        "noise_dir": noise_dir,
        "preset": tiny_preset,
        "data_dir": tmp_path / "data",
        "segment_samples": 720,
        "workers": 0,
    }


def test_the_first_argument_is_the_output_folder() -> None:
    study = es.Study("mine", database="mitdb", preset="quick", seed=2)
    assert study.output_dir == Path("mine")
    assert (study.settings.database, study.settings.seed) == ("mitdb", 2)
    assert repr(study) == "Study('mine', database='mitdb', seed=2)"
    assert eval(repr(study), {"Study": Study}).settings == study.settings  # noqa: S307


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sede": 1}, "sede: unknown setting; did you mean 'seed'?"),
        ({"seed": -1}, "seed: -1 is not an integer of 0 or more"),
        ({"database": "mitbd"}, "did you mean 'mitdb'?"),
    ],
)
def test_settings_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(es.SettingsError) as caught:
        es.Study("mine", **values)
    assert message in str(caught.value)


def test_an_unknown_kind_of_model_is_refused_before_any_work(tmp_path: Path) -> None:
    study = es.Study(tmp_path / "out", data_dir=tmp_path / "data")
    with pytest.raises(es.SettingsError, match="model_kind: 'gru' is not one of denoiser, detector"):
        study.search(model_kind="gru")
    assert list(tmp_path.iterdir()) == []


def test_preparing_gives_records_segments_and_parts(settings: dict[str, Any], tmp_path: Path) -> None:
    steps: list[str] = []
    study = es.Study(tmp_path / "out", on_progress=lambda what, *_: steps.append(what), **settings)
    data = study.prepare()
    assert (len(data.cache.records), len(data.cache.noisy)) == (16, 240)
    assert set(data.split.train) | set(data.split.validation) | set(data.split.test) == set(data.cache.records)
    assert data.noise_dir == settings["noise_dir"]
    assert steps
    assert study.prepare() is data, "a second call does no work"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.extras.find_spec", lambda name: None if name == "loky" else object())
    with pytest.raises(es.TrainingError, match=r'loky: not installed; .*pip install "\.\[study\]"'):
        require_packages()


def test_a_folder_without_settings_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(es.SettingsError, match=r"settings\.toml: no such file"):
        Study.open(tmp_path)


@pytest.mark.slow
def test_a_study_is_planned_searched_and_reported(
    small_study: Path, settings: dict[str, Any], small_options: list[str], tmp_path: Path
) -> None:
    """The searches of a finished study are resumed; a report of some sections keeps the others."""
    out = tmp_path / "outputs"
    shutil.copytree(small_study, out)
    study = Study.open(out)
    assert study.settings.raw_dir == str(settings["raw_dir"])
    assert "--workers" in small_options and study.settings.workers == 0

    (planned,) = study.plan(model_kind="denoiser")
    assert (planned.task, planned.trials) == ("denoiser", 6)

    searches = study.search(max_hours=1, model_kind="denoiser")
    assert list(searches) == ["denoiser"] and searches["denoiser"].done
    assert load_settings(out / "settings.toml")["max_hours"] == 1

    before = json.loads((out / "report.json").read_text())
    report = study.report(sections=["failures"])
    after = json.loads((out / "report.json").read_text())
    for name in ("denoiser", "detector", "stress", "trainings", "failures"):
        assert after[name] == before[name]
    assert report.provenance.command == f"{study!r}.run()"
    assert (out / "report.md").is_file()


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Settings, Path]:
    """Settings, and the file in which a search saved them."""
    settings = Settings(seed=1, noise_sigma_mv=0.05, raw_dir="records", workers=2)
    save_settings(settings, tmp_path / "settings.toml")
    return settings, tmp_path / "settings.toml"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"seed": 2}, r"used seed = 1, but seed = 2 was requested; use seed = 1, pass restart"),
        ({"seed": 2, "raw_dir": "moved", "workers": 1}, r"used seed = 1, but seed = 2 was requested"),
        ({"noise_sigma_mv": 0.1, "lead": "V5"}, r'used lead = "auto" and noise_sigma_mv = 0\.05, but lead = "V5" and'),
        ({"raw_dir": "other"}, r'used raw_dir = "records", but raw_dir = "other" was requested'),
        ({"workers": 1}, "^another search$"),
    ],
)
def test_settings_that_differ_from_a_saved_search_are_named(
    saved: tuple[Settings, Path], changed: dict[str, Any], says: str
) -> None:
    settings, path = saved
    with pytest.raises(OtherSearchError, match=says), naming_settings(settings.changed(**changed), path):
        raise OtherSearchError("another search", path.parent)


def test_a_changed_file_of_settings_hides_no_error(saved: tuple[Settings, Path]) -> None:
    settings, path = saved
    path.write_text("unknown =")
    with pytest.raises(OtherSearchError, match="another search"), naming_settings(settings, path):
        raise OtherSearchError("another search", path.parent)
