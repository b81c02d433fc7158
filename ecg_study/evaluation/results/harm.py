"""Results of "Denoising without harm": what a denoiser does to recordings from clean to noisy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WaveChange:
    """Change of one measure of a wave, output minus reference, over beats.

    Attributes:
        median: signed median, in the unit of the measure.
        p95: 95th percentile of the absolute change.
    """

    median: float
    p95: float


@dataclass(frozen=True)
class MorphologyChange:
    """Changes of clinically read waves over all beats.

    Attributes:
        beats: number of beats.
        t_waves: number of beats with a T wave that is high enough to have an end.
        changes: measure → its change; the measures are the fields of `morphology.Waves`. ``None`` if no beat has it.
        false_st: share of beats whose ST level moves by 0.1 mV or more.
        false_qrs: share of beats whose QRS duration changes by 20 ms or more.
        false_qt: share of T waves whose end moves by 20 ms or more; ``None`` without T waves.
    """

    beats: int
    t_waves: int
    changes: dict[str, WaveChange | None]
    false_st: float
    false_qrs: float
    false_qt: float | None
