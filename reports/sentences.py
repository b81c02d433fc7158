"""How segments were varied in training, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ecg_study.evaluation.results.search import (
    EPOCHS,
    MIN_CONFIGURATIONS,
    NEAR_BEST,
    RangeEnd,
    RangeEndTest,
    SearchFindings,
    SearchSummary,
    TrialSummary,
)
from ecg_study.formatting import duration
from ecg_study.models.card import DETECTOR
from ecg_study.reports.report import Training
from ecg_study.reports.tables import interval


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
_WEAK = 0.5  # share of variance explained, below which importances are called rough


def findings(summary: SearchSummary) -> list[str]:
    """Describe what a search found: important choices, narrow ranges, use of more time, cost of a small network.

    A finding for which there are too few trials is left out. Empty if the summary holds no findings.
    """
    if not summary.trials:
        return ["No trial was completed: the search taught nothing about the choices."]
    if (found := summary.findings) is None:
        return []
    said = [
        _extent(summary),
        *_choices(summary, found),
        *(_range_end(end, test, found) for end, test in zip(summary.bounds, found.range_ends, strict=True)),
        _second_half(summary, found),
        _order(found),
        _smallest(summary, found),
        _once(found),
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


def _choices(summary: SearchSummary, found: SearchFindings) -> list[str]:
    if summary.explained is None:
        if found.configurations < MIN_CONFIGURATIONS:
            why = f"{_number(found.configurations, 'configuration')} completed, and {MIN_CONFIGURATIONS} are needed"
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
        at_an_end = {end.hyperparameter for end in summary.bounds}  # these get a sentence of their own
        said += [_preferred(i.hyperparameter, found) for i in above if i.hyperparameter not in at_an_end]
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


def _preferred(name: str, found: SearchFindings) -> str:
    if name == EPOCHS:
        return (
            "Trials that were trained longer had also been chosen as the best of their rung: part of the weight of "
            f"`{EPOCHS}` is that choice."
        )
    (item,) = [preference for preference in found.preferences if preference.hyperparameter == name]
    if not item.best:
        best = found.best_configurations
        return f"None of the best {best} configurations has `{name}`." if best else ""
    among = f"Among the best {found.best_configurations} configurations"
    if item.best_quartiles is not None and item.all_quartiles is not None:
        middle, all_middle = _middle(item.best_quartiles), _middle(item.all_quartiles)
        return f"{among}, the middle half of `{name}` is {middle}, among all {all_middle}."
    having = "" if item.best == found.best_configurations else " that have it"
    of_all = f"{item.all_with_value} of {item.all}"
    return f"{among}, `{name}` is {item.value} in {item.best_with_value} of {item.best}{having}, among all in {of_all}."


def _range_end(end: RangeEnd, test: RangeEndTest, found: SearchFindings) -> str:
    every = test.all == found.configurations
    name, at_end = end.hyperparameter, test.best_at_end
    have = f"{at_end} have `{name}`" if every else f"{test.best} have `{name}`, {at_end} of them"
    said = f"Of the {found.best_configurations} best configurations, {have}"
    if test.all_at_end is None:
        said += f" in the {end.end} tenth of its range, which ends at {end.value:g}"
    else:
        said += f" at its {end.end} value, {end.value:g}, as have {test.all_at_end} of all {test.all}"
        said += "" if every else " with it"
    if not test.significant:
        return f"{said}; so many may lie there by chance."
    if not test.can_be_wider:
        return f"{said}; the range cannot be made wider there."
    return f"{said}; a wider range might do better, none was tried."


def _middle(quartiles: tuple[float, float]) -> str:
    low, high = quartiles
    return f"{low:.2g} to {high:.2g}"


def _second_half(summary: SearchSummary, found: SearchFindings) -> str:
    half = found.second_half
    if half is None:
        return ""
    best = summary.trials[0]
    span = f"the second half of the {duration(half.seconds)}"
    if half.score_before is None:
        return f"In the first half of the {duration(half.seconds)} no trial was completed."
    if half.reduction is None:
        return f"The best trial, {best.id}, had ended after {duration(best.ended)}: {span} brought no better."
    verb, what = ("lowered", "lower") if summary.direction == "min" else ("raised", "nearer to 1")
    return (
        f"{span.capitalize()} {verb} the best {_name(summary)} from {_score(half.score_before, summary)} to "
        f"{_score(best.score, summary)}, {_percent(half.reduction)} {what}."
    )


def _order(found: SearchFindings) -> str:
    if found.rank_changes is None:
        return ""
    pairs, swapped = found.rank_changes.pairs, found.rank_changes.swapped
    return (
        f"Of {pairs} pairs of configurations promoted from the same rung, {swapped} ({swapped / pairs:.0%}) changed "
        "places with longer training, where chance alone would change half; those not promoted are not among them."
    )


def _smallest(summary: SearchSummary, found: SearchFindings) -> str:
    if found.smallest_near_best is None:
        return ""
    best = summary.trials[0]
    smallest = next(trial for trial in summary.trials if trial.id == found.smallest_near_best)
    measure = _name(summary) if summary.direction == "min" else f"distance of the {_name(summary)} from 1"
    within = f"within {100 * NEAR_BEST:g} % of the best by {measure}"
    if smallest is best:
        return f"The best network, {best.id}, has {best.parameters:,} weights; no smaller one is {within}."
    return (
        f"The smallest network {within} is {smallest.id}: {_score(smallest.score, summary)} with "
        f"{smallest.parameters:,} weights{_time(smallest)}; the best, {best.id}, has "
        f"{_score(best.score, summary)} with {best.parameters:,}{_time(best)}."
    )


def _once(found: SearchFindings) -> str:
    if found.configurations < 2:
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
