"""Results of denoisers and filters."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.evaluation.results.harm import HarmSection
from ecg_study.evaluation.results.values import Denoising, Estimate, SeedMetrics


@dataclass(frozen=True)
class RecordDenoising:
    """One method on one lead of one record, with the Gaussian noise of the study."""

    record: str
    lead: str
    method: str
    metrics: Denoising


@dataclass(frozen=True)
class DenoisingSummary:
    """One method over all test records.

    Attributes:
        method: name of the method.
        metrics: metric → mean over records with its interval; the metrics are the fields of `Denoising`.
    """

    method: str
    metrics: dict[str, Estimate]


@dataclass(frozen=True)
class NoiseCell:
    """One method under one noise type at one level; means over records of the mean over segments.

    Attributes:
        noise_type: `gaussian`, `bw`, `em`, `ma` or `mix`.
        snr: SNR of the input in dB.
        method: name of the method.
        metrics: metric → mean, as in `DenoisingSummary`.
        by_record: record → SNR improvement in dB, mean over segments.
    """

    noise_type: str
    snr: int
    method: str
    metrics: dict[str, Estimate]
    by_record: dict[str, float]


@dataclass(frozen=True)
class Spectrum:
    """Power spectral density, median over test records.

    Attributes:
        name: the clean signal, the noise added, or the signal removed by a method.
        density: dB of mV²/Hz, at the frequencies of the section.
    """

    name: str
    density: list[float]


@dataclass(frozen=True)
class Morphology:
    """Effect of a method on clinically read waves: output minus reference, beat by beat.

    Each estimate is the median over beats with the range of 95 % of the beats.

    Attributes:
        method: name of the method.
        beats: number of beats.
        r_amplitude: height of the R wave above the level before the QRS complex, mV.
        qrs_width: ms.
        st_level: level of the ST segment above the level before the QRS complex, mV.
        false_st: share of beats whose ST level moves by 0.1 mV or more, which would be read as a finding.
    """

    method: str
    beats: int
    r_amplitude: Estimate
    qrs_width: Estimate
    st_level: Estimate
    false_st: float


@dataclass(frozen=True)
class Trace:
    """An excerpt of a test record.

    Attributes:
        rank: best, median or worst of the records by RMSE.
        record: name of the record.
        lead: name of the lead.
        start: seconds from the start of the record.
        noisy: mV.
        clean: mV.
        denoised: mV.
        rmse: RMSE of the whole lead in mV.
    """

    rank: str
    record: str
    lead: str
    start: float
    noisy: list[float]
    clean: list[float]
    denoised: list[float]
    rmse: float


@dataclass(frozen=True)
class DenoiserSection:
    """Denoiser and filters on test records.

    Attributes:
        summaries: each method with the Gaussian noise of the study.
        by_record: the same by record.
        noise: each method by noise type and input SNR; empty if it was not measured.
        noise_note: reason why the noise types were not measured; empty if they were.
        frequencies: frequencies of the spectra in Hz.
        spectra: spectra of the clean signal, of the noise, and of the signal removed by each method.
        morphology: changes of waves by each method.
        traces: best, median and worst record.
        seeds: headline metrics by seed.
        removes_baseline_wander: the reference of every method is the recording without baseline wander.
        harm: denoising without harm; ``None`` if the denoiser keeps baseline wander.
    """

    summaries: list[DenoisingSummary]
    by_record: list[RecordDenoising]
    noise: list[NoiseCell]
    noise_note: str
    frequencies: list[float]
    spectra: list[Spectrum]
    morphology: list[Morphology]
    traces: list[Trace]
    seeds: list[SeedMetrics]
    removes_baseline_wander: bool
    harm: HarmSection | None
