"""Budget of a training: segments, epochs or hours."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ecg_study.ecg_data.segments.stream import SegmentStream
from ecg_study.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class TrainingBudget:
    """How long a training lasts, in exactly one unit.

    Attributes:
        segments: segments that the model sees, each as often as it is shown.
        epochs: passes over the training records.
        hours: time of the training with its validation, over all runs of the program.

    Raises:
        SettingsError: none or several are given, or one is not positive.
    """

    segments: int | None = None
    epochs: int | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            problem = "choose segments or epochs or hours, exactly one of them"
            raise SettingsError("hours", problem, parameters=("segments", "epochs"))
        for name, value in given.items():
            if not value > 0 or not math.isfinite(value):
                raise SettingsError(name, f"{value} must be positive", value=value)

    def __str__(self) -> str:
        """Return the budget as text."""
        unit, value = next((name, value) for name, value in vars(self).items() if value is not None)
        text = f"{value:g}" if unit == "hours" else f"{value:,}"
        return f"{text} {unit.removesuffix('s') if value == 1 else unit}"

    @property
    def seconds(self) -> float | None:
        """Time in seconds; ``None`` if the budget is not a time."""
        return None if self.hours is None else 3600 * self.hours

    def steps(self, stream: SegmentStream) -> int | None:
        """Return the number of batches; ``None`` if the budget is a time."""
        if self.epochs is not None:
            return self.epochs * stream.batches_per_epoch
        return None if self.segments is None else steps_for(stream, self.segments)


def segments_in(stream: SegmentStream, steps: int) -> int:
    """Return the number of segments in the first ``steps`` batches of a stream."""
    epochs, rest = divmod(steps, stream.batches_per_epoch)
    return epochs * stream.segments_per_epoch + min(rest * stream.batch_size, stream.segments_per_epoch)


def steps_for(stream: SegmentStream, segments: int) -> int:
    """Return the number of batches of a stream that have at least ``segments`` segments."""
    epochs, rest = divmod(segments, stream.segments_per_epoch)
    return epochs * stream.batches_per_epoch + math.ceil(rest / stream.batch_size)
