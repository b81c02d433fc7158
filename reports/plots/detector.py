"""Plots of the detector: windows, R peaks, noise stress test, errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.evaluation.results.detection import DetectorSection, Failure, StressSection
from ecg_study.evaluation.results.values import GRU
from ecg_study.reports.plots.style import (
    BLACK,
    BLUE,
    GRAY,
    MARKERS,
    ORANGE,
    OTHERS,
    SMALL,
    TITLE,
    VERMILION,
    add_legend_above,
    make_axes,
)
from ecg_study.reports.tables import clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INPUT_STYLES = (("-", BLUE), ("--", ORANGE), (":", BLACK))
_MAX_OFFSET = 60.0  # ms
_TRACES_PER_FIGURE = 5


def plot_detector(section: DetectorSection, fs: float) -> dict[str, Figure]:
    """Return the figures of the detector by name.

    Args:
        section: results of the detector.
        fs: sampling rate in Hz.
    """
    return {
        "confusion": _plot_confusion(section),
        "curves": _plot_curves(section),
        "r_peaks": _plot_traces(section, fs),
        "jitter": _plot_offsets(section),
    } | _plot_confidences(section)


def _plot_confusion(section: DetectorSection) -> Figure:
    figure, axes = make_axes(1, len(section.windows), height=3.6)
    for axis, summary in zip(axes, section.windows, strict=True):
        found = summary.confusion.counts
        counts = np.array(
            [[summary.confusion.true_negatives, found.false_positives], [found.false_negatives, found.true_positives]]
        )
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(2):
            for column in range(2):
                color = "white" if shares[row, column] > 0.5 else "black"
                text = f"{counts[row, column]:,}\n{100 * shares[row, column]:.2f} %"
                axis.text(column, row, text, ha="center", va="center", color=color, fontsize=10)
        axis.set(xlabel="detected", ylabel="annotated", xticks=[0, 1], yticks=[0, 1])
        axis.set_xticklabels(["no R peak", "R peak"])
        axis.set_yticklabels(["no R peak", "R peak"], rotation=90, va="center")
        axis.set_title(f"Windows, {summary.input} input", fontsize=TITLE)
    return figure


def _plot_curves(section: DetectorSection) -> Figure:
    figure, (roc, precision_recall, calibration) = make_axes(1, 3, height=3.9)
    for summary, (dashes, color) in zip(section.windows, _INPUT_STYLES, strict=False):
        style: dict[str, Any] = {"linestyle": dashes, "color": color, "linewidth": 1.5}
        area = "" if summary.roc_area is None else f", area {summary.roc_area:.4f}"
        roc.plot(*zip(*summary.roc, strict=True), label=summary.input + area, **style)
        label = f"{summary.input}, area {summary.average_precision:.4f}"
        precision_recall.plot(*zip(*summary.precision_recall, strict=True), label=label, **style)
        bins = [(item.score, item.observed) for item in summary.calibration]
        label = f"{summary.input}, Brier score {summary.brier:.4f}"
        calibration.plot(*zip(*bins, strict=True), marker="o", markersize=4, label=label, **style)
    roc.set(xlabel="false positive rate", ylabel="sensitivity", xlim=(0, 0.1), ylim=(0.9, 1.002))
    roc.set_title("ROC curve (upper left corner)", fontsize=TITLE)
    precision_recall.set(xlabel="sensitivity", ylabel="precision", xlim=(0.9, 1.002), ylim=(0.9, 1.002))
    precision_recall.set_title("Precision–recall curve (upper right corner)", fontsize=TITLE)
    calibration.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, zorder=0)
    calibration.set(xlabel="score of the window", ylabel="share with an R peak", xlim=(0, 1), ylim=(0, 1.02))
    calibration.set_title("Calibration", fontsize=TITLE)
    # A calibration curve may be anywhere, so its legend goes where it covers least.
    places: dict[Axes, Any] = {roc: "lower right", precision_recall: "lower left", calibration: "best"}
    for axis, place in places.items():
        axis.legend(frameon=False, fontsize=8, loc=place)
    return figure


def _plot_traces(section: DetectorSection, fs: float) -> Figure:
    figure, axes = make_axes(len(section.traces), 1, height=2.9 * len(section.traces))
    for axis, trace in zip(axes, section.traces, strict=True):
        _plot_peaks(axis, trace.noisy, start=trace.start, fs=fs, annotated=trace.annotated, detected=trace.detected)
        place = f"{trace.rank.capitalize()} test record: {trace.record}, lead {trace.lead}"
        axis.set_title(f"{place}, F1 at 150 ms {trace.f1:.4f}", fontsize=TITLE)
    add_legend_above(figure, axes[0])
    return figure


def _plot_peaks(
    axis: Axes, noisy: Sequence[float], *, start: float, fs: float, annotated: Sequence[int], detected: Sequence[int]
) -> None:
    signal = np.array(noisy)
    time = start + np.arange(len(signal)) / fs
    axis.plot(time, signal, color=GRAY, linewidth=0.8, label="noisy signal")
    marks = ((annotated, "o", BLACK, 9, "annotated R peak"), (detected, "x", VERMILION, 7, "detected R peak"))
    for peaks, marker, color, size, name in marks:
        here = np.array(peaks, dtype=int)
        axis.plot(time[here], signal[here], marker, color=color, markersize=size, label=name, mew=1.6, mfc="none")
    axis.set(xlabel="time (s)", ylabel="signal (mV)", xlim=(time[0], time[-1]))


def _plot_offsets(section: DetectorSection) -> Figure:
    columns = 4
    rows = -(-len(section.jitter) // columns)
    figure, axes = make_axes(rows, columns, height=2.1 * rows + 0.4)
    edges = np.array(section.jitter_edges_ms)
    for axis, jitter in zip(axes, section.jitter, strict=False):
        color = BLUE if jitter.detector == GRU else GRAY
        total = max(sum(jitter.counts), 1)
        axis.stairs(np.array(jitter.counts) / total, edges, fill=True, color=color)
        axis.set(xlim=(-_MAX_OFFSET, _MAX_OFFSET))
        axis.axvline(0, color=BLACK, linewidth=0.8)
        median = "" if jitter.median is None else f"\nmedian {jitter.median:+.0f} ms".replace("-", "−")
        axis.set_title(jitter.detector + median, fontsize=SMALL)
        axis.tick_params(labelsize=8)
    for axis in axes[len(section.jitter) :]:
        axis.set_visible(False)
    figure.supxlabel("detection minus annotation (ms), noisy input", fontsize=SMALL)
    figure.supylabel("share of detections", fontsize=SMALL)
    return figure


def _plot_confidences(section: DetectorSection) -> dict[str, Figure]:
    """Return the reliability diagram, unless all R peaks have nearly the same confidence."""
    if all(len(summary.bins) < 2 for summary in section.confidences.values()):
        return {}
    figure, (axis,) = make_axes(1, 1, height=3.9, width=5.2)
    for (name, summary), (dashes, color) in zip(section.confidences.items(), _INPUT_STYLES, strict=False):
        points = [(item.confidence, item.correct) for item in summary.bins]
        error = "" if summary.error is None else f", calibration error {summary.error:.4f}"
        axis.plot(
            *np.reshape(points, (-1, 2)).T,
            linestyle=dashes,
            color=color,
            linewidth=1.5,
            marker="o",
            markersize=4,
            label=f"{name} input{error}",
        )
    axis.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, zorder=0)
    axis.set(xlabel="confidence of the R peak", ylabel="share of correct R peaks", xlim=(0, 1.01), ylim=(0, 1.02))
    axis.set_title("R peaks in tenths of the confidence", fontsize=TITLE)
    axis.legend(frameon=False, fontsize=8, loc="best")
    return {"confidences": figure}


def plot_stress(section: StressSection) -> Figure:
    """Return the figure of F1 by SNR, of each noise stress test with and without denoising."""
    tests = list(dict.fromkeys(row.test for row in section.rows))
    chains = sorted({row.denoised for row in section.rows})
    figure, axes = make_axes(len(tests), len(chains), height=3.4 * len(tests) + 0.5)
    names = list(dict.fromkeys(row.detector for row in section.rows))
    styles = dict(zip([name for name in names if name != GRU], zip(OTHERS, MARKERS, strict=True), strict=True))
    for axis, (test, denoised) in zip(axes, [(t, d) for t in tests for d in chains], strict=True):
        for name in names:
            rows = [r for r in section.rows if (r.test, r.denoised, r.detector) == (test, denoised, name)]
            color, marker = styles.get(name, (BLUE, "o"))
            axis.plot(
                [row.snr for row in rows],
                [row.counts.f1 for row in rows],
                marker=marker,
                color=color,
                linewidth=2.2 if name == GRU else 1.1,
                label=name,
                markersize=5,
            )
        axis.set(xlabel="SNR (dB)", ylabel="F1 at 150 ms", xticks=sorted({row.snr for row in section.rows}))
        axis.set_title(f"{test}, {'after the denoiser' if denoised else 'without denoising'}", fontsize=TITLE)
        axis.set_ylim(min(row.counts.f1 for row in section.rows) - 0.02, 1.005)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL
    )
    return figure


def plot_failures(failures: Sequence[Failure], fs: float) -> dict[str, Figure]:
    """Return the excerpts with the most errors, five per figure, by name.

    Args:
        failures: the excerpts.
        fs: sampling rate in Hz.
    """
    figures = {}
    for first in range(0, len(failures), _TRACES_PER_FIGURE):
        group = failures[first : first + _TRACES_PER_FIGURE]
        figure, axes = make_axes(len(group), 1, height=2.3 * len(group) + 0.3)
        for place, (axis, item) in enumerate(zip(axes, group, strict=True), start=first + 1):
            _plot_peaks(axis, item.noisy, start=item.start, fs=fs, annotated=item.annotated, detected=item.detected)
            _name_beats(axis, item, fs)
            where = f"{place}. Record {item.record}, lead {item.lead}, {clock(item.start)}"
            errors = f"{item.false_negatives} false negative, {item.false_positives} false positive"
            kind = f"; {item.kind}" if item.kind else ""
            axis.set_title(f"{where}: {errors}{kind}", fontsize=TITLE, loc="left", pad=14)  # above the beat types
        add_legend_above(figure, axes[0])
        figures[f"failures_{first // _TRACES_PER_FIGURE + 1}"] = figure
    return figures


def _name_beats(axis: Axes, item: Failure, fs: float) -> None:
    """Write the annotated type of each beat above the trace."""
    for sample, symbol in zip(item.annotated, item.symbols, strict=False):
        axis.annotate(
            symbol,
            (item.start + sample / fs, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=8,
            annotation_clip=False,
        )
