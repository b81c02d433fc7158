"""CSV files: one row per beat, or one row per sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ecg_study.files import replacing, write_text
from ecg_study.prediction.recordings import ROWS_PER_BLOCK, DenoisedRecording, DetectedRecording

_DECIMALS = 4  # 0.1 µV: finer than any converter

_SHORTEST_QRS = 0.06
"""Seconds: a shorter unusable interval hides no beat. If RR intervals with a single missing sample were unknown, long
ones would be left out more often than short ones, and the mean rate would be too high."""


def write_beats_csv(path: Path, detected: DetectedRecording) -> None:
    """Write ``R_peak, time_s, confidence, rr_s``, one row per beat, completely or not at all.

    ``R_peak`` is the sample index. ``time_s`` is the time on the clock of the recording, or from its start if it has no
    clock. ``rr_s`` is the time since the previous beat. It is empty for the first beat, and
    after an unusable interval of 60 ms or more, or an R peak that was left out for its low confidence.
    """
    peaks = detected.r_peaks
    times = detected.recording.start_s + peaks.samples / detected.recording.fs
    rows = ["R_peak,time_s,confidence,rr_s"]
    for sample, time, confidence, rr in zip(
        peaks.samples.tolist(),
        times.tolist(),
        peaks.confidences.tolist(),
        rr_intervals(detected).tolist(),
        strict=True,
    ):
        rows.append(f"{sample},{time:.6f},{confidence:.3f},{'' if np.isnan(rr) else f'{rr:.6f}'}")
    write_text(path, "\n".join(rows) + "\n")


def rr_intervals(detected: DetectedRecording) -> np.ndarray:
    """Return the seconds since the previous beat, shape ``(beats,)``; NaN if unknown."""
    samples = detected.r_peaks.samples
    rr = np.full(len(samples), np.nan)
    rr[1:] = np.diff(samples) / detected.recording.fs
    # Unusable intervals and unsure R peaks before each beat. If their number changes, one lies between two beats.
    unusable = detected.r_peaks.unusable
    long = unusable[np.diff(unusable, axis=1)[:, 0] >= _SHORTEST_QRS * detected.recording.fs]
    for gaps in (long[:, 0], detected.unsure):
        rr[1:][np.diff(np.searchsorted(gaps, samples)) > 0] = np.nan
    return rr


def write_samples_csv(path: Path, result: DetectedRecording | DenoisedRecording) -> None:
    """Write one row per sample: time, signal, and R peaks or denoised signal.

    The columns are ``time_s``, each lead in mV, and ``R_peak`` (1 or 0) or each denoised lead in mV. One lead gives
    the columns ``signal_mv`` and ``denoised_mv``. Several leads give ``LEAD_mv`` and
    ``LEAD_denoised_mv``. The file is written completely or not at all.
    """
    r_peaks = result.r_peaks.samples if isinstance(result, DetectedRecording) else None
    recording = result.recording
    _write_rows(
        path,
        _sample_blocks(result),
        leads=recording.leads,
        fs=recording.fs,
        r_peaks=r_peaks,
        start_s=recording.start_s,
    )


def write_signal_csv(
    path: Path,
    signal: np.ndarray,
    *,
    fs: float,
    denoised: np.ndarray | None = None,
    r_peaks: np.ndarray | None = None,
) -> None:
    """Write ``time_s, signal_mv[, denoised_mv][, R_peak]``, one row per sample.

    The file is written completely or not at all.

    Args:
        path: File to write.
        signal: One lead in mV, shape ``(samples,)``.
        fs: Sampling rate in Hz.
        denoised: The denoised lead in mV, shape ``(samples,)``.
        r_peaks: Sample indices; ``R_peak`` is 1 there and 0 elsewhere.
    """
    after = None if denoised is None else denoised[:, np.newaxis]
    block = signal.astype(np.float64)[:, np.newaxis]
    _write_rows(path, [(block, after)], leads=("signal",), fs=fs, r_peaks=r_peaks)


def _sample_blocks(
    result: DetectedRecording | DenoisedRecording,
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield blocks of the recording in mV, each with the denoised block or ``None``."""
    first = 0
    for block in result.recording.blocks():
        for start in range(0, len(block), ROWS_PER_BLOCK):
            part = block[start : start + ROWS_PER_BLOCK]
            last = first + len(part)
            yield part, result.read(first, last) if isinstance(result, DenoisedRecording) else None
            first = last


def _write_rows(
    path: Path,
    blocks: Iterable[tuple[np.ndarray, np.ndarray | None]],
    *,
    leads: Sequence[str],
    fs: float,
    r_peaks: np.ndarray | None,
    start_s: float = 0.0,
) -> None:
    import pandas as pd

    names = ["signal_mv"] if len(leads) == 1 else [f"{lead}_mv" for lead in leads]
    denoised_names = ["denoised_mv"] if len(leads) == 1 else [f"{lead}_denoised_mv" for lead in leads]
    first = 0
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as target:
        for block, denoised in blocks:
            last = first + len(block)
            columns: dict[str, np.ndarray] = {"time_s": np.round(start_s + np.arange(first, last) / fs, 6)}
            columns |= {name: np.round(block[:, i], _DECIMALS) for i, name in enumerate(names)}
            if denoised is not None:
                rounded = np.round(denoised.astype(np.float64), _DECIMALS)
                columns |= {name: rounded[:, i] for i, name in enumerate(denoised_names)}
            if r_peaks is not None:
                columns["R_peak"] = np.zeros(len(block), np.int8)
                columns["R_peak"][r_peaks[(r_peaks >= first) & (r_peaks < last)] - first] = 1
            pd.DataFrame(columns).to_csv(target, index=False, header=first == 0)
            first = last
