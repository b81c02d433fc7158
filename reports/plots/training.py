"""Plots of final trainings and of a long one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ecg_study.evaluation.results.long_training import AVERAGED, LongTraining
from ecg_study.reports.plots.style import BLUE, GRAY, GREEN, ORANGE, SMALL, TITLE, make_axes, scale_logarithmically
from ecg_study.reports.report import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOSSES = {"denoiser": "mean squared error (mV²)", "detector": "binary cross-entropy"}
_LOG_LOSSES = {
    "log_error": "mean of ln(1 + MSE / (10 µV)²)",
    "relative_log_error": "mean of ln(1 + 10⁵ MSE / signal power)",
}
"""Metric of a denoiser that removes baseline wander → its loss, which is the same."""
_METRICS = {
    "val_window_pr_auc": "area under the precision–recall curve",
    "val_r_peak_error": "error of R peaks (%)",
    "val_relative_log_error": _LOG_LOSSES["relative_log_error"],
}
_CURVES = (("loss", BLUE, "training loss"), ("val_loss", ORANGE, "validation loss"))


def plot_losses(trainings: Sequence[Training]) -> Figure:
    """Plot losses by epoch, one panel per model and one line per seed."""
    from matplotlib.ticker import MaxNLocator

    tasks = list(dict.fromkeys(training.task for training in trainings))
    figure, axes = make_axes(1, len(tasks), height=3.6)
    for axis, task in zip(axes, tasks, strict=True):
        chosen = [item for item in trainings if item.task == task]
        values = [value for item in chosen for value in _plot_seed(axis, item)]
        axis.set(xlabel="epoch", ylabel=_loss_label(chosen[0]))
        _scale(axis, values)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(f"Final training of the {task}", fontsize=TITLE)
        axis.legend(frameon=False, fontsize=SMALL)
    return figure


def plot_long_training(made: LongTraining) -> Figure:
    """Plot losses, and the metric of searches, by the number of segments that were seen."""
    name, _ = made.objective
    metric = [] if name == "val_loss" or made.refit else [name]
    figure, axes = make_axes(1, 1 + len(metric), height=3.6)
    values = []
    for key, color, label in (*_CURVES, (f"{AVERAGED}val_loss", GREEN, "validation loss, averaged weights")):
        values += _draw(axes[0], made, key, color, label)
    _scale(axes[0], values)
    axes[0].set(ylabel=_loss_label(made), title=f"Training of the {made.task}")
    if metric:
        _draw(axes[1], made, name, ORANGE, "weights")
        _draw(axes[1], made, AVERAGED + name, GREEN, "averaged weights")
        axes[1].set(ylabel=_METRICS.get(name, name), title="Metric of searches, validation records")
    for axis in axes:
        axis.axvline(made.kept_segments / 1e6, color=GRAY, linestyle="--", label="weights kept")
        axis.set(xlabel="segments seen (millions)", xlim=(0, None))
        axis.title.set_fontsize(TITLE)
        axis.legend(frameon=False, fontsize=SMALL)
    return figure


def _draw(axis: Axes, made: LongTraining, key: str, color: str, label: str) -> list[float]:
    rows = [row for row in made.history if key in row]
    values = [row[key] for row in rows]
    if rows:
        axis.plot([row["segments"] / 1e6 for row in rows], values, color=color, label=label)
    return values


def _loss_label(made: Training | LongTraining) -> str:
    if power := made.hyperparameters.get("loss_power"):
        return f"MSE / signal power to the power of {power:g}, scaled"
    for metric, label in _LOG_LOSSES.items():
        if any({metric, f"val_{metric}"} & set(row) for row in made.history):
            return label
    return _LOSSES[made.task]


def _scale(axis: Axes, values: Sequence[float]) -> None:
    room = (max(values) / min(values)) ** 0.05
    scale_logarithmically(axis, "y", limits=(min(values) / room, max(values) * room))


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
