"""Tests of ONNX files from strangers: refused in one line, or run with bounded time and memory."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from ecg_study.errors import ModelError
from ecg_study.inference.loading import PRETRAINED_DIR, load_model
from ecg_study.models.onnx_export import convert_to_onnx
from ecg_study.models.onnx_file import check_onnx
from ecg_study.search_spaces.denoiser import DenoiserConfig, build_denoiser
from ecg_study.search_spaces.detector import DetectorConfig, build_detector
from ecg_study.search_spaces.layers import StackConfig
from tests.models.model_files import (
    FLOAT,
    INT64,
    ONNX_PATH,
    SEGMENT,
    SHAPE,
    copy_pretrained,
    node,
    onnx_model,
    opened,
    refused,
    with_onnx,
)
from tests.tiny import ROOT

IDENTITY = node("Identity", "x")


STORED = sorted((*PRETRAINED_DIR.glob("*/model.onnx"), *(ROOT / "tests" / "fixtures").rglob("model.onnx")))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parents[2].name}-{path.parent.name}")
def test_a_stored_model_reaches_the_runtime_unchanged(path: Path) -> None:
    assert check_onnx(path.read_bytes(), path).content == path.read_bytes()


@pytest.mark.slow
@given(
    units=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    frame=st.sampled_from([1, 4, 12]),
    bidirectional=st.booleans(),
    filters=st.sampled_from([0, 3]),
    option=st.booleans(),
    wander=st.booleans(),
)
@settings(max_examples=12)
def test_every_converted_model_is_accepted(
    units: list[int], frame: int, bidirectional: bool, filters: int, option: bool, wander: bool
) -> None:
    stack = StackConfig(tuple(units), 0.1, frame, bidirectional, 1e-3, filters)
    models = [
        build_denoiser(DenoiserConfig(stack, residual=option), 144, removes_baseline_wander=wander),
        build_detector(DetectorConfig(stack, 5 * option), 144, window_samples=72, refractory_samples=20),
    ]
    for model in models:
        content = convert_to_onnx(model)
        assert check_onnx(content, ONNX_PATH).content == content


# Data that is not in the file


def external(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="private.bin")
    return tensor


def sparse(values: onnx.TensorProto) -> onnx.SparseTensorProto:
    indices = numpy_helper.from_array(np.arange(SEGMENT), "indices")
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[SEGMENT, 1])


def constant(name: str = "c") -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(SEGMENT, np.float32), name)


def test_external_data_of_a_constant_is_refused() -> None:
    model = onnx_model(node("Add", "x c"), c=np.zeros((SEGMENT, 1), np.float32))
    external(model.graph.initializer[0])
    refused(model, "has data in other files, which no model of this project uses; not opened")


def test_a_place_of_data_is_refused_even_without_the_mark_of_external_data() -> None:
    model = onnx_model(node("Add", "x c"), c=np.zeros((SEGMENT, 1), np.float32))
    external(model.graph.initializer[0]).ClearField("data_location")
    refused(model, "data in other files")


def test_a_sparse_constant_is_refused() -> None:
    model = onnx_model(node("Add", "x c"))
    model.graph.sparse_initializer.append(sparse(external(constant())))
    refused(model, "sparse data")


@pytest.mark.parametrize("name", ["value", "sparse_value"])
def test_a_constant_in_an_attribute_is_refused(name: str) -> None:
    value = external(constant()) if name == "value" else sparse(constant())
    refused(onnx_model(helper.make_node("Constant", [], ["c"], **{name: value}), node("Add", "x c")), "has ")


def in_function(model: onnx.ModelProto) -> None:
    function = helper.make_function("own", "f", ["x"], ["y"], [IDENTITY], [helper.make_opsetid("", 21)])
    model.functions.append(function)


def in_metadata(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="ort_config", value='{"session_options": {}}')


def in_training(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(external(constant()))


def in_quantization(model: onnx.ModelProto) -> None:
    model.graph.quantization_annotation.add(tensor_name="x")


def in_graph(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "inner"


def in_node_metadata(model: onnx.ModelProto) -> None:
    model.graph.node[0].metadata_props.add(key="key", value="value")


def in_value_info(model: onnx.ModelProto) -> None:
    model.graph.value_info.append(helper.make_tensor_value_info("z", FLOAT, SHAPE))


def in_reference(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="perm", type=onnx.AttributeProto.INTS, ref_attr_name="perm")


@pytest.mark.parametrize(
    ("add", "match"),
    [
        (in_function, "functions"),
        (in_metadata, "metadata"),
        (in_training, "steps of a training"),
        (in_quantization, "quantization_annotation"),
        (in_graph, "nested graphs"),
        (in_node_metadata, "metadata"),
        (in_value_info, "value_info"),
        (in_reference, "functions"),
    ],
)
def test_parts_that_this_project_does_not_write_are_refused(add: Callable[[onnx.ModelProto], None], match: str) -> None:
    model = onnx_model(IDENTITY)
    add(model)
    refused(model, match)


# Other formats


def encoded(number: int, content: bytes) -> bytes:
    """A field of a Protobuf message that has bytes."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def encoded_model(**extra: bytes) -> bytes:
    """The identity with extra bytes at the end of the model, its graph, its node, its constant or its input."""
    model = onnx_model(IDENTITY, c=np.zeros(1, np.float32))
    graph = model.graph
    parts = [
        encoded(1, graph.node[0].SerializeToString() + extra.get("node", b"")),
        encoded(5, graph.initializer[0].SerializeToString() + extra.get("constant", b"")),
        encoded(11, graph.input[0].SerializeToString() + extra.get("input", b"")),
        encoded(12, graph.output[0].SerializeToString()),
    ]
    model.ClearField("graph")
    whole: bytes = model.SerializeToString()
    return whole + encoded(7, b"".join(parts) + extra.get("graph", b"")) + extra.get("model", b"")


@pytest.mark.parametrize("level", ["model", "graph", "node", "constant", "input"])
def test_unknown_fields_are_refused_at_any_level(level: str) -> None:
    opened(encoded_model())
    refused(encoded_model(**{level: encoded(99 >> 3, b"hidden")}), "has unknown data|has .*, which no model")
    refused(encoded_model(**{level: b"\xf8\x07\x01"}), r"unknown data \(field 127 of")


@pytest.mark.parametrize(
    ("level", "extra", "match"),
    [
        ("constant", b"\x0d\x01\x00\x00\x00", "dims is not a number"),  # as four bytes
        ("constant", b"\x0a\x02\xff\xff", "not an ONNX model"),  # as a damaged list
        ("constant", b"\x12\x01\x01", "data_type is not a number"),
        ("constant", b"\x48\x01", "raw_data is not text"),
        ("graph", b"\x08\x01", "node is not a message"),
    ],
)
def test_a_field_in_the_form_of_another_type_is_refused(level: str, extra: bytes, match: str) -> None:
    """Protobuf would keep it as an unknown field."""
    refused(encoded_model(**{level: extra}), match)


def runtime_format(tmp_path: Path) -> bytes:
    """A model in ONNX Runtime's own format, with operators that no model of this project has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    model = onnx_model(node("Sin", "x", "s"), node("Erf", "s"))
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return (tmp_path / "model.ort").read_bytes()


def test_a_file_in_the_own_format_of_the_runtime_is_refused(tmp_path: Path) -> None:
    content = runtime_format(tmp_path)
    assert content[4:8] == b"ORTM"
    refused(content, "not an ONNX model|unknown data")


def test_a_model_with_the_mark_of_the_own_format_of_the_runtime_runs_as_onnx() -> None:
    """A producer named ORTM stands where ONNX Runtime looks for the mark of its own format."""
    model = onnx_model(IDENTITY)
    model.producer_name = "ORTM"
    content = model.SerializeToString()
    assert content[4:8] == b"ORTM"
    segments = np.ones((1, SEGMENT), np.float32)
    assert check_onnx(content, ONNX_PATH).content[4:8] != b"ORTM"
    np.testing.assert_array_equal(opened(content).run(segments), segments)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "has 0 inputs|no version"),
        (b"no such thing", "not an ONNX model"),
        (b"\x08", "it ends too early"),
        (b"\x08" + b"\xff" * 10, "more than 64 bits"),
        (b"\x3a\xff\xff\xff\x7f", "it ends too early"),
        (b"\x00\x00", "field 0"),
        (b"\x0b\x0c", "of type 3"),
        (b"\x12\x02\xff\xff", "producer_name is not UTF-8 text"),
        (b"\x12\xd0\x0f" + b"a" * 2000, "a producer_name of 2,000 bytes"),
        (b"\x38\x01", "graph is not a message"),
        (b"\x3a\x80\x80\x04" + b"\x0a\x00" * 32768, "more than 20,000 fields"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_damaged_file_is_reported(content: bytes, match: str) -> None:
    refused(content, match)


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    directory = copy_pretrained(tmp_path / "model")
    with open(directory / "model.onnx", "r+b") as file:
        file.truncate(2_000_000_000)  # a sparse file
    with pytest.raises(ModelError, match=r"model\.onnx: 2,000,000,000 bytes, more than the limit of 128,000,000"):
        load_model(directory)


# Operators


@pytest.mark.parametrize(
    ("operator", "attributes", "match"),
    [
        ("Sin", {}, "has Sin, which"),
        ("Loop", {}, "has Loop, which"),
        ("Identity", {"domain": "com.microsoft"}, "operators of com.microsoft"),
        ("Identity", {"axis": 1}, "Identity with axis"),
        ("Transpose", {"perm": 1}, "Transpose with perm"),
        ("Transpose", {"perm": [0, 0, 1]}, r"Transpose of shape \(1, 2016, 1\) to the order \(0, 0, 1\)"),
        ("Identity", {"overload": "o"}, "functions"),
        ("Relu", {"inputs": "x x"}, "Relu has 2 inputs"),
        ("Relu", {"inputs": "z"}, "reads 'z', which is not computed before"),
        ("Relu", {"output": "x"}, "defines 'x' more than once"),
        ("Relu", {"output": ""}, "has a result without a name"),
        ("Add", {"inputs": "x n"}, "reads 'n', which has another type"),
        ("Reshape", {"inputs": "x x"}, "reads 'x', which has another type"),
    ],
)
def test_other_operators_and_attributes_are_refused(operator: str, attributes: dict[str, Any], match: str) -> None:
    inputs, output = attributes.pop("inputs", "x"), attributes.pop("output", "y")
    refused(onnx_model(node(operator, inputs, output, **attributes), n=np.array([1])), match)


@pytest.mark.parametrize(
    "opsets", [(("", 20),), (("", 21), ("ai.onnx.ml", 3)), (("com.microsoft", 1),), (("", 21), ("", 21)), ()]
)
def test_other_versions_of_the_operators_are_refused(opsets: tuple[tuple[str, int], ...]) -> None:
    refused(onnx_model(IDENTITY, opsets=opsets), "operators of .* in format 10")


def test_another_version_of_the_file_format_is_refused() -> None:
    model = onnx_model(IDENTITY)
    model.ir_version = 4
    refused(model, "operators of ai.onnx 21 in format 4")


@pytest.mark.parametrize("change", ["short", "long", "type", "dims", "rank", "no data"])
def test_a_constant_whose_size_is_not_that_of_its_data_is_refused(change: str) -> None:
    model = onnx_model(node("Add", "x c"), c=np.zeros((SEGMENT, 1), np.float32))
    tensor = model.graph.initializer[0]
    if change == "short":
        tensor.raw_data = tensor.raw_data[:-4]
    elif change == "long":
        tensor.raw_data += b"0000"
    elif change == "type":
        tensor.data_type = onnx.TensorProto.DOUBLE
    elif change == "dims":
        tensor.dims[:] = [0, 10**12]
    elif change == "rank":
        tensor.dims[:] = [SEGMENT, *[1] * 8]
    else:
        tensor.ClearField("raw_data")
    refused(model, "a constant of type")


def test_values_of_a_constant_in_another_form_are_refused() -> None:
    model = onnx_model(node("Add", "x c"), c=np.float32(1))
    model.graph.initializer[0].float_data.append(1.0)
    refused(model, "float_data in TensorProto")


# Inputs and outputs


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (onnx_model(IDENTITY, inputs=()), "has 0 inputs and 1 outputs"),
        (onnx_model(IDENTITY, inputs=(("x", FLOAT, SHAPE), ("z", FLOAT, SHAPE))), "has 2 inputs"),
        (onnx_model(IDENTITY, node("Relu", "x", "z"), outputs=(("y", FLOAT, SHAPE), ("z", FLOAT, SHAPE))), "2 outputs"),
        (onnx_model(IDENTITY, outputs=()), "0 outputs"),
        (onnx_model(IDENTITY, inputs=(("x", INT64, SHAPE),)), "type 7, not float32 segments"),
        (onnx_model(IDENTITY, outputs=(("y", onnx.TensorProto.DOUBLE, SHAPE),)), "type 11, not float32"),
        (onnx_model(IDENTITY, inputs=(("x", FLOAT, (1, SEGMENT, 1)),)), r"shape \(1, 2016, 1\)"),
        (onnx_model(IDENTITY, inputs=(("x", FLOAT, ("batch", SEGMENT)),)), r"shape \(batch, 2016\)"),
        (onnx_model(IDENTITY, inputs=(("x", FLOAT, ("batch", SEGMENT, 2)),)), r"shape \(batch, 2016, 2\)"),
        (onnx_model(IDENTITY, inputs=(("x", FLOAT, ("batch", "samples", 1)),)), r"shape \(batch, samples, 1\)"),
        (onnx_model(IDENTITY, inputs=(("x", FLOAT, ("batch", -3, 1)),)), r"shape \(batch, -3, 1\)"),
        (onnx_model(IDENTITY, outputs=(("y", FLOAT, ("batch", 7, 1)),)), "segments of 2016 samples and returns 7"),
        (onnx_model(IDENTITY, outputs=(("z", FLOAT, SHAPE),)), "returns the shape None"),
        (onnx_model(node("Transpose", "x", perm=[1, 0, 2])), r"returns the shape \(2016, 1, 1\)"),
        (onnx_model(node("Reshape", "x n"), n=np.array([1, -1, 1])), "computes values of|returns the shape"),
        (onnx_model(node("Identity", "c"), c=np.zeros((1, SEGMENT, 1), np.float32)), "returns the shape"),
    ],
)
def test_other_inputs_and_outputs_are_refused(model: onnx.ModelProto, match: str) -> None:
    refused(model, match)


def test_an_input_of_another_length_than_in_the_card_is_refused(tmp_path: Path) -> None:
    short = ("batch", 144, 1)
    model = onnx_model(IDENTITY, inputs=(("x", FLOAT, short),), outputs=(("y", FLOAT, short),))
    directory = with_onnx(copy_pretrained(tmp_path / "model"), model)
    with pytest.raises(ModelError, match=r"onnx: reads 144 samples, but its card has segment_samples = 2016"):
        load_model(directory)


# Alterations


@pytest.mark.parametrize("seed", range(4))
def test_an_altered_file_is_refused_or_gives_finite_values(seed: int) -> None:
    source = (ROOT / "tests/fixtures/tiny_study/models/detector/model.onnx").read_bytes()
    chance, segments = random.Random(seed), np.random.default_rng(seed).normal(size=(2, 720)).astype(np.float32)
    finite = 0
    for _ in range(60):
        content = bytearray(source)
        for _ in range(chance.choice([1, 1, 2, 8])):
            start = chance.randrange(len(content))
            end = start + chance.choice([0, 1, 1, 4, 40])
            content[start:end] = chance.randbytes(chance.choice([0, 1, 1, 4, 40]))
        try:
            outputs = opened(bytes(content)).run(segments)
        except ModelError as error:
            assert "\n" not in str(error)
            continue
        finite += 1
        assert np.isfinite(outputs).all()
    assert finite < 60


def test_a_number_in_the_flatbuffer_format_is_not_taken_for_a_field() -> None:
    """A root offset that reads as two Protobuf numbers, before the mark of ONNX Runtime's own format."""
    refused(struct.pack("<I", 0x78 | 0x08 << 8 | 0x09 << 16) + b"ORTM" + bytes(100), "unknown data|not an ONNX model")
