"""The verbs of the command line: one short function each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.cli.console import open_console, print_error
from ecg_study.cli.options import as_options, with_options
from ecg_study.cli.verb_options import (
    CompareOptions,
    EvaluateOptions,
    ExportOptions,
    FineTuneOptions,
    PlanOptions,
    PredictOptions,
    ReportOptions,
    RunOptions,
    SearchOptions,
    TrainOptions,
    WatchOptions,
)
from ecg_study.errors import InputError
from ecg_study.workflows.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from ecg_study.cli.displays.search_display import SearchDisplay
    from ecg_study.ecg_data.databases.catalog import Database
    from ecg_study.evaluation.experiments.model_evaluation import EvaluationRecords
    from ecg_study.reports.report import Report
    from ecg_study.tuning.state import SearchResult
    from ecg_study.workflows.study import Study


@dataclass(frozen=True)
class Call:
    """One call of the program.

    Attributes:
        prog: how the user calls the program.
        settings: the settings of the study.
    """

    prog: str
    settings: Settings


def predict(options: PredictOptions, call: Call) -> int:
    """Apply a model to recordings; an unreadable one is reported, and the others are processed."""
    from ecg_study.cli.displays.progress_bars import ProgressBars
    from ecg_study.ecg_data.readers.recording import ReadOptions
    from ecg_study.inference.loading import load_model
    from ecg_study.prediction.outputs import find_named_recordings, predict_recordings

    console, settings, out = open_console(), call.settings, Path(call.settings.output_dir)
    first = options.recordings[0]
    if empty := [name for name in options.recordings if not name.strip()]:
        raise InputError(f"{empty[0]!r} is not the name of a recording or folder; is a variable of the shell empty?")
    if _is_model(first):
        raise InputError(f"{first} is a model, not a recording; use model {first}", parameters=("model",))
    model = load_model(options.model, runtime=options.runtime, models_dir=out / "models")
    console.print(f"Model: {options.model}")
    read_options = ReadOptions(
        lead=settings.lead,
        fs=options.fs,
        time_column=options.time_column,
        units=options.units or "",
        gain=options.gain,
        adc_zero=options.adc_zero,
    )
    failed = 0
    with ProgressBars(console) as bars:
        for result in predict_recordings(
            model,
            find_named_recordings(options.recordings, Path(settings.raw_dir) if settings.raw_dir else None),
            model_name=options.model,
            directory=out / "predictions",
            formats=options.formats,
            read_options=read_options,
            min_confidence=options.min_confidence,
            overwrite=options.overwrite,
            skip_existing=options.skip_existing,
            on_progress=bars,
        ):
            if result.error is not None:
                failed += 1
                print_error(call.prog, with_options(result.error))
            else:
                paths = ", ".join(str(path) for path in result.paths)
                console.print(f"{result.recording.name}: {result.description}: {paths}")
    return 2 if failed else 0


def models(_: object, call: Call) -> int:
    """List the available models with their metrics."""
    from ecg_study.cli.model_list import model_lines
    from ecg_study.inference.loading import list_models

    console, found = open_console(), list_models(Path(call.settings.output_dir) / "models")
    for line in model_lines(found):
        console.print(line)
    return 2 if any(entry.problem for entry in found) else 0


def evaluate(options: EvaluateOptions, call: Call) -> int:
    """Measure models on test or validation records."""
    from ecg_study.cli.displays.progress_bars import ProgressBars
    from ecg_study.inference.loading import find_model, load_model
    from ecg_study.workflows.evaluate import (
        evaluate_on,
        evaluation_lines,
        metric_rows,
        open_evaluation,
        pretrained_models,
    )

    console, settings, out = open_console(), call.settings, Path(call.settings.output_dir) / "models"
    if options.write_card and settings.records:
        raise InputError("write_card: a card holds metrics of all records; leave out records", parameters=("records",))
    if settings.records and settings.noise_dir:
        console.print("noise stress test (118e, 119e): not measured, it needs all records of the part")
    opened: dict[float, tuple[Database, EvaluationRecords]] = {}
    for name in options.models or pretrained_models():
        model = load_model(name, models_dir=out)
        fs = model.card.fs
        if fs not in opened:
            with ProgressBars(console) as bars:
                opened[fs] = open_evaluation(
                    settings, database=options.database, part=options.part, fs=fs, on_progress=bars
                )
        data, records = opened[fs]
        result = evaluate_on(model, records, name=name, data=data)
        for line in evaluation_lines(result):
            console.print(line)
        if options.write_card:
            from ecg_study.workflows.reporting.card_metrics import write_card_metrics

            command = f"ecg-study evaluate FOLDER_OF_THIS_CARD --database {options.database} --part {options.part}"
            command += f" --test-database {settings.test_database}" if settings.test_database else ""
            write_card_metrics(find_model(name, models_dir=out), result, rows=metric_rows(result), command=command)
    return 0


def prepare(_: object, call: Call) -> int:
    """Make the records available and cache their segments."""
    console = open_console()
    data = _prepared_study(call, console, trains=False).prepare()
    cache, split = data.cache, data.split
    console.print(f"{len(cache.noisy):,} segments of {len(cache.records)} records in {cache.directory}")
    for part in ("train", "validation", "test"):
        console.print(f"{part}: {', '.join(split.part(part))}")
    for record, reason in sorted({**split.excluded_records, **cache.excluded_records}.items()):
        console.print(f"excluded {record}: {reason}")
    if cache.mark_offsets_ms:
        offsets = ", ".join(f"{record} {offset:+.0f} ms" for record, offset in cache.mark_offsets_ms.items())
        console.print(f"marks moved to the R peaks; they lay after them by (median over beats): {offsets}")
    return 0


def plan(options: PlanOptions, call: Call) -> int:
    """Show the size and the duration of a search."""
    from ecg_study.cli.displays.search_display import plan_lines
    from ecg_study.formatting import duration

    console = open_console()
    study = _prepared_study(call, console)
    for planned in study.plan(model_kind=options.model_kind):
        for line in plan_lines(planned):
            console.print(line)
    if study.shares is not None:
        search, final, report = map(duration, (study.shares.search, study.shares.final, study.shares.report))
        console.print(
            f"Time: {search} for the search of each model, {final} for the final trainings, {report} for the report"
        )
    return 0


def search(options: SearchOptions, call: Call) -> int:
    """Search the hyperparameters of one or both models."""
    console = open_console()
    study = _prepared_study(call, console, writes=True)
    found = study.search(model_kind=options.model_kind, restart=options.restart, open_view=_display(console))
    _print_searches(found, console)
    return 0


def watch(options: WatchOptions, call: Call) -> int:
    """Show running searches in the browser until Ctrl-C."""
    from ecg_study.cli.displays.live_server import open_server
    from ecg_study.workflows.watch import LiveView

    view = LiveView(Path(call.settings.output_dir))
    with open_server(view.page, port=options.port) as server:
        open_console().print(f"Open http://127.0.0.1:{server.server_port}/ in a browser; Ctrl-C ends")
        server.serve_forever()
    return 0


def report(options: ReportOptions, call: Call) -> int:
    """Train the best models, evaluate them, and write the report."""
    console = open_console()
    if options.render:
        from ecg_study.workflows.study import Study

        _print_report(Study.from_settings(call.settings).render(), call, console)
        return 0
    _report(_prepared_study(call, console), options, call, console)
    return 0


def run(options: RunOptions, call: Call) -> int:
    """Prepare, search and report."""
    console = open_console()
    study = _prepared_study(call, console, writes=True)
    _print_searches(study.search(restart=options.restart, open_view=_display(console)), console)
    _report(study, ReportOptions(), call, console)
    return 0


def train(options: TrainOptions, call: Call) -> int:
    """Train one configuration into a model folder."""
    from ecg_study.cli.displays.training_display import TrainingDisplay, result_lines
    from ecg_study.extras import require_packages
    from ecg_study.training.steps.budget import TrainingBudget
    from ecg_study.workflows.training.configuration import parse_hyperparameters
    from ecg_study.workflows.training.train_model import TrainingRequest, train_model

    require_packages()
    console, out = open_console(), Path(call.settings.output_dir)
    request = TrainingRequest(
        model_kind=options.model_kind,
        budget=TrainingBudget(segments=options.segments, epochs=options.epochs, hours=options.hours),
        hyperparameters=parse_hyperparameters(options.hyperparameters),
        from_search=Path(options.from_search) if options.from_search else None,
        weight_average=options.ema,
        validate_every=options.validate_every,
        restart=options.restart,
        refit=Path(options.refit) if options.refit else None,
        start_from=Path(options.start_from) if options.start_from else None,
    )
    with TrainingDisplay(console) as display:
        made = train_model(call.settings, request, on_progress=display, on_start=display.start, on_step=display.step)
    for line in result_lines(made):
        console.print(line)
    console.print(f"Model: {out / 'models' / made.task}")
    return 0


def compare(options: CompareOptions, _: Call) -> int:
    """Compare the reports of two studies."""
    from ecg_study.files import write_text
    from ecg_study.formatting import printable
    from ecg_study.workflows.reporting.compare import compare_studies, render_comparison

    text = render_comparison(compare_studies(Path(options.first), Path(options.second)))
    print(printable(text, keep="\n"), end="")
    if options.output:
        write_text(Path(options.output), text)
    return 0


def finetune(options: FineTuneOptions, call: Call) -> int:
    """Train a model further on the user's records, and measure it before and after."""
    from ecg_study.cli.displays.progress_bars import ProgressBars
    from ecg_study.workflows.training.fine_tune import fine_tune_model

    console = open_console()
    with ProgressBars(console) as bars:
        made = fine_tune_model(
            options.model,
            call.settings,
            preset=options.preset,
            learning_rate=options.learning_rate,
            epochs=options.epochs,
            on_progress=bars,
        )
    kept = f"epoch {made.best_epoch} of {len(made.history)}" if made.best_epoch else "the original, no epoch was better"
    console.print(f"Weights kept: {kept} (validation loss {made.loss_before:.5g} before, {made.loss_after:.5g} after)")
    for change in made.changes:
        before, after = change.reference_value.value, change.model_value.value
        doubt = {True: "", False: " (not significant)", None: " (too few subjects to tell)"}[change.significant]
        values = f"{before:.4f} before, {after:.4f} after; difference {change.difference.value:+.4f}{doubt}"
        console.print(f"{change.metric}: {values}")
    console.print(f"Model: {Path(call.settings.output_dir) / 'models' / made.task}")
    return 0


def export(options: ExportOptions, call: Call) -> int:
    """Write the trials of a study as an Optuna storage."""
    import shlex

    from ecg_study.models.card import MODEL_KINDS
    from ecg_study.tuning.exports.optuna import describe_progress, export_optuna, find_searches, storage_url

    console, out = open_console(), Path(call.settings.output_dir)
    searches = find_searches(out)
    path = Path(options.storage) if options.storage else out / "search" / "optuna.db"
    written = export_optuna(searches, path, overwrite=options.overwrite)
    for name in MODEL_KINDS:
        state = f"{written[name]} trials; {describe_progress(searches[name])}" if name in written else "no search"
        console.print(f"{name}: {state}")
    console.print(f"Storage: {path}. To open it (pip install optuna-dashboard):")
    console.print(shlex.join(["optuna-dashboard", storage_url(path)]))
    return 0


def _is_model(name: str) -> bool:
    """Return whether a name is that of a pretrained model or of a model folder. Models are not read for it."""
    from ecg_study.inference.loading import PRETRAINED_DIR
    from ecg_study.models.card import CARD_FILE

    with suppress(PermissionError):  # which would name the card; whoever reads the recordings names the folder
        return any((parent / name / CARD_FILE).is_file() for parent in (Path(), PRETRAINED_DIR))
    return False


COMMANDS: dict[str, Callable[[Any, Call], int]] = {
    command.__name__: command
    for command in (
        predict,
        models,
        evaluate,
        prepare,
        plan,
        search,
        watch,
        report,
        run,
        train,
        compare,
        finetune,
        export,
    )
}
"""The function of each verb: it takes the verb's options and the call, and returns the exit code."""


def _prepared_study(call: Call, console: Console, *, trains: bool = True, writes: bool = False) -> Study:
    from ecg_study.cli.displays.progress_bars import ProgressBars
    from ecg_study.extras import require_packages
    from ecg_study.workflows.study import Study

    if trains:
        require_packages()  # before a database is downloaded
    study = Study.from_settings(call.settings)
    if trains:
        study.check(writes=writes)
    with ProgressBars(console) as bars:
        study.on_progress = bars
        study.prepare()
    return study


def _display(console: Console) -> Callable[[], Any]:
    from ecg_study.cli.displays.search_display import SearchDisplay

    @contextmanager
    def open_view() -> Iterator[SearchDisplay]:
        with SearchDisplay(console).showing() as display:
            yield display

    return open_view


def _report(study: Study, options: ReportOptions, call: Call, console: Console) -> None:
    from ecg_study.cli.displays.progress_bars import ProgressBars

    command = f"{call.prog} run {as_options(study.settings)}".strip()
    with ProgressBars(console) as bars:
        study.on_progress = bars
        made = study.report(sections=options.sections, command=command)
    _print_report(made, call, console)


def _print_searches(searches: dict[str, SearchResult], console: Console) -> None:
    from ecg_study.formatting import describe

    for name, result in searches.items():
        if result.stopped:
            console.print(f"The search of the {name} stopped early: {result.stopped}")
        best = result.best()
        console.print(f"Best {name}: trial {best.spec.id}, {describe(best.spec.hyperparameters)}")


def _print_report(made: Report, call: Call, console: Console) -> None:
    for line in made.missing:
        console.print(line)
    for item in made.comparisons:
        ours, theirs = item.model_value.value, item.reference_value.value
        console.print(f"{item.metric}: {item.model} {ours:.4f}, {item.reference} {theirs:.4f}")
    console.print(f"Report: {Path(call.settings.output_dir) / 'report.md'}")
