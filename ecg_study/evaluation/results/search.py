"""Results of a hyperparameter search: trials, importances and findings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecg_study.evaluation.results.values import Estimate

EPOCHS = "epochs"
"""Name of the number of training epochs among the importances; all other names are hyperparameters."""

MIN_CONFIGURATIONS = 12
"""Fewest configurations for which importances are estimated.

With fewer, each bootstrap sample leaves out four or five configurations to test on, and every interval contains 0.
"""

SIGNIFICANCE_LEVEL = 0.05

NEAR_BEST = 0.05
"""Relative difference in loss from the best trial within which a smaller network is a good substitute."""

_MIN_LOSS = 1e-9
"""Losses this close to 0 count as equal, so that their logarithm exists."""


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
        id: name of the trial, configuration number and rung.
        bracket: its bracket.
        rung: its rung.
        hyperparameters: the configuration.
        epochs: epochs trained, over all rungs.
        parameters: trainable weights.
        score: validation objective at its end.
        seconds: training time of this trial.
        ended: search time at which it ended, in s.
        milliseconds: inference time per segment, in batches; ``None`` if it was not measured.
        curve: epoch and validation objective after each epoch of this trial; ``None`` for an objective that was not
            finite.
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

    @property
    def configuration(self) -> str:
        """Text that identifies the configuration: equal for its trials on all rungs."""
        return json.dumps(self.hyperparameters, sort_keys=True)


@dataclass(frozen=True)
class Importance:
    """Importance of a hyperparameter for the score.

    Attributes:
        hyperparameter: its name, or `EPOCHS`.
        r2_drop: loss of explained variance (R²) when the values of the hyperparameter are shuffled, near 0 for one that
            does not matter, with its 95 % interval from a bootstrap over configurations.
    """

    hyperparameter: str
    r2_drop: Estimate


@dataclass(frozen=True)
class RangeEnd:
    """A hyperparameter whose best values lie at an end of its range.

    Attributes:
        hyperparameter: its name.
        value: the end of the range.
        end: ``"lowest"`` or ``"highest"``.
        share: share of the best quarter of configurations that lies there, from 0 to 1.
    """

    hyperparameter: str
    value: float
    end: str
    share: float


@dataclass(frozen=True)
class RangeEndTest:
    """Test whether the best configurations lie at the end of a range more often than all configurations do.

    Attributes:
        hyperparameter: its name.
        best: configurations of the best quarter that have the hyperparameter.
        best_at_end: those of them at the end of the range.
        all: completed configurations that have the hyperparameter.
        all_at_end: those of them at the end of the range; ``None`` for a continuous hyperparameter.
        p_value: probability of at least ``best_at_end`` configurations at the end by chance.
        can_be_wider: whether values beyond the end exist.
    """

    hyperparameter: str
    best: int
    best_at_end: int
    all: int
    all_at_end: int | None
    p_value: float
    can_be_wider: bool

    @property
    def significant(self) -> bool:
        """True if chance is an unlikely explanation."""
        return self.p_value <= SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class Preference:
    """Values of a hyperparameter among the best quarter of configurations and among all.

    Attributes:
        hyperparameter: its name.
        best: configurations of the best quarter that have the hyperparameter; 0 if none has it.
        all: completed configurations that have it.
        value: value that the best quarter has more often than all configurations, and more than by chance; ``None`` if
            there is none, or for a continuous hyperparameter.
        best_with_value: configurations of the best quarter with this value.
        all_with_value: completed configurations with this value.
        best_quartiles: first and third quartile in the best quarter, of a continuous hyperparameter.
        all_quartiles: first and third quartile of all completed configurations, of a continuous hyperparameter.
    """

    hyperparameter: str
    best: int
    all: int
    value: Any = None
    best_with_value: int = 0
    all_with_value: int = 0
    best_quartiles: tuple[float, float] | None = None
    all_quartiles: tuple[float, float] | None = None


@dataclass(frozen=True)
class SecondHalf:
    """Improvement in the second half of the search time.

    Attributes:
        seconds: search time.
        score_before: best score in the first half; ``None`` if no trial was completed in it.
        reduction: share by which the second half reduced the best loss (`as_loss`), from 0 to 1; ``None`` if it did
            not find a better trial, or if the first half had no trial.
    """

    seconds: float
    score_before: float | None
    reduction: float | None


@dataclass(frozen=True)
class RankChanges:
    """Changes in the order of configurations that were promoted from the same rung.

    Attributes:
        pairs: pairs of configurations promoted together.
        swapped: pairs whose order was reversed on the next rung.
    """

    pairs: int
    swapped: int


@dataclass(frozen=True)
class WinnerStability:
    """How often the best configuration stays the best if the validation subjects are drawn again, with replacement.

    Attributes:
        subjects: number of validation subjects.
        best: share of the draws in which it is the best, from 0 to 1; a draw with several best is divided among them.
        near_best: share in which its loss is within `NEAR_BEST` of the best.
        rival: id of the trial of the other configuration that is the best most often; ``None`` if there is none.
        rival_best: share of the draws in which that one is the best.
    """

    subjects: int
    best: float
    near_best: float
    rival: str | None
    rival_best: float


@dataclass(frozen=True)
class SearchFindings:
    """Statistics about the choices of a search.

    Attributes:
        configurations: different configurations among the completed trials.
        best_configurations: size of the best quarter of configurations; 0 if there are too few to choose from.
        preferences: of the hyperparameters whose importance has an interval above 0, the most important first.
        range_ends: one test for each item of `SearchSummary.bounds`, in the same order.
        second_half: ``None`` with fewer than two completed trials.
        rank_changes: ``None`` with too few pairs.
        smallest_near_best: id of the trial with the smallest network within `NEAR_BEST` of the best loss; the best
            trial's id if no smaller network is near it; ``None`` with fewer than two configurations.
        untried: hyperparameter → values of its range that no configuration had, failed ones included; ``None`` in a
            report written before they were stored.
        stability: ``None`` with fewer than three validation subjects, without scores of each, or in a report written
            before it was stored.
    """

    configurations: int
    best_configurations: int
    preferences: list[Preference]
    range_ends: list[RangeEndTest]
    second_half: SecondHalf | None
    rank_changes: RankChanges | None
    smallest_near_best: str | None
    untried: dict[str, list[Any]] | None = None
    stability: WinnerStability | None = None


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
        seconds: training time of all trials together.
        wall_seconds: search time, with trials in parallel.
        stopped: reason for an end before the whole schedule was run; empty otherwise.
        warm_start: study whose best configurations were tried first; empty for none.
        importances: of each hyperparameter that varies and of the epochs trained, the largest first; empty with too
            few trials.
        explained: share of the variance (R²) of unseen configurations that the model behind the importances explains;
            ``None`` with too few trials.
        bounds: ends of ranges at which the best configurations lie.
        pareto_parameters: ids of the trials that no other trial beats in both score and parameters.
        pareto_latency: likewise for score and milliseconds, of the trials with a measured time.
        findings: statistics about the choices; ``None`` in a report written before they were stored.
        pretrained: model from whose weights trials of its network started; empty for none.
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
    bounds: list[RangeEnd]
    pareto_parameters: list[str]
    pareto_latency: list[str]
    findings: SearchFindings | None = None
    pretrained: str = ""


def best_per_configuration(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """Return the best trial of each configuration.

    Args:
        trials: completed trials, best first.
    """
    best: dict[str, TrialSummary] = {}
    for trial in trials:
        best.setdefault(trial.configuration, trial)
    return list(best.values())


def as_loss(score: float, direction: str) -> float:
    """Express a score as a positive loss, of which less is better.

    Args:
        score: validation objective. One that is maximized must have its optimum at 1, as an area under a curve.
        direction: ``"min"`` or ``"max"``.

    Returns:
        The score itself if it is minimized, its distance from 1 if it is maximized.
    """
    return max(score if direction == "min" else 1 - score, _MIN_LOSS)
