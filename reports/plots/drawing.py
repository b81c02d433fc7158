"""The plots of a report as PNG files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.reports.plots.denoiser import plot_denoiser
from ecg_study.reports.plots.detector import plot_detector, plot_failures, plot_stress
from ecg_study.reports.plots.search import plot_search
from ecg_study.reports.plots.style import DPI
from ecg_study.reports.plots.training import plot_losses
from ecg_study.reports.report import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = 64


def draw_plots(directory: Path, report: Report) -> list[str]:
    """Write every plot of a report as PNG.

    Args:
        directory: folder for the plots; created if missing.
        report: results of a study.

    Returns:
        Names of the plots, without suffix.
    """
    return save_figures(directory, all_figures(report))


def save_figures(directory: Path, figures: Mapping[str, Figure]) -> list[str]:
    """Write figures as PNG files with their names, and return the names.

    Args:
        directory: folder for the plots; created if missing.
        figures: the figures by name, without suffix.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        _save(figure, directory / f"{name}.png")
    return list(figures)


def _save(figure: Figure, path: Path) -> None:
    """Write a figure with a palette of 64 colors, which is a third of the size, so that the page can be mailed."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=DPI, format="png")
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def all_figures(report: Report) -> dict[str, Figure]:
    """Return the figures of a report by name."""
    figures: dict[str, Figure] = {}
    for search in report.searches:
        figures |= plot_search(search)
    figures["loss_curves"] = plot_losses(report.trainings)
    fs = report.data.fs
    if report.denoiser is not None:
        figures |= plot_denoiser(report.denoiser, fs)
    if report.detector is not None:
        figures |= plot_detector(report.detector, fs)
    if report.stress is not None and report.stress.rows:
        figures["stress"] = plot_stress(report.stress)
    figures |= plot_failures(report.failures, fs)
    return figures
