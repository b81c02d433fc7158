"""Applying a model to a recording on disk, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ecg_study.ecg_data.readers.recording import Recording
from ecg_study.errors import RecordError
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector, RPeaks
from ecg_study.progress import Progress


@dataclass(frozen=True)
class DetectedRecording:
    """The R peaks of a recording.

    Attributes:
        recording: what was read.
        samples: its length.
        r_peaks: what was found.
    """

    recording: Recording
    samples: int
    r_peaks: RPeaks


@dataclass(frozen=True)
class DenoisedRecording:
    """A recording without its noise, as a file beside its results: it need not fit into memory.

    Attributes:
        recording: what was read.
        samples: its length.
        path: float32 samples in mV, row by row, a column a lead; NaN where the recording is missing.
        unusable: samples of each lead that came back as they were.
    """

    recording: Recording
    samples: int
    path: Path
    unusable: tuple[int, ...]

    def blocks(self, samples: int) -> Iterator[np.ndarray]:
        """The cleaned leads, so many samples at a time, shape ``(samples, leads)``."""
        leads = len(self.recording.leads)
        with open(self.path, "rb") as source:
            while len(block := np.fromfile(source, np.float32, samples * leads)):
                yield block.reshape(-1, leads)


def detect_recording(
    detector: Detector, recording: Recording, on_progress: Progress | None = None
) -> DetectedRecording:
    """The R peaks of a recording; its leads are judged together.

    Raises:
        RecordError: a part of it cannot be read, or no sample of it is a number.
    """
    stream = detector.stream(fs=recording.fs, n_leads=len(recording.leads))
    parts, done, known = [], 0, False
    for block in recording.blocks():
        parts.append(stream.push(block))
        done += len(block)
        known = known or bool(np.isfinite(block).any())
        _report(on_progress, done, recording)
    _check_known(recording, done, known)
    parts.append(stream.finish())
    return DetectedRecording(recording, done, RPeaks.concatenate(parts))


@contextmanager
def cleaned(
    denoiser: Denoiser, recording: Recording, directory: Path, on_progress: Progress | None = None
) -> Iterator[DenoisedRecording]:
    """Clean each lead of a recording; the result lies in a temporary file in ``directory`` while the block runs.

    Raises:
        RecordError: a part of it cannot be read, or no sample of it is a number.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f".{recording.name}.cleaned"
    leads = len(recording.leads)
    stream = denoiser.stream(fs=recording.fs, n_leads=leads)
    done, known = 0, False
    try:
        with open(path, "wb") as target:
            for block in recording.blocks():
                _append(target, stream.push(block), leads)
                done += len(block)
                known = known or bool(np.isfinite(block).any())
                _report(on_progress, done, recording)
            _check_known(recording, done, known)
            _append(target, stream.finish(), leads)
        yield DenoisedRecording(recording, done, path, stream.unusable)
    finally:
        path.unlink(missing_ok=True)


def _append(target: IO[bytes], clean: np.ndarray, leads: int) -> None:
    rows = clean.reshape(-1, leads)
    target.write(np.where(np.isfinite(rows), rows, np.nan).astype(np.float32).tobytes())


def _report(on_progress: Progress | None, done: int, recording: Recording) -> None:
    if on_progress is not None:
        on_progress(recording.name, done, recording.samples or 0)


def _check_known(recording: Recording, samples: int, known: bool) -> None:
    if not samples:
        raise RecordError(recording.path, "holds no samples")
    if not known:
        raise RecordError(recording.path, f"all {samples:,} samples of {', '.join(recording.leads)} are missing (NaN)")


_ROWS = 500_000
