"""The report of a study: train, evaluate, assemble, render, publish."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.noise_records import NoiseRecords, open_noise_records
from ecg_study.errors import EcgStudyError, StateError
from ecg_study.evaluation.baselines.process_memory import release_freed_memory
from ecg_study.evaluation.baselines.runner import ClassicalDetectors
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.denoising import denoiser_section
from ecg_study.evaluation.experiments.failures import worst_excerpts
from ecg_study.evaluation.experiments.model_comparison import compare_with_classical
from ecg_study.evaluation.experiments.noise_stress import stress_section
from ecg_study.evaluation.experiments.noise_types import measure_noise_types
from ecg_study.evaluation.experiments.r_peaks import detector_section, evaluation_inputs
from ecg_study.evaluation.leads import read_leads
from ecg_study.evaluation.results.denoising import NoiseCell
from ecg_study.evaluation.thresholds import choose_thresholds
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.prediction.csv_files import write_signal_csv
from ecg_study.progress import Progress
from ecg_study.reports.publish import RENDERED, publish, render_report
from ecg_study.reports.report import REPORT_FORMAT, Report, Training
from ecg_study.reports.schema import read_report, rounded, to_json, write_report
from ecg_study.result_cache import ResultCache
from ecg_study.training.executors.base import Executor
from ecg_study.training.final_training import TrainedModel, train_final_models
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.tuning.analysis import summarize_search, with_findings
from ecg_study.tuning.latency import measure_latencies
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.state import SearchResult
from ecg_study.workflows.export_model import export_model
from ecg_study.workflows.provenance import describe_run, summarize_data
from ecg_study.workflows.task_models import cached_task_model

SECTIONS = ("search", "denoiser", "detector", "stress", "failures")
"""The sections of a report that can be computed again one by one."""

TRAININGS, MEASURED = "trainings", "measured"
"""Folders of what is kept between reports: final weights, and the outputs of models and detectors."""

OpenExecutor = Callable[[], AbstractContextManager[Executor]]
_Part = TypeVar("_Part")


@dataclass(frozen=True)
class ReportInputs:
    """The inputs of a report.

    Attributes:
        database: the raw records.
        tasks: the models that have a search: denoiser, detector or both, over the same cache and split.
        searches: the search of each.
        missing: what the report lacks, and why; one sentence each.
        noise: folder of the noise records, or ``None``.
        seed: seed of the study.
        settings: settings of the study by their stored names.
        command: command that makes the report again.
        data_dir: folder of results that other studies can use.
    """

    database: Database
    tasks: dict[str, TrainingTask]
    searches: dict[str, SearchResult]
    missing: list[str]
    noise: Path | None
    seed: int
    settings: dict[str, Any]
    command: str
    data_dir: Path


def usable_searches(
    tasks: dict[str, TrainingTask], searches: dict[str, SearchResult]
) -> tuple[dict[str, SearchResult], list[str]]:
    """Return the searches that a report can use, and what the report lacks without the others.

    Args:
        tasks: the models of a complete study.
        searches: the searches that exist.

    Raises:
        EcgStudyError: no search has a completed trial.
    """
    usable, missing, errors = {}, [], []
    for name, task in tasks.items():
        search = searches.get(name)
        if search is None:
            missing.append(f"The {name} was not searched.")
            continue
        try:
            search.best()
        except EcgStudyError as error:
            errors.append(error)
            missing.append(f"The search of the {name} gave nothing: {error}")
            continue
        usable[name] = search
        planned = sum(rung.trials for rung in schedule_of(task.preset))
        if search.stopped:
            missing.append(f"The search of the {name} ended early: {search.stopped}.")
        elif not search.done:
            missing.append(
                f"The search of the {name} has not ended: {len(search.trials)} of {planned} trials are done, and the "
                "best of these is taken."
            )
    if not usable:
        raise errors[0]
    return usable, missing


def make_report(
    study: ReportInputs,
    out: Path,
    *,
    open_executor: OpenExecutor,
    progress: Progress,
    sections: Sequence[str] = SECTIONS,
) -> Report:
    """Train the best configuration of each search, evaluate the models on the test records, and write the report.

    The files replace those of an earlier report when all are complete. Trained weights and measured results are kept:
    a stopped report continues, and a repeated one trains nothing.

    Args:
        study: searches, data and settings.
        out: output folder of the study.
        open_executor: opens the executor that trains; not called if all models are trained.
        progress: receives training epochs and records.
        sections: sections to compute; the others are taken from the existing report.

    Raises:
        TrainingError: a training failed.
        StateError: the existing report is missing, or of other models.
    """
    release_freed_memory()
    previous = None if set(sections) == set(SECTIONS) else _read_with_findings(out / "report.json")
    classical = ClassicalDetectors(ResultCache(study.data_dir / MEASURED), progress)
    try:
        builder = ReportBuilder(study, out, open_executor=open_executor, classical=classical, progress=progress)
        report = builder.build(sections, previous)
    finally:
        classical.close()
    publish(out, lambda staging: builder.write(staging, report))
    return report


def render_saved_report(out: Path) -> Report:
    """Render the report in ``out`` again from its ``report.json``, without training or measuring."""
    report = _read_with_findings(out / "report.json")
    publish(out, lambda staging: render_report(staging, report), names=RENDERED)
    return report


def _read_with_findings(path: Path) -> Report:
    """Read a report; findings of a search that version 0.1.0 did not store are computed from its trials."""
    report = read_report(path)
    searches = [search if search.findings is not None else with_findings(search) for search in report.searches]
    return replace(report, searches=searches)


class ReportBuilder:
    """The models, detectors and leads of a report, from which its sections are computed."""

    def __init__(
        self,
        study: ReportInputs,
        out: Path,
        *,
        open_executor: OpenExecutor,
        classical: ClassicalDetectors,
        progress: Progress,
    ) -> None:
        self.study, self.classical, self.progress = study, classical, progress
        self.started = time.monotonic()
        task = next(iter(study.tasks.values()))
        self.cache, self.split = task.cache, task.split
        self.store = ResultCache(out / MEASURED)
        finals = train_final_models(
            study.tasks,
            {name: study.searches[name].best() for name in study.tasks},
            seed=study.seed,
            directory=out / TRAININGS,
            open_executor=open_executor,
            progress=progress,
        )
        self.finals = {
            name: [item for item in finals if item.task == name and item.role == "final"] for name in study.tasks
        }
        self.choosing = next((item for item in finals if item.role == "thresholds"), None)
        self.applied = {name: [self._applied(item) for item in items] for name, items in self.finals.items()}
        self.detectors = self._calibrated()
        self.leads = read_leads(self.cache, study.database, records=self.split.test)

    def build(self, sections: Sequence[str], previous: Report | None) -> Report:
        """Compute these sections, and take the others from the previous report."""
        trainings = self._trainings()
        if previous is not None and [_same(item) for item in previous.trainings] != [_same(i) for i in trainings]:
            problem = "the existing report is of other models; make the whole report first"
            raise StateError(f"sections: {problem}", parameters=("sections",))

        def part(name: str, compute: Callable[[], _Part], get: Callable[[Report], _Part]) -> _Part:
            return compute() if previous is None or name in sections else get(previous)

        searches = part("search", self._searches, lambda report: report.searches)
        noise, why_not = self._noise()
        denoiser = part("denoiser", lambda: self._denoiser(noise, why_not), lambda report: report.denoiser)
        detector = part("detector", self._detector, lambda report: report.detector)
        stress = part("stress", lambda: self._stress(noise), lambda report: report.stress)
        failures = part("failures", self._failures, lambda report: report.failures)
        missing = [*self.study.missing, *([f"Recorded noise: {why_not}"] if why_not else [])]
        study = self.study
        report = Report(
            format=REPORT_FORMAT,
            provenance=describe_run(
                study.command, study.settings, seed=study.seed, seconds=time.monotonic() - self.started
            ),
            data=summarize_data(study.database, self.cache, split=self.split),
            missing=missing,
            comparisons=compare_with_classical(self.leads, denoiser=denoiser, detector=detector, seed=study.seed),
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
        """Write the models, the tables of samples, and the rendered report."""
        signals = self.cache.signals([*self.split.train, *self.split.validation])
        for name, finals in self.finals.items():
            task = self.study.tasks[name]
            export_model(staging / "models" / name, finals[0].model, report=report, task=task, signals=signals)
        self._write_csv(staging / "csv")
        write_report(staging / "report.json", report)
        render_report(staging, report)

    def _write_csv(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        names = [lead.record for lead in self.leads]
        for done, lead in enumerate(self.leads):
            self.progress("CSV files", done, len(self.leads))
            # The lead is in the name only if several leads are measured. Names of leads come from the records.
            several = names.count(lead.record) > 1
            name = f"{lead.record}-{re.sub(r'[^A-Za-z0-9+_-]', '_', lead.lead)}" if several else lead.record
            denoised = self.applied[DENOISER][0].denoise(lead.noisy) if DENOISER in self.applied else None
            found = self.detectors[0].detect(lead.noisy).samples if self.detectors else None
            write_signal_csv(directory / f"{name}.csv", lead.noisy, fs=lead.fs, denoised=denoised, r_peaks=found)
        self.progress("CSV files", len(self.leads), len(self.leads))

    def _applied(self, final: TrainedModel) -> CachedModel:
        return cached_task_model(final.model, self.study.tasks[final.task], store=self.store)

    def _calibrated(self) -> list[CachedModel]:
        models = self.applied.get(DETECTOR, [])
        if not models:
            return []
        leads = read_leads(self.cache, self.study.database, records=self.split.validation)
        # Models that were trained on the validation records use the thresholds of the model that was not.
        choosing = models if self.choosing is None else [self._applied(self.choosing)]
        noise = self.study.tasks[DETECTOR].validation_noise
        chosen = []
        for done, model in enumerate(choosing):
            self.progress("Thresholds, seeds", done, len(choosing))
            chosen.append(choose_thresholds(model, leads, noise=noise, seed=self.study.seed))
        self.progress("Thresholds, seeds", len(choosing), len(choosing))
        return [model.with_thresholds(chosen[place % len(chosen)]) for place, model in enumerate(models)]

    def _trainings(self) -> list[Training]:
        trainings = []
        for name, finals in self.finals.items():
            augmentation = augmentation_as_json(self.study.tasks[name]).get("augmentation", {})
            if name == DETECTOR and self.choosing is not None:
                trainings.append(_training(self.choosing, self.detectors[0].thresholds, augmentation))
            for place, final in enumerate(finals):
                thresholds = self.detectors[place].thresholds if name == DETECTOR else {}
                trainings.append(_training(final, thresholds, augmentation))
        return trainings

    def _searches(self) -> list[Any]:
        study = self.study
        return [
            summarize_search(
                name,
                search,
                preset=study.tasks[name].preset,
                milliseconds=measure_latencies(study.tasks[name], search, store=self.store, progress=self.progress),
            )
            for name, search in study.searches.items()
        ]

    def _noise(self) -> tuple[NoiseRecords | None, str]:
        """Return the noise records, or why they are not used."""
        if self.study.noise is None:
            return None, "not measured, because the study has no noise_dir with the MIT-BIH Noise Stress Test Database."
        noise = open_noise_records(self.study.noise)
        if noise.fs != self.cache.fs:
            return (
                None,
                f"not measured, because it is sampled at {noise.fs:g} Hz and the study at {self.cache.fs:g} Hz.",
            )
        return noise, ""

    def _denoiser(self, noise: NoiseRecords | None, why_not: str) -> Any:
        models = self.applied.get(DENOISER)
        if not models:
            return None
        cells: list[NoiseCell] = []
        if noise is not None:
            cells = measure_noise_types(
                models[0], self.leads, noise=noise, seed=self.study.seed, store=self.store, progress=self.progress
            )
        return denoiser_section(
            models,
            self.leads,
            noise=cells,
            noise_note="" if cells else why_not,
            seed=self.study.seed,
            progress=self.progress,
        )

    def _detector(self) -> Any:
        if not self.detectors:
            return None
        inputs = evaluation_inputs(self.leads, self.applied[DENOISER][0] if DENOISER in self.applied else None)
        return detector_section(
            self.detectors, self.classical, inputs=inputs, seed=self.study.seed, progress=self.progress
        )

    def _stress(self, noise: NoiseRecords | None) -> Any:
        if noise is None or not self.detectors:
            return None
        denoiser = self.applied[DENOISER][0] if DENOISER in self.applied else None
        return stress_section(
            self.detectors[0],
            denoiser,
            classical=self.classical,
            noise=noise,
            test_leads=self.leads,
            learned_from=[*self.split.train, *self.split.validation],
            seed=self.study.seed,
            progress=self.progress,
        )

    def _failures(self) -> list[Any]:
        if not self.detectors:
            return []
        found = [self.detectors[0].detect(lead.noisy) for lead in self.leads]
        database = self.study.database
        return worst_excerpts(self.leads, found, directory=database.directory, annotator=database.annotator)


def _training(final: TrainedModel, thresholds: dict[str, float], augmentation: dict[str, Any]) -> Training:
    outcome = final.result
    return Training(
        task=final.task,
        seed_index=final.seed_index,
        role=final.role,
        trial=final.trial,
        hyperparameters=final.spec.hyperparameters,
        parameters=outcome.parameters or 0,
        history=outcome.history,
        best_epoch=outcome.best_epoch or 0,
        seconds=outcome.seconds,
        thresholds=thresholds,
        augmentation=augmentation,
    )


def _same(training: Training) -> Any:
    """Return what identifies a training, rounded as in a stored report."""
    return to_json(replace(training, history=[], seconds=0.0))
