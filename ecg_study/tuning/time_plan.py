"""Sizes of a study that fits a given time on this machine: its searches, and its final trainings."""

from __future__ import annotations

import bisect
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ecg_study.errors import SettingsError, StateError, TrainingError
from ecg_study.files import write_json
from ecg_study.formatting import duration
from ecg_study.models.card import MODEL_KINDS
from ecg_study.progress import Progress
from ecg_study.reading import UnreadableError, first_problem, read_json
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.executors.base import Executor
from ecg_study.training.final_training import final_roles
from ecg_study.training.specs import Trial
from ecg_study.training.stored import Stored
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.plan import measure_speeds
from ecg_study.tuning.schedule import makespan, schedule_of
from ecg_study.tuning.state import SearchResult

TIME_PLAN_FILE = "time-plan.json"
"""File in the output folder of a study."""

_FEWEST_STEPS = 64
"""Batches of one epoch of a search: with fewer, the first rung says nothing about a configuration. A denoiser that has
learned little does more harm than one that has learned nothing."""

_MOST_EPOCHS = 729

_VALIDATION_COST = 0.5
"""Time of a segment in validation, with its metrics, as a share of that in training."""

TIMED_ROUNDS = 3
"""Configurations that are timed on each worker, about 5 seconds each."""

_LONGEST_REPORT = 0.5
"""Share of the time of a study above which its report leaves too little for searches and trainings."""

_Count = Annotated[int, Field(ge=1, le=10_000_000)]

ReportTime = Callable[[Mapping[str, Sequence[Speed]]], float]
"""Returns the expected seconds of a report from the measured speeds of each model."""


class StudySize(Stored):
    """Sizes of the study of one model, which replace those of the preset.

    Attributes:
        max_epochs: largest number of epochs of a trial.
        segments_per_epoch: segments per epoch of the search.
        final_epochs: epochs of a final training; ``None`` until the search has ended.
    """

    max_epochs: _Count
    segments_per_epoch: _Count
    final_epochs: _Count | None = None

    def applied_to(self, task: TrainingTask) -> TrainingTask:
        """Return a task with these sizes."""
        sizes = {name: value for name, value in self.model_dump().items() if value is not None}
        return replace(task, preset=replace(task.preset, **sizes))


class TimePlan(Stored):
    """Sizes of a study for a given time. They are computed once and kept, so that a study can be resumed.

    Attributes:
        format: version of the file.
        hours: time of the study.
        preset: name of its preset.
        workers: trials in parallel.
        report_seconds: expected time of the evaluation and the report.
        sizes: size for each model.
    """

    format: Literal[2] = 2
    hours: Annotated[float, Field(gt=0, le=10_000)]
    preset: Annotated[str, Field(max_length=200)]
    workers: Annotated[int, Field(ge=1, le=100_000)]
    report_seconds: Annotated[float, Field(ge=0, le=10_000_000)]
    sizes: dict[str, StudySize]

    def applied_to(self, tasks: Mapping[str, TrainingTask]) -> dict[str, TrainingTask]:
        """Return the tasks with the sizes of this plan."""
        return {name: self.sizes[name].applied_to(task) for name, task in tasks.items() if name in self.sizes}

    def save(self, path: Path) -> None:
        """Write the plan to a file that `load_time_plan` reads."""
        write_json(path, self.model_dump())

    def shares(self, preset: Preset) -> Shares:
        """Return the seconds of each part of the study."""
        return Shares.of(preset, self.hours, report=self.report_seconds)

    def with_final_trainings(self, tasks: Mapping[str, TrainingTask], searches: Mapping[str, SearchResult]) -> TimePlan:
        """Return the plan with the size of the final trainings, which have the time that the searches left.

        Each training of each model with a search gets the same time. With fewer workers than trainings, they run one
        after the other, and the last workers may wait.

        Args:
            tasks: the models, with the sizes of their searches.
            searches: the finished searches.
        """
        shares = self.shares(next(iter(tasks.values())).preset)
        spent = sum(search.seconds for search in searches.values())
        # A search that was stopped late, on a machine that was busy, must not leave models untrained.
        left = max(3600 * self.hours - shares.report - spent, shares.final / 2)
        trainings = sum(len(final_roles(tasks[name])) for name in searches)
        seconds = left / math.ceil(trainings / self.workers)
        sizes = {
            name: size.model_copy(
                update={"final_epochs": fit_final(tasks[name], searches[name].best(), seconds=seconds)}
            )
            for name, size in self.sizes.items()
            if name in searches
        }
        return self.model_copy(update={"sizes": {**self.sizes, **sizes}})


@dataclass(frozen=True)
class Shares:
    """Seconds of each part of a study.

    Attributes:
        search: for the search of each model.
        final: for all final trainings, if the searches take their share.
        report: for the evaluation and the report.
    """

    search: float
    final: float
    report: float

    @classmethod
    def of(cls, preset: Preset, hours: float, *, report: float) -> Shares:
        """Return the shares of a preset, of what the report leaves.

        Args:
            preset: the preset.
            hours: time of the study.
            report: expected seconds of the report.
        """
        left = max(3600 * hours - report, 0.0)
        search = left * preset.search_share
        return cls(search / len(MODEL_KINDS), left - search, report)


def plan_for_time(
    tasks: Mapping[str, TrainingTask],
    *,
    hours: float,
    seed: int,
    executor: Executor,
    report_time: ReportTime,
    reported: Mapping[str, TrainingTask] = MappingProxyType({}),
    earlier: TimePlan | None = None,
    first: Callable[[TrainingTask], Sequence[dict[str, Any]]] = lambda _: (),
    on_progress: Progress | None = None,
) -> tuple[TimePlan, dict[str, tuple[Speed, ...]]]:
    """Return a plan for a given time, from the measured speed of each model.

    Args:
        tasks: the models.
        hours: time of the study.
        seed: seed of the study, which determines the configurations that are timed.
        executor: is timed; it would train the trials.
        report_time: returns the expected seconds of the report.
        reported: models of the study that are not planned now, but will be in its report.
        earlier: a plan of the same study, whose sizes are kept.
        first: returns the configurations of a model that are tried first; called for models that are measured.
        on_progress: called with the number of configurations that are measured.

    Returns:
        The plan, and the speeds at its sizes for the models that were measured.

    Raises:
        TrainingError: no configuration of a model could be measured.
        SettingsError: the time is too short.
    """
    sizes = {} if earlier is None else dict(earlier.sizes)
    found, spent = dict[str, tuple[Speed, ...]](), dict[str, float]()
    for name, task in tasks.items():
        if name not in sizes:
            count, started = TIMED_ROUNDS * executor.count, time.monotonic()
            speeds = measure_speeds(
                task, seed=seed, executor=executor, count=count, warm=first(task), on_progress=on_progress
            )
            found[name] = tuple(speeds)
            spent[name] = time.monotonic() - started
    preset = next(iter(tasks.values())).preset
    if earlier is None:
        once = {
            name: measure_speeds(task, seed=seed, executor=executor, count=executor.count, on_progress=on_progress)
            for name, task in reported.items()
        }
        report = report_time({**found, **once})
    else:
        report = earlier.report_seconds
    _check_report_time(report, hours)
    share = Shares.of(preset, hours, report=report).search
    measured = dict[str, tuple[Speed, ...]]()
    for name, timed in found.items():
        # The measurement is part of the search time. At least half of that time remains for trials.
        left = max(share - spent[name], share / 2)
        sizes[name] = fit_search(tasks[name], timed, seconds=left, workers=executor.count)
        factor = sizes[name].segments_per_epoch / tasks[name].segments_per_epoch
        measured[name] = tuple(replace(speed, epoch_seconds=factor * speed.epoch_seconds) for speed in timed)
    plan = TimePlan(
        hours=hours, preset=preset.name, workers=executor.count, report_seconds=round(report, 1), sizes=sizes
    )
    return plan, measured


def _check_report_time(report: float, hours: float) -> None:
    """Refuse a time of which the report would take more than half.

    Raises:
        SettingsError: the time is too short.
    """
    if report > _LONGEST_REPORT * 3600 * hours:
        problem = (
            f"{duration(3600 * hours)} are too short: the evaluation and the report alone take about "
            f"{duration(report)}; choose at least {math.ceil(20 * report / 3600 / _LONGEST_REPORT) / 20:g} hours"
        )
        raise SettingsError("hours", problem)


def fit_search(task: TrainingTask, speeds: Sequence[Speed], *, seconds: float, workers: int) -> StudySize:
    """Return the sizes of a search that takes a given time.

    The segments of an epoch follow from the time, in which workers may wait for the last trials of a rung. If an epoch
    would have fewer than 64 batches, the longest trials become shorter by the factor of the preset, and Hyperband has
    one bracket less; if it would have more segments than the records have, they become longer, and it has one more.

    Args:
        task: the model and its data.
        speeds: measured speeds of some configurations, at the present size of an epoch.
        seconds: time of the search.
        workers: trials in parallel.

    Raises:
        TrainingError: no speed could be measured.
        SettingsError: the time is too short for any search.
    """
    measured = [speed for speed in speeds if not speed.failure]
    if not measured:
        reasons = "; ".join(sorted({speed.failure for speed in speeds})) or "nothing was measured"
        raise TrainingError(f"search of the {task.name}: its speed could not be measured ({reasons})")
    # The first configuration of each worker waits for imports too.
    once = statistics.median(speed.setup_seconds + speed.validation_seconds for speed in measured)
    per_segment = statistics.mean(speed.epoch_seconds for speed in measured) / task.segments_per_epoch
    preset, most = task.preset, task.training_segments
    fewest = min(_FEWEST_STEPS * task.batch_size, most)

    def exceeds(max_epochs: int, segments: int) -> bool:
        schedule = schedule_of(replace(preset, max_epochs=max_epochs))
        epoch = per_segment * segments
        taken = makespan(schedule, workers=workers, cost=lambda rung: once + (rung.epochs - rung.initial_epoch) * epoch)
        return taken > seconds

    max_epochs = preset.max_epochs
    while not exceeds(max_epochs, most + 1) and max_epochs * preset.factor <= _MOST_EPOCHS:
        max_epochs *= preset.factor
    while exceeds(max_epochs, fewest):
        if max_epochs < preset.factor**2:  # one rung is no search
            problem = (
                f"{duration(seconds)} are too short for a search of the {task.name}, in which a trial takes "
                f"{duration(once + per_segment * fewest)} at least; choose more hours"
            )
            raise SettingsError("hours", problem)
        max_epochs //= preset.factor
    longer = range(fewest + 1, most + 1)
    fitting = bisect.bisect_left(longer, True, key=lambda segments: exceeds(max_epochs, segments))
    return StudySize(max_epochs=max_epochs, segments_per_epoch=fewest + fitting)


def fit_final(task: TrainingTask, best: Trial, *, seconds: float) -> int:
    """Return the epochs of a final training that takes a given time.

    Args:
        task: the model and its data, with the sizes of its search.
        best: the trial whose configuration is trained; its time tells the speed.
        seconds: time of the training.
    """
    trained = (best.spec.epochs - best.spec.initial_epoch) * task.segments_per_epoch
    segments = seconds * trained / max(best.result.seconds, 1e-9)
    # A final training is validated after each epoch, a trial once.
    validated = 0 if task.preset.refit else len(task.cache.rows(task.split.validation))
    return max(1, int(segments / (task.training_segments + _VALIDATION_COST * validated)))


def load_time_plan(path: Path) -> TimePlan | None:
    """Read the file of a plan; ``None`` if there is none.

    Raises:
        StateError: it is damaged.
    """
    try:
        return TimePlan.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except (UnreadableError, ValidationError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        advice = "restore the file, or pass restart to a search of both models to start over"
        raise StateError(f"{path}: damaged ({problem}); {advice}", parameters=("restart",)) from error
