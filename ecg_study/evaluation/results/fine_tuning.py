"""What further training of a bundle gave, as values."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.evaluation.results.values import Estimate


@dataclass(frozen=True)
class Change:
    """One figure on the test records, before and after.

    Attributes:
        figure: its name.
        before: of the bundle as it came, with its interval over records.
        after: of the bundle trained further.
        gain: by how much it is better, paired by record.
        real: whether the interval of the gain lies on one side of 0, with enough records for that to mean something.
    """

    figure: str
    before: Estimate
    after: Estimate
    gain: Estimate
    real: bool


@dataclass(frozen=True)
class FineTuning:
    """Further training of a bundle, and what it gave.

    Attributes:
        bundle: where it came from.
        parent: SHA-256 of the model it began with.
        task: denoiser or detector.
        database: what it was trained on.
        parts: records of each part.
        learning_rate: of Adam.
        best_epoch: whose weights were kept; 0 where no epoch was better than none.
        loss_before: on validation records.
        loss_after: likewise.
        history: after each epoch.
        thresholds: detector: chosen on validation records.
        changes: on test records.
    """

    bundle: str
    parent: str
    task: str
    database: str
    parts: dict[str, tuple[str, ...]]
    learning_rate: float
    best_epoch: int
    loss_before: float
    loss_after: float
    history: list[dict[str, float]]
    thresholds: dict[str, float]
    changes: tuple[Change, ...]
