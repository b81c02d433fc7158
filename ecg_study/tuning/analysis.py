"""What a search found: its trials, which choices matter, where a range may be too narrow, what size costs.

All is computed from the finished trials; nothing is trained here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecg_study.evaluation.results.search import BoundHit, Importance, RungSummary, SearchSummary, TrialSummary
from ecg_study.evaluation.results.values import Estimate
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.presets import HyperparameterRanges, Preset
from ecg_study.training.specs import COMPLETED, FAILED, Trial
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.state import SearchResult

EPOCHS = "epochs"
"""What stands among the importances beside the hyperparameters."""

FEWEST_CONFIGURATIONS = 12
"""Below this, a forest has four or five configurations left out to be judged by, and every interval holds 0."""

_DRAWS = 50  # of the bootstrap
_TREES = 60
_SHUFFLES = 8  # of each column, on each draw
_INTERVAL = (2.5, 97.5)  # percentiles
_FLOOR = 1e-9  # scores this near to perfect are taken as equal, so that their logarithm exists
_LEADERS = 4  # with fewer, half of them is chance
_EDGE = 0.1  # of the logarithmic range of the learning rate
_LEARNING_RATE = "learning_rate"


def summarise_search(
    task: str, search: SearchResult, preset: Preset, milliseconds: Mapping[str, float] | None = None, seed: int = 0
) -> SearchSummary:
    """All that is said of a search.

    Args:
        task: denoiser or detector.
        search: as it stands on disk, finished or not.
        preset: what it was planned with.
        milliseconds: trial id → time to pass one segment through the network, of the trials for which it was measured.
        seed: of the bootstrap behind the importances.
    """
    objective, direction = search.objective
    trials = [_trial(trial, objective, (milliseconds or {}).get(trial.plan.id)) for trial in search.ranked()]
    found, explained = importances(trials, direction, seed)
    measured = [trial for trial in trials if trial.milliseconds is not None]
    return SearchSummary(
        task=task,
        objective=objective,
        direction=direction,
        rungs=_rungs(search, preset),
        trials=trials,
        failures=_failures(search),
        seconds=sum(trial.outcome.seconds for trial in search.trials),
        wall_seconds=search.seconds,
        stopped=search.stopped,
        warm_start=search.identity["warm start"],
        importances=found,
        explained=explained,
        bounds=bound_hits(trials, preset.denoiser if task == DENOISER else preset.detector),
        pareto_parameters=_front(trials, direction, [float(trial.parameters) for trial in trials]),
        pareto_latency=_front(measured, direction, [trial.milliseconds or 0.0 for trial in measured]),
    )


def configuration(trial: TrialSummary) -> str:
    """The same text for all trials of one configuration, at whatever rung."""
    return json.dumps(trial.hyperparameters, sort_keys=True)


def best_of_each(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """The best trial of each configuration, best first; ``trials`` are ordered so."""
    best: dict[str, TrialSummary] = {}
    for trial in trials:
        best.setdefault(configuration(trial), trial)
    return list(best.values())


def best_quarter(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """The best trials of the best quarter of configurations, at least four, best first.

    Empty where that would be more than half of them: then they are no choice of the best.
    """
    distinct = best_of_each(trials)
    leaders = max(_LEADERS, math.ceil(len(distinct) / 4))
    return distinct[:leaders] if 2 * leaders <= len(distinct) else []


def shortfall(score: float, direction: str) -> float:
    """How much a score leaves to be wished for: itself if the least is best, its distance from 1 if the most is.

    Always above 0, so that its logarithm exists. A score of which the most is best must be one that ends at 1, such as
    an area under a curve.
    """
    return max(score if direction == "min" else 1 - score, _FLOOR)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other dominates, in the order given; of each coordinate, less is better.

    One point dominates another if it is at least as good in both coordinates and better in one; of equal points,
    neither does.
    """
    return [
        index
        for index, (x, y) in enumerate(points)
        if not any(a <= x and b <= y and (a < x or b < y) for a, b in points)
    ]


def importances(trials: Sequence[TrialSummary], direction: str, seed: int = 0) -> tuple[list[Importance], float | None]:
    """How much each hyperparameter that varies, and the epochs trained, matter for the score; and how sure that is.

    A random forest learns the logarithm of `shortfall` from the hyperparameters. A hyperparameter matters as much as
    the forest's squared error on configurations that it has not seen grows when the values of that hyperparameter are
    shuffled among them, in units of the variance over all trials. Both are repeated on bootstrap samples of the
    configurations, all trials of one together, which gives the intervals. They hold the error of the forest too, and
    so are rather too wide than too narrow. Of choices that go together, as the number of layers and the units of the
    second, each may look less important than it is, since the other stands in for it.

    Breiman L. Random forests. Machine Learning 2001;45:5–32. doi:10.1023/A:1010933404324
    Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, chapter 13.

    Args:
        trials: completed trials.
        direction: ``"min"`` or ``"max"``: which scores are better.
        seed: the same seed gives the same figures.

    Returns:
        The importances, the largest first, and the share of variance that the forest explains of configurations it
        has not seen, which is below 0 where their mean would do better. Empty and ``None`` where there are fewer than
        `FEWEST_CONFIGURATIONS` configurations, or where nothing varies.
    """
    owners = np.unique([configuration(trial) for trial in trials], return_inverse=True)[1]
    names, table = _features(trials)
    target = np.array([math.log10(shortfall(trial.score, direction)) for trial in trials])
    if len(set(owners.tolist())) < FEWEST_CONFIGURATIONS or not names or not np.ptp(target) > 0:
        return [], None
    rng = np.random.default_rng(seed)
    draws = [_one_draw(table, target, owners, rng) for _ in range(_DRAWS)]
    variance = float(target.var())
    explained = float(np.mean([1 - error / variance for error, _ in draws]))
    growth = np.array([shuffled - error for error, shuffled in draws]) / variance
    low, high = np.percentile(growth, _INTERVAL, axis=0)
    found = [
        Importance(name, Estimate(float(growth[:, column].mean()), float(low[column]), float(high[column])))
        for column, name in enumerate(names)
    ]
    return sorted(found, key=lambda item: -item.r2_drop.value), explained


def bound_hits(trials: Sequence[TrialSummary], bounds: HyperparameterRanges) -> list[BoundHit]:
    """The ends of ranges at which at least half of the best quarter of configurations lie.

    Of choices with one or two values nothing is said: each value is an end. A hyperparameter that not every
    configuration has is judged by those of the best quarter that have it, if they are at least four. A learning rate
    lies at an end within a tenth of its logarithmic range.

    Args:
        trials: completed trials, best first.
        bounds: the ranges that were searched.
    """
    leaders = best_quarter(trials)
    hits = []
    for name, (lowest, highest) in _ends(bounds).items():
        values = [t.hyperparameters[name] for t in leaders if t.hyperparameters.get(name) is not None]
        if len(values) < _LEADERS:
            continue
        reach = _EDGE * math.log(highest / lowest) if name == _LEARNING_RATE else 0.0
        for end, place in (("lowest", lowest), ("highest", highest)):
            share = sum(_lies_at(value, place, reach) for value in values) / len(values)
            if share >= 0.5:
                hits.append(BoundHit(name, place, end, share))
    return hits


def _trial(trial: Trial, objective: str, milliseconds: float | None) -> TrialSummary:
    plan, outcome = trial.plan, trial.outcome
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
    ran = [(trial.plan.bracket, trial.plan.rung, trial.outcome.status) for trial in search.trials]
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
        trial.plan.id: trial.outcome.reason
        + (f" ({trial.outcome.attempts} attempts)" if trial.outcome.attempts > 1 else "")
        for trial in search.trials
        if trial.outcome.status == FAILED
    }


def _front(trials: Sequence[TrialSummary], direction: str, costs: Sequence[float]) -> list[str]:
    """Ids of the trials that no other beats in both cost and score, the cheapest first."""
    cost = dict(zip((trial.id for trial in trials), costs, strict=True))
    distinct = best_of_each(trials)
    sign = 1 if direction == "min" else -1
    front = [distinct[index] for index in pareto_front([(cost[t.id], sign * t.score) for t in distinct])]
    return [trial.id for trial in sorted(front, key=lambda trial: cost[trial.id])]


def _features(trials: Sequence[TrialSummary]) -> tuple[list[str], np.ndarray]:
    """Names of what varies, and its values as numbers, shape ``(trials, names)``."""
    names = sorted({name for trial in trials for name in trial.hyperparameters})
    columns = {name: _column(name, [trial.hyperparameters.get(name) for trial in trials]) for name in names}
    columns[EPOCHS] = np.log10([trial.epochs for trial in trials])
    varying = {name: column for name, column in columns.items() if len(set(column.tolist())) > 1}
    return list(varying), np.stack(list(varying.values()), axis=1) if varying else np.empty((len(trials), 0))


def _column(name: str, values: Sequence[Any]) -> np.ndarray:
    """One hyperparameter as numbers; 0 where a trial does not have it."""
    if name == _LEARNING_RATE:
        return np.array([math.log10(value) for value in values])
    words = sorted({value for value in values if isinstance(value, str)})
    return np.array([words.index(v) if isinstance(v, str) else float(v or 0) for v in values], dtype=float)


def _one_draw(
    table: np.ndarray, target: np.ndarray, owners: np.ndarray, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Squared error on the configurations left out of one bootstrap sample: as they are, and by shuffled column."""
    from sklearn.ensemble import RandomForestRegressor

    drawn, left = _bootstrap_sample(owners, rng)
    forest = RandomForestRegressor(_TREES, random_state=int(rng.integers(2**31)), n_jobs=1)
    forest.fit(table[drawn], target[drawn])
    unseen, wanted = table[left], target[left]
    columns = table.shape[1]
    shuffled = np.tile(unseen, (columns, _SHUFFLES, 1, 1))  # all in one call: that of a forest costs more than its rows
    for column in range(columns):
        shuffled[column, :, :, column] = rng.permuted(shuffled[column, :, :, column], axis=1)
    guessed = forest.predict(shuffled.reshape(-1, columns)).reshape(columns, -1, len(left))
    return float(np.mean((forest.predict(unseen) - wanted) ** 2)), ((guessed - wanted) ** 2).mean(axis=(1, 2))


def _bootstrap_sample(owners: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of configurations drawn with replacement, and rows of those not drawn, of which there is at least one."""
    number = int(owners.max()) + 1
    while True:
        drawn = rng.integers(0, number, number)
        left = np.flatnonzero(~np.isin(owners, drawn))
        if len(left):
            return np.concatenate([np.flatnonzero(owners == one) for one in drawn]), left


def _ends(bounds: HyperparameterRanges) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of each number that may take more than two."""
    choices: dict[str, Sequence[float]] = {"layers": bounds.layers}
    choices |= {f"units_{layer}": bounds.units for layer in range(1, max(bounds.layers) + 1)}
    choices |= {"dropout": bounds.dropout, "frame": bounds.frame, "dense_units": bounds.dense_units}
    choices |= {"filters": bounds.filters}
    ends = {name: (min(values), max(values)) for name, values in choices.items() if len(set(values)) > 2}
    if bounds.learning_rate[0] < bounds.learning_rate[1]:
        ends[_LEARNING_RATE] = bounds.learning_rate
    return ends


def _lies_at(value: float, end: float, reach: float) -> bool:
    return value == end if not reach else abs(math.log(value / end)) <= reach
