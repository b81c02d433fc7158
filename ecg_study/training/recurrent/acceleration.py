"""Models whose recurrent layers are computed by compiled code, with the weights of the Keras model."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ecg_study.training.backend import backend_name, differentiable, has_gpu, limit_blas, thread_count
from ecg_study.training.recurrent.operation import RecurrentOperation

SUPPORTED_BACKENDS = ("tensorflow", "torch")
"""JAX compiles the loop over the steps itself, and leaving its compiled step for NumPy would cost what is gained."""


def accelerate(model: keras.Model, *, threads: int | None = None) -> keras.Model:
    """Return a model that shares all variables of ``model`` and computes its GRU and LSTM layers by compiled code.

    Train the returned model and save the original one. The returned model is not compiled. If nothing can be
    accelerated, because of the backend, a GPU or the options of the layers, it is ``model`` itself. Otherwise, BLAS is
    limited to one thread in this process: the layers call it from each of their threads.

    Args:
        model: functional model.
        threads: threads for the layers (default: those of the backend).
    """
    if backend_name() not in SUPPORTED_BACKENDS or has_gpu() or not any(map(can_accelerate, model.layers)):
        return model

    limit_blas(1)
    count = thread_count() if threads is None else threads

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        return CompiledRecurrent(layer, threads=count) if can_accelerate(layer) else layer

    # Keras would clone the optimizer of a compiled model too.
    not_compiled = keras.Model(model.input, model.output, name=model.name)
    clone: keras.Model = keras.models.clone_model(not_compiled, clone_function=replace)
    return clone


def can_accelerate(layer: keras.layers.Layer) -> bool:
    """Return whether compiled code computes what this layer computes.

    It may be a GRU or LSTM or a bidirectional one, with the options that cuDNN supports too, and returns all steps.
    """
    if isinstance(layer, keras.layers.Bidirectional):
        return layer.merge_mode == "concat" and all(map(_supported, _directions(layer)))
    return _supported(layer) and not layer.go_backwards  # alone, it would return its steps in the reverse order


def _directions(layer: Any) -> list[Any]:
    return [layer.forward_layer, layer.backward_layer] if isinstance(layer, keras.layers.Bidirectional) else [layer]


def _supported(layer: Any) -> bool:
    return (
        type(layer) in (keras.layers.GRU, keras.layers.LSTM)
        and layer.built
        and layer.compute_dtype == layer.variable_dtype == "float32"
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and layer.use_bias
        and getattr(layer, "reset_after", True)
        and layer.dropout == layer.recurrent_dropout == 0
        and layer.return_sequences
        and not (layer.return_state or layer.stateful or layer.unroll)
        and not any(getattr(layer.cell, f"{weight}_{option}") for weight in _WEIGHTS for option in _LIMITS)
    )


_WEIGHTS, _LIMITS = ("kernel", "recurrent", "bias"), ("constraint", "regularizer")


class CompiledRecurrent(keras.layers.Layer):
    """A layer that computes a recurrent layer of Keras with its variables.

    Args:
        layer: a built layer for which `can_accelerate` is true.
        threads: threads that compute it.
    """

    def __init__(self, layer: keras.layers.Layer, *, threads: int) -> None:
        super().__init__(name=layer.name, trainable=layer.trainable)
        self.layer = layer
        directions = _directions(layer)
        operation = RecurrentOperation(
            lstm=isinstance(directions[0], keras.layers.LSTM),
            reverse=tuple(direction.go_backwards for direction in directions),
            threads=threads,
        )
        self._outputs = differentiable(operation.outputs)
        self._trained_outputs = differentiable(operation.forward, operation.gradients)
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the outputs."""
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs: Any, **_: Any) -> keras.KerasTensor:
        """Return the outputs as a symbolic tensor. Keras would call the layer with tensors that have no values."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype)

    def call(self, inputs: Any, *, training: bool = False, mask: Any = None, **_: Any) -> Any:
        """Return the outputs, ``(batch, steps, directions * units)``."""
        assert mask is None
        weights = [
            ops.convert_to_tensor(variable)
            for direction in _directions(self.layer)
            for variable in (direction.cell.kernel, direction.cell.recurrent_kernel, direction.cell.bias)
        ]
        compute = self._trained_outputs if training else self._outputs
        return compute(inputs, *weights, shape=self.compute_output_shape(inputs.shape))
