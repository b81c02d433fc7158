"""Report of a study: train the final models, evaluate them, assemble and write the report."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.noise_records import NoiseRecords, open_noise_records
from ecg_study.errors import StateError, TrainingError
from ecg_study.evaluation.baselines.process_memory import release_freed_memory
from ecg_study.evaluation.baselines.runner import ClassicalDetectors
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.denoising import denoiser_section
from ecg_study.evaluation.experiments.failures import worst_excerpts
from ecg_study.evaluation.experiments.model_comparison import compare_with_classical
from ecg_study.evaluation.experiments.noise_stress import stress_section
from ecg_study.evaluation.experiments.r_peaks import detector_section, evaluation_inputs
from ecg_study.evaluation.leads import EvaluationLead, read_leads
from ecg_study.models.card import DENOISER, ModelCard
from ecg_study.prediction.csv_files import write_signal_csv
from ecg_study.progress import Progress
from ecg_study.reports.publish import RENDERED, only_report, publish, render_report
from ecg_study.reports.report import REPORT_FORMAT, SECTIONS, Report, Training
from ecg_study.reports.schema import damaged_report, read_report, rounded, to_json, write_report
from ecg_study.result_cache import ResultCache
from ecg_study.training.executors.base import Executor
from ecg_study.training.final_training import TrainedModel, train_final_models
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.tuning.findings.analysis import summarize_search, with_findings
from ecg_study.tuning.findings.latency import measure_latencies
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.state import SearchResult
from ecg_study.workflows.reporting.export_model import export_model
from ecg_study.workflows.reporting.provenance import describe_run, summarize_data
from ecg_study.workflows.settings import Settings
from ecg_study.workflows.task_models import FinalModels, prepare_final_models

TRAININGS, MEASURED = "trainings", "measured"
"""Folders that are kept between reports: final weights, and outputs of models and detectors for the test records."""

_MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # of the values of a damaged report

OpenExecutor = Callable[[], AbstractContextManager[Executor]]
_Section = TypeVar("_Section")


@dataclass(frozen=True)
class ReportInputs:
    """Everything that a report is made of.

    Attributes:
        database: the raw records.
        tasks: the models that have a search: denoiser, detector or both, with the same cache and split.
        searches: the search of each model.
        missing: sentences on what the report lacks and why.
        noise_dir: folder of the noise records, or ``None``.
        settings: the settings of the study.
        command: how to repeat the study.
    """

    database: Database
    tasks: Mapping[str, TrainingTask]
    searches: Mapping[str, SearchResult]
    missing: Sequence[str]
    noise_dir: Path | None
    settings: Settings
    command: str


def usable_searches(
    tasks: Mapping[str, TrainingTask], searches: Mapping[str, SearchResult], *, unplanned: Collection[str] = ()
) -> tuple[dict[str, SearchResult], list[str]]:
    """Return the searches that a report can be made of, and sentences on what it lacks.

    Args:
        tasks: the models of a complete study.
        searches: the saved searches.
        unplanned: models with a saved search of another size than the study plans, which is not used.

    Raises:
        TrainingError: no search has a completed trial.
    """
    usable: dict[str, SearchResult] = {}
    missing: list[str] = []
    errors: list[TrainingError] = []
    for name, task in tasks.items():
        search = searches.get(name)
        if name in unplanned:
            missing.append(f"The search of the {name} is not part of the time plan of this study; search it again.")
            continue
        if search is None:
            missing.append(f"The {name} was not searched.")
            continue
        try:
            search.best()
        except TrainingError as error:
            errors.append(error)
            missing.append(f"The search of the {name} has no result: {error}")
            continue
        usable[name] = search
        planned = sum(rung.trials for rung in schedule_of(task.preset))
        if search.stopped:
            missing.append(f"The search of the {name} stopped early: {search.stopped}.")
        elif not search.done:
            missing.append(
                f"The search of the {name} is not finished: {len(search.trials)} of {planned} trials are done. The "
                "report uses the best of them."
            )
    if not usable:
        raise errors[0]
    return usable, missing


def make_report(
    inputs: ReportInputs,
    *,
    output_dir: Path,
    open_executor: OpenExecutor,
    on_progress: Progress,
    sections: Sequence[str] = SECTIONS,
) -> Report:
    """Train the final models, evaluate them on the test records, and write the report.

    The report is written to a temporary folder and moved into place when it is complete. Weights and outputs of models
    are kept, so that an interrupted report resumes and a repeated one trains nothing.

    Args:
        inputs: searches, data and settings.
        output_dir: output folder of the study.
        open_executor: opens the executor; not called if all weights exist.
        on_progress: called with the name of a step, the number of steps done, and their total.
        sections: sections to compute; the others come from the existing report.

    Raises:
        TrainingError: a training failed.
        StateError: the report with the other sections is missing, describes other models, or is being written.
    """
    with only_report(output_dir):
        started = time.monotonic()
        release_freed_memory()
        previous = None if set(sections) == set(SECTIONS) else _read_with_findings(output_dir / "report.json")
        store = ResultCache(output_dir / MEASURED)
        trained = train_final_models(
            inputs.tasks,
            {name: inputs.searches[name].best() for name in inputs.tasks},
            seed=inputs.settings.seed,
            directory=output_dir / TRAININGS,
            open_executor=open_executor,
            progress=on_progress,
        )
        models = prepare_final_models(
            trained,
            inputs.tasks,
            database=inputs.database,
            store=store,
            seed=inputs.settings.seed,
            on_progress=on_progress,
        )
        classical = ClassicalDetectors(ResultCache(Path(inputs.settings.data_dir) / MEASURED), on_progress)
        try:
            builder = ReportBuilder(inputs, models, store=store, classical=classical, on_progress=on_progress)
            report = builder.build(sections, previous=previous, started=started)
        finally:
            classical.close()
        publish(output_dir, lambda staging: builder.write(staging, report))
        return report


def render_saved_report(output_dir: Path) -> Report:
    """Write the pages and plots of the existing report again, without training or evaluation.

    Args:
        output_dir: output folder of the study.

    Raises:
        StateError: the report is missing, or cannot be read.
    """
    report = _read_with_findings(output_dir / "report.json")
    with only_report(output_dir):
        try:
            publish(output_dir, lambda staging: render_report(staging, report), names=RENDERED)
        except _MISFITS as error:
            raise damaged_report(output_dir / "report.json", "its values do not fit together") from error
    return report


def _read_with_findings(path: Path) -> Report:
    """Read a report; findings of a search that version 0.1.0 did not store are computed from its trials."""
    report = read_report(path)
    try:
        searches = [search if search.findings is not None else with_findings(search) for search in report.searches]
    except _MISFITS as error:
        raise damaged_report(path, "its searches do not fit together") from error
    return replace(report, searches=searches)


class ReportBuilder:
    """Evaluation of the final models, section by section.

    Args:
        inputs: searches, data and settings.
        models: the final models.
        store: cache of model outputs.
        classical: the classical detectors.
        on_progress: called with the name of a step, the number of steps done, and their total.
    """

    def __init__(
        self,
        inputs: ReportInputs,
        models: FinalModels,
        *,
        store: ResultCache,
        classical: ClassicalDetectors,
        on_progress: Progress,
    ) -> None:
        self.inputs, self.models, self.classical = inputs, models, classical
        self.store, self.on_progress = store, on_progress
        self.seed = inputs.settings.seed
        task = next(iter(inputs.tasks.values()))
        self.cache, self.split = task.cache, task.split
        self.leads: list[EvaluationLead] = read_leads(self.cache, inputs.database, records=self.split.test)

    @property
    def denoiser(self) -> CachedModel | None:
        """The denoiser that is saved, or ``None``."""
        return self.models.denoisers[0] if self.models.denoisers else None

    def build(self, sections: Sequence[str], *, previous: Report | None, started: float) -> Report:
        """Compute sections and return the report.

        Args:
            sections: sections to compute.
            previous: the report that the others come from; ``None`` computes all.
            started: `time.monotonic` at the start of the report.

        Raises:
            StateError: the previous report describes other models.
        """
        trainings = self._trainings()
        if previous is not None and [_identity(item) for item in previous.trainings] != [
            _identity(item) for item in trainings
        ]:
            problem = "sections: the existing report describes other models; make all sections first"
            raise StateError(problem, parameters=("sections",))

        def section(name: str, compute: Callable[[], _Section], get: Callable[[Report], _Section]) -> _Section:
            return compute() if previous is None or name in sections else get(previous)

        searches = section("search", self._searches, lambda report: report.searches)
        noise, why_not = self._noise()
        denoiser = section("denoiser", lambda: self._denoiser(noise, why_not), lambda report: report.denoiser)
        detector = section("detector", self._detector, lambda report: report.detector)
        stress = section("stress", lambda: self._stress(noise), lambda report: report.stress)
        failures = section("failures", self._failures, lambda report: report.failures)
        report = Report(
            format=REPORT_FORMAT,
            provenance=describe_run(
                self.inputs.settings, command=self.inputs.command, seconds=time.monotonic() - started
            ),
            data=summarize_data(self.inputs.database, self.cache, split=self.split),
            missing=[*self.inputs.missing, *([f"Recorded noise: {why_not}"] if why_not else [])],
            comparisons=compare_with_classical(self.leads, denoiser=denoiser, detector=detector, seed=self.seed),
            searches=searches,
            trainings=trainings,
            denoiser=denoiser,
            detector=detector,
            stress=stress,
            failures=failures,
        )
        if previous is None:
            self.store.remove_unused()
        return rounded(report)

    def write(self, staging: Path, report: Report) -> None:
        """Write the model folders, CSV files, the report and its pages to the empty folder ``staging``."""
        signals = self.cache.signals([*self.split.train, *self.split.validation])
        for name, trained in self.models.trained.items():
            task = self.inputs.tasks[name]
            export_model(staging / "models" / name, trained[0].model, report=report, task=task, signals=signals)
        self._write_csv(staging / "csv")
        write_report(staging / "report.json", report)
        render_report(staging, report)

    def _write_csv(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        names = [lead.record for lead in self.leads]
        for done, lead in enumerate(self.leads):
            self.on_progress("CSV files", done, len(self.leads))
            # The lead is part of the file name only if the record has several. Its name comes from the record.
            several = names.count(lead.record) > 1
            name = f"{lead.record}-{re.sub(r'[^A-Za-z0-9+_-]', '_', lead.lead)}" if several else lead.record
            name = name.replace("/", "-")  # of several databases, the name of the database comes first
            denoised = self.denoiser.denoise(lead.noisy) if self.denoiser else None
            r_peaks = self.models.detectors[0].detect(lead.noisy).samples if self.models.detectors else None
            write_signal_csv(directory / f"{name}.csv", lead.noisy, fs=lead.fs, denoised=denoised, r_peaks=r_peaks)
        self.on_progress("CSV files", len(self.leads), len(self.leads))

    def _trainings(self) -> list[Training]:
        trainings = []
        for name, trained in self.models.trained.items():
            hyperparameters = trained[0].spec.hyperparameters  # all have the same
            augmentation = augmentation_as_json(self.inputs.tasks[name], hyperparameters).get("augmentation", {})
            wrapped = self.models.denoisers if name == DENOISER else self.models.detectors
            if name in self.models.for_thresholds:
                trainings.append(_training(self.models.for_thresholds[name], wrapped[0].card, augmentation))
            trainings += [_training(model, wrapped[number].card, augmentation) for number, model in enumerate(trained)]
        return trainings

    def _searches(self) -> list[Any]:
        summaries = []
        for name, search in self.inputs.searches.items():
            task = self.inputs.tasks[name]
            latencies = measure_latencies(task, search, store=self.store, progress=self.on_progress)
            summaries.append(summarize_search(name, search, preset=task.preset, milliseconds=latencies))
        return summaries

    def _noise(self) -> tuple[NoiseRecords | None, str]:
        """Return the noise records, or why they are not used."""
        if self.inputs.noise_dir is None:
            return None, "not measured, because the study has no noise_dir with the MIT-BIH Noise Stress Test Database."
        noise = open_noise_records(self.inputs.noise_dir)
        if noise.fs != self.cache.fs:
            reason = f"it is sampled at {noise.fs:g} Hz and the study at {self.cache.fs:g} Hz"
            return None, f"not measured, because {reason}."
        return noise, ""

    def _denoiser(self, noise: NoiseRecords | None, why_not: str) -> Any:
        if self.denoiser is None:
            return None
        return denoiser_section(
            self.models.denoisers,
            self.leads,
            noise=noise,
            noise_note=why_not,
            seed=self.seed,
            store=self.store,
            progress=self.on_progress,
        )

    def _detector(self) -> Any:
        if not self.models.detectors:
            return None
        inputs = evaluation_inputs(self.leads, self.denoiser)
        return detector_section(
            self.models.detectors, self.classical, inputs=inputs, seed=self.seed, progress=self.on_progress
        )

    def _stress(self, noise: NoiseRecords | None) -> Any:
        if noise is None or not self.models.detectors:
            return None
        return stress_section(
            self.models.detectors[0],
            self.denoiser,
            classical=self.classical,
            noise=noise,
            test_leads=self.leads,
            learned_from=[name.rpartition("/")[2] for name in (*self.split.train, *self.split.validation)],
            seed=self.seed,
            progress=self.on_progress,
        )

    def _failures(self) -> list[Any]:
        if not self.models.detectors:
            return []
        detections = [self.models.detectors[0].detect(lead.noisy) for lead in self.leads]
        return worst_excerpts(self.leads, detections, database=self.inputs.database)


def _training(model: TrainedModel, card: ModelCard, augmentation: dict[str, Any]) -> Training:
    result = model.result
    return Training(
        task=model.task,
        seed_index=model.seed_index,
        role=model.role,
        trial=model.trial,
        hyperparameters=model.spec.hyperparameters,
        parameters=result.parameters or 0,
        history=result.history,
        best_epoch=result.best_epoch or 0,
        seconds=result.seconds,
        thresholds=card.thresholds,
        augmentation=augmentation,
        calibration=card.calibration,
        pretrained=model.pretrained,
    )


def _identity(training: Training) -> Any:
    """Return what distinguishes trainings, with the digits of a written report."""
    return to_json(replace(training, history=[], seconds=0.0))
