"""Model cards as Markdown pages (``CARD.md``)."""

from __future__ import annotations

from ecg_study.evaluation.results.fine_tuning import FineTuning
from ecg_study.evaluation.results.long_training import LongTraining
from ecg_study.evaluation.results.values import GRU, LSTM
from ecg_study.formatting import describe, describe_thresholds, duration
from ecg_study.models.card import DENOISER, DISCLAIMER, ModelCard
from ecg_study.reports import tables
from ecg_study.reports.markdown import to_markdown
from ecg_study.reports.page import fill_page
from ecg_study.reports.report import Report, Training
from ecg_study.reports.sentences import augmentation, compare_with_reference, describe_calibration, moved_marks


def render_card(report: Report, training: Training) -> str:
    """Return the model card of a model of a study.

    Args:
        report: results of the study.
        training: training of the model.
    """
    name = _name(training.task)
    section = report.denoiser if training.task == DENOISER else report.detector
    page = fill_page(
        "card.md.j2",
        name,
        r=report,
        training=training,
        comparisons=[item for item in report.comparisons if item.model == name],
        seeds=section.seeds if section is not None else [],
        morphology=next((m for m in report.denoiser.morphology if m.method == name), None) if report.denoiser else None,
        tables=tables,
        augmentation=augmentation,
        compare_with_reference=compare_with_reference,
        moved_marks=moved_marks,
        describe=describe,
        describe_thresholds=describe_thresholds,
        describe_calibration=describe_calibration,
        disclaimer=DISCLAIMER,
    )
    return to_markdown(page)


def render_fine_tuned_card(card: ModelCard, tuned: FineTuning) -> str:
    """Return the model card of a fine-tuned model.

    Args:
        card: its card for programs.
        tuned: the fine-tuning and its results.
    """
    page = fill_page(
        "fine_tuned_card.md.j2",
        f"{_name(card.model_kind)}, fine-tuned",
        card=card,
        tuned=tuned,
        tables=tables,
        describe=describe,
        describe_thresholds=describe_thresholds,
        describe_calibration=describe_calibration,
        disclaimer=DISCLAIMER,
    )
    return to_markdown(page)


def render_trained_card(card: ModelCard, trained: LongTraining) -> str:
    """Return the model card of a model that was trained without a search.

    Args:
        card: its card for programs.
        trained: the training and its results.
    """
    page = fill_page(
        "trained_card.md.j2",
        _name(card.model_kind),
        card=card,
        trained=trained,
        describe=describe,
        describe_thresholds=describe_thresholds,
        describe_calibration=describe_calibration,
        duration=duration,
        disclaimer=DISCLAIMER,
    )
    return to_markdown(page)


def _name(task: str) -> str:
    return LSTM if task == DENOISER else GRU
