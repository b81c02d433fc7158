"""What all plots have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GREY, BLACK = "#B0B0B0", "#000000"

OTHERS = (ORANGE, GREEN, PURPLE, SKY, VERMILION, "#8C6D31", "#7F7F7F")
"""For the methods that ours is held against; ours is blue everywhere."""

MARKERS = ("s", "^", "v", "D", "P", "X", "*")
"""Beside the colours, so that lines can be told apart in black and white."""

WIDTH = 10.0
"""Inches: at this width letters of 9 points are read without zooming."""

DPI = 110
SMALL = 9


def figure_of(rows: int, columns: int, height: float, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure with axes row by row, without the upper and right frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(np.asarray(figure.subplots(rows, columns), dtype=object)).ravel()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)
