"""Sentences and plots of searches with known findings."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.reports.plots.search import plot_search
from ecg_study.reports.schema import to_json
from ecg_study.reports.sentences import explain_objective, findings
from ecg_study.training.specs import FAILED, TrainingResult
from ecg_study.tuning.findings.analysis import best_quarter, find_untried, summarize_search, with_findings
from ecg_study.workflows.reporting.report import render_saved_report
from tests.tuning.made_up_searches import (
    LARGE,
    REALISTIC,
    SMALL,
    Configuration,
    made_up_search,
    realistic,
    realistic_summary,
    summary_by_units,
    summary_of_two,
)


@pytest.fixture
def without_importances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the importances, which take seconds, in tests of something else."""
    monkeypatch.setattr("ecg_study.tuning.findings.analysis.estimate_importances", lambda *_, **__: ([], None))


@pytest.fixture(params=[DENOISER, DETECTOR])
def whole(request: pytest.FixtureRequest) -> SearchSummary:
    """70 trials of each task, all with a measured inference time."""
    return realistic_summary(request.param)


def test_too_few_configurations_for_importances() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    summary = summarize_search(DENOISER, search, preset=SMALL)
    said = findings(summary)
    assert (
        "The importance of the hyperparameters could not be estimated: 8 configurations completed, at least 12 needed."
        in said
    )


def test_one_completed_trial() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    lost = TrainingResult(FAILED, None, None, seconds=1.0, reason="ValueError: no", attempts=2)
    trials = (*(replace(trial, result=lost) for trial in search.trials[:-1]), search.trials[-1])
    summary = summarize_search(DENOISER, replace(search, trials=trials), preset=SMALL)
    said = findings(summary)
    assert said[0] == "Failed trials, which are not part of the findings: 9 of 10."
    assert said[-1] == "Only one configuration was completed, so there is no comparison."
    assert set(_save(summary)) == {"search_denoiser_curves", "search_denoiser_progress"}


def test_no_completed_trial() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    lost = TrainingResult(FAILED, None, None, reason="ValueError: no")
    summary = summarize_search(
        DENOISER, replace(search, trials=tuple(replace(trial, result=lost) for trial in search.trials)), preset=SMALL
    )
    assert findings(summary) == ["No trial was completed, so there are no findings."]
    assert plot_search(summary) == {}


def test_a_stopped_or_unfinished_search() -> None:
    search = made_up_search(DENOISER, LARGE, score=realistic)
    cut = replace(search, trials=search.trials[:8], done=False, stopped="its budget of 2 h 0 min is spent")
    summary = summarize_search(DENOISER, cut, preset=LARGE)
    assert findings(summary)[0] == "The search is incomplete: 8 of 70 planned trials were completed."
    running = summarize_search(DENOISER, replace(cut, stopped=""), preset=LARGE)
    assert findings(running)[0] == findings(summary)[0]
    _save(summary)


def test_one_deciding_hyperparameter() -> None:
    said = findings(summary_by_units())
    (units,) = [sentence for sentence in said if sentence.startswith("Important: `units_1`, ")]
    assert re.fullmatch(r"Important: `units_1`, [0-9.]+ \[0\.\d\d, \d\.\d\d\]\.", units), "its end has its own"
    (about,) = [sentence for sentence in findings(summary_by_units()) if "Range of `units_1`: " in sentence]
    assert "of the best 13 configurations have the highest value, 96, compared with 13 of all 49;" in about
    assert about.endswith("; a wider range was not searched and may be better.")
    for name in ("frame", "residual"):
        (about,) = [sentence for sentence in said if f"`{name}`" in sentence]
        assert re.fullmatch(rf"No significant importance: `{name}`, -?[0-9.]+ \[-?[0-9.]+, -?[0-9.]+\]\.", about)


@pytest.mark.usefixtures("without_importances")
def test_values_that_were_never_tried_are_named() -> None:
    ranges = replace(LARGE.denoiser, layers=(1, 2), units=(16, 32), frame=(8, 16), gate=(False, True))
    tried = [{"layers": 1, "units_1": 16, "frame": 8}, {"layers": 1, "units_1": 32, "frame": 8}]
    untried = find_untried(tried, ranges)
    assert untried == {"layers": [2], "frame": [16]}, "neither units of a second layer nor a gate, which none has"
    summary = summarize_search(DENOISER, made_up_search(DENOISER, SMALL, score=realistic), preset=SMALL)
    assert summary.findings is not None
    named = replace(summary, findings=replace(summary.findings, untried=untried))
    assert "Never tried, although in the ranges: `layers` 2; `frame` 16." in findings(named)


@pytest.mark.usefixtures("without_importances")
def test_a_hyperparameter_that_only_some_configurations_have() -> None:
    def second(configuration: Configuration, _: int) -> float:
        return 1 / float(configuration.get("units_2", 64))  # one-layer networks are as good as the second best

    summary = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=second), preset=LARGE)
    best = best_quarter(summary.trials)
    having = [t.hyperparameters["units_2"] for t in best if "units_2" in t.hyperparameters]
    (said,) = [sentence for sentence in findings(summary) if "Range of `units_2`" in sentence]
    assert said.startswith(
        f"Range of `units_2`: {having.count(96)} of the best {len(having)} configurations that have it have the highest"
    )
    _save(summary)


@pytest.mark.usefixtures("without_importances")
def test_a_range_that_cannot_be_wider() -> None:
    def no_dropout(configuration: Configuration, _: int) -> float:
        return 0.01 + float(configuration["dropout"])

    said = findings(summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=no_dropout), preset=LARGE))
    (about,) = [sentence for sentence in said if "Range of `dropout`: " in sentence]
    assert "have the lowest value, 0, " in about
    assert about.endswith("; no value beyond it exists.")


@pytest.mark.usefixtures("without_importances")
def test_a_range_end_as_frequent_as_drawn_may_be_chance() -> None:
    search = made_up_search(DENOISER, LARGE, score=realistic)
    same = tuple(
        replace(trial, spec=replace(trial.spec, hyperparameters=trial.spec.hyperparameters | {"frame": 16}))
        for trial in search.trials
    )
    said = findings(summarize_search(DENOISER, replace(search, trials=same), preset=LARGE))
    assert (
        "Range of `frame`: 13 of the best 13 configurations have the highest value, 16, compared with 49 of all 49; "
        "chance can explain this." in said
    )


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        (
            (10, 90),
            "The second half of the search time of 1 min 40 s lowered the best mean squared error from 0.02 to 0.01 "
            "(50 % lower).",
        ),
        (
            (10, 40),
            "The best trial, 000-r1, ended after 40 s; the second half of the search time of 1 min 40 s found no "
            "better one.",
        ),
        ((60, 90), "No trial was completed in the first half of the search time of 1 min 40 s."),
    ],
)
def test_improvement_in_the_second_half_of_the_time(ended: tuple[float, float], says: str) -> None:
    assert says in findings(summary_of_two(DENOISER, scores=(0.02, 0.01), ended=ended))


def test_a_maximized_score_approaches_one() -> None:
    said = findings(summary_of_two(DETECTOR, scores=(0.98, 0.99), ended=(10, 90)))
    assert (
        "The second half of the search time of 1 min 40 s raised the best area under the precision–recall curve from "
        "0.98000 to 0.99000 (50 % closer to 1)." in said
    )


def test_the_error_of_r_peaks_has_its_unit_and_is_explained() -> None:
    summary = replace(summary_of_two(DENOISER, scores=(0.2, 0.1), ended=(10, 90)), objective="val_r_peak_error")
    assert any("the best error of R peaks from 0.2 % to 0.1 % (50 % lower)" in said for said in findings(summary))
    assert "geometric mean of 1 − F1" in explain_objective(summary)
    assert explain_objective(replace(summary, objective="val_loss")) == ""


def test_longer_training_that_keeps_the_order() -> None:
    assert any(
        sentence.startswith("Longer training reversed the order of 0 of ") for sentence in findings(summary_by_units())
    )


@pytest.mark.usefixtures("without_importances")
def test_longer_training_that_reverses_the_order() -> None:
    def turning(configuration: Configuration, epochs: int) -> float:
        rate = float(configuration["learning_rate"])
        return (rate if epochs <= 3 else 0.02 - rate) / epochs**4

    (said,) = [
        sentence
        for sentence in findings(
            summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=turning), preset=LARGE)
        )
        if sentence.startswith("Longer training")
    ]
    assert said.startswith(
        "Longer training reversed the order of 9 of 47 pairs of configurations promoted from the same rung (19 %;"
    )


def test_the_smallest_network_near_the_best() -> None:
    summary = summary_of_two(DENOISER, scores=(0.0104, 0.01), ended=(10, 90))
    small, large = replace(summary.trials[1], parameters=1000), replace(summary.trials[0], parameters=50_000)
    small = replace(small, hyperparameters=small.hyperparameters | {"units_1": 16}, milliseconds=0.25)
    said = findings(with_findings(replace(summary, trials=[large, small])))
    assert (
        "The smallest network within 5 % of the best mean squared error is 000-r0: 0.0104 with 1,000 weights and "
        "0.25 ms per segment. The best network, 000-r1, has 0.01 with 50,000 weights." in said
    )
    said = findings(with_findings(replace(summary, trials=[large, replace(small, score=0.0106)])))
    assert (
        "The best network, 000-r1, has 50,000 weights; no smaller network is within 5 % of the best mean squared "
        "error." in said
    )


def test_findings_are_whole_sentences(whole: SearchSummary) -> None:
    for sentence in findings(whole):
        assert sentence[0].isupper() and sentence.endswith("."), sentence
        assert "nan" not in sentence and "  " not in sentence


def test_all_plots_of_a_whole_search(whole: SearchSummary) -> None:
    kinds = {"curves", "progress", "importances", "parallel", "pareto"}
    assert set(_save(whole)) == {f"search_{whole.task}_{kind}" for kind in kinds}


@pytest.mark.parametrize("task", [DENOISER, DETECTOR])
def test_plots_that_need_more_trials_are_left_out(task: str) -> None:
    search = made_up_search(task, SMALL, score=REALISTIC[task])
    ten = _save(summarize_search(task, search, preset=SMALL))
    assert set(ten) == {f"search_{task}_{kind}" for kind in ("curves", "progress", "parallel", "pareto")}
    one = _save(summarize_search(task, replace(search, trials=search.trials[:1], seconds=0.0), preset=SMALL))
    assert set(one) == {f"search_{task}_curves", f"search_{task}_progress"}


def test_a_gap_in_a_curve_can_be_drawn() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    first = search.trials[0]
    holed = replace(first, result=replace(first.result, history=[{"epoch": 1}, *first.result.history[1:]]))
    assert _save(summarize_search(DENOISER, replace(search, trials=(holed, *search.trials[1:])), preset=SMALL))


def test_equal_scores_show_no_importances() -> None:
    summary = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=lambda *_: 0.01), preset=LARGE)
    assert "The importance of the hyperparameters could not be estimated: scores or choices do not vary." in findings(
        summary
    )


def _save(summary: SearchSummary) -> dict[str, bytes]:
    """Save every plot as PNG; a warning fails the test."""
    pictures = {}
    for name, figure in plot_search(summary).items():
        file = io.BytesIO()
        figure.savefig(file, dpi=110)
        pictures[name] = file.getvalue()
        assert len(pictures[name]) > 5000
    return pictures


def test_a_summary_without_findings_has_no_sentences() -> None:
    assert findings(replace(summary_by_units(), findings=None)) == []


@pytest.mark.slow
def test_findings_of_an_earlier_report_are_computed_when_it_is_rendered_again(tiny_study: Path, tmp_path: Path) -> None:
    content = json.loads((tiny_study / "report.json").read_text())
    stored = [search.pop("findings") for search in content["searches"]]
    (tmp_path / "report.json").write_text(json.dumps(content))
    report = render_saved_report(tmp_path)
    for search, before in zip(report.searches, stored, strict=True):
        again = to_json(search.findings)
        # A summary holds neither the ranges of the search nor the scores of each subject.
        assert again.pop("untried") is None and again.pop("stability") is None
        assert before.pop("untried") is not None
        before.pop("stability")
        # The scores of a stored report are rounded to seven digits, so a difference of scores has fewer. The first half
        # may have no score: it ends at half of the time.
        halves = before.pop("second_half").items()
        about = {name: None if value is None else pytest.approx(value, rel=1e-4) for name, value in halves}
        assert again.pop("second_half") == about
        assert again == before
    assert "findings" not in json.loads((tmp_path / "report.json").read_text())["searches"][0]
    page = (tmp_path / "report.md").read_text()
    for search in report.searches:
        assert len(findings(search)) >= 3
        assert all(sentence in page for sentence in findings(search))
