"""How segments were varied in training, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ecg_study.evaluation.results.search import BoundHit, SearchSummary, TrialSummary
from ecg_study.formatting import duration
from ecg_study.models.card import DETECTOR
from ecg_study.reports.report import Training
from ecg_study.reports.tables import interval
from ecg_study.tuning.analysis import (
    EPOCHS,
    FEWEST_CONFIGURATIONS,
    best_of_each,
    best_quarter,
    configuration,
    shortfall,
)


def training_noise(training: Training, sigma: float) -> str:
    """What was added to the segments in training, a sentence or two."""
    if not (how := training.augmentation):
        return f"Gaussian noise of σ = {sigma:g} mV added in training."
    low, high = how["snr"]
    least, most = how["gaussian"] or (sigma, sigma)
    sigmas = f"{least:g} to {most:g}" if least < most else f"{most:g}"
    said = (
        f"In training all leads of a record, each segment cut anew each time{_shares(training)}; Gaussian noise of "
        f"σ = {sigmas} mV added"
    )
    if how["noisy"]:
        said += (
            f", noise of real electrodes (bw, em, ma of the MIT-BIH Noise Stress Test Database, or all three, from "
            f"stretches that no test uses) to {_share(how['noisy'])} of them at {low:g} to {high:g} dB"
        )
        if how["varied"]:
            said += ", turned, reversed, stretched and mixed of both channels at random"
    return said + (f", and mains hum to {_share(how['hum'])}." if how["hum"] else ".")


def _shares(training: Training) -> str:
    """Which shares of the segments were varied how; nothing where none was."""
    how = training.augmentation
    said = [(how["flipped"], "upside down"), (how["mixed"], "a mix of two leads")]
    said.append((how["stretched"], f"stretched in time by up to {_share(how['stretch'])}"))
    # Reports of before pauses were made do not have them.
    if training.task == DETECTOR and how.get("paused"):
        low, high = how["pause"]
        said.append(
            (how["paused"], f"with a pause of {low:g} to {high:g} s, P waves in {_share(how['blocked'])} of these")
        )
    return "".join(f", {_share(share)} {what}" for share, what in said if share)


def _share(value: float) -> str:
    return f"{100 * value:g} %"


_NAMES = {"val_loss": "mean squared error", "val_window_pr_auc": "area under the precision–recall curve"}
_NEAR = 1.05  # of the best score
_WEAK = 0.5  # share of variance explained, below which importances are called rough
_CHANCE = 0.05  # above which what lies at an end of its range may well lie there by chance
_FEWEST_PAIRS = 10  # of configurations, to speak of their order

_FLOORS = {"layers": 1, "dropout": 0, "frame": 1, "dense_units": 0, "filters": 0}
"""Where a range cannot go lower, however wide it is made."""


def findings(summary: SearchSummary) -> list[str]:
    """Plain sentences: which choices matter, which range was too narrow, what more time brought, what size costs.

    Nothing is said where there are too few trials to say it, save that there are too few.
    """
    if not summary.trials:
        return ["No trial was completed: the search taught nothing about the choices."]
    said = [
        _extent(summary),
        *_choices(summary),
        *(_bound(hit, summary.trials) for hit in summary.bounds),
        _second_half(summary),
        _order(summary),
        _smallest(summary),
        _once(summary),
    ]
    return [sentence for sentence in said if sentence]


def _extent(summary: SearchSummary) -> str:
    planned = sum(rung.planned for rung in summary.rungs)
    completed, failed = len(summary.trials), len(summary.failures)
    done = f"{completed} of {planned} planned trials were completed"
    if summary.stopped:
        return f"The search ended early: {summary.stopped}. {done}; what follows is learned from these alone."
    if completed + failed < planned:
        return f"The search is not finished: {done}, and what follows is learned from these alone."
    return f"{failed} of {planned} trials failed; what follows is learned from the others alone." if failed else ""


def _choices(summary: SearchSummary) -> list[str]:
    distinct = len(best_of_each(summary.trials))
    if summary.explained is None:
        if distinct < FEWEST_CONFIGURATIONS:
            why = f"{_number(distinct, 'configuration')} completed, and {FEWEST_CONFIGURATIONS} are needed"
        else:
            why = "scores or choices do not vary"
        return [f"Which choices matter cannot be told: {why}."]
    if summary.explained <= 0:
        return [
            "Which choices matter cannot be told: a forest fitted to the scores does no better than their mean on "
            "configurations that it has not seen."
        ]
    above = [item for item in summary.importances if item.r2_drop.low > 0]
    others = [item.hyperparameter for item in summary.importances if not item.r2_drop.low > 0]
    said = [_explained(summary.explained)]
    if above:
        weights = _list([f"`{i.hyperparameter}` ({interval(i.r2_drop, 2)})" for i in above])
        said.append(f"What matters, by R² lost when its values are shuffled: {weights}.")
        at_an_end = {hit.hyperparameter for hit in summary.bounds}  # of which more is said below
        said += [_preferred(i.hyperparameter, summary.trials) for i in above if i.hyperparameter not in at_an_end]
    if others:
        begin = (
            "Of the others, whose intervals are not above 0, nothing can be told" if above else "No choice stands out"
        )
        said.append(f"{begin}: {_list([f'`{name}`' for name in others])}.")
    return said


def _explained(share: float) -> str:
    rough = ", so that their weights are rough" if share < _WEAK else ""
    return (
        f"From the choices and the epochs trained, a forest explains {share:.0%} of the variance of the scores of "
        f"configurations that it has not seen{rough}."
    )


def _preferred(name: str, trials: Sequence[TrialSummary]) -> str:
    """What the best quarter of configurations has of a hyperparameter that matters, beside what all have of it."""
    if name == EPOCHS:
        return (
            "Trials that were trained longer had also been chosen as the best of their rung: part of the weight of "
            f"`{EPOCHS}` is that choice."
        )
    leaders = best_quarter(trials)
    values, all_values = _values(name, leaders), _values(name, best_of_each(trials))
    if not values:
        return f"None of the best {len(leaders)} configurations has `{name}`." if leaders else ""
    among = f"Among the best {len(leaders)} configurations"
    if name == "learning_rate":
        return f"{among}, the middle half of `{name}` is {_middle(values)}, among all {_middle(all_values)}."
    value, times = Counter(values).most_common(1)[0]
    having = "" if len(values) == len(leaders) else " that have it"
    of_all = f"{all_values.count(value)} of {len(all_values)}"
    return f"{among}, `{name}` is {value} in {times} of {len(values)}{having}, among all in {of_all}."


def _bound(hit: BoundHit, trials: Sequence[TrialSummary]) -> str:
    name, leaders, distinct = hit.hyperparameter, best_quarter(trials), best_of_each(trials)
    theirs, values = _values(name, leaders), _values(name, distinct)
    there = round(hit.share * len(theirs))
    whole = len(values) == len(distinct)
    have = f"{there} have `{name}`" if whole else f"{len(theirs)} have `{name}`, {there} of them"
    said = f"Of the {len(leaders)} best configurations, {have}"
    if name == "learning_rate":
        said += f" in the {hit.end} tenth of its range, which ends at {hit.value:g}"
        chance = _binomial_tail(there, len(theirs), 0.1)
    else:
        at_end = values.count(hit.value)
        said += f" at its {hit.end} value, {hit.value:g}, as have {at_end} of all {len(values)}"
        said += "" if whole else " with it"
        chance = _hypergeometric_tail(there, len(theirs), at_end, len(values))
    if chance > _CHANCE:
        return f"{said}; so many may lie there by chance."
    if hit.end == "lowest" and hit.value <= _FLOORS.get(name, -math.inf):
        return f"{said}; the range cannot be made wider there."
    return f"{said}; a wider range might do better, none was tried."


def _hypergeometric_tail(found: int, drawn: int, marked: int, total: int) -> float:
    """Chance of at least ``found`` marked ones among ``drawn``: Fisher's exact test, one-sided."""
    ways = sum(math.comb(marked, k) * math.comb(total - marked, drawn - k) for k in range(found, drawn + 1))
    return ways / math.comb(total, drawn)


def _binomial_tail(found: int, drawn: int, share: float) -> float:
    """Chance of at least ``found`` of ``drawn``, each with the chance ``share``."""
    return sum(math.comb(drawn, k) * share**k * (1 - share) ** (drawn - k) for k in range(found, drawn + 1))


def _values(name: str, trials: Sequence[TrialSummary]) -> list[Any]:
    return [trial.hyperparameters[name] for trial in trials if name in trial.hyperparameters]


def _middle(values: Sequence[float]) -> str:
    low, high = np.percentile(values, (25, 75))
    return f"{low:.2g} to {high:.2g}"


def _second_half(summary: SearchSummary) -> str:
    """What the last doubling of time brought."""
    whole = max([summary.wall_seconds, *(trial.ended for trial in summary.trials)])
    best = summary.trials[0]
    if len(summary.trials) < 2 or not best.ended > 0:
        return ""
    early = [trial for trial in summary.trials if trial.ended <= whole / 2]
    span = f"the second half of the {duration(whole)}"
    if not early:
        return f"In the first half of the {duration(whole)} no trial was completed."
    if best.ended <= whole / 2:
        return f"The best trial, {best.id}, had ended after {duration(best.ended)}: {span} brought no better."
    before, after = early[0].score, best.score
    less = 1 - shortfall(after, summary.direction) / shortfall(before, summary.direction)
    verb, what = ("lowered", "lower") if summary.direction == "min" else ("raised", "nearer to 1")
    return (
        f"{span.capitalize()} {verb} the best {_name(summary)} from {_score(before, summary)} to "
        f"{_score(after, summary)}, {_percent(less)} {what}."
    )


def _order(summary: SearchSummary) -> str:
    """Whether longer training changed the ranking of those promoted together."""
    reached: dict[tuple[int, int], dict[str, float]] = {}
    for trial in summary.trials:
        reached.setdefault((trial.bracket, trial.rung), {})[configuration(trial)] = trial.score
    pairs = swapped = 0
    for (bracket, rung), scores in reached.items():
        later = reached.get((bracket, rung + 1), {})
        for one, other in combinations([key for key in scores if key in later], 2):
            pairs += 1
            swapped += (scores[one] - scores[other]) * (later[one] - later[other]) < 0
    if pairs < _FEWEST_PAIRS:
        return ""
    return (
        f"Of {pairs} pairs of configurations promoted from the same rung, {swapped} ({swapped / pairs:.0%}) changed "
        "places with longer training, where chance alone would change half; those not promoted are not among them."
    )


def _smallest(summary: SearchSummary) -> str:
    distinct = best_of_each(summary.trials)
    if len(distinct) < 2:
        return ""
    best = distinct[0]
    limit = _NEAR * shortfall(best.score, summary.direction)
    near = [trial for trial in distinct if shortfall(trial.score, summary.direction) <= limit]
    smallest = min(near, key=lambda trial: trial.parameters)
    measure = _name(summary) if summary.direction == "min" else f"distance of the {_name(summary)} from 1"
    within = f"within 5 % of the best by {measure}"
    if smallest.parameters >= best.parameters:
        return f"The best network, {best.id}, has {best.parameters:,} weights; no smaller one is {within}."
    return (
        f"The smallest network {within} is {smallest.id}: {_score(smallest.score, summary)} with "
        f"{smallest.parameters:,} weights{_time(smallest)}; the best, {best.id}, has "
        f"{_score(best.score, summary)} with {best.parameters:,}{_time(best)}."
    )


def _once(summary: SearchSummary) -> str:
    if len(best_of_each(summary.trials)) < 2:
        return "With one configuration completed there is nothing to compare it with."
    return (
        "Each configuration was trained from one seed, and scored on the validation records that chose it: how much "
        "of a small difference is chance was not measured."
    )


def _name(summary: SearchSummary) -> str:
    return _NAMES.get(summary.objective, f"`{summary.objective}`")


def _score(score: float, summary: SearchSummary) -> str:
    return f"{score:.4g}" if summary.direction == "min" else f"{score:.5f}"


def _time(trial: TrialSummary) -> str:
    return "" if trial.milliseconds is None else f" and {trial.milliseconds:.3g} ms a segment"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "less than 1 %"


def _number(count: int, what: str) -> str:
    return f"only {count} {what}" + ("" if count == 1 else "s")


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
