"""Shapes of all results in an ONNX graph, computed for one segment before the graph is run.

Only the operators and attributes that `convert_to_onnx` writes are understood. A graph with anything else, or with a
shape that depends on data, is refused.

References:
    Operators.md of ONNX, opset 21.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.models.network_size import NetworkError, NetworkSize

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
Attributes = Mapping[str, int | str | tuple[int, ...]]


@dataclass(frozen=True)
class _Node:
    """One operator with the shapes of its inputs, and the values of those that are constant integers."""

    operator: str
    shapes: list[Shape]
    integers: list[tuple[int, ...] | None]
    attributes: Attributes

    def numbers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        value = self.attributes.get(name, default)
        return value if isinstance(value, tuple) else default

    def number(self, name: str) -> int:
        value = self.attributes.get(name, 0)
        return value if isinstance(value, int) else 0


def size_per_segment(graph: onnx.GraphProto, *, segment_samples: int, most_segments: int) -> NetworkSize:
    """Return the memory and work of a graph per segment, in batches of up to so many segments.

    Raises:
        NetworkError: See `network_size`; or a larger batch takes more than the segments in it.
    """
    single = network_size(graph, segment_samples=segment_samples)
    batch = network_size(graph, segment_samples=segment_samples, segments=most_segments)
    if batch.values > most_segments * single.values or batch.products > most_segments * single.products:
        raise NetworkError("computes values of one segment from another")
    return single


def network_size(graph: onnx.GraphProto, *, segment_samples: int, segments: int = 1) -> NetworkSize:
    """Return the memory and work of a graph for a batch of segments.

    Args:
        graph: Graph with one input, whose fields have been checked.
        segment_samples: Samples per segment.
        segments: Segments in the batch.

    Raises:
        NetworkError: A shape is not valid or not known, the network is too large, or the output has another shape than
            the input.
    """
    size = NetworkSize(segments)
    shapes: dict[str, Shape] = {}
    integers: dict[str, tuple[int, ...]] = {}
    for tensor in graph.initializer:
        _define(shapes, tensor.name, tuple(tensor.dims))
        if tensor.data_type == tensor.INT64:
            if len(tensor.dims) != 1:
                raise NetworkError(f"constant {tensor.name!r} is not a list of integers")
            integers[tensor.name] = tuple(np.frombuffer(tensor.raw_data, "<i8").tolist())
    given = (segments, segment_samples, 1)
    _define(shapes, graph.input[0].name, given)
    for node in graph.node:
        rule, (operands, lists) = _RULES[node.op_type], _OPERANDS.get(node.op_type, (1, 0))
        if len(node.input) != operands + lists or len(node.output) != 1:
            raise NetworkError(f"{node.op_type} has {len(node.input)} inputs and {len(node.output)} outputs")
        for place, name in enumerate(node.input):
            if name not in shapes:
                raise NetworkError(f"{node.op_type} reads {name!r}, which is not computed before")
            if (name in integers) != (place >= operands):
                raise NetworkError(f"{node.op_type} reads {name!r}, which has another type")
        found = _Node(
            node.op_type,
            [shapes[name] for name in node.input],
            [integers.get(name) for name in node.input],
            {item.name: _attribute(item) for item in node.attribute},
        )
        _define(shapes, node.output[0], rule(found, size))
    result = shapes.get(graph.output[0].name)
    if result != given:
        raise NetworkError(f"returns the shape {result} for segments of shape {given}")
    return size


def _define(shapes: dict[str, Shape], name: str, shape: Shape) -> None:
    if not name or name in shapes:
        raise NetworkError(f"defines {name!r} more than once" if name else "has a result without a name")
    shapes[name] = shape


def _attribute(item: onnx.AttributeProto) -> int | str | tuple[int, ...]:
    if item.type == item.INT:
        return int(item.i)
    if item.type == item.STRING:
        return item.s.decode("ascii", "replace")
    return tuple(item.ints)


def _elementwise(node: _Node, size: NetworkSize) -> Shape:
    try:
        shape = tuple(np.broadcast_shapes(*node.shapes))
    except ValueError as error:
        raise NetworkError(f"{node.operator} of shapes {' and '.join(map(str, node.shapes))}") from error
    size.add(shape)
    return shape


def _reduce_mean(node: _Node, size: NetworkSize) -> Shape:
    shape, axes = node.shapes[0], node.integers[1] or ()
    keeps = node.attributes.get("keepdims", 1)
    if keeps not in (0, 1) or not axes or any(not -len(shape) <= axis < len(shape) for axis in axes):
        raise NetworkError(f"ReduceMean over axes {axes} of shape {shape}")
    reduced = {axis % len(shape) for axis in axes}
    kept = [1 if axis in reduced else length for axis, length in enumerate(shape) if keeps or axis not in reduced]
    size.add(kept, products=math.prod(shape))
    return tuple(kept)


def _matmul(node: _Node, size: NetworkSize) -> Shape:
    left, right = node.shapes
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        raise NetworkError(f"MatMul of shapes {left} and {right}")
    stacked = _elementwise(_Node(node.operator, [left[:-2], right[:-2]], [], {}), NetworkSize(size.segments))
    shape = (*stacked, left[-2], right[-1])
    size.add(shape, products=math.prod(shape) * left[-1])
    return shape


def _reshape(node: _Node, size: NetworkSize) -> Shape:
    shape, wanted = node.shapes[0], node.integers[1] or ()
    if wanted.count(-1) > 1 or any(length < -1 for length in wanted) or 0 in wanted[len(shape) :]:
        raise NetworkError(f"Reshape of shape {shape} to {wanted}")
    copied = [shape[axis] if length == 0 else length for axis, length in enumerate(wanted)]
    known = math.prod(length for length in copied if length != -1)
    result = tuple(math.prod(shape) // known if length == -1 else length for length in copied)
    if math.prod(result) != math.prod(shape):
        raise NetworkError(f"Reshape of shape {shape} to {wanted}")
    size.add(result)
    return result


def _transpose(node: _Node, size: NetworkSize) -> Shape:
    shape = node.shapes[0]
    order = node.numbers("perm", tuple(reversed(range(len(shape)))))
    if sorted(order) != list(range(len(shape))):
        raise NetworkError(f"Transpose of shape {shape} to the order {order}")
    result = tuple(shape[axis] for axis in order)
    size.add(result)
    return result


def _conv(node: _Node, size: NetworkSize) -> Shape:
    signal, weights, bias = node.shapes
    if len(signal) != 3 or len(weights) != 3 or weights[1] != signal[1] or bias != weights[:1]:
        raise NetworkError(f"Conv of shapes {signal}, {weights} and {bias}")
    batch, channels, samples = signal
    filters, _, kernel = weights
    pads, strides = node.numbers("pads", (0, 0)), node.numbers("strides", (1,))
    shaped = node.numbers("kernel_shape", (kernel,)) == (kernel,) and len(strides) == 1 and len(pads) == 2
    if not shaped or min(strides) < 1 or min(pads) < 0:
        raise NetworkError(f"Conv with pads {pads} and strides {strides}")
    length = (samples + sum(pads) - kernel) // strides[0] + 1
    shape = (batch, filters, length)
    gathered = batch * channels * kernel * max(length, 0)
    size.add(shape, products=filters * gathered, buffered=gathered + batch * channels * sum(pads))
    return shape


def _recurrent(gates: int) -> Callable[[_Node, NetworkSize], Shape]:
    def rule(node: _Node, size: NetworkSize) -> Shape:
        signal, *weights = node.shapes
        units, direction = node.number("hidden_size"), node.attributes.get("direction", "forward")
        directions = {"forward": 1, "bidirectional": 2}.get(str(direction), 0)
        steps, batch, channels = signal if len(signal) == 3 else (0, 0, 0)
        rows = gates * units
        if weights != [(directions, rows, channels), (directions, rows, units), (directions, 2 * rows)]:
            raise NetworkError(f"{node.operator} with {units} units and weights of shapes {weights}")
        shape = (steps, directions, batch, units)
        values = math.prod(shape)
        size.add(shape, products=values * gates * (channels + units), buffered=values * (gates + 2))
        return shape

    return rule


_OPERANDS = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "MatMul"), (2, 0)),
    **dict.fromkeys(("ReduceMean", "Reshape"), (1, 1)),
    "Conv": (3, 0),
    **dict.fromkeys(("LSTM", "GRU"), (4, 0)),
}
"""Number of float32 inputs and of constant lists of integers of each operator; default: one input."""

_RULES: dict[str, Callable[[_Node, NetworkSize], Shape]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sqrt", "Relu", "Sigmoid", "Identity"), _elementwise),
    "ReduceMean": _reduce_mean,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Conv": _conv,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
}
"""Rule of each operator: the shape of its output. It adds the memory and work to the size of the network."""

OPERATORS = frozenset(_RULES)
"""Operators that `convert_to_onnx` writes. A file with any other is refused."""

ATTRIBUTES = frozenset(
    {
        ("ReduceMean", "keepdims", "INT"),
        ("Transpose", "perm", "INTS"),
        *(("Conv", name, "INTS") for name in ("kernel_shape", "strides", "pads")),
        *((cell, "hidden_size", "INT") for cell in ("LSTM", "GRU")),
        *((cell, "direction", "STRING") for cell in ("LSTM", "GRU")),
        ("GRU", "linear_before_reset", "INT"),
    }
)
"""Attributes that `convert_to_onnx` writes: operator, name and type."""
