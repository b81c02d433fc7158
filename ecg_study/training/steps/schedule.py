"""Learning rate over a training, relative to the highest."""

from __future__ import annotations

import math
from dataclasses import dataclass

PLATEAU_FACTOR = 0.5


def cosine(progress: float, *, warmup: float) -> float:
    """Return the relative learning rate that rises in proportion and falls to 0 along half a cosine.

    Args:
        progress: share of the training that is done, from 0 to 1.
        warmup: share of the training in which it rises, from 0 to 1.

    References:
        Loshchilov and Hutter, SGDR: Stochastic gradient descent with warm restarts, ICLR 2017.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return progress / warmup
    return 1.0 if warmup >= 1 else (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


@dataclass
class Plateau:
    """Relative learning rate that is halved when the validation loss has not improved for some validations.

    Attributes:
        patience: validations without improvement after which it is halved.
        rate: the relative learning rate.
        best: lowest validation loss; ``None`` before the first validation.
        waited: validations since the last improvement or halving.
    """

    patience: int
    rate: float = 1.0
    best: float | None = None
    waited: int = 0

    def validated(self, loss: float) -> None:
        """Note a validation loss."""
        if self.best is None or loss < self.best:
            self.best = loss if math.isfinite(loss) else self.best
            self.waited = 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.rate *= PLATEAU_FACTOR
            self.waited = 0
