"""Plots of one recording: heart rate, and excerpts of the signal with the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import Recording
from ecg_study.files import replacing
from ecg_study.formatting import printable
from ecg_study.prediction.csv_files import rr_intervals
from ecg_study.prediction.recordings import DenoisedRecording, DetectedRecording

_EXCERPT_SECONDS = 10.0

_LONGEST_TITLE = 100
_LONGEST_NAME = 16
"""Characters of the name of a lead beside the axes."""

_BLACK, _BLUE, _ORANGE, _GRAY, _LIGHT_GRAY = "#1a1a1a", "#0072b2", "#d55e00", "#999999", "#cccccc"
"""Blue and orange are from the palette of Okabe and Ito, which works for color-blind readers."""


@contextmanager
def _plain_text() -> Iterator[None]:
    """Show names from files as they are: a dollar sign does not begin a formula."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        yield


@_plain_text()
def plot_detection(path: Path, detected: DetectedRecording) -> None:
    """Write a PNG with the heart rate and three excerpts with their R peaks.

    The heart rate is shown over time, with the unusable intervals. The excerpts of ten seconds are from the start, from
    the middle, and around the R peak with the lowest confidence. A shorter recording is shown whole. Several leads are
    drawn below each other, each around its median.
    """
    peaks, recording = detected.r_peaks, detected.recording
    length = round(_EXCERPT_SECONDS * recording.fs)
    starts = _starts(detected.samples, length=length)
    if len(peaks) and detected.samples > length:
        lowest = int(peaks.samples[peaks.confidences.argmin()])
        around = min(max(0, lowest - length // 2), detected.samples - length)
        starts[
            f"lowest confidence, {peaks.confidences.min():.2f}, at {recording.start_s + lowest / recording.fs:.1f} s"
        ] = around
    excerpts = _excerpts(recording, list(starts.values()), length)
    heights = [2.3, *[_leads_height(len(recording.leads))] * len(starts)]
    figure, axes = _new_figure(f"{recording.name}: {len(peaks):,} R peaks", heights=heights)
    _draw_rate(axes[0], detected)
    for axis, (title, start), excerpt in zip(axes[1:], starts.items(), excerpts, strict=True):
        times = recording.start_s + (start + np.arange(len(excerpt))) / recording.fs
        here = peaks.samples[(peaks.samples >= start) & (peaks.samples < start + len(excerpt))]
        if len(recording.leads) == 1:
            _draw_lead(axis, times, excerpt[:, 0], name=recording.leads[0], peaks=here - start)
        else:
            _draw_leads(axis, times, excerpt, names=recording.leads, peaks=here - start)
        _label(axis, times, title)
        _shade(axis, detected, scale=1)
    _save(figure, path)


def _leads_height(leads: int) -> float:
    """Return the height of an excerpt in inches."""
    return 2.3 if leads <= 2 else 1.0 + (0.6 if leads <= 6 else 0.45) * leads


def _draw_lead(axis: Any, times: np.ndarray, signal: np.ndarray, *, name: str, peaks: np.ndarray) -> None:
    """Draw one lead in mV, and its R peaks."""
    axis.plot(times, signal, color=_BLACK, linewidth=0.8, label=printable(name))
    axis.plot(times[peaks], signal[peaks], "v", color=_ORANGE, markersize=5, label="R peak")
    axis.set_ylabel("signal (mV)")


def _draw_leads(axis: Any, times: np.ndarray, excerpt: np.ndarray, *, names: Sequence[str], peaks: np.ndarray) -> None:
    """Draw several leads below each other, at the same scale, and a line at each R peak."""
    distance = _distance(excerpt)
    levels = -distance * np.arange(len(names))
    top, bottom = 0.6 * distance, levels[-1] - 0.6 * distance
    for level, signal in zip(levels, excerpt.T, strict=True):
        known = signal[np.isfinite(signal)]
        middle = np.median(known) if len(known) else 0.0
        axis.plot(times, signal - middle + level, color=_BLACK, linewidth=0.8)
        top = max(top, known.max(initial=-np.inf) - middle + level)
        bottom = min(bottom, known.min(initial=np.inf) - middle + level)
    for number, time in enumerate(times[peaks]):
        axis.axvline(time, color=_ORANGE, linewidth=0.7, label=None if number else "R peak", zorder=1)
    axis.set_yticks(levels, [_shortened(name) for name in names])
    margin = 0.05 * distance
    axis.set_ylim(max(bottom - margin, levels[-1] - 1.5 * distance), min(top + margin, 1.5 * distance))
    axis.set_ylabel(f"leads, {distance:g} mV apart")


def _distance(excerpt: np.ndarray) -> float:
    """Return a round distance in mV at which the leads of an excerpt, shape ``(samples, leads)``, hardly overlap."""
    ranges = [
        np.ptp(np.quantile(lead[np.isfinite(lead)], (0.002, 0.998))) for lead in excerpt.T if np.isfinite(lead).any()
    ]
    # An artifact in a few leads must not flatten the others.
    wanted = min(0.8 * max(ranges, default=0.0), 3 * float(np.median(ranges or [0.0]))) or 1.0
    power = 10 ** np.floor(np.log10(wanted))
    return float(next(factor * power for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if factor * power >= 0.999 * wanted))


def _shortened(name: str) -> str:
    """Return a name that fits beside the axes; long names often differ at their ends only."""
    name = printable(name)
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


@_plain_text()
def plot_denoising(path: Path, denoised: DenoisedRecording) -> None:
    """Write a PNG with the estimated SNR of the first lead, and three excerpts before and after denoising.

    The excerpts of ten seconds are from the start, the middle and the end. A shorter recording is shown
    whole. Below each excerpt is what was removed, without its mean.
    """
    recording = denoised.recording
    length = round(_EXCERPT_SECONDS * recording.fs)
    starts = _starts(denoised.samples, length=length)
    if denoised.samples > length:
        starts["end"] = denoised.samples - length
    before = _excerpts(recording, list(starts.values()), length)
    heights = [1.5, *(2.2, 1.3) * len(starts)]
    title = f"{recording.name}, {recording.leads[0]}: recorded and denoised"
    figure, axes = _new_figure(title, heights=heights)
    _draw_snr(axes[0], denoised)
    for number, ((title, start), excerpt) in enumerate(zip(starts.items(), before, strict=True)):
        upper, lower = axes[1 + 2 * number : 3 + 2 * number]
        times = recording.start_s + (start + np.arange(len(excerpt))) / recording.fs
        after = denoised.read(start, start + len(excerpt))[:, 0]
        upper.plot(times, excerpt[:, 0], color=_GRAY, linewidth=0.8, label="recorded")
        upper.plot(times, after, color=_BLUE, linewidth=1.0, label="denoised")
        removed = excerpt[:, 0] - after
        known = removed[np.isfinite(removed)]
        lower.plot(times, removed - (known.mean() if len(known) else 0), color=_ORANGE, linewidth=0.8)
        _label(upper, times, title)
        upper.set_ylabel("signal (mV)")
        upper.set_xlabel("")
        upper.tick_params(labelbottom=False)
        lower.set_ylabel("removed (mV)")
        lower.set_xlabel("time (s)")
        lower.set_xlim(upper.get_xlim())
    _save(figure, path)


def _draw_snr(axis: Any, denoised: DenoisedRecording) -> None:
    seconds, start = denoised.samples / denoised.recording.fs, denoised.recording.start_s
    scale, unit = _time_scale(seconds)
    snr = denoised.snr_db[:, 0]
    # Each value holds for a second, the last one too, and a step ends at the last value.
    edges = np.minimum(np.arange(len(snr) + 1), seconds)
    axis.step((start + edges) / scale, np.append(snr, snr[-1:]), where="post", color=_BLACK, linewidth=0.8)
    axis.set_xlim(start / scale, (start + seconds) / scale)
    axis.set_xlabel(f"time ({unit})")
    axis.set_ylabel("SNR (dB)")
    known = np.isfinite(snr).any()
    axis.set_title("Estimated SNR, each second" + ("" if known else ": not known"), loc="left")


def _draw_rate(axis: Any, detected: DetectedRecording) -> None:
    fs = detected.recording.fs
    seconds, start = detected.samples / fs, detected.recording.start_s
    scale, unit = _time_scale(seconds)
    rate = 60 / rr_intervals(detected)
    known = np.isfinite(rate)
    axis.plot((start + detected.r_peaks.samples[known] / fs) / scale, rate[known], ".", color=_BLACK, markersize=2)
    _shade(axis, detected, scale=scale)
    axis.set_xlim(start / scale, (start + seconds) / scale)
    axis.set_xlabel(f"time ({unit})")
    axis.set_ylabel("rate (beats/min)")
    axis.set_title("Heart rate, beat by beat", loc="left")
    if len(detected.r_peaks.unusable):
        _add_legend(axis)


def _shade(axis: Any, detected: DetectedRecording, *, scale: float) -> None:
    """Shade the unusable intervals on a time axis whose unit is ``scale`` seconds; its limits stay as they are."""
    fs, start = detected.recording.fs, detected.recording.start_s
    shown = axis.get_xlim()
    for number, (first, last) in enumerate(detected.r_peaks.unusable):
        ends = (start + first / fs) / scale, (start + last / fs) / scale
        axis.axvspan(*ends, color=_LIGHT_GRAY, linewidth=0, label=None if number else "unusable", zorder=0)
    axis.set_xlim(shown)


def _time_scale(seconds: float) -> tuple[int, str]:
    """Return the seconds in the unit of a time axis, and its name."""
    return (3600, "h") if seconds > 7200 else (60, "min") if seconds > 120 else (1, "s")


def _starts(samples: int, *, length: int) -> dict[str, int]:
    """Return the first samples of the excerpts that show a recording of ``samples``, by title."""
    if samples <= length:
        return {"whole recording": 0}
    return {"start": 0, "middle": samples // 2 - length // 2}


def _excerpts(recording: Recording, starts: list[int], length: int) -> list[np.ndarray]:
    """Return excerpts of a recording in mV, read in one pass."""
    excerpts: list[list[np.ndarray]] = [[] for _ in starts]
    first = 0
    for block in recording.blocks():
        for excerpt, start in zip(excerpts, starts, strict=True):
            part = block[max(0, start - first) : max(0, start + length - first)]
            excerpt.append(part)
        first += len(block)
    return [np.concatenate(excerpt) for excerpt in excerpts]


def _new_figure(title: str, *, heights: Sequence[float]) -> tuple[Any, list[Any]]:
    """Return a figure with axes of these heights in inches below each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, sum(heights) + 0.4), layout="constrained", dpi=120)
    figure.suptitle(_fitting(printable(title)), x=0.01, ha="left", fontweight="bold")
    return figure, list(np.atleast_1d(figure.subplots(len(heights), gridspec_kw={"height_ratios": heights})))


def _fitting(title: str) -> str:
    """Return a title, shortened if it is wider than the figure."""
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"


def _label(axis: Any, times: np.ndarray, title: str) -> None:
    # An excerpt at the end of a recording may be shorter.
    seconds = (times[-1] - times[0]) * len(times) / (len(times) - 1) if len(times) > 1 else 0.0
    axis.set_title(f"{seconds:.0f} s: {title}", loc="left")
    axis.set_xlabel("time (s)")
    if len(times):
        axis.set_xlim(times[0], times[-1] if times[-1] > times[0] else times[0] + 1)
    _add_legend(axis)


def _add_legend(axis: Any) -> None:
    """Add a legend above the axes on the right, where it hides no signal."""
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize="small", frameon=False, borderaxespad=0.2)


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
