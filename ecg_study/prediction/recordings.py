"""Block-by-block application of a model to a recording on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from ecg_study.ecg_data.readers.recording import Recording
from ecg_study.errors import RecordError
from ecg_study.files import temporary_path
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.progress import Progress

ROWS_PER_BLOCK = 500_000
"""Samples per lead that are in memory at once while results are written."""


@dataclass(frozen=True)
class DetectedRecording:
    """A recording with its R peaks.

    Attributes:
        recording: The recording.
        samples: Samples per lead.
        r_peaks: R peaks of all leads together.
        unsure: Sample indices of the R peaks that were left out for their low confidence.
    """

    recording: Recording
    samples: int
    r_peaks: RPeaks
    unsure: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class DenoisedRecording:
    """A recording with its denoised leads.

    The denoised leads are in a temporary file, because they may not fit into memory.

    Attributes:
        recording: The recording.
        samples: Samples per lead.
        path: File with the denoised samples in mV, float32, row by row with one column per lead. Missing samples are
            NaN.
        unusable: Number of samples of each lead that were not denoised.
        snr_db: Estimated SNR of each lead in each second in dB, shape ``(seconds, leads)``; see
            `inference.denoiser.Denoised`.
    """

    recording: Recording
    samples: int
    path: Path
    unusable: tuple[int, ...]
    snr_db: np.ndarray

    def read(self, first: int, last: int) -> np.ndarray:
        """Read the denoised samples ``first`` to ``last``, exclusive, shape ``(samples, leads)``."""
        leads = len(self.recording.leads)
        size = np.dtype(np.float32).itemsize
        count = (min(last, self.samples) - first) * leads
        return np.fromfile(self.path, np.float32, count, offset=first * leads * size).reshape(-1, leads)

    def blocks(self) -> Iterator[np.ndarray]:
        """Read the denoised samples in blocks of `ROWS_PER_BLOCK`, shape ``(samples, leads)``."""
        for first in range(0, self.samples, ROWS_PER_BLOCK):
            yield self.read(first, first + ROWS_PER_BLOCK)


def detect_recording(
    detector: Detector, recording: Recording, *, min_confidence: float = 0.0, on_progress: Progress | None = None
) -> DetectedRecording:
    """Detect the R peaks of a recording from all its leads together.

    Args:
        detector: Detector to apply.
        recording: Recording to read.
        min_confidence: Lowest confidence of the R peaks.
        on_progress: Callback, called with the name of the recording, the samples that are done, and their total. If the
            total is unknown, it is called with the samples that are done instead.

    Raises:
        RecordError: A part of the recording cannot be read, or all samples are missing.
    """
    stream = detector.stream(fs=recording.fs, n_leads=len(recording.leads))
    parts, done, known = [], 0, False
    for block in recording.blocks():
        parts.append(stream.push(block))
        done += len(block)
        known = known or bool(np.isfinite(block).any())
        _report(on_progress, recording, done)
    _check_known(recording, done, known)
    parts.append(stream.finish())
    found = RPeaks.concatenate(parts)
    unsure = found.samples[found.confidences < min_confidence]
    return DetectedRecording(recording, done, found.above(min_confidence), unsure)


@contextmanager
def denoise_recording(
    denoiser: Denoiser, recording: Recording, *, directory: Path, on_progress: Progress | None = None
) -> Iterator[DenoisedRecording]:
    """Denoise each lead of a recording.

    The result is a temporary file that exists while the ``with`` block runs.

    Args:
        denoiser: Denoiser to apply.
        recording: Recording to read.
        directory: Folder of the temporary file.
        on_progress: Callback; see `detect_recording`.

    Raises:
        RecordError: A part of the recording cannot be read, or all samples are missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    leads = len(recording.leads)
    stream = denoiser.stream(fs=recording.fs, n_leads=leads)
    done, known = 0, False
    with temporary_path(directory, f"{recording.name}.denoised") as path:
        with open(path, "wb") as target:
            for block in recording.blocks():
                _append(target, stream.push(block), leads)
                done += len(block)
                known = known or bool(np.isfinite(block).any())
                _report(on_progress, recording, done)
            _check_known(recording, done, known)
            _append(target, stream.finish(), leads)
        yield DenoisedRecording(recording, done, path, stream.unusable, stream.snr_db())


def _append(target: IO[bytes], denoised: np.ndarray, leads: int) -> None:
    rows = denoised.reshape(-1, leads)
    target.write(np.where(np.isfinite(rows), rows, np.nan).astype(np.float32).tobytes())


def _report(on_progress: Progress | None, recording: Recording, done: int) -> None:
    if on_progress is not None:
        on_progress(recording.name, done, recording.samples or done)


def _check_known(recording: Recording, samples: int, known: bool) -> None:
    if not samples:
        raise RecordError(recording.path, "has no samples")
    if not known:
        leads = ", ".join(recording.leads)
        raise RecordError(recording.path, f"all {samples:,} samples of lead {leads} are missing (NaN)")
