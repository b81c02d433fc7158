"""Tests of model folders: saving, opening, and refusing damaged or unsafe files."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ecg_study.errors import EcgStudyError
from ecg_study.files import sha256_of
from ecg_study.models.card import ModelCard, card_schema, read_card
from ecg_study.models.folder import open_model, open_runtime, save_model
from ecg_study.models.onnx_export import convert_to_onnx
from ecg_study.search_spaces.denoiser import DenoiserConfig, build_denoiser
from ecg_study.search_spaces.detector import DetectorConfig, build_detector
from ecg_study.search_spaces.layers import StackConfig

CARD = ModelCard(
    model_kind="denoiser",
    fs=360.0,
    segment_samples=288,
    window_samples=144,
    normalization="none",
    thresholds={},
    refractory_period=0.2,
    preset="quick",
    hyperparameters={"layers": 1},
    parameters=10,
    data={"database": "folder"},
    metrics={"test": 0.1},
    seed=1,
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    stack = StackConfig(units=(4,), dropout=0.1, frame=16, bidirectional=True, learning_rate=1e-3)
    return build_denoiser(DenoiserConfig(stack, residual=True), 288)


@pytest.fixture
def saved(model: keras.Model, tmp_path: Path) -> Path:
    save_model(tmp_path / "saved", model, card=CARD)
    return tmp_path / "saved"


def test_a_model_is_saved_with_its_page_or_not_at_all(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path / "saved", model, card=CARD, page="# A page\n")
    assert (tmp_path / "saved" / "CARD.md").read_text() == "# A page\n"

    def full(path: Path, _: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ecg_study.models.folder.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path / "half", model, card=CARD, page="# A page\n")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def _edit_card(saved: Path, **changes: object) -> None:
    content = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps(content | changes))


def test_a_saved_model_opens_unchanged(saved: Path, model: keras.Model) -> None:
    opened = open_model(saved)
    assert opened.card == CARD
    segments = np.random.default_rng(0).normal(size=(2, 288, 1)).astype(np.float32)
    np.testing.assert_array_equal(opened.model.predict_on_batch(segments), model.predict_on_batch(segments))
    assert sorted(path.name for path in saved.iterdir()) == ["card.json", "model.keras", "model.onnx"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_kind": "foo"}, r"model_kind: Input should be 'denoiser' or 'detector', not 'foo'"),
        ({"model_kind": "detector"}, "thresholds: a detector needs r_peak and window"),
        (
            {"model_kind": "detector", "thresholds": {"r_peak": "0.3", "window": 0.3}},
            r"thresholds.r_peak: .* not '0.3'",
        ),
        ({"model_kind": "detector", "thresholds": {"r_peak": 1.3, "window": 0.3}}, r"thresholds.r_peak: .* not 1.3"),
        ({"fs": "360"}, "fs: .* not '360'"),
        ({"fs": 0}, "fs: .* not 0"),
        ({"segment_samples": 1.5}, "segment_samples: .* not 1.5"),
        ({"refractory_period": None}, "refractory_period: .* not None"),
        ({"surprise": 2}, "unknown fields: surprise"),
        ({"sha256": []}, "not a valid model card"),
        ({"sha256": {}}, "sha256 lacks model.keras"),
        ({"sha256": {"model.keras": "0", "../../passwd": "0"}}, "model.onnx: not listed in card.json"),
        ({"segment_samples": 144}, "reads 288 samples, but its card has segment_samples = 144"),
    ],
)
def test_a_card_with_invalid_values_is_refused(saved: Path, changes: dict[str, object], message: str) -> None:
    _edit_card(saved, **changes)
    with pytest.raises(EcgStudyError, match=message):
        open_model(saved)


def test_a_changed_model_is_refused(saved: Path) -> None:
    with open(saved / "model.keras", "ab") as file:
        file.write(b"x")
    with pytest.raises(EcgStudyError, match=r"model\.keras: differs from the hash in card"):
        open_model(saved)


def test_missing_and_damaged_files_are_reported(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(EcgStudyError, match=r"nowhere/card\.json: not found"):
        read_card(tmp_path / "nowhere")
    _edit_card(saved, format=99)
    with pytest.raises(EcgStudyError, match=r"format 99 is not supported \(latest: 6\)"):
        read_card(saved)
    (saved / "card.json").write_text("[]")
    with pytest.raises(EcgStudyError, match="not a valid model card"):
        read_card(saved)
    (saved / "model.keras").unlink()
    with pytest.raises(EcgStudyError, match=r"model\.keras: not found"):
        read_card(saved)


def _seal(saved: Path) -> None:
    """Store the hashes of the present files in the card."""
    _edit_card(saved, sha256={path.name: sha256_of(path) for path in saved.glob("model.*")})


def _replace_model(saved: Path, model: keras.Model) -> None:
    model.save(saved / "model.keras")
    _seal(saved)


def test_a_model_that_would_run_code_is_refused(saved: Path) -> None:
    signal = keras.Input((288, 1))
    _replace_model(saved, keras.Model(signal, keras.layers.Lambda(lambda x: x + 1)(signal)))
    with pytest.raises(EcgStudyError, match=r"has Lambda.*not opened"):
        open_model(saved)


def test_a_layer_of_another_package_is_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(members["config.json"])
    content["config"]["layers"][0]["module"] = "os"
    with zipfile.ZipFile(saved / "model.keras", "w") as archive:
        for name, data in (members | {"config.json": json.dumps(content).encode()}).items():
            archive.writestr(name, data)
    _seal(saved)
    with pytest.raises(EcgStudyError, match=r"has os\.InputLayer"):
        open_model(saved)


def test_a_file_that_is_not_a_keras_model_is_refused(saved: Path) -> None:
    (saved / "model.keras").write_bytes(b"\x80\x04pickle")
    _seal(saved)
    with pytest.raises(EcgStudyError, match="not a Keras model"):
        open_model(saved)


@pytest.mark.slow
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("layers", "filters"), [(1, 0), (2, 0), (2, 3)])
def test_keras_and_onnx_give_the_same_output(bidirectional: bool, layers: int, filters: int, tmp_path: Path) -> None:
    stack = StackConfig((5,) * layers, 0.1, 8, bidirectional, 1e-3, filters)
    rng = np.random.default_rng(layers)
    signal = rng.normal(0.2, 0.5, (7, 288)).astype(np.float32)
    signal[3] = 0.0
    models = [build_denoiser(DenoiserConfig(stack, residual), 288) for residual in (True, False)]
    models += [
        build_detector(DetectorConfig(stack, units), 288, window_samples=72, refractory_samples=20) for units in (0, 6)
    ]
    for number, model in enumerate(models):
        # Random weights, because initial biases are 0 and would hide a wrong order of gates.
        model.set_weights([weight + 0.3 * rng.normal(size=weight.shape) for weight in model.get_weights()])
        directory = tmp_path / str(number)
        save_model(directory, model, card=CARD)
        runs = {name: open_runtime(directory, name)[1].run(signal) for name in ("onnx", "keras")}
        assert np.ptp(runs["keras"][0]) > 0.01
        np.testing.assert_allclose(runs["onnx"], runs["keras"], atol=1e-5)


@pytest.mark.parametrize("odd", [{"padding": "causal"}, {"dilation_rate": 2}, {"strides": 2}])
def test_other_convolutions_cannot_be_converted_to_onnx(odd: dict[str, Any]) -> None:
    signal = keras.Input((288, 1))
    model = keras.Model(signal, keras.layers.Conv1D(1, 5, **{"padding": "same", **odd})(signal))
    with pytest.raises(ValueError, match="convolution"):
        convert_to_onnx(model)


def test_an_onnx_file_with_anything_else_is_refused(saved: Path) -> None:
    import onnx

    form = onnx.load(saved / "model.onnx")
    form.graph.node[-1].op_type = "Loop"
    onnx.save(form, saved / "model.onnx")
    _seal(saved)
    with pytest.raises(EcgStudyError, match=r"model\.onnx: has Loop, .* not opened"):
        open_runtime(saved)
    form.graph.node[-1].op_type = "Identity"
    form.graph.node[-1].domain = "elsewhere"
    onnx.save(form, saved / "model.onnx")
    _seal(saved)
    with pytest.raises(EcgStudyError, match="operators of elsewhere"):
        open_runtime(saved)
    form.graph.node[-1].domain = ""
    onnx.external_data_helper.set_external_data(form.graph.initializer[0], "../../passwd")
    (saved / "model.onnx").write_bytes(form.SerializeToString())
    _seal(saved)
    with pytest.raises(EcgStudyError, match="data in other files"):
        open_runtime(saved)
    (saved / "model.onnx").write_bytes(b"no such thing")
    _seal(saved)
    with pytest.raises(EcgStudyError, match=r"model\.onnx: not an ONNX model"):
        open_runtime(saved)


def test_keras_runs_a_model_without_an_onnx_file(saved: Path) -> None:
    (saved / "model.onnx").unlink()
    with pytest.raises(EcgStudyError, match=r"model\.onnx: not found; get a new copy"):
        open_runtime(saved)
    _seal(saved)
    assert open_runtime(saved)[1].name == "keras"
    with pytest.raises(EcgStudyError, match=r"model\.onnx: not found; use the runtime 'keras'"):
        open_runtime(saved, "onnx")
    with pytest.raises(EcgStudyError, match="runtime: 'jax' is unknown; use onnx or keras"):
        open_runtime(saved, "jax")


def test_the_lineage_of_a_fine_tuned_model_of_version_0_1_0_is_read(model: keras.Model, tmp_path: Path) -> None:
    parent = {"sha256": "0", "data": {"licence": "ODC-By", "sigma_mv": 0.05, "database": "mitdb"}}
    card = replace(CARD, data={"sigma_mv": 0.1, "trained further from": parent})
    save_model(tmp_path / "tuned", model, card=card)
    names = {"model_kind": "task", "segment_samples": "segment", "window_samples": "window"}
    names |= {"normalization": "normalisation", "refractory_period": "refractory", "baseline_wander": "drift"}
    stored = json.loads((tmp_path / "tuned" / "card.json").read_text())
    old = {names.get(name, name): value for name, value in stored.items()} | {"format": 3}
    (tmp_path / "tuned" / "card.json").write_text(json.dumps(old))
    data = {"license": "ODC-By", "noise_sigma_mv": 0.05, "database": "mitdb"}
    wanted = {"noise_sigma_mv": 0.1, "fine_tuned_from": {"sha256": "0", "data": data}}
    assert read_card(tmp_path / "tuned") == replace(CARD, data=wanted)


def test_the_published_schema_matches_the_card(saved: Path) -> None:
    import jsonschema

    published = json.loads((Path(__file__).parents[2] / "docs" / "card.schema.json").read_text())
    assert published == json.loads(json.dumps(card_schema()))
    content = json.loads((saved / "card.json").read_text())
    jsonschema.validate(content, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"fs": "360"}, published)
