"""The report as markdown. Nothing is computed here: every figure is taken from the report value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from reports.measures import Interval
from reports.results import (
    GRU,
    LSTM,
    NOISY,
    TOLERANCES_MS,
    Comparison,
    Report,
    SearchSummary,
    Training,
)


def render(report: Report) -> str:
    """The whole report."""
    sections = [
        _verdict(report),
        _data(report),
        _search(report.searches),
        _training(report.trainings),
        _denoising(report),
        _windows(report),
        _peaks(report),
        _files(report),
        _provenance(report),
    ]
    return "\n\n".join(["# LSTM denoiser and GRU detector for ECG", *sections]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table; columns of figures stand to the right."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    rules = ["---:" if all(_is_figure(row[column]) for row in cells) else "---" for column in range(len(head))]
    lines = [list(head), rules, *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _is_figure(cell: str) -> bool:
    """Whether a cell holds a figure, with or without a unit or an interval behind it."""
    return re.fullmatch(r"[+-]?[\d.,]+(e[+-]?\d+)?( ?(%|s|\[.*\]|of \d+))?|–", cell) is not None


def _verdict(report: Report) -> str:
    sentences = " ".join(_sentence(comparison) for comparison in report.comparisons)
    records = report.data.parts["test"].records
    rows = [
        (
            comparison.figure,
            f"{comparison.model} {_interval(comparison.model_value)}",
            f"{comparison.baseline} {_interval(comparison.baseline_value)}",
            _interval(comparison.gain),
            "too few records" if comparison.real is None else "yes" if comparison.real else "no",
        )
        for comparison in report.comparisons
    ]
    few = (
        f" With {len(records)} test records the intervals say little: a bootstrap cannot show people it never drew."
        if len(records) < 10
        else ""
    )
    people = (
        "records that were never trained or tuned on, each taken as one person"
        if report.data.database == "folder"
        else "records of people never trained or tuned on"
    )
    head = ("figure", "ours", "best classical method", "gain", "difference real")
    return (
        f"## Verdict\n\nMeasured on {len(records)} test {people}. "
        f"{sentences}{few}\n\n"
        + table(head, rows)
        + "\n\nIn brackets: 95 % interval of a bootstrap over records; the gain is paired by record, positive where "
        "ours is better, and real where its interval leaves out 0. The classical method is the one of those below "
        "that does best on these very records."
    )


def _sentence(comparison: Comparison) -> str:
    figure = comparison.figure.split(": ")[1].removesuffix(" in mV")
    ours, theirs, gain = comparison.model, comparison.baseline, comparison.gain.value
    if comparison.real is None:
        verb = "does better than" if gain > 0 else "does worse than" if gain < 0 else "does as well as"
        return f"By {figure}, the {ours} {verb} the {theirs}, on too few records to tell whether by chance."
    if not comparison.real:
        return f"By {figure}, the {ours} cannot be told from the {theirs}."
    return f"By {figure}, the {ours} {'beats' if gain > 0 else 'loses to'} the {theirs}."


def _interval(interval: Interval, digits: int = 4) -> str:
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _data(report: Report) -> str:
    data = report.data
    rows = [
        (
            name,
            ", ".join(part.records),
            f"{part.segments:,}",
            f"{part.windows:,}",
            f"{part.windows_with_peak:.1%}",
        )
        for name, part in data.parts.items()
    ]
    left_out = "\n".join(f"- {record}: {reason}" for record, reason in sorted(data.left_out.items()))
    flutter = (
        f" {data.unscored_segments} segments that touch ventricular flutter, where no beat is annotated, are dropped."
        if data.unscored_segments
        else ""
    )
    truth = (
        "Clean signal and R peaks of this database are exact."
        if data.database == "synthetic"
        else "The recordings are taken as clean, which they are not: what they hold of noise counts as signal here."
    )
    persons = (
        "No record is in two parts; each is taken as one person, which is not known here."
        if data.database == "folder"
        else "No person is in two parts."
    )
    return (
        f"## Data\n\n**{data.database}**. {data.attribution}\n\n"
        f"{data.fs:g} Hz, lead {data.lead}; segments of {data.segment:,} samples ({data.segment / data.fs:.2f} s), "
        f"windows of {data.window} ({data.window / data.fs:.2f} s); Gaussian noise of σ = {data.sigma:g} mV is added. "
        f"{truth}{flutter} {persons}\n\n"
        + table(("part", "records", "segments", "windows", "windows with an R peak"), rows)
        + (f"\n\nLeft out:\n\n{left_out}" if left_out else "")
    )


def _ended(search: SearchSummary) -> str:
    said = f" The best configurations of `{search.warm_start}` were tried first." if search.warm_start else ""
    if search.stopped:
        ran, planned = (sum(getattr(rung, name) for rung in search.rungs) for name in ("completed", "planned"))
        said += f" **It ended early**: {search.stopped}. {ran} of {planned} planned trials were completed."
    return said


def _search(searches: Sequence[SearchSummary]) -> str:
    parts = ["## Search\n\n![Validation score of each trial](plots/search.png)"]
    for search in searches:
        better = "lower" if search.direction == "min" else "higher"
        rungs = [(f"{r.bracket} / {r.rung}", r.epochs, r.planned, r.completed, r.failed) for r in search.rungs]
        leaders = [
            (
                t.id,
                _settings(t.hyperparameters),
                t.epochs,
                f"{t.parameters:,}",
                f"{t.score:.6g}",
                f"{t.seconds:.0f} s",
            )
            for t in search.leaderboard
        ]
        failures = "\n".join(f"- trial {trial}: {reason}" for trial, reason in search.failures.items())
        parts.append(
            f"### {search.task.capitalize()}\n\nHyperband on `{search.objective}` of the validation records, {better} "
            f"is better; {search.seconds:.0f} s of training in {search.wall_seconds:.0f} s.{_ended(search)}\n\n"
            + table(("bracket / rung", "epochs", "planned", "completed", "failed"), rungs)
            + "\n\n"
            + table(("trial", "hyperparameters", "epochs", "weights", "validation score", "time"), leaders)
            + (f"\n\nFailed:\n\n{failures}" if failures else "")
        )
    return "\n\n".join(parts)


def _settings(hyperparameters: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.2e}" if name == "learning_rate" else f"{name} {value}"
        for name, value in hyperparameters.items()
    )


def _training(trainings: Sequence[Training]) -> str:
    rows = [
        (
            t.task,
            _settings(t.hyperparameters),
            f"{t.parameters:,}",
            f"{t.best_epoch} of {len(t.history)}",
            f"{t.seconds:.0f} s",
        )
        for t in trainings
    ]
    thresholds = next(t.thresholds for t in trainings if t.thresholds)
    return (
        "## Final training\n\nThe best configuration of each search, trained anew on all training records. When to "
        "halve the learning rate, when to stop and which weights to keep is decided by the loss on the validation "
        "records.\n\n"
        + table(("model", "hyperparameters", "weights", "epoch kept", "time"), rows)
        + f"\n\nThresholds of the detector, chosen on the validation records: {thresholds['r_peak']:.2f} for R peaks, "
        f"{thresholds['window']:.2f} for windows; each is the middle of those that do as well as the best within one "
        "standard error.\n\n![Training and validation loss](plots/loss_curves.png)"
    )


def _denoising(report: Report) -> str:
    rows = [
        (
            _bold(s.method, s.method == LSTM),
            _interval(s.mae),
            _interval(s.rmse),
            "–" if s.snr_improvement is None else _interval(s.snr_improvement, 2),
        )
        for s in report.denoising
    ]
    methods = [s.method for s in report.denoising]
    leads = list(dict.fromkeys((r.record, r.lead) for r in report.denoising_by_record))
    by_place = {(r.record, r.lead, r.method): r.figures for r in report.denoising_by_record}
    per_record = [
        (f"{record} {lead}", *(f"{by_place[record, lead, method].rmse:.4f}" for method in methods))
        for record, lead in leads
    ]
    return (
        "## Denoiser\n\nMean over test records of the whole lead, in mV.\n\n"
        + table(("method", "MAE", "RMSE", "SNR improvement in dB"), rows)
        + "\n\n![Noisy, clean and denoised traces](plots/denoising.png)\n\nRMSE in mV by record:\n\n"
        + table(("record", *methods), per_record)
    )


def _windows(report: Report) -> str:
    rows = []
    for summary in report.windows:
        found = summary.confusion.counts
        specificity = summary.confusion.specificity
        rows.append(
            (
                summary.input,
                f"{summary.confusion.accuracy:.4f}",
                f"{found.precision:.4f}",
                f"{found.sensitivity:.4f}",
                "–" if specificity is None else f"{specificity:.4f}",
                _interval(summary.f1),
            )
        )
    return (
        "## Detector: windows\n\nEvery window of the test records, labelled as holding an R peak or not.\n\n"
        + table(("input", "accuracy", "precision", "recall", "specificity", "F1"), rows)
        + "\n\n![Confusion matrices](plots/confusion.png)"
    )


def _peaks(report: Report) -> str:
    rows = []
    inputs = list(dict.fromkeys(s.input for s in report.peaks))
    detectors = list(dict.fromkeys(s.detector for s in report.peaks))
    by_place = {(s.detector, s.input, s.tolerance_ms): s for s in report.peaks}
    widest = TOLERANCES_MS[0]
    for kind in inputs:
        for detector in detectors:
            main = by_place[detector, kind, widest]
            rows.append(
                (
                    f"{_bold(detector, detector == GRU)}, {kind}",
                    f"{main.counts.sensitivity:.4f}",
                    f"{main.counts.precision:.4f}",
                    _interval(main.f1),
                    f"{main.mean_f1:.4f}",
                    *(f"{by_place[detector, kind, ms].f1.value:.4f}" for ms in TOLERANCES_MS[1:]),
                )
            )
    beats = by_place[GRU, inputs[0], widest].counts
    head = ("detector, input", "sensitivity", "precision", "F1", "mean F1 of records")
    narrow = tuple(f"F1 within {ms} ms" for ms in TOLERANCES_MS[1:])
    return (
        "## Detector: R peaks\n\n"
        f"Whole test records, {beats.true_positives + beats.false_negatives:,} annotated beats, "
        f"one-to-one within {widest} ms unless said otherwise; gross figures, all beats counted together.\n\n"
        + table((*head, *narrow), rows)
        + "\n\n![Detected and annotated R peaks](plots/r_peaks.png)\n\n"
        + _peaks_by_record(report, detectors)
    )


def _peaks_by_record(report: Report, detectors: Sequence[str]) -> str:
    by_place = {
        (r.record, r.lead, r.detector): r
        for r in report.peaks_by_record
        if r.input == NOISY and r.tolerance_ms == TOLERANCES_MS[0]
    }
    leads = list(dict.fromkeys((record, lead) for record, lead, _ in by_place))
    rows = []
    for record, lead in leads:
        cells = []
        for detector in detectors:
            result = by_place[record, lead, detector]
            offset = "–" if result.median_offset_ms is None else f"{result.median_offset_ms:.0f}"
            counts = result.counts
            cells += [counts.false_negatives, counts.false_positives, f"{counts.f1:.4f}", offset]
        rows.append((f"{record} {lead}", *cells))
    head = [f"{detector}: {what}" for detector in detectors for what in ("missed", "false", "F1", "offset ms")]
    return (
        f"By record, noisy input, within {TOLERANCES_MS[0]} ms; the offset is the median distance of detections "
        "from their annotation:\n\n" + table(("record", *head), rows)
    )


def _files(report: Report) -> str:
    noise = f"σ = {report.data.sigma:g} mV"
    return (
        "## Files\n\n"
        "- `report.json`: every figure of this page and more, for programs.\n"
        f"- `csv/`: each test record with its signal (noise of {noise} added), the denoised signal, and the column "
        "`R_peak`: 1 where the detector finds one in the noisy signal.\n"
        "- `models/`: both models as bundles, for `study.py predict`.\n"
        "- `search/`: every trial, in `trials.csv`.\n\n"
        "These models are for research. They are not a medical device; no diagnosis or treatment may rest on them."
    )


def _provenance(report: Report) -> str:
    made = report.provenance
    rows = [(name, version) for name, version in made.versions.items()]
    settings = "\n".join(f"{name} = {value!r}" for name, value in made.settings.items())
    return (
        f"## How this was made\n\n```\n{made.command}\n```\n\n{made.created}, on {made.machine}; report made in "
        f"{made.seconds:.0f} s. Seed {made.seed}; data key `{report.data.key[:16]}`.\n\n"
        f"```\n{settings}\n```\n\n" + table(("package", "version"), rows)
    )


def _bold(text: str, ours: bool) -> str:
    return f"**{text}**" if ours else text
