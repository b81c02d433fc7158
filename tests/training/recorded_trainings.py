"""Tiny trainings with fixed seeds on one thread: ``python -m tests.training.recorded_trainings FILE``.

Writes histories and hashes of weights as JSON. `test_loop` compares them with ``recorded_trainings.json``, which this
command wrote for the present `TRAINING_FORMAT`. Another processor or another version of TensorFlow rounds differently,
so the machine is recorded too.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.databases.catalog import open_database, split_database
from ecg_study.ecg_data.databases.synthetic import write_synthetic
from ecg_study.ecg_data.segments.cache import open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.training.backend import import_backend
from ecg_study.training.final_training import build_trained
from ecg_study.training.loop import train
from ecg_study.training.specs import FINE_TUNING, FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.task import TrainingTask
from tests.tiny import SECONDS, TINY

_CONFIGURATION = {
    "layers": 1,
    "units_1": 4,
    "dropout": 0.1,
    "frame": 16,
    "direction": "both",
    "learning_rate": 0.01,
    "residual": True,
    "dense_units": 0,
}


def machine() -> str:
    """Return the processor and the version of TensorFlow."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "flags"))]
    digest = hashlib.sha256(" ".join(models[:2]).encode()).hexdigest()[:12]
    return f"{platform.machine()} {digest}, TensorFlow {version('tensorflow')}"


def _spec(name: str, epochs: int, learning_rate: float = 0.01, **more: Any) -> TrainingSpec:
    configuration = {**_CONFIGURATION, "learning_rate": learning_rate}
    return TrainingSpec(id=name, epochs=epochs, hyperparameters=configuration, **more)


def _row(training: FinishedTraining) -> dict[str, Any]:
    result = training.result
    return {
        "status": result.status,
        "score": result.score,
        "best_epoch": result.best_epoch,
        "history": result.history,
        "parameters": result.parameters if training.weights else None,
        "reason": result.reason,
        "sha256": hashlib.sha256(training.weights).hexdigest() if training.weights else None,
    }


def _trials(task: TrainingTask) -> dict[str, Any]:
    options = TrainingOptions.for_search(task)
    first = train(task, _spec("000-r0", 2), options=options, seed=1)
    promoted = _spec("000-r1", 4, initial_epoch=2, parent="000-r0")
    return {
        "search trial": _row(first),
        "promoted trial": _row(train(task, promoted, options=options, seed=1, initial_weights=first.weights)),
        "diverging trial": _row(train(task, _spec("001-r0", 2, 1e30), options=options, seed=1)),
    }


def _finals(task: TrainingTask) -> dict[str, Any]:
    def final(task: TrainingTask, spec: TrainingSpec) -> dict[str, Any]:
        return _row(train(task, spec, options=TrainingOptions.for_final(task), seed=1))

    plateau = replace(task, preset=replace(TINY, patience=2))
    cosine = replace(task, preset=replace(TINY, schedule="cosine"))
    return {
        "final, plateau": final(plateau, _spec("final-1", 4, 0.3)),
        "final, cosine": final(cosine, _spec("final-2", 3)),
        "final, cosine, refit": final(replace(cosine, refit=True), _spec("final-3", 3)),
        "final, plateau, refit": final(replace(plateau, refit=True), _spec("final-4", 2)),
        "final, diverging": final(plateau, _spec("final-5", 2, 1e30)),
    }


def _fine_tunings(task: TrainingTask) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.1, w.shape).astype(np.float32) for w in task.build(_CONFIGURATION).get_weights()]
    found: dict[str, Any] = {}
    for name, rate in (("fine-tuning", 0.01), ("fine-tuning that does not help", 30.0)):
        spec, options = _spec(FINE_TUNING, 3), TrainingOptions.for_fine_tuning(rate)
        training = train(task, spec, options=options, seed=1, initial_weights=weights)
        kept = build_trained(task, spec, training=training).get_weights()
        found[name] = {
            "best_epoch": training.result.best_epoch,
            "before": training.initial_loss,
            "after": training.result.score,
            "history": training.result.history,
            "sha256": hashlib.sha256(b"".join(np.ascontiguousarray(w).tobytes() for w in kept)).hexdigest(),
        }
    return found


def record() -> dict[str, Any]:
    """Return all trainings of both models by name."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_synthetic(directory / "records", seed=1, subjects=16, duration=SECONDS)
        database = open_database("folder", data_dir=directory / "data", raw_dir=directory / "records")
        settings = SegmentSettings(segment_samples=720, window_samples=144)
        cache = open_cache(database, settings, data_dir=directory / "data")
        split = split_database(database, cache.records, seed=1)
        for model in ("denoiser", "detector"):
            task = TrainingTask(model, cache, split, TINY)
            trainings = {**_trials(task), **_finals(task), **_fine_tunings(task)}
            found |= {f"{model}: {name}": training for name, training in trainings.items()}
    return found


if __name__ == "__main__":
    import_backend(threads=1)
    Path(sys.argv[1]).write_text(json.dumps({"machine": machine(), "trainings": record()}, indent=1) + "\n")
