"""Applying a bundle to a WFDB record on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checkpoints.apply import apply_model, pick_r_peaks
from checkpoints.bundle import Bundle
from checkpoints.tables import write_signal_csv
from ecg_data import Record, RecordError, StudyError, read_record


@dataclass(frozen=True)
class Prediction:
    """What a bundle made of one lead.

    Attributes:
        record: the record that was read.
        denoised: the cleaned lead in mV, shape ``(samples,)``; ``None`` from a detector.
        r_peaks: sample indices of the R peaks; ``None`` from a denoiser.
    """

    record: Record
    denoised: np.ndarray | None
    r_peaks: np.ndarray | None


def predict_record(
    bundle: Bundle, path: Path, lead: str, progress: Callable[[int, int], None] | None = None
) -> Prediction:
    """Clean one lead of a record, or find its R peaks. No annotations are needed.

    Args:
        bundle: the model.
        path: the record, with or without ``.hea``.
        lead: name of a lead, or ``"auto"`` (MLII, else the first).
        progress: called with the segments done and their total.

    Raises:
        RecordError: the record cannot be read, is shorter than a segment, or has another sampling rate than the
            model.
    """
    card = bundle.card
    record = read_record(path, lead, annotator=None)
    if record.fs != card.fs:
        raise RecordError(path, f"has {record.fs:g} Hz, the model was trained at {card.fs:g} Hz; resample it first")
    if len(record.signal) < card.segment:
        seconds = card.segment / card.fs
        raise RecordError(path, f"{len(record.signal):,} samples are shorter than a segment ({seconds:.1f} s)")
    output = apply_model(bundle.model, record.signal[:, 0], card.segment, progress)
    if card.task == "denoiser":
        return Prediction(record, output, None)
    peaks = pick_r_peaks(output, card.thresholds["r_peak"], round(card.refractory * card.fs))
    return Prediction(record, None, peaks)


def prediction_path(directory: Path, record: Path, task: str) -> Path:
    """Where the prediction for a record is written: its name with what was made of it."""
    name = record.stem if record.suffix == ".hea" else record.name
    return directory / f"{name}.{'denoised' if task == 'denoiser' else 'r_peaks'}.csv"


def write_prediction(path: Path, prediction: Prediction, overwrite: bool = False) -> None:
    """Write a prediction as CSV.

    Raises:
        StudyError: the file exists and may not be overwritten.
    """
    if path.exists() and not overwrite:
        raise StudyError(f"{path}: exists; give --overwrite to replace it, or another --out")
    signal = prediction.record.signal[:, 0]
    write_signal_csv(path, prediction.record.fs, signal, prediction.denoised, prediction.r_peaks)
