"""Bundles: what is saved is what is opened, and what would mislead or run code is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from checkpoints import Card, load_bundle, read_card, save_bundle
from ecg_data import StudyError
from ecg_data.files import sha256_of
from search_spaces.denoiser import DenoiserConfig, build_denoiser
from search_spaces.recurrent import StackConfig

CARD = Card(
    task="denoiser",
    fs=360.0,
    segment=288,
    window=144,
    normalisation="none",
    thresholds={},
    refractory=0.2,
    preset="quick",
    hyperparameters={"layers": 1},
    parameters=10,
    data={"database": "folder"},
    metrics={"test": 0.1},
    seed=1,
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    stack = StackConfig(units=(4,), dropout=0.1, frame=16, direction="both", learning_rate=1e-3)
    return build_denoiser(DenoiserConfig(stack, residual=True), 288)


@pytest.fixture
def bundle(model: keras.Model, tmp_path: Path) -> Path:
    save_bundle(tmp_path / "bundle", model, CARD)
    return tmp_path / "bundle"


def _edit_card(bundle: Path, **changes: object) -> None:
    content = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps(content | changes))


def test_what_is_saved_is_what_is_opened(bundle: Path, model: keras.Model) -> None:
    opened = load_bundle(bundle)
    assert opened.card == CARD
    segments = np.random.default_rng(0).normal(size=(2, 288, 1)).astype(np.float32)
    np.testing.assert_array_equal(opened.model.predict_on_batch(segments), model.predict_on_batch(segments))
    assert sorted(path.name for path in bundle.iterdir()) == ["card.json", "model.keras"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"task": "foo"}, "task is 'foo', not denoiser or detector"),
        ({"task": "detector"}, "r_peak"),
        ({"task": "detector", "thresholds": {"r_peak": "0.3", "window": 0.3}}, "thresholds.r_peak is '0.3'"),
        ({"fs": "360"}, "fs is '360'"),
        ({"segment": 1.5}, "segment is 1.5, not a whole number"),
        ({"refractory": None}, "refractory is None"),
        ({"sha256": []}, "not the card of a bundle"),
        ({"segment": 144}, "reads 288 samples where its card says 144"),
    ],
)
def test_a_card_with_wrong_values_is_refused(bundle: Path, changes: dict[str, object], says: str) -> None:
    _edit_card(bundle, **changes)
    with pytest.raises(StudyError, match=says):
        load_bundle(bundle)


def test_a_changed_model_is_refused(bundle: Path) -> None:
    with open(bundle / "model.keras", "ab") as file:
        file.write(b"x")
    with pytest.raises(StudyError, match=r"model\.keras: changed since its card was written"):
        load_bundle(bundle)


def test_missing_and_damaged_files_are_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nowhere/card\.json: missing"):
        read_card(tmp_path / "nowhere")
    _edit_card(bundle, format=99)
    with pytest.raises(StudyError, match="format 99, this program reads 1"):
        read_card(bundle)
    _edit_card(bundle, format=1, surprise=2)
    with pytest.raises(StudyError, match="keys surprise are missing or unknown"):
        read_card(bundle)
    (bundle / "card.json").write_text("[]")
    with pytest.raises(StudyError, match="not the card of a bundle"):
        read_card(bundle)
    (bundle / "model.keras").unlink()
    with pytest.raises(StudyError, match=r"model\.keras: missing"):
        read_card(bundle)


def _replace_model(bundle: Path, model: keras.Model) -> None:
    model.save(bundle / "model.keras")
    _edit_card(bundle, sha256={"model.keras": sha256_of(bundle / "model.keras")})


def test_a_model_that_would_run_code_is_refused(bundle: Path) -> None:
    signal = keras.Input((288, 1))
    _replace_model(bundle, keras.Model(signal, keras.layers.Lambda(lambda x: x + 1)(signal)))
    with pytest.raises(StudyError, match=r"holds Lambda.*refused unopened"):
        load_bundle(bundle)


def test_a_layer_of_another_package_is_refused(bundle: Path) -> None:
    content = json.loads(zipfile.ZipFile(bundle / "model.keras").read("config.json"))
    content["config"]["layers"][0]["module"] = "os"
    with zipfile.ZipFile(bundle / "model.keras", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", json.dumps(content))
    _edit_card(bundle, sha256={"model.keras": sha256_of(bundle / "model.keras")})
    with pytest.raises(StudyError, match=r"holds os\.InputLayer"):
        load_bundle(bundle)


def test_what_is_no_keras_model_is_refused(bundle: Path) -> None:
    (bundle / "model.keras").write_bytes(b"\x80\x04pickle")
    _edit_card(bundle, sha256={"model.keras": sha256_of(bundle / "model.keras")})
    with pytest.raises(StudyError, match="not a Keras model"):
        load_bundle(bundle)
