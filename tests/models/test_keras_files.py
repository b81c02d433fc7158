"""Tests of Keras files from strangers: refused in one line, or opened with bounded time and memory."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ecg_study.errors import ModelError
from ecg_study.inference.loading import PRETRAINED_DIR, load_model
from ecg_study.models.card import read_folder
from ecg_study.models.folder import save_model
from ecg_study.models.keras_file import check_keras, open_keras
from ecg_study.reading import read_bytes
from tests.models.model_files import SEGMENT, copy_pretrained, edit_card, keras_file, keras_members, seal
from tests.models.test_model_folder import CARD
from tests.tiny import ROOT

PATH = Path("folder") / "model.keras"
STORED = sorted((*PRETRAINED_DIR.glob("*/model.keras"), *(ROOT / "tests" / "fixtures").rglob("model.keras")))


def refused(content: bytes, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        check_keras(content, PATH)
    assert str(caught.value).startswith(f"{PATH}: ") and "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parents[2].name}-{path.parent.name}")
def test_a_stored_model_opens_as_keras_opens_it(path: Path) -> None:
    checked = check_keras(path.read_bytes(), path)
    model, wanted = open_keras(checked, path), keras.saving.load_model(path, compile=False)
    assert model.get_config() == wanted.get_config()
    segments = np.random.default_rng(0).normal(size=(2, checked.network.segment_samples, 1)).astype(np.float32)
    np.testing.assert_array_equal(model.predict_on_batch(segments), wanted.predict_on_batch(segments))


def test_a_compressed_file_is_opened() -> None:
    assert check_keras(keras_file(zipfile.ZIP_DEFLATED), PATH).network.segment_samples == SEGMENT


# Members


@pytest.mark.parametrize(
    ("part", "match"),
    [
        ("config", "config.json has more than 5,000,000 bytes"),
        ("metadata", "metadata.json has more than 100,000 bytes"),
    ],
)
def test_a_member_that_unpacks_to_megabytes_is_not_read(part: str, match: str) -> None:
    content = b'"' + b" " * 20_000_000 + b'"'
    parts: dict[str, Any] = {part: content}
    refused(keras_file(zipfile.ZIP_DEFLATED, **parts), match)


def test_a_member_that_is_larger_than_it_says_is_not_read() -> None:
    """The directory and the header say 100 bytes; the data unpacks to twenty million."""
    whole = keras_file(zipfile.ZIP_DEFLATED, config=b" " * 20_000_000)
    size = (20_000_000).to_bytes(4, "little")
    assert whole.count(size) == 2
    refused(whole.replace(size, (100).to_bytes(4, "little")), "Bad CRC-32|config.json")


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_another_compression_is_refused(compression: int) -> None:
    refused(keras_file(compression), "compressed in a way that Keras does not use")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_reported(compression: int) -> None:
    content = bytearray(keras_file(compression))
    content[60:80] = b"\xff" * 20
    refused(bytes(content), "not a Keras model")


def archive(*members: tuple[str, bytes], comment: bytes = b"") -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as file:
        warnings.filterwarnings("ignore", "Duplicate name", UserWarning)  # what some archives are about
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content)
        file.comment = comment
    return target.getvalue()


MEMBERS = tuple(keras_members().items())


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (archive(*MEMBERS, ("assets/x", b"")), "has 4 members, not 3"),
        (archive(*MEMBERS[:2]), "has 2 members, not 3"),
        (archive(*MEMBERS[:2], ("model.weights.npz", b"")), "has .*model.weights.npz, not"),
        (archive(*MEMBERS[:2], ("../model.weights.h5", b"")), "has .*model.weights.h5, not"),
        (archive(*MEMBERS[:2], MEMBERS[0]), "has .*, not"),
        (archive(*MEMBERS, comment=b"x" * 100), "does not end like a zip file"),
        (archive(*MEMBERS)[:-1], "does not end like a zip file"),
        (b"", "too short"),
        (b"\x80\x04pickle" * 10, "does not end like a zip file"),
        (archive(*MEMBERS)[50_000:], "not a Keras model"),
    ],
    ids=range(10),
)
def test_other_members_are_refused(content: bytes, match: str) -> None:
    refused(content, match)


def test_an_encrypted_member_is_refused() -> None:
    content = bytearray(keras_file())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        content[place + offset] |= 1
    refused(bytes(content), "is encrypted")


def test_a_directory_of_many_members_is_not_read() -> None:
    """Millions of entries take minutes and gigabytes to read."""
    content = archive(*((f"member{number}", b"") for number in range(300)))
    refused(content, "has 300 members, not 3")


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    directory = copy_pretrained(tmp_path / "model")
    with open(directory / "model.keras", "r+b") as file:
        file.truncate(2_000_000_000)  # a sparse file
    with pytest.raises(ModelError, match=r"model\.keras: 2,000,000,000 bytes, more than the limit"):
        load_model(directory)


# Configuration


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (b"[" * 200_000, "config.json: nested too deeply"),
        (b'{"config":' * 500 + b"1" + b"}" * 500, "config.json: nested too deeply"),
        (b"\xff\xfe", "config.json: not UTF-8 text"),
        (b"{", "config.json: not JSON"),
        (b'{"config": NaN}', "config.json: not JSON"),
        (b"5", "has a configuration that Keras does not write"),
        (b"{}", "has a configuration that Keras does not write"),
        (b'{"class_name": "Functional", "config": {"layers": {}}}', "has a configuration that Keras does not write"),
    ],
    ids=range(8),
)
def test_a_configuration_that_is_damaged_is_reported(config: bytes, match: str) -> None:
    refused(keras_file(config=config), match)


def test_metadata_that_is_damaged_is_reported() -> None:
    refused(keras_file(metadata=b"[" * 50_000), "metadata.json: nested too deeply")


def layer(config: dict[str, Any], kind: str, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = [item for item in config["config"]["layers"] if item["class_name"] == kind][number]
    return found


def changed(kind: str, number: int = 0, **options: Any) -> Callable[[dict[str, Any]], None]:
    """A function that changes options of a layer."""
    return lambda config: layer(config, kind, number)["config"].update(options)


def change_cell(**options: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        wrapper = layer(config, "Bidirectional")["config"]
        for name in ("layer", "backward_layer"):
            wrapper[name]["config"].update(options)

    return change


def build_shape(config: dict[str, Any]) -> None:
    layer(config, "Dense")["build_config"] = {"input_shape": [None, 252, 10**9]}


def build_cell(config: dict[str, Any]) -> None:
    layer(config, "Bidirectional")["config"]["layer"]["build_config"] = {"input_shape": [None, 252, 10**9]}


def build_other(config: dict[str, Any]) -> None:
    layer(config, "Dense")["build_config"] = {"shapes_dict": {"input_shape": [None, 252, 10**9]}}


def call_twice(config: dict[str, Any]) -> None:
    layer(config, "Dense")["inbound_nodes"] *= 2


def call_with_state(config: dict[str, Any]) -> None:
    layer(config, "Bidirectional")["inbound_nodes"][0]["kwargs"] = {"initial_state": 1.0}


def call_later(config: dict[str, Any]) -> None:
    config["config"]["layers"].reverse()


def two_inputs(config: dict[str, Any]) -> None:
    second = json.loads(json.dumps(layer(config, "InputLayer")).replace("signal_mv", "second"))
    config["config"]["layers"].append(second)


def two_outputs(config: dict[str, Any]) -> None:
    config["config"]["output_layers"] *= 2


def another_output(config: dict[str, Any]) -> None:
    config["config"]["output_layers"] = [["nowhere", 0, 0]]


def same_name(config: dict[str, Any]) -> None:
    config["config"]["layers"] *= 2


def many_layers(config: dict[str, Any]) -> None:
    config["config"]["layers"] *= 100


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (changed("Dense", units=10**9), "computes more than"),
        (changed("Dense", number=1, units=100_000), "has Reshape of"),
        (changed("Dense", units=33), "builds Dense for another shape"),
        (changed("Dense", units=True), "has Dense with units = True"),
        (changed("Dense", units=-1), "has Dense with units = -1"),
        (changed("Dense", units="32"), "has Dense with units = 32"),
        (changed("Dense", lora_rank=10**9), "has Dense with lora_rank = 1000000000"),
        (changed("Dense", quantization_config={"mode": "int8"}), "has Dense with quantization_config"),
        (changed("Dense", use_bias=False), "has Dense with use_bias = False"),
        (changed("Dense", activation="exponential"), "has Dense with activation = exponential"),
        (changed("Dense", dtype="float64"), "has Dense with another type than float32"),
        (changed("Dense", activity_regularizer="l2"), "has Dense with activity_regularizer"),
        (change_cell(units=10**9), "computes more than"),
        (change_cell(units=8000), "computes more than|multiplications|fewer than"),
        (change_cell(unroll=True), "has GRU with unroll = True"),
        (change_cell(stateful=True), "has GRU with stateful = True"),
        (change_cell(reset_after=False), "has GRU with reset_after = False"),
        (change_cell(go_backwards=True), "has Bidirectional with another layer"),
        (changed("Bidirectional", merge_mode="sum"), "has Bidirectional with merge_mode = sum"),
        (changed("InputLayer", batch_shape=[None, 10**12, 1]), "computes more than"),
        (changed("InputLayer", batch_shape=[8, SEGMENT, 1]), "reads the shape"),
        (changed("InputLayer", batch_shape=[None, SEGMENT, 2]), "reads the shape"),
        (changed("InputLayer", batch_shape=[None, 0, 1]), "computes a result of shape"),
        (changed("InputLayer", batch_shape=[None]), "a configuration that Keras does not write"),
        (changed("InputLayer", sparse=True), "has InputLayer with sparse = True"),
        (changed("Reshape", target_shape=[252, 10**9]), "computes more than"),
        (changed("Reshape", target_shape=[252, 9]), "has Reshape of"),
        (changed("Reshape", target_shape=[-1, 8]), "computes a result of shape"),
        (changed("Reshape", target_shape=[252, "8"]), "has Reshape to"),
        (changed("LayerNormalization", center=True), "has LayerNormalization with center = True"),
        (build_shape, "builds Dense for another shape than that of its input"),
        (build_other, "builds Dense for another shape"),
        (build_cell, "builds GRU for another shape"),
        (call_twice, "calls head 2 times"),
        (call_with_state, "with options"),
        (call_later, "with another value than the output of a layer"),
        (two_inputs, "has 2 inputs, not one"),
        (two_outputs, "has more than one input or output"),
        (another_output, "a configuration that Keras does not write"),
        (same_name, "has the layer 'signal_mv' more than once"),
        (many_layers, "is not a functional model"),
    ],
)
def test_a_layer_that_no_model_of_this_project_has_is_refused(
    change: Callable[[dict[str, Any]], None], match: str
) -> None:
    config = json.loads(keras_members()["config.json"])
    change(config)
    refused(keras_file(config=json.dumps(config).encode()), match)


def test_a_result_of_another_shape_than_a_segment_is_refused(tmp_path: Path) -> None:
    config = json.loads(keras_members()["config.json"])
    config["config"]["output_layers"] = [["fold", 0, 0]]
    directory = copy_pretrained(tmp_path / "model")
    (directory / "model.keras").write_bytes(keras_file(config=json.dumps(config).encode()))
    with pytest.raises(ModelError, match=r"returns the shape \(126, 16\) for 2016 samples"):
        load_model(seal(directory), runtime="keras")


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5", ""])
@pytest.mark.parametrize("seed", range(2))
def test_an_altered_file_is_refused_or_opened(member: str, seed: int) -> None:
    path = ROOT / "tests/fixtures/tiny_study/models/detector/model.keras"
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    chance, opened = random.Random(seed), 0
    count = sum(len(arrays) for arrays in check_keras(path.read_bytes(), PATH).weights.values())
    for _ in range(100):
        content = bytearray(members[member] if member else path.read_bytes())
        start = chance.randrange(len(content))
        end = start + chance.choice([0, 1, 1, 4, 40])
        content[start:end] = chance.randbytes(chance.choice([0, 1, 1, 4, 40]))
        changed = archive(*(members | {member: bytes(content)}).items()) if member else bytes(content)
        try:
            checked = check_keras(changed, PATH)
        except ModelError as error:
            assert "\n" not in str(error)
            continue
        opened += 1
        assert [array.dtype for arrays in checked.weights.values() for array in arrays] == [np.float32] * count
    assert opened < 100


# Saving


def test_a_model_that_would_not_be_opened_is_not_saved(tmp_path: Path) -> None:
    signal = keras.Input((288, 1))
    shared = keras.layers.Dense(1)
    with pytest.raises(ValueError, match="used more than once"):
        save_model(tmp_path / "twice", keras.Model(signal, shared(shared(signal))), card=CARD)
    wide = keras.layers.Dense(1)(keras.layers.Dense(200_000)(signal))
    with pytest.raises(ModelError, match="computes more than 32,000,000 values per segment"):
        save_model(tmp_path / "wide", keras.Model(signal, wide), card=CARD)
    assert not list(tmp_path.iterdir())


# Changes while a model is opened


def test_files_that_are_replaced_while_they_are_read_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = copy_pretrained(tmp_path / "model")
    wanted = read_folder(directory).files

    def read_and_replace(path: Path, *, limit: int) -> bytes:
        content = read_bytes(path, limit=limit)
        if path.name != "card.json":
            path.write_bytes(b"replaced")
        return content

    monkeypatch.setattr("ecg_study.models.card.read_bytes", read_and_replace)
    assert read_folder(directory).files == wanted
    with pytest.raises(ModelError, match="differs from the hash"):
        read_folder(directory)


def test_the_segment_length_of_the_card_must_be_that_of_the_model(tmp_path: Path) -> None:
    directory = edit_card(copy_pretrained(tmp_path / "model"), segment_samples=144)
    for runtime in ("onnx", "keras"):
        with pytest.raises(ModelError, match="reads 2016 samples, but its card has segment_samples = 144"):
            load_model(directory, runtime=runtime)
