"""The searches of a study: their plan for a given time, the checks before the first trial, and their order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecg_study.errors import StateError
from ecg_study.models.card import MODEL_KINDS
from ecg_study.progress import Progress
from ecg_study.reading import UnreadableError
from ecg_study.training.executors.base import Executor
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.plan import SearchBudget, SearchPlan, measure_speeds, plan_search
from ecg_study.tuning.schedule import check_space
from ecg_study.tuning.search import OpenView, SearchOptions, run_search
from ecg_study.tuning.start import SearchStart, find_start, load_same_search, start_anew
from ecg_study.tuning.state import WAY_OUT, WAY_OUT_PARAMETERS, SearchResult, SearchStateFile, search_directory
from ecg_study.tuning.time_plan import (
    TIME_PLAN_FILE,
    TIMED_ROUNDS,
    Shares,
    TimePlan,
    load_time_plan,
    plan_for_time,
)
from ecg_study.tuning.warm_start import first_configurations
from ecg_study.workflows.preparation import PreparedData
from ecg_study.workflows.reporting.report_time import expected_report_seconds
from ecg_study.workflows.settings import SETTINGS_FILE, Settings, save_settings

_LATEST = 1.15
"""A search with a planned time ends at this multiple of it. A plan can be wrong: a few configurations were measured."""

_MAX_TIMED = 8
"""Maximum number of configurations that are timed before a search, one on each worker."""


@dataclass(frozen=True)
class _Planned:
    """Searches with the sizes that fit the time of the study.

    Attributes:
        tasks: the models, with these sizes.
        speeds: speeds of the models that were measured.
        plan: the sizes; ``None`` for a study without a given time.
    """

    tasks: Mapping[str, TrainingTask]
    speeds: Mapping[str, Sequence[Speed]]
    plan: TimePlan | None


class StudySearches:
    """The searches of a study.

    Args:
        settings: the settings of the study.
        data: its records.
        tasks: the models that are searched.
        others: the other models of the study, which the settings fit.
        on_progress: called with the name of a step, the number of steps done, and their total.

    Attributes:
        shares: seconds of each part of the study, once they are planned; ``None`` without a given time.
    """

    def __init__(
        self,
        settings: Settings,
        data: PreparedData,
        *,
        tasks: Mapping[str, TrainingTask],
        others: Mapping[str, TrainingTask],
        on_progress: Progress,
    ) -> None:
        self.settings, self.data, self.tasks, self.others = settings, data, tasks, others
        self.on_progress = on_progress
        self.shares: Shares | None = None
        self._out = Path(settings.output_dir)
        self._preset = next(iter(tasks.values())).preset

    @property
    def time_plan_file(self) -> Path:
        """File of the plan for the time of the study."""
        return self._out / TIME_PLAN_FILE

    def plans(self, executor: Executor) -> list[SearchPlan]:
        """Return the plan of each search, from the speed of the executor."""
        planned = self._planned(executor)
        plans: list[SearchPlan] = []
        for name, task in planned.tasks.items():
            check_space(task)
            found = planned.speeds.get(name) or measure_speeds(
                task,
                seed=self.settings.seed,
                executor=executor,
                count=TIMED_ROUNDS * executor.count,
                warm=self._first_configurations(task),
                on_progress=self.on_progress,
            )
            budget = self._budget(task, planned.plan, spent=0.0, left=len(planned.tasks))
            plans.append(plan_search(task, executor=executor, budget=budget, speeds=found))
        return plans

    def run(self, executor: Executor, open_view: OpenView, *, restart: bool) -> dict[str, SearchResult]:
        """Run or resume the searches.

        Everything is checked before anything is changed: a command that is refused leaves all files as they are. Then
        the plan and the settings are saved, so that a search that is killed leaves them.

        Args:
            executor: trains the trials.
            open_view: returns a context manager with a view of one search.
            restart: rename all saved searches of these models first, and start anew.

        Raises:
            StateError: a saved search has other settings or data, or is in use.
            SettingsError: the time is too short.
            TrainingError: no trial succeeded.
        """
        self._check_others(restart)
        planned = self._planned(executor, restart=restart)
        for task in planned.tasks.values():
            check_space(task)
        starts = {name: self._start(task, restart) for name, task in planned.tasks.items()}
        if restart:
            start_anew(list(starts.values()))
        if planned.plan is not None:
            planned.plan.save(self.time_plan_file)
        save_settings(self.settings, self._out / SETTINGS_FILE)
        results: dict[str, SearchResult] = {}
        for name, task in planned.tasks.items():
            spent = sum(result.seconds for result in results.values())
            options = SearchOptions(
                seed=self.settings.seed,
                budget=self._budget(task, planned.plan, spent=spent, left=len(planned.tasks) - len(results)),
                warm_start=self._warm_start,
                tensorboard=self.settings.tensorboard,
                measured=0 if self.settings.workers == 0 else min(_MAX_TIMED, max(2, executor.count)),
                speeds=tuple(planned.speeds.get(name, ())),
            )
            with open_view() as view:
                if restart:
                    for notice in starts[name].notices:
                        view.notice(notice)
                directory = search_directory(self._out, name)
                results[name] = run_search(task, options, directory=directory, executor=executor, view=view)
        return results

    def saved_plan(self, *, restart: bool = False) -> TimePlan | None:
        """Return the saved plan for the time of this study; ``None`` if there is none, or no such time.

        Args:
            restart: leave out the models of this search, so that they are planned again, and those without a search.

        Raises:
            StateError: it is damaged, or is for another time or preset.
        """
        hours = self._hours
        kept = [name for name in self.others if search_directory(self._out, name).exists()]
        if hours is None or (restart and not kept):
            return None
        found = load_time_plan(self.time_plan_file)
        if found is not None and restart:
            found = found.model_copy(
                update={"sizes": {name: found.sizes[name] for name in kept if name in found.sizes}}
            )
        if found is None or not any(name in found.sizes for name in MODEL_KINDS):
            return None
        if (found.hours, found.preset) != (hours, self._preset.name):
            problem = f"planned for {found.hours:g} hours and the preset {found.preset}"
            raise _refused(f"{self.time_plan_file}: {problem}, not for {hours:g} and {self._preset.name}", restart)
        return found

    def saved_searches(self, tasks: Mapping[str, TrainingTask]) -> dict[str, SearchResult]:
        """Return the searches in the output folder; at least one.

        Args:
            tasks: the models, with the sizes of their searches.

        Raises:
            StateError: there is no search, or it has other settings or data.
        """
        folders = {name: search_directory(self._out, name) for name in tasks}
        found = [name for name, folder in folders.items() if folder.is_dir()] or list(tasks)
        return {name: load_same_search(tasks[name], folders[name], seed=self.settings.seed) for name in found}

    def unplanned(self, planned: Collection[str]) -> list[str]:
        """Return the models with a saved search that are not among those that the study plans."""
        return [name for name in self.tasks if name not in planned and search_directory(self._out, name).is_dir()]

    @property
    def _hours(self) -> float | None:
        return self.settings.hours or self._preset.hours

    @property
    def _warm_start(self) -> Path | None:
        return Path(self.settings.warm_start) if self.settings.warm_start else None

    def _first_configurations(self, task: TrainingTask) -> Sequence[dict[str, Any]]:
        return first_configurations(task, self._warm_start).configurations

    def _start(self, task: TrainingTask, restart: bool) -> SearchStart:
        directory = search_directory(self._out, task.name)
        return find_start(task, directory, seed=self.settings.seed, warm_start=self._warm_start, restart=restart)

    def _planned(self, executor: Executor, *, restart: bool = False) -> _Planned:
        """Return the tasks with sizes for the time of this study."""
        if self._hours is None:
            return _Planned(self.tasks, {}, None)
        models = {**self.tasks, **self.others}
        plan, speeds = plan_for_time(
            self.tasks,
            hours=self._hours,
            seed=self.settings.seed,
            executor=executor,
            report_time=lambda found: expected_report_seconds(self.data, models, speeds=found),
            reported=self.others,
            earlier=self.saved_plan(restart=restart),
            first=self._first_configurations,
            on_progress=self.on_progress,
        )
        self.shares = plan.shares(self._preset)
        return _Planned(plan.applied_to(self.tasks), speeds, plan)

    def _check_others(self, restart: bool) -> None:
        """Refuse settings with which the search of another model was not made: one report is made of all.

        Raises:
            StateError: the other search has other settings or data, or is not in the plan of the study.
        """
        for name, task in self.others.items():
            directory = search_directory(self._out, name)
            try:
                saved = SearchStateFile(directory).read()
            except UnreadableError:  # named when it is used
                continue
            if saved is None:
                continue
            if self._hours is not None:
                plan = self.saved_plan(restart=restart)
                if plan is None or name not in plan.sizes:
                    problem = f"the saved search is not planned for the {self._hours:g} hours of this study"
                    raise _refused(f"{directory}: {problem}", restart)
                task = plan.sizes[name].applied_to(task)
            load_same_search(task, directory, seed=self.settings.seed)

    def _budget(self, task: TrainingTask, plan: TimePlan | None, *, spent: float, left: int) -> SearchBudget:
        """Return the budget of the next search: an equal share of what is left, and little more than was planned.

        Args:
            task: the model.
            plan: sizes for the time of the study.
            spent: seconds of the searches before.
            left: number of searches that are left, this one included.
        """
        limits = []
        if self.settings.max_hours is not None:
            limits.append(max(0.0, self.settings.max_hours * 3600 - spent) / left)
        if plan is not None:
            limits.append(_LATEST * plan.shares(task.preset).search)
        return SearchBudget(min(limits, default=None), self.settings.max_trials)


def _refused(problem: str, restart: bool) -> StateError:
    """Return the error for a search or plan that another search of the study contradicts."""
    if restart:  # of one model
        advice = "restart the searches of both models, or set output_dir to another folder"
        return StateError(f"{problem}; {advice}", parameters=("output_dir",))
    return StateError(f"{problem}; {WAY_OUT}", parameters=WAY_OUT_PARAMETERS)
