"""From the report value to the files that people read. Nothing is computed here."""

from __future__ import annotations

from pathlib import Path

from ecg_data.files import write_text
from reports.rendering.html import to_html
from reports.rendering.markdown import TITLE, render
from reports.rendering.plots import draw_plots
from reports.results import Report


def render_report(directory: Path, report: Report) -> None:
    """Write ``plots/``, ``report.md`` and ``report.html`` into a folder.

    Args:
        directory: where to; the page refers to files beside it.
        report: the value.
    """
    drawn = draw_plots(directory / "plots", report)
    page = render(report, drawn)
    write_text(directory / "report.md", page)
    write_text(directory / "report.html", to_html(page, directory, TITLE))
