"""Export of a trained model as a model folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ecg_study.evaluation.results.values import GRU, LSTM, NOISY, TOLERANCES_MS
from ecg_study.models.card import DENOISER, ModelCard
from ecg_study.models.folder import save_model
from ecg_study.reports.model_card import render_card
from ecg_study.reports.report import Report, Training
from ecg_study.reports.schema import to_json
from ecg_study.training.pretrained import start_of
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.reporting.card_metrics import harm_metrics
from ecg_study.workflows.reporting.provenance import card_data
from ecg_study.workflows.task_models import task_card


def export_model(
    directory: Path, model: Any, *, report: Report, task: TrainingTask, signals: dict[str, list[str]]
) -> None:
    """Write a model folder with ``card.json`` and ``CARD.md``.

    Args:
        directory: folder to create.
        model: Keras model of the first seed.
        report: results of the study.
        task: training task of the model.
        signals: SHA-256 of the signal files of each training and validation record; these identify a record even if it
            is renamed.
    """
    training = next(
        item for item in report.trainings if (item.task, item.seed_index, item.role) == (task.name, 1, "final")
    )
    card = _card(report, training, task, signals)
    save_model(directory, model, card=card, page=render_card(report, training))


def _card(report: Report, training: Training, task: TrainingTask, signals: dict[str, list[str]]) -> ModelCard:
    start = start_of(task, training.hyperparameters)
    return replace(
        task_card(task, parameters=training.parameters),
        thresholds=training.thresholds,
        calibration=training.calibration,
        hyperparameters=training.hyperparameters,
        data={
            **card_data(report.data, task, hyperparameters=training.hyperparameters),
            "signals": signals,
            **({} if start is None else start.lineage),
        },
        metrics=_metrics(report, training.task),
        seed=report.provenance.seed,
    )


def _metrics(report: Report, task: str) -> dict[str, Any]:
    if task == DENOISER and report.denoiser is not None:
        summary = next(item for item in report.denoiser.summaries if item.method == LSTM)
        harm = {} if report.denoiser.harm is None else harm_metrics(report.denoiser.harm)
        return {"test, mean over records": to_json(summary.metrics), **harm}
    if report.detector is None:
        return {}
    peaks = [p for p in report.detector.peaks if (p.detector, p.input, p.after_learning) == (GRU, NOISY, False)]
    metrics = {f"test, R peaks within {ms} ms": to_json(p) for ms, p in zip(TOLERANCES_MS, peaks, strict=True)}
    windows = next(w for w in report.detector.windows if w.input == NOISY)
    metrics["test, windows"] = to_json({"confusion": windows.confusion, "f1": windows.f1, "brier": windows.brier})
    return metrics
