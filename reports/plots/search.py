"""The plots of a search. They show what they are given; nothing is computed here but where to put it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.evaluation.results.search import SearchSummary, TrialSummary, as_loss, best_per_configuration
from ecg_study.reports.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter, Locator

_RUNGS = (SKY, ORANGE, GREEN, PURPLE, BLUE)

_LABELS = {
    "val_loss": "mean squared error in mV²",
    "val_log_error": "ln(1 + MSE / (10 µV)²)",
    "val_window_pr_auc": "area under precision–recall curve",
}

_JITTER = 0.025  # of the height of an axis: lines of equal values can be told, and stay nearest to their own
_TEXT = 8  # points
_FAR = 4  # times the score that nine of ten trials reach

_DIGITS = ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Digits of the labels of a logarithmic axis, to be chosen from by how many there is room for."""

_MOST = 7  # labels of an upright axis


def search_figures(summary: SearchSummary) -> dict[str, Figure]:
    """The figures of one search, by file name without ending: ``search_<task>_<kind>``.

    The kinds are ``curves``, ``progress``, ``importances``, ``parallel`` and ``pareto``; one for which there are too
    few trials is left out. A score of which the most is best is drawn as its distance from 1 on a logarithmic axis, so
    that in all figures lower is better.
    """
    drawn = {
        "curves": _curves_figure(summary),
        "progress": _progress_figure(summary),
        "importances": _importances_figure(summary),
        "parallel": _parallel_figure(summary),
        "pareto": _pareto_figure(summary),
    }
    return {f"search_{summary.task}_{kind}": figure for kind, figure in drawn.items() if figure is not None}


def _curves_figure(summary: SearchSummary) -> Figure | None:
    """Validation objective by epoch, one line a trial, joined to the trial it goes on from."""
    curves = {trial.id: _curve(trial, summary.direction) for trial in summary.trials}
    if not any(curves.values()):
        return None
    figure, (axis,) = figure_of(1, 1, 4.6)
    best = summary.trials[0]
    ends = {(t.configuration, t.bracket, t.rung): curves[t.id][-1] for t in summary.trials if curves[t.id]}
    for trial in reversed(summary.trials):
        points, parent = curves[trial.id], ends.get((trial.configuration, trial.bracket, trial.rung - 1))
        if not points:
            continue
        own = trial.configuration == best.configuration and trial.bracket == best.bracket and trial.rung <= best.rung
        if parent is not None:
            axis.plot(*_columns([parent, points[0]]), color=BLACK if own else GREY, linewidth=1.8 if own else 0.7)
        if own:
            axis.plot(*_columns(points), color=BLACK, linewidth=4.5, zorder=4)
        style: dict[str, Any] = {"linewidth": 2.2, "zorder": 5} if own else {"linewidth": 1.0, "alpha": 0.75}
        axis.plot(*_columns(points), ".-", color=_rung_colour(trial.rung), markersize=5, **style)
    before = ", and those that it goes on from" if best.rung else ""
    before = ", and those that it goes on from" if best.rung else ""
    handles = [*_rung_handles(summary.trials), _line(BLACK, 4.5, f"best trial, {best.id}{before}")]
    values = [value for points in curves.values() for _, value in points]
    above = sum(any(value > _ceiling(values) for _, value in points) for points in curves.values())
    axis.set(xlabel="epoch", ylabel=_label(summary), xscale="log")
    epochs = sorted({1, *(trial.epochs for trial in summary.trials)})
    axis.set_xticks(epochs, [str(epoch) for epoch in epochs])
    axis.minorticks_off()
    _log_scale(axis, "y", values)
    title = f"{summary.task}: validation score of each trial by epoch, lower is better"
    axis.set_title(title + (f"; {above} off the scale" if above else ""), fontsize=10)
    _legend(figure, handles)
    return figure


def _progress_figure(summary: SearchSummary) -> Figure | None:
    """Score of each trial when it ended, and the best so far."""
    if not summary.trials:
        return None
    figure, (axis,) = figure_of(1, 1, 4.0)
    trials = sorted(summary.trials, key=lambda trial: trial.ended)
    whole = max(summary.wall_seconds, trials[-1].ended)
    unit, seconds = ("h", 3600) if whole >= 7200 else ("min", 60) if whole >= 120 else ("s", 1)
    values = [as_loss(trial.score, summary.direction) for trial in trials]
    times = [trial.ended / seconds for trial in trials]
    best = np.minimum.accumulate(values)
    axis.step([*times, whole / seconds], [*best, best[-1]], where="post", color=BLACK, linewidth=1.2, zorder=1)
    colours = [_rung_colour(trial.rung) for trial in trials]
    _scatter(axis, times, values, colours)
    axis.set(xlabel=f"time of the search in {unit}", ylabel=_label(summary), xlim=(0, 1.02 * whole / seconds or 1))
    _log_scale(axis, "y", values)
    title = f"{summary.task}: validation score of each trial as it ended, lower is better"
    axis.set_title(title + _triangles(values), fontsize=10)
    _legend(figure, [*_rung_handles(trials, marker="o"), _line(BLACK, 1.2, "best so far")])
    return figure


def _importances_figure(summary: SearchSummary) -> Figure | None:
    """Importance of each hyperparameter with its interval."""
    if not summary.importances:
        return None
    items = list(reversed(summary.importances))
    figure, (axis,) = figure_of(1, 1, 1.3 + 0.32 * len(items))
    axis.axvline(0, color=GREY, linewidth=1)
    for row, item in enumerate(items):
        drop = item.r2_drop
        colour = BLUE if drop.low > 0 else GREY
        axis.plot([drop.low, drop.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        axis.plot([drop.value], [row], "o", color=colour, markersize=7)
    axis.set_yticks(range(len(items)), [item.hyperparameter for item in items])
    axis.set(xlabel="loss of explained variance (R²) when its values are shuffled, 95 % interval")
    explained = "" if summary.explained is None else f"; the forest explains R² = {summary.explained:.2f}"
    axis.set_title(f"{summary.task}: how much each choice matters{explained}", fontsize=10)
    _legend(figure, [_line(BLUE, 2, "interval above 0"), _line(GREY, 2, "cannot be told from 0")])
    return figure


def _parallel_figure(summary: SearchSummary) -> Figure | None:
    """One line a configuration across all hyperparameters that vary, coloured by its best score."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    trials = best_per_configuration(summary.trials)
    names = _varying(trials)
    if len(trials) < 3 or len(names) < 2:
        return None
    figure, (axis,) = figure_of(1, 1, 4.8)
    scales = [_Scale(name, [trial.hyperparameters.get(name) for trial in trials]) for name in names]
    scores = [as_loss(trial.score, summary.direction) for trial in trials]
    lowest, highest = min(scores), float(np.percentile(scores, 90))  # one that diverged would pale all others
    colours = ScalarMappable(LogNorm(lowest, max(highest, 1.01 * lowest)), "cividis")
    rng = np.random.default_rng(0)
    for trial, score in reversed(list(zip(trials, scores, strict=True))):
        heights = [scale.height(trial.hyperparameters.get(scale.name), rng) for scale in scales]
        best = trial is trials[0]
        axis.plot(
            heights,
            color=colours.to_rgba(np.array([score]))[0],
            linewidth=3.5 if best else 1.4,
            alpha=1 if best else 0.8,
        )
    for column, scale in enumerate(scales):
        _draw_scale(axis, column, scale)
    axis.set_xticks(range(len(names)), names)
    axis.set(yticks=[], ylim=(-0.06, 1.06), xlim=(-0.15, len(names) - 0.5))
    axis.spines[:].set_visible(False)
    axis.tick_params(axis="x", length=0)
    title = f"{summary.task}: {len(trials)} configurations by their best score; the best is the thick line"
    axis.set_title(title, fontsize=10)
    _colour_bar(figure, axis, colours, max(scores), _label(summary))
    return figure


def _colour_bar(figure: Figure, axis: Axes, colours: ScalarMappable, highest: float, label: str) -> None:
    low, high = colours.get_clim()
    assert low is not None and high is not None
    locator, formatter = _log_ticks(low, high)
    extend = "max" if highest > high else "neither"
    bar = figure.colorbar(colours, ax=axis, ticks=locator, format=formatter, extend=extend, pad=0.01)
    bar.set_label(label)
    bar.minorticks_off()


def _pareto_figure(summary: SearchSummary) -> Figure | None:
    """Score against weights, and against time where it was measured."""
    trials = best_per_configuration(summary.trials)
    if len(trials) < 2:
        return None
    timed = [trial for trial in trials if trial.milliseconds is not None]
    figure, axes = figure_of(1, 2 if len(timed) > 1 else 1, 4.2)
    weights = {trial.id: float(trial.parameters) for trial in trials}
    _draw_front(axes[0], summary, weights, summary.pareto_parameters, "trainable weights")
    if len(timed) > 1:
        times = {trial.id: trial.milliseconds or 0.0 for trial in timed}
        _draw_front(axes[1], summary, times, summary.pareto_latency, "time for one segment in ms")
    handles = [_line(GREY, 0, "best trial of a configuration", "o"), _line(BLUE, 1.5, "no other beats in both", "o")]
    _legend(figure, [*handles, _line(VERMILION, 0, "best score", "*")])
    return figure


def _draw_front(axis: Axes, summary: SearchSummary, costs: dict[str, float], front: Sequence[str], name: str) -> None:
    scores = {t.id: as_loss(t.score, summary.direction) for t in summary.trials if t.id in costs}
    _scatter(axis, [costs[i] for i in scores], list(scores.values()), [GREY] * len(scores))
    steps = [(costs[i], scores[i]) for i in front]
    # From each on, nothing cheaper does better: the front goes on level to the most costly, and upright to the worst.
    axis.step(*_columns([*steps, (max(costs.values()), steps[-1][1])]), where="post", color=BLUE, linewidth=1.5)
    axis.plot(*_columns(steps), "o", color=BLUE, markersize=6)
    _log_scale(axis, "x", list(costs.values()))
    _log_scale(axis, "y", list(scores.values()))
    axis.set(xlabel=name, ylabel=_label(summary))
    axis.set_title(f"{summary.task}: score against cost{_triangles(list(scores.values()))}", fontsize=10)
    winner = summary.trials[0].id
    if winner in costs:
        place = (costs[winner], scores[winner])
        axis.plot(*_columns([place]), "*", color=VERMILION, markersize=13, zorder=5)
        right = np.log(place[0]) > np.mean(np.log([min(costs.values()), max(costs.values())]))
        side: dict[str, Any] = {"ha": "right" if right else "left", "xytext": (-4 if right else 4, -8)}
        axis.annotate(winner, place, textcoords="offset points", va="top", fontsize=9, color=VERMILION, **side)


class _Scale:
    """Where the values of one hyperparameter stand on their axis, from 0 to 1.

    A learning rate has a logarithmic axis, all others one place a value, the lowest at the bottom; below it the place
    of configurations that do not have the hyperparameter, if there are such.
    """

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        self.log = name == "learning_rate"
        present = {value for value in values if value is not None}
        ordered = sorted(present, key=lambda value: (isinstance(value, str), value))
        self.values = [None, *ordered] if None in values else ordered

    def height(self, value: Any, rng: np.random.Generator | None = None) -> float:
        """Place of a value; with a generator, one place of several is strewn a little."""
        if self.log:
            low, high = np.log([self.values[0], self.values[-1]])
            return float((np.log(value) - low) / (high - low))
        strewn = 0.0 if rng is None else rng.uniform(-_JITTER, _JITTER)
        return self.values.index(value) / (len(self.values) - 1) + strewn

    def ticks(self) -> list[tuple[float, str]]:
        """Places that are labelled."""
        if not self.log:
            return [(self.height(value), "none" if value is None else str(value)) for value in self.values]
        low, high = self.values[0], self.values[-1]
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        round_ones = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        inside = [value for value in round_ones if low <= value <= high]
        return [(self.height(value), f"{value:.2g}") for value in (inside if len(inside) > 1 else (low, high))]


def _draw_scale(axis: Axes, column: int, scale: _Scale) -> None:
    axis.axvline(column, ymin=0.02, ymax=0.98, color=BLACK, linewidth=0.8, zorder=3)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for height, text in scale.ticks():
        axis.annotate(
            text, (column, height), (4, 0), textcoords="offset points", va="center", fontsize=_TEXT, bbox=box, zorder=6
        )


def _varying(trials: Sequence[TrialSummary]) -> list[str]:
    # The configuration with most of them first: it has all in the order in which the space declares them.
    fullest = sorted(trials, key=lambda trial: -len(trial.hyperparameters))
    names = dict.fromkeys(name for trial in fullest for name in trial.hyperparameters)
    return [name for name in names if len({trial.hyperparameters.get(name) for trial in trials}) > 1]


def _curve(trial: TrialSummary, direction: str) -> list[tuple[float, float]]:
    return [(float(epoch), as_loss(value, direction)) for epoch, value in trial.curve if value is not None]


def _columns(points: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    x, y = zip(*points, strict=True)
    return list(x), list(y)


def _label(summary: SearchSummary) -> str:
    name = _LABELS.get(summary.objective, summary.objective)
    return name if summary.direction == "min" else f"1 − {name}"


def _rung_colour(rung: int) -> str:
    return _RUNGS[rung % len(_RUNGS)]


def _rung_handles(trials: Sequence[TrialSummary], marker: str = "") -> list[Any]:
    width = 0 if marker else 2
    return [_line(_rung_colour(rung), width, f"rung {rung}", marker) for rung in sorted({t.rung for t in trials})]


def _line(colour: str, width: float, label: str, marker: str = "") -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linewidth=width, linestyle="-" if width else "", marker=marker, label=label)


def _legend(figure: Figure, handles: Sequence[Any]) -> None:
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=_TEXT)


def _ceiling(scores: Sequence[float]) -> float:
    """Where an axis of scores ends: far worse ones, of trials that went wrong, would press all others together."""
    return min(max(scores), _FAR * float(np.percentile(scores, 90)))


def _triangles(scores: Sequence[float]) -> str:
    above = sum(score > _ceiling(scores) for score in scores)
    return f"; {above} off the scale (▲)" if above else ""


def _scatter(axis: Axes, x: Sequence[float], scores: Sequence[float], colours: Sequence[str]) -> None:
    """Points; those off the scale as triangles at its end."""
    top = _ceiling(scores)
    for marker, size, outside in (("o", 28, False), ("^", 40, True)):
        here = [i for i, score in enumerate(scores) if (score > top) == outside]
        y = [min(scores[i], top) for i in here]
        colour = [colours[i] for i in here]
        axis.scatter([x[i] for i in here], y, s=size, c=colour, marker=marker, edgecolors="white", linewidths=0.5)


def _log_scale(axes: Axes, letter: str, values: Sequence[float]) -> None:
    """Make the axis ``x``, of costs, or ``y``, of scores, logarithmic, from the least to the largest or the ceiling."""
    from matplotlib.ticker import NullLocator

    low, high = min(values), max(values) if letter == "x" else _ceiling(values)
    # Room for the name of the winner, which stands below it.
    below, above = ((high / low) ** 0.1, (high / low) ** 0.06) if high > low else (1.2, 1.2)
    axes.set(**{f"{letter}scale": "log", f"{letter}lim": (low / below, high * above)})
    axis: Axis = getattr(axes, f"{letter}axis")
    locator, formatter = _log_ticks(low / below, high * above, 5 if letter == "x" else _MOST)
    axis.set_major_locator(locator)
    axis.set_major_formatter(formatter)
    axis.set_minor_locator(NullLocator())


def _log_ticks(low: float, high: float, most: int = _MOST) -> tuple[Locator, Formatter]:
    """Three to ``most`` labels at round values; within a small part of a decade, at equal distances."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, ScalarFormatter

    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in _DIGITS:
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if 3 <= len(ticks) <= most:
            return FixedLocator(ticks), FuncFormatter(lambda tick, _: f"{tick:,.0f}" if tick >= 1000 else f"{tick:g}")
    plain = ScalarFormatter(useOffset=False, useMathText=True)
    plain.set_powerlimits((-4, 6))
    return MaxNLocator(min(most, 6)), plain
