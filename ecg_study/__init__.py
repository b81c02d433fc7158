"""Pretrained models that denoise ECG and detect R peaks, and the study that produced them.

    import ecg_study as es

    detector = es.load_model("gru-detector")
    peaks = detector.detect(signal, fs=360)

The public names are loaded on first use, so that ``import ecg_study`` is fast and needs no TensorFlow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ecg_study._version import __version__

if TYPE_CHECKING:
    from ecg_study.ecg_data.databases.catalog import open_database
    from ecg_study.ecg_data.readers.wfdb import read_record
    from ecg_study.errors import (
        DataError,
        EcgStudyError,
        InputError,
        ModelError,
        RecordError,
        RecordErrors,
        SettingsError,
        StateError,
        TrainingError,
    )
    from ecg_study.evaluation.experiments.model_evaluation import DenoiserEvaluation, DetectorEvaluation
    from ecg_study.evaluation.results.values import Estimate
    from ecg_study.inference.denoiser import Denoiser
    from ecg_study.inference.detector import Detector
    from ecg_study.inference.loading import DEFAULT_MODEL, ModelEntry, list_models, load_model
    from ecg_study.inference.r_peaks import RPeaks
    from ecg_study.models.card import ModelCard
    from ecg_study.models.folder import open_model, save_model
    from ecg_study.workflows.evaluate import evaluate
    from ecg_study.workflows.study import Study

__all__ = [
    "DEFAULT_MODEL",
    "DataError",
    "Denoiser",
    "DenoiserEvaluation",
    "Detector",
    "DetectorEvaluation",
    "EcgStudyError",
    "Estimate",
    "InputError",
    "ModelCard",
    "ModelEntry",
    "ModelError",
    "RPeaks",
    "RecordError",
    "RecordErrors",
    "SettingsError",
    "StateError",
    "Study",
    "TrainingError",
    "__version__",
    "evaluate",
    "list_models",
    "load_model",
    "open_database",
    "open_model",
    "read_record",
    "save_model",
]

_MODULES = {
    "DEFAULT_MODEL": "ecg_study.inference.loading",
    "Denoiser": "ecg_study.inference.denoiser",
    "DenoiserEvaluation": "ecg_study.evaluation.experiments.model_evaluation",
    "Detector": "ecg_study.inference.detector",
    "DetectorEvaluation": "ecg_study.evaluation.experiments.model_evaluation",
    "Estimate": "ecg_study.evaluation.results.values",
    "ModelCard": "ecg_study.models.card",
    "ModelEntry": "ecg_study.inference.loading",
    "RPeaks": "ecg_study.inference.r_peaks",
    "Study": "ecg_study.workflows.study",
    "evaluate": "ecg_study.workflows.evaluate",
    "list_models": "ecg_study.inference.loading",
    "load_model": "ecg_study.inference.loading",
    "open_database": "ecg_study.ecg_data.databases.catalog",
    "open_model": "ecg_study.models.folder",
    "read_record": "ecg_study.ecg_data.readers.wfdb",
    "save_model": "ecg_study.models.folder",
}
"""The module of each public name; those that are missing here are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES.get(name, "ecg_study.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
