"""Sizes of a study for a given time: computed by hand, kept in a file, applied to the tasks."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ecg_study.errors import SettingsError, StateError, TrainingError
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.training.specs import COMPLETED, TrainingResult, TrainingSpec, Trial
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.schedule import Rung, makespan, schedule_of
from ecg_study.tuning.state import SearchResult
from ecg_study.tuning.time_plan import (
    Shares,
    StudySize,
    TimePlan,
    fit_final,
    fit_search,
    load_time_plan,
    plan_for_time,
)
from tests.conftest import SmallData
from tests.tiny import TINY
from tests.tuning.fake_executor import FakeExecutor

PRESET = replace(TINY, max_epochs=9, segments_per_epoch=100)


@pytest.fixture
def task(small_data: SmallData) -> TrainingTask:
    return TrainingTask(DENOISER, small_data.cache, small_data.split, PRESET)


def _seconds(task: TrainingTask, size: StudySize, *, once: float, per_segment: float, workers: int) -> float:
    def cost(rung: Rung) -> float:
        return once + (rung.epochs - rung.initial_epoch) * size.segments_per_epoch * per_segment

    return makespan(schedule_of(size.applied_to(task).preset), workers=workers, cost=cost)


def test_the_time_is_shared_among_searches_final_trainings_and_report() -> None:
    """Two hours without 1,200 s for the report are 6,000 s, of which 60 % are for the two searches."""
    assert Shares.of(replace(PRESET, search_share=0.6), 2.0, report=1200) == Shares(1800, 2400, 1200)
    assert Shares.of(PRESET, 0.1, report=400) == Shares(0, 0, 400)


def test_the_segments_of_an_epoch_follow_from_the_time(task: TrainingTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers need the time of 41 of the 75 epochs (`test_schedule`), and one worker that of all."""
    monkeypatch.setattr(TrainingTask, "training_segments", property(lambda _: 100_000))
    speeds = [Speed(1, 1, 1.0, 1.0, 2.0)] * 2 + [Speed(failure="lost")]
    alone = fit_search(task, speeds, seconds=2000, workers=1)
    assert alone.max_epochs == 9 and alone.segments_per_epoch == pytest.approx((2000 - 23 * 3.0) / 75 / 0.01, abs=1)
    free = [replace(speed, setup_seconds=0.0, validation_seconds=0.0) for speed in speeds]
    both = fit_search(task, free, seconds=1000, workers=2)
    assert both.segments_per_epoch == pytest.approx(1000 / 41 / 0.01, abs=1)
    for workers in (2, 16):
        size = fit_search(task, speeds, seconds=1000, workers=workers)
        assert _seconds(task, size, once=3.0, per_segment=0.01, workers=workers) == pytest.approx(1000, rel=0.01)


def test_short_times_shorten_the_trials_and_long_times_lengthen_them(
    task: TrainingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch has 64 batches at least, here of 4 segments, and no more segments than the records have."""
    monkeypatch.setattr(TrainingTask, "training_segments", property(lambda _: 2_000))
    task = replace(task, preset=replace(PRESET, batch_size=4))
    speeds = [Speed(1, 1, 0.1, 1.0, 0.1)]
    for seconds, epochs in ((30, 3), (250, 9), (30_000, 81)):
        size = fit_search(task, speeds, seconds=seconds, workers=1)
        assert size.max_epochs == epochs and 256 <= size.segments_per_epoch <= 2_000
        assert _seconds(task, size, once=0.2, per_segment=0.01, workers=1) <= seconds
    with pytest.raises(SettingsError, match="5 s are too short for a search of the denoiser, in which a trial takes"):
        fit_search(task, speeds, seconds=5, workers=1)
    with pytest.raises(TrainingError, match="its speed could not be measured \\(lost\\)"):
        fit_search(task, [Speed(failure="lost")], seconds=5, workers=1)


def _finished(seconds: float) -> SearchResult:
    spec = TrainingSpec(id="000-r1", initial_epoch=3, epochs=9, hyperparameters={})
    result = TrainingResult(COMPLETED, 0.1, 9, seconds=seconds)
    return SearchResult(Path("x"), {}, ("val_loss", "min"), (Trial(spec, result),), True, seconds=seconds)


def test_final_trainings_have_the_time_that_the_searches_left(task: TrainingTask) -> None:
    """Trained at 600 segments in 30 s, two seeds of one model, one worker: half of the rest of the time each."""
    task = replace(task, preset=replace(PRESET, seeds=2, search_share=0.5))
    # An epoch is validated, at half of the cost of a segment.
    segments = task.training_segments + len(task.cache.rows(task.split.validation)) / 2
    refitted = replace(task, preset=replace(task.preset, refit=True))
    assert fit_final(refitted, _finished(30).best(), seconds=3 * task.training_segments / 20 + 0.01) == 3
    assert fit_final(task, _finished(30).best(), seconds=3 * segments / 20 + 0.01) == 3
    assert fit_final(task, _finished(30).best(), seconds=0.0) == 1
    size = StudySize(max_epochs=9, segments_per_epoch=100)
    plan = TimePlan(hours=1, preset="x", workers=1, report_seconds=360, sizes={DENOISER: size})
    planned = plan.with_final_trainings({DENOISER: task}, {DENOISER: _finished(30)})
    assert planned.sizes[DENOISER].final_epochs == int(20 * (3600 - 360 - 30) / 2 / segments)
    late = plan.with_final_trainings({DENOISER: task}, {DENOISER: _finished(36_000)})
    assert late.sizes[DENOISER].final_epochs == max(1, int(600 / 36_000 * (0.45 * 3600 / 2) / 2 / segments))
    assert plan.applied_to({DENOISER: task})[DENOISER].preset.final_epochs == PRESET.final_epochs
    assert planned.applied_to({DENOISER: task})[DENOISER].preset.final_epochs == planned.sizes[DENOISER].final_epochs


@pytest.mark.parametrize(("workers", "seeds", "rounds"), [(2, 3, 3), (3, 2, 2), (4, 3, 2), (8, 2, 1)])
def test_final_trainings_end_in_time_with_any_number_of_workers(
    small_data: SmallData, workers: int, seeds: int, rounds: int
) -> None:
    """Trainings of the same length, so many at a time: three on two workers take two of their lengths."""
    tasks = {
        name: TrainingTask(name, small_data.cache, small_data.split, replace(PRESET, seeds=seeds))
        for name in (DENOISER, DETECTOR)
    }
    searches = dict.fromkeys(tasks, _finished(30))
    size = StudySize(max_epochs=9, segments_per_epoch=100)
    plan = TimePlan(hours=1, preset="x", workers=workers, report_seconds=360, sizes=dict.fromkeys(tasks, size))
    planned = plan.with_final_trainings(tasks, searches)
    expected = {
        name: fit_final(task, searches[name].best(), seconds=(3600 - 360 - 60) / rounds) for name, task in tasks.items()
    }
    assert {name: size.final_epochs for name, size in planned.sizes.items()} == expected
    # A model without a search is not trained, so it gets no time.
    alone = plan.with_final_trainings(tasks, {DENOISER: _finished(60)})
    seconds = (3600 - 360 - 60) / math.ceil(seeds / workers)
    assert alone.sizes[DENOISER].final_epochs == fit_final(tasks[DENOISER], _finished(60).best(), seconds=seconds)
    assert alone.sizes[DETECTOR].final_epochs is None


def test_a_plan_measures_each_model_once_and_is_kept(small_data: SmallData, tmp_path: Path) -> None:
    tasks = {name: TrainingTask(name, small_data.cache, small_data.split, PRESET) for name in (DENOISER, DETECTOR)}
    executor = FakeExecutor(2, random.Random(0))
    seen: list[tuple[str, int, int]] = []
    given: list[list[str]] = []

    def report_time(speeds: Mapping[str, Sequence[Speed]]) -> float:
        given.append(list(speeds))
        return 600.04

    first, speeds = plan_for_time(
        {DENOISER: tasks[DENOISER]},
        hours=1,
        seed=1,
        executor=executor,
        report_time=report_time,
        on_progress=lambda *step: seen.append(step),
    )
    assert first.report_seconds == 600.0 and first.shares(PRESET) == Shares.of(PRESET, 1, report=600)
    assert seen == [("Speed of the denoiser, configurations", done, 6) for done in range(7)]
    assert set(speeds) == {DENOISER} and len(speeds[DENOISER]) == 6
    # Measured at 2 s per 100 segments, or fewer if the records have no more.
    size, before = first.sizes[DENOISER], tasks[DENOISER].segments_per_epoch
    assert speeds[DENOISER][0].epoch_seconds == pytest.approx(2.0 * size.segments_per_epoch / before)
    second, speeds = plan_for_time(tasks, hours=1, seed=1, executor=executor, report_time=report_time, earlier=first)
    assert given == [[DENOISER]] and second.report_seconds == 600.0, "the report is planned once"
    assert set(speeds) == {DETECTOR} and second.sizes[DENOISER] == first.sizes[DENOISER]
    second.save(tmp_path / "plan.json")
    assert load_time_plan(tmp_path / "plan.json") == second
    assert load_time_plan(tmp_path / "none.json") is None


def test_a_time_of_which_the_report_takes_more_than_half_is_refused(task: TrainingTask) -> None:
    def plan(hours: float) -> TimePlan:
        executor = FakeExecutor(1, random.Random(0))
        return plan_for_time({DENOISER: task}, hours=hours, seed=1, executor=executor, report_time=lambda _: 800.0)[0]

    expected = (
        "24 min 0 s are too short: the evaluation and the report alone take about 13 min 20 s; choose at least 0.45"
    )
    with pytest.raises(SettingsError, match=expected):
        plan(0.4)
    assert plan(0.45).report_seconds == 800


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"hours": "1"},
        {"hours": -1},
        {"report_seconds": -1},
        {"workers": 0},
        {"more": 1},
        {"sizes": {"denoiser": {"max_epochs": 0, "segments_per_epoch": 1}}},
        None,
    ],
)
def test_a_damaged_plan_is_one_line(change: dict[str, object] | None, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan = TimePlan(hours=1, preset="x", workers=2, report_seconds=1, sizes={})
    path.write_text("[" if change is None else json.dumps(plan.model_dump() | change))
    with pytest.raises(StateError, match=r"plan\.json: damaged \(.+\); restore the file, or pass restart"):
        load_time_plan(path)
