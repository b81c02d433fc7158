"""Making the report: train, measure, summarise, render, publish."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from checkpoints import Card, save_bundle, write_signal_csv
from ecg_data import Database, Progress
from ecg_data.files import write_json, write_text
from reports.calibration import calibrate
from reports.evaluation import MeasuredLead, Models, measure, read_leads
from reports.markdown import render
from reports.plots import draw_plots
from reports.results import (
    FORMAT,
    GRU,
    LSTM,
    NOISY,
    TOLERANCES_MS,
    Provenance,
    Report,
    Training,
    to_json,
)
from reports.summary import (
    compare,
    summarise_data,
    summarise_denoising,
    summarise_peaks,
    summarise_search,
    summarise_windows,
)
from reports.training import train_best
from tuning import DENOISER, DETECTOR, REFRACTORY, SearchResult, Task

_PACKAGES = ("keras", "tensorflow", "keras-tuner", "wfdb", "numpy", "scipy", "scikit-learn", "pandas", "PyWavelets")

PUBLISHED = ("models", "csv", "plots", "report.json", "report.md")
"""What a report consists of, in the order in which it is put in place: the page that points at the rest comes last."""


@dataclass(frozen=True)
class Study:
    """What a report is made of.

    Attributes:
        database: the raw records.
        tasks: denoiser and detector, over the same cache and split.
        searches: the finished search of each.
        seed: seed of the study.
        settings: the settings that were used, for the page.
        command: the command that makes the report again.
    """

    database: Database
    tasks: dict[str, Task]
    searches: dict[str, SearchResult]
    seed: int
    settings: dict[str, Any]
    command: str


def make_report(study: Study, out: Path, progress: Progress) -> Report:
    """Retrain the best of each search, measure on test records, and write the report into ``out``.

    Everything is written beside and put in place when it is complete.

    Args:
        study: searches, data and settings.
        out: folder of the study's outputs.
        progress: told of training epochs and records.
    """
    started = time.monotonic()
    cache, split = study.tasks[DENOISER].cache, study.tasks[DENOISER].split
    models, trainings = _train(study, progress)
    refractory = round(REFRACTORY * cache.fs)
    validation = read_leads(cache, study.database, split.validation)
    thresholds = calibrate(models[DETECTOR], validation, cache, refractory, study.seed, progress)
    trainings[DETECTOR] = replace(trainings[DETECTOR], thresholds=thresholds)
    settings = cache.settings
    applied = Models(models[DENOISER], models[DETECTOR], thresholds, settings.segment, settings.window, refractory)
    measured = measure(applied, read_leads(cache, study.database, split.test), progress)
    report = _report(study, list(trainings.values()), measured, time.monotonic() - started)
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.glob(".report-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a report that was killed; two at once share no --out
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=out))
    try:
        _write(staging, study, report, models, measured, progress)
        _publish(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return report


def _train(study: Study, progress: Progress) -> tuple[dict[str, Any], dict[str, Training]]:
    models, trainings = {}, {}
    for name, task in study.tasks.items():
        what, epochs = f"Training the {name}", task.preset.final_epochs

        def said(epoch: int, _: dict[str, float], what: str = what, epochs: int = epochs) -> None:
            progress(what, epoch, epochs)

        progress(what, 0, epochs)
        models[name], trainings[name] = train_best(task, study.searches[name].best(), study.seed, said)
        if len(trainings[name].history) < epochs:
            progress(f"{what}, ended early", len(trainings[name].history), len(trainings[name].history))
    return models, trainings


def _report(study: Study, trainings: list[Training], measured: Sequence[MeasuredLead], seconds: float) -> Report:
    task = study.tasks[DENOISER]
    return Report(
        format=FORMAT,
        provenance=Provenance(
            command=study.command,
            settings=study.settings,
            seed=study.seed,
            versions={"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
            machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            seconds=seconds,
        ),
        data=summarise_data(study.database.name, task.cache, task.split),
        comparisons=compare(measured, study.seed),
        searches=[summarise_search(name, search, study.tasks[name].preset) for name, search in study.searches.items()],
        trainings=trainings,
        denoising=summarise_denoising(measured, study.seed),
        denoising_by_record=[item for lead in measured for item in lead.denoising],
        windows=summarise_windows(measured, study.seed),
        windows_by_record=[item for lead in measured for item in lead.windows],
        peaks=summarise_peaks(measured, study.seed),
        peaks_by_record=[item for lead in measured for item in lead.peaks],
    )


def _write(
    directory: Path,
    study: Study,
    report: Report,
    models: dict[str, Any],
    measured: Sequence[MeasuredLead],
    progress: Progress,
) -> None:
    for training in report.trainings:
        save_bundle(directory / "models" / training.task, models[training.task], _card(study, report, training))
    for done, item in enumerate(measured):
        progress("CSV files", done, len(measured))
        lead = item.lead
        # Where a record is measured in one lead, its name alone says which. Names of leads come from the records.
        several = sum(other.lead.record == lead.record for other in measured) > 1
        name = f"{lead.record}-{re.sub(r'[^A-Za-z0-9+_-]', '_', lead.lead)}" if several else lead.record
        path = directory / "csv" / f"{name}.csv"
        write_signal_csv(path, lead.fs, lead.noisy, item.denoised, item.detected)
    progress("CSV files", len(measured), len(measured))
    draw_plots(directory / "plots", report, list(study.searches.values()), measured)
    write_json(directory / "report.json", to_json(report))
    write_text(directory / "report.md", render(report))


def _card(study: Study, report: Report, training: Training) -> Card:
    data = report.data
    if training.task == DENOISER:
        from search_spaces.denoiser import NORMALISATION

        ours = next(item for item in report.denoising if item.method == LSTM)
        metrics = {"test, mean over records": to_json(ours)}
    else:
        from search_spaces.detector import NORMALISATION

        peaks = [p for p in report.peaks if (p.detector, p.input) == (GRU, NOISY)]
        metrics = {f"test, R peaks within {ms} ms": to_json(p) for ms, p in zip(TOLERANCES_MS, peaks, strict=True)}
        metrics["test, windows"] = to_json(next(w for w in report.windows if w.input == NOISY))
    return Card(
        task=training.task,
        fs=data.fs,
        segment=data.segment,
        window=data.window,
        normalisation=NORMALISATION,
        thresholds=training.thresholds,
        refractory=REFRACTORY,
        preset=study.tasks[training.task].preset.name,
        hyperparameters=training.hyperparameters,
        parameters=training.parameters,
        data={
            "database": data.database,
            "attribution": data.attribution,
            "key": data.key,
            "lead": data.lead,
            "sigma_mv": data.sigma,
            "records": {name: part.records for name, part in data.parts.items()},
        },
        metrics=metrics,
        seed=study.seed,
    )


def _publish(staging: Path, out: Path) -> None:
    """Put what was made in the place of what was there, one piece after the other; all or none, but for a kill."""
    moved: list[str] = []
    try:
        for name in PUBLISHED:
            if (out / name).exists():
                (out / name).rename(staging / f"old-{name}")
            moved.append(name)
            (staging / name).rename(out / name)
    except BaseException:
        for name in moved:
            if (out / name).exists():
                (out / name).rename(staging / f"new-{name}")
            if (staging / f"old-{name}").exists():
                (staging / f"old-{name}").rename(out / name)
        raise
