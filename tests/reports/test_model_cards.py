"""Model cards: the noise that was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ecg_study.evaluation.results.denoising import DenoiserSection, NoiseCell
from ecg_study.evaluation.results.values import LSTM, NO_FILTER, Estimate
from ecg_study.reports.model_card import render_card
from ecg_study.reports.schema import read_report
from ecg_study.reports.tables import best_snr_improvement


def section(*cells: tuple[str, int, str, float | None]) -> DenoiserSection:
    """Return a section with only the SNR improvement of these cases."""
    noise = [
        NoiseCell(kind, snr, method, {} if value is None else {"snr_improvement": Estimate(value, value, value)}, {})
        for kind, snr, method, value in cells
    ]
    return cast(DenoiserSection, SimpleNamespace(noise=noise))


def test_the_best_filter_of_each_case_stands_below_our_denoiser() -> None:
    measured = section(
        ("em", -6, NO_FILTER, 0.0),
        ("em", -6, LSTM, 10.66),
        ("em", -6, "high-pass", 4.74),
        ("em", -6, "wavelet", 4.93),
        ("em", 0, LSTM, None),
        ("em", 0, "wavelet", -0.04),
        ("ma", -6, LSTM, 13.3),
        ("ma", 0, LSTM, 11.2),
    )
    table = best_snr_improvement(measured)
    assert table is not None
    assert [str(column) for column in table.columns] == ["noise", "method", "at -6 dB", "at 0 dB"]
    assert [[str(cell) for cell in row.cells] for row in table.rows] == [
        ["electrode motion artifact (em)", LSTM, "10.7", "–"],
        ["electrode motion artifact (em)", "best filter of each case", "4.9", "0.0"],
        ["muscle artifact (ma)", LSTM, "13.3", "11.2"],
        ["muscle artifact (ma)", "best filter of each case", "–", "–"],
    ]


def test_no_table_without_a_measured_improvement() -> None:
    assert best_snr_improvement(section()) is None
    assert best_snr_improvement(section(("em", 0, LSTM, None))) is None


def test_a_card_states_which_noise_was_measured(tiny_study: Path) -> None:
    report = read_report(tiny_study / "report.json")
    assert report.denoiser is not None
    cell = NoiseCell("em", 0, LSTM, {"snr_improvement": Estimate(3.0, 2.0, 4.0)}, {})
    loud = replace(report, denoiser=replace(report.denoiser, noise=[cell]))
    quiet = replace(report, denoiser=replace(report.denoiser, noise=[]), stress=None)

    def said(of: Any, task: str) -> str:
        return render_card(of, next(item for item in of.trainings if item.task == task))

    assert f"| electrode motion artifact (em) | {LSTM} | 3.0 |" in said(loud, "denoiser")
    assert "The table above gives its effect on recorded noise." in said(loud, "denoiser")
    for task in ("denoiser", "detector"):
        assert "results with recorded noise were not measured" in said(quiet, task)
        assert "SNR improvement" not in said(quiet, task)
