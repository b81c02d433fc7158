"""The report as markdown, from a template. Nothing is computed here: every figure is taken from the report value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecg_study.evaluation.results.values import DENOISED, GRU, LSTM, NOISY, TOLERANCES_MS, Comparison
from ecg_study.models.card import DISCLAIMER
from ecg_study.reports import tables
from ecg_study.reports.plots.denoiser import KIND_NAMES
from ecg_study.reports.report import Report
from ecg_study.reports.sentences import findings, training_noise

TITLE = "LSTM denoiser and GRU detector for ECG"
_TEMPLATES = Path(__file__).parent / "templates"

_SEARCH_PLOTS = {
    "curves": "validation score by epoch, by rung",
    "progress": "score of each trial as it ended, and the best so far",
    "importances": "importance of each hyperparameter",
    "parallel": "every configuration and its score",
    "pareto": "score against weights and against time, and what no other beats in both",
}
"""Last part of a plot's name → what it shows."""

_FEW = 10
"""Test records below which the report warns that intervals say little."""


def render(report: Report, plots: Sequence[str]) -> str:
    """The whole report.

    Args:
        report: the value.
        plots: names of the plots that lie in ``plots/``, without their ending.
    """
    return _fill("report.md.j2", report, plots=list(plots), findings=findings)


def _fill(name: str, report: Report | None, **more: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # markdown; the page that is made of it escapes
    )
    environment.globals.update(
        tables=tables,
        training_noise=training_noise,
        sentence=sentence,
        title=TITLE,
        disclaimer=DISCLAIMER,
        kind_names=KIND_NAMES,
        search_plots=_SEARCH_PLOTS,
        widest=TOLERANCES_MS[0],
        few=_FEW,
        LSTM=LSTM,
        GRU=GRU,
        NOISY=NOISY,
        DENOISED=DENOISED,
    )
    return environment.get_template(name).render(r=report, **more)


def sentence(comparison: Comparison) -> str:
    """What a comparison says, and no more."""
    figure = comparison.metric.split(": ")[1].removesuffix(" in mV")
    ours, theirs, gain = comparison.model, comparison.reference, comparison.difference.value
    if comparison.significant is None:
        verb = "does better than" if gain > 0 else "does worse than" if gain < 0 else "does as well as"
        return f"By {figure}, the {ours} {verb} the {theirs}, on too few records to tell whether by chance."
    if not comparison.significant:
        return f"By {figure}, the {ours} cannot be told from the {theirs}."
    return f"By {figure}, the {ours} {'beats' if gain > 0 else 'loses to'} the {theirs}."
