"""What is said of a search: on searches made up so that it is known what must be said."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.reports.plots.search import search_figures
from ecg_study.reports.sentences import findings
from ecg_study.search_spaces.presets import PRESETS, HyperparameterRanges, Preset
from ecg_study.training.specs import COMPLETED, FAILED, TrainingResult, TrainingSpec, Trial
from ecg_study.tuning.analysis import (
    EPOCHS,
    best_of_each,
    best_quarter,
    bound_hits,
    pareto_front,
    shortfall,
    summarise_search,
)
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.state import SearchResult

_BOUNDS = HyperparameterRanges(
    layers=(1, 2, 3),
    units=(16, 32, 48, 64, 96),
    dropout=(0.0, 0.1, 0.2, 0.3),
    frame=(4, 8, 16),
    direction=("forward", "both"),
    learning_rate=(5e-4, 1e-2),
)
_LARGE = replace(PRESETS["standard"], max_epochs=27, factor=3, iterations=1)
LARGE = replace(_LARGE, denoiser=_BOUNDS, detector=replace(_BOUNDS, dense_units=(0, 32, 64)))
"""70 trials of 49 configurations."""

SMALL = replace(LARGE, max_epochs=6)
"""10 trials of 8 configurations."""

OBJECTIVES = {DENOISER: ("val_loss", "min"), DETECTOR: ("val_window_pr_auc", "max")}

Configuration = dict[str, Any]
Score = Callable[[Configuration, int], float]
"""Validation score of a configuration after so many epochs."""


def draw(task: str, bounds: HyperparameterRanges, rng: np.random.Generator) -> Configuration:
    """A configuration as Keras Tuner would draw it."""

    def choose(values: tuple[Any, ...]) -> Any:
        return values[int(rng.integers(len(values)))]

    layers = choose(bounds.layers)
    drawn = {"layers": layers} | {f"units_{number}": choose(bounds.units) for number in range(1, layers + 1)}
    drawn |= {name: choose(getattr(bounds, name)) for name in ("dropout", "frame", "direction")}
    drawn["learning_rate"] = float(np.exp(rng.uniform(*np.log(bounds.learning_rate))))
    last = "residual" if task == DENOISER else "dense_units"
    return drawn | {last: choose(getattr(bounds, last))}


def weights(configuration: Configuration) -> int:
    """About as many as such a network has."""
    units = [configuration[f"units_{number}"] for number in range(1, configuration["layers"] + 1)]
    inputs = [configuration["frame"], *units]
    total = sum(4 * unit * (unit + before + 1) for unit, before in zip(units, inputs, strict=False))
    return int(total * (2 if configuration["direction"] == "both" else 1))


def made_up_search(task: str, preset: Preset, score: Score, seed: int = 0) -> SearchResult:
    """A whole Hyperband search whose scores are a function of configuration and epochs."""
    rng = np.random.default_rng(seed)
    sign = 1 if OBJECTIVES[task][1] == "min" else -1
    trials: list[Trial] = []
    above: list[Trial] = []
    drawn, clock = 0, 0.0
    for rung in schedule_of(preset):
        here = []
        for seat in range(rung.trials):
            if rung.rung == 0:
                number, configuration = f"{drawn:03d}", draw(task, getattr(preset, task), rng)
                drawn += 1
            else:
                number, configuration = above[seat].plan.id[:3], above[seat].plan.hyperparameters
            parent = above[seat].plan.id if rung.rung else None
            place = (rung.iteration, rung.bracket, rung.rung, rung.initial_epoch, rung.epochs)
            plan = TrainingSpec(f"{number}-r{rung.rung}", parent, *place, configuration)
            clock += 20.0 * (rung.epochs - rung.initial_epoch)
            here.append(finish(task, plan, score, clock))
        trials += here
        above = sorted(here, key=lambda trial: sign * (trial.outcome.score or 0))
    return SearchResult(Path("made-up"), {"warm start": ""}, OBJECTIVES[task], tuple(trials), True, "", clock + 5)


def finish(task: str, plan: TrainingSpec, score: Score, ended: float) -> Trial:
    """A completed trial."""
    objective, direction = OBJECTIVES[task]
    epochs = range(plan.initial_epoch + 1, plan.epochs + 1)
    history = [{"epoch": epoch, objective: score(plan.hyperparameters, epoch)} for epoch in epochs]
    best = (min if direction == "min" else max)(history, key=lambda row: row[objective])
    outcome = TrainingResult(
        COMPLETED,
        best[objective],
        int(best["epoch"]),
        history,
        seconds=20.0 * len(history),
        parameters=weights(plan.hyperparameters),
    )
    return Trial(plan, outcome, ended)


def by_units(configuration: Configuration, epochs: int) -> float:
    """The units of the first layer decide all."""
    return 0.01 / float(configuration["units_1"]) * (1 + 0.01 / epochs)


def realistic(configuration: Configuration, epochs: int) -> float:
    """A mean squared error that falls with the epochs, the faster the better the learning rate; with some noise."""
    off = abs(math.log10(configuration["learning_rate"] / 4e-3))
    floor = 8e-4 * (64 / configuration["units_1"]) ** 0.3 * (1 + configuration["dropout"])
    floor *= 0.8 if configuration["direction"] == "both" else 1.0
    noise = math.sin(1e5 * configuration["learning_rate"] + epochs)
    return float(floor * (1 + (3 + 6 * off) * epochs**-0.7) * (1 + 0.04 * noise))


def realistic_area(configuration: Configuration, epochs: int) -> float:
    """An area under a curve, likewise."""
    return 1 - min(0.9, 12 * realistic(configuration, epochs))


REALISTIC: dict[str, Score] = {DENOISER: realistic, DETECTOR: realistic_area}


@pytest.fixture
def unweighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the importances, which take seconds, where a test is not about them."""
    monkeypatch.setattr("ecg_study.tuning.analysis.importances", lambda *_: ([], None))


@pytest.fixture(scope="module")
def decided() -> SearchSummary:
    """70 trials of which the units of the first layer decide all."""
    return summarise_search(DENOISER, made_up_search(DENOISER, LARGE, by_units), LARGE)


@pytest.fixture(scope="module", params=[DENOISER, DETECTOR])
def whole(request: pytest.FixtureRequest) -> SearchSummary:
    """70 trials of each task, with latencies of all."""
    search = made_up_search(request.param, LARGE, REALISTIC[request.param])
    times = {trial.plan.id: 0.1 + (trial.outcome.parameters or 0) / 1e5 for trial in search.trials}
    return summarise_search(request.param, search, LARGE, times)


def test_what_decides_all_comes_first_and_the_rest_cannot_be_told(decided: SearchSummary) -> None:
    first, *others = decided.importances
    assert (first.hyperparameter, first.r2_drop.low > 0.5) == ("units_1", True)
    assert decided.explained is not None and decided.explained > 0.8
    by_name = {item.hyperparameter: item for item in others}
    assert set(by_name) == {*"layers units_2 units_3 dropout frame direction learning_rate residual".split(), EPOCHS}
    for name in ("dropout", "frame", "direction", "residual"):
        assert by_name[name].r2_drop.low <= 0 <= by_name[name].r2_drop.high
        assert by_name[name].r2_drop.value < 0.05


def test_a_second_decisive_hyperparameter_is_found_in_both_directions() -> None:
    def area(configuration: Configuration, epochs: int) -> float:
        return 1 - by_units(configuration, epochs) * (1 if configuration["direction"] == "both" else 4)

    summary = summarise_search(DETECTOR, made_up_search(DETECTOR, LARGE, area), LARGE)
    assert {item.hyperparameter for item in summary.importances[:2]} == {"units_1", "direction"}
    assert all(item.r2_drop.low > 0 for item in summary.importances[:2])
    assert all(item.r2_drop.low <= item.r2_drop.value <= item.r2_drop.high for item in summary.importances)


def test_scores_by_lot_are_explained_by_nothing() -> None:
    search = made_up_search(DENOISER, SMALL, realistic)
    rng = np.random.default_rng(5)
    first = [_other(search.trials[0], number, rng) for number in range(40)]
    # The next rung of each scores the same: who has seen the one could tell the other.
    second = [replace(trial, plan=replace(trial.plan, id=f"{trial.plan.id[:3]}-r1", rung=1)) for trial in first]
    many = replace(search, trials=(*first, *second))
    summary = summarise_search(DENOISER, many, LARGE)
    assert summary.explained is not None and summary.explained < 0.2
    assert not any(item.r2_drop.low > 0 for item in summary.importances)
    assert EPOCHS not in {item.hyperparameter for item in summary.importances}, "all trained one epoch"


def test_the_same_seed_gives_the_same_figures_and_another_gives_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.tuning.analysis._DRAWS", 6)
    search = made_up_search(DENOISER, SMALL, realistic)
    search = replace(search, trials=search.trials + made_up_search(DENOISER, SMALL, realistic, seed=1).trials)
    once, again, other = (summarise_search(DENOISER, search, SMALL, seed=seed) for seed in (3, 3, 4))
    assert once.importances and once == again
    assert once.importances != other.importances
    assert replace(once, importances=[], explained=None) == replace(other, importances=[], explained=None)


def test_fewer_than_twelve_configurations_weigh_nothing() -> None:
    search = made_up_search(DENOISER, SMALL, realistic)
    assert len(search.trials) == 10
    summary = summarise_search(DENOISER, search, SMALL)
    assert (summary.importances, summary.explained) == ([], None)
    said = findings(summary)
    assert "Which choices matter cannot be told: only 8 configurations completed, and 12 are needed." in said


def test_equal_scores_weigh_nothing() -> None:
    summary = summarise_search(DENOISER, made_up_search(DENOISER, LARGE, lambda *_: 0.01), LARGE)
    assert (summary.importances, summary.explained) == ([], None)
    assert "Which choices matter cannot be told: scores or choices do not vary." in findings(summary)


def test_trials_stand_best_first_with_their_curves(whole: SearchSummary) -> None:
    left = [shortfall(trial.score, whole.direction) for trial in whole.trials]
    assert len(left) == 70 and left == sorted(left)
    assert sum(rung.planned for rung in whole.rungs) == sum(rung.completed for rung in whole.rungs) == 70
    for trial in whole.trials:
        assert trial.curve[-1][0] == trial.epochs
        scores = [score for _, score in trial.curve if score is not None]
        assert trial.score == (min(scores) if whole.direction == "min" else max(scores))


def test_an_epoch_that_was_not_finite_leaves_a_gap() -> None:
    search = made_up_search(DENOISER, SMALL, realistic)
    first = search.trials[0]
    holed = replace(first, outcome=replace(first.outcome, history=[{"epoch": 1}, *first.outcome.history[1:]]))
    summary = summarise_search(DENOISER, replace(search, trials=(holed, *search.trials[1:])), SMALL)
    curve = next(trial.curve for trial in summary.trials if trial.id == first.plan.id)
    assert curve[0] == (1, None) and curve[1][1] is not None
    _save(summary)


@pytest.mark.parametrize("value", [0.0, 1.0, 1.0 - 1e-12])
def test_a_perfect_score_has_a_logarithm(value: float) -> None:
    assert shortfall(value, "min") > 0
    assert shortfall(value, "max") > 0


def test_a_front_worked_by_hand() -> None:
    points = [(1.0, 9.0), (2.0, 5.0), (2.0, 6.0), (3.0, 5.0), (4.0, 1.0), (4.0, 1.0), (9.0, 2.0)]
    assert pareto_front(points) == [0, 1, 4, 5]
    assert pareto_front([]) == []


_coordinate = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(_coordinate, _coordinate), max_size=25))
def test_nothing_on_a_front_is_dominated_and_all_else_is_by_the_front(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)

    def beaten(point: tuple[float, float]) -> bool:
        return any(points[i] != point and points[i][0] <= point[0] and points[i][1] <= point[1] for i in front)

    for index, point in enumerate(points):
        assert beaten(point) == (index not in front)


def test_fronts_of_a_search_take_the_best_trial_of_each_configuration(whole: SearchSummary) -> None:
    best = {trial.id: trial for trial in best_of_each(whole.trials)}
    assert whole.pareto_parameters == whole.pareto_latency, "here, time follows the number of weights"
    front = [best[name] for name in whole.pareto_parameters]
    assert front[-1] == whole.trials[0]
    for smaller, larger in pairwise(front):
        assert smaller.parameters < larger.parameters
        assert shortfall(smaller.score, whole.direction) > shortfall(larger.score, whole.direction)


def test_only_what_was_timed_is_on_the_front_of_latency() -> None:
    search = made_up_search(DENOISER, SMALL, realistic)
    one = search.ranked()[-1].plan.id
    summary = summarise_search(DENOISER, search, SMALL, {one: 0.5})
    assert summary.pareto_latency == ([one] if one in {t.id for t in best_of_each(summary.trials)} else [])
    assert [trial.milliseconds for trial in summary.trials if trial.id == one] == [0.5]
    assert summarise_search(DENOISER, search, SMALL).pareto_latency == []


def test_a_bound_is_hit_where_the_best_lie_at_it(decided: SearchSummary) -> None:
    hit = next(hit for hit in decided.bounds if hit.hyperparameter == "units_1")
    assert (hit.value, hit.end) == (96, "highest")
    leaders = best_quarter(decided.trials)
    assert len(leaders) == 13
    assert hit.share == pytest.approx(np.mean([t.hyperparameters["units_1"] == 96 for t in leaders]))


@pytest.mark.usefixtures("unweighed")
def test_no_bound_is_hit_where_the_best_lie_within() -> None:
    def within(configuration: Configuration, _: int) -> float:
        units = float(configuration["units_1"])
        return abs(math.log(configuration["learning_rate"] / 2e-3)) + abs(units - 48) / 10 + 0.01

    summary = summarise_search(DENOISER, made_up_search(DENOISER, LARGE, within), LARGE)
    assert not {"units_1", "learning_rate"} & {hit.hyperparameter for hit in summary.bounds}


@pytest.mark.usefixtures("unweighed")
def test_a_learning_rate_is_at_its_end_within_a_tenth_of_the_logarithmic_range() -> None:
    bounds = replace(LARGE.denoiser, learning_rate=(1e-4, 1e-2))
    base = summarise_search(DENOISER, made_up_search(DENOISER, LARGE, by_units), LARGE).trials[0]

    def hits(leader: float) -> list[tuple[float, str, float]]:
        rates = [*np.geomspace(leader, leader * 1.001, 4), *np.geomspace(5e-4, 2e-3, 8)]
        trials = [replace(base, hyperparameters=base.hyperparameters | {"learning_rate": rate}) for rate in rates]
        found = bound_hits(trials, bounds)
        return [(hit.value, hit.end, hit.share) for hit in found if hit.hyperparameter == "learning_rate"]

    assert hits(7e-3) == [(1e-2, "highest", 1.0)]  # 10⁻² less a tenth of two decades is 6.3 · 10⁻³
    assert hits(1.5e-4) == [(1e-4, "lowest", 1.0)]
    assert hits(6e-3) == hits(1.7e-4) == []


@pytest.mark.usefixtures("unweighed")
def test_a_choice_of_two_has_no_ends() -> None:
    two = replace(LARGE.denoiser, layers=(1, 2), frame=(8, 16))
    for name in ("layers", "frame"):
        search = made_up_search(DENOISER, LARGE, lambda configuration, _, name=name: 0.1 / configuration[name])  # type: ignore[misc]
        trials = summarise_search(DENOISER, search, LARGE).trials
        assert name in {hit.hyperparameter for hit in bound_hits(trials, LARGE.denoiser)}
        assert name not in {hit.hyperparameter for hit in bound_hits(trials, two)}


def test_a_conditional_hyperparameter_counts_where_it_exists() -> None:
    def second(configuration: Configuration, _: int) -> float:
        return 1 / float(configuration.get("units_2", 64))  # one-layer networks are as good as the second best

    summary = summarise_search(DENOISER, made_up_search(DENOISER, LARGE, second), LARGE)
    leaders = best_quarter(summary.trials)
    assert any("units_2" not in trial.hyperparameters for trial in leaders)
    hit = next(hit for hit in summary.bounds if hit.hyperparameter == "units_2")
    having = [t.hyperparameters["units_2"] for t in leaders if "units_2" in t.hyperparameters]
    assert hit.share == pytest.approx(having.count(96) / len(having)) and hit.value == 96
    assert summary.importances[0].hyperparameter == "units_2"
    (said,) = [sentence for sentence in findings(summary) if "`units_2` at" in sentence or "`units_2`, " in sentence]
    assert said.startswith(
        f"Of the 13 best configurations, {len(having)} have `units_2`, {having.count(96)} of them at"
    )
    _save(summary)


def test_all_failed_but_one() -> None:
    search = made_up_search(DENOISER, SMALL, realistic)
    lost = TrainingResult(FAILED, None, None, seconds=1.0, reason="ValueError: no", attempts=2)
    trials = (*(replace(trial, outcome=lost) for trial in search.trials[:-1]), search.trials[-1])
    summary = summarise_search(DENOISER, replace(search, trials=trials), SMALL)
    assert len(summary.trials) == 1 and len(summary.failures) == 9
    assert set(summary.failures.values()) == {"ValueError: no (2 attempts)"}
    assert sum(rung.failed for rung in summary.rungs) == 9
    assert summary.pareto_parameters == [search.trials[-1].plan.id]
    said = findings(summary)
    assert said[0] == "9 of 10 trials failed; what follows is learned from the others alone."
    assert said[-1] == "With one configuration completed there is nothing to compare it with."
    assert set(_save(summary)) == {"search_denoiser_curves", "search_denoiser_progress"}


def test_all_failed() -> None:
    search = made_up_search(DENOISER, SMALL, realistic)
    lost = TrainingResult(FAILED, None, None, reason="ValueError: no")
    summary = summarise_search(
        DENOISER, replace(search, trials=tuple(replace(trial, outcome=lost) for trial in search.trials)), SMALL
    )
    assert findings(summary) == ["No trial was completed: the search taught nothing about the choices."]
    assert search_figures(summary) == {}


def test_a_search_that_was_stopped_or_is_not_finished_says_so() -> None:
    search = made_up_search(DENOISER, LARGE, realistic)
    cut = replace(search, trials=search.trials[:8], done=False, stopped="its budget of 2 h 0 min is spent")
    summary = summarise_search(DENOISER, cut, LARGE)
    assert findings(summary)[0] == (
        "The search ended early: its budget of 2 h 0 min is spent. 8 of 70 planned trials were completed; what "
        "follows is learned from these alone."
    )
    running = summarise_search(DENOISER, replace(cut, stopped=""), LARGE)
    assert findings(running)[0].startswith("The search is not finished: 8 of 70 planned trials were completed")
    _save(summary)


def test_lessons_of_what_decides_all(decided: SearchSummary) -> None:
    said = " ".join(findings(decided))
    assert "What matters, by R² lost when its values are shuffled: `units_1` (" in said
    (about,) = [sentence for sentence in findings(decided) if "`units_1` at its highest value" in sentence]
    assert about.startswith("Of the 13 best configurations, ")
    assert about.endswith("96, as have 13 of all 49; a wider range might do better, none was tried.")
    nothing = said.split("nothing can be told: ")[1]
    assert "`frame`" in nothing and "`residual`" in nothing and "`units_1`" not in nothing.split(".")[0]


@pytest.mark.usefixtures("unweighed")
def test_a_range_that_cannot_be_wider_is_not_called_too_narrow() -> None:
    def no_dropout(configuration: Configuration, _: int) -> float:
        return 0.01 + float(configuration["dropout"])

    said = findings(summarise_search(DENOISER, made_up_search(DENOISER, LARGE, no_dropout), LARGE))
    (about,) = [sentence for sentence in said if "at its lowest value, 0" in sentence and "`dropout`" in sentence]
    assert about.endswith("the range cannot be made wider there.")


@pytest.mark.usefixtures("unweighed")
def test_an_end_as_frequent_as_it_was_drawn_says_nothing_of_the_range() -> None:
    search = made_up_search(DENOISER, LARGE, realistic)
    same = tuple(
        replace(trial, plan=replace(trial.plan, hyperparameters=trial.plan.hyperparameters | {"frame": 16}))
        for trial in search.trials
    )
    said = findings(summarise_search(DENOISER, replace(search, trials=same), LARGE))
    assert (
        "Of the 13 best configurations, 13 have `frame` at its highest value, 16, as have 49 of all 49; so many may "
        "lie there by chance." in said
    )


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        (
            (10, 90),
            "The second half of the 1 min 40 s lowered the best mean squared error from 0.02 to 0.01, 50% lower.",
        ),
        (
            (10, 40),
            "The best trial, 000-r1, had ended after 40 s: the second half of the 1 min 40 s brought no better.",
        ),
        ((60, 90), "In the first half of the 1 min 40 s no trial was completed."),
    ],
)
def test_what_the_second_half_of_the_time_brought(ended: tuple[float, float], says: str) -> None:
    assert says in findings(_two(DENOISER, (0.02, 0.01), ended))


def test_a_maximised_score_rises_towards_one() -> None:
    said = findings(_two(DETECTOR, (0.98, 0.99), (10, 90)))
    assert (
        "The second half of the 1 min 40 s raised the best area under the precision–recall curve from 0.98000 to "
        "0.99000, 50% nearer to 1." in said
    )


def test_longer_training_that_keeps_the_order_changes_no_places(decided: SearchSummary) -> None:
    assert any("0 (0%) changed places with longer training" in sentence for sentence in findings(decided))


@pytest.mark.usefixtures("unweighed")
def test_longer_training_that_turns_the_order_changes_places() -> None:
    def turning(configuration: Configuration, epochs: int) -> float:
        rate = float(configuration["learning_rate"])
        return (rate if epochs <= 3 else 0.02 - rate) / epochs**4

    (said,) = [
        sentence
        for sentence in findings(summarise_search(DENOISER, made_up_search(DENOISER, LARGE, turning), LARGE))
        if "changed places" in sentence
    ]
    # Of 27 trials of one epoch, 9 go on to 3 epochs in the same order: 36 pairs. 3 of them go on to 9 epochs, in the
    # other order, as do 4 of the 12 that begin with 3 epochs: 3 + 6 pairs. Two of the 4 go on to 27, and two of the
    # 6 that begin with 9: 1 + 1 pairs, in the same order.
    assert said.startswith("Of 47 pairs of configurations promoted from the same rung, 9 (19%) changed places")


def test_the_smallest_network_that_does_nearly_as_well() -> None:
    summary = _two(DENOISER, (0.0104, 0.01), (10, 90))
    small, large = replace(summary.trials[1], parameters=1000), replace(summary.trials[0], parameters=50_000)
    small = replace(small, hyperparameters=small.hyperparameters | {"units_1": 16}, milliseconds=0.25)
    said = findings(replace(summary, trials=[large, small]))
    assert (
        "The smallest network within 5 % of the best by mean squared error is 000-r0: 0.0104 with 1,000 weights and "
        "0.25 ms a segment; the best, 000-r1, has 0.01 with 50,000." in said
    )
    said = findings(replace(summary, trials=[large, replace(small, score=0.0106)]))
    assert (
        "The best network, 000-r1, has 50,000 weights; no smaller one is within 5 % of the best by mean squared "
        "error." in said
    )


def test_lessons_are_whole_sentences(whole: SearchSummary) -> None:
    for sentence in findings(whole):
        assert sentence[0].isupper() and sentence.endswith("."), sentence
        assert "nan" not in sentence and "  " not in sentence


def test_every_figure_of_a_whole_search(whole: SearchSummary) -> None:
    kinds = {"curves", "progress", "importances", "parallel", "pareto"}
    assert set(_save(whole)) == {f"search_{whole.task}_{kind}" for kind in kinds}


@pytest.mark.parametrize("task", [DENOISER, DETECTOR])
def test_figures_of_few_trials_leave_out_what_they_cannot_show(task: str) -> None:
    search = made_up_search(task, SMALL, REALISTIC[task])
    ten = _save(summarise_search(task, search, SMALL))
    assert set(ten) == {f"search_{task}_{kind}" for kind in ("curves", "progress", "parallel", "pareto")}
    one = _save(summarise_search(task, replace(search, trials=search.trials[:1], seconds=0.0), SMALL))
    assert set(one) == {f"search_{task}_curves", f"search_{task}_progress"}


def _two(task: str, scores: tuple[float, float], ended: tuple[float, float]) -> SearchSummary:
    """A configuration and the trial that goes on from it, in a search of 100 s."""
    first = made_up_search(task, SMALL, lambda *_: scores[0]).trials[0]
    second = replace(
        first,
        plan=replace(first.plan, id="000-r1", parent="000-r0", rung=1),
        outcome=replace(first.outcome, score=scores[1]),
    )
    trials = tuple(replace(trial, ended=time) for trial, time in zip((first, second), ended, strict=True))
    found = SearchResult(Path("made-up"), {"warm start": ""}, OBJECTIVES[task], trials, True, "", 100.0)
    return summarise_search(task, found, SMALL)


def _other(trial: Trial, number: int, rng: np.random.Generator) -> Trial:
    """A trial like this with a configuration and a score drawn by lot."""
    plan = replace(trial.plan, id=f"{number:03d}-r0", hyperparameters=draw(DENOISER, LARGE.denoiser, rng))
    return Trial(plan, replace(trial.outcome, score=float(rng.uniform(1e-4, 1e-2))), float(number))


def _save(summary: SearchSummary) -> dict[str, bytes]:
    """Every figure as PNG; a warning is an error here."""
    pictures = {}
    for name, figure in search_figures(summary).items():
        file = io.BytesIO()
        figure.savefig(file, dpi=110)
        pictures[name] = file.getvalue()
        assert len(pictures[name]) > 5000
    return pictures
