"""Plots of a recording: which excerpts they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ecg_study.ecg_data.readers.recording import ReadOptions
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import load_denoiser
from ecg_study.prediction.outputs import predict_recordings
from tests.inference.test_detector import CARD, SlopeRuntime, ecg

FS = 360


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the axes of every figure that is saved."""
    found: list[str] = []
    save = Figure.savefig

    def save_and_note(figure: Figure, *arguments: object, **options: object) -> None:
        found.extend(axis.get_title(loc="left") for axis in figure.axes)
        save(figure, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", save_and_note)
    return found


def _plot(model: Detector | Denoiser, seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "raw" / "r.csv"
    path.parent.mkdir()
    signal = ecg(FS)[: round(seconds * FS)]
    rows = [f"{number / FS:.6f},{value:.4f}" for number, value in enumerate(signal)]
    path.write_text("time_s,II_mV\n" + "\n".join(rows) + "\n")
    list(predict_recordings(model, [path], model_name="m", directory=tmp_path / "out", formats=("plot",)))


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (4.0, ["4 s: whole recording"]),
        (10.0, ["10 s: whole recording"]),
        (12.0, ["10 s: start", "10 s: middle", "10 s: lowest confidence"]),
    ],
)
def test_detection_shows_a_short_recording_once(
    seconds: float, wanted: list[str], titles: list[str], tmp_path: Path
) -> None:
    _plot(Detector(CARD, SlopeRuntime()), seconds, tmp_path)
    assert [title.split(",")[0] for title in titles] == ["Heart rate", *wanted]


def test_leads_are_drawn_below_each_other_with_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second lead is missing, and the names of the others differ at their ends."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path, **_: object) -> None:
        figures.append(figure)
        path.touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    signal = ecg(FS)[:2000]
    rows = [f"{value:.4f},,{50 - 2 * value:.4f}" for value in signal]
    path = tmp_path / "r.csv"
    path.write_text("chest electrode number 1 (mV),II (mV),chest electrode number 2 (mV)\n" + "\n".join(rows) + "\n")
    read = ReadOptions(fs=FS, lead="all")
    detector = Detector(CARD, SlopeRuntime())
    list(predict_recordings(detector, [path], model_name="m", directory=tmp_path, formats=("plot",), read_options=read))
    excerpt = figures[0].axes[1]
    assert [label.get_text() for label in excerpt.get_yticklabels()] == ["chest e…number 1", "II", "chest e…number 2"]
    first, second, third = (np.asarray(line.get_ydata(), np.float64) for line in excerpt.get_lines()[:3])
    distance = -excerpt.get_yticks()[1]
    assert np.median(first) == pytest.approx(0, abs=1e-6)
    assert np.isnan(second).all()
    assert np.median(third) == pytest.approx(-2 * distance, abs=1e-6)
    assert 0.5 * np.ptp(2 * signal) < distance < 2 * np.ptp(2 * signal)
    bottom, top = excerpt.get_ylim()
    assert bottom <= np.nanmin(third) and top >= np.max(first), "neither is cut off"


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(4.0, ["4 s: whole recording"]), (12.0, ["10 s: start", "10 s: middle", "10 s: end"])],
)
def test_denoising_shows_a_short_recording_once(
    seconds: float, wanted: list[str], titles: list[str], tmp_path: Path
) -> None:
    _plot(load_denoiser("lstm-denoiser"), seconds, tmp_path)
    # The axes below each excerpt, with what was removed, have no title.
    assert [title.split(",")[0] for title in titles if title] == ["Estimated SNR", *wanted]
