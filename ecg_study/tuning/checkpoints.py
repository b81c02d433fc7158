"""Weights that a search still needs; the others are removed during the search to limit its disk use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ecg_study.training.specs import COMPLETED, Trial
from ecg_study.training.weights import weights_path
from ecg_study.tuning.schedule import Rung


def needed_weights(finished: Sequence[Trial], *, schedule: Iterable[Rung], direction: str) -> set[str]:
    """Return the ids of the trials whose weights may still be used: the best trial, and those that can continue.

    A rung promotes its best trials. Once as many trials are better as the rung promotes, a trial is out. A promoted
    trial is needed until the trial that continues it has ended.

    Args:
        finished: trials that have ended.
        schedule: the whole schedule.
        direction: ``"min"`` or ``"max"``.
    """
    sign = 1 if direction == "min" else -1
    completed = [trial for trial in finished if trial.result.status == COMPLETED]
    scores = {trial.spec.id: sign * (trial.result.score or 0.0) for trial in completed}
    continued = {trial.spec.parent for trial in finished}
    promoted = {(rung.iteration, rung.bracket, rung.rung - 1): rung.trials for rung in schedule if rung.rung}
    needed = set()
    if completed:
        needed.add(min(scores, key=lambda trial: scores[trial]))
    for place, seats in promoted.items():
        here = [t.spec.id for t in completed if (t.spec.iteration, t.spec.bracket, t.spec.rung) == place]
        for trial in here:
            better = sum(scores[other] < scores[trial] for other in here)
            if better < seats and trial not in continued:
                needed.add(trial)
    return needed


def most_weights(schedule: Iterable[Rung]) -> int:
    """Return the largest number of weights files needed at a time, if no scores are equal."""
    return 1 + sum(rung.trials for rung in schedule if rung.rung)


def remove_unneeded(directory: Path, needed: set[str]) -> None:
    """Remove all weights from a search's folder except those of the trials in ``needed``."""
    kept = {weights_path(directory, trial).name for trial in needed}
    for path in directory.glob("*.npz"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
