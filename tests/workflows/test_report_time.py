"""Expected time of a report, computed by hand from given costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.evaluation.baselines.detectors import GQRS
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.workflows.preparation import PreparedData
from ecg_study.workflows.reporting import report_time
from ecg_study.workflows.reporting.report_time import expected_report_seconds
from tests.conftest import SmallData
from tests.tiny import TINY


@pytest.fixture
def data(small_data: SmallData, monkeypatch: pytest.MonkeyPatch) -> PreparedData:
    """Test leads of 100 s, validation leads of 10 s, three cores; a detector costs 2, gqrs 10, filters and tables 1."""
    made = PreparedData(small_data.database, small_data.cache, small_data.split, None)
    lengths = {tuple(made.split.test): 100.0, tuple(made.split.validation): 10.0}
    monkeypatch.setattr(report_time, "_seconds", lambda _, records: lengths[tuple(records)])
    monkeypatch.setattr(report_time, "core_count", lambda: 3)

    def cost(work: partial[Any]) -> float:
        if work.func in (report_time._filter, report_time._write_table):
            return 1.0
        return 10.0 if work.args[0] == GQRS else 2.0

    monkeypatch.setattr(report_time, "_cost", cost)
    return made


def _task(data: PreparedData, name: str) -> TrainingTask:
    return TrainingTask(name, data.cache, data.split, TINY)


def _speed(task: TrainingTask) -> Speed:
    """Return a speed: the network takes 0.1 s per second of a lead."""
    per_segment = 0.1 * task.cache.settings.segment_samples / task.cache.fs * 3 / (4 / 3)
    return Speed(1, 1, 0.0, per_segment * task.segments_per_epoch, 0.0)


def test_without_noise_the_leads_are_measured_as_they_are(data: PreparedData) -> None:
    """Detector: 3 × 100 × (6 × 2 + 10) and 350 s of network. Denoiser: 100 of filters and 260 s of network."""
    detector, denoiser = _task(data, DETECTOR), _task(data, DENOISER)
    work = 300 * 22 + (300 + 50) * 0.1
    only = expected_report_seconds(data, {DETECTOR: detector}, speeds={DETECTOR: [_speed(detector)]})
    assert only == pytest.approx(145 + 1.25 * work / 2.6)
    speeds = {DETECTOR: [_speed(detector)], DENOISER: [_speed(denoiser), Speed(failure="lost")]}
    both = expected_report_seconds(data, {DETECTOR: detector, DENOISER: denoiser}, speeds=speeds)
    assert both == pytest.approx(145 + 1.25 * (work + 100 + (200 + 60) * 0.1) / 2.6)


def test_noise_adds_levels_and_both_stress_tests(data: PreparedData) -> None:
    """Published: two records at six levels, alone and denoised. Own: four levels, alone and denoised, without gqrs."""
    noisy = replace(data, noise_dir=Path("nstdb"))
    published, stressed = 24 * 1805, 800
    detector = 300 * 22 + published * 22 + stressed * 12
    found = expected_report_seconds(noisy, {DETECTOR: _task(data, DETECTOR)}, speeds={})
    assert found == pytest.approx(145 + 1.25 * detector / 2.6)
    denoiser = _task(data, DENOISER)
    passes = (2 + 5 + 24) * 100 + (published + stressed) / 2 + 60
    found = expected_report_seconds(noisy, {DENOISER: denoiser}, speeds={DENOISER: [_speed(denoiser)]})
    assert found == pytest.approx(145 + 1.25 * (7 * 100 + passes * 0.1) / 2.6)


def test_segments_of_a_denoiser_that_removes_baseline_wander_overlap_by_half(
    data: PreparedData, augmented_cache: SegmentCache
) -> None:
    """260 s of network are read twice instead of 4/3 times."""
    preset = replace(TINY, denoiser_augmentation=Augmentation(removes_baseline_wander=True))
    task = replace(_task(data, DENOISER), cache=augmented_cache, preset=preset)
    found = expected_report_seconds(data, {DENOISER: task}, speeds={DENOISER: [_speed(task)]})
    assert found == pytest.approx(145 + 1.25 * (100 + (200 + 60) * 0.1 * 2 / (4 / 3)) / 2.6)


def test_detectors_and_filters_are_timed(small_data: SmallData) -> None:
    data = PreparedData(small_data.database, small_data.cache, small_data.split, None)
    tasks = {name: _task(data, name) for name in (DENOISER, DETECTOR)}
    found = expected_report_seconds(data, tasks, speeds={name: [_speed(task)] for name, task in tasks.items()})
    assert report_time._FIXED_S < found < 3600


def test_the_first_run_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, durations = [0.0], iter([50.0, 6.0])

    def work() -> None:
        clock[0] += next(durations)

    now: Callable[[], float] = lambda: clock[0]  # noqa: E731
    monkeypatch.setattr("time.perf_counter", now)
    assert report_time._cost(work) == pytest.approx(6 / 60)
