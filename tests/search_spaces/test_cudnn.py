"""Recurrent layers fulfill the conditions under which Keras computes them with cuDNN on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.denoiser import DenoiserConfig, build_denoiser
from ecg_study.search_spaces.detector import DetectorConfig, build_detector
from ecg_study.search_spaces.layers import StackConfig
from ecg_study.search_spaces.presets import BOTH

SEGMENT = 2016

needs_tensorflow = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="the functions that are replaced here are those for TensorFlow"
)


def stacks(kind: str) -> set[StackConfig]:
    """Return the recurrent layers of every preset, with few units: their number decides nothing here."""
    found = set()
    for preset in PRESETS.values():
        ranges = getattr(preset, kind)
        for count, frame, direction, filters, dropout in product(
            ranges.layers, ranges.frame, ranges.direction, ranges.filters, ranges.dropout
        ):
            found.add(StackConfig((2,) * count, dropout, frame, direction == BOTH, 1e-3, min(filters, 1)))
    return found


def build(kind: str, stack: StackConfig) -> keras.Model:
    if kind == "denoiser":
        return build_denoiser(DenoiserConfig(stack, residual=True), SEGMENT)
    return build_detector(DetectorConfig(stack, dense_units=0), SEGMENT, window_samples=288, refractory_samples=72)


def recurrent(model: keras.Model) -> Iterator[Any]:
    """Yield the recurrent layers, of a bidirectional one both."""
    for layer in model.layers:
        if isinstance(layer, layers.Bidirectional):
            yield layer.forward_layer
            yield layer.backward_layer
        elif isinstance(layer, layers.RNN):
            yield layer


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["denoiser", "detector"])
def test_the_layers_of_every_preset_have_the_options_of_cudnn(kind: str) -> None:
    assert len(stacks(kind)) > 5
    # The options do not depend on dropout, which is a layer of its own, nor on the length of a frame.
    for stack in {replace(stack, dropout=min(stack.dropout, 0.1), frame=8) for stack in stacks(kind)}:
        model = build(kind, stack)
        found = list(recurrent(model))
        assert len(found) == len(stack.units) * (1 + stack.bidirectional)
        assert not any(isinstance(layer, (layers.Masking, layers.Embedding)) for layer in model.layers)
        for layer in found:
            assert layer.use_cudnn == "auto"
            assert (layer.activation, layer.recurrent_activation) == (
                keras.activations.tanh,
                keras.activations.sigmoid,
            )
            assert (layer.recurrent_dropout, layer.unroll, layer.use_bias) == (0, False, True)
            assert kind == "denoiser" or layer.reset_after


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Masks of the calls of cuDNN, which Keras believes to be there. It returns zeros."""
    rnn = import_module("keras.src.backend.tensorflow.rnn")  # its package has a function of this name
    masks: list[Any] = []

    def gru(*arguments: Any) -> tuple[Any, Any, list[Any]]:
        inputs, state, mask = arguments[0], arguments[1], arguments[5]
        masks.append(mask)
        return state, keras.ops.zeros((*inputs.shape[:2], state.shape[-1])), [state]

    def lstm(*arguments: Any) -> tuple[Any, Any, list[Any]]:
        inputs, state, cell, mask = *arguments[:3], arguments[6]
        masks.append(mask)
        return state, keras.ops.zeros((*inputs.shape[:2], state.shape[-1])), [state, cell]

    monkeypatch.setattr(rnn, "_is_gpu_available", lambda: True)
    monkeypatch.setattr(rnn, "_cudnn_gru", gru)
    monkeypatch.setattr(rnn, "_cudnn_lstm", lstm)
    return masks


@needs_tensorflow
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["denoiser", "detector"])
def test_on_a_gpu_every_recurrent_layer_calls_cudnn(kind: str, bidirectional: bool, calls: list[Any]) -> None:
    model = build(kind, StackConfig((2, 3), 0.1, 16, bidirectional, 1e-3))
    for layer in recurrent(model):
        layer.use_cudnn = True
    calls.clear()
    model(np.zeros((1, SEGMENT, 1), np.float32), training=True)
    assert calls == [None] * len(list(recurrent(model)))


_VIOLATIONS: list[dict[str, Any]] = [
    {"activation": "relu"},
    {"recurrent_activation": "hard_sigmoid"},
    {"recurrent_dropout": 0.1},
    {"unroll": True},
    {"use_bias": False},
    {"reset_after": False},
]


@needs_tensorflow
@pytest.mark.parametrize("options", _VIOLATIONS, ids=lambda options: next(iter(options)))
@pytest.mark.parametrize("cell", [layers.GRU, layers.LSTM])
def test_a_layer_that_violates_a_condition_raises(cell: Any, options: dict[str, Any], calls: list[Any]) -> None:
    inputs = np.zeros((1, 4, 2), np.float32)
    cell(3, return_sequences=True, use_cudnn=True)(inputs)
    assert calls
    if cell is layers.GRU or "reset_after" not in options:
        with pytest.raises(ValueError, match="cuDNN is not supported for this layer configuration"):
            cell(3, return_sequences=True, use_cudnn=True, **options)(inputs)
