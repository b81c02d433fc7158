"""Tests of the pretrained models: complete, small, safe, and as accurate as documented."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.loading import DEFAULT_MODEL, PRETRAINED_DIR, load_detector, load_model
from ecg_study.models.card import read_card
from ecg_study.workflows import evaluate
from tests.inference.test_detector import SECONDS, ecg
from tests.tiny import ROOT

NAMES = sorted(path.name for path in PRETRAINED_DIR.iterdir() if path.is_dir())
MAX_BYTES = 2_000_000
MAX_WEIGHTS = 150_000


def test_the_documented_models_exist() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(NAMES)
    assert DEFAULT_MODEL in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_small_and_complete(name: str) -> None:
    files = {path.name: path.stat().st_size for path in (PRETRAINED_DIR / name).iterdir()}
    assert set(files) == {"CARD.md", "card.json", "model.keras", "model.onnx"}
    assert sum(files.values()) < MAX_BYTES
    card = read_card(PRETRAINED_DIR / name)
    assert card.parameters <= MAX_WEIGHTS
    assert "not a medical device" in (PRETRAINED_DIR / name / "CARD.md").read_text().lower()
    records = card.data["records"]
    assert not set(records["test"]) & {*records["train"], *records["validation"]}
    assert not {"118", "119", "201"} & {*records["train"], *records["validation"]}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_card_of_version_0_1_0_is_read_under_the_new_names(version: int, tmp_path: Path) -> None:
    """The fixture is the card that version 0.1.0 wrote for the pretrained detector."""
    directory = tmp_path / "model"
    shutil.copytree(PRETRAINED_DIR / DEFAULT_MODEL, directory)
    stored = json.loads((ROOT / "tests" / "fixtures" / "card_format_3.json").read_text())
    assert stored["format"] == 3
    stored["format"] = version
    if version < 3:
        del stored["drift"]
    if version < 2:
        del stored["sha256"]["model.onnx"]
        (directory / "model.onnx").unlink()
    (directory / "card.json").write_text(json.dumps(stored))
    assert read_card(directory) == read_card(PRETRAINED_DIR / DEFAULT_MODEL)


@pytest.mark.parametrize("name", NAMES)
def test_both_runtimes_give_the_same_output(name: str) -> None:
    signal = ecg(360.0)
    outputs = []
    for runtime in ("onnx", "keras"):
        model = load_model(name, runtime=runtime)
        outputs.append(
            model.denoise(signal, fs=360.0) if isinstance(model, Denoiser) else model.detect(signal, fs=360.0).samples
        )
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 1000.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_detector_finds_synthetic_beats(fs: float, sign: int) -> None:
    """Beats from a formula, at any sampling rate and polarity, within 25 ms."""
    found = load_detector(DEFAULT_MODEL).detect(sign * ecg(fs), fs=fs)
    np.testing.assert_allclose(found.samples / fs, SECONDS, atol=0.025)


def test_the_published_metrics_are_reproduced_on_two_records(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The evaluation of all test records, here on two of them, of which one is noisy."""
    folders = ["--raw-dir", str(real_data / "mitdb"), "--noise-dir", str(real_data / "nstdb")]
    assert evaluate.main([*folders, "--records", "100,105"]) == 0
    printed = capsys.readouterr().out
    detector = dict(re.findall(rf"^{DEFAULT_MODEL} +(.+?)  +([\d.]+) %$", printed, re.MULTILINE))
    assert float(detector["R peaks, as recorded: F1 within 150 ms"]) > 99
    assert float(detector["R peaks, as recorded: F1 within 50 ms"]) > 99
    assert float(detector["R peaks, Gaussian 0.05 mV: F1 within 150 ms"]) > 99
    assert float(detector["windows, as recorded: F1"]) > 98.5
    mixed = re.search(r"^lstm-denoiser +mix: SNR gained at -6 / 0 / 6 / 12 dB +(.+)$", printed, re.MULTILINE)
    assert mixed is not None
    gained = [float(decibel) for decibel in mixed[1].split(" / ")]
    assert all(ours > wavelet for ours, wavelet in zip(gained, (6.3, 5.8, 4.7, 2.3), strict=True)), gained
    assert "noise stress" not in printed, "it needs all its records"


def test_metrics_on_training_records_are_refused(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--raw-dir", str(real_data / "mitdb"), "--noise-dir", str(real_data / "nstdb")]
    assert evaluate.main([*folders, "--records", "101"]) == 2
    assert "101: not among the test records" in capsys.readouterr().err
