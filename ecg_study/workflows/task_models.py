"""Models of a training task, wrapped as the detector or denoiser that they will be saved as."""

from __future__ import annotations

from typing import Any

from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.models.card import DENOISER, REFRACTORY_PERIOD, ModelCard
from ecg_study.result_cache import ResultCache
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
    )
