"""A study from records to report: prepare, plan, search, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.errors import SettingsError, StateError
from ecg_study.extras import require_packages
from ecg_study.files import make_directory
from ecg_study.models.card import MODEL_KINDS
from ecg_study.progress import Progress, deferred_interrupts
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.workflows.preparation import PreparedData, prepare_data
from ecg_study.workflows.settings import SETTINGS_FILE, Settings, check_storable, load_settings, save_settings

if TYPE_CHECKING:
    from ecg_study.reports.report import Report
    from ecg_study.training.executors.base import Executor
    from ecg_study.training.task import TrainingTask
    from ecg_study.training.timing import Speed
    from ecg_study.tuning.plan import Budget, SearchPlan
    from ecg_study.tuning.search import SearchView
    from ecg_study.tuning.state import SearchResult
    from ecg_study.tuning.time_plan import Shares, TimePlan

OpenView = Callable[[], "AbstractContextManager[SearchView]"]

_LATEST = 1.15
"""A search with a planned time ends at this multiple of it. A plan can be wrong: a few configurations were measured."""

_MAX_TIMED = 8
"""Maximum number of configurations that are timed before a search, one on each worker."""


class Study:
    """A study in one output folder: two searches, the final models, and the report.

    Each step can be repeated. A search that was interrupted resumes, and a report uses what was computed before.

    Args:
        output_dir: folder for all results.
        on_progress: called with the name of a step, the number of steps done, and their total.
        **settings: fields of `Settings`, such as ``database``, ``preset`` and ``seed``.

    Raises:
        SettingsError: a setting is unknown or its value is wrong.
    """

    def __init__(
        self, output_dir: str | Path = "outputs", *, on_progress: Progress | None = None, **settings: Any
    ) -> None:
        self.settings = Settings(output_dir=str(output_dir), **settings)
        self.on_progress: Progress = on_progress or _ignore
        self._data: PreparedData | None = None
        self.shares: Shares | None = None  # of the time of the study, once it is planned

    @classmethod
    def from_settings(cls, settings: Settings, *, on_progress: Progress | None = None) -> Study:
        """Return a study with these settings."""
        values = {name: getattr(settings, name) for name in Settings.model_fields}
        return cls(on_progress=on_progress, **values)

    @classmethod
    def open(cls, output_dir: str | Path, *, on_progress: Progress | None = None) -> Study:
        """Return the study whose settings are saved in an output folder.

        Raises:
            SettingsError: the folder has no settings file, or the file cannot be read.
        """
        values = load_settings(Path(output_dir) / SETTINGS_FILE) | {"output_dir": str(output_dir)}
        return cls(on_progress=on_progress, **values)

    def __repr__(self) -> str:
        fields = Settings.model_fields
        given = {name: getattr(self.settings, name) for name in fields if name != "output_dir"}
        listed = [f"{name}={value!r}" for name, value in given.items() if value != fields[name].default]
        return f"Study({', '.join([repr(self.settings.output_dir), *listed])})"

    @property
    def output_dir(self) -> Path:
        """Folder for all results."""
        return Path(self.settings.output_dir)

    def check(self, *, writes: bool = True) -> None:
        """Check the settings, the certificates of a scheduler and the output folder, before any records are read.

        Args:
            writes: whether the output folder is created if it is missing.

        Raises:
            SettingsError: a setting cannot be stored.
            TrainingError: a certificate is missing, or is not what it should be.
            InputError: the output folder cannot be used.
        """
        check_storable(self.settings)
        if self.settings.scheduler:
            from ecg_study.training.executors.tls import check_scheduler

            check_scheduler(self.settings.scheduler, self.settings.tls_files)
        if writes or self.output_dir.exists():
            make_directory(self.output_dir)

    def prepare(self) -> PreparedData:
        """Download or generate the records, cache their segments, and split them.

        Raises:
            DataError: records are missing or cannot be downloaded.
            RecordErrors: records cannot be used.
        """
        if self._data is None:
            self._data = prepare_data(self.settings, on_progress=self.on_progress)
        return self._data

    def plan(self, *, model_kind: str | None = None) -> list[SearchPlan]:
        """Return the size of each search and its duration, from a short measurement.

        Args:
            model_kind: ``"denoiser"`` or ``"detector"`` (default: both).
        """
        tasks = self._tasks(model_kind)
        from ecg_study.training.executors.factory import open_executor
        from ecg_study.tuning.plan import measure_speeds, plan_search
        from ecg_study.tuning.schedule import check_space
        from ecg_study.tuning.time_plan import TIMED_ROUNDS

        settings = self.settings
        plans: list[SearchPlan] = []
        with (
            deferred_interrupts(),
            open_executor(settings.workers, settings.scheduler, tls=settings.tls_files) as executor,
        ):
            tasks, speeds, time_plan = self._planned(tasks, executor)
            for name, task in tasks.items():
                check_space(task)
                found = speeds.get(name) or measure_speeds(
                    task,
                    seed=settings.seed,
                    executor=executor,
                    count=TIMED_ROUNDS * executor.count,
                    warm=self._warm(task),
                    on_progress=self.on_progress,
                )
                budget = self._budget(task, 0.0, len(tasks) - len(plans), time_plan)
                plans.append(plan_search(task, executor=executor, budget=budget, speeds=found))
        return plans

    def search(
        self,
        *,
        model_kind: str | None = None,
        max_hours: float | None = None,
        max_trials: int | None = None,
        workers: int | None = None,
        restart: bool = False,
        open_view: OpenView | None = None,
    ) -> dict[str, SearchResult]:
        """Search the hyperparameters of one or both models. A saved search is resumed.

        Args:
            model_kind: ``"denoiser"`` or ``"detector"`` (default: both).
            max_hours: time limit, shared among the models (default: that of the settings).
            max_trials: limit for each model (default: that of the settings).
            workers: trials in parallel (default: those of the settings).
            restart: start from scratch; a saved search is renamed, not deleted.
            open_view: returns a context manager with a view of one search (default: no output).

        Returns:
            The search of each model.

        Raises:
            StateError: a saved search has other settings or data, or is in use.
            TrainingError: no trial succeeded.
        """
        limits = {"max_hours": max_hours, "max_trials": max_trials, "workers": workers}
        self.settings = self.settings.changed(**{name: value for name, value in limits.items() if value is not None})
        tasks = self._tasks(model_kind)
        from ecg_study.tuning.search import silent_view

        with self._naming_settings():
            return self._search(tasks, restart, open_view or silent_view)

    def report(self, *, sections: Sequence[str] | None = None, command: str = "") -> Report:
        """Train the best models, evaluate them on the test records, and write the report.

        Args:
            sections: sections to compute; the others come from the existing report (default: all).
            command: how to repeat the study, for the report (default: Python code).

        Raises:
            StateError: there is no search, or it has other settings or data.
            TrainingError: a training diverged.
        """
        data, tasks = self.prepare(), self._tasks()
        from ecg_study.reports.report import SECTIONS
        from ecg_study.training.executors.factory import open_executor
        from ecg_study.workflows.reporting.report import ReportInputs, make_report, usable_searches

        settings = self.settings
        plan = self._time_plan(tasks)
        tasks = tasks if plan is None else plan.applied_to(tasks)
        with self._naming_settings():
            searches, missing = usable_searches(tasks, self._saved_searches(tasks))
        if plan is not None:
            plan = plan.with_final_trainings(tasks, searches)
            plan.save(self._time_plan_file)
            tasks = plan.applied_to(tasks)
        inputs = ReportInputs(
            database=data.database,
            tasks={name: tasks[name] for name in searches},
            searches=searches,
            missing=missing,
            noise_dir=data.noise_dir,
            settings=settings,
            command=command or f"{self!r}.run()",
        )
        with deferred_interrupts():
            report = make_report(
                inputs,
                output_dir=self.output_dir,
                open_executor=lambda: open_executor(settings.workers, settings.scheduler, tls=settings.tls_files),
                on_progress=self.on_progress,
                sections=sections or SECTIONS,
            )
        self._save_settings()
        return report

    def render(self) -> Report:
        """Write the pages and plots of the existing report again."""
        require_packages()
        from ecg_study.workflows.reporting.report import render_saved_report

        return render_saved_report(self.output_dir)

    def run(self, *, restart: bool = False, command: str = "") -> Report:
        """Prepare, search and report.

        Args:
            restart: start the searches from scratch.
            command: see `report`.
        """
        self.search(restart=restart)
        return self.report(command=command)

    def _tasks(self, model_kind: str | None = None) -> dict[str, TrainingTask]:
        if model_kind not in (None, *MODEL_KINDS):
            problem = f"{model_kind!r} is not one of {', '.join(MODEL_KINDS)}"
            raise SettingsError("model_kind", problem, value=model_kind)
        require_packages()
        self.check(writes=False)
        data = self.prepare()
        from ecg_study.training.backend import import_backend
        from ecg_study.training.task import TrainingTask

        import_backend()
        preset = load_preset(self.settings.preset)
        names = MODEL_KINDS if model_kind is None else (model_kind,)
        more: dict[str, Any] = {"keras_layers": self.settings.keras_layers, "shares": data.shares}
        tasks = {name: TrainingTask(name, data.cache, data.split, preset, **more) for name in names}
        for task in tasks.values():
            task.space()  # refuses a segment length that does not fit, before any training
        if self.settings.pretrained:
            from ecg_study.workflows.training.origins import with_pretrained

            tasks = with_pretrained(self.settings.pretrained, tasks, data=data.database)
        return tasks

    def _search(self, tasks: dict[str, TrainingTask], restart: bool, open_view: OpenView) -> dict[str, SearchResult]:
        from ecg_study.training.executors.factory import open_executor
        from ecg_study.tuning.schedule import check_space
        from ecg_study.tuning.search import SearchOptions, run_search
        from ecg_study.tuning.state import search_directory

        settings, out = self.settings, self.output_dir
        if restart or not any(search_directory(out, name).exists() for name in tasks):
            self._save_settings()  # a search that is killed leaves its settings
        results: dict[str, SearchResult] = {}
        with (
            deferred_interrupts(),
            open_executor(settings.workers, settings.scheduler, tls=settings.tls_files) as executor,
        ):
            tasks, speeds, plan = self._planned(tasks, executor, restart=restart)
            for task in tasks.values():
                check_space(task)
            if plan is not None:
                plan.save(self._time_plan_file)
            for name, task in tasks.items():
                spent = sum(result.seconds for result in results.values())
                options = SearchOptions(
                    seed=settings.seed,
                    restart=restart,
                    budget=self._budget(task, spent, len(tasks) - len(results), plan),
                    warm_start=Path(settings.warm_start) if settings.warm_start else None,
                    tensorboard=settings.tensorboard,
                    measured=0 if settings.workers == 0 else min(_MAX_TIMED, max(2, executor.count)),
                    speeds=speeds.get(name, ()),
                )
                with open_view() as view:
                    results[name] = run_search(
                        task, options, directory=search_directory(out, name), executor=executor, view=view
                    )
        self._save_settings()
        return results

    @property
    def _time_plan_file(self) -> Path:
        from ecg_study.tuning.time_plan import TIME_PLAN_FILE

        return self.output_dir / TIME_PLAN_FILE

    def _time_plan(self, tasks: Mapping[str, TrainingTask]) -> TimePlan | None:
        """Return the saved plan for the time of this study; ``None`` if there is none, or no such time.

        Raises:
            StateError: it is damaged, or is for another time or preset.
        """
        from ecg_study.tuning.state import WAY_OUT, WAY_OUT_PARAMETERS
        from ecg_study.tuning.time_plan import load_time_plan

        preset = next(iter(tasks.values())).preset
        hours = self.settings.hours or preset.hours
        if hours is None:
            return None
        found = load_time_plan(self._time_plan_file)
        if found is not None and (found.hours, found.preset) != (hours, preset.name):
            problem = (
                f"planned for {found.hours:g} hours and the preset {found.preset}, not for {hours:g} and {preset.name}"
            )
            raise StateError(f"{self._time_plan_file}: {problem}; {WAY_OUT}", parameters=WAY_OUT_PARAMETERS)
        return found

    def _planned(
        self, tasks: dict[str, TrainingTask], executor: Executor, *, restart: bool = False
    ) -> tuple[dict[str, TrainingTask], dict[str, tuple[Speed, ...]], TimePlan | None]:
        """Return the tasks with sizes for the time of this study, the speeds that were measured, and the plan."""
        hours = self.settings.hours or next(iter(tasks.values())).preset.hours
        if hours is None:
            return tasks, {}, None
        from ecg_study.tuning.time_plan import plan_for_time
        from ecg_study.workflows.reporting.report_time import expected_report_seconds

        data = self.prepare()
        plan, speeds = plan_for_time(
            tasks,
            hours=hours,
            seed=self.settings.seed,
            executor=executor,
            report_time=lambda found: expected_report_seconds(data, tasks, speeds=found),
            earlier=None if restart else self._time_plan(tasks),
            warm={name: self._warm(task) for name, task in tasks.items()},
            on_progress=self.on_progress,
        )
        self.shares = plan.shares(next(iter(tasks.values())).preset)
        return plan.applied_to(tasks), speeds, plan

    def _warm(self, task: TrainingTask) -> Sequence[dict[str, Any]]:
        """Return the configurations that are tried first."""
        from ecg_study.tuning.warm_start import first_configurations

        earlier = self.settings.warm_start
        return first_configurations(task, Path(earlier) if earlier else None).configurations

    def _budget(self, task: TrainingTask, spent: float, searches: int, plan: TimePlan | None) -> Budget:
        """Return the budget of the next search: an equal share of what is left, and little more than was planned."""
        from ecg_study.tuning.plan import Budget

        settings, limits = self.settings, []
        if settings.max_hours is not None:
            limits.append(max(0.0, settings.max_hours * 3600 - spent) / searches)
        if plan is not None:
            limits.append(_LATEST * plan.shares(task.preset).search)
        return Budget(min(limits, default=None), settings.max_trials)

    def _saved_searches(self, tasks: Mapping[str, TrainingTask]) -> dict[str, SearchResult]:
        """Return the searches in the output folder; at least one."""
        from ecg_study.tuning.search import load_same_search
        from ecg_study.tuning.state import search_directory

        out = self.output_dir
        found = [name for name in tasks if search_directory(out, name).is_dir()] or list(tasks)
        return {
            name: load_same_search(tasks[name], search_directory(out, name), seed=self.settings.seed) for name in found
        }

    def _naming_settings(self) -> AbstractContextManager[None]:
        from ecg_study.workflows.saved_settings import naming_settings

        return naming_settings(self.settings, self.output_dir / SETTINGS_FILE)

    def _save_settings(self) -> None:
        save_settings(self.settings, self.output_dir / SETTINGS_FILE)


def _ignore(what: str, done: int, total: int) -> None:
    pass
