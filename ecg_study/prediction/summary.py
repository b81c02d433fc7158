"""Summary of one recording: heart rate, RR statistics, and the share of unusable samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import Recording
from ecg_study.files import write_json
from ecg_study.models.card import DISCLAIMER
from ecg_study.prediction.csv_files import rr_intervals
from ecg_study.prediction.recordings import DenoisedRecording, DetectedRecording


@dataclass(frozen=True)
class Summary:
    """Summary of the result of a model on one recording.

    Attributes:
        recording: Path of the recording.
        model: Name of the model.
        runtime: Runtime of the model.
        fs: Sampling rate in Hz.
        samples: Samples per lead.
        duration_s: Duration in seconds.
        start_s: Time of the first sample in seconds on the clock of the recording, 0 without a clock.
        leads: Names of the leads.
        start_time: Date and time of the first sample in ISO 8601, if the file has it.
        unusable_share: Share of unusable samples, 0 to 1. For a detector, those of `RPeaks.unusable`; for a
            denoiser, samples of all leads.
        unusable: Detector: unusable intervals as ``(first sample, sample after the last)``.
        beats: Detector: number of R peaks.
        mean_rate_bpm: Detector: beats per minute, from the mean RR interval; ``None`` for fewer than two beats.
        unsure_beats: Detector: number of R peaks that were left out for their low confidence.
        rr: Detector: number and statistics of the RR intervals in seconds, without those across unusable intervals and
            unsure beats: mean, median, shortest, longest, standard deviation (SDNN), and root mean square of successive
            differences (RMSSD). All beats count, normal or not, so these are not the NN intervals of a reviewed
            recording.
        mean_confidence: Detector: mean confidence of the R peaks.
        median_snr_db: Denoiser: estimated SNR of each lead in dB, the median over all seconds; ``None`` if it is not
            known.
        disclaimer: Uses that are excluded.
    """

    recording: str
    model: str
    runtime: str
    fs: float
    samples: int
    duration_s: float
    start_s: float
    leads: tuple[str, ...]
    unusable_share: float
    unusable: tuple[tuple[int, int], ...] | None = None
    beats: int | None = None
    unsure_beats: int | None = None
    mean_rate_bpm: float | None = None
    rr: dict[str, float] | None = None
    mean_confidence: float | None = None
    median_snr_db: tuple[float | None, ...] | None = None
    start_time: str | None = None
    disclaimer: str = field(default=DISCLAIMER)


def summarize_detection(detected: DetectedRecording, *, model_name: str, runtime: str) -> Summary:
    """Summarize the R peaks of a recording.

    Args:
        detected: Recording with its R peaks.
        model_name: Name of the model.
        runtime: Name of its runtime.
    """
    peaks = detected.r_peaks
    rr = rr_intervals(detected)
    known = rr[np.isfinite(rr)]
    unusable = int((peaks.unusable[:, 1] - peaks.unusable[:, 0]).sum())
    return Summary(
        **_common(detected.recording, detected.samples, model_name, runtime),
        unusable_share=round(unusable / detected.samples, 6),
        unusable=tuple((int(start), int(end)) for start, end in peaks.unusable),
        beats=len(peaks),
        unsure_beats=len(detected.unsure),
        mean_rate_bpm=round(60 / float(known.mean()), 2) if len(known) else None,
        rr=_rr_statistics(rr),
        mean_confidence=round(float(peaks.confidences.mean()), 4) if len(peaks) else None,
    )


def _rr_statistics(rr: np.ndarray) -> dict[str, float]:
    known = rr[np.isfinite(rr)]
    # Successive differences of two intervals that share a beat.
    steps = np.diff(rr)
    steps = steps[np.isfinite(steps)]
    statistics = {"intervals": float(len(known))}
    if len(known):
        statistics |= {
            "mean": known.mean(),
            "median": np.median(known),
            "shortest": known.min(),
            "longest": known.max(),
        }
    if len(known) > 1:
        statistics["sdnn"] = known.std(ddof=1)
    if len(steps):
        statistics["rmssd"] = np.sqrt(np.mean(steps**2))
    return {name: round(float(value), 6) for name, value in statistics.items()}


def summarize_denoising(denoised: DenoisedRecording, *, model_name: str, runtime: str) -> Summary:
    """Summarize a denoised recording.

    Args:
        denoised: Recording with its denoised leads.
        model_name: Name of the model.
        runtime: Name of its runtime.
    """
    share = sum(denoised.unusable) / (denoised.samples * len(denoised.unusable))
    common = _common(denoised.recording, denoised.samples, model_name, runtime)
    known = [lead[np.isfinite(lead)] for lead in denoised.snr_db.T]
    median = tuple(round(float(np.median(lead)), 1) if len(lead) else None for lead in known)
    return Summary(**common, unusable_share=round(share, 6), median_snr_db=median)


def _common(recording: Recording, samples: int, model_name: str, runtime: str) -> dict[str, Any]:
    return {
        # A name that is not UTF-8 has escapes: JSON has only Unicode.
        "recording": str(recording.path).encode("utf-8", "backslashreplace").decode(),
        "model": model_name,
        "runtime": runtime,
        "fs": recording.fs,
        "samples": samples,
        "duration_s": round(samples / recording.fs, 3),
        "start_s": recording.start_s,
        "start_time": recording.start_time or None,
        "leads": recording.leads,
    }


def write_summary(path: Path, summary: Summary) -> None:
    """Write a summary as JSON, without the fields that do not apply."""
    write_json(path, {name: value for name, value in asdict(summary).items() if value is not None})
