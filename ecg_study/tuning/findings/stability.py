"""How often the best configuration of a search would also be the best with other validation subjects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ecg_study.evaluation.results.search import NEAR_BEST, WinnerStability, as_loss
from ecg_study.training.specs import Trial

_FEWEST_SUBJECTS = 3
_DRAWS = 2_000
_ROUNDING = 1e-12  # of a mean of logarithms, whose terms may be added in another order


def winner_stability(trials: Sequence[Trial], *, direction: str, seed: int) -> WinnerStability | None:
    """Draw the validation subjects again, with replacement, and count which configuration is the best.

    A configuration is represented by its best trial. Its score on a draw is the geometric mean of its scores on the
    subjects drawn. Configurations with the same score share a draw. All trials stay as they are: this says nothing
    about other initial weights.

    Args:
        trials: completed trials, best first.
        direction: ``"min"`` or ``"max"``.
        seed: seed of the draws.

    Returns:
        The counts; ``None`` with fewer than three subjects or two configurations, or without scores of subjects.

    References:
        Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, chapter 6.
    """
    best: dict[str, Trial] = {}
    for trial in trials:
        best.setdefault(repr(sorted(trial.spec.hyperparameters.items())), trial)
    found = list(best.values())
    if not found:
        return None
    subjects = list(found[0].result.subject_scores)
    found = [trial for trial in found if set(trial.result.subject_scores) == set(subjects)]
    if len(subjects) < _FEWEST_SUBJECTS or len(found) < 2:
        return None
    losses = [[as_loss(trial.result.subject_scores[name], direction) for name in subjects] for trial in found]
    drawn = np.random.default_rng(seed).integers(0, len(subjects), (_DRAWS, len(subjects)))
    means = np.log(losses)[:, drawn].mean(axis=2)  # (configurations, draws)
    is_best = means <= means.min(axis=0) + _ROUNDING
    wins = (is_best / is_best.sum(axis=0)).mean(axis=1)
    near = means[0] <= means.min(axis=0) + math.log1p(NEAR_BEST)
    rival = 1 + int(wins[1:].argmax())
    return WinnerStability(
        subjects=len(subjects),
        best=float(wins[0]),
        near_best=float(near.mean()),
        rival=found[rival].spec.id if wins[rival] else None,
        rival_best=float(wins[rival]),
    )
