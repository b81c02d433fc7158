"""Plots of the final training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ecg_study.reports.plots.style import BLUE, GREY, ORANGE, SMALL, figure_of
from ecg_study.reports.report import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOSSES = {"denoiser": "mean squared error in mV²", "detector": "binary cross-entropy"}


def loss_figure(trainings: Sequence[Training]) -> Figure:
    """Losses by epoch, a panel a model, a line a seed; the model handed over is drawn strong."""
    from matplotlib.ticker import MaxNLocator

    tasks = list(dict.fromkeys(training.task for training in trainings))
    figure, axes = figure_of(1, len(tasks), 3.6)
    for axis, task in zip(axes, tasks, strict=True):
        for training in [item for item in trainings if item.task == task]:
            strong = (training.seed_index, training.role) == (1, "final")
            style: dict[str, Any] = {"linewidth": 1.6 if strong else 0.8, "alpha": 1.0 if strong else 0.5}
            for key, colour, name in (("loss", BLUE, "training"), ("val_loss", ORANGE, "validation")):
                rows = [row for row in training.history if key in row]
                label = name if strong or (key == "val_loss" and training.role == "thresholds") else None
                epochs = [row["epoch"] for row in rows]
                if rows:
                    axis.plot(epochs, [row[key] for row in rows], color=colour, label=label, **style)
            if strong and training.best_epoch < len(training.history):
                axis.axvline(training.best_epoch, color=GREY, linestyle="--", label="weights kept")
        drops_drift = any(item.task == task and item.augmentation.get("removes_drift") for item in trainings)
        label = "mean of ln(1 + MSE / (10 µV)²)" if drops_drift else _LOSSES[task]
        axis.set(xlabel="epoch", ylabel=label, yscale="log")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(f"final training of the {task}", fontsize=10)
        axis.legend(frameon=False, fontsize=SMALL)
    return figure
