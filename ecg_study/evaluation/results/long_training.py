"""Result of a long training."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.models.calibration import Calibration

AVERAGED = "averaged_"
"""Start of the names of metrics of the averaged weights in a history."""


@dataclass(frozen=True)
class LongTraining:
    """A training of one configuration, and what was kept of it.

    Attributes:
        task: denoiser or detector.
        database: database of the records.
        parts: records of each part.
        preset: name of the preset.
        hyperparameters: the configuration.
        parameters: trainable weights.
        budget: length of the training, as text.
        segments: segments seen.
        seconds: time of the training.
        kept_segments: segments seen by the weights that are kept.
        averaged: whether these are averages over the steps.
        refit: whether the validation records were trained on too. Then nothing was validated, and the thresholds come
            from a training without them.
        diverged: whether the training ended early because its loss was not finite.
        loss: their loss on the validation records; of a refit, the mean loss of the last training segments.
        objective: name of the validation metric that ranks models, and its value for these weights.
        history: metrics of each validation.
        thresholds: thresholds of the model, chosen on validation records.
        calibration: calibration of a detector, likewise.
    """

    task: str
    database: str
    parts: dict[str, tuple[str, ...]]
    preset: str
    hyperparameters: dict[str, bool | int | float | str]
    parameters: int
    budget: str
    segments: int
    seconds: float
    kept_segments: int
    averaged: bool
    refit: bool
    diverged: bool
    loss: float
    objective: tuple[str, float | None]
    history: list[dict[str, float]]
    thresholds: dict[str, float]
    calibration: Calibration | None = None
