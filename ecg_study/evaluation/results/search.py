"""What is said of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecg_study.evaluation.results.values import Estimate


@dataclass(frozen=True)
class RungSummary:
    """One rung as planned and as run."""

    bracket: int
    rung: int
    epochs: int
    planned: int
    completed: int
    failed: int


@dataclass(frozen=True)
class TrialSummary:
    """One completed trial.

    Attributes:
        id: of the trial.
        bracket: its bracket.
        rung: its rung.
        hyperparameters: the configuration.
        epochs: trained in all, over all rungs.
        parameters: trainable weights.
        score: best validation objective.
        seconds: of training in this trial.
        ended: seconds of searching until it ended.
        milliseconds: to pass one segment through the network, in batches; ``None`` where it was not measured.
        curve: epochs and the validation objective after each, of this trial alone; ``None`` where not finite.
    """

    id: str
    bracket: int
    rung: int
    hyperparameters: dict[str, Any]
    epochs: int
    parameters: int
    score: float
    seconds: float
    ended: float
    milliseconds: float | None
    curve: list[tuple[int, float | None]]


@dataclass(frozen=True)
class Importance:
    """How much a hyperparameter matters for the score.

    Attributes:
        hyperparameter: its name.
        r2_drop: drop of the explained variance (R²) when its values are shuffled, near 0 for one that does not matter,
            with its 95 % interval from a bootstrap over configurations.
    """

    hyperparameter: str
    r2_drop: Estimate


@dataclass(frozen=True)
class BoundHit:
    """A hyperparameter of which the best trials want the end of its range.

    Attributes:
        hyperparameter: its name.
        value: the end of the range.
        end: ``"lowest"`` or ``"highest"``.
        share: how many of the leaders lie there, from 0 to 1.
    """

    hyperparameter: str
    value: float
    end: str
    share: float


@dataclass(frozen=True)
class SearchSummary:
    """One search.

    Attributes:
        task: denoiser or detector.
        objective: validation metric.
        direction: ``"min"`` or ``"max"``.
        rungs: planned and run.
        trials: all completed trials, best first.
        failures: trial id → reason.
        seconds: time of all trials together.
        wall_seconds: time that the search took, trials side by side.
        stopped: why it ended before its plan; empty where it did not.
        warm_start: the study whose best configurations were tried first; empty for none.
        importances: of each hyperparameter that varies and of the epochs trained, the largest first; empty where
            there are too few trials to tell.
        explained: share of the variance of configurations left out that the model behind the importances explains
            (R²); ``None`` where there are too few trials.
        bounds: where the best lie at the end of a range.
        pareto_parameters: ids of the trials that no other beats in both score and parameters.
        pareto_latency: likewise in score and milliseconds, of those measured.
    """

    task: str
    objective: str
    direction: str
    rungs: list[RungSummary]
    trials: list[TrialSummary]
    failures: dict[str, str]
    seconds: float
    wall_seconds: float
    stopped: str
    warm_start: str
    importances: list[Importance]
    explained: float | None
    bounds: list[BoundHit]
    pareto_parameters: list[str]
    pareto_latency: list[str]
