"""Conversion of a Keras model to ONNX.

The ONNX export of Keras turns a GRU into a loop, which is slower than TensorFlow. ONNX has operators for GRU and LSTM
with the same arithmetic, so this module translates the few layer types of the search spaces one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.models.onnx_file import IR_VERSION, OPSET, PRODUCER

if TYPE_CHECKING:
    import keras
    import onnx

_LSTM_GATES, _GRU_GATES = (0, 3, 1, 2), (0, 1, 2)
"""Index in Keras of each gate of ONNX: i, o, f, c among i, f, c, o; and z, r, h among z, r, h."""

_ACTIVATIONS = {"linear": "", "relu": "Relu", "sigmoid": "Sigmoid"}


def convert_to_onnx(model: keras.Model) -> bytes:
    """Convert a Keras model to ONNX.

    Args:
        model: Model of the layer types that a model folder may have; input and output have the shape
            ``(batch, segment_samples, 1)``.

    Returns:
        Content of the ONNX file. Its input and output have the names of the Keras model.

    Raises:
        ValueError: A layer or its configuration has no translation.
    """
    from onnx import TensorProto, checker, helper

    content = model.get_config()
    graph = _Graph()
    for layer in content["layers"]:
        inputs = _inputs(layer)
        graph.names[layer["name"]] = _translate(graph, model, layer, [graph.value(item) for item in inputs])
    source, result = _only_name(content["input_layers"]), _only_name(content["output_layers"])
    shape = ["batch", *model.input_shape[1:]]
    output = graph.add("Identity", [graph.names[result]])
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            model.name,
            [helper.make_tensor_value_info(graph.names[source], TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
    )
    checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())


class _Graph:
    """ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: dict[str, str] = {}

    def add(self, kind: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> str:
        """Add an operator and return the name of its first output."""
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        names = [name, *(f"{name}_{number}" for number in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, inputs, names, name=name, **attributes))
        return name

    def constant(self, values: Any, kind: type = np.float32) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def value(self, item: str | float) -> str:
        """Return the name of a layer output, or of a new constant for a number."""
        return self.names[item] if isinstance(item, str) else self.constant(item)


def _only_name(layers: list[Any]) -> str:
    """Return the single name in a Keras list of inputs or outputs, which may be nested."""
    if isinstance(layers[0], list):
        if len(layers) > 1:
            raise ValueError(f"{len(layers)} inputs or outputs; a model must have one of each")
        layers = layers[0]
    return str(layers[0])


def _inputs(layer: dict[str, Any]) -> list[str | float]:
    """Return the arguments of a layer call: names of layers, or numbers."""
    if not layer["inbound_nodes"]:
        return []
    if len(layer["inbound_nodes"]) > 1:
        raise ValueError(f"{layer['name']} is used more than once")
    return [
        argument["config"]["keras_history"][0] if isinstance(argument, dict) else float(argument)
        for argument in layer["inbound_nodes"][0]["args"]
    ]


def _translate(graph: _Graph, model: keras.Model, layer: dict[str, Any], inputs: list[str]) -> str:
    kind, config = layer["class_name"], layer["config"]
    if kind == "InputLayer":
        return str(layer["name"])
    if kind == "Dropout":
        return inputs[0]
    if kind in _SIMPLE:
        return graph.add(_SIMPLE[kind], inputs)
    if kind == "Mean":
        return graph.add("ReduceMean", [inputs[0], _axis(graph, config["axis"])], keepdims=int(config["keepdims"]))
    if kind == "Reshape":
        shape = graph.constant([-1, *config["target_shape"]], np.int64)
        return graph.add("Reshape", [inputs[0], shape])
    if kind not in _WEIGHTED:
        raise ValueError(f"layer {kind} cannot be converted to ONNX")
    return _WEIGHTED[kind](
        graph, config, [np.asarray(w) for w in model.get_layer(layer["name"]).get_weights()], inputs[0]
    )


def _axis(graph: _Graph, axis: int) -> str:
    return graph.constant([axis], np.int64)


_SIMPLE = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Sqrt": "Sqrt"}


def _normalization(graph: _Graph, config: dict[str, Any], _: list[np.ndarray], x: str) -> str:
    if config["center"] or config["scale"] or config["rms_scaling"] or list(config["axis"]) != [1]:
        raise ValueError("layer normalization over other axes, or with weights, cannot be converted to ONNX")
    mean = graph.add("ReduceMean", [x, _axis(graph, 1)], keepdims=1)
    centered = graph.add("Sub", [x, mean])
    variance = graph.add("ReduceMean", [graph.add("Mul", [centered, centered]), _axis(graph, 1)], keepdims=1)
    deviation = graph.add("Sqrt", [graph.add("Add", [variance, graph.constant(config["epsilon"])])])
    return graph.add("Div", [centered, deviation])


def _dense(graph: _Graph, config: dict[str, Any], weights: list[np.ndarray], x: str) -> str:
    x = graph.add("MatMul", [x, graph.constant(weights[0])])
    if config["use_bias"]:
        x = graph.add("Add", [x, graph.constant(weights[1])])
    return _activated(graph, config, x)


def _activated(graph: _Graph, config: dict[str, Any], x: str) -> str:
    if config["activation"] not in _ACTIVATIONS:
        raise ValueError(f"activation {config['activation']!r} cannot be converted to ONNX")
    operator = _ACTIVATIONS[config["activation"]]
    return graph.add(operator, [x]) if operator else x


def _convolution(graph: _Graph, config: dict[str, Any], weights: list[np.ndarray], x: str) -> str:
    """Translate a convolution. ONNX orders axes as filters, channels, time."""
    expected = {"data_format": "channels_last", "dilation_rate": (1,), "groups": 1, "use_bias": True}
    odd = [name for name, value in expected.items() if _plain(config[name]) != value]
    kernel_size, stride = int(config["kernel_size"][0]), int(config["strides"][0])
    if odd or (config["padding"], stride) not in (("same", 1), ("valid", kernel_size)):
        raise ValueError(
            f"convolution with another {', '.join(odd) or 'padding or stride'} cannot be converted to ONNX"
        )
    padding = [(kernel_size - 1) // 2, kernel_size // 2] if config["padding"] == "same" else [0, 0]
    channels_first = graph.add("Transpose", [x], perm=[0, 2, 1])
    inputs = [channels_first, graph.constant(np.transpose(weights[0], (2, 1, 0))), graph.constant(weights[1])]
    filtered = graph.add("Conv", inputs, kernel_shape=[kernel_size], strides=[stride], pads=padding)
    return _activated(graph, config, graph.add("Transpose", [filtered], perm=[0, 2, 1]))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _recurrent(kind: str) -> Callable[[_Graph, dict[str, Any], list[np.ndarray], str], str]:
    def translate(graph: _Graph, config: dict[str, Any], weights: list[np.ndarray], x: str) -> str:
        return _cell(graph, kind, config, [weights], x)

    return translate


def _bidirectional(graph: _Graph, config: dict[str, Any], weights: list[np.ndarray], x: str) -> str:
    if config["merge_mode"] != "concat":
        raise ValueError("a bidirectional layer must concatenate its directions to be converted to ONNX")
    half = len(weights) // 2
    return _cell(graph, config["layer"]["class_name"], config["layer"]["config"], [weights[:half], weights[half:]], x)


def _cell(graph: _Graph, kind: str, config: dict[str, Any], directions: list[list[np.ndarray]], x: str) -> str:
    """Translate a recurrent layer. ONNX has time first, and one weight matrix per direction."""
    expected = {"activation": "tanh", "recurrent_activation": "sigmoid", "return_sequences": True, "use_bias": True}
    if kind == "GRU":
        expected["reset_after"] = True
    odd = [name for name, value in expected.items() if config[name] != value]
    if odd or config["go_backwards"]:
        raise ValueError(f"{kind} with another {', '.join(odd) or 'direction of time'} cannot be converted to ONNX")
    units, gates = int(config["units"]), _LSTM_GATES if kind == "LSTM" else _GRU_GATES
    kernels, recurrents, biases = zip(*(_gates(weights, gates) for weights in directions), strict=True)
    attributes: dict[str, Any] = {"hidden_size": units}
    attributes["direction"] = "bidirectional" if len(directions) == 2 else "forward"
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    time_first = graph.add("Transpose", [x], perm=[1, 0, 2])
    inputs = [time_first, *(graph.constant(np.stack(values)) for values in (kernels, recurrents, biases))]
    cell = graph.add(kind, inputs, **attributes)
    # From (time, directions, batch, units) to (batch, time, directions · units).
    batch_first = graph.add("Transpose", [cell], perm=[2, 0, 1, 3])
    shape = graph.constant([0, 0, units * len(directions)], np.int64)
    return graph.add("Reshape", [batch_first, shape])


def _gates(weights: list[np.ndarray], order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights and biases of one direction, with gates in the order of ONNX."""
    kernel, recurrent, bias = weights

    def ordered(matrix: np.ndarray) -> np.ndarray:
        parts = np.split(matrix, len(order), axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1)

    # A Keras LSTM has one bias; a GRU has one for the input and one for the state.
    both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    return ordered(kernel).T, ordered(recurrent).T, ordered(both).ravel()


_WEIGHTED: dict[str, Callable[[_Graph, dict[str, Any], list[np.ndarray], str], str]] = {
    "LayerNormalization": _normalization,
    "Dense": _dense,
    "Conv1D": _convolution,
    "LSTM": _recurrent("LSTM"),
    "GRU": _recurrent("GRU"),
    "Bidirectional": _bidirectional,
}
