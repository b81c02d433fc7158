"""Tests of the pretrained models: complete, small, safe, and as accurate as documented."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ecg_study.ecg_data.databases.catalog import Database, open_database
from ecg_study.errors import InputError, ModelError
from ecg_study.files import sha256_of
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.loading import DEFAULT_MODEL, PRETRAINED_DIR, load_denoiser, load_detector, load_model
from ecg_study.models.card import read_card
from ecg_study.workflows.evaluate import evaluate, evaluation_lines
from tests.inference.test_detector import SECONDS, ecg
from tests.models.model_files import copy_pretrained
from tests.tiny import ROOT

NAMES = sorted(path.name for path in PRETRAINED_DIR.iterdir() if path.is_dir())
MAX_BYTES = 2_000_000
MAX_WEIGHTS = 200_000


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
    learned_from = {*records["train"], *records["validation"]}
    assert not set(records["test"]) & learned_from
    assert not {"118", "119", "201"} & {record.removeprefix("mitdb/") for record in learned_from}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_card_of_version_0_1_0_is_read_under_the_new_names(version: int, tmp_path: Path) -> None:
    """The fixtures are the card that version 0.1.0 wrote for its detector, and the same in format 4."""
    directory = copy_pretrained(tmp_path / "model")
    digests = {name: sha256_of(directory / name) for name in ("model.keras", "model.onnx")}
    newer, stored = (
        {**json.loads((ROOT / "tests" / "fixtures" / f"card_format_{number}.json").read_text()), "sha256": digests}
        for number in (4, 3)
    )
    assert (newer["format"], stored["format"]) == (4, 3)
    (directory / "card.json").write_text(json.dumps(newer))
    expected = read_card(directory)
    assert expected.data["records"]["test"] and expected.metrics and not expected.highpass_hz
    stored["format"] = version
    if version < 3:
        del stored["drift"]
    if version < 2:
        stored["sha256"] = {"model.keras": digests["model.keras"]}
        (directory / "model.onnx").unlink()
    (directory / "card.json").write_text(json.dumps(stored))
    assert read_card(directory) == expected


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


_MINUTE = np.arange(60 * 250) / 250


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.random.default_rng(5).normal(0, 0.01, 15000), id="weak white noise"),
        pytest.param(np.random.default_rng(5).normal(0, 0.2, 15000), id="white noise"),
        pytest.param(np.sin(2 * np.pi * 50 * _MINUTE), id="hum"),
        pytest.param(np.full(15000, 5.0), id="saturation"),
        pytest.param(np.zeros(15000), id="flat line"),
    ],
)
def test_a_minute_without_an_ecg_is_unusable(signal: np.ndarray) -> None:
    found = load_detector(DEFAULT_MODEL).detect(signal, fs=250)
    assert len(found) <= 1
    assert np.diff(found.unusable, axis=1).sum() >= 0.95 * len(signal)


@pytest.mark.parametrize("seconds", [3.5, 10, 30])
def test_asystole_is_empty_and_usable(seconds: float) -> None:
    """The heart stands still under 10 µV of noise. With electrode motion it is as empty, but tells nothing."""
    rng = np.random.default_rng(3)
    beats, still = ecg(250.0), rng.normal(0, 0.01, round(seconds * 250))
    pause = slice(len(beats), len(beats) + len(still))
    signal = np.concatenate([beats, still, beats])
    found = load_detector(DEFAULT_MODEL).detect(signal, fs=250)
    assert not ((found.samples > pause.start + 50) & (found.samples < pause.stop - 50)).any()
    assert len(found.unusable) == 0


def _mitdb(real_data: Path, tmp_path: Path) -> Database:
    return open_database("mitdb", data_dir=tmp_path, raw_dir=real_data / "mitdb")


def test_the_published_metrics_of_the_detector_are_reproduced_on_two_records(real_data: Path, tmp_path: Path) -> None:
    """All test records take minutes; one of these two is noisy."""
    result = evaluate(
        load_detector(DEFAULT_MODEL), _mitdb(real_data, tmp_path), noise_dir=real_data / "nstdb", records=["100", "105"]
    )
    assert result.f1(tolerance_ms=150).value > 0.99
    assert result.f1(tolerance_ms=50).value > 0.99
    assert result.f1(tolerance_ms=150, condition="gaussian").value > 0.99
    assert result.window_f1().value > 0.985
    assert result.noise_stress == {}, "the published noise stress test needs all test records"
    lines = "\n".join(evaluation_lines(result))
    assert re.search(r"^detector +R peaks, as recorded: F1 within 150 ms +9\d\.\d\d %$", lines, re.MULTILINE)


def test_the_published_metrics_of_the_denoiser_are_reproduced_on_two_records(real_data: Path, tmp_path: Path) -> None:
    data = _mitdb(real_data, tmp_path)
    result = evaluate(load_denoiser("lstm-denoiser"), data, noise_dir=real_data / "nstdb", records=["100", "105"])
    improvements = [result.snr_improvement(noise="mix", snr_db=snr).value for snr in (-6, 0, 6, 12)]
    wavelet = (6.3, 5.8, 4.7, 2.3)
    assert all(ours > theirs for ours, theirs in zip(improvements, wavelet, strict=True)), improvements
    assert result.rmse().low <= result.rmse().value <= result.rmse().high
    with pytest.raises(InputError, match=r"noise='hum'.*choose noise from 'gaussian', 'bw', 'em', 'ma', 'mix'"):
        result.snr_improvement(noise="hum", snr_db=6)


def test_metrics_on_training_records_are_refused(real_data: Path, tmp_path: Path) -> None:
    data = _mitdb(real_data, tmp_path)
    with pytest.raises(InputError, match="101: not in the test part"):
        evaluate(DEFAULT_MODEL, data, records=["101"])
    folder = open_database("folder", data_dir=tmp_path, raw_dir=real_data / "mitdb", records=["101", "106", "108"])
    with pytest.raises(ModelError, match=r"gru-detector: was trained on 10[168]"):
        evaluate(DEFAULT_MODEL, folder)
