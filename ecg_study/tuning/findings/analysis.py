"""Analysis of a search: summary, Pareto fronts, range ends and findings.

Everything is computed from the completed trials; nothing is trained here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np

from ecg_study.evaluation.results.search import (
    EPOCHS,
    NEAR_BEST,
    SIGNIFICANCE_LEVEL,
    Preference,
    RangeEnd,
    RangeEndTest,
    RankChanges,
    RungSummary,
    SearchFindings,
    SearchSummary,
    SecondHalf,
    TrialSummary,
    as_loss,
    best_per_configuration,
)
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.hyperparameters import LEARNING_RATE, hyperparameter
from ecg_study.search_spaces.presets import HyperparameterRanges, Preset
from ecg_study.training.specs import COMPLETED, FAILED, Trial
from ecg_study.tuning.findings.importance import estimate_importances
from ecg_study.tuning.findings.stability import winner_stability
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.state import SearchResult

_MIN_BEST = 4  # configurations; with fewer, half of them at one value is chance
_EDGE = 0.1  # share of the logarithmic range of the learning rate that counts as its end
_MIN_PAIRS = 10  # of configurations, to report changes in their order


def summarize_search(
    task: str,
    search: SearchResult,
    *,
    preset: Preset,
    milliseconds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> SearchSummary:
    """Summarize a search, finished or not.

    Args:
        task: denoiser or detector.
        search: the saved search.
        preset: the preset that it was planned with.
        milliseconds: trial id → inference time per segment, for the trials with a measured time.
        seed: seed of the bootstrap of the importances.
    """
    objective, direction = search.objective
    trials = [_trial(trial, objective, (milliseconds or {}).get(trial.spec.id)) for trial in search.ranked()]
    importances, explained = estimate_importances(trials, direction=direction, seed=seed)
    measured = [trial for trial in trials if trial.milliseconds is not None]
    summary = SearchSummary(
        task=task,
        objective=objective,
        direction=direction,
        rungs=_rungs(search, preset),
        trials=trials,
        failures=_failures(search),
        seconds=sum(trial.result.seconds for trial in search.trials),
        wall_seconds=search.seconds,
        stopped=search.stopped,
        warm_start=search.identity["warm start"],
        pretrained=search.identity.get("pretrained", [""])[0],
        importances=importances,
        explained=explained,
        bounds=find_range_ends(trials, preset.denoiser if task == DENOISER else preset.detector),
        pareto_parameters=_front(trials, direction, [float(trial.parameters) for trial in trials]),
        pareto_latency=_front(measured, direction, [trial.milliseconds or 0.0 for trial in measured]),
    )
    ranges = preset.denoiser if task == DENOISER else preset.detector
    untried = find_untried([trial.spec.hyperparameters for trial in search.trials], ranges)
    stability = winner_stability(search.ranked(), direction=direction, seed=seed)
    return replace(summary, findings=replace(_findings(summary), untried=untried, stability=stability))


def with_findings(summary: SearchSummary) -> SearchSummary:
    """Add the findings to a summary, for instance to one from a report that did not store them."""
    return replace(summary, findings=_findings(summary))


def find_untried(configurations: Sequence[Mapping[str, Any]], ranges: HyperparameterRanges) -> dict[str, list[Any]]:
    """Return the values of each hyperparameter that no configuration had; of a learning rate, none.

    A hyperparameter that no configuration had, such as the units of a third layer, is left out.

    Args:
        configurations: all configurations of a search, failed ones included.
        ranges: the ranges that were searched.
    """
    values: dict[str, Sequence[Any]] = {
        item.name: getattr(ranges, item.name) for item in fields(ranges) if item.name not in ("units", LEARNING_RATE)
    }
    values |= {f"units_{layer}": ranges.units for layer in range(1, max(ranges.layers) + 1)}
    found: dict[str, list[Any]] = {}
    for name, possible in values.items():
        tried = {configuration[name] for configuration in configurations if name in configuration}
        if missing := [value for value in dict.fromkeys(possible) if value not in tried] if tried else []:
            found[name] = missing
    return found


def best_quarter(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """Return the best trials of the best quarter of configurations, at least four, best first.

    Empty if that would be more than half of the configurations: then they are not a selection of the best.
    """
    distinct = best_per_configuration(trials)
    count = max(_MIN_BEST, math.ceil(len(distinct) / 4))
    return distinct[:count] if 2 * count <= len(distinct) else []


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other point dominates, in the given order.

    Less is better in each coordinate. A point dominates another if it is at least as good in both coordinates and
    better in one; of equal points, neither dominates.
    """
    return [
        index
        for index, (x, y) in enumerate(points)
        if not any(a <= x and b <= y and (a < x or b < y) for a, b in points)
    ]


def find_range_ends(trials: Sequence[TrialSummary], ranges: HyperparameterRanges) -> list[RangeEnd]:
    """Return the ends of ranges at which at least half of the best quarter of configurations lie.

    Choices with one or two values are left out, because each of their values is an end. A hyperparameter that not every
    configuration has is judged by the configurations of the best quarter that have it, if they are at least four. A
    learning rate lies at an end if it is within a tenth of its logarithmic range.

    Args:
        trials: completed trials, best first.
        ranges: the ranges that were searched.
    """
    best = best_quarter(trials)
    found = []
    for name, (lowest, highest) in _ends(ranges).items():
        values = [t.hyperparameters[name] for t in best if t.hyperparameters.get(name) is not None]
        if len(values) < _MIN_BEST:
            continue
        reach = _EDGE * math.log(highest / lowest) if name == LEARNING_RATE else 0.0
        for end, place in (("lowest", lowest), ("highest", highest)):
            share = sum(_lies_at(value, place, reach) for value in values) / len(values)
            if share >= 0.5:
                found.append(RangeEnd(name, place, end, share))
    return found


def _trial(trial: Trial, objective: str, milliseconds: float | None) -> TrialSummary:
    plan, outcome = trial.spec, trial.result
    assert outcome.score is not None
    return TrialSummary(
        id=plan.id,
        bracket=plan.bracket,
        rung=plan.rung,
        hyperparameters=plan.hyperparameters,
        epochs=plan.epochs,
        parameters=outcome.parameters or 0,
        score=outcome.score,
        seconds=outcome.seconds,
        ended=trial.ended,
        milliseconds=milliseconds,
        curve=[(int(row["epoch"]), row.get(objective)) for row in outcome.history],
    )


def _rungs(search: SearchResult, preset: Preset) -> list[RungSummary]:
    ran = [(trial.spec.bracket, trial.spec.rung, trial.result.status) for trial in search.trials]
    planned: dict[tuple[int, int, int], int] = {}
    for rung in schedule_of(preset):
        place = (rung.bracket, rung.rung, rung.epochs)
        planned[place] = planned.get(place, 0) + rung.trials
    return [
        RungSummary(
            bracket, rung, epochs, number, ran.count((bracket, rung, COMPLETED)), ran.count((bracket, rung, FAILED))
        )
        for (bracket, rung, epochs), number in planned.items()
    ]


def _failures(search: SearchResult) -> dict[str, str]:
    return {
        trial.spec.id: trial.result.reason
        + (f" ({trial.result.attempts} attempts)" if trial.result.attempts > 1 else "")
        for trial in search.trials
        if trial.result.status == FAILED
    }


def _front(trials: Sequence[TrialSummary], direction: str, costs: Sequence[float]) -> list[str]:
    """Return the ids of the trials that no other trial beats in both cost and score, the cheapest first."""
    cost = dict(zip((trial.id for trial in trials), costs, strict=True))
    distinct = best_per_configuration(trials)
    sign = 1 if direction == "min" else -1
    front = [distinct[index] for index in pareto_front([(cost[t.id], sign * t.score) for t in distinct])]
    return [trial.id for trial in sorted(front, key=lambda trial: cost[trial.id])]


def _ends(ranges: HyperparameterRanges) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest value of each numeric hyperparameter that can take more than two."""
    choices: dict[str, Sequence[float]] = {"layers": ranges.layers}
    choices |= {f"units_{layer}": ranges.units for layer in range(1, max(ranges.layers) + 1)}
    choices |= {"dropout": ranges.dropout, "frame": ranges.frame, "dense_units": ranges.dense_units}
    choices |= {"filters": ranges.filters, "loss_power": ranges.loss_power}
    choices |= {"snr_shift_db": ranges.snr_shift_db, "database_balance": ranges.database_balance}
    ends = {name: (min(values), max(values)) for name, values in choices.items() if len(set(values)) > 2}
    if ranges.learning_rate[0] < ranges.learning_rate[1]:
        ends[LEARNING_RATE] = ranges.learning_rate
    return ends


def _lies_at(value: float, end: float, reach: float) -> bool:
    return value == end if not reach else abs(math.log(value / end)) <= reach


def _findings(summary: SearchSummary) -> SearchFindings:
    distinct, best = best_per_configuration(summary.trials), best_quarter(summary.trials)
    important = [
        item.hyperparameter for item in summary.importances if item.r2_drop.low > 0 and item.hyperparameter != EPOCHS
    ]
    return SearchFindings(
        configurations=len(distinct),
        best_configurations=len(best),
        preferences=[_preference(name, best, distinct) for name in important if name != EPOCHS],
        range_ends=[_test_range_end(end, best, distinct) for end in summary.bounds],
        second_half=_second_half(summary),
        rank_changes=_rank_changes(summary.trials),
        smallest_near_best=_smallest_near_best(summary, distinct),
    )


def _preference(name: str, best: Sequence[TrialSummary], distinct: Sequence[TrialSummary]) -> Preference:
    """Return the value that is more frequent among the best configurations than among all, unless by chance.

    The value with the largest excess is tested as in `_test_range_end`, with the probability multiplied by the number
    of values that it was chosen from (Bonferroni).
    """
    values, all_values = _values(name, best), _values(name, distinct)
    if not values:
        return Preference(name, best=0, all=len(all_values))
    if name == LEARNING_RATE:
        return Preference(
            name,
            best=len(values),
            all=len(all_values),
            best_quartiles=_quartiles(values),
            all_quartiles=_quartiles(all_values),
        )
    counts, all_counts = Counter(values), Counter(all_values)
    value = max(counts, key=lambda value: counts[value] / len(values) - all_counts[value] / len(all_values))
    chance = _chance(counts[value], len(values), of=all_counts[value], among=len(all_values))
    if len(all_counts) * chance > SIGNIFICANCE_LEVEL:
        return Preference(name, best=len(values), all=len(all_values))
    return Preference(
        name,
        best=len(values),
        all=len(all_values),
        value=value,
        best_with_value=counts[value],
        all_with_value=all_counts[value],
    )


def _chance(count: int, best: int, *, of: int, among: int) -> float:
    """Return the probability of at least ``count`` of ``best`` draws from ``among`` items, ``of`` of which count."""
    from scipy import stats

    return float(stats.hypergeom.sf(count - 1, among, of, best))


def _test_range_end(end: RangeEnd, best: Sequence[TrialSummary], distinct: Sequence[TrialSummary]) -> RangeEndTest:
    """Test whether so many of the best configurations lie at the end of a range by chance.

    The configurations draw a learning rate from the whole logarithmic range, so the count at its end is binomial. For a
    choice among values, this is Fisher's exact test, one-sided: the best configurations are a sample without
    replacement of all configurations.

    References:
        Fisher RA. The logic of inductive inference. Journal of the Royal Statistical Society 1935;98:39–82.
    """
    from scipy import stats

    name = end.hyperparameter
    values, all_values = _values(name, best), _values(name, distinct)
    at_end = round(end.share * len(values))
    if name == LEARNING_RATE:
        all_at_end = None
        p_value = float(stats.binom.sf(at_end - 1, len(values), _EDGE))
    else:
        all_at_end = all_values.count(end.value)
        p_value = _chance(at_end, len(values), of=all_at_end, among=len(all_values))
    facts = hyperparameter(name)
    return RangeEndTest(
        name,
        best=len(values),
        best_at_end=at_end,
        all=len(all_values),
        all_at_end=all_at_end,
        p_value=p_value,
        can_be_wider=end.value != (facts.minimum if end.end == "lowest" else facts.maximum),
    )


def _second_half(summary: SearchSummary) -> SecondHalf | None:
    """Compare the best trial with the best trial of the first half of the search time."""
    if len(summary.trials) < 2 or not summary.trials[0].ended > 0:
        return None
    seconds = max([summary.wall_seconds, *(trial.ended for trial in summary.trials)])
    best = summary.trials[0]
    before = next((trial.score for trial in summary.trials if trial.ended <= seconds / 2), None)
    if before is None or best.ended <= seconds / 2:
        return SecondHalf(seconds, before, None)
    reduction = 1 - as_loss(best.score, summary.direction) / as_loss(before, summary.direction)
    return SecondHalf(seconds, before, reduction)


def _rank_changes(trials: Sequence[TrialSummary]) -> RankChanges | None:
    """Count the pairs of configurations promoted together whose order longer training reversed."""
    iteration = _iterations(trials)
    scores_on: dict[tuple[int, int, int], dict[int, float]] = {}
    for trial in trials:
        number = _number(trial)
        scores_on.setdefault((iteration[number], trial.bracket, trial.rung), {})[number] = trial.score
    pairs = swapped = 0
    for (own, bracket, rung), scores in scores_on.items():
        later = scores_on.get((own, bracket, rung + 1), {})
        for one, other in combinations([key for key in scores if key in later], 2):
            pairs += 1
            swapped += (scores[one] - scores[other]) * (later[one] - later[other]) < 0
    return RankChanges(pairs, swapped) if pairs >= _MIN_PAIRS else None


def _number(trial: TrialSummary) -> int:
    """Return the number of a trial's configuration, in the order in which they were drawn."""
    return int(trial.id.partition("-")[0])


def _iterations(trials: Sequence[TrialSummary]) -> dict[int, int]:
    """Return the iteration of Hyperband of each configuration number.

    Trials do not store it. Each iteration draws the configurations of its brackets in descending order.
    """
    found: dict[int, int] = {}
    iteration, before = 0, math.inf
    for number, bracket in sorted({(_number(trial), trial.bracket) for trial in trials}):
        iteration += bracket > before
        found[number], before = iteration, bracket
    return found


def _smallest_near_best(summary: SearchSummary, distinct: Sequence[TrialSummary]) -> str | None:
    if len(distinct) < 2:
        return None
    best = distinct[0]
    limit = (1 + NEAR_BEST) * as_loss(best.score, summary.direction)
    near = [trial for trial in distinct if as_loss(trial.score, summary.direction) <= limit]
    smallest = min(near, key=lambda trial: trial.parameters)
    return smallest.id if smallest.parameters < best.parameters else best.id


def _values(name: str, trials: Sequence[TrialSummary]) -> list[Any]:
    return [trial.hyperparameters[name] for trial in trials if name in trial.hyperparameters]


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, (25, 75))
    return float(low), float(high)
