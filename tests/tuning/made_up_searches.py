"""Searches whose scores are a known function of configuration and epochs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.presets import HyperparameterRanges, Preset
from ecg_study.training.specs import COMPLETED, TrainingResult, TrainingSpec, Trial
from ecg_study.tuning.findings.analysis import summarize_search
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.state import SearchResult

_RANGES = HyperparameterRanges(
    layers=(1, 2, 3),
    units=(16, 32, 48, 64, 96),
    dropout=(0.0, 0.1, 0.2, 0.3),
    frame=(4, 8, 16),
    direction=("forward", "both"),
    learning_rate=(5e-4, 1e-2),
)
_LARGE = replace(PRESETS["standard"], max_epochs=27, factor=3, iterations=1, brackets=None)
LARGE = replace(_LARGE, denoiser=_RANGES, detector=replace(_RANGES, dense_units=(0, 32, 64)))
"""70 trials of 49 configurations."""

SMALL = replace(LARGE, max_epochs=6)
"""10 trials of 8 configurations."""

OBJECTIVES = {DENOISER: ("val_loss", "min"), DETECTOR: ("val_window_pr_auc", "max")}

Configuration = dict[str, Any]
Score = Callable[[Configuration, int], float]
"""Validation score of a configuration after a number of epochs."""


def draw(task: str, ranges: HyperparameterRanges, *, rng: np.random.Generator) -> Configuration:
    """Draw a configuration as Keras Tuner would."""

    def choose(values: tuple[Any, ...]) -> Any:
        return values[int(rng.integers(len(values)))]

    layers = choose(ranges.layers)
    drawn = {"layers": layers} | {f"units_{number}": choose(ranges.units) for number in range(1, layers + 1)}
    drawn |= {name: choose(getattr(ranges, name)) for name in ("dropout", "frame", "direction")}
    drawn["learning_rate"] = float(np.exp(rng.uniform(*np.log(ranges.learning_rate))))
    last = "residual" if task == DENOISER else "dense_units"
    return drawn | {last: choose(getattr(ranges, last))}


def weights(configuration: Configuration) -> int:
    """Estimate the number of weights of a network."""
    units = [configuration[f"units_{number}"] for number in range(1, configuration["layers"] + 1)]
    inputs = [configuration["frame"], *units]
    total = sum(4 * unit * (unit + before + 1) for unit, before in zip(units, inputs, strict=False))
    return int(total * (2 if configuration["direction"] == "both" else 1))


def made_up_search(task: str, preset: Preset, *, score: Score, seed: int = 0) -> SearchResult:
    """Run a whole Hyperband search whose scores are a function of configuration and epochs."""
    rng = np.random.default_rng(seed)
    sign = 1 if OBJECTIVES[task][1] == "min" else -1
    trials: list[Trial] = []
    above: list[Trial] = []
    drawn, clock = 0, 0.0
    for rung in schedule_of(preset):
        here = []
        for seat in range(rung.trials):
            if rung.rung == 0:
                number, configuration = f"{drawn:03d}", draw(task, getattr(preset, task), rng=rng)
                drawn += 1
            else:
                number, configuration = above[seat].spec.id[:3], above[seat].spec.hyperparameters
            parent = above[seat].spec.id if rung.rung else None
            plan = TrainingSpec(
                id=f"{number}-r{rung.rung}",
                parent=parent,
                iteration=rung.iteration,
                bracket=rung.bracket,
                rung=rung.rung,
                initial_epoch=rung.initial_epoch,
                epochs=rung.epochs,
                hyperparameters=configuration,
            )
            clock += 20.0 * (rung.epochs - rung.initial_epoch)
            here.append(finish(task, plan, score=score, ended=clock))
        trials += here
        above = sorted(here, key=lambda trial: sign * (trial.result.score or 0))
    return SearchResult(Path("made-up"), {"warm start": ""}, OBJECTIVES[task], tuple(trials), True, "", clock + 5)


def finish(task: str, plan: TrainingSpec, *, score: Score, ended: float) -> Trial:
    """Complete a trial."""
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
    """Score that depends on the units of the first layer alone."""
    return 0.01 / float(configuration["units_1"]) * (1 + 0.01 / epochs)


def realistic(configuration: Configuration, epochs: int) -> float:
    """Mean squared error that falls with the epochs, faster with a better learning rate; with some noise."""
    off = abs(math.log10(configuration["learning_rate"] / 4e-3))
    floor = 8e-4 * (64 / configuration["units_1"]) ** 0.3 * (1 + configuration["dropout"])
    floor *= 0.8 if configuration["direction"] == "both" else 1.0
    noise = math.sin(1e5 * configuration["learning_rate"] + epochs)
    return float(floor * (1 + (3 + 6 * off) * epochs**-0.7) * (1 + 0.04 * noise))


def realistic_area(configuration: Configuration, epochs: int) -> float:
    """Area under a curve that rises in the same way."""
    return 1 - min(0.9, 12 * realistic(configuration, epochs))


REALISTIC: dict[str, Score] = {DENOISER: realistic, DETECTOR: realistic_area}


@cache
def summary_by_units() -> SearchSummary:
    """Summarize 70 trials whose score depends on the units of the first layer alone."""
    return summarize_search(DENOISER, made_up_search(DENOISER, LARGE, score=by_units), preset=LARGE)


@cache
def realistic_summary(task: str) -> SearchSummary:
    """Summarize 70 trials of a task, all with a measured inference time."""
    search = made_up_search(task, LARGE, score=REALISTIC[task])
    times = {trial.spec.id: 0.1 + (trial.result.parameters or 0) / 1e5 for trial in search.trials}
    return summarize_search(task, search, preset=LARGE, milliseconds=times)


def summary_of_two(task: str, *, scores: tuple[float, float], ended: tuple[float, float]) -> SearchSummary:
    """Summarize a search of 100 s with one trial and the trial that continues it."""
    first = made_up_search(task, SMALL, score=lambda *_: scores[0]).trials[0]
    second = replace(
        first,
        spec=replace(first.spec, id="000-r1", parent="000-r0", rung=1),
        result=replace(first.result, score=scores[1]),
    )
    trials = tuple(replace(trial, ended=time) for trial, time in zip((first, second), ended, strict=True))
    found = SearchResult(Path("made-up"), {"warm start": ""}, OBJECTIVES[task], trials, True, "", 100.0)
    return summarize_search(task, found, preset=SMALL)
