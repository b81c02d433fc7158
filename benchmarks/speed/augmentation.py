"""Augmented training segments per second: per core, with several workers, and the share of each feature.

    python -m benchmarks.speed.augmentation                                            # synthetic records and noise
    python -m benchmarks.speed.augmentation --raw-dir ../mitdb --noise-dir ../nstdb    # MIT-BIH records

Segments have 2,016 samples. The settings are those of the preset ``robust``, with every further feature: transformed
noise, and leads mixed in 30 % of the segments. The rates per core are medians of processor time, so that other programs
disturb them little; the rates with several workers are of wall-clock time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.databases.catalog import open_database, split_database
from ecg_study.ecg_data.databases.physionet import NOISE_RECORDS
from ecg_study.ecg_data.databases.synthetic import write_synthetic
from ecg_study.ecg_data.noise_records import NoiseRecords, open_noise_records
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.models.card import DENOISER, MODEL_KINDS
from ecg_study.search_spaces.built_in import PRETRAINED
from ecg_study.training.task import TrainingTask

SECONDS, REPEATS = 0.5, 9
EVERYTHING: dict[str, Any] = {"transform_noise": True, "lead_mix_probability": 0.3}

FEATURES: dict[str, dict[str, Any]] = {
    "recorded noise": {"noise_probability": 0.0},
    "transformation of that noise": {"transform_noise": False},
    "noise in a part of the segment": {"partial_noise_probability": 0.0},
    "mains hum": {"hum_probability": 0.0},
    "time stretch": {"time_stretch_probability": 0.0},
    "mix of leads": {"lead_mix_probability": 0.0},
    "pauses (detector)": {"pause_probability": 0.0},
}
"""Feature → the settings without it."""


def augmented_task(
    name: str, *, directory: Path, raw_dir: Path | None = None, noise_dir: Path | None = None
) -> TrainingTask:
    """Return a task with every feature of augmentation.

    Args:
        name: denoiser or detector.
        directory: folder for the cache, and for synthetic records.
        raw_dir: folder of the MIT-BIH records (default: synthetic records of five minutes).
        noise_dir: folder of the noise records (default: synthetic noise).
    """
    database_name, raw = ("folder", directory / "raw") if raw_dir is None else ("mitdb", raw_dir)
    if raw_dir is None and not raw.exists():
        write_synthetic(raw, seed=1, subjects=16, duration=300.0)
    database = open_database(database_name, data_dir=directory, raw_dir=raw)
    noise = _synthetic_noise() if noise_dir is None else open_noise_records(noise_dir)
    cache = open_cache(database, SegmentSettings(augmented=True), data_dir=directory, noise=noise)
    task = TrainingTask(name, cache, split_database(database, cache.records, seed=1), PRETRAINED)
    return with_augmentation(task, **EVERYTHING)


def with_augmentation(task: TrainingTask, **changes: Any) -> TrainingTask:
    """Return the task with other settings of augmentation."""
    assert task.augmentation is not None
    changed: Augmentation = replace(task.augmentation, **changes)
    if task.name == DENOISER:
        return replace(task, preset=replace(task.preset, denoiser_augmentation=changed))
    return replace(task, preset=replace(task.preset, detector_augmentation=changed))


def seconds_per_segment(task: TrainingTask, *, seconds: float = SECONDS) -> float:
    """Return the processor time that one segment takes.

    Args:
        task: the augmentation and its data, in batches of the preset.
        seconds: time of the measurement.
    """
    stream = task.training_stream(0)
    stream.batch(0)  # the first order of rows, and the joined noise
    segments, started = 0, time.thread_time()
    for step in count(1):
        segments += len(stream.batch(step)[0])
        if time.thread_time() - started > seconds:
            break
    return (time.thread_time() - started) / segments


def share_of(feature: str, *, task: TrainingTask) -> float | None:
    """Return the share of the time that a feature takes: the median of pairs; ``None`` if the model does not have it.

    Args:
        feature: one of `FEATURES`.
        task: the augmentation with all features.
    """
    without = with_augmentation(task, **FEATURES[feature])
    if without.augmentation == task.augmentation:
        return None
    pairs = [(seconds_per_segment(without), seconds_per_segment(task)) for _ in range(REPEATS)]
    return 1 - statistics.median(less / everything for less, everything in pairs)


def segments_per_second(task: TrainingTask, *, workers: int, seconds: float = 3.0) -> float:
    """Return the segments per second of wall-clock time that some workers prepare.

    Args:
        task: the augmentation and its data, in batches of the preset.
        workers: number of threads.
        seconds: time of the measurement.
    """
    with closing(task.training_stream(0).batches(workers=workers)) as batches:
        for _ in islice(batches, 4 * workers):
            pass  # the batches that were prepared before the clock started
        segments, started = 0, time.monotonic()
        for batch, _ in batches:
            segments += len(batch)
            if time.monotonic() - started > seconds:
                break
        return segments / (time.monotonic() - started)


def _synthetic_noise() -> NoiseRecords:
    """Return 30 minutes of each noise: its content does not matter for the speed."""
    rng, samples = np.random.default_rng(1), 30 * 60 * 360
    signals: dict[str, np.ndarray] = {
        name: rng.normal(0, 0.1, (samples, 2)).astype(np.float32) for name in NOISE_RECORDS
    }
    return NoiseRecords(Path("synthetic"), 360.0, signals, checksums={})


def main() -> None:
    """Print one table per model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--raw-dir", type=Path, help="folder of the MIT-BIH records (default: synthetic records)")
    parser.add_argument("--noise-dir", type=Path, help="folder of the noise records (default: synthetic noise)")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        for name in MODEL_KINDS:
            task = augmented_task(name, directory=Path(folder), raw_dir=options.raw_dir, noise_dir=options.noise_dir)
            everything = statistics.median(seconds_per_segment(task) for _ in range(REPEATS))
            print(f"{name}, batches of {task.preset.batch_size}")
            print(f"  {'all features, one core':34} {1 / everything:8,.0f} segments/s, {1e6 * everything:.0f} µs each")
            for feature in FEATURES:
                share = share_of(feature, task=task)
                if share is not None:
                    print(f"  {feature:34} {share:8.0%} of the time")
            for workers in sorted({1, 2, 4, 8, 16, cores}):
                if workers <= cores:
                    rate = segments_per_second(task, workers=workers)
                    print(f"  {f'{workers} of {cores} cores, wall clock':34} {rate:8,.0f} segments/s")


if __name__ == "__main__":
    main()
