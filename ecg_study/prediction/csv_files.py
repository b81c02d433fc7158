"""Writing a lead and what was found in it as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecg_study.files import replacing, write_text
from ecg_study.prediction.recordings import _ROWS, DenoisedRecording, DetectedRecording

_DECIMALS = 4  # 0.1 µV: finer than any converter


def write_signal_csv(
    path: Path,
    fs: float,
    signal: np.ndarray,
    denoised: np.ndarray | None = None,
    r_peaks: np.ndarray | None = None,
) -> None:
    """Write ``time_s, signal_mv[, denoised_mv][, R_peak]``, one row a sample; whole or not at all.

    Args:
        path: the file to write.
        fs: sampling rate in Hz.
        signal: one lead in mV, shape ``(samples,)``.
        denoised: the same lead cleaned, in mV.
        r_peaks: sample indices; ``R_peak`` is 1 there and 0 elsewhere.
    """
    import pandas as pd

    columns = {"time_s": np.round(np.arange(len(signal)) / fs, 6), "signal_mv": _rounded(signal)}
    if denoised is not None:
        columns["denoised_mv"] = _rounded(denoised)
    if r_peaks is not None:
        columns["R_peak"] = np.zeros(len(signal), np.int8)
        columns["R_peak"][r_peaks] = 1
    with replacing(path) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False)


def _rounded(signal: np.ndarray) -> np.ndarray:
    return np.round(signal.astype(np.float64), _DECIMALS)


def write_beats_csv(path: Path, beats: DetectedRecording) -> None:
    """Write ``R_peak, time_s, confidence, rr_s``, one row a beat; whole or not at all.

    ``R_peak`` is the sample index, ``rr_s`` the time since the beat before: empty for the first beat, and where a
    stretch that could not be used lies between.
    """
    found = beats.r_peaks
    times = found.samples / beats.recording.fs
    rr = rr_intervals(beats)
    rows = ["R_peak,time_s,confidence,rr_s"]
    for sample, time, confidence, interval in zip(
        found.samples.tolist(), times.tolist(), found.confidences.tolist(), rr.tolist(), strict=True
    ):
        rows.append(f"{sample},{time:.6f},{confidence:.3f},{'' if np.isnan(interval) else f'{interval:.6f}'}")
    write_text(path, "\n".join(rows) + "\n")


def rr_intervals(beats: DetectedRecording) -> np.ndarray:
    """Seconds since the beat before, shape ``(beats,)``; NaN where none is known."""
    samples, unusable = beats.r_peaks.samples, beats.r_peaks.unusable
    rr = np.full(len(samples), np.nan)
    rr[1:] = np.diff(samples) / beats.recording.fs
    if len(unusable) and len(samples):
        # How many unusable stretches begin before each beat: where that changes, one lies between.
        before = np.searchsorted(unusable[:, 0], samples)
        rr[1:][np.diff(before) > 0] = np.nan
    return rr


def write_samples_csv(path: Path, result: DetectedRecording | DenoisedRecording) -> None:
    """Write one row a sample: ``time_s``, each lead in mV, and ``R_peak`` (1 or 0) or each lead denoised.

    With one lead the columns are ``signal_mv`` and ``denoised_mv``; with more, the names of the leads with ``_mv`` and
    ``_denoised_mv``.
    """
    import pandas as pd

    recording = result.recording
    names = ["signal"] if len(recording.leads) == 1 else list(recording.leads)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as target:
        first = 0
        clean = _Blocks(result.blocks(_ROWS)) if isinstance(result, DenoisedRecording) else None
        for block in _cut(recording.blocks(), _ROWS):
            columns = {"time_s": np.round(np.arange(first, first + len(block)) / recording.fs, 6)}
            columns |= {f"{name}_mv": np.round(block[:, i], _DECIMALS) for i, name in enumerate(names)}
            if clean is not None:
                cleaned = clean.take(len(block)).astype(np.float64)
                denoised = ["denoised_mv"] if len(names) == 1 else [f"{name}_denoised_mv" for name in names]
                columns |= {name: np.round(cleaned[:, i], _DECIMALS) for i, name in enumerate(denoised)}
            elif isinstance(result, DetectedRecording):
                columns["R_peak"] = np.zeros(len(block), np.int8)
                samples = result.r_peaks.samples
                here = samples[(samples >= first) & (samples < first + len(block))]
                columns["R_peak"][here - first] = 1
            pd.DataFrame(columns).to_csv(target, index=False, header=first == 0)
            first += len(block)


def _cut(blocks: Iterator[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    for block in blocks:
        for first in range(0, len(block), rows):
            yield block[first : first + rows]


class _Blocks:
    """Blocks of one size, given in others."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self._held: np.ndarray | None = None

    def take(self, rows: int) -> np.ndarray:
        """The next rows."""
        parts, missing = [], rows
        while missing:
            held = next(self._blocks) if self._held is None else self._held
            parts.append(held[:missing])
            self._held = held[missing:] if len(held) > missing else None
            missing -= len(parts[-1])
        return np.concatenate(parts)
