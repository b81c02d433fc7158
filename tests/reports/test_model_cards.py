"""What the card of a bundle says of noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ecg_study.evaluation.results.denoising import DenoiserSection, NoiseCell
from ecg_study.evaluation.results.values import LSTM, NO_FILTER, Estimate
from ecg_study.reports.model_card import render_card
from ecg_study.reports.schema import read_report
from ecg_study.reports.tables import gains


def section(*cells: tuple[str, int, str, float | None]) -> DenoiserSection:
    """A section with nothing but the SNR improvement of these cases."""
    noise = [
        NoiseCell(kind, snr, method, {} if value is None else {"snr_improvement": Estimate(value, value, value)}, {})
        for kind, snr, method, value in cells
    ]
    return cast(DenoiserSection, SimpleNamespace(noise=noise))


def test_gains_stand_under_their_level_beside_the_best_filter() -> None:
    told = section(
        ("em", -6, NO_FILTER, 0.0),
        ("em", -6, LSTM, 10.66),
        ("em", -6, "high-pass", 4.74),
        ("em", -6, "wavelet", 4.93),
        ("em", 0, LSTM, None),
        ("em", 0, "wavelet", -0.04),
        ("ma", -6, LSTM, 13.3),
        ("ma", 0, LSTM, 11.2),
    )
    assert gains(told, {"em": "motion"}) == "at -6 / 0 dB: motion 10.7 / – (4.9 / 0.0); ma 13.3 / 11.2 (– / –)"


def test_nothing_is_said_where_nothing_was_measured() -> None:
    assert gains(section(), {}) == gains(section(("em", 0, LSTM, None)), {}) == ""


def test_a_card_says_which_noise_was_measured(tiny_study: Path) -> None:
    report = read_report(tiny_study / "report.json")
    assert report.denoiser is not None
    cell = NoiseCell("em", 0, LSTM, {"snr_improvement": Estimate(3.0, 2.0, 4.0)}, {})
    loud = replace(report, denoiser=replace(report.denoiser, noise=[cell]))
    quiet = replace(report, denoiser=replace(report.denoiser, noise=[]), stress=None)

    def said(of: Any, task: str) -> str:
        return render_card(of, next(item for item in of.trainings if item.task == task))

    assert "electrode motion (em) 3.0 (–)" in said(loud, "denoiser")
    assert "the figures above say what it does to the noise of electrodes and muscle" in said(loud, "denoiser")
    for task in ("denoiser", "detector"):
        assert "alone; real noise was not measured" in said(quiet, task)
        assert "dB of SNR gained" not in said(quiet, task)
