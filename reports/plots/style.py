"""Colors, sizes and axes that all plots share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter, Locator

# The colors of Okabe and Ito, which color-blind readers can distinguish (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GRAY, BLACK = "#B0B0B0", "#000000"

OTHERS = (ORANGE, GREEN, PURPLE, SKY, VERMILION, "#8C6D31", "#7F7F7F")
"""Colors of reference methods; our models are blue in all plots."""

MARKERS = ("s", "^", "v", "D", "P", "X", "*")
"""Markers of reference methods, which distinguish lines in black and white."""

WIDTH = 10.0
"""Width in inches at which text of 9 points is readable without zooming."""

DPI = 110
SMALL, TITLE = 9, 10  # points

MAX_TICKS = 7
"""Most labels of a logarithmic axis."""

_DIGITS = ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Digits of the labels of a logarithmic axis, from the most to the fewest labels."""


def make_axes(rows: int, columns: int, *, height: float, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row, without upper and right spines.

    Args:
        rows: number of rows.
        columns: number of columns.
        height: height of the figure in inches.
        width: width of the figure in inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(np.asarray(figure.subplots(rows, columns), dtype=object)).ravel()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def scale_logarithmically(axes: Axes, letter: str, *, limits: tuple[float, float], max_ticks: int = MAX_TICKS) -> None:
    """Make an axis logarithmic, with labels at round values.

    Args:
        axes: the axes.
        letter: ``"x"`` or ``"y"``.
        limits: ends of the axis.
        max_ticks: most labels.
    """
    from matplotlib.ticker import NullLocator

    axes.set(**{f"{letter}scale": "log", f"{letter}lim": limits})
    axis = getattr(axes, f"{letter}axis")
    locator, formatter = log_ticks(*limits, max_ticks=max_ticks)
    axis.set_major_locator(locator)
    axis.set_major_formatter(formatter)
    axis.set_minor_locator(NullLocator())


def log_ticks(low: float, high: float, *, max_ticks: int = MAX_TICKS) -> tuple[Locator, Formatter]:
    """Return at least three labels at round values; at equal distances in a small part of a decade."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, ScalarFormatter

    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in _DIGITS:
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if 3 <= len(ticks) <= max_ticks:
            return FixedLocator(ticks), FuncFormatter(lambda tick, _: f"{tick:,.0f}" if tick >= 1000 else f"{tick:g}")
    plain = ScalarFormatter(useOffset=False, useMathText=True)
    plain.set_powerlimits((-4, 6))
    return MaxNLocator(min(max_ticks, 6)), plain


def add_legend_above(figure: Figure, axes: Axes) -> None:
    """Put the legend of some axes above the figure, at the right."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False, fontsize=SMALL)
