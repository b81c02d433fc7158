"""Plots of the detector: windows, R peaks, noise stress, failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.evaluation.results.detection import DetectorSection, Failure, StressSection
from ecg_study.evaluation.results.values import GRU
from ecg_study.reports.plots.style import BLACK, BLUE, GREY, MARKERS, ORANGE, OTHERS, SMALL, VERMILION, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INPUT_STYLES = (("-", BLUE), ("--", ORANGE), (":", BLACK))
_JITTER = 60.0  # ms on either side that are drawn


def detector_figures(section: DetectorSection, fs: float) -> dict[str, Figure]:
    """Name → figure."""
    return {
        "confusion": _confusion(section),
        "curves": _curves(section),
        "r_peaks": _traces(section, fs),
        "jitter": _jitter(section),
    }


def _confusion(section: DetectorSection) -> Figure:
    figure, axes = figure_of(1, len(section.windows), 3.6)
    for axis, summary in zip(axes, section.windows, strict=True):
        found = summary.confusion.counts
        table = np.array(
            [[summary.confusion.true_negatives, found.false_positives], [found.false_negatives, found.true_positives]]
        )
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(2):
            for column in range(2):
                colour = "white" if shares[row, column] > 0.5 else "black"
                text = f"{table[row, column]:,}\n{shares[row, column]:.2%}"
                axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=10)
        axis.set(xlabel="labelled", ylabel="annotated", xticks=[0, 1], yticks=[0, 1])
        axis.set_xticklabels(["no peak", "R peak"])
        axis.set_yticklabels(["no peak", "R peak"], rotation=90, va="center")
        axis.set_title(f"windows, {summary.input} input", fontsize=10)
    return figure


def _curves(section: DetectorSection) -> Figure:
    figure, (roc, precision_recall, calibration) = figure_of(1, 3, 3.9)
    for summary, (dashes, colour) in zip(section.windows, _INPUT_STYLES, strict=False):
        style: dict[str, Any] = {"linestyle": dashes, "color": colour, "linewidth": 1.5}
        area = "" if summary.roc_area is None else f", area {summary.roc_area:.4f}"
        roc.plot(*zip(*summary.roc, strict=True), label=summary.input + area, **style)
        label = f"{summary.input}, area {summary.average_precision:.4f}"
        precision_recall.plot(*zip(*summary.precision_recall, strict=True), label=label, **style)
        bins = [(item.score, item.observed) for item in summary.calibration]
        label = f"{summary.input}, Brier {summary.brier:.4f}"
        calibration.plot(*zip(*bins, strict=True), marker="o", markersize=4, label=label, **style)
    roc.set(xlabel="false positive rate", ylabel="sensitivity", xlim=(0, 0.1), ylim=(0.9, 1.002))
    roc.set_title("ROC of windows (upper left corner)", fontsize=10)
    precision_recall.set(xlabel="recall", ylabel="precision", xlim=(0.9, 1.002), ylim=(0.9, 1.002))
    precision_recall.set_title("precision–recall (upper right corner)", fontsize=10)
    calibration.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, zorder=0)
    calibration.set(xlabel="score of the window", ylabel="share with an R peak", xlim=(0, 1), ylim=(0, 1.02))
    calibration.set_title("calibration", fontsize=10)
    # A calibration may rise anywhere: its legend goes where it covers least.
    places: dict[Axes, Any] = {roc: "lower right", precision_recall: "lower left", calibration: "best"}
    for axis, place in places.items():
        axis.legend(frameon=False, fontsize=8, loc=place)
    return figure


def _traces(section: DetectorSection, fs: float) -> Figure:
    figure, axes = figure_of(len(section.traces), 1, 2.9 * len(section.traces))
    for axis, trace in zip(axes, section.traces, strict=True):
        _draw_peaks(axis, trace.noisy, trace.start, fs, trace.annotated, trace.detected)
        title = f"{trace.rank} test record: {trace.record}, lead {trace.lead}, F1 {trace.f1:.4f} within 150 ms"
        axis.set_title(title, fontsize=10)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=SMALL
    )
    return figure


def _draw_peaks(
    axis: Axes, noisy: Sequence[float], start: float, fs: float, annotated: Sequence[int], detected: Sequence[int]
) -> None:
    signal = np.array(noisy)
    time = start + np.arange(len(signal)) / fs
    axis.plot(time, signal, color=GREY, linewidth=0.8, label="noisy signal")
    marks = ((annotated, "o", BLACK, 9, "annotated"), (detected, "x", VERMILION, 7, "detected"))
    for peaks, marker, colour, size, name in marks:
        here = np.array(peaks, dtype=int)
        axis.plot(time[here], signal[here], marker, color=colour, markersize=size, label=name, mew=1.6, mfc="none")
    axis.set(xlabel="time in s", ylabel="mV", xlim=(time[0], time[-1]))


def _jitter(section: DetectorSection) -> Figure:
    columns = 4
    rows = -(-len(section.jitter) // columns)
    figure, axes = figure_of(rows, columns, 2.1 * rows + 0.4)
    edges = np.array(section.jitter_edges_ms)
    for axis, jitter in zip(axes, section.jitter, strict=False):
        colour = BLUE if jitter.detector == GRU else GREY
        total = max(sum(jitter.counts), 1)
        axis.stairs(np.array(jitter.counts) / total, edges, fill=True, color=colour)
        axis.set(xlim=(-_JITTER, _JITTER))
        axis.axvline(0, color=BLACK, linewidth=0.8)
        middle = "" if jitter.median is None else f"\nmedian {jitter.median:+.0f} ms"
        axis.set_title(jitter.detector + middle, fontsize=SMALL)
        axis.tick_params(labelsize=8)
    for axis in axes[len(section.jitter) :]:
        axis.set_visible(False)
    figure.supxlabel("detection minus annotation in ms, noisy input", fontsize=SMALL)
    figure.supylabel("share of detections", fontsize=SMALL)
    return figure


def stress_figure(section: StressSection) -> Figure:
    """F1 by SNR: each test, alone and behind the denoiser."""
    tests = list(dict.fromkeys(row.test for row in section.rows))
    chains = sorted({row.denoised for row in section.rows})
    figure, axes = figure_of(len(tests), len(chains), 3.4 * len(tests) + 0.5)
    names = list(dict.fromkeys(row.detector for row in section.rows))
    styles = dict(zip([name for name in names if name != GRU], zip(OTHERS, MARKERS, strict=True), strict=True))
    for axis, (test, denoised) in zip(axes, [(t, d) for t in tests for d in chains], strict=True):
        for name in names:
            rows = [r for r in section.rows if (r.test, r.denoised, r.detector) == (test, denoised, name)]
            colour, marker = styles.get(name, (BLUE, "o"))
            width = 2.2 if name == GRU else 1.1
            axis.plot(
                [row.snr for row in rows],
                [row.counts.f1 for row in rows],
                marker=marker,
                color=colour,
                linewidth=width,
                label=name,
                markersize=5,
            )
        axis.set(xlabel="SNR in dB", ylabel="F1 within 150 ms", xticks=sorted({row.snr for row in section.rows}))
        axis.set_title(f"{test}, {'behind our denoiser' if denoised else 'alone'}", fontsize=10)
        axis.set_ylim(min(row.counts.f1 for row in section.rows) - 0.02, 1.005)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL
    )
    return figure


def failure_figures(failures: Sequence[Failure], fs: float) -> dict[str, Figure]:
    """The worst stretches, five a figure."""
    figures = {}
    for first in range(0, len(failures), 5):
        group = failures[first : first + 5]
        figure, axes = figure_of(len(group), 1, 2.3 * len(group) + 0.3)
        for number, (axis, item) in enumerate(zip(axes, group, strict=True), start=first + 1):
            _draw_peaks(axis, item.noisy, item.start, fs, item.annotated, item.detected)
            _name_beats(axis, item, fs)
            minutes, seconds = divmod(item.start, 60)
            title = f"{number}. record {item.record}, lead {item.lead}, {minutes:.0f} min {seconds:.0f} s"
            errors = f"{item.false_negatives} missed, {item.false_positives} false"
            axis.set_title(f"{title}: {errors}", fontsize=10, loc="left", pad=14)  # above the letters of the beats
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=SMALL
        )
        figures[f"failures_{first // 5 + 1}"] = figure
    return figures


def _name_beats(axis: Axes, item: Failure, fs: float) -> None:
    """The annotated type of each beat, above the trace."""
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
