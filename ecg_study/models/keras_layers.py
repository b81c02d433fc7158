"""Layers of a Keras model, read from its configuration before Keras builds them.

The shapes of all results and weights follow from the configuration. A configuration with an option that no model of
this project has is refused, because Keras could allocate any amount of memory for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ecg_study.models.network_size import NetworkError, NetworkSize

Shape = tuple[int, ...]

_MAX_LAYERS = 500
_ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh")


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one layer.

    Attributes:
        layer: Name of the layer.
        groups: Groups of the HDF5 file that hold the weights of the layer, in the order of ``get_weights``.
        shapes: Shapes of the weights of each group.
    """

    layer: str
    groups: tuple[str, ...]
    shapes: tuple[Shape, ...]


@dataclass
class KerasNetwork:
    """What the configuration of a Keras model says about it.

    Attributes:
        segment_samples: Samples per segment at the input.
        output: Shape of the output for one segment.
        weights: Weights of each layer that has some.
        size: Memory and work per segment.
    """

    segment_samples: int = 0
    output: Shape = ()
    weights: list[LayerWeights] = field(default_factory=list)
    size: NetworkSize = field(default_factory=NetworkSize)


@dataclass(frozen=True)
class _Layer:
    kind: str
    config: dict[str, Any]
    inputs: list[Shape]
    size: NetworkSize

    def integer(self, name: str) -> int:
        """Return a positive integer, also one in a list."""
        value = self.config.get(name)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise NetworkError(f"has {self.kind} with {name} = {str(value)[:40]}")
        return value

    def signal(self) -> Shape:
        """Return the shape of the input: batch, time, channels."""
        if len(_only(self)) != 3:
            raise NetworkError(f"has {self.kind} of shape {self.inputs[0]}")
        return self.inputs[0]


def read_network(content: Any) -> KerasNetwork:
    """Read the configuration of a Keras model.

    Args:
        content: Value of ``config.json``.

    Raises:
        NetworkError: The configuration is not that of a model of this project, or the model is too large.
    """
    try:
        model = content["config"]
        layers, source, result = model["layers"], _only_name(model["input_layers"]), _only_name(model["output_layers"])
        if content["class_name"] != "Functional" or not isinstance(layers, list) or len(layers) > _MAX_LAYERS:
            raise NetworkError("is not a functional model")
        _check_build_shape(content, None)
        network, shapes, counts = KerasNetwork(), dict[str, Shape](), Counter[str]()
        for layer in layers:
            name, kind = layer["name"], layer["class_name"]
            if not isinstance(name, str) or name in shapes or name != layer["config"]["name"]:
                raise NetworkError(f"has the layer {str(name)[:40]!r} more than once")
            _check_options(kind, layer["config"])
            found = _Layer(kind, layer["config"], _inputs(layer, shapes), network.size)
            shapes[name], weights = _RULES[kind](found)
            if found.inputs:
                _check_build_shape(layer, found.inputs[0])
            prefix = f"layers/{_SNAKE_CASE.get(kind, kind.lower())}"
            prefix += f"_{counts[kind]}" if counts[kind] else ""
            counts[kind] += 1
            if weights:
                groups = tuple(f"{prefix}/{part}vars" for part in _parts(layer))
                network.weights.append(LayerWeights(name, groups, weights))
        network.segment_samples, network.output = shapes[source][1], shapes[result]
        if counts["InputLayer"] != 1:
            raise NetworkError(f"has {counts['InputLayer']} inputs, not one")
    except NetworkError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise NetworkError("has a configuration that Keras does not write") from error
    return network


def _only(layer: _Layer) -> Shape:
    if len(layer.inputs) != 1 or not layer.inputs[0]:
        raise NetworkError(f"has {layer.kind} of {len(layer.inputs)} inputs")
    return layer.inputs[0]


def _only_name(layers: list[Any]) -> str:
    """Return the single name in a Keras list of inputs or outputs, which may be nested."""
    if len(layers) == 1 and isinstance(layers[0], list):
        layers = layers[0]
    if len(layers) != 3 or not isinstance(layers[0], str) or layers[1:] != [0, 0]:
        raise NetworkError("has more than one input or output")
    return layers[0]


def _inputs(layer: dict[str, Any], shapes: dict[str, Shape]) -> list[Shape]:
    """Return the shapes that a layer is called with. Numbers have the shape ``()``."""
    calls = layer["inbound_nodes"]
    if layer["class_name"] == "InputLayer" and calls == []:
        return []
    if len(calls) != 1 or set(calls[0]) - {"args", "kwargs"}:
        raise NetworkError(f"calls {layer['name']} {len(calls)} times")
    options = calls[0].get("kwargs", {})
    if any(name not in ("mask", "training") or value not in (None, False) for name, value in options.items()):
        raise NetworkError(f"calls {layer['name']} with options")
    found: list[Shape] = []
    for argument in calls[0]["args"]:
        if isinstance(argument, (int, float)) and not isinstance(argument, bool):
            found.append(())
            continue
        name, *node = argument["config"]["keras_history"]
        if argument["class_name"] != "__keras_tensor__" or node != [0, 0] or name not in shapes:
            raise NetworkError(f"calls {layer['name']} with another value than the output of a layer")
        found.append(shapes[name])
    return found


def _check_build_shape(layer: dict[str, Any], shape: Shape | None) -> None:
    """Refuse a shape that Keras would build a layer for, although the layer is called with another."""
    stored = layer.get("build_config")
    if stored is None or stored == {"input_shape": None}:
        return
    if shape is None or stored != {"input_shape": [None, *shape[1:]]}:
        raise NetworkError(f"builds {layer['class_name']} for another shape than that of its input")


def _check_options(kind: str, config: dict[str, Any]) -> None:
    """Refuse options that no model of this project has. Unknown ones may be off or missing, in newer versions."""
    if kind not in _OPTIONS:
        raise NetworkError(f"has {kind}")
    fixed, free = _OPTIONS[kind]
    for name, wanted in fixed.items():
        if name not in config or not any(config[name] == value for value in wanted):
            raise NetworkError(f"has {kind} with {name} = {str(config.get(name))[:40]}")
    if _dtype(config.get("dtype", "float32")) != "float32":
        raise NetworkError(f"has {kind} with another type than float32")
    known = {*fixed, *free, "name", "dtype", "trainable", "seed"}
    for name, value in config.items():
        if name not in known and not name.endswith("_initializer") and value is not None and value is not False:
            raise NetworkError(f"has {kind} with {name} = {str(value)[:40]}")


def _dtype(value: Any) -> Any:
    return value["config"]["name"] if isinstance(value, dict) else value


def _input(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    batch, samples, channels = layer.config["batch_shape"]
    if batch is not None or channels != 1 or isinstance(samples, bool) or not isinstance(samples, int):
        raise NetworkError(f"reads the shape {str(layer.config['batch_shape'])[:80]}")
    layer.size.add((1, samples, 1))
    return (1, samples, 1), ()


def _unchanged(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    shape = _only(layer)
    # Normalization keeps a centered and a squared copy.
    layer.size.add(shape, buffered=3 * math.prod(shape))
    return shape, ()


def _reshape(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    wanted = layer.config["target_shape"]
    if any(isinstance(length, bool) or not isinstance(length, int) for length in wanted):
        raise NetworkError(f"has Reshape to {str(wanted)[:80]}")
    shape = (1, *wanted)
    layer.size.add(shape)
    if math.prod(shape) != math.prod(_only(layer)):
        raise NetworkError(f"has Reshape of {layer.inputs[0]} to {shape}")
    return shape, ()


def _convolution(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    _, samples, channels = layer.signal()
    filters, kernel, stride = layer.integer("filters"), layer.integer("kernel_size"), layer.integer("strides")
    same = layer.config["padding"] == "same"
    if stride != (1 if same else kernel):
        raise NetworkError(f"has Conv1D with kernel_size = {kernel} and strides = {stride}")
    shape = (1, samples if same else samples // kernel, filters)
    gathered = shape[1] * kernel * channels
    layer.size.add(shape, products=gathered * filters, buffered=gathered)
    return shape, ((kernel, channels, filters), (filters,))


def _dense(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    *outer, channels = _only(layer)
    units = layer.integer("units")
    shape = (*outer, units)
    layer.size.add(shape, products=math.prod(shape) * channels)
    return shape, ((channels, units), (units,))


def _recurrent(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    batch, steps, channels = layer.signal()
    units, gates = layer.integer("units"), 4 if layer.kind == "LSTM" else 3
    shape, row = (batch, steps, units), gates * units
    values = math.prod(shape)
    layer.size.add(shape, products=values * gates * (channels + units), buffered=values * (gates + 2))
    bias = (row,) if layer.kind == "LSTM" else (2, row)
    return shape, ((channels, row), (units, row), bias)


def _bidirectional(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    found = []
    for name, backward in (("layer", False), ("backward_layer", True)):
        inner = layer.config[name]
        config = dict(inner["config"])
        if inner["class_name"] not in ("GRU", "LSTM") or config.pop("go_backwards") is not backward:
            raise NetworkError("has Bidirectional with another layer than GRU and LSTM in both directions")
        _check_options(inner["class_name"], config | {"go_backwards": False})
        _check_build_shape(inner, layer.signal())
        found.append(_recurrent(_Layer(inner["class_name"], config, layer.inputs, layer.size)))
    (shape, forward), (other, backward_shapes) = found
    if forward != backward_shapes:
        raise NetworkError(f"has Bidirectional of {shape[-1]} and {other[-1]} units")
    joined = (*shape[:-1], 2 * shape[-1])
    layer.size.add(joined)
    return joined, forward


def _elementwise(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    if len(layer.inputs) != (1 if layer.kind == "Sqrt" else 2):
        raise NetworkError(f"has {layer.kind} of {len(layer.inputs)} values")
    try:
        shape = tuple(np.broadcast_shapes(*layer.inputs))
    except ValueError as error:
        raise NetworkError(f"has {layer.kind} of shapes {layer.inputs}") from error
    layer.size.add(shape)
    return shape, ()


def _mean(layer: _Layer) -> tuple[Shape, tuple[Shape, ...]]:
    shape, axis = _only(layer), layer.config["axis"]
    # The mean over segments would be another in another batch.
    if isinstance(axis, bool) or not isinstance(axis, int) or not -len(shape) < axis < len(shape) or axis == 0:
        raise NetworkError(f"has Mean over axis {str(axis)[:40]} of shape {shape}")
    kept = [1 if number == axis % len(shape) else length for number, length in enumerate(shape)]
    if not layer.config["keepdims"]:
        del kept[axis]
    layer.size.add(kept, products=math.prod(shape))
    return tuple(kept), ()


def _parts(layer: dict[str, Any]) -> Sequence[str]:
    """Return the groups within that of a layer that have its weights."""
    if layer["class_name"] == "Bidirectional":
        return "forward_layer/cell/", "backward_layer/cell/"
    return ("cell/",) if layer["class_name"] in ("GRU", "LSTM") else ("",)


_SNAKE_CASE = {"InputLayer": "input_layer", "LayerNormalization": "layer_normalization"}

_CELL: dict[str, Sequence[Any]] = {
    **dict.fromkeys(("return_sequences", "use_bias"), (True,)),
    **dict.fromkeys(("return_state", "go_backwards", "stateful", "unroll"), (False,)),
    "activation": ("tanh",),
    "recurrent_activation": ("sigmoid",),
}
_CELL_FREE = ("units", "dropout", "recurrent_dropout", "zero_output_for_mask", "unit_forget_bias")

_OPTIONS: dict[str, tuple[dict[str, Sequence[Any]], Sequence[str]]] = {
    "InputLayer": ({"sparse": (False,), "ragged": (False,)}, ("batch_shape",)),
    "LayerNormalization": (
        {"axis": ([1], 1), "center": (False,), "scale": (False,), "rms_scaling": (False,)},
        ("epsilon",),
    ),
    "Reshape": ({}, ("target_shape",)),
    "Dropout": ({}, ("rate",)),
    "Conv1D": (
        {
            "padding": ("same", "valid"),
            "data_format": ("channels_last",),
            "dilation_rate": ([1], 1),
            "groups": (1,),
            "use_bias": (True,),
            "activation": _ACTIVATIONS,
        },
        ("filters", "kernel_size", "strides", "rank"),
    ),
    "Dense": ({"use_bias": (True,), "activation": _ACTIVATIONS}, ("units",)),
    "LSTM": (_CELL, _CELL_FREE),
    "GRU": (_CELL | {"reset_after": (True,)}, _CELL_FREE),
    "Bidirectional": ({"merge_mode": ("concat",)}, ("layer", "backward_layer")),
    "Mean": ({"keepdims": (True, False)}, ("axis",)),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Divide", "Sqrt"), ({}, ())),
}
"""Options of each layer that decide about its shapes: those with one of the values here, and those with any value."""

_RULES: dict[str, Callable[[_Layer], tuple[Shape, tuple[Shape, ...]]]] = {
    "InputLayer": _input,
    **dict.fromkeys(("LayerNormalization", "Dropout"), _unchanged),
    "Reshape": _reshape,
    "Conv1D": _convolution,
    "Dense": _dense,
    **dict.fromkeys(("GRU", "LSTM"), _recurrent),
    "Bidirectional": _bidirectional,
    "Mean": _mean,
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Divide", "Sqrt"), _elementwise),
}
"""Rule of each layer: the shape of its output for one segment, and of its weights, per direction if it has two."""
