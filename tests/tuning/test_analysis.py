"""Summaries of searches: trials, Pareto fronts, ends of ranges and findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.evaluation.results.search import (
    Importance,
    Preference,
    RangeEnd,
    RangeEndTest,
    RankChanges,
    SearchSummary,
    SecondHalf,
    TrialSummary,
    as_loss,
    best_per_configuration,
)
from ecg_study.evaluation.results.values import Estimate
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.reports.sentences import findings
from ecg_study.training.specs import FAILED, TrainingResult
from ecg_study.tuning.findings.analysis import (
    best_quarter,
    find_range_ends,
    pareto_front,
    summarize_search,
    with_findings,
)
from tests.tuning.made_up_searches import (
    LARGE,
    SMALL,
    Configuration,
    by_units,
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


def test_trials_are_ordered_best_first_with_their_curves(whole: SearchSummary) -> None:
    losses = [as_loss(trial.score, whole.direction) for trial in whole.trials]
    assert len(losses) == 70 and losses == sorted(losses)
    assert sum(rung.planned for rung in whole.rungs) == sum(rung.completed for rung in whole.rungs) == 70
    for trial in whole.trials:
        assert trial.curve[-1][0] == trial.epochs
        scores = [score for _, score in trial.curve if score is not None]
        assert trial.score == (min(scores) if whole.direction == "min" else max(scores))


def test_an_epoch_without_a_finite_objective_is_a_gap_in_the_curve() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    first = search.trials[0]
    holed = replace(first, result=replace(first.result, history=[{"epoch": 1}, *first.result.history[1:]]))
    summary = summarize_search(DENOISER, replace(search, trials=(holed, *search.trials[1:])), preset=SMALL)
    curve = next(trial.curve for trial in summary.trials if trial.id == first.spec.id)
    assert curve[0] == (1, None) and curve[1][1] is not None


def test_failed_trials_are_listed_with_reason_and_attempts() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    lost = TrainingResult(FAILED, None, None, seconds=1.0, reason="ValueError: no", attempts=2)
    trials = (*(replace(trial, result=lost) for trial in search.trials[:-1]), search.trials[-1])
    summary = summarize_search(DENOISER, replace(search, trials=trials), preset=SMALL)
    assert len(summary.trials) == 1 and len(summary.failures) == 9
    assert set(summary.failures.values()) == {"ValueError: no (2 attempts)"}
    assert sum(rung.failed for rung in summary.rungs) == 9
    assert summary.pareto_parameters == [search.trials[-1].spec.id]


@pytest.mark.parametrize("value", [0.0, 1.0, 1.0 - 1e-12])
def test_the_loss_of_a_perfect_score_has_a_logarithm(value: float) -> None:
    assert as_loss(value, "min") > 0
    assert as_loss(value, "max") > 0


def test_a_pareto_front_worked_by_hand() -> None:
    points = [(1.0, 9.0), (2.0, 5.0), (2.0, 6.0), (3.0, 5.0), (4.0, 1.0), (4.0, 1.0), (9.0, 2.0)]
    assert pareto_front(points) == [0, 1, 4, 5]
    assert pareto_front([]) == []


_coordinate = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(_coordinate, _coordinate), max_size=25))
def test_the_front_dominates_all_other_points_and_none_of_its_own(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)

    def dominated(point: tuple[float, float]) -> bool:
        return any(points[i] != point and points[i][0] <= point[0] and points[i][1] <= point[1] for i in front)

    for index, point in enumerate(points):
        assert dominated(point) == (index not in front)


def test_pareto_fronts_hold_the_best_trial_of_each_configuration(whole: SearchSummary) -> None:
    best = {trial.id: trial for trial in best_per_configuration(whole.trials)}
    assert whole.pareto_parameters == whole.pareto_latency, "here, time follows the number of weights"
    front = [best[name] for name in whole.pareto_parameters]
    assert front[-1] == whole.trials[0]
    for smaller, larger in pairwise(front):
        assert smaller.parameters < larger.parameters
        assert as_loss(smaller.score, whole.direction) > as_loss(larger.score, whole.direction)


def test_only_measured_trials_are_on_the_latency_front() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    one = search.ranked()[-1].spec.id
    summary = summarize_search(DENOISER, search, preset=SMALL, milliseconds={one: 0.5})
    assert summary.pareto_latency == ([one] if one in {t.id for t in best_per_configuration(summary.trials)} else [])
    assert [trial.milliseconds for trial in summary.trials if trial.id == one] == [0.5]
    assert summarize_search(DENOISER, search, preset=SMALL).pareto_latency == []


def test_a_range_end_is_reported_if_the_best_configurations_lie_there() -> None:
    summary = summary_by_units()
    end = next(end for end in summary.bounds if end.hyperparameter == "units_1")
    assert (end.value, end.end) == (96, "highest")
    best = best_quarter(summary.trials)
    assert len(best) == 13
    assert end.share == pytest.approx(np.mean([t.hyperparameters["units_1"] == 96 for t in best]))


@pytest.mark.usefixtures("without_importances")
def test_no_range_end_is_reported_if_the_best_lie_inside() -> None:
    def within(configuration: Configuration, _: int) -> float:
        units = float(configuration["units_1"])
        return abs(math.log(configuration["learning_rate"] / 2e-3)) + abs(units - 48) / 10 + 0.01

    summary = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=within), preset=LARGE)
    assert not {"units_1", "learning_rate"} & {end.hyperparameter for end in summary.bounds}


@pytest.mark.usefixtures("without_importances")
def test_a_learning_rate_is_at_its_end_within_a_tenth_of_the_logarithmic_range() -> None:
    ranges = replace(LARGE.denoiser, learning_rate=(1e-4, 1e-2))
    base = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=by_units), preset=LARGE).trials[0]

    def ends(best: float) -> list[tuple[float, str, float]]:
        rates = [*np.geomspace(best, best * 1.001, 4), *np.geomspace(5e-4, 2e-3, 8)]
        trials = [replace(base, hyperparameters=base.hyperparameters | {"learning_rate": rate}) for rate in rates]
        found = find_range_ends(trials, ranges)
        return [(end.value, end.end, end.share) for end in found if end.hyperparameter == "learning_rate"]

    assert ends(7e-3) == [(1e-2, "highest", 1.0)]  # 10⁻² less a tenth of two decades is 6.3 · 10⁻³
    assert ends(1.5e-4) == [(1e-4, "lowest", 1.0)]
    assert ends(6e-3) == ends(1.7e-4) == []


@pytest.mark.usefixtures("without_importances")
def test_a_choice_of_two_has_no_range_ends() -> None:
    two = replace(LARGE.denoiser, layers=(1, 2), frame=(8, 16))
    for name in ("layers", "frame"):
        search = made_up_search(DENOISER, LARGE, score=lambda configuration, _, name=name: 0.1 / configuration[name])  # type: ignore[misc]
        trials = summarize_search(DENOISER, search, preset=LARGE).trials
        assert name in {end.hyperparameter for end in find_range_ends(trials, LARGE.denoiser)}
        assert name not in {end.hyperparameter for end in find_range_ends(trials, two)}


def test_a_conditional_hyperparameter_is_judged_by_the_configurations_that_have_it() -> None:
    def second(configuration: Configuration, _: int) -> float:
        return 1 / float(configuration.get("units_2", 64))  # one-layer networks are as good as the second best

    summary = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=second), preset=LARGE)
    best = best_quarter(summary.trials)
    assert any("units_2" not in trial.hyperparameters for trial in best)
    end = next(end for end in summary.bounds if end.hyperparameter == "units_2")
    having = [t.hyperparameters["units_2"] for t in best if "units_2" in t.hyperparameters]
    assert end.share == pytest.approx(having.count(96) / len(having)) and end.value == 96
    assert summary.importances[0].hyperparameter == "units_2"
    test = _test_of(summary, "units_2")
    assert (test.best, test.best_at_end) == (len(having), having.count(96))
    assert summary.findings is not None
    assert test.all < summary.findings.configurations == 49


def test_the_p_value_of_a_choice_is_fishers_exact_test() -> None:
    summary = summary_by_units()
    test = _test_of(summary, "units_1")
    at_end, best, all_at_end, total = test.best_at_end, test.best, test.all_at_end, test.all
    assert all_at_end is not None and (best, total) == (13, 49)
    ways = sum(comb(all_at_end, k) * comb(total - all_at_end, best - k) for k in range(at_end, best + 1))
    assert test.p_value == pytest.approx(ways / comb(total, best), rel=1e-9)
    assert test.significant and test.can_be_wider


@pytest.mark.usefixtures("without_importances")
def test_the_p_value_of_a_learning_rate_is_binomial() -> None:
    summary = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=by_units), preset=LARGE)
    ends = [RangeEnd("learning_rate", 1e-2, "highest", at_end / 13) for at_end in (3, 4)]
    found = with_findings(replace(summary, bounds=ends)).findings
    assert found is not None
    chances = [sum(comb(13, k) * 0.1**k * 0.9 ** (13 - k) for k in range(at_end, 14)) for at_end in (3, 4)]
    assert [test.p_value for test in found.range_ends] == pytest.approx(chances)
    assert [test.significant for test in found.range_ends] == [False, True]
    assert [test.all_at_end for test in found.range_ends] == [None, None]


@pytest.mark.usefixtures("without_importances")
def test_no_dropout_is_an_end_that_cannot_be_wider() -> None:
    def no_dropout(configuration: Configuration, _: int) -> float:
        return 0.01 + float(configuration["dropout"])

    summary = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=no_dropout), preset=LARGE)
    assert not _test_of(summary, "dropout").can_be_wider


@pytest.mark.parametrize(
    ("ended", "found"),
    [
        ((10, 90), SecondHalf(100.0, 0.02, 0.5)),
        ((10, 40), SecondHalf(100.0, 0.01, None)),
        ((60, 90), SecondHalf(100.0, None, None)),
    ],
)
def test_improvement_in_the_second_half_of_the_time(ended: tuple[float, float], found: SecondHalf) -> None:
    summary = summary_of_two(DENOISER, scores=(0.02, 0.01), ended=ended)
    assert summary.findings is not None
    assert summary.findings.second_half == found


@pytest.mark.usefixtures("without_importances")
def test_longer_training_that_reverses_the_order_swaps_pairs() -> None:
    def turning(configuration: Configuration, epochs: int) -> float:
        rate = float(configuration["learning_rate"])
        return (rate if epochs <= 3 else 0.02 - rate) / epochs**4

    summary = summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=turning), preset=LARGE)
    # Of 27 trials of one epoch, 9 continue to 3 epochs in the same order: 36 pairs. 3 of them continue to 9 epochs, in
    # the other order, as do 4 of the 12 that start with 3 epochs: 3 + 6 pairs. Two of the 4 continue to 27, and two of
    # the 6 that start with 9: 1 + 1 pairs, in the same order.
    assert summary.findings is not None
    assert summary.findings.rank_changes == RankChanges(47, 9)
    few = summarize_search(DENOISER, made_up_search(DENOISER, SMALL, score=turning), preset=SMALL)
    assert few.findings is not None and few.findings.rank_changes is None


def test_the_smallest_network_near_the_best() -> None:
    summary = summary_of_two(DENOISER, scores=(0.0104, 0.01), ended=(10, 90))
    small, large = replace(summary.trials[1], parameters=1000), replace(summary.trials[0], parameters=50_000)
    small = replace(small, hyperparameters=small.hyperparameters | {"units_1": 16})
    assert _smallest(summary, [large, small]) == "000-r0"
    assert _smallest(summary, [large, replace(small, score=0.0106)]) == "000-r1"
    assert _smallest(summary, [large, replace(small, parameters=50_000)]) == "000-r1"
    assert _smallest(summary, [large]) is None


def test_preferences_compare_the_best_quarter_with_all_configurations() -> None:
    summary = summary_by_units()
    important = [Importance(name, Estimate(0.2, 0.1, 0.3)) for name in ("learning_rate", "direction", "units_3")]
    other = Importance("frame", Estimate(0.2, -0.1, 0.3))
    found = with_findings(replace(summary, importances=[*important, other])).findings
    assert found is not None
    rate, direction, units = found.preferences
    best, distinct = best_quarter(summary.trials), best_per_configuration(summary.trials)
    rates = [[trial.hyperparameters["learning_rate"] for trial in trials] for trials in (best, distinct)]
    assert rate.best_quartiles == pytest.approx(np.percentile(rates[0], (25, 75)))
    assert rate.all_quartiles == pytest.approx(np.percentile(rates[1], (25, 75)))
    # The score does not depend on the direction.
    assert direction == Preference("direction", best=13, all=49)
    assert units.best == sum(trial.hyperparameters["layers"] == 3 for trial in best) < 13


def _of_units(units: Sequence[int]) -> SearchSummary:
    """Summarize a search whose trials had these units, the best trial first."""
    base = summary_of_two(DENOISER, scores=(0.02, 0.01), ended=(10, 90))
    trials = [
        replace(
            base.trials[0], id=f"{number:03d}-r0", hyperparameters={"units_1": value, "number": number}, score=number
        )
        for number, value in enumerate(units, start=1)
    ]
    important = [Importance("units_1", Estimate(0.2, 0.1, 0.3))]
    return with_findings(replace(base, trials=trials, importances=important, explained=0.6, bounds=[]))


@pytest.mark.parametrize(
    ("units", "value", "counts"),
    [
        # Most frequent among the best, but rarer there than among all: 2 of 5 and 14 of 17.
        ([32, 48, 32, 48, 56] + [32] * 12, None, (0, 0)),
        # 2 of 5, and 2 of 17: 1 in 14.
        ([32, 48, 32, 48, 32] + [32] * 12, None, (0, 0)),
        # 4 of 5, and 4 of 17: 1 in 476, for two values 2 in 476.
        ([48, 32, 48, 48, 48] + [32] * 12, 48, (4, 4)),
        # For five values, 5 in 476. 3 of 5, and 6 of 17, is more likely than 1 in 5 for one value.
        ([48, 32, 48, 48, 48] + [16, 64, 96] * 4, 48, (4, 4)),
        ([48, 48, 48, 32, 16] + [16, 32, 48, 64] * 3, None, (0, 0)),
    ],
)
def test_a_preferred_value_is_more_frequent_among_the_best_than_chance_explains(
    units: list[int], value: int | None, counts: tuple[int, int]
) -> None:
    found = _of_units(units)
    assert found.findings is not None
    (preference,) = found.findings.preferences
    assert (preference.value, preference.best_with_value, preference.all_with_value) == (value, *counts)
    (said,) = [sentence for sentence in findings(found) if "`units_1`" in sentence]
    assert ("preferred is" in said) == (value is not None)
    assert said.startswith("Important: `units_1`, 0.20 [0.10, 0.30]") and said.endswith(".")


@pytest.mark.parametrize(
    ("name", "value", "end", "wider"),
    [
        ("database_balance", 1.0, "highest", False),
        ("database_balance", 0.0, "lowest", False),
        ("loss_power", 0.5, "highest", True),
        ("loss_power", 0.1, "lowest", True),
        ("layers", 1, "lowest", False),
        ("layers", 3, "highest", True),
        ("snr_shift_db", -4.0, "lowest", True),
    ],
)
def test_a_range_cannot_be_wider_than_the_hyperparameter(name: str, value: float, end: str, wider: bool) -> None:
    summary = _of_units([32] * 20)
    trials = [replace(trial, hyperparameters={name: value, "number": trial.score}) for trial in summary.trials]
    found = with_findings(replace(summary, trials=trials, importances=[], bounds=[RangeEnd(name, value, end, 1.0)]))
    assert _test_of(found, name).can_be_wider == wider


def test_configurations_of_other_iterations_are_not_promoted_together() -> None:
    """In each of two iterations, five trials continue in the same order: 10 + 10 pairs, and none between iterations."""
    base = summary_of_two(DENOISER, scores=(0.02, 0.01), ended=(10, 90)).trials[0]
    trials = []
    for iteration, worse in ((0, 0.0), (1, 10.0)):
        for number in range(5):
            for rung in (0, 1):
                # In the second iteration, the first rung is worse, and the second rung better.
                score = 20 + number + (worse if rung == 0 else -worse)
                own = replace(base, id=f"{7 * iteration + number:03d}-r{rung}", bracket=1, rung=rung, score=score)
                trials.append(replace(own, hyperparameters={"n": (iteration, number)}))
        trials += [
            replace(base, id=f"{7 * iteration + number:03d}-r0", bracket=0, rung=0, hyperparameters={"m": number})
            for number in (5, 6)
        ]
    summary = replace(summary_of_two(DENOISER, scores=(0.02, 0.01), ended=(10, 90)), trials=trials)
    found = with_findings(summary).findings
    assert found is not None and found.rank_changes == RankChanges(20, 0)


def _smallest(summary: SearchSummary, trials: list[TrialSummary]) -> str | None:
    found = with_findings(replace(summary, trials=trials)).findings
    assert found is not None
    return found.smallest_near_best


def _test_of(summary: SearchSummary, name: str) -> RangeEndTest:
    assert summary.findings is not None
    return next(test for test in summary.findings.range_ends if test.hyperparameter == name)
