"""The tables of "Denoising without harm" show the values of their section."""

from __future__ import annotations

from ecg_study.evaluation.results.harm import (
    EXACT_HIGHPASS,
    WAVE_UNITS,
    CleanCell,
    HarmCell,
    HarmSection,
    MorphologyChange,
    WaveChange,
)
from ecg_study.evaluation.results.values import LSTM, NO_FILTER, Estimate
from ecg_study.reports import tables
from ecg_study.reports.page import Table

METHODS = (NO_FILTER, EXACT_HIGHPASS, LSTM)


def _estimate(value: float) -> Estimate:
    return Estimate(value, value - 1, value + 1)


def _waves(share: float) -> MorphologyChange:
    changes: dict[str, WaveChange | None] = dict.fromkeys(WAVE_UNITS, WaveChange(-0.0126, 0.25))
    return MorphologyChange(100, 0, changes | {"t_end": None}, share, 2 * share, None)


def _section(*databases: str) -> HarmSection:
    noisy = [
        HarmCell(
            noise_type=noise_type,
            snr=snr,
            method=method,
            improvement=_estimate(10 * place + snr / 100),
            worst_tenth=place - 5.0,
            above_highpass=_estimate(10.0 * place - 10),
            by_record={"100": 1.0},
            by_database={name: _estimate(float(place)) for name in databases},
            morphology=_waves(0.01 * place) if snr == 24 else None,
        )
        for noise_type in ("bw", "mix")
        for snr in (24, -6)
        for place, method in enumerate(METHODS)
    ]
    clean = [
        CleanCell(NO_FILTER, _estimate(3.0), 4.0, {"100": 3.0}, {}, _waves(0.5)),
        CleanCell(EXACT_HIGHPASS, None, None, {}, {}, _waves(0.0)),
        CleanCell(LSTM, _estimate(-31.25), -28.0, {"100": -31.25}, {}, _waves(0.001)),
    ]
    return HarmSection("recording after a zero-phase high-pass at 0.5 Hz", noisy, clean)


def _texts(table: Table) -> list[list[str]]:
    return [[str(cell) for cell in row.cells] for row in table.rows]


def test_levels_are_columns_and_methods_rows() -> None:
    table = tables.harm_improvement(_section())
    assert [str(column) for column in table.columns] == ["method", "24 dB", "-6 dB"]
    assert _texts(table)[2] == [LSTM, "20.24 [19.24, 21.24]", "19.94 [18.94, 20.94]"]
    assert "mix of bw, em and ma" in table.caption
    assert _texts(tables.harm_worst_tenth(_section())) == [
        [NO_FILTER, "-5.00", "-5.00"],
        [EXACT_HIGHPASS, "-4.00", "-4.00"],
        [LSTM, "-3.00", "-3.00"],
    ]


def test_the_difference_leaves_out_what_it_is_measured_from() -> None:
    assert _texts(tables.harm_above_highpass(_section())) == [[LSTM, *["+10.00 [+9.00, +11.00]"] * 2]]


def test_several_databases_have_a_row_each() -> None:
    assert tables.harm_by_database(_section()) is None
    table = tables.harm_by_database(_section("mitdb", "qtdb"))
    assert table is not None
    assert _texts(table) == [[LSTM, name, *["+2.00 [+1.00, +3.00]"] * 2] for name in ("mitdb", "qtdb")]


def test_each_noise_type_has_the_highpass_and_our_model() -> None:
    rows = _texts(tables.harm_noise_types(_section()))
    assert [row[:2] for row in rows] == [
        [method, name] for name in ("baseline wander (bw)", "mix of bw, em and ma") for method in (EXACT_HIGHPASS, LSTM)
    ]
    assert rows[1][2:] == ["20.24", "19.94"]


def test_recordings_without_added_noise() -> None:
    assert _texts(tables.harm_clean(_section())) == [
        [EXACT_HIGHPASS, "no change", "no change"],
        [LSTM, "-31.2 [-32.2, -30.2]", "-28.0"],
    ]


def test_waves_by_condition() -> None:
    assert _texts(tables.harm_findings(_section())) == [
        [EXACT_HIGHPASS, "no noise added", "0.00 %", "0.00 %", "–"],
        [LSTM, "no noise added", "0.10 %", "0.20 %", "–"],
        [EXACT_HIGHPASS, "24 dB", "1.00 %", "2.00 %", "–"],
        [LSTM, "24 dB", "2.00 %", "4.00 %", "–"],
    ]
    table = tables.harm_waves(_section())
    assert [str(column) for column in table.columns] == [
        "measure",
        "no noise added, median",
        "no noise added, 95 % within ±",
        "24 dB, median",
        "24 dB, 95 % within ±",
    ]
    rows = {row[0]: row[1:] for row in _texts(table)}
    assert rows["QRS width (ms)"] == ["+0.0", "0.2"] * 2
    assert rows["ST level (mV)"] == ["-0.013", "0.250"] * 2
    assert rows["T end (QT interval) (ms)"] == ["–"] * 4, "no beat has a T end"
