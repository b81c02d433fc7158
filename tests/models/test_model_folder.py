"""Bundles: what is saved is what is opened, and what would mislead or run code is refused."""

from __future__ import annotations

import json
import zipfile
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
    stack = StackConfig(units=(4,), dropout=0.1, frame=16, direction="both", learning_rate=1e-3)
    return build_denoiser(DenoiserConfig(stack, residual=True), 288)


@pytest.fixture
def bundle(model: keras.Model, tmp_path: Path) -> Path:
    save_model(tmp_path / "bundle", model, card=CARD)
    return tmp_path / "bundle"


def test_a_bundle_is_written_with_its_page_or_not_at_all(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(tmp_path / "whole", model, card=CARD, page="# A page\n")
    assert (tmp_path / "whole" / "CARD.md").read_text() == "# A page\n"

    def full(path: Path, _: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ecg_study.models.folder.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path / "half", model, card=CARD, page="# A page\n")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def _edit_card(bundle: Path, **changes: object) -> None:
    content = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps(content | changes))


def test_what_is_saved_is_what_is_opened(bundle: Path, model: keras.Model) -> None:
    opened = open_model(bundle)
    assert opened.card == CARD
    segments = np.random.default_rng(0).normal(size=(2, 288, 1)).astype(np.float32)
    np.testing.assert_array_equal(opened.model.predict_on_batch(segments), model.predict_on_batch(segments))
    assert sorted(path.name for path in bundle.iterdir()) == ["card.json", "model.keras", "model.onnx"]


@pytest.mark.parametrize(
    ("changes", "says"),
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
def test_a_card_with_wrong_values_is_refused(bundle: Path, changes: dict[str, object], says: str) -> None:
    _edit_card(bundle, **changes)
    with pytest.raises(EcgStudyError, match=says):
        open_model(bundle)


def test_a_changed_model_is_refused(bundle: Path) -> None:
    with open(bundle / "model.keras", "ab") as file:
        file.write(b"x")
    with pytest.raises(EcgStudyError, match=r"model\.keras: differs from the hash in card"):
        open_model(bundle)


def test_missing_and_damaged_files_are_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(EcgStudyError, match=r"nowhere/card\.json: not found"):
        read_card(tmp_path / "nowhere")
    _edit_card(bundle, format=99)
    with pytest.raises(EcgStudyError, match=r"format 99 is not supported \(latest: 4\)"):
        read_card(bundle)
    (bundle / "card.json").write_text("[]")
    with pytest.raises(EcgStudyError, match="not a valid model card"):
        read_card(bundle)
    (bundle / "model.keras").unlink()
    with pytest.raises(EcgStudyError, match=r"model\.keras: not found"):
        read_card(bundle)


def _seal(bundle: Path) -> None:
    """Make the card one for the files that are there."""
    _edit_card(bundle, sha256={path.name: sha256_of(path) for path in bundle.glob("model.*")})


def _replace_model(bundle: Path, model: keras.Model) -> None:
    model.save(bundle / "model.keras")
    _seal(bundle)


def test_a_model_that_would_run_code_is_refused(bundle: Path) -> None:
    signal = keras.Input((288, 1))
    _replace_model(bundle, keras.Model(signal, keras.layers.Lambda(lambda x: x + 1)(signal)))
    with pytest.raises(EcgStudyError, match=r"has Lambda.*not opened"):
        open_model(bundle)


def test_a_layer_of_another_package_is_refused(bundle: Path) -> None:
    content = json.loads(zipfile.ZipFile(bundle / "model.keras").read("config.json"))
    content["config"]["layers"][0]["module"] = "os"
    with zipfile.ZipFile(bundle / "model.keras", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", json.dumps(content))
    _seal(bundle)
    with pytest.raises(EcgStudyError, match=r"has os\.InputLayer"):
        open_model(bundle)


def test_what_is_no_keras_model_is_refused(bundle: Path) -> None:
    (bundle / "model.keras").write_bytes(b"\x80\x04pickle")
    _seal(bundle)
    with pytest.raises(EcgStudyError, match="not a Keras model"):
        open_model(bundle)


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize(("layers", "filters"), [(1, 0), (2, 0), (2, 3)])
def test_the_onnx_form_is_the_same_model(direction: str, layers: int, filters: int, tmp_path: Path) -> None:
    stack = StackConfig((5,) * layers, 0.1, 8, direction, 1e-3, filters)
    rng = np.random.default_rng(layers)
    signal = rng.normal(0.2, 0.5, (7, 288)).astype(np.float32)
    signal[3] = 0.0
    models = [build_denoiser(DenoiserConfig(stack, residual), 288) for residual in (True, False)]
    models += [build_detector(DetectorConfig(stack, units), 288, 72, 20) for units in (0, 6)]
    for number, model in enumerate(models):
        # Weights as a trained model has them: biases are 0 at the start, and would hide a wrong order of gates.
        model.set_weights([weight + 0.3 * rng.normal(size=weight.shape) for weight in model.get_weights()])
        directory = tmp_path / str(number)
        save_model(directory, model, card=CARD)
        runs = {name: open_runtime(directory, name)[1].run(signal) for name in ("onnx", "keras")}
        assert np.ptp(runs["keras"][0]) > 0.01
        np.testing.assert_allclose(runs["onnx"], runs["keras"], atol=1e-5)


@pytest.mark.parametrize("odd", [{"padding": "causal"}, {"dilation_rate": 2}, {"strides": 2}])
def test_a_convolution_of_another_kind_has_no_onnx_form(odd: dict[str, Any]) -> None:
    signal = keras.Input((288, 1))
    model = keras.Model(signal, keras.layers.Conv1D(1, 5, **{"padding": "same", **odd})(signal))
    with pytest.raises(ValueError, match="convolution"):
        convert_to_onnx(model)


def test_an_onnx_form_that_holds_more_is_refused(bundle: Path) -> None:
    import onnx

    form = onnx.load(bundle / "model.onnx")
    form.graph.node[-1].op_type = "Loop"
    onnx.save(form, bundle / "model.onnx")
    _seal(bundle)
    with pytest.raises(EcgStudyError, match=r"model\.onnx: has Loop, .* not opened"):
        open_runtime(bundle)
    form.graph.node[-1].op_type = "Identity"
    form.graph.node[-1].domain = "elsewhere"
    onnx.save(form, bundle / "model.onnx")
    _seal(bundle)
    with pytest.raises(EcgStudyError, match="operators of elsewhere"):
        open_runtime(bundle)
    form.graph.node[-1].domain = ""
    onnx.external_data_helper.set_external_data(form.graph.initializer[0], "../../passwd")
    (bundle / "model.onnx").write_bytes(form.SerializeToString())
    _seal(bundle)
    with pytest.raises(EcgStudyError, match="data in other files"):
        open_runtime(bundle)
    (bundle / "model.onnx").write_bytes(b"no such thing")
    _seal(bundle)
    with pytest.raises(EcgStudyError, match=r"model\.onnx: not an ONNX model"):
        open_runtime(bundle)


def test_a_bundle_without_an_onnx_form_is_run_by_keras(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    with pytest.raises(EcgStudyError, match=r"model\.onnx: not found; get a new copy"):
        open_runtime(bundle)
    _seal(bundle)
    assert open_runtime(bundle)[1].name == "keras"
    with pytest.raises(EcgStudyError, match=r"model\.onnx: not found; use the runtime 'keras'"):
        open_runtime(bundle, "onnx")
    with pytest.raises(EcgStudyError, match="runtime: 'jax' is unknown; use onnx or keras"):
        open_runtime(bundle, "jax")


def test_the_published_schema_is_that_of_the_card(bundle: Path) -> None:
    import jsonschema

    published = json.loads((Path(__file__).parents[2] / "docs" / "card.schema.json").read_text())
    assert published == json.loads(json.dumps(card_schema()))
    content = json.loads((bundle / "card.json").read_text())
    jsonschema.validate(content, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"fs": "360"}, published)
