"""Results of a training: network, thresholds, summary, card, and model folder."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.ecg_data.databases.splits import PARTS
from ecg_study.evaluation.leads import read_leads
from ecg_study.evaluation.results.long_training import LongTraining
from ecg_study.evaluation.thresholds import choose_operating_point
from ecg_study.files import remove_abandoned, temporary_path
from ecg_study.models.card import ModelCard, OperatingPoint
from ecg_study.models.folder import save_model
from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache
from ecg_study.training.final_training import build_trained
from ecg_study.training.specs import FinishedTraining, TrainingSpec
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.recorder import AVERAGED, LOSS
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.preparation import PreparedData
from ecg_study.workflows.reporting.provenance import card_data, summarize_data
from ecg_study.workflows.task_models import cached_task_model, task_card
from ecg_study.workflows.training.origins import TRAINED

if TYPE_CHECKING:
    import keras


def final_model(task: TrainingTask, spec: TrainingSpec, *, training: FinishedTraining) -> keras.Model:
    """Return the trained network with the weights that were kept."""
    import keras

    keras.backend.clear_session()  # the layers of a saved model are numbered from the first
    return build_trained(task, spec, training=training)


def operating_point(
    model: keras.Model, task: TrainingTask, *, data: PreparedData, seed: int, on_progress: Progress
) -> OperatingPoint:
    """Return the thresholds of a trained network, and its calibration, from the validation records."""
    if not task.has_thresholds:
        return OperatingPoint({})
    on_progress("Thresholds", 0, 1)
    leads = read_leads(task.cache, data.database, records=task.split.validation)
    noise, subjects = task.validation_noise, task.split.subjects
    with tempfile.TemporaryDirectory() as kept:
        cached = cached_task_model(model, task, store=ResultCache(Path(kept)))
        point = choose_operating_point(cached, leads, noise=noise, subjects=subjects, seed=seed)
    on_progress("Thresholds", 1, 1)
    return point


def training_result(
    task: TrainingTask,
    spec: TrainingSpec,
    *,
    training: FinishedTraining,
    data: PreparedData,
    budget: TrainingBudget,
    point: OperatingPoint,
) -> LongTraining:
    """Return what a training found, with the thresholds of its model."""
    history, score = training.result.history, training.result.score
    assert score is not None
    prefix = AVERAGED if training.averaged else ""
    kept = history[-1] if task.refit else next(row for row in reversed(history) if row.get(prefix + LOSS) == score)
    objective = task.objective[0]
    return LongTraining(
        task=task.name,
        database=data.database.name,
        parts={part: task.split.part(part) for part in PARTS},
        preset=task.preset.name,
        hyperparameters=spec.hyperparameters,
        parameters=training.result.parameters or 0,
        budget=str(budget),
        segments=int(history[-1]["segments"]),
        seconds=training.result.seconds,
        kept_segments=int(kept["segments"]),
        averaged=training.averaged,
        refit=task.refit,
        diverged=training.diverged,
        loss=score,
        objective=(objective, kept.get(prefix + objective)),
        history=history,
        thresholds=point.thresholds,
        calibration=point.calibration,
    )


def training_card(task: TrainingTask, *, data: PreparedData, result: LongTraining, seed: int) -> ModelCard:
    """Return the card of a trained model."""
    summary = summarize_data(data.database, task.cache, split=task.split)
    objective, value = result.objective
    metrics = {"loss": result.loss, **({} if value is None else {objective.removeprefix("val_"): value})}
    measured = {"training": {"loss": result.loss}} if result.refit else {"validation": metrics}
    return replace(
        task_card(task, parameters=result.parameters),
        thresholds=result.thresholds,
        calibration=result.calibration,
        hyperparameters=result.hyperparameters,
        data={
            **card_data(summary, task, hyperparameters=result.hyperparameters),
            "signals": task.cache.signals([*task.split.train, *task.split.validation]),
            TRAINED: {
                "segments": result.segments,
                "kept_segments": result.kept_segments,
                "averaged": result.averaged,
                "refit": result.refit,
                "seconds": round(result.seconds, 1),
            },
        },
        metrics=measured,
        seed=seed,
    )


def replace_model(directory: Path, model: keras.Model, *, card: ModelCard, page: str) -> None:
    """Write a model folder in place of an existing one."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(directory.parent)
    with (
        temporary_path(directory.parent, directory.name) as made,
        temporary_path(directory.parent, directory.name) as old,
    ):
        save_model(made, model, card=card, page=page)
        if directory.exists():
            directory.rename(old)
        made.rename(directory)
