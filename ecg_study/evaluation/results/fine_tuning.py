"""Results of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.evaluation.results.values import Comparison
from ecg_study.models.calibration import Calibration


@dataclass(frozen=True)
class FineTuning:
    """Fine-tuning of a model, and its results.

    Attributes:
        source: folder of the original model.
        source_sha256: SHA-256 of its model file.
        task: denoiser or detector.
        database: database of the new records.
        parts: records of each part.
        learning_rate: learning rate of Adam.
        best_epoch: epoch whose weights were kept; 0 if no epoch improved the model.
        loss_before: loss on validation records before fine-tuning.
        loss_after: the same after fine-tuning.
        history: metrics after each epoch.
        thresholds: thresholds of the model, chosen on validation records.
        changes: the fine-tuned model against the original one on the test records.
        calibration: calibration of a detector, chosen on validation records.
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
    calibration: Calibration | None = None
