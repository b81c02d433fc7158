"""Draw the README's plot of the pretrained models from the report that measured them.

python -m benchmarks.quality.pretrained_plot
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.evaluation.results.values import GRU, LSTM, NO_FILTER
from ecg_study.reports.plots.style import BLUE, DPI, GRAY, MARKERS, OTHERS, SMALL, make_axes
from ecg_study.reports.report import Report
from ecg_study.reports.schema import read_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCS = Path(__file__).parents[2] / "docs"
_TEST = "118e, 119e"
_NOISE = "mix"


def main() -> int:
    """Write ``docs/pretrained.png``."""
    report = read_report(DOCS / "mitdb-robust" / "report.json")
    figure, (left, right) = make_axes(1, 2, height=3.8)
    draw_noise_stress(left, report)
    draw_denoising(right, report)
    figure.savefig(DOCS / "pretrained.png", dpi=DPI)
    return 0


def draw_noise_stress(axis: Axes, report: Report) -> None:
    """Draw F1 against the SNR in the noise stress test, each detector on its own (without the denoiser)."""
    assert report.stress is not None
    rows = [row for row in report.stress.rows if row.test == _TEST and not row.denoised]
    lines = {
        name: {row.snr: 100 * row.counts.f1 for row in rows if row.detector == name}
        for name in dict.fromkeys(row.detector for row in rows)
    }
    _draw_lines(axis, lines, GRU, "gru-detector")
    axis.set_title("R peaks under electrode motion (118e, 119e)", fontsize=SMALL + 1)
    axis.set_ylabel("F1 at 150 ms in %")


def draw_denoising(axis: Axes, report: Report) -> None:
    """Draw the SNR improvement against the input SNR for a mixture of real noise, with 95 % intervals of the model."""
    assert report.denoiser is not None
    cells = [cell for cell in report.denoiser.noise if cell.noise_type == _NOISE and cell.method != NO_FILTER]
    values = {(cell.method, cell.snr): cell.metrics["snr_improvement"] for cell in cells}
    lines = {
        name: {cell.snr: values[name, cell.snr].value for cell in cells if cell.method == name}
        for name in dict.fromkeys(cell.method for cell in cells)
    }
    _draw_lines(axis, lines, LSTM, "lstm-denoiser (95 % CI)")
    levels = sorted(lines[LSTM], reverse=True)
    ours = [values[LSTM, level] for level in levels]
    axis.fill_between(
        range(len(levels)), [item.low for item in ours], [item.high for item in ours], color=BLUE, alpha=0.15, lw=0
    )
    axis.set_title("Denoising: mixture of baseline wander, motion, muscle", fontsize=SMALL + 1)
    axis.set_ylabel("SNR improvement in dB")
    axis.axhline(0, color=GRAY, lw=0.8)


def _draw_lines(axis: Axes, lines: dict[str, dict[int, float]], own: str, label: str) -> None:
    """Draw one line per method over the levels, from little to much noise; the model is drawn last."""
    levels = sorted(next(iter(lines.values())), reverse=True)
    places = range(len(levels))
    others = [name for name in lines if name != own]
    for name, color, marker in zip(others, OTHERS, MARKERS, strict=False):
        axis.plot(places, [lines[name][level] for level in levels], color=color, marker=marker, ms=4, lw=1, label=name)
    axis.plot(places, [lines[own][level] for level in levels], color=BLUE, marker="o", ms=5, lw=2.4, label=label)
    axis.set_xticks(places, [f"{level}".replace("-", "−") for level in levels])
    axis.set_xlabel("input SNR in dB")
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(handles[::-1], labels[::-1], fontsize=SMALL - 1, frameon=False)


if __name__ == "__main__":
    sys.exit(main())
