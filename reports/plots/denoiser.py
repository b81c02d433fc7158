"""Plots of the denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.evaluation.results.denoising import DenoiserSection, NoiseCell
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.reports.plots.harm import plot_harm
from ecg_study.reports.plots.style import (
    BLACK,
    BLUE,
    GRAY,
    MARKERS,
    OTHERS,
    SMALL,
    TITLE,
    add_legend_above,
    make_axes,
)
from ecg_study.reports.tables import HARM_NOISE, NOISE_TYPE_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_FREQUENCY = 100.0  # Hz: above it, all methods remove everything

_DASHES = ("-", "--", "-.", ":", "-")


def plot_denoiser(section: DenoiserSection, fs: float) -> dict[str, Figure]:
    """Return the figures of the denoiser by name.

    Args:
        section: results of the denoiser.
        fs: sampling rate in Hz.
    """
    figures = {"denoising": _plot_traces(section, fs), "spectra": _plot_spectra(section)}
    if section.noise:
        figures["noise_types"] = _plot_noise_types(section)
    if section.harm is not None and section.harm.noisy:
        figures["harm"] = plot_harm(section.harm, HARM_NOISE)
    return figures


def _plot_traces(section: DenoiserSection, fs: float) -> Figure:
    figure, axes = make_axes(len(section.traces), 1, height=2.8 * len(section.traces))
    for axis, trace in zip(axes, section.traces, strict=True):
        time = trace.start + np.arange(len(trace.clean)) / fs
        axis.plot(time, trace.noisy, color=GRAY, linewidth=0.8, label="noisy")
        axis.plot(time, trace.clean, color=BLACK, linewidth=1.0, label="clean")
        axis.plot(time, trace.denoised, color=BLUE, linewidth=1.2, label="denoised")
        axis.set(xlabel="time (s)", ylabel="signal (mV)", xlim=(time[0], time[-1]))
        title = f"{trace.rank.capitalize()} test record: {trace.record}, lead {trace.lead}, RMSE {trace.rmse:.4f} mV"
        axis.set_title(title, fontsize=TITLE)
    add_legend_above(figure, axes[0])
    return figure


def _plot_spectra(section: DenoiserSection) -> Figure:
    figure, (axis,) = make_axes(1, 1, height=4.4)
    frequencies = np.array(section.frequencies)
    shown = frequencies <= _MAX_FREQUENCY
    others = iter(zip(OTHERS, _DASHES, strict=False))
    for spectrum in section.spectra:
        density = np.array(spectrum.density)[shown]
        if spectrum.name == "clean signal":
            axis.plot(frequencies[shown], density, color=BLACK, linewidth=1.4, label=spectrum.name)
        elif spectrum.name == "noise added":
            axis.plot(frequencies[shown], density, color=GRAY, linewidth=4, label="added noise", zorder=0)
        elif LSTM in spectrum.name:
            axis.plot(frequencies[shown], density, color=BLUE, linewidth=1.6, label=spectrum.name)
        else:
            color, dashes = next(others)
            axis.plot(frequencies[shown], density, dashes, color=color, linewidth=1.2, label=spectrum.name)
    axis.set(xlabel="frequency (Hz)", ylabel="power spectral density (dB re 1 mV²/Hz)", xlim=(0, _MAX_FREQUENCY))
    axis.set_title("Signal removed by each method, median over test records", fontsize=TITLE)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=SMALL)
    return figure


def _plot_noise_types(section: DenoiserSection) -> Figure:
    noise_types = list(dict.fromkeys(cell.noise_type for cell in section.noise))
    measured = [cell for cell in section.noise if cell.method != NO_FILTER and "snr_improvement" in cell.metrics]
    figure, axes = make_axes(1, len(noise_types), height=3.6, width=12)
    for axis, noise_type in zip(axes, noise_types, strict=True):
        _plot_improvement(axis, [cell for cell in measured if cell.noise_type == noise_type], measured)
        axis.set(xlabel="input SNR (dB)", xticks=sorted({cell.snr for cell in section.noise}))
        axis.set_title(NOISE_TYPE_NAMES.get(noise_type, noise_type), fontsize=SMALL)
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    axes[0].set_ylabel("SNR improvement (dB)")
    lines = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL)
    return figure


def _plot_improvement(axis: Axes, cells: Sequence[NoiseCell], measured: Sequence[NoiseCell]) -> None:
    """Draw one line per method; the style of a method is the same for all noise types."""
    others = dict.fromkeys(cell.method for cell in measured if cell.method != LSTM)
    styles = dict(zip(others, zip(OTHERS, MARKERS, strict=True), strict=False))
    axis.axhline(0, color=GRAY, linewidth=0.8, zorder=0)
    for method in dict.fromkeys(cell.method for cell in cells):
        chosen = [cell for cell in cells if cell.method == method]
        color, marker = styles.get(method, (BLUE, "o"))
        axis.plot(
            [cell.snr for cell in chosen],
            [cell.metrics["snr_improvement"].value for cell in chosen],
            marker=marker,
            color=color,
            linewidth=2.0 if method == LSTM else 1.2,
            label=method,
            markersize=5,
        )
