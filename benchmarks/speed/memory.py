"""Growth of memory with the number of trials: resident memory of a search after 40 trials and after 5.

    python -m benchmarks.speed.memory

The search has tiny networks and one worker, so that the memory that TensorFlow keeps per trial dominates.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.speed.searching import Quiet, synthetic_task
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.presets import HyperparameterRanges
from ecg_study.training.backend import import_backend
from ecg_study.training.executors.factory import open_executor
from ecg_study.training.specs import Trial
from ecg_study.tuning.plan import SearchBudget
from ecg_study.tuning.search import SearchOptions, run_search

TRIALS = 45


class Meter(Quiet):
    """Search view that measures memory after each trial."""

    def __init__(self) -> None:
        """Start without measurements."""
        self.main: list[float] = []
        self.workers: list[float] = []

    def trial_ended(self, trial: Trial, *, best: float | None) -> None:  # noqa: ARG002  # signature of a view
        """Note the resident memory of the main process and of its children, in MB."""
        process = psutil.Process()
        children = [child.memory_info().rss for child in process.children(recursive=True)]
        self.main.append(process.memory_info().rss / 1e6)
        self.workers.append(sum(children) / 1e6)


def main() -> None:
    """Run the search, and print the ratios."""
    import_backend()
    bounds = HyperparameterRanges((1, 2), (4, 6, 8), (0.0, 0.1), (16,), ("forward",), (1e-3, 1e-2))
    preset = replace(PRESETS["quick"], max_epochs=2, iterations=40, segments_per_epoch=32, denoiser=bounds)
    meter = Meter()
    with tempfile.TemporaryDirectory() as directory:
        task = synthetic_task(DENOISER, preset, directory=Path(directory), seconds=30.0)
        options = SearchOptions(0, budget=SearchBudget(trials=TRIALS))
        with open_executor(1) as workers:
            run_search(task, options, directory=Path(directory) / "search", executor=workers, view=meter)
    for name, series in (("main process", meter.main), ("worker process", meter.workers)):
        early, late, most = series[4], series[39], max(series[4:])
        print(f"{name}: {early:.0f} MB after 5 trials, {late:.0f} MB after 40: {late / early:.2f} times")
        print(f"  most from the 5th trial on: {most:.0f} MB, {most / early:.2f} times")


if __name__ == "__main__":
    main()
