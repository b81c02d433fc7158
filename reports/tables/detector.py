"""Tables of the detector."""

from __future__ import annotations

from collections.abc import Sequence

from ecg_study.evaluation.results.detection import DetectorSection, Failure, PeaksSummary, StressSection
from ecg_study.evaluation.results.values import GRU, NOISY, TOLERANCES_MS, peak_f1_metric
from ecg_study.reports.page import CI, Cell, Column, Table, make_row, make_table, method_row, number, signed, unique
from ecg_study.reports.tables.study import significance


def windows(section: DetectorSection) -> Table:
    """Return the classification of windows by input."""
    rows = [
        make_row(
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
    return make_table(f"Classification of windows; F1 {CI}", head, rows=rows)


def peaks(section: DetectorSection, kind: str, *, after_learning: bool) -> Table:
    """Return every detector on one kind of input."""
    chosen = [item for item in section.peaks if (item.input, item.after_learning) == (kind, after_learning)]
    at = {(item.detector, item.tolerance_ms): item for item in chosen}
    rows = []
    for detector in unique(item.detector for item in chosen):
        main = at[detector, TOLERANCES_MS[0]]
        narrow = [number(at[detector, ms].f1.value, 4) for ms in TOLERANCES_MS[1:]]
        rows.append(method_row(detector, [*_pooled(main), *narrow, *_averages(main)]))
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
    return make_table(f"R peak detection on {kind} input{scope}; F1 at {TOLERANCES_MS[0]} ms {CI}", head, rows=rows)


def _pooled(item: PeaksSummary) -> list[Cell]:
    return [number(item.counts.sensitivity, 4), number(item.counts.precision, 4), number(item.f1, 4)]


def _averages(item: PeaksSummary) -> list[Cell]:
    return [number(value, 4) for value in (item.mean_sensitivity, item.mean_precision, item.mean_f1)]


def peaks_by_record(section: DetectorSection) -> Table:
    """Return the F1 of every detector on each record, noisy input, and the errors of our detector."""
    chosen = [row for row in section.peaks_by_record if row.input == NOISY]
    detectors = unique(row.detector for row in chosen)
    at = {(row.record, row.lead, row.detector): row for row in chosen}
    rows = []
    for record, lead in unique((row.record, row.lead) for row in chosen):
        found, missed, false = at[record, lead, GRU].counts[TOLERANCES_MS[0]]
        cells = [number(at[record, lead, detector].f1(TOLERANCES_MS[0]), 4) for detector in detectors]
        rows.append(make_row(record, lead, number(found + missed), number(missed), number(false), *cells))
    return make_table(
        f"R peak detection by record: F1 at {TOLERANCES_MS[0]} ms on noisy input, and errors of the {GRU}",
        ("record", "lead", "beats", "false negatives", "false positives", *detectors),
        rows=rows,
    )


def paired(section: DetectorSection) -> Table:
    """Return the difference in F1 between our detector and each other one."""
    at = {(item.reference, item.metric): item for item in section.paired}
    rows = []
    for reference in unique(item.reference for item in section.paired):
        found = [at[reference, peak_f1_metric(ms)] for ms in TOLERANCES_MS]
        pairs = [(signed(item.difference, 4), significance(item.significant)) for item in found]
        rows.append(make_row(reference, *(cell for pair in pairs for cell in pair)))
    head = [title for ms in TOLERANCES_MS for title in (f"F1 at {ms} ms", "significant")]
    return make_table(
        f"Difference in F1 between the {GRU} and each reference detector, noisy input, {CI}",
        ("reference detector", *head),
        rows=rows,
    )


def offsets(section: DetectorSection) -> Table:
    """Return the offset of the detections of each detector from the annotations."""
    rows = [make_row(item.detector, signed(item.median, 1), number(item.spread, 1)) for item in section.jitter]
    head = ("detector", Column("median offset", "ms"), Column("half the interquartile range", "ms"))
    return make_table("Offset of detections from annotations, noisy input", head, rows=rows)


def confidences(section: DetectorSection) -> Table:
    """Return the calibration error, and precision and sensitivity of R peaks of high confidence, by input."""
    rows = []
    for name, summary in section.confidences.items():
        sure = [cell for item in summary.sure for cell in (number(item.precision, 4), number(item.share, 4))]
        rows.append(make_row(name, number(summary.error, 4), *sure))
    levels = [f"{item.confidence:g}" for summary in section.confidences.values() for item in summary.sure]
    columns = [head for level in unique(levels) for head in (f"precision from {level}", f"sensitivity from {level}")]
    return make_table("Confidences of the R peaks", ("input", "calibration error", *columns), rows=rows)


def stress(section: StressSection, test: str, *, denoised: bool) -> Table:
    """Return F1 by detector and SNR of one noise stress test."""
    chosen = [row for row in section.rows if (row.test, row.denoised) == (test, denoised)]
    levels = unique(row.snr for row in chosen)
    at = {(row.detector, row.snr): row for row in chosen}
    rows = []
    for detector in unique(row.detector for row in chosen):
        found = [at[detector, snr] for snr in levels]
        rows.append(method_row(detector, [number(row.f1 or row.counts.f1, 4) for row in found]))
    scope = "after the denoiser" if denoised else "without denoising"
    measured = any(row.f1 is not None for row in chosen)
    caption = f"{test}, detectors {scope}: F1 at {TOLERANCES_MS[0]} ms" + (f" {CI}" if measured else "")
    return make_table(caption, ("detector", *(f"{snr} dB" for snr in levels)), rows=rows)


def failures(items: Sequence[Failure]) -> Table:
    """Return the excerpts with the most errors."""
    rows = []
    for place, item in enumerate(items, start=1):
        rows.append(
            make_row(
                number(place),
                item.record,
                clock(item.start),
                number(item.false_negatives),
                number(item.false_positives),
                item.symbols or "–",
                Cell(item.kind or "–", kind="prose"),
                Cell("; ".join(item.reasons) or "nothing noted", kind="prose"),
            )
        )
    head = (
        "excerpt",
        "record",
        "start",
        "false negatives",
        "false positives",
        "beats",
        "kind",
        "annotations and signal",
    )
    return make_table("Excerpts with the most errors of the detector", head, rows=rows)


def failure_kinds(items: Sequence[Failure]) -> Table:
    """Return the kinds of the excerpts with the most errors, for each database."""
    rows = []
    for database, kind in unique((_database(item), item.kind) for item in items):
        own = [item for item in items if (_database(item), item.kind) == (database, kind)]
        missed, false = (sum(getattr(item, name) for item in own) for name in ("false_negatives", "false_positives"))
        name = f"{database}: {kind}" if database else kind
        rows.append(make_row(Cell(name, kind="prose"), number(len(own)), number(missed), number(false)))
    head = ("kind", "excerpts", "false negatives", "false positives")
    return make_table("Kinds of the excerpts with the most errors", head, rows=rows)


def _database(item: Failure) -> str:
    return item.record.partition("/")[0] if "/" in item.record else ""


def clock(seconds: float) -> str:
    """Return a time from the start of a record, as ``5 min 07 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"
