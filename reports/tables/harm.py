"""Tables of "Denoising without harm"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ecg_study.evaluation.results.harm import (
    EXACT_HIGHPASS,
    WAVE_UNITS,
    CleanCell,
    HarmCell,
    HarmSection,
    MorphologyChange,
)
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.reports.page import (
    CI,
    Cell,
    Column,
    Row,
    Table,
    make_row,
    make_table,
    method_row,
    number,
    percent,
    signed,
    unique,
)
from ecg_study.reports.tables.denoiser import NOISE_TYPE_NAMES

HARM_NOISE = "mix"
"""Type of noise that the tables and the plot show in full."""

_WAVES = {
    "r_amplitude": ("R amplitude", 3),
    "qrs_amplitude": ("QRS amplitude", 3),
    "qrs_width": ("QRS width", 1),
    "st_level": ("ST level", 3),
    "st_slope": ("ST slope", 2),
    "t_amplitude": ("T amplitude", 3),
    "t_end": ("T end (QT interval)", 1),
}
"""Measure of a wave → its name and decimals."""


def harm_improvement(harm: HarmSection, noise_type: str = HARM_NOISE) -> Table:
    """Return the SNR improvement of each method by input SNR, under one type of noise."""
    return _by_level(
        f"SNR improvement in dB by input SNR, {_named(noise_type)}, mean over records {CI}",
        _of(harm, noise_type),
        lambda cell: number(cell.improvement, 2),
    )


def harm_above_highpass(harm: HarmSection, noise_type: str = HARM_NOISE) -> Table:
    """Return by how much each method is above the high-pass that defines the reference, paired by record."""
    return _by_level(
        f"Difference to the high-pass of the reference in dB, {_named(noise_type)}, paired by record, {CI}",
        [cell for cell in _of(harm, noise_type) if cell.method not in (NO_FILTER, EXACT_HIGHPASS)],
        lambda cell: signed(cell.above_highpass, 2),
    )


def harm_worst_tenth(harm: HarmSection, noise_type: str = HARM_NOISE) -> Table:
    """Return the tenth percentile of the SNR improvement over records, by method and input SNR."""
    return _by_level(
        f"SNR improvement in dB by input SNR, {_named(noise_type)}, tenth percentile of the records",
        _of(harm, noise_type),
        lambda cell: number(cell.worst_tenth, 2),
    )


def harm_noise_types(harm: HarmSection) -> Table:
    """Return our denoiser and the high-pass that defines the reference under each type of noise."""
    levels = unique(cell.snr for cell in harm.noisy)
    rows = []
    for noise_type in unique(cell.noise_type for cell in harm.noisy):
        for method in (EXACT_HIGHPASS, LSTM):
            at = {cell.snr: cell for cell in _of(harm, noise_type) if cell.method == method}
            values = [number(at[snr].improvement.value, 2) for snr in levels]
            rows.append(method_row(method, [Cell(_named(noise_type)), *values]))
    head = ("method", "noise", *map(_level, levels))
    return make_table("SNR improvement in dB by type of noise and input SNR, mean over records", head, rows=rows)


def harm_by_database(harm: HarmSection, noise_type: str = HARM_NOISE) -> Table | None:
    """Return `harm_above_highpass` for each of several databases; ``None`` for one."""
    cells = [cell for cell in _of(harm, noise_type) if cell.method not in (NO_FILTER, EXACT_HIGHPASS)]
    at = {(cell.method, cell.snr): cell.by_database for cell in cells}
    levels = unique(cell.snr for cell in cells)
    rows = [
        method_row(method, [Cell(name), *(signed(at[method, snr][name], 2) for snr in levels)])
        for name in unique(name for cell in cells for name in cell.by_database)
        for method in unique(cell.method for cell in cells)
    ]
    caption = f"Difference to the high-pass of the reference in dB, {_named(noise_type)}, by database, {CI}"
    return make_table(caption, ("method", "database", *map(_level, levels)), rows=rows) if rows else None


def harm_clean(harm: HarmSection) -> Table:
    """Return what each method changes in recordings to which no noise is added."""
    rows = [
        method_row(cell.method, [Cell("no change"), Cell("no change")])
        if cell.change is None
        else method_row(cell.method, [number(cell.change, 1), number(cell.worst_tenth, 1)])
        for cell in harm.clean
        if cell.method != NO_FILTER
    ]
    head = ("method", Column("power of the change", "dB"), Column("worst tenth of the records", "dB"))
    caption = f"No noise added: power of the change relative to the signal, mean over records {CI}"
    return make_table(caption, head, rows=rows)


def harm_findings(harm: HarmSection, noise_type: str = HARM_NOISE) -> Table:
    """Return the shares of beats with changes that would be read as findings, by condition and method."""
    rows = [
        method_row(
            cell.method,
            [
                Cell(condition),
                *(percent(share, 2) for share in (found.false_st, found.false_qrs, found.false_qt)),
            ],
        )
        for condition, cell, found in _with_waves(harm, noise_type)
        if cell.method != NO_FILTER
    ]
    head = ("method", "input", "ST level, 0.1 mV or more", "QRS width, 20 ms or more", "T end, 20 ms or more")
    caption = f"Share of beats with a change that would be read as a finding, {_named(noise_type)}"
    return make_table(caption, head, rows=rows)


def harm_waves(harm: HarmSection, noise_type: str = HARM_NOISE) -> Table:
    """Return the change of each wave by our denoiser, by condition: median, and 95th percentile of its size."""
    found = [(condition, change) for condition, cell, change in _with_waves(harm, noise_type) if cell.method == LSTM]
    rows: list[Row] = []
    for measure, (name, digits) in _WAVES.items():
        cells: list[Cell] = []
        for _, change in found:
            item = change.changes[measure]
            median, p95 = (None, None) if item is None else (item.median, item.p95)
            cells += [signed(median, digits), number(p95, digits)]
        rows.append(make_row(f"{name} ({WAVE_UNITS[measure]})", *cells))
    heads = [f"{condition}, {what}" for condition, _ in found for what in ("median", "95 % within ±")]
    caption = f"Change of the waves by the {LSTM}, {_named(noise_type)}"
    return make_table(caption, ("measure", *heads), rows=rows)


def _with_waves(harm: HarmSection, noise_type: str) -> list[tuple[str, HarmCell | CleanCell, MorphologyChange]]:
    """Return the condition, result and change of waves of each method, recordings without added noise first."""
    cells: list[tuple[str, HarmCell | CleanCell]] = [("no noise added", cell) for cell in harm.clean]
    cells += [(f"{cell.snr} dB", cell) for cell in _of(harm, noise_type)]
    return [(condition, cell, cell.morphology) for condition, cell in cells if cell.morphology is not None]


def _by_level(caption: str, cells: Sequence[HarmCell], show: Callable[[HarmCell], Cell]) -> Table:
    levels = unique(cell.snr for cell in cells)
    at = {(cell.method, cell.snr): cell for cell in cells}
    methods = unique(cell.method for cell in cells)
    rows = [method_row(method, [show(at[method, snr]) for snr in levels]) for method in methods]
    return make_table(caption, ("method", *map(_level, levels)), rows=rows)


def _of(harm: HarmSection, noise_type: str) -> list[HarmCell]:
    return [cell for cell in harm.noisy if cell.noise_type == noise_type]


def _named(noise_type: str) -> str:
    return NOISE_TYPE_NAMES.get(noise_type, noise_type)


def _level(snr: int) -> str:
    return f"{snr} dB"
