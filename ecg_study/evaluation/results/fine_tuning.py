"""What further training of a bundle gave, as values."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.evaluation.results.values import Comparison


@dataclass(frozen=True)
class FineTuning:
    """Further training of a bundle, and what it gave.

    Attributes:
        source: folder of the original model.
        source_sha256: SHA-256 of its model file.
        task: denoiser or detector.
        database: what it was trained on.
        parts: records of each part.
        learning_rate: of Adam.
        best_epoch: whose weights were kept; 0 where no epoch was better than none.
        loss_before: on validation records.
        loss_after: likewise.
        history: after each epoch.
        thresholds: detector: chosen on validation records.
        changes: the fine-tuned model against the original one on the test records.
    """

    source: str
    source_sha256: str
    task: str
    database: str
    parts: dict[str, tuple[str, ...]]
    learning_rate: float
    best_epoch: int
    loss_before: float
    loss_after: float
    history: list[dict[str, float]]
    thresholds: dict[str, float]
    changes: tuple[Comparison, ...]
