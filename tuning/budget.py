"""How much a search may spend."""

from __future__ import annotations

from dataclasses import dataclass

from tuning.words import duration


@dataclass(frozen=True)
class Budget:
    """Limits of one search, counted over all runs of the program that worked on it; ``None`` for no limit.

    Attributes:
        seconds: time spent searching.
        trials: trials, failed ones too.
    """

    seconds: float | None = None
    trials: int | None = None

    def left(self, spent: float) -> float | None:
        """Seconds left after so many were spent."""
        return None if self.seconds is None else max(0.0, self.seconds - spent)

    def over(self, spent: float, trials: int) -> str:
        """Which limit is reached, in words; empty while none is."""
        if self.seconds is not None and spent >= self.seconds:
            return f"its budget of {duration(self.seconds)} is spent"
        if self.trials is not None and trials >= self.trials:
            return f"its budget of {self.trials} trials is spent"
        return ""
