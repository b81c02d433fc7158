"""How long a network of a search takes to pass a segment."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping

import numpy as np

from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache, content_key
from ecg_study.training.environment import PACKAGES, environment
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.state import SearchResult

LATENCY_FORMAT = 1
_SEGMENTS = 128
_ROUNDS = 5

MEASURED = 16
"""Configurations that are measured, the best first: each costs a second or two, mostly to trace it."""


def measure_latencies(
    task: TrainingTask, search: SearchResult, store: ResultCache, progress: Progress
) -> Mapping[str, float]:
    """Milliseconds a segment, of the best configurations of a search, by trial.

    A network with fresh weights is timed on a batch of 128 segments, the median of five rounds behind a first that is
    not counted: weights do not change the time.

    Args:
        task: builds the networks.
        search: whose best are timed.
        store: where times are kept, for this machine and these versions.
        progress: told the configurations done.
    """
    ranked = search.ranked()
    found: dict[str, float] = {}
    by_configuration: dict[str, float] = {}
    for trial in ranked:
        name = repr(sorted(trial.plan.hyperparameters.items()))
        if name not in by_configuration:
            if len(by_configuration) == MEASURED:
                continue
            progress(f"Speed of the {task.name}'s best", len(by_configuration), MEASURED)
            by_configuration[name] = _milliseconds(task, trial.plan.hyperparameters, store)
        found[trial.plan.id] = by_configuration[name]
    progress(f"Speed of the {task.name}'s best", len(by_configuration), len(by_configuration))
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
        "versions": {name: versions[name] for name in PACKAGES},
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
