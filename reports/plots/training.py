"""Plot of the final training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ecg_study.reports.plots.style import BLUE, GRAY, ORANGE, SMALL, TITLE, make_axes, scale_logarithmically
from ecg_study.reports.report import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOSSES = {"denoiser": "mean squared error (mV²)", "detector": "binary cross-entropy"}
_RELATIVE_LOSS = "mean of ln(1 + MSE / (10 µV)²)"
_CURVES = (("loss", BLUE, "training loss"), ("val_loss", ORANGE, "validation loss"))


def plot_losses(trainings: Sequence[Training]) -> Figure:
    """Plot losses by epoch, one panel per model and one line per seed."""
    from matplotlib.ticker import MaxNLocator

    tasks = list(dict.fromkeys(training.task for training in trainings))
    figure, axes = make_axes(1, len(tasks), height=3.6)
    for axis, task in zip(axes, tasks, strict=True):
        chosen = [item for item in trainings if item.task == task]
        values = [value for item in chosen for value in _plot_seed(axis, item)]
        relative = any(item.augmentation.get("removes_drift") for item in chosen)
        axis.set(xlabel="epoch", ylabel=_RELATIVE_LOSS if relative else _LOSSES[task])
        room = (max(values) / min(values)) ** 0.05
        scale_logarithmically(axis, "y", limits=(min(values) / room, max(values) * room))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(f"Final training of the {task}", fontsize=TITLE)
        axis.legend(frameon=False, fontsize=SMALL)
    return figure


def _plot_seed(axis: Axes, training: Training) -> list[float]:
    """Draw the losses of one training, and return them."""
    exported = (training.seed_index, training.role) == (1, "final")
    style: dict[str, Any] = {"linewidth": 1.8 if exported else 0.8, "alpha": 1.0 if exported else 0.5}
    if training.role == "thresholds":
        style |= {"linestyle": "--", "alpha": 0.8}
    drawn = []
    for key, color, name in _CURVES:
        rows = [row for row in training.history if key in row]
        if rows:
            losses = [row[key] for row in rows]
            axis.plot([row["epoch"] for row in rows], losses, color=color, label=_label(training, name), **style)
            drawn += losses
    if exported and training.best_epoch < len(training.history):
        axis.axvline(training.best_epoch, color=GRAY, linestyle="--", label="weights kept")
    return drawn


def _label(training: Training, name: str) -> str:
    if training.role == "thresholds":
        return f"{name}, model for threshold selection"
    if training.seed_index == 1:
        return f"{name}, exported model"
    return f"{name}, other seeds" if training.seed_index == 2 else "_"
