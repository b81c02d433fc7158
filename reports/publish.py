"""Swap a complete report into the output folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ecg_study.files import write_text
from ecg_study.reports.html import to_html
from ecg_study.reports.markdown import TITLE, render
from ecg_study.reports.plots.drawing import draw_plots
from ecg_study.reports.report import Report

PUBLISHED = ("models", "csv", "plots", "report.json", "report.html", "report.md")
"""What a report consists of, in the order in which it is put in place: the page that points at the rest comes last."""


def publish(out: Path, write: Callable[[Path], None], names: Sequence[str] = PUBLISHED) -> None:
    """Write into a folder beside, and put what was made in the place of what was there; all or none, but for a kill."""
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.glob(".report-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a report that was killed; two at once share no --out
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=out))
    try:
        write(staging)
        _put_in_place(staging, out, names)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _put_in_place(staging: Path, out: Path, names: Sequence[str]) -> None:
    moved: list[str] = []
    try:
        for name in names:
            if (out / name).exists():
                (out / name).rename(staging / f"old-{name}")
            moved.append(name)
            (staging / name).rename(out / name)
    except BaseException:
        for name in moved:
            if (out / name).exists():
                (out / name).rename(staging / f"new-{name}")
            if (staging / f"old-{name}").exists():
                (staging / f"old-{name}").rename(out / name)
        raise


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
