"""Sentences of reports and model cards, made of stored values."""

from __future__ import annotations

from typing import Any

from ecg_study.evaluation.results.search import (
    EPOCHS,
    MIN_CONFIGURATIONS,
    NEAR_BEST,
    Importance,
    RangeEnd,
    RangeEndTest,
    SearchFindings,
    SearchSummary,
    TrialSummary,
)
from ecg_study.evaluation.results.values import Comparison
from ecg_study.formatting import duration
from ecg_study.models.calibration import Calibration
from ecg_study.models.card import DETECTOR
from ecg_study.reports.report import Report, Training

_R_PEAK_ERROR = "val_r_peak_error"
_NOISE_LEFT = "val_noise_left"

_OBJECTIVES = {
    "val_loss": "mean squared error",
    "val_log_error": "mean of ln(1 + MSE / (10 µV)²)",
    "val_relative_log_error": "mean of ln(1 + 10⁵ MSE / signal power)",
    _NOISE_LEFT: "noise left",
    "val_window_pr_auc": "area under the precision–recall curve",
    _R_PEAK_ERROR: "error of R peaks",
}

_OFF_R_PEAK = ("qtdb", "cinc2014")
"""Databases whose marks are moved to the R peaks unless the setting own-marks is set."""

_WEAK_FIT = 0.5
"""Explained variance (R²) below which importances are called rough."""


def compare_with_reference(comparison: Comparison) -> str:
    """Return what a comparison with a reference method shows."""
    model, method = comparison.model, f"reference method ({comparison.reference})"
    metric = comparison.metric[0].upper() + comparison.metric[1:]
    if comparison.significant is False:
        return f"**{metric}**: no significant difference between the {model} and the {method}."
    difference = comparison.difference.value
    better = "better than" if difference > 0 else "worse than" if difference < 0 else "as good as"
    if comparison.significant:
        return f"**{metric}**: the {model} is significantly {better} the {method}."
    return f"**{metric}**: the {model} is {better} the {method}; too few subjects to test significance."


def moved_marks(report: Report) -> str:
    """Return the databases whose marks were moved to the R peaks; empty if there are none, or in earlier versions."""
    if report.provenance.settings.get("own-marks") is not False:
        return ""
    own = report.provenance.settings.get("databases", {})
    moved = {*_OFF_R_PEAK, *(name for name, table in own.items() if table.get("align", True))}
    return " and ".join(name for name in report.data.database.split(",") if name in moved)


def describe_calibration(calibration: Calibration) -> str:
    """Return how the confidences of a detector were calibrated, in two sentences."""
    text = f"Confidences are calibrated on {calibration.r_peaks:,} R peaks found in the validation records."
    if calibration.error is None:
        return f"{text} The calibration error is unknown, because these records are of one subject."
    error = f"The calibration error is {calibration.error:.4f}, the mean over levels of noise"
    return f"{text} {error}, each subject calibrated with the others."


def augmentation(training: Training, sigma_mv: float) -> list[str]:
    """Return how training segments were varied and which noise was added.

    Args:
        training: final training of a model.
        sigma_mv: standard deviation of the study's Gaussian noise in mV.
    """
    # Keys as stored; reports of version 0.1.0 lack some of them.
    how = training.augmentation
    if not how:
        return [f"Gaussian noise of σ = {sigma_mv:g} mV."]
    return [*_variations(training), *_noise(how, sigma_mv)]


_SHARES = {
    "beat_change_probability": "with small QRS complexes, tall T waves or large beats",
    "band_limit_probability": "with the band limits of another device",
    "artifact_probability": "with spikes, saturation, jumps, slow waves or strong hum",
    "noise_only_probability": "without an ECG, noise only",
}
"""Settings of augmentation for detectors, and what they do with their share of the segments."""


def _variations(training: Training) -> list[str]:
    how = training.augmentation
    statements = ["All leads of each record; each segment begins at a random sample."]
    if how["flipped"]:
        statements.append(f"{_share(how['flipped'])} of the segments inverted.")
    if how["mixed"]:
        statements.append(f"{_share(how['mixed'])} of the segments a mix of two leads.")
    if how["stretched"]:
        statements.append(
            f"{_share(how['stretched'])} of the segments stretched in time by up to ±{_share(how['stretch'])}."
        )
    if fast := how.get("fast_probability"):
        statements.append(f"{_share(fast)} of the segments played 1.3 to 1.9 times as fast.")
    if training.task == DETECTOR and how.get("paused"):
        low, high = how["pause"]
        statements.append(
            f"{_share(how['paused'])} of the segments with a pause of {low:g} to {high:g} s, with P waves in "
            f"{_share(how['blocked'])} of the pauses."
        )
    if training.task == DETECTOR:
        statements += [
            f"{_share(how[name])} of the segments {said}." for name, said in _SHARES.items() if how.get(name)
        ]
        if window := how.get("baseline_window_s"):
            statements.append(
                f"A moving average over {window:g} s, applied twice, is subtracted from each segment, as in detection."
            )
    return statements


def _noise(how: dict[str, Any], sigma_mv: float) -> list[str]:
    statements = [_white_noise(how, sigma_mv)]
    if how["noisy"]:
        low, high = how["snr"]
        varied = (
            "; inverted, reversed, stretched in time and mixed from both channels at random" if how["varied"] else ""
        )
        statements.append(
            f"Recorded noise at an SNR of {low:g} to {high:g} dB in {_share(how['noisy'])} of the segments: "
            f"{_types(how)}, from intervals of the MIT-BIH Noise Stress Test Database that no test uses{varied}."
        )
    if how["hum"]:
        statements.append(f"Mains hum in {_share(how['hum'])} of the segments.")
    return statements


def _white_noise(how: dict[str, Any], sigma_mv: float) -> str:
    share = how.get("white_noise_probability", 1.0)
    where = f" in {_share(share)} of the segments" if share < 1 else ""
    if (relative := how.get("max_relative_white_noise")) is not None:
        return f"Gaussian noise of σ = 0 to {_share(relative)} of the standard deviation of a segment{where}."
    least, most = how["gaussian"] or (sigma_mv, sigma_mv)
    return f"Gaussian noise of σ = {f'{least:g} to {most:g}' if least < most else f'{most:g}'} mV{where}."


def _types(how: dict[str, Any]) -> str:
    return "bw, em and ma, mixed at random" if how.get("mixed_noise") else "bw, em, ma or all three"


def _share(value: float) -> str:
    return f"{100 * value:g} %"


def findings(summary: SearchSummary) -> list[str]:
    """Return what a search found: important choices, narrow ranges, benefit of more time, cost of a small network.

    A finding for which there are too few trials is left out.
    """
    if not summary.trials:
        return ["No trial was completed, so there are no findings."]
    if (found := summary.findings) is None:
        return []
    statements = [
        _extent(summary),
        *_choices(summary, found),
        *(_range_end(end, test, found) for end, test in zip(summary.bounds, found.range_ends, strict=True)),
        _untried(found),
        _second_half(summary, found),
        _rank_changes(found),
        _smallest(summary, found),
        _stability(summary, found),
        _single_seed(found),
    ]
    return [sentence for sentence in statements if sentence]


def _extent(summary: SearchSummary) -> str:
    planned = sum(rung.planned for rung in summary.rungs)
    completed, failed = len(summary.trials), len(summary.failures)
    if summary.stopped or completed + failed < planned:
        return f"The search is incomplete: {completed} of {planned} planned trials were completed."
    return f"Failed trials, which are not part of the findings: {failed} of {planned}." if failed else ""


def _choices(summary: SearchSummary, found: SearchFindings) -> list[str]:
    if summary.explained is None:
        if found.configurations < MIN_CONFIGURATIONS:
            count = found.configurations
            why = f"{count} configuration{'' if count == 1 else 's'} completed, at least {MIN_CONFIGURATIONS} needed"
        else:
            why = "scores or choices do not vary"
        return [f"The importance of the hyperparameters could not be estimated: {why}."]
    if summary.explained <= 0:
        return [
            "The importance of the hyperparameters could not be estimated: the random forest predicts the scores of "
            "unseen configurations no better than their mean."
        ]
    rough = ", so the importances are rough" if summary.explained < _WEAK_FIT else ""
    at_an_end = {end.hyperparameter for end in summary.bounds}  # each has a sentence of its own
    return [
        f"A random forest explains {_whole_percent(summary.explained)} of the variance of the scores of unseen "
        f"configurations, from their hyperparameters and epochs{rough}. The importance of a hyperparameter is the "
        "decrease of R² when it is shuffled, with 95 % CI.",
        *(_importance(item, found, prefers=item.hyperparameter not in at_an_end) for item in summary.importances),
    ]


def _importance(item: Importance, found: SearchFindings, *, prefers: bool) -> str:
    """Return one sentence on a hyperparameter: whether it matters, and which values are preferred."""
    drop, name = item.r2_drop, item.hyperparameter
    size = f"{drop.value:.2f} [{drop.low:.2f}, {drop.high:.2f}]"
    if not drop.low > 0:
        return f"No significant importance: `{name}`, {size}."
    preferred = _preference(name, found) if prefers else ""
    return f"Important: `{name}`, {size}{f'; {preferred}' if preferred else ''}."


def _preference(name: str, found: SearchFindings) -> str:
    """Return the values that the best configurations prefer."""
    if name == EPOCHS:
        return "but longer trials were selected as the best of their rung, which explains a part of it"
    (item,) = [preference for preference in found.preferences if preference.hyperparameter == name]
    best = found.best_configurations
    if not item.best:
        return f"none of the best {best} configurations has it" if best else ""
    if item.best_quartiles is not None and item.all_quartiles is not None:
        (low, high), (all_low, all_high) = item.best_quartiles, item.all_quartiles
        return (
            f"preferred are values with quartiles of {low:.2g} and {high:.2g}, among the best {best} configurations, "
            f"instead of {all_low:.2g} and {all_high:.2g} among all"
        )
    if not item.best_with_value:
        return ""  # chance can explain the most frequent value
    having = "" if item.best == best else " that have it"
    return (
        f"preferred is {item.value}, in {item.best_with_value} of the best {item.best} configurations{having} and in "
        f"{item.all_with_value} of all {item.all}{having}"
    )


def _untried(found: SearchFindings) -> str:
    """Return the values of the ranges that no configuration had."""
    if not found.untried:
        return ""
    values = (f"`{name}` {', '.join(map(str, missing))}" for name, missing in found.untried.items())
    return f"Never tried, although in the ranges: {'; '.join(values)}."


def _range_end(end: RangeEnd, test: RangeEndTest, found: SearchFindings) -> str:
    having = "" if test.all == found.configurations else " that have it"
    statements = f"Range of `{end.hyperparameter}`: {test.best_at_end} of the best {test.best} configurations{having} "
    if test.all_at_end is None:
        statements += f"lie in the {end.end} tenth of its range, which ends at {end.value:g}"
    else:
        statements += (
            f"have the {end.end} value, {end.value:g}, compared with {test.all_at_end} of all {test.all}{having}"
        )
    if not test.significant:
        return f"{statements}; chance can explain this."
    if not test.can_be_wider:
        return f"{statements}; no value beyond it exists."
    return f"{statements}; a wider range was not searched and may be better."


def _second_half(summary: SearchSummary, found: SearchFindings) -> str:
    half = found.second_half
    if half is None:
        return ""
    best, span = summary.trials[0], duration(half.seconds)
    if half.score_before is None:
        return f"No trial was completed in the first half of the search time of {span}."
    if half.reduction is None:
        return (
            f"The best trial, {best.id}, ended after {duration(best.ended)}; the second half of the search time of "
            f"{span} found no better one."
        )
    verb, what = ("lowered", "lower") if summary.direction == "min" else ("raised", "closer to 1")
    change = _whole_percent(half.reduction) if half.reduction >= 0.01 else "less than 1 %"
    return (
        f"The second half of the search time of {span} {verb} the best {objective_name(summary)} from "
        f"{_score(half.score_before, summary)} to {_score(best.score, summary)} ({change} {what})."
    )


def _rank_changes(found: SearchFindings) -> str:
    if found.rank_changes is None:
        return ""
    pairs, swapped = found.rank_changes.pairs, found.rank_changes.swapped
    return (
        f"Longer training reversed the order of {swapped} of {pairs} pairs of configurations promoted from the same "
        f"rung ({_whole_percent(swapped / pairs)}; chance alone would reverse half). Configurations that were not "
        "promoted are not part of this comparison."
    )


def _smallest(summary: SearchSummary, found: SearchFindings) -> str:
    if found.smallest_near_best is None:
        return ""
    best = summary.trials[0]
    smallest = next(trial for trial in summary.trials if trial.id == found.smallest_near_best)
    metric = (
        objective_name(summary) if summary.direction == "min" else f"distance of the {objective_name(summary)} from 1"
    )
    within = f"within {100 * NEAR_BEST:g} % of the best {metric}"
    if smallest is best:
        return f"The best network, {best.id}, has {best.parameters:,} weights; no smaller network is {within}."
    return (
        f"The smallest network {within} is {smallest.id}: {_score(smallest.score, summary)} with "
        f"{smallest.parameters:,} weights{_time(smallest)}. The best network, {best.id}, has "
        f"{_score(best.score, summary)} with {best.parameters:,} weights{_time(best)}."
    )


def _stability(summary: SearchSummary, found: SearchFindings) -> str:
    """Return how much the choice of the best depends on the validation subjects."""
    if (stability := found.stability) is None:
        return ""
    rival = "no other configuration is the best in any"
    if stability.rival is not None:
        rival = f"{stability.rival} is the best in {_whole_percent(stability.rival_best)}"
    return (
        f"If the {stability.subjects} validation subjects are drawn again with replacement and each counts the same, "
        f"{summary.trials[0].id} is the best in {_whole_percent(stability.best)} of the draws and within "
        f"{100 * NEAR_BEST:g} % of the best in {_whole_percent(stability.near_best)}; {rival}."
    )


def _single_seed(found: SearchFindings) -> str:
    if found.configurations < 2:
        return "Only one configuration was completed, so there is no comparison."
    return (
        "Each configuration was trained from one seed and scored on the validation records that also selected it. The "
        "random part of small differences was not measured."
    )


def explain_objective(summary: SearchSummary) -> str:
    """Return the meaning of an objective whose name does not give it; empty for others."""
    if summary.objective == _NOISE_LEFT:
        return (
            "It is the noise that is left, in percent of the power after the high-pass of the reference: the geometric "
            "mean over six levels of noise, where a level that gets worse counts twice. The threshold for small "
            "removals comes from other validation subjects."
        )
    if summary.objective != _R_PEAK_ERROR:
        return ""
    return (
        "It is the error of R peaks in percent: the geometric mean of 1 − F1 over tolerances of 150 and 50 ms, as "
        "recorded and with noise of three levels. The threshold comes from other validation subjects."
    )


def objective_name(summary: SearchSummary) -> str:
    """Return the objective of a search in words."""
    return _OBJECTIVES.get(summary.objective, f"`{summary.objective}`")


def _score(score: float, summary: SearchSummary) -> str:
    unit = " %" if summary.objective in (_R_PEAK_ERROR, _NOISE_LEFT) else ""
    return f"{score:.4g}{unit}" if summary.direction == "min" else f"{score:.5f}"


def _time(trial: TrialSummary) -> str:
    return "" if trial.milliseconds is None else f" and {trial.milliseconds:.3g} ms per segment"


def _whole_percent(share: float) -> str:
    return f"{100 * share:.0f} %"
