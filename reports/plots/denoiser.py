"""Plots of the denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.reports.plots.style import BLACK, BLUE, GREY, MARKERS, OTHERS, SMALL, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HIGHEST = 100.0  # Hz: above it all methods remove what there is

KIND_NAMES = {
    "gaussian": "Gaussian",
    "bw": "baseline wander (bw)",
    "em": "electrode motion (em)",
    "ma": "muscle (ma)",
    "mix": "mix of bw, em, ma",
}


def denoiser_figures(section: DenoiserSection, fs: float) -> dict[str, Figure]:
    """Name → figure."""
    figures = {"denoising": _traces(section, fs), "spectra": _spectra(section)}
    if section.noise:
        figures["noise_kinds"] = _noise_kinds(section)
    return figures


def _traces(section: DenoiserSection, fs: float) -> Figure:
    figure, axes = figure_of(len(section.traces), 1, 2.8 * len(section.traces))
    for axis, trace in zip(axes, section.traces, strict=True):
        time = trace.start + np.arange(len(trace.clean)) / fs
        axis.plot(time, trace.noisy, color=GREY, linewidth=0.8, label="noisy")
        axis.plot(time, trace.clean, color=BLACK, linewidth=1.0, label="clean")
        axis.plot(time, trace.denoised, color=BLUE, linewidth=1.2, label="denoised")
        axis.set(xlabel="time in s", ylabel="mV", xlim=(time[0], time[-1]))
        title = f"{trace.rank} test record: {trace.record}, lead {trace.lead}, RMSE {trace.rmse:.4f} mV"
        axis.set_title(title, fontsize=10)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=SMALL
    )
    return figure


def _spectra(section: DenoiserSection) -> Figure:
    figure, (axis,) = figure_of(1, 1, 4.4)
    frequencies = np.array(section.frequencies)
    shown = frequencies <= _HIGHEST
    others = iter(zip(OTHERS, ("-", "--", "-.", ":", "-"), strict=False))
    for spectrum in section.spectra:
        density = np.array(spectrum.density)[shown]
        if spectrum.name == "clean signal":
            axis.plot(frequencies[shown], density, color=BLACK, linewidth=1.4, label=spectrum.name)
        elif spectrum.name == "noise added":
            axis.plot(frequencies[shown], density, color=GREY, linewidth=4, label=spectrum.name, zorder=0)
        elif LSTM in spectrum.name:
            axis.plot(frequencies[shown], density, color=BLUE, linewidth=1.6, label=spectrum.name)
        else:
            colour, dashes = next(others)
            axis.plot(frequencies[shown], density, dashes, color=colour, linewidth=1.2, label=spectrum.name)
    axis.set(xlabel="frequency in Hz", ylabel="power spectral density in dB of mV²/Hz", xlim=(0, _HIGHEST))
    axis.set_title("what each method removed, median over test records", fontsize=10)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=SMALL)
    return figure


def _noise_kinds(section: DenoiserSection) -> Figure:
    kinds = list(dict.fromkeys(cell.noise_type for cell in section.noise))
    figure, axes = figure_of(1, len(kinds), 3.6, width=12)
    methods = [name for name in dict.fromkeys(cell.method for cell in section.noise) if name != NO_FILTER]
    styles = dict(zip([name for name in methods if name != LSTM], zip(OTHERS, MARKERS, strict=True), strict=False))
    for axis, kind in zip(axes, kinds, strict=True):
        for method in methods:
            cells = [cell for cell in section.noise if (cell.noise_type, cell.method) == (kind, method)]
            cells = [cell for cell in cells if "snr_improvement" in cell.metrics]
            colour, marker = styles.get(method, (BLUE, "o"))
            gains = [cell.metrics["snr_improvement"].value for cell in cells]
            width = 2.0 if method == LSTM else 1.2
            if not cells:
                continue
            axis.plot(
                [cell.snr for cell in cells],
                gains,
                marker=marker,
                color=colour,
                linewidth=width,
                label=method,
                markersize=5,
            )
        axis.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        axis.set(xlabel="input SNR in dB", xticks=sorted({cell.snr for cell in section.noise}))
        axis.set_title(KIND_NAMES.get(kind, kind), fontsize=10)
    low = min(axis.get_ylim()[0] for axis in axes)
    high = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, high)
    axes[0].set_ylabel("SNR improvement in dB")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL
    )
    return figure
