"""A study that is run from end to end, and further reports of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import study
from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.results.values import GRU
from ecg_study.inference.loading import load_denoiser, load_detector
from ecg_study.reports.schema import read_report
from tests.make_fixtures import TINY_STUDY_DIR, copy_kept


@pytest.fixture(scope="module")
def report(small_study: Path) -> Any:
    """The machine-readable report."""
    return json.loads((small_study / "report.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture
def own_study(small_study: Path, tmp_path: Path) -> Path:
    """A copy of the outputs, for the test to change."""
    return Path(shutil.copytree(small_study, tmp_path / "outputs"))


def test_outputs_are_complete_and_nothing_else(small_study: Path) -> None:
    names = {path.name for path in small_study.iterdir()}
    made = {"report.md", "report.html", "report.json", "plots", "csv", "models", "search", "settings.toml"}
    assert names == made | {"trainings", "measured"}
    plots = {path.stem for path in (small_study / "plots").iterdir()}
    assert {"loss_curves", "denoising", "spectra", "noise_types", "confusion", "curves", "r_peaks"} <= plots
    assert {"jitter", "confidences"} <= plots
    assert {name for name in plots if name.startswith("search_")} >= {
        "search_denoiser_curves",
        "search_detector_pareto",
    }


def test_an_incomplete_study_is_reported_as_such(
    small_study: Path, small_options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("search", "trainings", "measured"):
        shutil.copytree(small_study / name, tmp_path / name)
    shutil.rmtree(tmp_path / "search" / "denoiser")
    state = json.loads((tmp_path / "search" / "detector" / "search.json").read_text())
    state["finished"] = state["finished"][:5]
    state["done"] = False
    (tmp_path / "search" / "detector" / "search.json").write_text(json.dumps(state))
    assert study.main(["report", *small_options, "--out", str(tmp_path)]) == 0
    page = (tmp_path / "report.md").read_text()
    assert "**This report is incomplete.**" in page
    assert "- The denoiser was not searched." in page
    assert "- The search of the detector is not finished: 5 of 6 trials are done. The" in page
    assert "The denoiser was not searched." in capsys.readouterr().out
    made = read_report(tmp_path / "report.json")
    assert made.denoiser is None
    assert made.detector is not None
    assert {row.input for row in made.detector.peaks_by_record} == {"noisy", "clean"}
    assert "denoised_mv" not in (tmp_path / "csv" / f"{made.data.parts['test'].records[0]}.csv").read_text()[:100]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["detector"]


def test_sections_are_made_again_alone(
    small_study: Path, own_study: Path, small_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = own_study
    content = json.loads((out / "report.json").read_text())
    content["failures"], content["denoiser"]["noise_note"] = [], "from before"
    (out / "report.json").write_text(json.dumps(content))
    options = [*small_options, "--out", str(out)]
    assert study.main(["report", "--sections", "failures", *options]) == 0
    again, before = read_report(out / "report.json"), read_report(small_study / "report.json")
    assert again.failures == before.failures
    assert again.denoiser is not None
    assert again.denoiser.noise_note == "from before", "the rest is taken from what is there"
    assert study.main(["report", "--sections", "verdict", *options]) == 2
    assert "'verdict' is not one of search, denoiser, detector, stress, failures" in capsys.readouterr().err
    content["trainings"][0]["best_epoch"] += 1
    (out / "report.json").write_text(json.dumps(content))
    assert study.main(["report", "--sections", "failures", *options]) == 2
    assert "--sections: the existing report describes other models; make all sections first" in capsys.readouterr().err


def test_each_test_record_has_a_csv_file(small_study: Path, report: Any) -> None:
    test = report["data"]["parts"]["test"]["records"]
    assert sorted(path.stem for path in (small_study / "csv").iterdir()) == sorted(test)
    frame = pd.read_csv(small_study / "csv" / f"{test[0]}.csv")
    assert list(frame.columns) == ["time_s", "signal_mv", "denoised_mv", "R_peak"]
    assert len(frame) == 10_800
    assert frame["time_s"].iloc[360] == pytest.approx(1)
    wanted = next(
        row
        for row in report["detector"]["peaks_by_record"]
        if (row["record"], row["detector"], row["input"]) == (test[0], GRU, "noisy")
    )
    found, _, false = wanted["counts"]["150"]
    assert frame["R_peak"].sum() == found + false


def test_models_give_the_signals_of_the_csv_files(small_study: Path, raw_dir: Path, report: Any) -> None:
    bundle = load_denoiser(small_study / "models" / "denoiser")
    assert bundle.card.data["records"]["test"] == report["data"]["parts"]["test"]["records"]
    assert bundle.card.segment_samples == 720
    opened = load_detector(small_study / "models" / "detector")
    detector = opened.card
    assert set(detector.thresholds) == {"r_peak", "window"}
    assert detector.hyperparameters == report["searches"][1]["trials"][0]["hyperparameters"]
    record = report["data"]["parts"]["test"]["records"][0]
    frame = pd.read_csv(small_study / "csv" / f"{record}.csv")
    # What is measured is what the bundles give.
    lead = read_record(raw_dir / record, annotator=None)
    clean = lead.signal[:, 0]
    noisy = clean + gaussian_noise(len(clean), sigma_mv=0.05, seed=1, record=record, lead=lead.leads[0])
    np.testing.assert_allclose(bundle.denoise(noisy, fs=360.0), frame["denoised_mv"], atol=1e-4)
    np.testing.assert_array_equal(opened.detect(noisy, fs=360.0).samples, np.flatnonzero(frame["R_peak"]))


def test_a_second_report_repeats_the_metrics(
    own_study: Path, small_options: list[str], report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.main(["report", *small_options, "--out", str(own_study)]) == 0
    again = json.loads((own_study / "report.json").read_text())
    for part in ("denoiser", "detector", "failures", "trainings", "comparisons"):
        assert again[part] == report[part]
    assert "Report: " in capsys.readouterr().out


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    own_study: Path, small_options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in own_study.rglob("*") if path.is_file()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "plots/search.png")

    monkeypatch.setattr("ecg_study.reports.publish.draw_plots", full)
    assert study.main(["report", *small_options, "--out", str(own_study)]) == 2
    assert "plots/search.png: cannot write, is the disk full? (No space left on device)" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in own_study.rglob("*") if path.is_file()} == before


def test_every_plot_and_file_of_the_page_exists(small_study: Path) -> None:
    page = (small_study / "report.md").read_text()
    plots = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert {Path(plot).name for plot in plots} == {path.name for path in (small_study / "plots").iterdir()}
    for plot in plots:
        assert (small_study / plot).stat().st_size > 2000
    assert page.index("## Summary") < page.index("## Data") < page.index("## Search")
    assert "not a medical device" in page.lower()
    assert "nan" not in page.lower().split()
    assert "None" not in page


def test_rendering_again_gives_the_same_and_computes_nothing(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(small_study / "report.json", tmp_path)
    for name in ("denoise", "detect", "candidates"):
        monkeypatch.setattr(f"ecg_study.evaluation.cached_models.CachedModel.{name}", pytest.fail)
    assert study.main(["report", "--render", "--out", str(tmp_path)]) == 0
    for name in ("report.md", "report.html"):
        assert (tmp_path / name).read_bytes() == (small_study / name).read_bytes()
    for plot in (small_study / "plots").iterdir():
        assert (tmp_path / "plots" / plot.name).read_bytes() == plot.read_bytes()


VARIES = {
    *("seconds", "wall_seconds", "ended", "milliseconds", "attempts"),  # times
    *("pareto_latency", "second_half"),  # what follows from times
    *("created", "machine", "versions", "settings", "command"),  # the place where it was made
    "sha256",  # of the files of a model
    "oracle",  # the state of Keras Tuner, with sets
}
"""Keys of stored files whose values differ between two runs."""


def lasting(value: Any) -> Any:
    """Return a stored value without what differs between two runs."""
    if isinstance(value, dict):
        return {key: lasting(item) for key, item in value.items() if key not in VARIES}
    return [lasting(item) for item in value] if isinstance(value, list) else value


def about(value: Any) -> Any:
    """Return a value that equals all values with nearly the same numbers."""
    if isinstance(value, dict):
        return {key: about(item) for key, item in value.items()}
    if isinstance(value, list):
        return [about(item) for item in value]
    return pytest.approx(value, rel=1e-3, abs=1e-5) if isinstance(value, float) else value


def test_the_stored_tiny_study_can_be_made_again(small_study: Path, tmp_path: Path) -> None:
    """If this fails because numbers or formats have changed on purpose: ``python -m tests.make_fixtures``."""
    copy_kept(small_study, tmp_path)
    stored = sorted(file.relative_to(TINY_STUDY_DIR) for file in TINY_STUDY_DIR.rglob("*") if file.is_file())
    assert sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()) == stored
    assert sum((TINY_STUDY_DIR / name).stat().st_size for name in stored) < 1_000_000
    for name in stored:
        if name.suffix == ".json":
            new, old = (json.loads((folder / name).read_text()) for folder in (tmp_path, TINY_STUDY_DIR))
            assert lasting(new) == about(lasting(old)), name
    signal = np.random.default_rng(0).normal(0, 0.3, 2000)
    folders = (tmp_path / "models" / "denoiser", TINY_STUDY_DIR / "models" / "denoiser")
    made, kept = (load_denoiser(folder).denoise(signal, fs=360.0) for folder in folders)
    np.testing.assert_allclose(made, kept, atol=1e-3)
