"""A study from records to report: prepare, plan, search, report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.errors import EcgStudyError, SettingsError
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
    from ecg_study.tuning.plan import SearchPlan
    from ecg_study.tuning.search import OpenView
    from ecg_study.tuning.state import SearchResult
    from ecg_study.tuning.time_plan import Shares
    from ecg_study.workflows.searching import StudySearches


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
        searches = self._searches(model_kind)
        with deferred_interrupts(), self._open_executor() as executor:
            plans = searches.plans(executor)
        self.shares = searches.shares
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
            restart: start from scratch; all saved searches of these models are renamed, not deleted, before the first
                starts. Leave it out to resume.
            open_view: returns a context manager with a view of one search (default: no output).

        Returns:
            The search of each model.

        Raises:
            StateError: a saved search has other settings or data, or is in use.
            TrainingError: no trial succeeded.
        """
        limits = {"max_hours": max_hours, "max_trials": max_trials, "workers": workers}
        self.settings = self.settings.changed(**{name: value for name, value in limits.items() if value is not None})
        searches = self._searches(model_kind)
        from ecg_study.tuning.search import silent_view

        with self._naming_settings(), deferred_interrupts(), self._open_executor() as executor:
            results = searches.run(executor, open_view or silent_view, restart=restart)
        self.shares = searches.shares
        return results

    def report(self, *, sections: Sequence[str] | None = None, command: str = "") -> Report:
        """Train the best models, evaluate them on the test records, and write the report.

        Args:
            sections: sections to compute; the others come from the existing report (default: all).
            command: how to repeat the study, for the report (default: Python code).

        Raises:
            StateError: there is no search, or it has other settings or data.
            TrainingError: a training diverged.
        """
        data, searching = self.prepare(), self._searches()
        from ecg_study.reports.report import SECTIONS
        from ecg_study.workflows.reporting.report import ReportInputs, make_report, usable_searches

        plan, tasks = searching.saved_plan(), dict(searching.tasks)
        planned = tasks if plan is None else plan.applied_to(tasks)
        with self._naming_settings():
            saved = searching.saved_searches(planned)
        searches, missing = usable_searches(tasks | planned, saved, unplanned=searching.unplanned(planned))
        tasks |= planned
        if plan is not None:
            plan = plan.with_final_trainings(tasks, searches)
            plan.save(searching.time_plan_file)
            tasks |= plan.applied_to(tasks)
        inputs = ReportInputs(
            database=data.database,
            tasks={name: tasks[name] for name in searches},
            searches=searches,
            missing=missing,
            noise_dir=data.noise_dir,
            settings=self.settings,
            command=command or f"{self!r}.run()",
        )
        with deferred_interrupts():
            report = make_report(
                inputs,
                output_dir=self.output_dir,
                open_executor=self._open_executor,
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

    def _searches(self, model_kind: str | None = None) -> StudySearches:
        """Return the searches of one or both models."""
        tasks = self._tasks(model_kind)
        from ecg_study.tuning.state import search_directory
        from ecg_study.workflows.searching import StudySearches

        others: dict[str, TrainingTask] = {}
        for name in MODEL_KINDS:
            if name not in tasks:
                try:
                    others |= self._tasks(name)
                except EcgStudyError:
                    if search_directory(self.output_dir, name).exists():
                        raise  # its search was made with other settings
        return StudySearches(self.settings, self.prepare(), tasks=tasks, others=others, on_progress=self.on_progress)

    def _open_executor(self) -> AbstractContextManager[Executor]:
        from ecg_study.training.executors.factory import open_executor

        return open_executor(self.settings.workers, self.settings.scheduler, tls=self.settings.tls_files)

    def _naming_settings(self) -> AbstractContextManager[None]:
        from ecg_study.workflows.saved_settings import naming_settings

        return naming_settings(self.settings, self.output_dir / SETTINGS_FILE)

    def _save_settings(self) -> None:
        save_settings(self.settings, self.output_dir / SETTINGS_FILE)


def _ignore(what: str, done: int, total: int) -> None:
    pass
