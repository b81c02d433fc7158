"""Page of searches that are running: progress, best trials and plots, as one HTML file without scripts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.formatting import describe, duration
from ecg_study.reports import tables
from ecg_study.reports.html import to_html
from ecg_study.reports.page import Plot, fill_page
from ecg_study.reports.plots.drawing import save_figures
from ecg_study.reports.plots.search import plot_search
from ecg_study.reports.publish import SEARCH_PLOTS
from ecg_study.reports.sentences import objective_name


@dataclass(frozen=True)
class LiveSearch:
    """A search as far as it is saved.

    Attributes:
        summary: its finished trials.
        finished: number of finished trials, failed ones included.
        planned: trials of the whole schedule.
        done: whether it has ended.
        seconds_left: estimated time to its end; ``None`` if it has ended, or before the first trial.
    """

    summary: SearchSummary
    finished: int
    planned: int
    done: bool
    seconds_left: float | None


def render_live_page(title: str, searches: Sequence[LiveSearch]) -> str:
    """Return the page as HTML.

    Args:
        title: title of the page.
        searches: the searches of a study.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: figure for item in searches for name, figure in plot_search(item.summary).items()}
        plots = save_figures(Path(folder) / "plots", figures)
        page = fill_page(
            "live.md.j2",
            title,
            searches=searches,
            plots=plots,
            plot=Plot,
            tables=tables,
            search_plots=SEARCH_PLOTS,
            objective=objective_name,
            describe=describe,
            duration=duration,
        )
        return to_html(page, Path(folder))
