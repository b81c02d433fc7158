"""Importance of hyperparameters: permutation importance of a random forest, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ecg_study.evaluation.results.search import EPOCHS, MIN_CONFIGURATIONS, Importance, TrialSummary, as_loss
from ecg_study.evaluation.results.values import Estimate
from ecg_study.search_spaces.hyperparameters import hyperparameter

_DRAWS = 50  # bootstrap samples
_TREES = 60
_SHUFFLES = 8  # of each column, on each draw
_INTERVAL = (2.5, 97.5)  # percentiles


def estimate_importances(
    trials: Sequence[TrialSummary], *, direction: str, seed: int = 0
) -> tuple[list[Importance], float | None]:
    """Estimate how much each hyperparameter and the number of epochs matter for the score.

    A random forest learns the logarithm of the loss (`as_loss`) from the hyperparameters. The importance of a
    hyperparameter is the growth of the forest's squared error on configurations outside its training sample when the
    values of that hyperparameter are shuffled among them, in units of the variance over all trials. Both steps are
    repeated on bootstrap samples of configurations, with all trials of a configuration together, which gives the
    intervals. They include the error of the forest, so they are too wide rather than too narrow. If two choices go
    together, such as the number of layers and the units of the second layer, each can appear less important than it
    is, because the other stands in for it.

    Args:
        trials: completed trials.
        direction: ``"min"`` or ``"max"``.
        seed: seed of the bootstrap.

    Returns:
        The importances, the largest first, and the share of variance that the forest explains in configurations
        outside its training sample; it is negative if the mean of their scores would predict better. Empty and
        ``None`` with fewer than `MIN_CONFIGURATIONS` configurations, or if nothing varies.

    References:
        Breiman L. Random forests. Machine Learning 2001;45:5–32. doi:10.1023/A:1010933404324
        Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall 1993, chapter 13.
    """
    owners = np.unique([trial.configuration for trial in trials], return_inverse=True)[1]
    names, table = _features(trials)
    target = np.array([math.log10(as_loss(trial.score, direction)) for trial in trials])
    if len(set(owners.tolist())) < MIN_CONFIGURATIONS or not names or not np.ptp(target) > 0:
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


def _features(trials: Sequence[TrialSummary]) -> tuple[list[str], np.ndarray]:
    """Return the names of the hyperparameters that vary, and their values as numbers, shape ``(trials, names)``."""
    names = sorted({name for trial in trials for name in trial.hyperparameters})
    columns = {name: _column(name, [trial.hyperparameters.get(name) for trial in trials]) for name in names}
    columns[EPOCHS] = np.log10([trial.epochs for trial in trials])
    varying = {name: column for name, column in columns.items() if len(set(column.tolist())) > 1}
    return list(varying), np.stack(list(varying.values()), axis=1) if varying else np.empty((len(trials), 0))


def _column(name: str, values: Sequence[Any]) -> np.ndarray:
    """Return the values of one hyperparameter as numbers, 0 for a trial without it."""
    if hyperparameter(name).scale == "log":
        return np.array([math.log10(value) for value in values])
    words = sorted({value for value in values if isinstance(value, str)})
    return np.array([words.index(v) if isinstance(v, str) else float(v or 0) for v in values], dtype=float)


def _one_draw(
    table: np.ndarray, target: np.ndarray, owners: np.ndarray, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Return the squared error on configurations outside one bootstrap sample: unchanged, and by shuffled column."""
    from sklearn.ensemble import RandomForestRegressor

    drawn, left = _bootstrap_sample(owners, rng)
    forest = RandomForestRegressor(_TREES, random_state=int(rng.integers(2**31)), n_jobs=1)
    forest.fit(table[drawn], target[drawn])
    unseen, wanted = table[left], target[left]
    columns = table.shape[1]
    shuffled = np.tile(unseen, (columns, _SHUFFLES, 1, 1))  # one call for all: the call costs more than its rows
    for column in range(columns):
        shuffled[column, :, :, column] = rng.permuted(shuffled[column, :, :, column], axis=1)
    guessed = forest.predict(shuffled.reshape(-1, columns)).reshape(columns, -1, len(left))
    return float(np.mean((forest.predict(unseen) - wanted) ** 2)), ((guessed - wanted) ** 2).mean(axis=(1, 2))


def _bootstrap_sample(owners: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of configurations drawn with replacement, and the rows of those not drawn, at least one."""
    number = int(owners.max()) + 1
    while True:
        drawn = rng.integers(0, number, number)
        left = np.flatnonzero(~np.isin(owners, drawn))
        if len(left):
            return np.concatenate([np.flatnonzero(owners == one) for one in drawn]), left
