"""Trained models, wrapped as the detector or denoiser that they will be saved as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.filters import WANDER_EDGE
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import read_leads
from ecg_study.evaluation.thresholds import choose_operating_point
from ecg_study.models.card import DENOISER, DETECTOR, REFRACTORY_PERIOD, ModelCard, OperatingPoint
from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache
from ecg_study.training.final_training import TrainedModel
from ecg_study.training.task import TrainingTask


def cached_task_model(model: Any, task: TrainingTask, *, store: ResultCache | None = None) -> CachedModel:
    """Wrap a Keras model of a task with a result cache.

    Args:
        model: the Keras model.
        task: its task.
        store: the result cache; ``None`` keeps nothing on disk.
    """
    return CachedModel.from_keras(model, task_card(task, parameters=model.count_params()), store=store)


def task_card(task: TrainingTask, *, parameters: int = 0) -> ModelCard:
    """Return the card of a model of a task without thresholds, data and metrics, which are known later.

    Args:
        task: the task.
        parameters: trainable weights of the model.
    """
    settings = task.cache.settings
    if task.name == DENOISER:
        from ecg_study.search_spaces.denoiser import KEEPS_BASELINE_WANDER, REMOVES_BASELINE_WANDER

        normalization = REMOVES_BASELINE_WANDER if task.removes_baseline_wander else KEEPS_BASELINE_WANDER
    else:
        from ecg_study.search_spaces.detector import NORMALIZATION

        normalization = NORMALIZATION
    return ModelCard(
        model_kind="denoiser" if task.name == DENOISER else "detector",
        fs=task.cache.fs,
        segment_samples=settings.segment_samples,
        window_samples=settings.window_samples,
        normalization=normalization,
        thresholds={},
        refractory_period=REFRACTORY_PERIOD,
        preset=task.preset.name,
        hyperparameters={},
        parameters=parameters,
        data={},
        metrics={},
        seed=settings.seed,
        polarity=task.polarity,
        baseline_wander="removed" if task.removes_baseline_wander else "kept",
        highpass_hz=WANDER_EDGE if task.removes_baseline_wander else None,
        baseline_window_s=task.baseline_window_s,
    )


@dataclass(frozen=True)
class FinalModels:
    """The final models of a study, one per seed.

    Attributes:
        trained: the models of each kind that are reported; the first is saved.
        for_thresholds: the model of a kind that thresholds are chosen with, where the others were refitted on the
            validation records.
        denoisers: the denoisers with thresholds and a result cache.
        detectors: the detectors, likewise.
    """

    trained: Mapping[str, Sequence[TrainedModel]]
    for_thresholds: Mapping[str, TrainedModel]
    denoisers: Sequence[CachedModel]
    detectors: Sequence[CachedModel]


def prepare_final_models(
    models: Sequence[TrainedModel],
    tasks: Mapping[str, TrainingTask],
    *,
    database: Database,
    store: ResultCache,
    seed: int,
    on_progress: Progress,
) -> FinalModels:
    """Wrap trained models for evaluation, and choose their thresholds.

    Args:
        models: the trained models.
        tasks: their tasks.
        database: the raw records.
        store: the result cache.
        seed: seed of the study.
        on_progress: called with the name of a step, the number of steps done, and their total.
    """
    trained = {name: [model for model in models if (model.task, model.role) == (name, "final")] for name in tasks}
    for_thresholds = {model.task: model for model in models if model.role == "thresholds"}

    def cached(model: TrainedModel) -> CachedModel:
        return cached_task_model(model.model, tasks[model.task], store=store)

    wrapped: dict[str, list[CachedModel]] = {DENOISER: [], DETECTOR: []}
    for name, task in tasks.items():
        own = [cached(model) for model in trained[name]]
        if task.has_thresholds:
            # Models that were refitted on the validation records take over what was chosen with the one that was not.
            choosing = [cached(for_thresholds[name])] if name in for_thresholds else own
            points = _choose_operating_points(choosing, task, database, seed, on_progress)
            own = [model.at(points[number % len(points)]) for number, model in enumerate(own)]
        wrapped[name] = own
    return FinalModels(trained, for_thresholds, wrapped[DENOISER], wrapped[DETECTOR])


def _choose_operating_points(
    models: Sequence[CachedModel], task: TrainingTask, database: Database, seed: int, on_progress: Progress
) -> list[OperatingPoint]:
    leads = read_leads(task.cache, database, records=task.split.validation)
    chosen = []
    for done, model in enumerate(models):
        on_progress("Thresholds, seeds", done, len(models))
        noise, subjects = task.validation_noise, task.split.subjects
        chosen.append(choose_operating_point(model, leads, noise=noise, subjects=subjects, seed=seed))
    on_progress("Thresholds, seeds", len(models), len(models))
    return chosen
