"""Result of scoring a model in training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scored:
    """Score of the present weights.

    Attributes:
        metrics: the score under its name; NaN if an output of the network is not finite.
        by_subject: the score of each validation subject alone, at the threshold that others chose; empty if there is
            one subject only.
    """

    metrics: dict[str, float]
    by_subject: dict[str, float] = field(default_factory=dict)
