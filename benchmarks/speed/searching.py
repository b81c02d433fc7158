"""Tasks and views that the benchmarks of the search share."""

from __future__ import annotations

from pathlib import Path

from ecg_study.ecg_data.databases.catalog import open_database, split_database
from ecg_study.ecg_data.databases.synthetic import write_synthetic
from ecg_study.ecg_data.segments.cache import open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.specs import TrainingSpec, Trial
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.plan import SearchPlan


class Quiet:
    """A `ecg_study.tuning.search.SearchView` that prints notices only."""

    def search_began(self, plan: SearchPlan, *, finished: list[Trial], best: float | None) -> None:
        """Print nothing."""

    def trial_began(self, spec: TrainingSpec) -> None:
        """Print nothing."""

    def epoch_ended(self, trial: str, *, epoch: int, metrics: dict[str, float]) -> None:
        """Print nothing."""

    def trial_ended(self, trial: Trial, *, best: float | None) -> None:
        """Print nothing."""

    def notice(self, text: str) -> None:
        """Print a notice: a lost worker invalidates the times."""
        print(text)


def synthetic_task(name: str, preset: Preset, *, directory: Path, seconds: float) -> TrainingTask:
    """Return a task on synthetic records of some seconds, made in ``directory``."""
    raw = directory / "raw"
    if not raw.exists():
        write_synthetic(raw, seed=1, subjects=16, duration=seconds)
    database = open_database("folder", data_dir=directory, raw_dir=raw)
    cache = open_cache(database, SegmentSettings(), data_dir=directory)
    return TrainingTask(name, cache, split_database(database, cache.records, seed=1), preset)
