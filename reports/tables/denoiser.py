"""Tables of the denoiser."""

from __future__ import annotations

from ecg_study.evaluation.results.denoising import DenoiserSection
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.reports.page import CI, Column, Table, make_row, make_table, method_row, number, percent, signed, unique

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


def denoising(section: DenoiserSection) -> Table:
    """Return every method by every metric."""
    rows = [
        method_row(item.method, [number(item.metrics.get(name), digits) for name, (_, digits) in _DENOISING.items()])
        for item in section.summaries
    ]
    head = (Column("method"), *(column for column, _ in _DENOISING.values()))
    return make_table(f"Denoising of the test records, mean over records {CI}", head, rows=rows)


def denoising_by_record(section: DenoiserSection) -> Table:
    """Return the RMSE of each method on each record."""
    methods = [item.method for item in section.summaries]
    at = {(row.record, row.lead, row.method): row.metrics for row in section.by_record}
    rows = [
        make_row(record, lead, *(number(at[record, lead, method].rmse, 4) for method in methods))
        for record, lead in unique((row.record, row.lead) for row in section.by_record)
    ]
    return make_table("Denoising: RMSE in mV by record", ("record", "lead", *methods), rows=rows)


def noise_types(section: DenoiserSection, metric: str, *, intervals: bool) -> Table:
    """Return one metric by noise type, input SNR and method."""
    methods = unique(cell.method for cell in section.noise)
    methods.sort(key=lambda method: (method == LSTM, method != NO_FILTER))
    at = {(cell.noise_type, cell.snr, cell.method): cell.metrics.get(metric) for cell in section.noise}
    column, digits = _DENOISING[metric]
    rows = []
    for noise_type, snr in unique((cell.noise_type, cell.snr) for cell in section.noise):
        found = [at.get((noise_type, snr, method)) for method in methods]
        values = found if intervals else [value and value.value for value in found]
        cells = [number(value, digits) for value in values]
        rows.append(make_row(NOISE_TYPE_NAMES.get(noise_type, noise_type), number(snr), *cells))
    return make_table(
        f"{column.heading} in {column.unit} by noise type" + (f", {CI}" if intervals else ""),
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
    levels = unique(snr for cases in at.values() for snr in cases)
    rows = []
    for noise_type, cases in at.items():
        filters = {snr: [value for method, value in case.items() if method != LSTM] for snr, case in cases.items()}
        name = NOISE_TYPE_NAMES.get(noise_type, noise_type)
        ours = [number(cases.get(snr, {}).get(LSTM), 1) for snr in levels]
        best = [number(max(filters.get(snr, []), default=None), 1) for snr in levels]
        rows += [make_row(name, LSTM, *ours), make_row(name, "best filter of each case", *best)]
    head = ("noise", "method", *(f"at {snr} dB" for snr in levels))
    return make_table("SNR improvement in dB by input SNR", head, rows=rows) if rows else None


def noise_types_by_record(section: DenoiserSection, snr: int) -> Table:
    """Return the SNR improvement of our denoiser on each record by noise type, at one input SNR."""
    cells = [cell for cell in section.noise if (cell.method, cell.snr) == (LSTM, snr)]
    rows = [make_row(record, *(number(cell.by_record[record], 2) for cell in cells)) for record in cells[0].by_record]
    return make_table(
        f"SNR improvement of the {LSTM} in dB by record, at an input SNR of {snr} dB",
        ("record", *(NOISE_TYPE_NAMES.get(cell.noise_type, cell.noise_type) for cell in cells)),
        rows=rows,
    )


def morphology(section: DenoiserSection) -> Table:
    """Return the changes of the ECG waves."""
    rows = [
        method_row(
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
