"""A search that is killed again and again, with workers that train nothing: a program for the tests.

Each round forks a process that continues the search, and kills it with SIGKILL at a random moment. Writing is made
slow, so that most of these moments lie within a write. The program prints how many rounds were killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ecg_study.ecg_data.databases.catalog import open_database, split_database
from ecg_study.ecg_data.segments.cache import open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.models.card import DENOISER
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.search import SearchOptions, run_search
from tests.tuning.fake_executor import PRESET, FakeExecutor, Watcher

LONGEST = 0.4  # seconds until the kill; more after rounds that finished nothing, as on a busy machine


def slow_down() -> None:
    """Lengthen the moments before and after a file gets its name."""
    fsync, replace = os.fsync, Path.replace

    def slow_fsync(fd: Any) -> None:
        fsync(fd)
        time.sleep(0.004)

    def slow_replace(path: Path, target: Path) -> Path:
        time.sleep(0.002)
        moved = replace(path, target)
        time.sleep(0.002)
        return moved

    os.fsync = slow_fsync
    Path.replace = slow_replace  # type: ignore[method-assign,assignment]


def finished(directory: Path) -> list[Any]:
    """Return the finished trials on disk, in their order."""
    path = directory / "search.json"
    return list(json.loads(path.read_text())["finished"]) if path.exists() else []


def main(raw_dir: str, data_dir: str, directory: Path, seed: int) -> None:
    """Kill until the search is done; after each kill, check that every finished trial is still on disk."""
    database = open_database("folder", data_dir=Path(data_dir), raw_dir=Path(raw_dir))
    cache = open_cache(database, SegmentSettings(segment_samples=720, window_samples=144), data_dir=Path(data_dir))
    task = TrainingTask(DENOISER, cache, split_database(database, cache.records, seed=1), PRESET)
    order = random.Random(seed)
    kills, seen, longest = 0, finished(directory), LONGEST
    while True:
        child = os.fork()
        if child == 0:
            slow_down()
            run_search(task, SearchOptions(3), directory=directory, executor=FakeExecutor(3, order), view=Watcher())
            os._exit(0)
        time.sleep(order.uniform(0, longest))
        order.random()  # the next round's workers end their trials in another order
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        now = finished(directory)
        assert now[: len(seen)] == seen, "a finished trial was lost or done again"
        for parent in {trial["plan"]["parent"] for trial in now}:
            assert parent is None or parent in {trial["plan"]["id"] for trial in now}
        longest = LONGEST if len(now) > len(seen) else 1.2 * longest
        seen = now
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        kills += 1
    print(kills)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
