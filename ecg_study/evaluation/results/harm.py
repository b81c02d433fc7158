"""Results of "Denoising without harm": what a denoiser does to recordings from clean to noisy."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.evaluation.results.values import Estimate

EXACT_HIGHPASS = "high-pass of the reference, 0.5 Hz"
"""The method that defines the reference and changes nothing else."""

WAVE_UNITS = {
    "r_amplitude": "mV",
    "qrs_amplitude": "mV",
    "qrs_width": "ms",
    "st_level": "mV",
    "st_slope": "mV/s",
    "t_amplitude": "mV",
    "t_end": "ms",
}
"""Measure of a wave → its unit; the measures are the fields of `morphology.Waves`."""


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
        changes: measure → its change, see `WAVE_UNITS`. ``None`` if no beat has it.
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


@dataclass(frozen=True)
class HarmCell:
    """One method under one noise type at one level.

    Attributes:
        noise_type: `bw`, `em`, `ma` or `mix`.
        snr: SNR of the input in dB.
        method: name of the method.
        improvement: SNR improvement in dB, mean over records.
        worst_tenth: tenth percentile over records in dB.
        above_highpass: difference to the high-pass that defines the reference, paired by record, in dB.
        by_record: record → SNR improvement in dB.
        by_database: database → `above_highpass` of its records; empty for records of one database.
        morphology: changes of waves; ``None`` at levels at which they are not measured, or without beats.
    """

    noise_type: str
    snr: int
    method: str
    improvement: Estimate
    worst_tenth: float
    above_highpass: Estimate
    by_record: dict[str, float]
    by_database: dict[str, Estimate]
    morphology: MorphologyChange | None


@dataclass(frozen=True)
class CleanCell:
    """One method on recordings to which no noise is added.

    Attributes:
        method: name of the method.
        change: power of output minus reference over that of the reference: mean over records, then in dB; ``None`` if
            both are equal, as for the high-pass that defines the reference.
        worst_tenth: ninetieth percentile over records in dB; ``None`` likewise.
        by_record: record → the same in dB; empty likewise.
        by_database: database → `change` of its records; empty likewise, and for records of one database.
        morphology: changes of waves; ``None`` without beats.
    """

    method: str
    change: Estimate | None
    worst_tenth: float | None
    by_record: dict[str, float]
    by_database: dict[str, Estimate]
    morphology: MorphologyChange | None


@dataclass(frozen=True)
class HarmSection:
    """Denoising without harm.

    Attributes:
        reference: what every output is compared with.
        noisy: each noise type, level and method.
        clean: each method without added noise.
    """

    reference: str
    noisy: list[HarmCell]
    clean: list[CleanCell]
