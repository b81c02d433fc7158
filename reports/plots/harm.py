"""Plot of "Denoising without harm"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecg_study.evaluation.results.harm import EXACT_HIGHPASS, HarmSection
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.reports.plots.style import BLACK, BLUE, GRAY, MARKERS, OTHERS, SMALL, TITLE, make_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_harm(harm: HarmSection, noise_type: str) -> Figure:
    """Return the SNR improvement by input SNR, as mean and worst tenth of the records.

    Args:
        harm: the results.
        noise_type: one type of noise.
    """
    figure, (mean, worst) = make_axes(1, 2, height=3.9)
    for axis, title in ((mean, "Mean over records (95 % confidence interval)"), (worst, "Worst tenth of the records")):
        axis.axhline(0, color=GRAY, linewidth=0.8, zorder=0)
        axis.set_title(title, fontsize=TITLE)
        _draw(axis, harm, noise_type, worst_tenth=axis is worst)
    low = min(axis.get_ylim()[0] for axis in (mean, worst))
    high = max(axis.get_ylim()[1] for axis in (mean, worst))
    for axis in (mean, worst):
        axis.set(ylim=(low, high), xlabel="input SNR (dB)", xticks=sorted({cell.snr for cell in harm.noisy}))
    mean.set_ylabel("SNR improvement (dB)")
    figure.legend(*mean.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=SMALL)
    return figure


def _draw(axis: Axes, harm: HarmSection, noise_type: str, *, worst_tenth: bool) -> None:
    cells = [cell for cell in harm.noisy if cell.noise_type == noise_type and cell.method != NO_FILTER]
    others = iter(zip(OTHERS, MARKERS, strict=True))
    for method in dict.fromkeys(cell.method for cell in cells):
        chosen = [cell for cell in cells if cell.method == method]
        levels = [cell.snr for cell in chosen]
        if method == EXACT_HIGHPASS:
            color, marker, width, dashes = BLACK, "", 1.4, "--"
        elif method == LSTM:
            color, marker, width, dashes = BLUE, "o", 2.0, "-"
        else:
            (color, marker), width, dashes = next(others), 1.2, "-"
        values = [cell.worst_tenth if worst_tenth else cell.improvement.value for cell in chosen]
        axis.plot(levels, values, dashes, color=color, marker=marker, linewidth=width, markersize=5, label=method)
        if not worst_tenth and method == LSTM:
            low = [cell.improvement.low for cell in chosen]
            high = [cell.improvement.high for cell in chosen]
            axis.fill_between(levels, low, high, color=color, alpha=0.15, linewidth=0)
