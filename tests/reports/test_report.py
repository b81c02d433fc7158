"""The report of the tiny study: complete, consistent, and no stronger than what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import study
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES
from ecg_study.evaluation.results.values import GRU, INPUTS, LSTM, NOISY, TOLERANCES_MS, Comparison, Estimate
from ecg_study.reports.html import to_html
from ecg_study.reports.markdown import to_markdown
from ecg_study.reports.model_card import render_card
from ecg_study.reports.page import Plot, number
from ecg_study.reports.publish import PUBLISHED, publish, report_page
from ecg_study.reports.report import REPORT_FORMAT, Report
from ecg_study.reports.schema import dump_report, read_report, report_schema
from ecg_study.reports.sentences import compare_with_reference
from ecg_study.tuning.findings.analysis import summarize_search
from ecg_study.tuning.state import load_search, search_directory
from ecg_study.workflows.reporting.compare import compare_studies, render_comparison
from tests.reports.test_html import PIXEL
from tests.tiny import ROOT, TINY

SCHEMA_COMMAND = (
    "python -c 'import json; from ecg_study.reports.schema import report_schema; "
    "print(json.dumps(report_schema(), indent=1))' > docs/report.schema.json"
)


@pytest.fixture(scope="module")
def report(tiny_study: Path) -> Any:
    """The machine-readable report."""
    return json.loads((tiny_study / "report.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def value(tiny_study: Path) -> Report:
    """The report as a value."""
    return read_report(tiny_study / "report.json")


def render(report: Report) -> str:
    """Return the report as Markdown, without the plots of searches and errors."""
    return to_markdown(report_page(report, []))


@pytest.fixture(scope="module")
def page(value: Report) -> str:
    """The report as Markdown."""
    return render(value)


def test_a_search_that_a_budget_ended_says_so(tiny_study: Path) -> None:
    whole = read_report(tiny_study / "report.json")
    search = load_search(search_directory(tiny_study, "denoiser"))
    cut = replace(search, trials=search.trials[:4], done=False, stopped="its budget of 2 h 0 min is spent")
    said = render(replace(whole, searches=[summarize_search("denoiser", cut, preset=TINY)]))
    assert "**The search ended early**: its budget of 2 h 0 min is spent." in said
    assert "| 0 | 0 | 3 | 2 | 0 | 0 |" in said, "planned and completed side by side"
    assert "ended early" not in render(whole)
    warm = replace(search, identity=search.identity | {"warm start": "first-study"})
    assert "The best configurations of `first-study` were tried first." in render(
        replace(whole, searches=[summarize_search("denoiser", warm, preset=TINY)])
    )


def test_page_and_json_have_the_same_values(value: Report, page: str, report: Any, tmp_path: Path) -> None:
    blocks = report_page(value, [])
    (tmp_path / "plots").mkdir()
    for block in blocks.blocks:
        if isinstance(block, Plot):
            (tmp_path / block.path).write_bytes(PIXEL)
    html = to_html(blocks, tmp_path)
    ours = next(item for item in report["denoiser"]["summaries"] if item["method"] == LSTM)["metrics"]["rmse"]
    assert str(number(Estimate(**ours), 4)) in page
    for item in report["detector"]["peaks"]:
        for text in (page, html):
            assert f"{item['counts']['f1']:.4f}" in text
    for comparison in report["comparisons"]:
        assert comparison["significant"] is None, "three records are too few"
    assert "too few subjects to test significance" in page
    assert "significantly" not in page
    assert "each record counts as one subject" in page


def test_pooled_counts_are_the_sum_of_the_records(report: Any) -> None:
    section = report["detector"]
    for item in section["peaks"]:
        place = (item["detector"], item["input"])
        rows = [
            row["counts"][str(item["tolerance_ms"])]
            for row in section["peaks_by_record"]
            if (row["detector"], row["input"]) == place
        ]
        assert len(rows) == len(report["data"]["parts"]["test"]["records"])
        names = ("true_positives", "false_negatives", "false_positives")
        assert [item["counts"][name] for name in names] == np.sum(rows, axis=0).tolist()
    assert len(section["peaks"]) == (1 + len(DETECTOR_NAMES)) * len(INPUTS) * len(TOLERANCES_MS)
    assert not any(item["after_learning"] for item in section["peaks"]), "no record is longer than five minutes"


def test_parts_share_no_record(report: Any) -> None:
    parts = [part["records"] for part in report["data"]["parts"].values()]
    together = [record for part in parts for record in part]
    assert len(together) == len(set(together)) == 16
    test = set(report["data"]["parts"]["test"]["records"])
    assert {row["record"] for row in report["detector"]["peaks_by_record"]} == test


def test_each_seed_has_its_training_and_figures(report: Any) -> None:
    assert [(item["task"], item["seed_index"]) for item in report["trainings"]] == [
        (task, number) for task in ("denoiser", "detector") for number in (1, 2)
    ]
    first, second = (item["history"] for item in report["trainings"][:2])
    assert first != second, "another seed is another training"
    ours = next(item for item in report["denoiser"]["summaries"] if item["method"] == LSTM)
    rmse = next(item for item in report["denoiser"]["seeds"] if item["metric"] == "RMSE in mV")
    assert rmse["values"][0] == ours["metrics"]["rmse"]["value"], "the first is the one handed over"
    assert rmse["mean"] == pytest.approx(np.mean(rmse["values"]))
    assert rmse["deviation"] == pytest.approx(np.std(rmse["values"], ddof=1), rel=1e-3)
    f1 = next(item for item in report["detector"]["seeds"] if item["metric"] == "R peaks: F1 at 150 ms")
    peaks = report["detector"]["peaks"]
    place = (GRU, NOISY, 150)
    main = next(item for item in peaks if (item["detector"], item["input"], item["tolerance_ms"]) == place)
    assert f1["values"][0] == pytest.approx(main["counts"]["f1"], rel=1e-6)


def test_what_was_not_measured_is_said(page: str, report: Any) -> None:
    assert report["stress"]["rows"] == []
    assert "No test record is longer than five minutes." in report["stress"]["note"]
    assert report["missing"] == []
    assert len({(cell["noise_type"], cell["snr"]) for cell in report["denoiser"]["noise"]}) == 20
    assert "This report is incomplete" not in page


def test_the_value_survives_being_written_and_read(tiny_study: Path, value: Report, page: str) -> None:
    assert dump_report(value) == (tiny_study / "report.json").read_text()
    assert page.count("## Summary") == 1


def test_the_published_schema_is_that_of_the_program() -> None:
    published = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    assert published == report_schema(), f"write it anew: {SCHEMA_COMMAND}"


def test_the_report_fits_its_schema(report: Any) -> None:
    import jsonschema

    jsonschema.Draft202012Validator(report_schema()).validate(report)
    report = json.loads(json.dumps(report))
    report["denoiser"]["seeds"][0]["mean"] = "high"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(report_schema()).validate(report)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda text: text.replace(f'"format":{REPORT_FORMAT}', '"format": 99', 1),
            f"format 99, this version reads up to {REPORT_FORMAT}",
        ),
        (lambda text: text[: len(text) // 2], "not a readable report"),
        (lambda text: text.replace('"parameters":', '"parameters": "many", "was": ', 1), "parameters"),
        (lambda _: "[]", "not a readable report"),
    ],
)
def test_a_damaged_report_is_refused(
    change: Any, says: str, tiny_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (tiny_study / "report.json").read_text()
    (tmp_path / "report.json").write_text(change(text))
    assert study.main(["report", "--render", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_cards_say_use_data_figures_and_limits(value: Report, report: Any) -> None:
    for task in ("denoiser", "detector"):
        card = render_card(value, next(item for item in value.trainings if item.task == task))
        for part in ("## Use", "## Data", "## Results on the test records", "## Limitations", "Not a medical device"):
            assert part in card
        assert ", ".join(report["data"]["parts"]["test"]["records"]) in card
        assert f"trained on {len(report['data']['parts']['train']['records'])} records." in card
        ours = {"denoiser": LSTM, "detector": GRU}[task]
        for comparison in report["comparisons"]:
            shown = number(Estimate(**comparison["model_value"]), 4)
            assert (f"| {comparison['metric']} | {shown} |" in card) == (comparison["model"] == ours)


def test_comparing_two_studies(tiny_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((tiny_study / "report.json").read_text())
    for row in content["denoiser"]["by_record"]:
        if row["method"] == LSTM:
            row["metrics"]["rmse"] -= 0.001
    (tmp_path / "report.json").write_text(json.dumps(content))
    written = tmp_path / "comparison.md"
    assert study.main(["compare", str(tiny_study), str(tmp_path), "--output", str(written)]) == 0
    said = capsys.readouterr().out
    assert written.read_text() == said
    (rmse,) = [line for line in said.splitlines() if "RMSE" in line]
    assert rmse.endswith("| +0.0010 [+0.0010, +0.0010] | too few subjects |")
    content["data"]["noise_sigma_mv"] = 0.1
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert study.main(["compare", str(tiny_study), str(tmp_path / "report.json")]) == 0
    said = capsys.readouterr().out
    assert "The results of these studies are not comparable" in said
    assert "- σ of the noise in mV: 0.05 and 0.1" in said
    assert "0.0010 [" not in said
    assert study.main(["compare", str(tiny_study), str(tmp_path / "none")]) == 2
    assert "report not found" in capsys.readouterr().err


def test_denoisers_with_different_clean_signals_are_not_compared(tiny_study: Path, tmp_path: Path) -> None:
    content = json.loads((tiny_study / "report.json").read_text())
    content["denoiser"]["removes_baseline_wander"] = True
    (tmp_path / "report.json").write_text(json.dumps(content))
    comparison = compare_studies(tiny_study, tmp_path)
    assert comparison.differences == []
    compared = {item.metric: item.comparison is not None for item in comparison.metrics}
    assert not compared[f"{LSTM}: RMSE in mV"] and compared[f"{GRU}: R peaks: F1 at 150 ms"]
    assert "The denoising results are not comparable" in render_comparison(comparison)
    assert "not comparable" not in render_comparison(compare_studies(tiny_study, tiny_study))


def test_studies_with_other_marks_or_another_reference_are_not_compared(tiny_study: Path, tmp_path: Path) -> None:
    content = json.loads((tiny_study / "report.json").read_text())
    content["provenance"]["settings"]["own-marks"] = True
    (tmp_path / "report.json").write_text(json.dumps(content))
    (difference,) = compare_studies(tiny_study, tmp_path).differences
    assert difference.startswith("marks: ") and difference.endswith("as they are")
    published = [ROOT / "docs" / name for name in ("mitdb-robust", "mitdb-standard")]
    comparison = compare_studies(*published)
    assert not comparison.same_clean_signal, "the high-pass of 0.1.0 is of another order"
    assert all(item.comparison is None for item in comparison.metrics if item.metric.startswith(LSTM))


def test_best_epoch_is_that_of_the_lowest_validation_loss(report: Any) -> None:
    for training in report["trainings"]:
        losses = [row["val_loss"] for row in training["history"]]
        assert training["best_epoch"] == 1 + int(np.argmin(losses))


def test_what_cannot_be_put_in_place_whole_leaves_the_old(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def write(folder: Path, text: str, without: str = "") -> None:
        for name in PUBLISHED:
            if name == without:
                continue
            if name.startswith("report"):
                (folder / name).write_text(text)
                continue
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text(text)

    out.mkdir()
    write(out, "old")
    with pytest.raises(FileNotFoundError):  # report.md is the last of all: everything before it is already in place
        publish(out, lambda staging: write(staging, "new", without="report.md"))
    assert {path.read_text() for path in out.rglob("*") if path.is_file()} == {"old"}
    publish(out, lambda staging: write(staging, "new"))
    assert {path.read_text() for path in out.rglob("*") if path.is_file()} == {"new"}
    assert {path.name for path in out.iterdir()} == set(PUBLISHED)


@pytest.mark.parametrize(
    ("difference", "significant", "text"),
    [
        (0.1, True, "the new model is significantly better than the reference method (old model)."),
        (-0.1, True, "the new model is significantly worse than the reference method (old model)."),
        (0.1, False, "no significant difference between the new model and the reference method (old model)."),
        (
            0.0,
            None,
            "the new model is as good as the reference method (old model); too few subjects to test significance.",
        ),
        (
            -0.1,
            None,
            "the new model is worse than the reference method (old model); too few subjects to test significance.",
        ),
    ],
)
def test_a_comparison_states_no_more_than_was_measured(difference: float, significant: bool | None, text: str) -> None:
    zero = Estimate(0, 0, 0)
    found = Estimate(difference, difference, difference)
    comparison = Comparison("RMSE", "new model", zero, "old model", zero, found, significant)
    assert compare_with_reference(comparison) == f"**RMSE**: {text}"
