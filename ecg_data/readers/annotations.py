"""Annotations of WFDB records: beats, rhythms and noise marks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import as_record_errors
from ecg_study.errors import RecordError, one_line

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""Annotation codes of beats (``isqrs`` in WFDB); all other codes mark rhythms, noise or waves."""


@dataclass(frozen=True)
class Annotations:
    """All annotations of a record in order of time.

    Attributes:
        samples: int64 sample indices, shape ``(annotations,)``.
        symbols: WFDB codes.
        texts: auxiliary texts, such as ``"(AFIB"`` where a rhythm begins; empty for most annotations.
        subtypes: for noise marks (``~``), bits for the noisy and unreadable leads.
    """

    samples: np.ndarray
    symbols: tuple[str, ...]
    texts: tuple[str, ...]
    subtypes: tuple[int, ...]


def read_annotations(path: Path, *, annotator: str = "atr") -> Annotations:
    """Read all annotations of a record.

    Raises:
        RecordError: the file is missing or damaged.
    """
    with as_record_errors(path):
        annotation = _open(path, annotator)
    texts = tuple((text or "").rstrip("\x00") for text in annotation.aux_note)
    samples = np.asarray(annotation.sample, dtype=np.int64)
    return Annotations(samples, tuple(annotation.symbol), texts, tuple(int(kind) for kind in annotation.subtype))


def annotation_file(path: Path, *, annotator: str) -> Path:
    """Return the annotation file of a record.

    Raises:
        RecordError: it is missing.
    """
    file = path.with_name(f"{path.name}.{annotator}")
    if not file.is_file():
        raise RecordError(file, "no annotations; the R peaks of a record are read from this file")
    return file


def read_r_peaks(
    path: Path, *, annotator: str, fs: float, samples: int
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Read the R peaks and the intervals of ventricular flutter of a record.

    Args:
        path: path of the record without extension.
        annotator: extension of the annotation file.
        fs: sampling rate of the signal in Hz.
        samples: length of the signal.

    Returns:
        Strictly increasing sample indices, int64; and intervals ``(start, end)`` in samples, end excluded.

    Raises:
        RecordError: the file is missing or damaged, has no beats, or does not belong to the signal.
    """
    file = path.with_name(f"{path.name}.{annotator}")
    annotation = _open(path, annotator)
    if annotation.fs and annotation.fs != fs:
        raise RecordError(file, f"its times are at {annotation.fs:g} Hz, but the signal has {fs:g} Hz")
    is_beat = np.array([symbol in BEAT_SYMBOLS for symbol in annotation.symbol], dtype=bool)
    r_peaks = np.unique(np.asarray(annotation.sample, dtype=np.int64)[is_beat])
    if not len(r_peaks):
        raise RecordError(file, "no beat annotation")
    if r_peaks[0] < 0 or r_peaks[-1] >= samples:
        wrong = r_peaks[0] if r_peaks[0] < 0 else r_peaks[-1]
        raise RecordError(file, f"a beat is annotated at sample {wrong:,}, but the signal has {samples:,} samples")
    return r_peaks, _flutter(annotation, samples)


def _open(path: Path, annotator: str) -> Any:
    import wfdb

    file = annotation_file(path, annotator=annotator)
    try:
        return wfdb.rdann(str(path), annotator)
    except Exception as error:  # wfdb raises errors of many types while parsing
        raise RecordError(file, f"not a WFDB annotation file ({one_line(error)})") from error


def _flutter(annotation: Any, samples: int) -> tuple[tuple[int, int], ...]:
    """Return the intervals from ``[`` to ``]``; one that is never closed ends with the record."""
    intervals: list[tuple[int, int]] = []
    start: int | None = None
    for sample, symbol in zip(annotation.sample, annotation.symbol, strict=True):
        if symbol == "[" and start is None:
            start = int(sample)
        elif symbol == "]" and start is not None:
            intervals.append((start, int(sample) + 1))
            start = None
    if start is not None:
        intervals.append((start, samples))
    return tuple(intervals)
