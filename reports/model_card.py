"""Model cards as Markdown pages."""

from __future__ import annotations

from ecg_study.evaluation.results.fine_tuning import FineTuning
from ecg_study.models.card import ModelCard
from ecg_study.reports.markdown import _fill
from ecg_study.reports.report import Report, Training


def render_card(report: Report, training: Training) -> str:
    """The card of one bundle, for people.

    Args:
        report: whose figures it gives.
        training: of the model in the bundle.
    """
    return _fill("card.md.j2", report, training=training)


def render_tuned_card(card: ModelCard, tuned: FineTuning) -> str:
    """The card of a bundle that was trained further, for people.

    Args:
        card: the bundle's.
        tuned: what the training gave.
    """
    return _fill("tuned_card.md.j2", None, card=card, tuned=tuned)
