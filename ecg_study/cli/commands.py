"""The verbs of the command line: one short function each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_study.cli.console import open_console, report_error
from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.databases.splits import Split
from ecg_study.ecg_data.segments.cache import SegmentCache, SegmentSettings
from ecg_study.errors import SettingsError
from ecg_study.workflows.settings import Settings, as_mapping, as_options, save_settings

if TYPE_CHECKING:
    from rich.console import Console

    from ecg_study.reports.report import Report
    from ecg_study.training.executors.base import Executor
    from ecg_study.training.task import TrainingTask
    from ecg_study.tuning.plan import Budget
    from ecg_study.tuning.state import SearchResult

_PLAN_ROUNDS = 3
"""How many configurations `plan` measures on each worker: some 5 seconds each."""

_MOST_MEASURED = 8
"""At most so many configurations are measured before a search, one on each worker."""


@dataclass(frozen=True)
class _Data:
    """Raw records, cached segments and split of a study."""

    database: Database
    cache: SegmentCache
    split: Split
    noise: Path | None


def data(_: argparse.Namespace, settings: Settings) -> int:
    """Make records available and cache their segments."""
    console = open_console()
    prepared = _prepare(settings, console)
    cache, split = prepared.cache, prepared.split
    console.print(f"{len(cache.noisy):,} segments of {len(cache.records)} records in {cache.directory}")
    for part in ("train", "validation", "test"):
        console.print(f"{part}: {', '.join(split.part(part))}")
    for record, reason in sorted({**split.excluded_records, **cache.excluded_records}.items()):
        console.print(f"left out {record}: {reason}")
    return 0


def plan(options: argparse.Namespace, settings: Settings) -> int:
    """Show what a search will do, and how long it takes here."""
    console = open_console()
    tasks = _tasks(settings, _prepare(settings, console))
    from ecg_study.cli.search_display import plan_lines
    from ecg_study.progress import deferred_interrupts
    from ecg_study.training.executors.factory import open_executor
    from ecg_study.tuning.plan import plan_search
    from ecg_study.tuning.schedule import check_space
    from ecg_study.tuning.warm_start import read_warm_start

    names = [options.only] if options.only else list(tasks)
    with deferred_interrupts(), open_executor(settings.workers, settings.scheduler) as workers:
        for left, name in zip(range(len(names), 0, -1), names, strict=True):
            task = tasks[name]
            check_space(task)
            warm = read_warm_start(Path(settings.warm_start), task).configurations if settings.warm_start else ()
            budget = _budget(settings, 0.0, left)
            planned = plan_search(task, settings.seed, workers, budget, warm, _PLAN_ROUNDS * workers.count)
            for line in plan_lines(planned):
                console.print(line)
    return 0


def search(options: argparse.Namespace, settings: Settings) -> int:
    """Search one model or both."""
    console = open_console()
    tasks = _tasks(settings, _prepare(settings, console))
    names = [options.only] if options.only else list(tasks)
    _search({name: tasks[name] for name in names}, settings, console, options.fresh)
    return 0


def report(options: argparse.Namespace, settings: Settings) -> int:
    """Retrain the best, measure, and write the report."""
    console = open_console()
    if options.render:
        from ecg_study.workflows.report import render_saved_report

        _say_report(render_saved_report(Path(settings.out)), settings, console)
        return 0
    prepared = _prepare(settings, console)
    tasks = _tasks(settings, prepared)
    searches = _searches_there(tasks, settings)
    _report(prepared, tasks, searches, settings, console, options.sections)
    return 0


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Data, search and report in one go."""
    console = open_console()
    prepared = _prepare(settings, console)
    tasks = _tasks(settings, prepared)
    searches = _search(tasks, settings, console, options.fresh)
    _report(prepared, tasks, searches, settings, console)
    return 0


def compare(options: argparse.Namespace, _: Settings) -> int:
    """Put two studies side by side, by their reports."""
    from ecg_study.files import write_text
    from ecg_study.workflows.compare import compare_studies, render_comparison

    text = render_comparison(compare_studies(Path(options.first), Path(options.second)))
    print(text, end="")
    if options.write:
        write_text(Path(options.write), text)
    return 0


def export(options: argparse.Namespace, settings: Settings) -> int:
    """Write the trials of the searches as an Optuna storage, for optuna-dashboard."""
    import shlex

    from ecg_study.models.card import MODEL_KINDS
    from ecg_study.tuning.exports.optuna import export_optuna, find_searches, progress, storage_url

    console, out = open_console(), Path(settings.out)
    searches = find_searches(out)
    path = Path(options.storage) if options.storage else out / "search" / "optuna.db"
    written = export_optuna(searches, path, options.overwrite)
    for name in MODEL_KINDS:
        what = f"{written[name]} trials; {progress(searches[name])}" if name in written else "no search"
        console.print(f"{name}: {what}")
    console.print(f"Storage: {path}. To open it (pip install optuna-dashboard):")
    console.print(shlex.join(["optuna-dashboard", storage_url(path)]))
    return 0


def predict(options: argparse.Namespace, settings: Settings) -> int:
    """Apply a model to recordings (WFDB, EDF, CSV, NumPy) and write the results."""
    from ecg_study.cli.progress_bars import ProgressBars
    from ecg_study.ecg_data.readers.recording import ReadOptions
    from ecg_study.inference.loading import load_model
    from ecg_study.prediction.outputs import find_named_recordings, predict_recordings

    console, out = open_console(), Path(settings.out)
    model = load_model(options.model, runtime=options.engine, models_dir=out / "models")
    console.print(f"Model: {options.model}")
    raw_dir = Path(settings.raw_dir) if settings.raw_dir else None
    read_options = ReadOptions(
        settings.lead, options.fs, options.time_column, options.units, options.gain, adc_zero=options.baseline
    )
    failed = 0
    with ProgressBars(console) as progress_bars:
        for result in predict_recordings(
            model,
            find_named_recordings(options.recordings, raw_dir),
            model_name=options.model,
            directory=out / "predictions",
            formats=options.write,
            read_options=read_options,
            overwrite=options.overwrite,
            on_progress=progress_bars,
        ):
            if result.error is not None:
                failed += 1
                report_error(str(result.error))
            else:
                paths = ", ".join(str(path) for path in result.paths)
                console.print(f"{result.recording.name}: {result.description}: {paths}")
    return 2 if failed else 0


def finetune(options: argparse.Namespace, settings: Settings) -> int:
    """Train a bundle further on your own records, and measure what that gave."""
    from ecg_study.cli.progress_bars import ProgressBars
    from ecg_study.inference.loading import find_model
    from ecg_study.models.card import read_card
    from ecg_study.progress import deferred_interrupts
    from ecg_study.search_spaces.presets import load_preset
    from ecg_study.training.environment import import_tensorflow
    from ecg_study.training.task import TrainingTask
    from ecg_study.workflows.fine_tune import fine_tune_model

    console, out = open_console(), Path(settings.out)
    bundle = find_model(options.bundle)
    card = read_card(bundle)
    given = getattr(options, "preset", card.preset)
    preset = load_preset(given)
    if preset.name != card.preset:
        raise SettingsError("preset", f"{preset.name!r} is not the preset of {bundle} ({card.preset!r})", value=given)
    import_tensorflow()
    model = replace(settings, segment=card.segment_samples, window=card.window_samples, preset=given)
    prepared = _prepare(model, console, fs=card.fs)
    task = TrainingTask(card.model_kind, prepared.cache, prepared.split, preset)
    with ProgressBars(console) as steps, deferred_interrupts():
        rate, epochs = options.learning_rate, options.epochs
        made = fine_tune_model(bundle, task, prepared.database, rate, epochs, settings.seed, out, steps)
    save_settings(model, out / "settings.toml")
    kept = f"epoch {made.best_epoch} of {len(made.history)}" if made.best_epoch else "none, since no epoch was better"
    console.print(f"Weights kept: {kept} (validation loss {made.loss_before:.5g} before, {made.loss_after:.5g} after)")
    for change in made.changes:
        before, after = change.reference_value.value, change.model_value.value
        doubt = {True: "", False: " (not significant)", None: " (too few records to tell)"}[change.significant]
        values = f"{before:.4f} before, {after:.4f} after; difference {change.difference.value:+.4f}{doubt}"
        console.print(f"{change.metric}: {values}")
    console.print(f"Bundle: {out / 'models' / card.model_kind}")
    return 0


def bundles(_: argparse.Namespace, settings: Settings) -> int:
    """List the bundles at hand, with their figures."""
    from ecg_study.cli.model_list import model_lines
    from ecg_study.inference.loading import list_models

    console, found = open_console(), list_models(Path(settings.out) / "models")
    for line in model_lines(found):
        console.print(line)
    return 2 if any(item.problem for item in found) else 0


def _prepare(settings: Settings, console: Console, fs: float | None = None) -> _Data:
    """Records, cache and split, with progress; records are brought to the sampling rate ``fs``, if one is asked for."""
    from ecg_study.cli.progress_bars import ProgressBars
    from ecg_study.ecg_data.databases.catalog import open_database, split_database
    from ecg_study.ecg_data.noise_records import find_noise_directory, open_noise_records
    from ecg_study.ecg_data.segments.cache import open_cache
    from ecg_study.search_spaces.presets import load_preset

    augmented = load_preset(settings.preset).augmented
    segments = SegmentSettings(
        segment_samples=settings.segment,
        window_samples=settings.window,
        noise_sigma_mv=settings.noise,
        seed=settings.seed,
        lead=settings.lead,
        skip_invalid=settings.skip_bad,
        fs=fs,
        augmented=augmented,
    )
    data_dir = Path(settings.data_dir)
    with ProgressBars(console) as steps:
        database = open_database(
            settings.database,
            data_dir=data_dir,
            raw_dir=settings.raw_dir or None,
            records=settings.records,
            seed=settings.seed,
            annotator=settings.annotator,
            skip_invalid=settings.skip_bad,
            progress=steps,
        )
        noise = find_noise_directory(
            database,
            raw_dir=settings.raw_dir or None,
            noise_dir=settings.noise_dir or None,
            data_dir=data_dir,
            progress=steps,
            required=augmented,
        )
        recorded_noise = open_noise_records(noise) if augmented and noise else None
        cache = open_cache(database, segments, data_dir=data_dir, progress=steps, noise=recorded_noise)
    return _Data(database, cache, split_database(database, cache.records, seed=settings.seed), noise)


def _tasks(settings: Settings, prepared: _Data) -> dict[str, TrainingTask]:
    from ecg_study.models.card import MODEL_KINDS
    from ecg_study.search_spaces.presets import load_preset
    from ecg_study.training.environment import import_tensorflow
    from ecg_study.training.task import TrainingTask

    import_tensorflow()
    preset = load_preset(settings.preset)
    tasks = {name: TrainingTask(name, prepared.cache, prepared.split, preset) for name in MODEL_KINDS}
    for task in tasks.values():
        task.space()  # refuses a segment that does not fit before anything is trained
    return tasks


def _search(
    tasks: dict[str, TrainingTask], settings: Settings, console: Console, fresh: bool
) -> dict[str, SearchResult]:
    from ecg_study.cli.search_display import SearchDisplay
    from ecg_study.formatting import describe
    from ecg_study.progress import deferred_interrupts
    from ecg_study.training.executors.factory import open_executor
    from ecg_study.tuning.search import SearchOptions, run_search
    from ecg_study.tuning.state import search_directory

    out = Path(settings.out)
    if fresh or not any(search_directory(out, name).exists() for name in tasks):
        save_settings(settings, out / "settings.toml")  # a search that is killed is found with its settings
    results: dict[str, SearchResult] = {}
    with deferred_interrupts(), open_executor(settings.workers, settings.scheduler) as workers:
        for name, task in tasks.items():
            spent = sum(result.seconds for result in results.values())
            options = SearchOptions(
                seed=settings.seed,
                fresh=fresh,
                budget=_budget(settings, spent, len(tasks) - len(results)),
                warm_start=Path(settings.warm_start) if settings.warm_start else None,
                tensorboard=settings.tensorboard,
                measured=0 if settings.workers == 0 else min(_MOST_MEASURED, max(2, workers.count)),
            )
            display = SearchDisplay(console)
            with display.showing():
                results[name] = run_search(task, options, search_directory(out, name), workers, display)
            best = results[name].best()
            if results[name].stopped:
                console.print(f"The search of the {name} ended early: {results[name].stopped}")
            console.print(f"Best {name}: trial {best.plan.id}, {describe(best.plan.hyperparameters)}")
    save_settings(settings, out / "settings.toml")
    return results


def _budget(settings: Settings, spent: float, searches: int) -> Budget:
    """The budget of the next search: an equal share of what the searches before it have left."""
    from ecg_study.tuning.plan import Budget

    hours = settings.max_hours
    seconds = None if hours is None else max(0.0, hours * 3600 - spent) / searches
    return Budget(seconds, settings.max_trials)


def _searches_there(tasks: dict[str, TrainingTask], settings: Settings) -> dict[str, SearchResult]:
    """The searches that are in the output folder; at least one."""
    from ecg_study.tuning.search import load_same_search
    from ecg_study.tuning.state import search_directory

    out = Path(settings.out)
    there = [name for name in tasks if search_directory(out, name).is_dir()] or list(tasks)
    return {name: load_same_search(tasks[name], settings.seed, search_directory(out, name)) for name in there}


def _report(
    prepared: _Data,
    tasks: dict[str, TrainingTask],
    searches: dict[str, SearchResult],
    settings: Settings,
    console: Console,
    sections: Sequence[str] | None = None,
) -> None:
    from ecg_study.cli.progress_bars import ProgressBars
    from ecg_study.progress import deferred_interrupts
    from ecg_study.training.executors.factory import open_executor
    from ecg_study.workflows.report import SECTIONS, ReportInputs, make_report, usable_searches

    out = Path(settings.out)
    command = f"python study.py run {as_options(settings)}".strip()
    usable, missing = usable_searches(tasks, searches)
    study = ReportInputs(
        database=prepared.database,
        tasks={name: tasks[name] for name in usable},
        searches=usable,
        missing=missing,
        noise=prepared.noise,
        seed=settings.seed,
        settings=dict(as_mapping(settings)),
        command=command,
        data_dir=Path(settings.data_dir),
    )

    def workers() -> AbstractContextManager[Executor]:
        return open_executor(settings.workers, settings.scheduler)

    with ProgressBars(console) as steps, deferred_interrupts():
        made = make_report(study, out, workers, steps, sections or SECTIONS)
    save_settings(settings, out / "settings.toml")
    _say_report(made, settings, console)


def _say_report(made: Report, settings: Settings, console: Console) -> None:
    for line in made.missing:
        console.print(line)
    for item in made.comparisons:
        ours, theirs = item.model_value.value, item.reference_value.value
        console.print(f"{item.metric}: {item.model} {ours:.4f}, {item.reference} {theirs:.4f}")
    console.print(f"Report: {Path(settings.out) / 'report.md'}")


VERBS = (run, data, plan, search, report, compare, export, predict, bundles, finetune)
"""In the order in which the help lists them."""
