"""History of a training, and the weights that are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ecg_study.training.specs import TrainingOptions, is_better
from ecg_study.training.steps.network import Network

LOSS = "val_loss"
"""Decides which weights of a final training are kept, for the detector too. Near its maximum, the area under the curve
of windows, which ranks trials, depends on a few windows and varies from epoch to epoch; the loss does not."""

AVERAGED = "averaged_"
"""Start of the names of metrics of the averaged weights."""


@dataclass
class Record:
    """History and best result of a training, as stored in its state.

    Attributes:
        history: metrics of each validation.
        score: what the options compare, for the weights that are kept; ``None`` before there are any.
        epoch: epoch of these weights.
        averaged: whether they are the averaged ones.
        not_better: validations since the last improvement.
        initial_loss: validation loss of the initial weights, if they may be kept.
        stopped: whether the training ends early: it diverged, or its patience is over.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    score: float | None = None
    epoch: float | None = None
    averaged: bool = False
    not_better: int = 0
    initial_loss: float | None = None
    stopped: bool = False


class Recorder:
    """Keeps the history of a training, and the weights of one validation.

    Args:
        network: the model in training.
        options: what is kept, and for how long no improvement is accepted.
        objective: metric that ranks trials, and its direction.
        validated: whether the training is validated.
    """

    def __init__(
        self, network: Network, options: TrainingOptions, *, objective: tuple[str, str], validated: bool
    ) -> None:
        self.record = Record()
        self.best: list[np.ndarray] = []
        self._network, self._options = network, options
        self._metric, self._direction = {
            "last scored": (objective[0], ""),
            "best loss": (LOSS, "min"),
            "last": (LOSS if validated else "loss", ""),
            "last validated": (LOSS, ""),
        }[options.keep]

    def add(self, row: dict[str, float], metrics: dict[str, float]) -> None:
        """Add a validation, and keep its weights if they are better.

        Args:
            row: ``"epoch"`` and what else describes the place in the training.
            metrics: losses and metrics. Those of the averaged weights have names that start with `AVERAGED`.
        """
        record = self.record
        # JSON has no NaN or infinity; a metric that is missing in the history was not finite.
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        record.history.append({**row, **finite})
        raw, averaged = metrics.get(self._metric, math.nan), metrics.get(AVERAGED + self._metric, math.nan)
        use_averaged = math.isfinite(averaged) and is_better(averaged, raw, direction=self._direction or "min")
        score = averaged if use_averaged else raw
        if self._options.keep == "last":
            record.score, record.epoch = (score, row["epoch"]) if math.isfinite(score) else (None, None)
            # As without validation, where nothing says which are better.
            record.averaged = self._network.averages
        elif self._options.keep == "last validated":
            if math.isfinite(score):
                self._keep(score, row["epoch"], use_averaged)
        elif self._options.keep == "last scored":
            # A score can be good by chance where a loss is not finite.
            if len(finite) == len(metrics) and math.isfinite(score):
                self._keep(score, row["epoch"], use_averaged)
        elif is_better(score, record.score, direction=self._direction):
            self._keep(score, row["epoch"], use_averaged)
            record.not_better = 0
        else:
            record.not_better += 1
            record.stopped |= self._options.stops_early and record.not_better >= self._options.patience

    def _keep(self, score: float, epoch: float, averaged: bool) -> None:
        self.record.score, self.record.epoch, self.record.averaged = score, epoch, averaged
        if averaged:
            with self._network.averaged_weights():
                self.best = self._network.variables()
        else:
            self.best = self._network.variables()

    def kept_variables(self, initial: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the variables of model and optimizer to be kept.

        Args:
            initial: variables before the training, which are kept if no validation was better.
        """
        record = self.record
        if record.initial_loss is not None and record.score is not None and not record.score < record.initial_loss:
            record.score, record.epoch, record.averaged = record.initial_loss, 0, False
            return list(initial)
        if self._options.keep != "last":
            return self.best
        if not record.averaged:
            return self._network.variables()
        with self._network.averaged_weights():
            return self._network.variables()

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return asdict(self.record)
