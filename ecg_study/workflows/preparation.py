"""Records, cached segments and split of a study."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ecg_study.ecg_data.databases.catalog import Database, open_database, split_database
from ecg_study.ecg_data.databases.own import off_r_peak
from ecg_study.ecg_data.databases.records import common_rate
from ecg_study.ecg_data.databases.splits import Split
from ecg_study.ecg_data.noise_records import find_noise_directory, open_noise_records
from ecg_study.ecg_data.segments.cache import SegmentCache, open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.progress import Progress
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.workflows.settings import Settings


@dataclass(frozen=True)
class PreparedData:
    """Raw records, cached segments and split of a study.

    Attributes:
        database: the raw records.
        cache: their segments.
        split: training, validation and test records.
        noise_dir: folder of the noise records, or ``None``.
    """

    database: Database
    cache: SegmentCache
    split: Split
    noise_dir: Path | None

    @property
    def shares(self) -> dict[str, float]:
        """Shares of databases in training that the user has given."""
        return {name: own.share for name, own in self.database.own.items() if own.share is not None}


def prepare_data(settings: Settings, *, fs: float | None = None, on_progress: Progress | None = None) -> PreparedData:
    """Return records, segments and split of a study; download or generate what is missing.

    Args:
        settings: the settings of the study.
        fs: sampling rate in Hz that the records are resampled to (default: their own, or `COMMON_RATE` if they have
            different ones).
        on_progress: called with the name of a step, the number of steps done, and their total.
    """
    augmented = load_preset(settings.preset).augmented
    segments = SegmentSettings(
        segment_samples=settings.segment_samples,
        window_samples=settings.window_samples,
        noise_sigma_mv=settings.noise_sigma_mv,
        seed=settings.seed,
        lead=settings.lead,
        skip_invalid=settings.skip_invalid,
        fs=fs,
        augmented=augmented,
    )
    database = open_database(
        settings.database,
        data_dir=settings.data_dir,
        raw_dir=settings.raw_dir or None,
        records=settings.records,
        seed=settings.seed,
        annotator=settings.annotator,
        skip_invalid=settings.skip_invalid,
        progress=on_progress,
        own=settings.own_databases,
    )
    noise_dir = find_noise_directory(
        database,
        raw_dir=settings.raw_dir or None,
        noise_dir=settings.noise_dir or None,
        data_dir=settings.data_dir,
        progress=on_progress,
        required=augmented,
    )
    noise = open_noise_records(noise_dir) if augmented and noise_dir else None
    aligned = not settings.own_marks and bool(off_r_peak(database.names, database.own))
    segments = replace(segments, fs=fs or common_rate(database), aligned=aligned)
    cache = open_cache(database, segments, data_dir=settings.data_dir, progress=on_progress, noise=noise)
    split = split_database(database, cache.records, seed=settings.seed, test_database=settings.test_database)
    return PreparedData(database, cache, split, noise_dir)
