"""Models with compiled recurrent layers against the layers of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ecg_study.training.backend import import_backend

import_backend()

import keras  # noqa: E402

from ecg_study.search_spaces.denoiser import DenoiserConfig, build_denoiser  # noqa: E402
from ecg_study.search_spaces.detector import DetectorConfig, build_detector  # noqa: E402
from ecg_study.search_spaces.layers import StackConfig  # noqa: E402
from ecg_study.training.environment import seed_everything  # noqa: E402
from ecg_study.training.recurrent.acceleration import accelerate, can_accelerate  # noqa: E402

SEGMENT = 144


def build(kind: str, **changes: Any) -> keras.Model:
    values: dict[str, Any] = {"units": (6, 5), "dropout": 0.0, "frame": 8, "bidirectional": True, "learning_rate": 1e-2}
    stack = StackConfig(**values | changes)
    seed_everything(5)  # as trainings do, after which Keras's own function has no effect on weights
    if kind == "detector":
        return build_detector(DetectorConfig(stack, 4), SEGMENT, window_samples=72, refractory_samples=20)
    return build_denoiser(DenoiserConfig(stack, residual=True), SEGMENT, removes_baseline_wander=True)


def segments(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    shape = (count, SEGMENT, 1)
    return rng.standard_normal(shape).astype(np.float32), (rng.random(shape) < 0.05).astype(np.float32)


def compiled(model: keras.Model) -> keras.Model:
    fast = accelerate(model, threads=1)
    if fast is not model:
        fast.compile(optimizer=model.optimizer, loss=model.loss, jit_compile=False)
    return fast


CHANGES: list[dict[str, Any]] = [
    {},
    {"bidirectional": False},
    {"units": (5,), "frame": 16},
    {"units": (4, 3, 5), "frame": 4},
    {"filters": 3},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("kind", ["detector", "denoiser"])
def test_gradients_are_those_of_keras(kind: str, changes: dict[str, Any]) -> None:
    """With plain gradient descent at rate 1 and one step, the change of the weights is the gradient."""
    x, y = segments()
    weights = []
    for fast in (True, False):
        model = build(kind, **changes)
        trained = accelerate(model, threads=2) if fast else model
        assert (trained is model) != fast
        trained.compile(optimizer=keras.optimizers.SGD(1.0), loss=model.loss, jit_compile=False)
        before = model.get_weights()
        trained.train_on_batch(x, y)
        weights.append([new - old for new, old in zip(model.get_weights(), before, strict=True)])
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, float(np.abs(theirs).max())))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["detector", "denoiser"])
def test_training_and_dropout_are_those_of_keras(kind: str) -> None:
    x, y = segments()
    losses, outputs = [], []
    for fast in (True, False):
        model = build(kind, dropout=0.3)
        trained = compiled(model) if fast else model
        losses.append([float(np.ravel(trained.train_on_batch(x, y))[0]) for _ in range(10)])
        outputs.append(model.predict(x, verbose=0))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-3)


def test_the_original_model_is_unchanged_and_has_the_trained_weights() -> None:
    model = build("detector")
    config, before = model.to_json(), model.get_weights()
    fast = compiled(model)
    assert fast is not model
    assert all(ours is theirs for ours, theirs in zip(fast.variables, model.variables, strict=False))
    x, y = segments()
    fast.train_on_batch(x, y)
    assert model.to_json() == config
    assert any((new != old).any() for new, old in zip(model.get_weights(), before, strict=True))
    np.testing.assert_allclose(model.predict(x, verbose=0), fast.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"use_bias": False},
        {"reset_after": False},
        {"dropout": 0.1},
        {"recurrent_dropout": 0.1},
        {"return_sequences": False},
        {"return_state": True},
        {"stateful": True},
        {"unroll": True},
        {"go_backwards": True},
        {"dtype": "float64"},
        {"kernel_constraint": "max_norm"},
        {"recurrent_constraint": "max_norm"},
        {"bias_constraint": "max_norm"},
        {"kernel_regularizer": "l2"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_layers_with_other_options_are_left_to_keras(options: dict[str, Any]) -> None:
    layer = keras.layers.GRU(**{"units": 3, "return_sequences": True} | options)
    layer.build((2, 8, 4))
    assert not can_accelerate(layer)


def test_a_bidirectional_layer_that_adds_its_outputs_is_left_to_keras() -> None:
    layer = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True), merge_mode="sum")
    layer.build((2, 8, 4))
    assert not can_accelerate(layer)


def test_a_subclass_is_left_to_keras() -> None:
    class Other(keras.layers.LSTM):
        pass

    layer = Other(3, return_sequences=True)
    layer.build((2, 8, 4))
    assert not can_accelerate(layer)
