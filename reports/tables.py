"""The tables of the report as markdown text; called by the template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.detection import DetectorSection, Failure, PeaksSummary, StressSection
from ecg_study.evaluation.results.search import SearchSummary
from ecg_study.evaluation.results.values import (
    GRU,
    LSTM,
    NO_FILTER,
    NOISY,
    TOLERANCES_MS,
    Comparison,
    Estimate,
    SeedMetrics,
    peak_f1_metric,
)
from ecg_study.reports.report import DataSummary, Training

_LEADERS = 10

_MEASURES = {
    "mae": ("MAE in mV", 4),
    "rmse": ("RMSE in mV", 4),
    "snr_improvement": ("SNR improvement in dB", 2),
    "prd": ("PRD in %", 2),
    "cosine": ("cosine similarity", 4),
    "ssd": ("SSD in mV² per s", 3),
    "mad": ("MAD in mV", 3),
}


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table; columns of figures stand to the right."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    rules = ["---:" if cells and all(_is_figure(row[c]) for row in cells) else "---" for c in range(len(head))]
    lines = [list(head), rules, *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _is_figure(cell: str) -> bool:
    """Whether a cell holds a figure, with or without a unit or an interval behind it."""
    number = r"[+-]?[\d.,]+(e[+-]?\d+)?"
    return re.fullmatch(rf"\**{number}\**( ?(%|s|\[.*\]|of \d+|± {number}))?|–", cell) is not None


def plain(text: str) -> str:
    """A name from a record, in which no character means anything to markdown."""
    return re.sub(r"([\\`*_\[\]<>#!&])", r"\\\1", text)


def interval(value: Estimate, digits: int = 4) -> str:
    """A figure with its interval behind it."""
    # Adding 0 makes a plain 0 of what rounds to -0.
    middle, low, high = (round(figure, digits) + 0.0 for figure in (value.value, value.low, value.high))
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def hyperparameters(values: dict[str, Any]) -> str:
    """A configuration on one line."""
    return ", ".join(
        f"{name} {value:.2e}" if name == "learning_rate" else f"{name} {value}" for name, value in values.items()
    )


def verdict(comparisons: Sequence[Comparison]) -> str:
    """Ours against the best classical method."""
    rows = [
        (
            item.metric,
            f"{item.model} {interval(item.model_value)}",
            f"{item.reference} {interval(item.reference_value)}",
            interval(item.difference),
            "too few records" if item.significant is None else "yes" if item.significant else "no",
        )
        for item in comparisons
    ]
    return table(("figure", "ours", "best classical method", "gain", "difference real"), rows)


def parts(data: DataSummary) -> str:
    """Records of each part."""
    rows = [
        (
            name,
            plain(", ".join(part.records)),
            f"{part.segments:,}",
            f"{part.windows:,}",
            f"{part.windows_with_peak:.1%}",
        )
        for name, part in data.parts.items()
    ]
    return table(("part", "records", "segments", "windows", "windows with an R peak"), rows)


def rungs(search: SearchSummary) -> str:
    """Planned and actual rungs."""
    rows = [(f"{r.bracket} / {r.rung}", r.epochs, r.planned, r.completed, r.failed) for r in search.rungs]
    return table(("bracket / rung", "epochs", "planned", "completed", "failed"), rows)


def leaderboard(search: SearchSummary) -> str:
    """The best trials."""
    rows = [
        (
            t.id,
            hyperparameters(t.hyperparameters),
            t.epochs,
            f"{t.parameters:,}",
            f"{t.score:.6g}",
            f"{t.seconds:.0f} s",
            "–" if t.milliseconds is None else f"{t.milliseconds:.2f}",
        )
        for t in search.trials[:_LEADERS]
    ]
    head = ("trial", "hyperparameters", "epochs", "weights", "validation score", "training", "ms a segment")
    return table(head, rows)


def importances(search: SearchSummary) -> str:
    """What each hyperparameter is worth."""
    rows = [(item.hyperparameter, interval(item.r2_drop, 3)) for item in search.importances]
    return table(("hyperparameter", "importance"), rows)


def trainings(items: Sequence[Training]) -> str:
    """The final trainings."""
    rows = [
        (
            t.task,
            t.seed_index if t.role == "final" else "1, for thresholds",
            hyperparameters(t.hyperparameters),
            f"{t.parameters:,}",
            f"{t.best_epoch} of {len(t.history)}",
            f"{t.seconds:.0f} s",
            f"{t.thresholds['r_peak']:.2f} / {t.thresholds['window']:.2f}" if t.thresholds else "–",
        )
        for t in items
    ]
    head = ("model", "seed", "hyperparameters", "weights", "epoch kept", "time", "threshold R peak / window")
    return table(head, rows)


def seeds(items: Sequence[SeedMetrics]) -> str:
    """The same configuration from several seeds."""
    count = len(items[0].values)
    rows = [
        (
            item.metric,
            *(f"{value:.4f}" for value in item.values),
            f"{item.mean:.4f}" + ("" if item.deviation is None else f" ± {item.deviation:.4f}"),
        )
        for item in items
    ]
    head = ("figure", *(f"seed {number}" for number in range(1, count + 1)), "mean ± standard deviation")
    return table(head, rows)


def denoising(section: DenoiserSection) -> str:
    """Every method by every measure."""
    rows = []
    for item in section.summaries:
        cells = []
        for name, (_, digits) in _MEASURES.items():
            value = item.metrics.get(name)
            cells.append("–" if value is None else interval(value, digits))
        rows.append((_bold(item.method, item.method == LSTM), *cells))
    return table(("method", *(title for title, _ in _MEASURES.values())), rows)


def denoising_by_record(section: DenoiserSection) -> str:
    """RMSE of each method on each record."""
    methods = [item.method for item in section.summaries]
    leads = list(dict.fromkeys((row.record, row.lead) for row in section.by_record))
    at = {(row.record, row.lead, row.method): row.metrics for row in section.by_record}
    rows = [
        (plain(f"{record} {lead}"), *(f"{at[record, lead, method].rmse:.4f}" for method in methods))
        for record, lead in leads
    ]
    return table(("record", *methods), rows)


def noise_kinds(section: DenoiserSection, measure: str, names: dict[str, str], spans: bool = True) -> str:
    """One measure by kind of noise, level and method, with or without its intervals."""
    methods = list(dict.fromkeys(cell.method for cell in section.noise))
    methods = sorted(methods, key=lambda method: (method == LSTM, method != NO_FILTER))
    at = {(cell.noise_type, cell.snr, cell.method): cell.metrics.get(measure) for cell in section.noise}
    digits = _MEASURES[measure][1]
    rows = []
    for kind, snr in dict.fromkeys((cell.noise_type, cell.snr) for cell in section.noise):
        values = [at.get((kind, snr, method)) for method in methods]
        cells = [
            "–" if value is None else interval(value, digits) if spans else f"{value.value:.{digits}f}"
            for value in values
        ]
        rows.append((names.get(kind, kind), snr, *cells))
    return table(("noise", "input SNR in dB", *methods), rows)


def gains(section: DenoiserSection, names: dict[str, str]) -> str:
    """SNR that our denoiser gains and, in brackets, the most that a filter does, by kind of noise; empty for none."""
    at: dict[tuple[str, int], dict[str, float]] = {}
    for cell in section.noise:
        if cell.method != NO_FILTER and "snr_improvement" in cell.metrics:
            value = round(cell.metrics["snr_improvement"].value, 1) + 0.0  # no -0.0
            at.setdefault((cell.noise_type, cell.snr), {})[cell.method] = value
    levels = list(dict.fromkeys(snr for _, snr in at))
    said = []
    for kind in dict.fromkeys(kind for kind, _ in at):
        cases = [at.get((kind, snr), {}) for snr in levels]
        ours = [f"{case[LSTM]:.1f}" if LSTM in case else "–" for case in cases]
        filters = [[value for method, value in case.items() if method != LSTM] for case in cases]
        best = [f"{max(values):.1f}" if values else "–" for values in filters]
        said.append(f"{names.get(kind, kind)} {' / '.join(ours)} ({' / '.join(best)})")
    return f"at {' / '.join(map(str, levels))} dB: {'; '.join(said)}" if said else ""


def noise_by_record(section: DenoiserSection, snr: int, names: dict[str, str]) -> str:
    """SNR improvement of our denoiser on each record, by kind of noise, at one level."""
    cells = [cell for cell in section.noise if (cell.method, cell.snr) == (LSTM, snr)]
    rows = [(plain(record), *(f"{cell.by_record[record]:.2f}" for cell in cells)) for record in cells[0].by_record]
    return table(("record", *(names.get(cell.noise_type, cell.noise_type) for cell in cells)), rows)


def morphology(section: DenoiserSection) -> str:
    """What happens to the waves."""
    rows = [
        (
            _bold(item.method, item.method == LSTM),
            f"{item.beats:,}",
            _spread(item.r_amplitude, 3),
            _spread(item.qrs_width, 0),
            _spread(item.st_level, 3),
            f"{item.false_st:.2%}",
        )
        for item in section.morphology
    ]
    head = ("method", "beats", "R amplitude in mV", "QRS width in ms", "ST level in mV", "ST moved by 0.1 mV or more")
    return table(head, rows)


def _spread(value: Estimate, digits: int) -> str:
    return f"{value.value:+.{digits}f} [{value.low:+.{digits}f}, {value.high:+.{digits}f}]"


def windows(section: DetectorSection) -> str:
    """Windows by kind of input."""
    rows = []
    for item in section.windows:
        found, specificity = item.confusion.counts, item.confusion.specificity
        rows.append(
            (
                item.input,
                f"{item.confusion.accuracy:.4f}",
                f"{found.precision:.4f}",
                f"{found.sensitivity:.4f}",
                "–" if specificity is None else f"{specificity:.4f}",
                interval(item.f1),
                "–" if item.roc_area is None else f"{item.roc_area:.5f}",
                f"{item.average_precision:.5f}",
                f"{item.brier:.4f}",
            )
        )
    head = ("input", "accuracy", "precision", "recall", "specificity", "F1", "ROC area", "PR area", "Brier score")
    return table(head, rows)


def peaks(section: DetectorSection, kind: str, skipped: bool) -> str:
    """Every detector on one kind of input."""
    chosen = [item for item in section.peaks if (item.input, item.after_learning) == (kind, skipped)]
    at = {(item.detector, item.tolerance_ms): item for item in chosen}
    rows = []
    for detector in dict.fromkeys(item.detector for item in chosen):
        main = at[detector, TOLERANCES_MS[0]]
        narrow = (f"{at[detector, ms].f1.value:.4f}" for ms in TOLERANCES_MS[1:])
        rows.append((_bold(detector, detector == GRU), *_gross(main), *narrow, *_average(main)))
    head = ("detector", "sensitivity", "precision", "F1", *(f"F1 within {ms} ms" for ms in TOLERANCES_MS[1:]))
    return table((*head, "average sensitivity", "average precision", "average F1"), rows)


def _gross(item: PeaksSummary) -> tuple[str, ...]:
    return f"{item.counts.sensitivity:.4f}", f"{item.counts.precision:.4f}", interval(item.f1)


def _average(item: PeaksSummary) -> tuple[str, ...]:
    return f"{item.mean_sensitivity:.4f}", f"{item.mean_precision:.4f}", f"{item.mean_f1:.4f}"


def peaks_by_record(section: DetectorSection) -> str:
    """F1 of every detector on each record, noisy input, and what ours missed and invented."""
    chosen = [row for row in section.peaks_by_record if row.input == NOISY]
    detectors = list(dict.fromkeys(row.detector for row in chosen))
    at = {(row.record, row.lead, row.detector): row.counts[TOLERANCES_MS[0]] for row in chosen}
    rows = []
    for record, lead in dict.fromkeys((row.record, row.lead) for row in chosen):
        found, missed, false = at[record, lead, GRU]
        cells = [f"{_f1(at[record, lead, detector]):.4f}" for detector in detectors]
        rows.append((plain(f"{record} {lead}"), f"{found + missed:,}", missed, false, *cells))
    return table(("record", "beats", "missed by ours", "false by ours", *detectors), rows)


def _f1(counts: tuple[int, int, int]) -> float:
    found, missed, false = counts
    return 2 * found / (2 * found + missed + false) if found else 0.0


def paired(section: DetectorSection) -> str:
    """Ours less each other detector."""
    at = {(item.reference, item.metric): item for item in section.paired}
    rows = []
    for reference in dict.fromkeys(item.reference for item in section.paired):
        cells = []
        for tolerance in TOLERANCES_MS:
            item = at[reference, peak_f1_metric(tolerance)]
            said = {None: "too few records", True: "real", False: "not real"}[item.significant]
            cells.append(f"{interval(item.difference)} {said}")
        rows.append((reference, *cells))
    return table(("against", *(f"F1 within {ms} ms" for ms in TOLERANCES_MS)), rows)


def jitter(section: DetectorSection) -> str:
    """Offsets of each detector."""
    rows = [
        (
            item.detector,
            "–" if item.median is None else f"{item.median:+.1f}",
            "–" if item.spread is None else f"{item.spread:.1f}",
        )
        for item in section.jitter
    ]
    return table(("detector", "median offset in ms", "half the distance of the quartiles in ms"), rows)


def gave_up(section: DetectorSection) -> str:
    """Detectors that ended with an error, as a list; empty where none did."""
    rows = [row for row in section.peaks_by_record if row.error]
    return "\n".join(f"- {row.detector}, record {row.record}, {row.input} input: {row.error}" for row in rows)


def stress(section: StressSection, test: str, denoised: bool) -> str:
    """F1 by detector and SNR of one test."""
    chosen = [row for row in section.rows if (row.test, row.denoised) == (test, denoised)]
    levels = list(dict.fromkeys(row.snr for row in chosen))
    at = {(row.detector, row.snr): row for row in chosen}
    rows = []
    for detector in dict.fromkeys(row.detector for row in chosen):
        cells = []
        for snr in levels:
            row = at[detector, snr]
            cells.append(f"{row.counts.f1:.4f}" if row.f1 is None else interval(row.f1))
        rows.append((_bold(detector, detector == GRU), *cells))
    return table(("detector", *(f"{snr} dB" for snr in levels)), rows)


def failures(items: Sequence[Failure]) -> str:
    """The worst stretches."""
    rows = []
    for number, item in enumerate(items, start=1):
        minutes, seconds = divmod(item.start, 60)
        reasons = "; ".join(item.reasons) or "nothing that the annotations tell"
        time = f"{minutes:.0f} min {seconds:.0f} s"
        rows.append(
            (
                number,
                plain(item.record),
                time,
                item.false_negatives,
                item.false_positives,
                plain(item.symbols) or "–",
                reasons,
            )
        )
    return table(("", "record", "from", "missed", "false", "beats", "what the annotations and the signal say"), rows)


def versions(found: dict[str, str]) -> str:
    """Package and version."""
    return table(("package", "version"), found.items())


def _bold(text: str, ours: bool) -> str:
    return f"**{text}**" if ours else text
