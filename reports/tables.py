"""The tables of reports and model cards, as typed cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

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
    SeedMetrics,
    peak_f1_metric,
)
from ecg_study.formatting import describe
from ecg_study.reports.page import Cell, Column, Row, Table, make_table, number, percent, signed
from ecg_study.reports.report import DataSummary, Training

_BEST_TRIALS = 10  # rows of the table of trials

NOISE_TYPE_NAMES = {
    "gaussian": "Gaussian noise",
    "bw": "baseline wander (bw)",
    "em": "electrode motion artifact (em)",
    "ma": "muscle artifact (ma)",
    "mix": "mix of bw, em and ma",
}
"""Stored noise type → its name."""

_DENOISING = {
    "mae": (Column("MAE", "mV"), 4),
    "rmse": (Column("RMSE", "mV"), 4),
    "snr_improvement": (Column("SNR improvement", "dB"), 2),
    "prd": (Column("PRD", "%"), 2),
    "cosine": (Column("cosine similarity"), 4),
    "ssd": (Column("SSD", "mV² per s"), 3),
    "mad": (Column("MAD", "mV"), 3),
}
"""Stored metric → its heading and decimals."""

_T = TypeVar("_T")

_CI = "with 95 % confidence interval"


def significance(significant: bool | None) -> Cell:
    """Return the cell that states whether a difference is significant."""
    return Cell("too few records" if significant is None else "yes" if significant else "no")


def comparisons(items: Sequence[Comparison]) -> Table:
    """Return our models against the best classical method."""
    rows = [
        (
            item.metric,
            number(item.model_value, 4),
            number(item.reference_value, 4),
            item.reference,
            signed(item.difference, 4),
            significance(item.significant),
        )
        for item in items
    ]
    head = ("metric", "our model", "reference", "reference method", "difference", "significant")
    return make_table(f"Comparison with the best classical method, {_CI}", head, rows=rows)


def changes(items: Sequence[Comparison]) -> Table:
    """Return a fine-tuned model against the original one."""
    rows = [
        (
            item.metric,
            number(item.reference_value, 4),
            number(item.model_value, 4),
            signed(item.difference, 4),
            significance(item.significant),
        )
        for item in items
    ]
    head = ("metric", "before", "after", "difference", "significant")
    return make_table(f"Test records before and after fine-tuning, {_CI}", head, rows=rows)


def parts(data: DataSummary) -> Table:
    """Return the records of each part."""
    rows = [
        (
            name,
            Cell(", ".join(part.records), kind="prose"),
            number(part.segments),
            number(part.windows),
            percent(part.windows_with_peak, 1),
        )
        for name, part in data.parts.items()
    ]
    head = ("part", "records", "segments", "windows", "windows with an R peak")
    return make_table("Training, validation and test data", head, rows=rows)


def rungs(search: SearchSummary) -> Table:
    """Return planned and completed trials of each rung."""
    rows = [
        [number(value) for value in (rung.bracket, rung.rung, rung.epochs, rung.planned, rung.completed, rung.failed)]
        for rung in search.rungs
    ]
    head = ("bracket", "rung", "epochs", "planned", "completed", "failed")
    return make_table(f"{search.task.capitalize()} search: trials of each rung", head, rows=rows)


def trials(search: SearchSummary) -> Table:
    """Return the best trials."""
    rows = [
        (
            trial.id,
            Cell(describe(trial.hyperparameters), kind="prose"),
            number(trial.epochs),
            number(trial.parameters),
            Cell(f"{trial.score:.6g}", kind="number"),
            number(trial.seconds, 0),
            number(trial.milliseconds, 2),
        )
        for trial in search.trials[:_BEST_TRIALS]
    ]
    head = (
        "trial",
        "hyperparameters",
        "epochs",
        "weights",
        "validation score",
        Column("training", "s"),
        Column("inference", "ms per segment"),
    )
    return make_table(f"{search.task.capitalize()} search: the best trials", head, rows=rows)


def importances(search: SearchSummary) -> Table:
    """Return the importance of each hyperparameter."""
    rows = [(Cell(item.hyperparameter, kind="code"), number(item.r2_drop, 3)) for item in search.importances]
    head = ("hyperparameter", "decrease of R²")
    return make_table(f"{search.task.capitalize()} search: importance of the hyperparameters, {_CI}", head, rows=rows)


def trainings(items: Sequence[Training]) -> Table:
    """Return the final trainings."""
    rows = [
        (
            item.task,
            Cell(str(item.seed_index) if item.role == "final" else f"{item.seed_index} (threshold selection only)"),
            Cell(describe(item.hyperparameters), kind="prose"),
            number(item.parameters),
            number(len(item.history)),
            number(item.best_epoch),
            number(item.seconds, 0),
            number(item.thresholds.get("r_peak"), 2),
            number(item.thresholds.get("window"), 2),
        )
        for item in items
    ]
    head = (
        "model",
        "seed",
        "hyperparameters",
        "weights",
        "epochs",
        "epoch kept",
        Column("training", "s"),
        "R peak threshold",
        "window threshold",
    )
    return make_table("Final trainings", head, rows=rows)


def seeds(items: Sequence[SeedMetrics]) -> Table:
    """Return the results of the same configuration trained from several seeds."""
    rows = [
        (item.metric, *(number(value, 4) for value in item.values), number(item.mean, 4), number(item.deviation, 4))
        for item in items
    ]
    numbers = (f"seed {place}" for place in range(1, len(items[0].values) + 1))
    return make_table(
        "The same configuration trained from several seeds",
        ("metric", *numbers, "mean", "standard deviation"),
        rows=rows,
    )


def denoising(section: DenoiserSection) -> Table:
    """Return every method by every metric."""
    rows = [
        _method_row(item.method, [number(item.metrics.get(name), digits) for name, (_, digits) in _DENOISING.items()])
        for item in section.summaries
    ]
    head = ("method", *(column for column, _ in _DENOISING.values()))
    return make_table(f"Denoising of the test records, mean over records {_CI}", head, rows=rows)


def denoising_by_record(section: DenoiserSection) -> Table:
    """Return the RMSE of each method on each record."""
    methods = [item.method for item in section.summaries]
    at = {(row.record, row.lead, row.method): row.metrics for row in section.by_record}
    rows = [
        (record, lead, *(number(at[record, lead, method].rmse, 4) for method in methods))
        for record, lead in _unique((row.record, row.lead) for row in section.by_record)
    ]
    return make_table("Denoising: RMSE in mV by record", ("record", "lead", *methods), rows=rows)


def noise_types(section: DenoiserSection, metric: str, *, intervals: bool) -> Table:
    """Return one metric by noise type, input SNR and method."""
    methods = _unique(cell.method for cell in section.noise)
    methods.sort(key=lambda method: (method == LSTM, method != NO_FILTER))
    at = {(cell.noise_type, cell.snr, cell.method): cell.metrics.get(metric) for cell in section.noise}
    column, digits = _DENOISING[metric]
    rows = []
    for noise_type, snr in _unique((cell.noise_type, cell.snr) for cell in section.noise):
        found = [at.get((noise_type, snr, method)) for method in methods]
        values = found if intervals else [value and value.value for value in found]
        cells = [number(value, digits) for value in values]
        rows.append((NOISE_TYPE_NAMES.get(noise_type, noise_type), number(snr), *cells))
    return make_table(
        f"{column.heading} in {column.unit} by noise type" + (f", {_CI}" if intervals else ""),
        ("noise", Column("input SNR", "dB"), *methods),
        rows=rows,
    )


def best_snr_improvement(section: DenoiserSection) -> Table | None:
    """Return the SNR improvement of our denoiser and of the best filter of each case; ``None`` if not measured."""
    at: dict[str, dict[int, dict[str, float]]] = {}
    for cell in section.noise:
        if cell.method != NO_FILTER and "snr_improvement" in cell.metrics:
            case = at.setdefault(cell.noise_type, {}).setdefault(cell.snr, {})
            case[cell.method] = cell.metrics["snr_improvement"].value
    levels = _unique(snr for cases in at.values() for snr in cases)
    rows = []
    for noise_type, cases in at.items():
        filters = {snr: [value for method, value in case.items() if method != LSTM] for snr, case in cases.items()}
        name = NOISE_TYPE_NAMES.get(noise_type, noise_type)
        ours = [number(cases.get(snr, {}).get(LSTM), 1) for snr in levels]
        best = [number(max(filters.get(snr, []), default=None), 1) for snr in levels]
        rows += [(name, LSTM, *ours), (name, "best filter of each case", *best)]
    head = ("noise", "method", *(Column(f"at {snr} dB") for snr in levels))
    return make_table("SNR improvement in dB by input SNR", head, rows=rows) if rows else None


def noise_types_by_record(section: DenoiserSection, snr: int) -> Table:
    """Return the SNR improvement of our denoiser on each record by noise type, at one input SNR."""
    cells = [cell for cell in section.noise if (cell.method, cell.snr) == (LSTM, snr)]
    rows = [(record, *(number(cell.by_record[record], 2) for cell in cells)) for record in cells[0].by_record]
    return make_table(
        f"SNR improvement of the {LSTM} in dB by record, at an input SNR of {snr} dB",
        ("record", *(NOISE_TYPE_NAMES.get(cell.noise_type, cell.noise_type) for cell in cells)),
        rows=rows,
    )


def morphology(section: DenoiserSection) -> Table:
    """Return the changes of the ECG waves."""
    rows = [
        _method_row(
            item.method,
            [
                number(item.beats),
                signed(item.r_amplitude, 3),
                signed(item.qrs_width, 0),
                signed(item.st_level, 3),
                percent(item.false_st, 2),
            ],
        )
        for item in section.morphology
    ]
    head = (
        "method",
        "beats",
        Column("R amplitude", "mV"),
        Column("QRS width", "ms"),
        Column("ST level", "mV"),
        "ST level changed by 0.1 mV or more",
    )
    return make_table("Change of the waves, median with the range of 95 % of beats", head, rows=rows)


def windows(section: DetectorSection) -> Table:
    """Return the classification of windows by input."""
    rows = [
        (
            item.input,
            number(item.confusion.accuracy, 4),
            number(item.confusion.counts.sensitivity, 4),
            number(item.confusion.specificity, 4),
            number(item.confusion.counts.precision, 4),
            number(item.f1, 4),
            number(item.roc_area, 5),
            number(item.average_precision, 5),
            number(item.brier, 4),
        )
        for item in section.windows
    ]
    head = ("input", "accuracy", "sensitivity", "specificity", "precision", "F1", "AUROC", "AUPRC", "Brier score")
    return make_table(f"Classification of windows; F1 {_CI}", head, rows=rows)


def peaks(section: DetectorSection, kind: str, *, after_learning: bool) -> Table:
    """Return every detector on one kind of input."""
    chosen = [item for item in section.peaks if (item.input, item.after_learning) == (kind, after_learning)]
    at = {(item.detector, item.tolerance_ms): item for item in chosen}
    rows = []
    for detector in _unique(item.detector for item in chosen):
        main = at[detector, TOLERANCES_MS[0]]
        narrow = [number(at[detector, ms].f1.value, 4) for ms in TOLERANCES_MS[1:]]
        rows.append(_method_row(detector, [*_pooled(main), *narrow, *_averages(main)]))
    head = (
        "detector",
        "sensitivity",
        "precision",
        *(f"F1 at {ms} ms" for ms in TOLERANCES_MS),
        "mean sensitivity",
        "mean precision",
        "mean F1",
    )
    scope = " without the first five minutes of each record" if after_learning else ""
    return make_table(f"R peak detection on {kind} input{scope}; F1 at {TOLERANCES_MS[0]} ms {_CI}", head, rows=rows)


def _pooled(item: PeaksSummary) -> list[Cell]:
    return [number(item.counts.sensitivity, 4), number(item.counts.precision, 4), number(item.f1, 4)]


def _averages(item: PeaksSummary) -> list[Cell]:
    return [number(value, 4) for value in (item.mean_sensitivity, item.mean_precision, item.mean_f1)]


def peaks_by_record(section: DetectorSection) -> Table:
    """Return the F1 of every detector on each record, noisy input, and the errors of our detector."""
    chosen = [row for row in section.peaks_by_record if row.input == NOISY]
    detectors = _unique(row.detector for row in chosen)
    at = {(row.record, row.lead, row.detector): row.counts[TOLERANCES_MS[0]] for row in chosen}
    rows = []
    for record, lead in _unique((row.record, row.lead) for row in chosen):
        found, missed, false = at[record, lead, GRU]
        cells = [number(_f1(at[record, lead, detector]), 4) for detector in detectors]
        rows.append((record, lead, number(found + missed), number(missed), number(false), *cells))
    return make_table(
        f"R peak detection by record: F1 at {TOLERANCES_MS[0]} ms on noisy input, and errors of the {GRU}",
        ("record", "lead", "beats", "false negatives", "false positives", *detectors),
        rows=rows,
    )


def _f1(counts: tuple[int, int, int]) -> float:
    found, missed, false = counts
    return 2 * found / (2 * found + missed + false) if found else 0.0


def paired(section: DetectorSection) -> Table:
    """Return the difference in F1 between our detector and each other one."""
    at = {(item.reference, item.metric): item for item in section.paired}
    rows = []
    for reference in _unique(item.reference for item in section.paired):
        found = [at[reference, peak_f1_metric(ms)] for ms in TOLERANCES_MS]
        pairs = [(signed(item.difference, 4), significance(item.significant)) for item in found]
        rows.append((reference, *(cell for pair in pairs for cell in pair)))
    head = [title for ms in TOLERANCES_MS for title in (f"F1 at {ms} ms", "significant")]
    return make_table(
        f"Difference in F1 between the {GRU} and each reference detector, noisy input, {_CI}",
        ("reference detector", *head),
        rows=rows,
    )


def offsets(section: DetectorSection) -> Table:
    """Return the offset of the detections of each detector from the annotations."""
    rows = [(item.detector, signed(item.median, 1), number(item.spread, 1)) for item in section.jitter]
    head = ("detector", Column("median offset", "ms"), Column("half the interquartile range", "ms"))
    return make_table("Offset of detections from annotations, noisy input", head, rows=rows)


def stress(section: StressSection, test: str, *, denoised: bool) -> Table:
    """Return F1 by detector and SNR of one noise stress test."""
    chosen = [row for row in section.rows if (row.test, row.denoised) == (test, denoised)]
    levels = _unique(row.snr for row in chosen)
    at = {(row.detector, row.snr): row for row in chosen}
    rows = []
    for detector in _unique(row.detector for row in chosen):
        found = [at[detector, snr] for snr in levels]
        rows.append(_method_row(detector, [number(row.f1 or row.counts.f1, 4) for row in found]))
    scope = "after the denoiser" if denoised else "without denoising"
    measured = any(row.f1 is not None for row in chosen)
    caption = f"{test}, detectors {scope}: F1 at {TOLERANCES_MS[0]} ms" + (f" {_CI}" if measured else "")
    return make_table(caption, ("detector", *(f"{snr} dB" for snr in levels)), rows=rows)


def failures(items: Sequence[Failure]) -> Table:
    """Return the excerpts with the most errors."""
    rows = []
    for place, item in enumerate(items, start=1):
        rows.append(
            (
                number(place),
                item.record,
                clock(item.start),
                number(item.false_negatives),
                number(item.false_positives),
                item.symbols or "–",
                Cell("; ".join(item.reasons) or "nothing noted", kind="prose"),
            )
        )
    head = ("excerpt", "record", "start", "false negatives", "false positives", "beats", "annotations and signal")
    return make_table("Excerpts with the most errors of the detector", head, rows=rows)


def clock(seconds: float) -> str:
    """Return a time from the start of a record, as ``5 min 07 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def versions(found: dict[str, str]) -> Table:
    """Return the version of each package."""
    return make_table("Versions", ("package", "version"), rows=list(found.items()))


def _method_row(method: str, cells: Sequence[Cell]) -> Row:
    return Row((Cell(method), *cells), highlighted=method in (LSTM, GRU))


def _unique(items: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(items))
