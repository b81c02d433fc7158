"""A training that is killed again and again: ``python -m tests.training.killing RAW DATA FOLDER SEED KILLS``.

Each round forks a process that resumes the training on one thread, and kills it with SIGKILL at a random moment after
its first step. The state is saved all the time, and writing is made slow, so that many of these moments lie within a
write. The program prints the kills, and the SHA-256 of the final weights with all states, as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecg_study.ecg_data.databases.catalog import open_database, split_database
from ecg_study.ecg_data.segments.cache import open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.models.card import DETECTOR
from ecg_study.training.backend import import_backend
from ecg_study.training.loop import train
from ecg_study.training.specs import TrainingOptions, TrainingSpec
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.saved_state import TrainingStateFile
from ecg_study.training.steps.step_loop import StepProgress
from ecg_study.training.task import TrainingTask
from tests.end_to_end.crashing import slow_down
from tests.tiny import TINY

SEGMENTS = 15_000
LONGEST = 0.25  # seconds from the first step to the kill

HYPERPARAMETERS = {
    "layers": 1,
    "units_1": 4,
    "dropout": 0.1,
    "frame": 16,
    "direction": "both",
    "learning_rate": 0.01,
    "dense_units": 0,
}

PRESET = replace(TINY, batch_size=16, schedule="cosine", weight_decay=1e-3, warmup=0.1, weight_average=0.9)


def open_task(raw_dir: Path, data_dir: Path) -> TrainingTask:
    """Return the training of a detector on the small database."""
    database = open_database("folder", data_dir=data_dir, raw_dir=raw_dir)
    cache = open_cache(database, SegmentSettings(segment_samples=720, window_samples=144), data_dir=data_dir)
    return TrainingTask(DETECTOR, cache, split_database(database, cache.records, seed=1), PRESET)


def train_once(task: TrainingTask, state: Path, pipe: int | None = None) -> None:
    """Train to the end, and write the hash of the weights; write a byte to ``pipe`` after a step."""

    def begun(_: StepProgress) -> None:
        if pipe is not None:
            os.write(pipe, b".")

    options = TrainingOptions.for_long(task, TrainingBudget(segments=SEGMENTS), validate_every=SEGMENTS // 6)
    spec = TrainingSpec(id="killed", epochs=1, hyperparameters=HYPERPARAMETERS)
    file = TrainingStateFile(state, {"seed": 1}, seconds=0.02)
    training = train(task, spec, options=options, seed=1, on_step=begun, state_file=file)
    saved = file.load()
    assert training.weights is not None and saved is not None
    digest = hashlib.sha256(training.weights)
    for value in saved.now:
        digest.update(value.tobytes())
    found = {"sha256": digest.hexdigest(), "step": saved.step, "history": training.result.history}
    state.with_suffix(".json").write_text(json.dumps(found))


def main(raw_dir: str, data_dir: str, state: Path, seed: int, kills: int) -> None:
    """Kill so many times, then train to the end."""
    import_backend(threads=1)
    task, order, killed, steps = open_task(Path(raw_dir), Path(data_dir)), random.Random(seed), 0, []
    while True:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            slow_down()
            train_once(task, state, writing)
            os._exit(0)
        os.close(writing)
        os.read(reading, 1)
        if killed < kills:
            time.sleep(order.uniform(0, LONGEST))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(reading)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, status
            break
        killed += 1
        loaded = TrainingStateFile(state, {"seed": 1}).load()
        steps.append(0 if loaded is None else loaded.step)
    result: dict[str, Any] = json.loads(state.with_suffix(".json").read_text())
    print(json.dumps({**result, "kills": killed, "steps": steps}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
