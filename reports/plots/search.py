"""Plots of a search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.evaluation.results.search import SearchSummary, TrialSummary, as_loss, best_per_configuration
from ecg_study.reports.plots.style import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    MAX_TICKS,
    ORANGE,
    PURPLE,
    SKY,
    TITLE,
    VERMILION,
    log_ticks,
    make_axes,
    scale_logarithmically,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_RUNGS = (SKY, ORANGE, GREEN, PURPLE, BLUE)

_OBJECTIVES = {
    "val_loss": "mean squared error (mV²)",
    "val_log_error": "mean of ln(1 + MSE / (10 µV)²)",
    "val_relative_log_error": "mean of ln(1 + 10⁵ MSE / signal power)",
    "val_noise_left": "noise left (%)",
    "val_window_pr_auc": "area under the precision–recall curve",
    "val_r_peak_error": "error of R peaks (%)",
}

_JITTER = 0.025  # of the height of an axis: separates equal values, which stay nearest to their own label
_SMALL = 8  # points
_OUTLIER = 4  # times the score of the 90th percentile: a worse trial is drawn at the end of the axis


def plot_search(summary: SearchSummary) -> dict[str, Figure]:
    """Return the figures of one search by name, ``search_<task>_<kind>``.

    The kinds are ``curves``, ``progress``, ``importances``, ``parallel`` and ``pareto``; a figure for which there are
    too few trials is left out. A score that is maximized is drawn as its distance from 1, so that lower is better in
    all figures.
    """
    drawn = {
        "curves": _plot_curves(summary),
        "progress": _plot_progress(summary),
        "importances": _plot_importances(summary),
        "parallel": _plot_parallel(summary),
        "pareto": _plot_pareto(summary),
    }
    return {f"search_{summary.task}_{kind}": figure for kind, figure in drawn.items() if figure is not None}


def _plot_curves(summary: SearchSummary) -> Figure | None:
    """Plot the validation score by epoch, one line per trial, joined to the trial that it continues."""
    curves = {trial.id: _curve(trial, summary.direction) for trial in summary.trials}
    if not any(curves.values()):
        return None
    figure, (axis,) = make_axes(1, 1, height=4.6)
    best = summary.trials[0]
    ends = {(t.configuration, t.bracket, t.rung): curves[t.id][-1] for t in summary.trials if curves[t.id]}
    for trial in reversed(summary.trials):
        points, parent = curves[trial.id], ends.get((trial.configuration, trial.bracket, trial.rung - 1))
        if not points:
            continue
        own = trial.configuration == best.configuration and trial.bracket == best.bracket and trial.rung <= best.rung
        if parent is not None:
            axis.plot(*_columns([parent, points[0]]), color=BLACK if own else GRAY, linewidth=1.8 if own else 0.7)
        single = len(points) == 1  # a trial that was validated at its end only has no line
        if own:
            axis.plot(*_columns(points), ".-", color=BLACK, linewidth=4.5, markersize=18 if single else 7, zorder=4)
        style: dict[str, Any] = {"linewidth": 2.2, "zorder": 5} if own else {"linewidth": 1.0, "alpha": 0.75}
        axis.plot(*_columns(points), ".-", color=_rung_color(trial.rung), markersize=11 if single else 5, **style)
    earlier = ", with its earlier rungs" if best.rung else ""
    handles = [*_rung_handles(summary.trials), _line(BLACK, 4.5, f"best trial, {best.id}{earlier}")]
    values = [value for points in curves.values() for _, value in points]
    above = sum(any(value > _ceiling(values) for _, value in points) for points in curves.values())
    axis.set(xlabel="epoch", ylabel=_label(summary), xscale="log")
    first = min(epoch for points in curves.values() for epoch, _ in points)
    epochs = sorted({int(first), *(trial.epochs for trial in summary.trials)})
    axis.set_xticks(epochs, [str(epoch) for epoch in epochs])
    axis.minorticks_off()
    _scale_scores(axis, values)
    outside = f"; {above} outside the axis" if above else ""
    _set_title(axis, summary, f"validation score by epoch, lower is better{outside}")
    _add_legend(figure, handles)
    return figure


def _plot_progress(summary: SearchSummary) -> Figure | None:
    """Plot the score of each trial at the time it ended, and the best score so far."""
    if not summary.trials:
        return None
    figure, (axis,) = make_axes(1, 1, height=4.0)
    trials = sorted(summary.trials, key=lambda trial: trial.ended)
    total = max(summary.wall_seconds, trials[-1].ended)
    unit, seconds = ("h", 3600) if total >= 7200 else ("min", 60) if total >= 120 else ("s", 1)
    values = [as_loss(trial.score, summary.direction) for trial in trials]
    times = [trial.ended / seconds for trial in trials]
    best = np.minimum.accumulate(values)
    axis.step([*times, total / seconds], [*best, best[-1]], where="post", color=BLACK, linewidth=1.2, zorder=1)
    _scatter(axis, times, scores=values, colors=[_rung_color(trial.rung) for trial in trials])
    axis.set(xlabel=f"search time ({unit})", ylabel=_label(summary), xlim=(0, 1.02 * total / seconds or 1))
    _scale_scores(axis, values)
    _set_title(axis, summary, f"score of each trial when it ended, lower is better{_triangles(values)}")
    _add_legend(figure, [*_rung_handles(trials, marker="o"), _line(BLACK, 1.2, "best so far")])
    return figure


def _plot_importances(summary: SearchSummary) -> Figure | None:
    """Plot the importance of each hyperparameter with its interval."""
    if not summary.importances:
        return None
    items = list(reversed(summary.importances))
    figure, (axis,) = make_axes(1, 1, height=1.3 + 0.32 * len(items))
    axis.axvline(0, color=GRAY, linewidth=1)
    for row, item in enumerate(items):
        drop = item.r2_drop
        color = BLUE if drop.low > 0 else GRAY
        axis.plot([drop.low, drop.high], [row, row], color=color, linewidth=2, solid_capstyle="butt")
        axis.plot([drop.value], [row], "o", color=color, markersize=7)
    axis.set_yticks(range(len(items)), [item.hyperparameter for item in items])
    axis.set(xlabel="decrease of the explained variance (R²) when shuffled, with 95 % CI")
    explained = "" if summary.explained is None else f"; R² of the forest {summary.explained:.2f}"
    _set_title(axis, summary, f"importance of the hyperparameters{explained}")
    _add_legend(figure, [_line(BLUE, 2, "95 % CI above 0"), _line(GRAY, 2, "not significant")])
    return figure


def _plot_parallel(summary: SearchSummary) -> Figure | None:
    """Plot one line per configuration across all hyperparameters that vary, colored by its best score."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    trials = best_per_configuration(summary.trials)
    names = _varying(trials)
    if len(trials) < 3 or len(names) < 2:
        return None
    figure, (axis,) = make_axes(1, 1, height=4.8)
    scales = [_Scale(name, [trial.hyperparameters.get(name) for trial in trials]) for name in names]
    scores = [as_loss(trial.score, summary.direction) for trial in trials]
    # Scores of diverged trials would compress the color scale.
    lowest, highest = min(scores), float(np.percentile(scores, 90))
    colors = ScalarMappable(LogNorm(lowest, max(highest, 1.01 * lowest)), "cividis")
    rng = np.random.default_rng(0)
    for trial, score in reversed(list(zip(trials, scores, strict=True))):
        heights = [scale.height(trial.hyperparameters.get(scale.name), rng) for scale in scales]
        best = trial is trials[0]
        axis.plot(
            heights,
            color=colors.to_rgba(np.array([score]))[0],
            linewidth=3.5 if best else 1.4,
            alpha=1 if best else 0.8,
        )
    for column, scale in enumerate(scales):
        _draw_scale(axis, column, scale)
    axis.set_xticks(range(len(names)), names)
    axis.set(yticks=[], ylim=(-0.06, 1.06), xlim=(-0.4, len(names) - 0.5))
    axis.spines[:].set_visible(False)
    axis.tick_params(axis="x", length=0)
    _set_title(axis, summary, f"{len(trials)} configurations by their best score; thick line: best configuration")
    _add_color_bar(figure, axis, colors=colors, highest=max(scores), label=_label(summary))
    return figure


def _add_color_bar(figure: Figure, axis: Axes, *, colors: ScalarMappable, highest: float, label: str) -> None:
    low, high = colors.get_clim()
    assert low is not None and high is not None
    locator, formatter = log_ticks(low, high)
    extend = "max" if highest > high else "neither"
    bar = figure.colorbar(colors, ax=axis, ticks=locator, format=formatter, extend=extend, pad=0.01)
    bar.set_label(label)
    bar.minorticks_off()


def _plot_pareto(summary: SearchSummary) -> Figure | None:
    """Plot score against weights, and against inference time if it was measured."""
    trials = best_per_configuration(summary.trials)
    if len(trials) < 2:
        return None
    timed = [trial for trial in trials if trial.milliseconds is not None]
    figure, axes = make_axes(1, 2 if len(timed) > 1 else 1, height=4.2)
    weights = {trial.id: float(trial.parameters) for trial in trials}
    _plot_front(axes[0], summary, costs=weights, front=summary.pareto_parameters)
    axes[0].set(xlabel="weights")
    if len(timed) > 1:
        times = {trial.id: trial.milliseconds or 0.0 for trial in timed}
        _plot_front(axes[1], summary, costs=times, front=summary.pareto_latency)
        axes[1].set(xlabel="inference time per segment (ms)")
    handles = [_line(GRAY, 0, "best trial of a configuration", "o"), _line(BLUE, 1.5, "Pareto front", "o")]
    _add_legend(figure, [*handles, _line(VERMILION, 0, "best score", "*")])
    return figure


def _plot_front(axis: Axes, summary: SearchSummary, *, costs: dict[str, float], front: Sequence[str]) -> None:
    scores = {t.id: as_loss(t.score, summary.direction) for t in summary.trials if t.id in costs}
    values = list(scores.values())
    _scatter(axis, [costs[i] for i in scores], scores=values, colors=[GRAY] * len(scores))
    steps = [(costs[i], scores[i]) for i in front]
    # Nothing cheaper is better than a point of the front, so the front continues as a step to the highest cost.
    axis.step(*_columns([*steps, (max(costs.values()), steps[-1][1])]), where="post", color=BLUE, linewidth=1.5)
    axis.plot(*_columns(steps), "o", color=BLUE, markersize=6)
    scale_logarithmically(axis, "x", limits=_widened(min(costs.values()), max(costs.values())), max_ticks=5)
    _scale_scores(axis, values)
    axis.set(ylabel=_label(summary))
    _set_title(axis, summary, f"score and cost{_triangles(values)}")
    winner = summary.trials[0].id
    if winner in costs:
        place = (costs[winner], scores[winner])
        axis.plot(*_columns([place]), "*", color=VERMILION, markersize=13, zorder=5)
        right = np.log(place[0]) > np.mean(np.log([min(costs.values()), max(costs.values())]))
        side: dict[str, Any] = {"ha": "right" if right else "left", "xytext": (-4 if right else 4, -8)}
        axis.annotate(winner, place, textcoords="offset points", va="top", fontsize=9, color=VERMILION, **side)


class _Scale:
    """Positions of the values of one hyperparameter on its axis, from 0 to 1.

    A learning rate has a logarithmic axis. Other hyperparameters have one position per value, the lowest at the bottom;
    below it is the position of configurations without the hyperparameter, if there are any.
    """

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        self.log = name == "learning_rate"
        present = {value for value in values if value is not None}
        ordered = sorted(present, key=lambda value: (isinstance(value, str), value))
        self.values = [None, *ordered] if None in values else ordered

    def height(self, value: Any, rng: np.random.Generator | None = None) -> float:
        """Return the position of a value; a generator adds jitter to one of several values."""
        if self.log:
            low, high = np.log([self.values[0], self.values[-1]])
            return float((np.log(value) - low) / (high - low))
        jitter = 0.0 if rng is None else rng.uniform(-_JITTER, _JITTER)
        return self.values.index(value) / (len(self.values) - 1) + jitter

    def ticks(self) -> list[tuple[float, str]]:
        """Return positions and their labels."""
        if not self.log:
            return [(self.height(value), "none" if value is None else str(value)) for value in self.values]
        low, high = self.values[0], self.values[-1]
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        round_values = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        inside = [value for value in round_values if low <= value <= high]
        return [(self.height(value), f"{value:.2g}") for value in (inside if len(inside) > 1 else (low, high))]


def _draw_scale(axis: Axes, column: int, scale: _Scale) -> None:
    axis.axvline(column, ymin=0.02, ymax=0.98, color=BLACK, linewidth=0.8, zorder=3)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for height, text in scale.ticks():
        axis.annotate(
            text, (column, height), (4, 0), textcoords="offset points", va="center", fontsize=_SMALL, bbox=box, zorder=6
        )


def _varying(trials: Sequence[TrialSummary]) -> list[str]:
    # The configuration with the most hyperparameters comes first: it has all in the order of the search space.
    fullest = sorted(trials, key=lambda trial: -len(trial.hyperparameters))
    names = dict.fromkeys(name for trial in fullest for name in trial.hyperparameters)
    return [name for name in names if len({trial.hyperparameters.get(name) for trial in trials}) > 1]


def _curve(trial: TrialSummary, direction: str) -> list[tuple[float, float]]:
    return [(float(epoch), as_loss(value, direction)) for epoch, value in trial.curve if value is not None]


def _columns(points: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    x, y = zip(*points, strict=True)
    return list(x), list(y)


def _label(summary: SearchSummary) -> str:
    name = _OBJECTIVES.get(summary.objective, summary.objective)
    return name if summary.direction == "min" else f"1 − {name}"


def _set_title(axis: Axes, summary: SearchSummary, text: str) -> None:
    axis.set_title(f"{summary.task.capitalize()} search: {text}", fontsize=TITLE)


def _rung_color(rung: int) -> str:
    return _RUNGS[rung % len(_RUNGS)]


def _rung_handles(trials: Sequence[TrialSummary], marker: str = "") -> list[Any]:
    width = 0 if marker else 2
    return [_line(_rung_color(rung), width, f"rung {rung}", marker) for rung in sorted({t.rung for t in trials})]


def _line(color: str, width: float, label: str, marker: str = "") -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linewidth=width, linestyle="-" if width else "", marker=marker, label=label)


def _add_legend(figure: Figure, handles: Sequence[Any]) -> None:
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=_SMALL)


def _ceiling(scores: Sequence[float]) -> float:
    """Return the end of an axis of scores; the scores of diverged trials would compress all others."""
    return min(max(scores), _OUTLIER * float(np.percentile(scores, 90)))


def _triangles(scores: Sequence[float]) -> str:
    above = sum(score > _ceiling(scores) for score in scores)
    return f"; {above} outside the axis (▲)" if above else ""


def _scatter(axis: Axes, x: Sequence[float], *, scores: Sequence[float], colors: Sequence[str]) -> None:
    """Draw points; those outside the axis become triangles at its end."""
    top = _ceiling(scores)
    for marker, size, outside in (("o", 28, False), ("^", 40, True)):
        here = [i for i, score in enumerate(scores) if (score > top) == outside]
        y = [min(scores[i], top) for i in here]
        color = [colors[i] for i in here]
        axis.scatter([x[i] for i in here], y, s=size, c=color, marker=marker, edgecolors="white", linewidths=0.5)


def _scale_scores(axis: Axes, scores: Sequence[float]) -> None:
    limits = _widened(min(scores), _ceiling(scores))
    scale_logarithmically(axis, "y", limits=limits, max_ticks=MAX_TICKS)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return the limits of a logarithmic axis, with room below for the name of the best trial."""
    below, above = ((high / low) ** 0.1, (high / low) ** 0.06) if high > low else (1.2, 1.2)
    return low / below, high * above
