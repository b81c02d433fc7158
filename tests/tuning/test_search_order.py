"""The search with an executor that trains nothing: any order, any number of workers, losses, budgets, resuming."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg_study.errors import StateError, TrainingError
from ecg_study.files import locked
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.presets import HyperparameterRanges
from ecg_study.training.executors.base import Event, Job, TrialFinished, TrialInterrupted, WorkerLost
from ecg_study.training.specs import COMPLETED, failed_training
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.checkpoints import most_weights
from ecg_study.tuning.plan import SearchBudget
from ecg_study.tuning.schedule import count_configurations, schedule_of
from ecg_study.tuning.start import load_same_search
from ecg_study.tuning.state import SearchResult, load_search
from tests.conftest import SmallData
from tests.tuning.fake_executor import PRESET, TRIALS, FakeExecutor, Watcher, finish_at_once, search, specs_by_id


def test_brackets_and_rungs_are_those_of_the_schedule(task: TrainingTask, reference: SearchResult) -> None:
    ran: dict[tuple[int, int, int], int] = {}
    for spec in specs_by_id(reference).values():
        ran[spec.iteration, spec.bracket, spec.rung] = ran.get((spec.iteration, spec.bracket, spec.rung), 0) + 1
    assert ran == {(rung.iteration, rung.bracket, rung.rung): rung.trials for rung in schedule_of(task.preset)}
    for spec in specs_by_id(reference).values():
        assert spec.parent == (None if spec.rung == 0 else f"{spec.id[:3]}-r{spec.rung - 1}")


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 9), seed=st.integers(0, 10**6), losses=st.sampled_from([0.0, 0.05]))
def test_any_number_of_workers_in_any_order_finds_the_same(
    task: TrainingTask, reference: SearchResult, count: int, seed: int, losses: float
) -> None:
    """The program is also stopped at random moments, and workers are lost."""
    order = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "s"

        def stop_at_random() -> None:
            if order.random() < 0.1:
                raise KeyboardInterrupt

        while True:
            executor = FakeExecutor(count, order, losses=losses, weights=directory / "weights")
            executor.before_each = stop_at_random
            try:
                result = search(task, directory, executor=executor)
            except KeyboardInterrupt:
                continue
            break
        if not any(trial.result.status != COMPLETED for trial in result.trials):
            assert specs_by_id(result) == specs_by_id(reference)
            best = result.best()
            wanted = replace(reference.best(), ended=0.0)
            assert replace(best, result=replace(best.result, attempts=1), ended=0.0) == wanted
        assert len(result.trials) == len(specs_by_id(result)) == TRIALS, "each trial once"
        # Weights that are no longer needed are removed.
        assert executor.most_kept <= most_weights(schedule_of(task.preset))
        assert [path.name for path in (directory / "weights").iterdir()] == [f"{result.best().spec.id}.npz"]


def test_trials_of_several_iterations_have_different_ids(small_data: SmallData, tmp_path: Path) -> None:
    twice = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, iterations=2))
    specs = specs_by_id(search(twice, tmp_path / "s", executor=FakeExecutor(4, random.Random(1))))
    assert len(specs) == 2 * TRIALS
    assert [sum(spec.iteration == n for spec in specs.values()) for n in (0, 1)] == [TRIALS, TRIALS]


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize(("brackets", "iterations"), [(1, 1), (1, 3), (2, 2), (3, 1), (9, 1)])
def test_brackets_of_few_rungs_can_be_left_out(
    brackets: int, iterations: int, workers: int, small_data: SmallData, tmp_path: Path
) -> None:
    """Also if the search is stopped after each trial and goes on."""
    preset = replace(PRESET, brackets=brackets, iterations=iterations)
    chosen = TrainingTask(DENOISER, small_data.cache, small_data.split, preset)
    planned = {(rung.iteration, rung.bracket, rung.rung): rung.trials for rung in schedule_of(preset)}
    assert len(planned) == iterations * sum((3, 2, 1)[:brackets])
    for trials in range(1, sum(planned.values())) if workers == 1 else ():
        search(chosen, tmp_path / "s", budget=SearchBudget(trials=trials), executor=FakeExecutor(1, random.Random(0)))
    specs = specs_by_id(search(chosen, tmp_path / "s", executor=FakeExecutor(workers, random.Random(1))))
    ran = [(spec.iteration, spec.bracket, spec.rung) for spec in specs.values()]
    assert {place: ran.count(place) for place in set(ran)} == planned


def test_a_trial_fails_after_losing_three_workers_and_halving_continues(task: TrainingTask, tmp_path: Path) -> None:
    executor = FakeExecutor(2, random.Random(0))
    executor.answer = lambda job: (
        WorkerLost(job.spec.id, "worker 7 was killed")
        if job.spec.id == "001-r0"
        else TrialFinished(job.spec.id, finish_at_once(job.spec))
    )
    watcher = Watcher()
    result = search(task, tmp_path / "s", executor=executor, view=watcher)
    (failed,) = [trial for trial in result.trials if trial.result.status != COMPLETED]
    assert (failed.spec.id, failed.result.attempts, failed.result.reason) == ("001-r0", 3, "worker 7 was killed")
    assert executor.started.count("001-r0") == 3
    assert len(result.trials) == TRIALS
    assert watcher.notices[0] == "trial 001-r0: worker 7 was killed; starting attempt 2 of 3"
    assert "001-r0,,0,2,0,0,1," in (tmp_path / "s" / "trials.csv").read_text()


def test_a_rung_without_a_completed_trial_ends_only_its_own_bracket(task: TrainingTask, tmp_path: Path) -> None:
    executor = FakeExecutor(3, random.Random(0))
    executor.answer = lambda job: TrialFinished(
        job.spec.id, failed_training("no") if job.spec.id < "009" else finish_at_once(job.spec)
    )
    result = search(task, tmp_path / "s", executor=executor)
    assert len(result.trials) == TRIALS
    reasons = {trial.spec.id: trial.result.reason for trial in result.trials if trial.result.reason}
    assert len(reasons) == 13
    assert sum("continues trial" in reason for reason in reasons.values()) == 4


def test_a_limit_of_trials_can_be_raised(task: TrainingTask, reference: SearchResult, tmp_path: Path) -> None:
    directory = tmp_path / "s"
    first = search(task, directory, budget=SearchBudget(trials=4), executor=FakeExecutor(3, random.Random(0)))
    assert (len(first.trials), first.done) == (4, False)
    assert first.stopped == "the limit of 4 trials was reached"
    assert load_same_search(task, directory, seed=3) == load_search(directory), "a report can be made of it"
    idle = FakeExecutor(3, random.Random(0))
    search(task, directory, budget=SearchBudget(trials=4), executor=idle)
    assert idle.started == []
    last = search(task, directory, executor=FakeExecutor(3, random.Random(0)))
    assert (last.done, last.stopped) == (True, "")
    assert specs_by_id(last) == specs_by_id(reference)


def test_a_time_limit_counts_all_runs_and_drops_the_trials_it_stops(task: TrainingTask, tmp_path: Path) -> None:
    executor = FakeExecutor(2, random.Random(0))
    left: list[float | None] = []

    def answer(job: Job) -> Event:
        left.append(job.seconds_left)
        if len(left) < 4:
            return TrialFinished(job.spec.id, finish_at_once(job.spec))
        return TrialInterrupted(job.spec.id)

    executor.answer = answer
    with pytest.raises(KeyboardInterrupt):
        search(task, tmp_path / "s", budget=SearchBudget(seconds=3600), executor=_interrupted(executor, after=3))
    assert all(seconds is not None and 3590 < seconds <= 3600 for seconds in left)
    spent = SearchBudget(seconds=load_search(tmp_path / "s").seconds)
    result = search(task, tmp_path / "s", budget=spent, executor=executor)
    assert len(result.trials) == 3
    assert result.stopped == "the time limit of 0 s was reached"


def test_a_limit_too_small_for_one_trial_is_an_error(task: TrainingTask, tmp_path: Path) -> None:
    executor = FakeExecutor(2, random.Random(0))
    none = r"no trial was completed: none was started; the time limit of 0 s was reached: raise it"
    with pytest.raises(TrainingError, match=none):
        search(task, tmp_path / "s", budget=SearchBudget(seconds=1e-9), executor=executor)
    assert executor.started == []


def test_a_trial_stopped_before_the_time_limit_runs_again(task: TrainingTask, tmp_path: Path) -> None:
    executor = FakeExecutor(2, random.Random(0))
    executor.answer = lambda job: (
        TrialInterrupted(job.spec.id)
        if len(executor.started) == 5
        else TrialFinished(job.spec.id, finish_at_once(job.spec))
    )
    result = search(task, tmp_path / "s", executor=executor)
    assert result.done
    assert len(result.trials) == TRIALS
    assert len(executor.started) > TRIALS


def test_a_second_process_in_the_same_folder_is_refused(task: TrainingTask, tmp_path: Path) -> None:
    with locked(tmp_path / ".s.lock") as ours:
        assert ours
        with pytest.raises(StateError, match="another process is searching here"):
            search(task, tmp_path / "s")


def test_the_estimate_is_measured_first_and_later_taken_from_the_trials(task: TrainingTask, tmp_path: Path) -> None:
    watcher = Watcher()
    executor = _interrupted(FakeExecutor(2, random.Random(0)), after=2)
    with pytest.raises(KeyboardInterrupt):
        search(task, tmp_path / "s", measured=2, executor=executor, view=watcher)
    assert watcher.plan.speeds == (Speed(10, 100, 1.0, 2.0),) * 2
    assert watcher.plan.seconds == 93.0, "more than (23 · 1 + 75 · 2) / 2: one of two workers waits at the end"
    assert watcher.plan.disk_bytes == (1 + 3 + 1 + 2) * 100
    search(task, tmp_path / "s", measured=2, view=watcher)
    assert [speed.epoch_seconds for speed in watcher.plan.speeds] == [0.0, 0.0]


def test_a_space_smaller_than_the_schedule_is_refused_first(small_data: SmallData, tmp_path: Path) -> None:
    few = HyperparameterRanges((1, 2), (4,), (0.0,), (16,), ("forward",), (1e-3, 1e-3))
    small = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, denoiser=few))
    with pytest.raises(TrainingError, match=r"space of the denoiser has 4 configurations, but the schedule draws 17"):
        search(small, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_configurations_are_counted_with_their_conditions(small_data: SmallData) -> None:
    def count(ranges: HyperparameterRanges, limit: int = 1000) -> int:
        task = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, denoiser=ranges))
        return count_configurations(task.space(), limit)

    rate = (1e-3, 1e-3)
    # One layer: 3 units; two layers: 3 × 3; each with and without residual.
    assert count(HyperparameterRanges((1, 2), (4, 6, 8), (0.0,), (16,), ("forward",), rate)) == 2 * (3 + 9)
    # Three layers: 3 + 9 + 27, times 2 frames.
    assert count(HyperparameterRanges((1, 2, 3), (4, 6, 8), (0.0,), (8, 16), ("forward",), rate)) == 2 * 2 * 39
    assert count(HyperparameterRanges((1,), (4,), (0.0,), (16,), ("forward",), (1e-3, 1e-2))) == 1000


def test_a_space_of_just_enough_configurations_is_searched_to_the_end(small_data: SmallData, tmp_path: Path) -> None:
    """By default, Keras Tuner stops after 20 repeated configurations in a row."""
    exact = HyperparameterRanges((1,), tuple(range(1, 18)), (0.0,), (16,), ("forward",), (1e-3, 1e-3), residual=(True,))
    task = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, denoiser=exact))
    result = search(task, tmp_path / "s", executor=FakeExecutor(3, random.Random(0)))
    assert len(result.trials) == TRIALS
    assert {trial.spec.hyperparameters["units_1"] for trial in result.trials} == set(range(1, 18))


def _interrupted(executor: FakeExecutor, after: int) -> FakeExecutor:
    waits: list[int] = []

    def interrupt() -> None:
        waits.append(1)
        if len(waits) > after:
            raise KeyboardInterrupt

    executor.before_each = interrupt
    return executor
