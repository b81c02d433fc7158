"""Which checkpoints a search still needs: the rest are removed as it goes, so that its disk use is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ecg_study.training.specs import COMPLETED, Trial
from ecg_study.training.weights import weights_path
from ecg_study.tuning.schedule import Rung


def needed_weights(schedule: Iterable[Rung], finished: Sequence[Trial], direction: str) -> set[str]:
    """The trials whose weights may still be asked for: the best one, and all that may yet be gone on from.

    A rung promotes its best. Once as many trials are better as are promoted, a trial is out for good; one that was
    promoted is needed until the trial that goes on from it has ended.

    Args:
        schedule: the whole plan.
        finished: trials that have ended.
        direction: ``"min"`` or ``"max"``: which scores are better.
    """
    sign = 1 if direction == "min" else -1
    completed = [trial for trial in finished if trial.outcome.status == COMPLETED]
    scores = {trial.plan.id: sign * (trial.outcome.score or 0.0) for trial in completed}
    gone_on_from = {trial.plan.parent for trial in finished}
    promoted = {(rung.iteration, rung.bracket, rung.rung - 1): rung.trials for rung in schedule if rung.rung}
    needed = set()
    if completed:
        needed.add(min(scores, key=lambda trial: scores[trial]))
    for place, seats in promoted.items():
        here = [t.plan.id for t in completed if (t.plan.iteration, t.plan.bracket, t.plan.rung) == place]
        for trial in here:
            better = sum(scores[other] < scores[trial] for other in here)
            if better < seats and trial not in gone_on_from:
                needed.add(trial)
    return needed


def most_weights(schedule: Iterable[Rung]) -> int:
    """The most checkpoints that can be needed at once, but for equal scores."""
    return 1 + sum(rung.trials for rung in schedule if rung.rung)


def remove_unneeded(directory: Path, needed: set[str]) -> None:
    """Remove all weights in a search's folder but these."""
    kept = {weights_path(directory, trial).name for trial in needed}
    for path in directory.glob("*.npz"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
