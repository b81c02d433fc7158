"""The summary of a recording: beats, rate, RR statistics, share that could not be used."""

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
    """What is said of a recording.

    Attributes:
        recording: the file that was read.
        bundle: the model's name.
        engine: what ran it.
        fs: sampling rate in Hz.
        samples: length.
        duration_s: length in seconds.
        leads: that were read.
        unusable_share: share of the samples that could not be used: of all leads at once for R peaks, of lead and
            sample for a cleaned signal.
        unusable: detector: stretches ``(first sample, one after the last)``.
        beats: detector: R peaks found.
        mean_rate_bpm: detector: beats a minute, from the mean RR interval; ``None`` below two beats.
        rr: detector: statistics of the RR intervals in seconds, those over unusable stretches left out: how many, mean,
            median, shortest, longest, standard deviation (SDNN), root mean square of successive differences (RMSSD).
            Every beat counts, whatever it began with: these are not NN intervals of a reviewed recording.
        mean_confidence: detector: mean of the R peaks' confidences.
        disclaimer: what this must not be used for.
    """

    recording: str
    bundle: str
    engine: str
    fs: float
    samples: int
    duration_s: float
    leads: tuple[str, ...]
    unusable_share: float
    unusable: tuple[tuple[int, int], ...] | None = None
    beats: int | None = None
    mean_rate_bpm: float | None = None
    rr: dict[str, float] | None = None
    mean_confidence: float | None = None
    disclaimer: str = field(default=DISCLAIMER)


def summarize_detection(beats: DetectedRecording, bundle: str, engine: str) -> Summary:
    """The summary of R peaks."""
    found = beats.r_peaks
    rr = rr_intervals(beats)
    known = rr[np.isfinite(rr)]
    # A difference is of two intervals that share a beat.
    steps = np.diff(rr)
    steps = steps[np.isfinite(steps)]
    lost = int((found.unusable[:, 1] - found.unusable[:, 0]).sum())
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
    return Summary(
        **_common(beats.recording, beats.samples, bundle, engine),
        unusable_share=round(lost / beats.samples, 6),
        unusable=tuple((int(start), int(end)) for start, end in found.unusable),
        beats=len(found),
        mean_rate_bpm=round(60 / float(known.mean()), 2) if len(known) else None,
        rr={name: round(float(value), 6) for name, value in statistics.items()},
        mean_confidence=round(float(found.confidences.mean()), 4) if len(found) else None,
    )


def summarize_denoising(cleaned: DenoisedRecording, bundle: str, engine: str) -> Summary:
    """The summary of a cleaned recording."""
    share = sum(cleaned.unusable) / (cleaned.samples * len(cleaned.unusable))
    common = _common(cleaned.recording, cleaned.samples, bundle, engine)
    return Summary(**common, unusable_share=round(share, 6))


def _common(recording: Recording, samples: int, bundle: str, engine: str) -> dict[str, Any]:
    return {
        "recording": str(recording.path),
        "bundle": bundle,
        "engine": engine,
        "fs": recording.fs,
        "samples": samples,
        "duration_s": round(samples / recording.fs, 3),
        "leads": recording.leads,
    }


def write_summary(path: Path, summary: Summary) -> None:
    """Write a summary as JSON, without what does not apply."""
    write_json(path, {name: value for name, value in asdict(summary).items() if value is not None})
