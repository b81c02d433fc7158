"""Tests of the size of ONNX graphs: memory and work are bounded before a file is opened."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from tests.models.model_files import FLOAT, SEGMENT, node, onnx_model, opened, refused

CHANNELS_FIRST = node("Transpose", "x", "t", perm=[0, 2, 1])
MEAN = (node("ReduceMean", "u axes", "m"), node("Add", "x m"))


def convolution(**attributes: Any) -> onnx.ModelProto:
    weights, bias = np.ones((1, 1, 1), np.float32), np.ones(1, np.float32)
    return onnx_model(
        CHANNELS_FIRST, node("Conv", "t w b", "u", **attributes), *MEAN, w=weights, b=bias, axes=np.array([2])
    )


def stacked(count: int) -> onnx.ModelProto:
    """A sum of results that are all kept: each of 2,016 × 500 values."""
    row = np.ones((1, 1, 500), np.float32)
    nodes = [node("Mul", "x row", "u0"), *(node("Add", f"u{n} x", f"u{n + 1}") for n in range(count))]
    return onnx_model(*nodes, node("Identity", f"u{count}", "u"), *MEAN, row=row, axes=np.array([2]))


def recurrent(**changes: Any) -> onnx.ModelProto:
    units = 3
    weights: dict[str, Any] = {
        "w": np.ones((1, 4 * units, 1), np.float32),
        "r": np.ones((1, 4 * units, units), np.float32),
        "b": np.ones((1, 8 * units), np.float32),
    }
    cell = node("LSTM", "t w r b", "u", **{"hidden_size": units, "direction": "forward"} | changes)
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), cell, node("Transpose", "u", "v", perm=[2, 0, 1, 3])]
    nodes += [node("ReduceMean", "v axes", "m", keepdims=0), node("Reshape", "m n")]
    return onnx_model(*nodes, **weights, axes=np.array([2, 3]), n=np.array([-1, SEGMENT, 1]))


def test_the_models_that_these_tests_change_are_valid() -> None:
    segments = np.random.default_rng(0).normal(size=(20, SEGMENT)).astype(np.float32)
    for model in (convolution(), convolution(pads=[3, 4], strides=[2]), stacked(2), recurrent()):
        assert opened(model).run(segments).shape == segments.shape


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (convolution(pads=[10**9, 10**9]), "computes more than 32,000,000 values per segment"),
        (convolution(pads=[2**62, 2**62]), "computes more than"),
        (convolution(pads=[-2000, 0]), "Conv with pads"),
        (convolution(pads=[0, 0, 0]), "Conv with pads"),
        (convolution(strides=[0]), "Conv with pads .* and strides"),
        (convolution(strides=[1, 1]), "Conv with pads"),
        (convolution(kernel_shape=[3]), "Conv with pads"),
        (convolution(dilations=[10**6]), "Conv with dilations"),
        (convolution(group=2), "Conv with group"),
        (stacked(40), "computes more than 32,000,000 values"),
        (recurrent(hidden_size=10**9), "LSTM with 1000000000 units and weights of shapes"),
        (recurrent(direction="bidirectional"), "LSTM with 3 units"),
        (recurrent(direction="reverse"), "LSTM with 3 units"),
        (recurrent(clip=1.0), "f in AttributeProto"),
    ],
)
def test_a_layer_that_takes_too_much_memory_is_refused(model: onnx.ModelProto, match: str) -> None:
    refused(model, match)


def column(length: int) -> np.ndarray:
    return np.ones((length, 1), np.float32)


@pytest.mark.parametrize("operator", ["Add", "Mul", "MatMul"])
def test_constants_that_make_a_large_result_are_refused(operator: str) -> None:
    """ONNX Runtime would compute it when the model is opened."""
    nodes = (node(operator, "a b", "u"), *MEAN)
    model = onnx_model(*nodes, a=column(40_000), b=column(40_000).T, axes=np.array([0, 1]))
    refused(model, "computes more than")


def test_a_result_that_grows_with_the_square_of_the_batch_is_refused() -> None:
    nodes = [
        node("Reshape", "x column", "a"),
        node("Reshape", "x row", "b"),
        node("MatMul", "a b", "u"),
        node("ReduceMean", "u axes", "m"),
        node("Add", "x m"),
    ]
    lists: dict[str, Any] = {"column": np.array([-1, 1]), "row": np.array([1, -1]), "axes": np.array([0, 1])}
    short = ("batch", 700, 1)
    model = onnx_model(*nodes, inputs=(("x", FLOAT, short),), outputs=(("y", FLOAT, short),), **lists)
    refused(model, "computes values of one segment from another")


def test_a_network_that_takes_too_long_is_refused() -> None:
    """Few values, but thirty thousand million multiplications per segment."""
    wide, size = np.ones((1, 1, 4000), np.float32), np.ones((4000, 4000), np.float32)
    nodes = [node("Mul", "x wide", "u"), node("MatMul", "u size", "v"), node("ReduceMean", "v axes")]
    refused(onnx_model(*nodes, wide=wide, size=size, axes=np.array([2])), "multiplications per segment")


@pytest.mark.parametrize(
    "shape", [[-1, -1, 1], [-2, SEGMENT, 1], [0, 0, 0, 0], [-1, 7, 11], [10**12, -1, 1], [-1, SEGMENT, 2], []]
)
def test_a_reshape_of_another_size_is_refused(shape: list[int]) -> None:
    refused(onnx_model(node("Reshape", "x n"), n=np.array(shape, np.int64)), "Reshape of shape|a constant of type")


@pytest.mark.parametrize("axes", [[3], [-4], [2**60]])
def test_a_mean_over_a_missing_axis_is_refused(axes: list[int]) -> None:
    refused(onnx_model(node("ReduceMean", "x axes"), axes=np.array(axes)), "ReduceMean over axes")


def test_a_shape_that_is_computed_is_refused() -> None:
    nodes = [node("Identity", "n", "shape"), node("Reshape", "x shape")]
    refused(onnx_model(*nodes, n=np.array([-1, SEGMENT, 1])), "which has another type")
