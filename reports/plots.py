"""The plots of the report. They show what they are given; nothing is computed here but where to cut a stretch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reports.evaluation import MeasuredLead
from reports.results import GRU, INPUTS, LSTM, NOISY, TOLERANCES_MS, Report, SearchSummary, Training
from tuning import SearchResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart (https://jfly.uni-koeln.de/color/).
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY, _BLACK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#B0B0B0", "#000000"

_STRETCH = 4.0  # seconds of a trace: a few beats, each wide enough to be read
_DPI = 110
_UNITS = {"val_loss": "mean squared error in mV²", "val_window_pr_auc": "area under precision–recall curve"}


def draw_plots(
    directory: Path, report: Report, searches: Sequence[SearchResult], measured: Sequence[MeasuredLead]
) -> None:
    """Write every plot of the report as PNG into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    figures = {
        "search.png": _search_figure(searches, report.searches),
        "loss_curves.png": _loss_figure(report.trainings),
        "denoising.png": _denoising_figure(measured),
        "confusion.png": _confusion_figure(report),
        "r_peaks.png": _r_peaks_figure(measured),
    }
    for name, figure in figures.items():
        figure.savefig(directory / name, dpi=_DPI)


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(np.asarray(figure.subplots(rows, columns), dtype=object)).ravel()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _search_figure(searches: Sequence[SearchResult], summaries: Sequence[SearchSummary]) -> Figure:
    figure, axes = _figure(1, len(searches), 10, 3.6)
    for axis, search, summary in zip(axes, searches, summaries, strict=True):
        scores = [trial.outcome.score for trial in search.trials]
        epochs = np.cumsum([trial.plan.epochs - trial.plan.initial_epoch for trial in search.trials])
        rungs = sorted({trial.plan.rung for trial in search.trials})
        for rung, colour in zip(rungs, (_BLUE, _ORANGE, _GREEN, _PURPLE, _BLACK), strict=False):
            points = [
                (epoch, score)
                for epoch, score, trial in zip(epochs, scores, search.trials, strict=True)
                if trial.plan.rung == rung and score is not None
            ]
            if points:
                axis.plot(*zip(*points, strict=True), "o", color=colour, label=f"rung {rung}", markersize=6)
        best = np.fmin if summary.direction == "min" else np.fmax
        values = np.array([np.nan if score is None else score for score in scores])
        axis.step(epochs, best.accumulate(values), where="post", color=_GREY, label="best so far", zorder=0)
        axis.set(xlabel="epochs of all trials so far", ylabel=_UNITS.get(summary.objective, summary.objective))
        axis.set_title(f"{summary.task}: validation score of each trial", fontsize=10)
        if summary.direction == "min":
            axis.set_yscale("log")
        axis.legend(frameon=False, fontsize=8)
    return figure


def _loss_figure(trainings: Sequence[Training]) -> Figure:
    figure, axes = _figure(1, len(trainings), 10, 3.6)
    losses = {"denoiser": "mean squared error in mV²", "detector": "binary cross-entropy"}
    for axis, training in zip(axes, trainings, strict=True):
        epochs = [row["epoch"] for row in training.history]
        axis.plot(epochs, [row["loss"] for row in training.history], "o-", color=_BLUE, markersize=3, label="training")
        validation = [row["val_loss"] for row in training.history]
        axis.plot(epochs, validation, "o-", color=_ORANGE, markersize=3, label="validation")
        axis.axvline(training.best_epoch, color=_GREY, linestyle="--", label="weights kept")
        axis.set(xlabel="epoch", ylabel=losses[training.task], yscale="log")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_title(f"final training of the {training.task}", fontsize=10)
        axis.legend(frameon=False, fontsize=8)
    return figure


def _denoising_figure(measured: Sequence[MeasuredLead]) -> Figure:
    ranked = sorted(measured, key=_denoiser_rmse)
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    figure, axes = _figure(3, 1, 10, 8.4)
    for axis, (rank, item) in zip(axes, chosen.items(), strict=True):
        lead = item.lead
        part = _stretch(len(lead.clean) // 2, lead.fs, len(lead.clean))
        time = np.arange(part.start, part.stop) / lead.fs
        axis.plot(time, lead.noisy[part], color=_GREY, linewidth=0.8, label="noisy")
        axis.plot(time, lead.clean[part], color=_BLACK, linewidth=1.0, label="clean")
        axis.plot(time, item.denoised[part], color=_BLUE, linewidth=1.2, label="denoised")
        axis.set(xlabel="time in s", ylabel="mV", xlim=(time[0], time[-1]))
        title = f"{rank} test record: {lead.record}, lead {lead.lead}, RMSE {_denoiser_rmse(item):.4f} mV"
        axis.set_title(title, fontsize=10)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    return figure


def _confusion_figure(report: Report) -> Figure:
    figure, axes = _figure(1, len(INPUTS), 10, 3.6)
    for axis, summary in zip(axes, report.windows, strict=True):
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


def _r_peaks_figure(measured: Sequence[MeasuredLead]) -> Figure:
    ranked = sorted(measured, key=_detector_f1)
    chosen = [(ranked[len(ranked) // 2], "median"), (ranked[0], "worst")]
    figure, axes = _figure(2, 1, 10, 5.8)
    for axis, (item, rank) in zip(axes, chosen, strict=True):
        lead = item.lead
        error = _first_error(item) if rank == "worst" else None
        centre = len(lead.clean) // 2 if error is None else error
        part = _stretch(centre, lead.fs, len(lead.clean))
        time = np.arange(part.start, part.stop) / lead.fs
        axis.plot(time, lead.noisy[part], color=_GREY, linewidth=0.8, label="noisy signal")
        marks = ((lead.r_peaks, "o", _BLACK, 9, "annotated"), (item.detected, "x", _ORANGE, 7, "detected"))
        for peaks, marker, colour, size, name in marks:
            here = peaks[(peaks >= part.start) & (peaks < part.stop)]
            axis.plot(
                here / lead.fs, lead.noisy[here], marker, color=colour, markersize=size, label=name, mew=1.6, mfc="none"
            )
        axis.set(xlabel="time in s", ylabel="mV", xlim=(time[0], time[-1]))
        title = f"{rank} test record: {lead.record}, lead {lead.lead}, F1 {_detector_f1(item):.4f} within 150 ms"
        axis.set_title(title + ("" if error is None else ", around its first error"), fontsize=10)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    return figure


def _denoiser_rmse(item: MeasuredLead) -> float:
    return next(result.figures.rmse for result in item.denoising if result.method == LSTM)


def _detector_f1(item: MeasuredLead) -> float:
    place = (GRU, NOISY, TOLERANCES_MS[0])
    return next(r.counts.f1 for r in item.peaks if (r.detector, r.input, r.tolerance_ms) == place)


def _first_error(item: MeasuredLead) -> int | None:
    """The first annotated or detected peak without a partner within 150 ms; ``None`` where there is none."""
    lead = item.lead
    tolerance = round(TOLERANCES_MS[0] * lead.fs / 1000)
    alone = [
        *_without_partner(lead.r_peaks, item.detected, tolerance),
        *_without_partner(item.detected, lead.r_peaks, tolerance),
    ]
    scored = [peak for peak in alone if not any(start <= peak < end for start, end in lead.unscored)]
    return min(scored, default=None)


def _without_partner(peaks: np.ndarray, others: np.ndarray, tolerance: int) -> list[int]:
    if not len(others):
        return [int(peak) for peak in peaks]
    after = np.searchsorted(others, peaks).clip(0, len(others) - 1)
    before = (after - 1).clip(0)
    apart = np.minimum(np.abs(others[after] - peaks), np.abs(others[before] - peaks))
    return [int(peak) for peak in peaks[apart > tolerance]]


def _stretch(centre: int, fs: float, samples: int) -> slice:
    length = min(samples, round(_STRETCH * fs))
    start = int(np.clip(centre - length // 2, 0, samples - length))
    return slice(start, start + length)
