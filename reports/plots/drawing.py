"""The plots of the report. They show what is in the report value; nothing is computed here."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.reports.plots.denoiser import denoiser_figures
from ecg_study.reports.plots.detector import detector_figures, failure_figures, stress_figure
from ecg_study.reports.plots.search import search_figures
from ecg_study.reports.plots.style import DPI
from ecg_study.reports.plots.training import loss_figure
from ecg_study.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_plots"]
_COLOURS = 64


def draw_plots(directory: Path, report: Report) -> list[str]:
    """Write every plot of the report as PNG into ``directory``. Returns their names, without the ending."""
    directory.mkdir(parents=True, exist_ok=True)
    figures = all_figures(report)
    for name, figure in figures.items():
        _save(figure, directory / f"{name}.png")
    return list(figures)


def _save(figure: Figure, path: Path) -> None:
    """Write a figure with a palette of 64 colours: a third of the size, so that the whole page can be mailed."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=DPI, format="png")
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def all_figures(report: Report) -> dict[str, Figure]:
    """Name → figure of all that the report has."""
    figures: dict[str, Figure] = {}
    for search in report.searches:
        figures |= search_figures(search)
    figures["loss_curves"] = loss_figure(report.trainings)
    fs = report.data.fs
    if report.denoiser is not None:
        figures |= denoiser_figures(report.denoiser, fs)
    if report.detector is not None:
        figures |= detector_figures(report.detector, fs)
    if report.stress is not None and report.stress.rows:
        figures["stress"] = stress_figure(report.stress)
    figures |= failure_figures(report.failures, fs)
    return figures
