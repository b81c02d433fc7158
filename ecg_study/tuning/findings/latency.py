"""Inference time of the networks of a search."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping

import numpy as np

from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache, content_key
from ecg_study.training.environment import environment, packages
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.state import SearchResult

LATENCY_FORMAT = 1
_SEGMENTS = 128
_ROUNDS = 5

MEASURED = 16
"""Number of configurations that are measured, best first. Each takes a second or two, mostly for tracing."""


def measure_latencies(
    task: TrainingTask, search: SearchResult, *, store: ResultCache, progress: Progress
) -> Mapping[str, float]:
    """Measure the inference time of the best configurations of a search.

    A network with random weights is timed on a batch of 128 segments, because weights do not change the time. The
    result is the median of five rounds after a first round, which is not counted.

    Args:
        task: builds the networks.
        search: its best configurations are timed.
        store: cache of times, by machine and versions.
        progress: receives the number of configurations done.

    Returns:
        Trial id → milliseconds per segment.
    """
    ranked = search.ranked()
    found: dict[str, float] = {}
    by_configuration: dict[str, float] = {}
    for trial in ranked:
        name = repr(sorted(trial.spec.hyperparameters.items()))
        if name not in by_configuration:
            if len(by_configuration) == MEASURED:
                continue
            progress(f"Inference time of the {task.name}", len(by_configuration), MEASURED)
            by_configuration[name] = _milliseconds(task, trial.spec.hyperparameters, store)
        found[trial.spec.id] = by_configuration[name]
    progress(f"Inference time of the {task.name}", len(by_configuration), len(by_configuration))
    return found


def _milliseconds(task: TrainingTask, hyperparameters: dict[str, object], store: ResultCache) -> float:
    import keras

    versions = environment()
    what = {
        "format": LATENCY_FORMAT,
        "task": task.name,
        "hyperparameters": hyperparameters,
        "segment": task.cache.settings.segment_samples,
        "machine": [platform.node(), platform.machine(), platform.processor()],
        "versions": {name: versions[name] for name in packages()},
    }
    key = content_key(what)
    kept = store.get(key)
    if kept is None:
        keras.backend.clear_session()
        model = task.build(hyperparameters)
        segments = np.zeros((_SEGMENTS, task.cache.settings.segment_samples, 1), np.float32)
        times = []
        for _ in range(_ROUNDS + 1):
            started = time.perf_counter()
            model.predict_on_batch(segments)
            times.append(time.perf_counter() - started)
        kept = {"milliseconds": np.array(1000 * statistics.median(times[1:]) / _SEGMENTS)}
        store.put(key, kept)
    return float(kept["milliseconds"])
