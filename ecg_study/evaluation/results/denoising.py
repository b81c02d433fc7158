"""What is said of the denoiser."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.evaluation.results.values import Denoising, Estimate, SeedMetrics


@dataclass(frozen=True)
class RecordDenoising:
    """One method on one lead of one record, Gaussian noise of the study's level."""

    record: str
    lead: str
    method: str
    metrics: Denoising


@dataclass(frozen=True)
class DenoisingSummary:
    """One method over all test records: means over records with their intervals.

    Attributes:
        method: its name.
        metrics: measure → mean; the measures are the fields of `Denoising`.
    """

    method: str
    metrics: dict[str, Estimate]


@dataclass(frozen=True)
class NoiseCell:
    """One method on one kind of noise at one level; means over records of the mean over segments.

    Attributes:
        noise_type: `gaussian`, `bw`, `em`, `ma` or `mix`.
        snr: of the input in dB.
        method: its name.
        metrics: measure → mean, as in `DenoisingSummary`.
        by_record: record → SNR improvement in dB, mean over its segments.
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
        name: what it is of: the clean signal, the noise added, or what a method removed.
        density: in dB of mV²/Hz, at the frequencies of the section.
    """

    name: str
    density: list[float]


@dataclass(frozen=True)
class Morphology:
    """Effect of a method on clinically read waves: output minus reference, beat by beat.

    Each estimate is the median over beats with the range of 95 % of the beats.

    Attributes:
        method: its name.
        beats: how many were measured.
        r_amplitude: height of the R wave over the level before the QRS complex, mV.
        qrs_width: ms.
        st_level: level of the ST segment over that before the QRS complex, mV.
        false_st: share of beats whose ST level moved by 0.1 mV or more, which would be read as a finding.
    """

    method: str
    beats: int
    r_amplitude: Estimate
    qrs_width: Estimate
    st_level: Estimate
    false_st: float


@dataclass(frozen=True)
class Trace:
    """A stretch of a test record.

    Attributes:
        rank: best, median or worst of the records by RMSE.
        record: its name.
        lead: its lead.
        start: seconds from the start of the record.
        noisy: mV.
        clean: mV.
        denoised: mV.
        rmse: of the whole lead, in mV.
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
    """The denoiser on test records.

    Attributes:
        summaries: each method under the study's Gaussian noise.
        by_record: the same by record.
        noise: each method by kind of noise and input SNR; empty where it was not measured.
        noise_note: reason why the noise types were not measured; empty if they were.
        frequencies: of the spectra, in Hz.
        spectra: of the clean signal, of the noise, of what each method removed.
        morphology: of each method.
        traces: best, median and worst record.
        seeds: headline figures by seed.
        removes_baseline_wander: whether the recording without its drift is what every method is measured against.
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
