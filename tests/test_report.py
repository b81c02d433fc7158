"""The report of the small study: whole, consistent, honest."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import study
from checkpoints import load_bundle
from reports.markdown import _search, _sentence, table
from reports.measures import Interval
from reports.report import PUBLISHED, _publish
from reports.results import GRU, INPUTS, LSTM, TOLERANCES_MS, Comparison
from reports.summary import summarise_search
from tests.conftest import TINY
from tuning import load_search, search_directory


@pytest.fixture(scope="module")
def report(small_study: Path) -> Any:
    """The machine-readable report."""
    return json.loads((small_study / "report.json").read_text(), parse_constant=pytest.fail)


def test_a_search_that_a_budget_ended_says_so(small_study: Path) -> None:
    search = load_search(search_directory(small_study, "denoiser"))
    cut = replace(search, trials=search.trials[:4], done=False, stopped="its budget of 2 h 0 min is spent")
    said = _search([summarise_search("denoiser", cut, TINY)])
    assert "**It ended early**: its budget of 2 h 0 min is spent. 4 of 6 planned trials were completed." in said
    assert "| 0 / 0 | 3 | 2 | 0 | 0 |" in said, "planned and completed side by side"
    whole = _search([summarise_search("denoiser", search, TINY)])
    assert "ended early" not in whole
    warm = replace(search, identity=search.identity | {"warm start": "first-study"})
    assert "The best configurations of `first-study` were tried first." in _search(
        [summarise_search("denoiser", warm, TINY)]
    )


def test_everything_is_there_and_nothing_is_left_over(small_study: Path) -> None:
    names = {path.name for path in small_study.iterdir()}
    assert names == {"report.md", "report.json", "plots", "csv", "models", "search", "settings.toml"}
    assert {path.name for path in (small_study / "plots").iterdir()} == {
        "search.png",
        "loss_curves.png",
        "denoising.png",
        "confusion.png",
        "r_peaks.png",
    }


def test_every_plot_and_file_of_the_page_exists(small_study: Path) -> None:
    page = (small_study / "report.md").read_text()
    plots = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert len(plots) == 5
    for plot in plots:
        assert (small_study / plot).stat().st_size > 5000
    assert page.index("## Verdict") < page.index("## Data") < page.index("## Search")
    assert "not a medical device" in page
    assert "nan" not in page.lower().split()


def test_page_and_json_say_the_same(small_study: Path, report: Any) -> None:
    page = (small_study / "report.md").read_text()
    ours = next(item for item in report["denoising"] if item["method"] == LSTM)
    assert f"{ours['rmse']['value']:.4f} [{ours['rmse']['low']:.4f}, {ours['rmse']['high']:.4f}]" in page
    for item in report["peaks"]:
        assert f"{item['counts']['f1']:.4f}" in page
    for comparison in report["comparisons"]:
        assert comparison["real"] is None  # three records cannot tell
    assert "on too few records to tell" in page
    assert " beats the " not in page
    assert "each is taken as one person, which is not known here" in page


def test_pooled_counts_are_the_sum_of_the_records(report: Any) -> None:
    for item in report["peaks"]:
        place = (item["detector"], item["input"], item["tolerance_ms"])
        rows = [
            row["counts"]
            for row in report["peaks_by_record"]
            if (row["detector"], row["input"], row["tolerance_ms"]) == place
        ]
        assert len(rows) == len(report["data"]["parts"]["test"]["records"])
        for count in ("true_positives", "false_negatives", "false_positives"):
            assert item["counts"][count] == sum(row[count] for row in rows)
    assert len(report["peaks"]) == 2 * len(INPUTS) * len(TOLERANCES_MS)


def test_parts_share_no_record(report: Any) -> None:
    parts = [part["records"] for part in report["data"]["parts"].values()]
    together = [record for part in parts for record in part]
    assert len(together) == len(set(together)) == 16
    assert {row["record"] for row in report["peaks_by_record"]} == set(report["data"]["parts"]["test"]["records"])


def test_csv_of_each_test_record(small_study: Path, report: Any, raw_dir: Path) -> None:
    test = report["data"]["parts"]["test"]["records"]
    assert sorted(path.stem for path in (small_study / "csv").iterdir()) == sorted(test)
    frame = pd.read_csv(small_study / "csv" / f"{test[0]}.csv")
    assert list(frame.columns) == ["time_s", "signal_mv", "denoised_mv", "R_peak"]
    assert len(frame) == 10_800
    assert frame["time_s"].iloc[360] == pytest.approx(1)
    wanted = next(
        row
        for row in report["peaks_by_record"]
        if (row["record"], row["detector"], row["input"]) == (test[0], GRU, "noisy")
    )
    assert frame["R_peak"].sum() == wanted["counts"]["true_positives"] + wanted["counts"]["false_positives"]
    assert raw_dir.is_dir()


def test_bundles_give_the_signals_of_the_csv(small_study: Path, report: Any) -> None:
    bundle = load_bundle(small_study / "models" / "denoiser")
    assert bundle.card.data["records"]["test"] == report["data"]["parts"]["test"]["records"]
    assert bundle.card.segment == 720
    detector = load_bundle(small_study / "models" / "detector").card
    assert set(detector.thresholds) == {"r_peak", "window"}
    assert detector.hyperparameters == report["searches"][1]["leaderboard"][0]["hyperparameters"]
    record = report["data"]["parts"]["test"]["records"][0]
    frame = pd.read_csv(small_study / "csv" / f"{record}.csv")
    from checkpoints import apply_model

    again = apply_model(bundle.model, frame["signal_mv"].to_numpy(np.float32), 720)
    np.testing.assert_allclose(again, frame["denoised_mv"], atol=2e-3)


def test_best_epoch_is_that_of_the_lowest_validation_loss(report: Any) -> None:
    for training in report["trainings"]:
        losses = [row["val_loss"] for row in training["history"]]
        assert training["best_epoch"] == 1 + int(np.argmin(losses))


def test_report_alone_repeats_the_figures(
    small_study: Path, small_options: list[str], report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.main(["report", *small_options, "--out", str(small_study)]) == 0
    again = json.loads((small_study / "report.json").read_text())
    assert again["peaks"] == report["peaks"]
    assert again["denoising_by_record"] == report["denoising_by_record"]
    assert "Report: " in capsys.readouterr().out


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    small_study: Path, small_options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in small_study.rglob("*") if path.is_file()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "plots/search.png")

    monkeypatch.setattr("reports.report.draw_plots", full)
    assert study.main(["report", *small_options, "--out", str(small_study)]) == 2
    assert "plots/search.png: cannot write, is the disk full? (No space left on device)" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in small_study.rglob("*") if path.is_file()} == before


def test_what_cannot_be_put_in_place_whole_leaves_the_old(tmp_path: Path) -> None:
    out, staging = tmp_path / "out", tmp_path / "staging"
    for folder, text in ((out, "old"), (staging, "new")):
        for name in PUBLISHED:
            if name.startswith("report"):
                (folder / name).write_text(text)
                continue
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text(text)
    (staging / "report.md").unlink()  # the last of all: everything before it is already in place
    with pytest.raises(FileNotFoundError):
        _publish(staging, out)
    assert {path.read_text() for path in out.rglob("*") if path.is_file()} == {"old"}
    (staging / "report.md").write_text("new")
    for name in PUBLISHED[:-1]:
        (staging / f"new-{name}").rename(staging / name)
    _publish(staging, out)
    assert {path.read_text() for path in out.rglob("*") if path.is_file()} == {"new"}


def test_figures_stand_to_the_right_and_texts_to_the_left() -> None:
    text = table(("a", "b", "c"), [("x|y", "0.5 [0.4, 0.6]", "–"), ("z", "12", "3 of 4")])
    assert text.splitlines()[1] == "| --- | ---: | ---: |"
    assert r"x\|y" in text


@pytest.mark.parametrize(
    ("gain", "real", "says"),
    [
        (0.1, True, "By RMSE, the ours beats the theirs."),
        (-0.1, True, "By RMSE, the ours loses to the theirs."),
        (0.1, False, "By RMSE, the ours cannot be told from the theirs."),
        (0.0, None, "By RMSE, the ours does as well as the theirs, on too few records to tell whether by chance."),
        (-0.1, None, "By RMSE, the ours does worse than the theirs, on too few records to tell whether by chance."),
    ],
)
def test_the_verdict_says_no_more_than_was_measured(gain: float, real: bool | None, says: str) -> None:
    zero = Interval(0, 0, 0)
    comparison = Comparison("denoising: RMSE in mV", "ours", zero, "theirs", zero, Interval(gain, gain, gain), real)
    assert _sentence(comparison) == says
