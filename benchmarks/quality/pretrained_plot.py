"""Draw the README's plot of the pretrained models, from the report and the card with their results.

python -m benchmarks.quality.pretrained_plot
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.evaluation.results.harm import EXACT_HIGHPASS
from ecg_study.evaluation.results.values import GRU, LSTM, NO_FILTER
from ecg_study.inference.loading import PRETRAINED_DIR
from ecg_study.models.card import ModelCard, read_card
from ecg_study.reports.plots.style import BLUE, DPI, GRAY, MARKERS, OTHERS, SMALL, make_axes
from ecg_study.reports.report import Report
from ecg_study.reports.schema import read_report
from ecg_study.workflows.reporting.card_metrics import on_database

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCS = Path(__file__).parents[2] / "docs"
_TEST = "118e, 119e"
_STRESS = "test, noise stress, R peaks within 150 ms, f1"
_DENOISING = "test, whole records, mix"


def main() -> int:
    """Write ``docs/pretrained.png``."""
    report = read_report(DOCS / "mitdb-robust" / "report.json")
    figure, (left, right) = make_axes(1, 2, height=3.8)
    draw_noise_stress(left, report, read_card(PRETRAINED_DIR / "gru-detector"))
    draw_denoising(right, read_card(PRETRAINED_DIR / "lstm-denoiser"))
    figure.savefig(DOCS / "pretrained.png", dpi=DPI)
    return 0


def draw_noise_stress(axis: Axes, report: Report, card: ModelCard) -> None:
    """Draw F1 against the SNR in the noise stress test: the model from its card, classical detectors from a report."""
    assert report.stress is not None
    ours = {int(level.removesuffix(" dB")): 100 * f1 for level, f1 in card.metrics[_STRESS].items()}
    rows = [row for row in report.stress.rows if row.test == _TEST and not row.denoised]
    lines = {
        name: {row.snr: 100 * row.counts.f1 for row in rows if row.detector == name and row.snr in ours}
        for name in dict.fromkeys(row.detector for row in rows)
    }
    lines[GRU] = ours
    _draw_lines(axis, lines, GRU, "gru-detector")
    axis.set_title("R peaks under electrode motion (118e, 119e)", fontsize=SMALL + 1)
    axis.set_ylabel("F1 at 150 ms in %")


def draw_denoising(axis: Axes, card: ModelCard) -> None:
    """Draw the SNR improvement above that of the high-pass by input SNR, on DS2, the model with 95 % intervals."""
    ours = _by_level(card.metrics[_DENOISING])
    lines = {
        name.removeprefix(f"{_DENOISING}, "): {level: item["value"] for level, item in _by_level(values).items()}
        for name, values in card.metrics.items()
        if name.startswith(f"{_DENOISING}, ") and not name.endswith((NO_FILTER, EXACT_HIGHPASS))
    }
    lines[LSTM] = {level: item["value"] for level, item in ours.items()}
    _draw_lines(axis, lines, LSTM, "lstm-denoiser (95 % CI)")
    levels = sorted(ours, reverse=True)
    low, high = ([ours[level][end] for level in levels] for end in ("low", "high"))
    axis.fill_between(range(len(levels)), low, high, color=BLUE, alpha=0.15, lw=0)
    axis.set_title("Denoising of DS2: mixture of wander, motion, muscle", fontsize=SMALL + 1)
    axis.set_ylabel("SNR in dB above the 0.5 Hz high-pass")
    axis.axhline(0, color=GRAY, lw=0.8)


def _by_level(stored: dict[str, Any]) -> dict[int, dict[str, float]]:
    """Return input SNR in dB → the difference to the high-pass on DS2 with its interval."""
    return {int(level.removesuffix(" dB")): values[on_database("mitdb")] for level, values in stored.items()}


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
