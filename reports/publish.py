"""Rendering of a report, and its publication in the output folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ecg_study.evaluation.results.values import GRU, LSTM, NOISY, TOLERANCES_MS
from ecg_study.files import exclusive, make_directory, write_text
from ecg_study.formatting import duration
from ecg_study.models.card import DISCLAIMER
from ecg_study.reports import tables
from ecg_study.reports.html import to_html
from ecg_study.reports.markdown import to_markdown
from ecg_study.reports.page import Page, Plot, fill_page
from ecg_study.reports.plots.drawing import draw_plots
from ecg_study.reports.report import Report
from ecg_study.reports.sentences import augmentation, compare_with_reference, explain_objective, findings, moved_marks

TITLE = "LSTM denoiser and GRU detector for ECG"

PUBLISHED = ("models", "csv", "plots", "report.json", "report.html", "report.md")
"""Contents of a report, in the order of publication: the page that refers to the others comes last."""

RENDERED = ("plots", "report.html", "report.md")
"""The part of a report that is rendered from ``report.json``."""

_STAGING = ".report-"
"""Start of the name of the folder in which a report is written."""

_COMPLETE = "complete"
"""File in that folder once all files are written."""

SEARCH_PLOTS = {
    "curves": "validation score by epoch and rung",
    "progress": "score of each trial by the time it ended, and the best score so far",
    "importances": "importance of each hyperparameter",
    "parallel": "all configurations and their scores",
    "pareto": "score against network size and inference time, with the Pareto front",
}
"""Last part of a plot's name → its caption, in the order of the page."""

_FEW_RECORDS = 10
"""Number of test records below which the report warns about its intervals."""


def report_page(report: Report, plots: Sequence[str]) -> Page:
    """Return the page of a report.

    Args:
        report: results of a study.
        plots: names of the plots in ``plots/``, without suffix.
    """
    return fill_page(
        "report.md.j2",
        TITLE,
        r=report,
        plots=list(plots),
        plot=Plot,
        tables=tables,
        augmentation=augmentation,
        compare_with_reference=compare_with_reference,
        moved_marks=moved_marks,
        explain_objective=explain_objective,
        findings=findings,
        duration=duration,
        disclaimer=DISCLAIMER,
        search_plots=SEARCH_PLOTS,
        widest=TOLERANCES_MS[0],
        few=_FEW_RECORDS,
        LSTM=LSTM,
        GRU=GRU,
        NOISY=NOISY,
    )


def render_report(directory: Path, report: Report) -> None:
    """Write ``plots/``, ``report.md`` and ``report.html`` into a folder.

    Args:
        directory: the folder.
        report: results of a study.
    """
    page = report_page(report, draw_plots(directory / "plots", report))
    write_text(directory / "report.md", to_markdown(page))
    write_text(directory / "report.html", to_html(page, directory))


@contextmanager
def only_report(out: Path) -> Iterator[None]:
    """Let no other process write a report to a folder during the block.

    A report that a killed process was moving into place is completed, other remains are removed.

    Args:
        out: folder of the study.

    Raises:
        InputError: the folder cannot be used.
        StateError: another process writes a report there.
    """
    make_directory(out)
    busy = f"{out}: another process is writing a report here; wait for it, or choose another output folder"
    with exclusive(out / ".report.lock", busy=busy):
        for leftover in sorted(out.glob(f"{_STAGING}*")):
            if (leftover / _COMPLETE).is_file():
                _swap_into_place(leftover, out, [name for name in PUBLISHED if (leftover / name).exists()])
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def publish(out: Path, write: Callable[[Path], None], *, names: Sequence[str] = PUBLISHED) -> None:
    """Write files into a folder beside, then swap them into place: all of them, or none after an error.

    Call it within `only_report`.

    Args:
        out: folder of the study.
        write: writes the files into the folder that it is given.
        names: files and folders to swap, in this order.
    """
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=out))
    try:
        write(staging)
        write_text(staging / _COMPLETE, "")
        _swap_into_place(staging, out, names)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _swap_into_place(staging: Path, out: Path, names: Sequence[str]) -> None:
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
