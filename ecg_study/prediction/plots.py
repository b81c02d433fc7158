"""A picture of a recording: how the rate went, and what the signal looks like where it matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import Recording
from ecg_study.files import replacing
from ecg_study.prediction.csv_files import rr_intervals
from ecg_study.prediction.recordings import DenoisedRecording, DetectedRecording

_SECONDS = 10.0

_INK, _OTHER, _MARK, _LOST = "#1a1a1a", "#0072b2", "#d55e00", "#cccccc"
"""Of Okabe and Ito's palette, which the colour-blind can tell apart."""


def plot_detection(path: Path, beats: DetectedRecording) -> None:
    """Write a PNG: heart rate over time with what could not be used, and ten seconds from the start, the middle and
    around the least sure beat, each with its R peaks."""
    found, recording = beats.r_peaks, beats.recording
    length = round(_SECONDS * recording.fs)
    starts = {"the beginning": 0, "the middle": max(0, beats.samples // 2 - length // 2)}
    if len(found):
        least = int(found.samples[found.confidences.argmin()])
        starts[f"the least sure beat, confidence {found.confidences.min():.2f}"] = max(0, least - length // 2)
    pieces = _pieces(recording, list(starts.values()), length)
    figure, axes = _figure(1 + len(starts), f"{recording.name}: {len(found):,} R peaks")
    _draw_rate(axes[0], beats)
    for axis, (what, start), piece in zip(axes[1:], starts.items(), pieces, strict=True):
        times = (start + np.arange(len(piece))) / recording.fs
        here = found.samples[(found.samples >= start) & (found.samples < start + len(piece))]
        for number, lead in enumerate(recording.leads):
            axis.plot(times, piece[:, number], color=(_INK, _OTHER)[number % 2], linewidth=0.8, label=lead)
        axis.plot(here / recording.fs, piece[here - start, 0], "v", color=_MARK, markersize=5, label="R peak")
        _label(axis, times, what)
    _save(figure, path)


def plot_denoising(path: Path, cleaned: DenoisedRecording) -> None:
    """Write a PNG: ten seconds from the start, the middle and the end of the first lead, noisy and cleaned."""
    recording = cleaned.recording
    length = round(_SECONDS * recording.fs)
    starts = {
        "the beginning": 0,
        "the middle": max(0, cleaned.samples // 2 - length // 2),
        "the end": max(0, cleaned.samples - length),
    }
    before = _pieces(recording, list(starts.values()), length)
    figure, axes = _figure(len(starts), f"{recording.name}, {recording.leads[0]}: as it was, and cleaned")
    leads = len(recording.leads)
    result = np.memmap(cleaned.path, np.float32, "r", shape=(cleaned.samples, leads))
    for axis, (what, start), piece in zip(axes, starts.items(), before, strict=True):
        times = (start + np.arange(len(piece))) / recording.fs
        axis.plot(times, piece[:, 0], color="#999999", linewidth=0.8, label="as it was")
        axis.plot(times, result[start : start + len(piece), 0], color=_OTHER, linewidth=1.0, label="cleaned")
        _label(axis, times, what)
    _save(figure, path)


def _draw_rate(axis: Any, beats: DetectedRecording) -> None:
    fs = beats.recording.fs
    scale, unit = (3600, "h") if beats.samples / fs > 7200 else (60, "min") if beats.samples / fs > 120 else (1, "s")
    rate = 60 / rr_intervals(beats)
    known = np.isfinite(rate)
    axis.plot(beats.r_peaks.samples[known] / fs / scale, rate[known], ".", color=_INK, markersize=2)
    for number, (start, end) in enumerate(beats.r_peaks.unusable):
        label = "unusable" if not number else None
        axis.axvspan(start / fs / scale, end / fs / scale, color=_LOST, linewidth=0, label=label)
    axis.set_xlim(0, beats.samples / fs / scale)
    axis.set_xlabel(f"time ({unit})")
    axis.set_ylabel("rate (beats/min)")
    axis.set_title("Heart rate, beat by beat", loc="left")
    if len(beats.r_peaks.unusable):
        _legend(axis)


def _pieces(recording: Recording, starts: list[int], length: int) -> list[np.ndarray]:
    """Stretches of a recording in mV, read in one pass."""
    pieces: list[list[np.ndarray]] = [[] for _ in starts]
    first = 0
    for block in recording.blocks():
        for piece, start in zip(pieces, starts, strict=True):
            part = block[max(0, start - first) : max(0, start + length - first)]
            piece.append(part)
        first += len(block)
    return [np.concatenate(piece) for piece in pieces]


def _figure(rows: int, title: str) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.3 * rows + 0.4), layout="constrained", dpi=120)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure, list(np.atleast_1d(figure.subplots(rows)))


def _label(axis: Any, times: np.ndarray, what: str) -> None:
    axis.set_title(f"{_SECONDS:.0f} s: {what}", loc="left")
    axis.set_xlabel("time (s)")
    axis.set_ylabel("mV")
    if len(times):
        axis.set_xlim(times[0], times[-1] if times[-1] > times[0] else times[0] + 1)
    _legend(axis)


def _legend(axis: Any) -> None:
    """Above the axes on the right, where no trace is."""
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize="small", frameon=False, borderaxespad=0.2)


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
