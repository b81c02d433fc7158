"""The search's own doing, with workers that train nothing: any order, any number, losses, budgets, resuming."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg_study.errors import EcgStudyError
from ecg_study.files import locked
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.presets import HyperparameterRanges
from ecg_study.training.executors.base import Event, EventHandler, Job, TrialFinished, TrialInterrupted, WorkerLost
from ecg_study.training.specs import COMPLETED, FinishedTraining, TrainingResult, TrainingSpec, Trial, failed_training
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.checkpoints import most_weights
from ecg_study.tuning.plan import Budget, SearchPlan
from ecg_study.tuning.schedule import count_configurations, schedule_of
from ecg_study.tuning.search import SearchOptions, load_same_search, run_search
from ecg_study.tuning.state import SearchResult, load_search, search_directory
from ecg_study.tuning.warm_start import in_space
from tests.conftest import SmallData
from tests.tiny import TINY
from tests.tuning.test_search import Watcher as _Watcher

PRESET = replace(TINY, max_epochs=9)
TRIALS = 23


class Watcher(_Watcher):
    """A view that remembers."""

    def search_began(self, plan: SearchPlan, *, finished: list[Trial], best: float | None) -> None:
        assert (best is None) == (not finished)
        self.plan, self.found = plan, len(finished)


class FakeWorkers:
    """Workers whose trials end in a random order, with a score that the configuration and the epochs decide."""

    def __init__(self, count: int, order: random.Random, losses: float = 0.0, weights: Path | None = None) -> None:
        self.count, self.order, self.losses = count, order, losses
        self.jobs: list[Job] = []
        self.started: list[str] = []
        self.weights, self.most_kept = weights, 0
        self.before_each: Callable[[], None] = lambda: None
        self.answer: Callable[[Job], Event] = lambda job: TrialFinished(job.spec.id, _trained(job.spec))

    def free(self) -> int:
        return self.count - len(self.jobs)

    def start(self, job: Job) -> None:
        assert self.free() > 0
        assert (job.initial_weights is None) == (job.spec.parent is None)
        if job.spec.parent is not None:
            assert job.initial_weights == job.spec.parent.encode(), "goes on from its parent's weights"
        self.started.append(job.spec.id)
        self.jobs.append(job)

    def wait(self, handle: EventHandler) -> None:
        self.before_each()
        job = self.jobs.pop(self.order.randrange(len(self.jobs)))
        lost = self.order.random() < self.losses
        handle(WorkerLost(job.spec.id, "killed") if lost else self.answer(job))
        if self.weights is not None:
            self.most_kept = max(self.most_kept, len(list(self.weights.glob("*.npz"))))

    def cancel(self) -> None:
        self.jobs.clear()

    def measure(self, task: TrainingTask, configurations: list[dict[str, Any]]) -> list[Speed]:
        assert task.name
        return [Speed(10, 100, 1.0, 2.0) for _ in configurations]


def _trained(plan: TrainingSpec) -> FinishedTraining:
    score = abs(plan.hyperparameters["learning_rate"] - 0.005) / plan.epochs
    return FinishedTraining(
        TrainingResult(COMPLETED, score, plan.epochs, [{"epoch": 1, "val_loss": score}]), plan.id.encode()
    )


@pytest.fixture(scope="module")
def task(small_data: SmallData) -> TrainingTask:
    """A search of 23 trials."""
    return TrainingTask(DENOISER, small_data.cache, small_data.split, PRESET)


@pytest.fixture(scope="module")
def reference(task: TrainingTask, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """What one worker finds."""
    directory = tmp_path_factory.mktemp("reference") / "s"
    return run_search(
        task, SearchOptions(3), directory=directory, executor=FakeWorkers(1, random.Random(0)), view=Watcher()
    )


def _plans(result: SearchResult) -> dict[str, TrainingSpec]:
    return {trial.spec.id: trial.spec for trial in result.trials}


def test_brackets_and_rungs_are_those_of_the_schedule(task: TrainingTask, reference: SearchResult) -> None:
    ran: dict[tuple[int, int, int], int] = {}
    for plan in _plans(reference).values():
        ran[plan.iteration, plan.bracket, plan.rung] = ran.get((plan.iteration, plan.bracket, plan.rung), 0) + 1
    assert ran == {(rung.iteration, rung.bracket, rung.rung): rung.trials for rung in schedule_of(task.preset)}
    for plan in _plans(reference).values():
        assert plan.parent == (None if plan.rung == 0 else f"{plan.id[:3]}-r{plan.rung - 1}")


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 9), seed=st.integers(0, 10**6), losses=st.sampled_from([0.0, 0.05]))
def test_any_number_of_workers_in_any_order_finds_the_same(
    task: TrainingTask, reference: SearchResult, count: int, seed: int, losses: float
) -> None:
    """Also when the program is stopped now and then, and when workers die."""
    order = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        search = Path(directory) / "s"

        def stop_now_and_then() -> None:
            if order.random() < 0.1:
                raise KeyboardInterrupt

        started: list[str] = []
        while True:
            workers = FakeWorkers(count, order, losses, search / "weights")
            workers.before_each = stop_now_and_then
            try:
                result = run_search(task, SearchOptions(3), directory=search, executor=workers, view=Watcher())
            except KeyboardInterrupt:
                started += workers.started
                continue
            break
        if not any(trial.result.status != COMPLETED for trial in result.trials):
            assert _plans(result) == _plans(reference)
            best = result.best()
            wanted = replace(reference.best(), ended=0.0)
            assert replace(best, result=replace(best.result, attempts=1), ended=0.0) == wanted
        assert len(result.trials) == len(_plans(result)) == TRIALS, "each trial once"
        # Of the trials whose weights nobody needs any more, none is kept.
        assert workers.most_kept <= most_weights(schedule_of(task.preset))
        assert [path.name for path in (search / "weights").iterdir()] == [f"{result.best().spec.id}.npz"]


def test_several_iterations_are_told_apart(small_data: SmallData, tmp_path: Path) -> None:
    twice = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, iterations=2))
    result = run_search(
        twice, SearchOptions(3), directory=tmp_path / "s", executor=FakeWorkers(4, random.Random(1)), view=Watcher()
    )
    assert len(_plans(result)) == 2 * TRIALS
    assert [sum(plan.iteration == n for plan in _plans(result).values()) for n in (0, 1)] == [TRIALS, TRIALS]


def test_a_worker_lost_again_and_again_fails_the_trial_and_halving_goes_on(task: TrainingTask, tmp_path: Path) -> None:
    workers = FakeWorkers(2, random.Random(0))
    workers.answer = lambda job: (
        WorkerLost(job.spec.id, "worker 7 was killed")
        if job.spec.id == "001-r0"
        else TrialFinished(job.spec.id, _trained(job.spec))
    )
    watcher = Watcher()
    result = run_search(task, SearchOptions(3), directory=tmp_path / "s", executor=workers, view=watcher)
    (failed,) = [trial for trial in result.trials if trial.result.status != COMPLETED]
    assert (failed.spec.id, failed.result.attempts, failed.result.reason) == ("001-r0", 3, "worker 7 was killed")
    assert workers.started.count("001-r0") == 3
    assert len(result.trials) == TRIALS
    assert watcher.notices[0] == "trial 001-r0: worker 7 was killed; starting attempt 2 of 3"
    assert "001-r0,,0,2,0,0,1," in (tmp_path / "s" / "trials.csv").read_text()


def test_a_whole_rung_that_fails_ends_its_bracket_and_no_other(task: TrainingTask, tmp_path: Path) -> None:
    workers = FakeWorkers(3, random.Random(0))
    workers.answer = lambda job: TrialFinished(
        job.spec.id, failed_training("no") if job.spec.id < "009" else _trained(job.spec)
    )
    result = run_search(task, SearchOptions(3), directory=tmp_path / "s", executor=workers, view=Watcher())
    assert len(result.trials) == TRIALS
    reasons = {trial.spec.id: trial.result.reason for trial in result.trials if trial.result.reason}
    assert len(reasons) == 13
    assert sum("continues trial" in reason for reason in reasons.values()) == 4


def test_a_budget_of_trials_ends_in_order_and_can_be_raised(
    task: TrainingTask, reference: SearchResult, tmp_path: Path
) -> None:
    directory = tmp_path / "s"

    def search(trials: int | None, workers: FakeWorkers) -> SearchResult:
        return run_search(
            task, SearchOptions(3, budget=Budget(trials=trials)), directory=directory, executor=workers, view=Watcher()
        )

    first = search(4, FakeWorkers(3, random.Random(0)))
    assert (len(first.trials), first.done) == (4, False)
    assert first.stopped == "the limit of 4 trials was reached"
    assert load_same_search(task, directory, seed=3) == load_search(directory), "a report can be made of it"
    idle = FakeWorkers(3, random.Random(0))
    search(4, idle)
    assert idle.started == []
    last = search(None, FakeWorkers(3, random.Random(0)))
    assert (last.done, last.stopped) == (True, "")
    assert _plans(last) == _plans(reference)


def test_a_budget_of_time_counts_all_runs_and_drops_what_it_stops(task: TrainingTask, tmp_path: Path) -> None:
    options = SearchOptions(3, budget=Budget(seconds=3600))
    workers = FakeWorkers(2, random.Random(0))
    left: list[float | None] = []

    def answer(job: Job) -> Event:
        left.append(job.seconds_left)
        return TrialFinished(job.spec.id, _trained(job.spec)) if len(left) < 4 else TrialInterrupted(job.spec.id)

    workers.answer = answer
    with pytest.raises(KeyboardInterrupt):
        run_search(task, options, directory=tmp_path / "s", executor=_interrupting(workers, after=3), view=Watcher())
    assert all(seconds is not None and 3590 < seconds <= 3600 for seconds in left)
    spent = Budget(seconds=load_search(tmp_path / "s").seconds)
    result = run_search(
        task, SearchOptions(3, budget=spent), directory=tmp_path / "s", executor=workers, view=Watcher()
    )
    assert len(result.trials) == 3
    assert result.stopped == "the time limit of 0 s was reached"


def _interrupting(workers: FakeWorkers, after: int) -> FakeWorkers:
    waits: list[int] = []

    def interrupt() -> None:
        waits.append(1)
        if len(waits) > after:
            raise KeyboardInterrupt

    workers.before_each = interrupt
    return workers


def test_a_budget_too_small_for_one_trial_says_so(task: TrainingTask, tmp_path: Path) -> None:
    workers = FakeWorkers(2, random.Random(0))
    with pytest.raises(
        EcgStudyError, match=r"no trial was completed: none was started; the time limit of 0 s was reached: raise it"
    ):
        run_search(
            task,
            SearchOptions(3, budget=Budget(seconds=1e-9)),
            directory=tmp_path / "s",
            executor=workers,
            view=Watcher(),
        )
    assert workers.started == []


def test_a_trial_that_is_stopped_while_there_is_time_is_run_again(task: TrainingTask, tmp_path: Path) -> None:
    workers = FakeWorkers(2, random.Random(0))
    workers.answer = lambda job: (
        TrialInterrupted(job.spec.id) if len(workers.started) == 5 else TrialFinished(job.spec.id, _trained(job.spec))
    )
    result = run_search(task, SearchOptions(3), directory=tmp_path / "s", executor=workers, view=Watcher())
    assert result.done
    assert len(result.trials) == TRIALS
    assert len(workers.started) > TRIALS


def test_what_is_refused_sets_nothing_aside(task: TrainingTask, tmp_path: Path) -> None:
    _earlier(task, tmp_path)
    directory = search_directory(tmp_path, task.name)
    before = (directory / "search.json").read_bytes()
    fresh = SearchOptions(3, restart=True, warm_start=tmp_path / "nothing")
    with pytest.raises(EcgStudyError, match="no search of the denoiser in"):
        run_search(task, fresh, directory=directory, executor=FakeWorkers(1, random.Random(0)), view=Watcher())
    assert (directory / "search.json").read_bytes() == before
    own = SearchOptions(3, restart=True, warm_start=tmp_path)
    assert run_search(task, own, directory=directory, executor=FakeWorkers(1, random.Random(0)), view=Watcher()).done


def test_two_programs_at_one_search_are_refused(task: TrainingTask, tmp_path: Path) -> None:
    with locked(tmp_path / ".s.lock") as ours:
        assert ours
        with pytest.raises(EcgStudyError, match="another process is searching here"):
            run_search(
                task,
                SearchOptions(3),
                directory=tmp_path / "s",
                executor=FakeWorkers(1, random.Random(0)),
                view=Watcher(),
            )


def test_the_plan_is_measured_before_the_start_and_taken_from_the_trials_later(
    task: TrainingTask, tmp_path: Path
) -> None:
    watcher = Watcher()
    workers = FakeWorkers(2, random.Random(0))
    with pytest.raises(KeyboardInterrupt):
        run_search(
            task,
            SearchOptions(3, measured=2),
            directory=tmp_path / "s",
            executor=_interrupting(workers, after=2),
            view=watcher,
        )
    assert watcher.plan.speeds == (Speed(10, 100, 1.0, 2.0),) * 2
    assert watcher.plan.seconds == (23 * 1.0 + 75 * 2.0) / 2
    assert watcher.plan.disk_bytes == (1 + 3 + 1 + 2) * 100
    run_search(
        task,
        SearchOptions(3, measured=2),
        directory=tmp_path / "s",
        executor=FakeWorkers(2, random.Random(0)),
        view=watcher,
    )
    assert [speed.epoch_seconds for speed in watcher.plan.speeds] == [0.0, 0.0]


def test_a_space_smaller_than_the_plan_is_refused_before_anything(small_data: SmallData, tmp_path: Path) -> None:
    few = HyperparameterRanges((1, 2), (4,), (0.0,), (16,), ("forward",), (1e-3, 1e-3))
    small = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, denoiser=few))
    with pytest.raises(EcgStudyError, match=r"space of the denoiser has 4 configurations, but the schedule draws 17"):
        run_search(
            small, SearchOptions(3), directory=tmp_path / "s", executor=FakeWorkers(1, random.Random(0)), view=Watcher()
        )
    assert not (tmp_path / "s").exists()


def test_configurations_are_counted_with_their_conditions(small_data: SmallData) -> None:
    def count(bounds: HyperparameterRanges, limit: int = 1000) -> int:
        task = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, denoiser=bounds))
        return count_configurations(task.space(), limit)

    rate = (1e-3, 1e-3)
    # One layer: 3 units; two layers: 3 × 3; each with and without residual.
    assert count(HyperparameterRanges((1, 2), (4, 6, 8), (0.0,), (16,), ("forward",), rate)) == 2 * (3 + 9)
    # Three layers: 3 + 9 + 27, times 2 frames.
    assert count(HyperparameterRanges((1, 2, 3), (4, 6, 8), (0.0,), (8, 16), ("forward",), rate)) == 2 * 2 * 39
    assert count(HyperparameterRanges((1,), (4,), (0.0,), (16,), ("forward",), (1e-3, 1e-2))) == 1000


def test_a_space_that_is_just_large_enough_is_searched_to_the_end(small_data: SmallData, tmp_path: Path) -> None:
    """Keras Tuner as it comes gives up after 20 draws in a row that it has had before."""
    exact = HyperparameterRanges((1,), tuple(range(1, 18)), (0.0,), (16,), ("forward",), (1e-3, 1e-3), residual=(True,))
    task = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(PRESET, denoiser=exact))
    result = run_search(
        task, SearchOptions(3), directory=tmp_path / "s", executor=FakeWorkers(3, random.Random(0)), view=Watcher()
    )
    assert len(result.trials) == TRIALS
    assert {trial.spec.hyperparameters["units_1"] for trial in result.trials} == set(range(1, 18))


def _earlier(task: TrainingTask, study: Path, seed: int = 3) -> SearchResult:
    workers = FakeWorkers(1, random.Random(0))
    return run_search(
        task, SearchOptions(seed), directory=search_directory(study, task.name), executor=workers, view=Watcher()
    )


def test_a_warm_start_tries_the_best_of_an_earlier_study_first(task: TrainingTask, tmp_path: Path) -> None:
    earlier = _earlier(task, tmp_path / "first")
    best = list(dict.fromkeys(str(trial.spec.hyperparameters) for trial in earlier.ranked()))[:3]
    watcher = Watcher()
    warm = SearchOptions(8, warm_start=tmp_path / "first")
    result = run_search(
        task, warm, directory=tmp_path / "second", executor=FakeWorkers(2, random.Random(0)), view=watcher
    )
    plans = _plans(result)
    assert [str(plans[f"{n:03d}-r0"].hyperparameters) for n in range(3)] == best
    assert len({str(plan.hyperparameters) for plan in plans.values()}) == 17, "none is drawn twice"
    assert len(result.trials) == TRIALS
    assert watcher.notices == [f"the 3 best of {tmp_path / 'first'} are tried first"]
    # Going on needs the earlier study no more, but the same choice.
    (tmp_path / "first").rename(tmp_path / "elsewhere")
    run_search(task, warm, directory=tmp_path / "second", executor=FakeWorkers(2, random.Random(0)), view=Watcher())
    with pytest.raises(EcgStudyError, match=r"used warm start = .*first\", but warm start = \"\" was requested"):
        run_search(
            task,
            SearchOptions(8),
            directory=tmp_path / "second",
            executor=FakeWorkers(2, random.Random(0)),
            view=Watcher(),
        )


def test_a_warm_start_leaves_out_what_does_not_fit(task: TrainingTask, small_data: SmallData, tmp_path: Path) -> None:
    earlier = _earlier(task, tmp_path / "first")
    one_layer = replace(PRESET, denoiser=replace(PRESET.denoiser, layers=(1,)))
    watcher = Watcher()
    other = TrainingTask(DENOISER, small_data.cache, small_data.split, one_layer)
    warm = SearchOptions(3, warm_start=tmp_path / "first")
    result = run_search(
        other, warm, directory=tmp_path / "second", executor=FakeWorkers(1, random.Random(0)), view=watcher
    )
    fitting = [t.spec.hyperparameters for t in earlier.ranked() if t.spec.hyperparameters["layers"] == 1]
    assert _plans(result)["000-r0"].hyperparameters == fitting[0]
    assert "do not fit this space" in watcher.notices[0]
    none = replace(PRESET, denoiser=replace(PRESET.denoiser, frame=(8,)))
    with pytest.raises(EcgStudyError, match=r"no configuration of the denoiser in .* fits"):
        run_search(
            TrainingTask(DENOISER, small_data.cache, small_data.split, none),
            warm,
            directory=tmp_path / "third",
            executor=FakeWorkers(1, random.Random(0)),
            view=Watcher(),
        )


def test_no_filters_are_as_good_as_a_space_without_filters(task: TrainingTask) -> None:
    plain = {"layers": 1, "units_1": 4, "dropout": 0.0, "frame": 8, "direction": "forward", "learning_rate": 3e-3}
    plain |= {"residual": True}
    bounds = replace(PRESET.denoiser, layers=(1,), units=(4,), dropout=(0.0,), frame=(8,), direction=("forward",))
    without = replace(task, preset=replace(PRESET, denoiser=bounds))
    having = replace(task, preset=replace(PRESET, denoiser=replace(bounds, filters=(0, 3))))
    assert in_space(without, plain) == in_space(without, plain | {"filters": 0}) == plain
    assert in_space(having, plain) == in_space(having, plain | {"filters": 0}) == plain | {"filters": 0}
    assert in_space(having, plain | {"filters": 3}) == plain | {"filters": 3}
    assert in_space(without, plain | {"filters": 3}) is None
    assert in_space(without, plain | {"dense_units": 0}) is None


def test_a_warm_start_from_a_study_that_saw_test_records_is_refused(
    task: TrainingTask, small_data: SmallData, tmp_path: Path
) -> None:
    """Whatever the records are called there: they are known by their content."""
    _earlier(task, tmp_path / "first")
    split = small_data.split
    swapped = replace(split, train=(*split.train[1:], split.test[0]), test=(split.train[0], *split.test[1:]))
    other = TrainingTask(DENOISER, small_data.cache, swapped, PRESET)
    with pytest.raises(EcgStudyError, match=f"was trained or validated on {split.train[0]}, which this study tests on"):
        run_search(
            other,
            SearchOptions(3, warm_start=tmp_path / "first"),
            directory=tmp_path / "second",
            executor=FakeWorkers(1, random.Random(0)),
            view=Watcher(),
        )
    with pytest.raises(EcgStudyError, match=r"warm_start: no search of the denoiser in \S+nothing"):
        run_search(
            task,
            SearchOptions(3, warm_start=tmp_path / "nothing"),
            directory=tmp_path / "second",
            executor=FakeWorkers(1, random.Random(0)),
            view=Watcher(),
        )
    assert not (tmp_path / "second").exists()


def test_logs_for_tensorboard_hold_each_trial(task: TrainingTask, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = SearchOptions(3, tensorboard=True)
    result = run_search(
        task, options, directory=tmp_path / "s", executor=FakeWorkers(2, random.Random(0)), view=Watcher()
    )
    for trial in result.trials:
        logs = EventAccumulator(str(tmp_path / "s" / "tensorboard" / trial.spec.id)).Reload()
        (event,) = logs.Scalars("val_loss")
        assert event.value == pytest.approx(trial.result.score)
        assert b"learning_rate" in logs.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
