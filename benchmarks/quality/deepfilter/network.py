"""The LSTM of the benchmark, its losses, and its output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.quality.deepfilter.beats import FIRST_SAMPLE, SAMPLES
from benchmarks.quality.deepfilter.settings import LOSSES, ModelSettings
from ecg_study.errors import SettingsError
from ecg_study.search_spaces.layers import StackConfig, compile_model, recurrent_stack, unfold
from ecg_study.search_spaces.presets import OptimizerSettings

MOST_WEIGHTS = 200_000

_POWER_FLOOR = 1e-6
"""In mV², (1 µV)²: keeps a flat beat from being divided by zero."""

_AVERAGED_SAMPLES = 129
"""358 ms: the moving average follows the wander and not the QRS complex."""

_ENERGY_FLOOR = 1e-3
"""In mV²: below the energy of any beat. It limits the gradients of relative errors."""

_REACHED = {"ssd": 3.445, "mad": 0.319, "prd": 37.6, "cosine": 0.064}
"""Values of MECG-E (cosine: its distance from 1). In units of them, the four measures count alike."""


def build_network(settings: ModelSettings) -> keras.Model:
    """Build a compiled model from noisy to clean beats, ``(batch, SAMPLES, 1)`` in mV.

    The layers read the beat without the line through its ends, and beside it without a moving average, each scaled to
    power 1. They compute a correction of the second, in its unit. Most of it is ECG, so nothing that they compute grows
    with the wander.

    Raises:
        SettingsError: it has too many weights for this benchmark.
    """
    stack = StackConfig(
        units=settings.units,
        dropout=settings.dropout,
        frame=2 * settings.frame,  # one frame of both inputs
        bidirectional=True,
        learning_rate=settings.learning_rate,
    )
    noisy = keras.Input((SAMPLES, 1), name="noisy_mv")
    centered = without_trend(noisy)
    average = ops.average_pool(centered, _AVERAGED_SAMPLES, strides=1, padding="same")
    whole, _ = _scaled(centered)
    fast, unit = _scaled(ops.subtract(centered, average))
    x = recurrent_stack(_side_by_side(whole, fast, settings.frame), stack, cell=layers.LSTM)
    x = unfold(layers.Dense(settings.frame, name="samples")(x), SAMPLES)
    clean = ops.multiply(ops.add(x, fast), unit)
    model = keras.Model(noisy, clean, name="deepfilter_lstm")
    if model.count_params() >= MOST_WEIGHTS:
        problem = f"{model.count_params():,} weights; the benchmark is for models under {MOST_WEIGHTS:,}"
        raise SettingsError("units", problem, value=settings.units)
    compile_model(
        model,
        stack,
        loss=loss_function(settings.loss),
        metrics=[keras.metrics.MeanMetricWrapper(function, name=name) for name, function in _MEASURES.items()],
        optimizer=OptimizerSettings(weight_decay=settings.weight_decay, weight_average=settings.weight_average),
    )
    return model


def without_trend(noisy: Any) -> Any:
    """Subtract the line through the means of the first and of the last samples, where nearly all beats are padded.

    Args:
        noisy: mV, shape ``(batch, SAMPLES, 1)``.
    """
    first = ops.mean(noisy[:, :FIRST_SAMPLE], axis=1, keepdims=True)
    last = ops.mean(noisy[:, -FIRST_SAMPLE:], axis=1, keepdims=True)
    # From the middle of the first samples to the middle of the last.
    share = (np.arange(SAMPLES, dtype=np.float32) - (FIRST_SAMPLE - 1) / 2) / (SAMPLES - FIRST_SAMPLE)
    line = ops.add(first, ops.multiply(ops.subtract(last, first), share[np.newaxis, :, np.newaxis]))
    return ops.subtract(noisy, line)


def _scaled(signal: Any) -> tuple[Any, Any]:
    """Return a signal with power 1, and its unit in mV, ``(batch, 1, 1)``."""
    unit = ops.sqrt(ops.add(ops.mean(ops.square(signal), axis=1, keepdims=True), _POWER_FLOOR))
    return ops.divide(signal, unit), unit


def _side_by_side(one: Any, other: Any, frame: int) -> Any:
    """Return a frame of one signal, a frame of the other, and so on, ``(batch, 2 * SAMPLES, 1)``."""
    frames = [layers.Reshape((SAMPLES // frame, frame))(signal) for signal in (one, other)]
    return layers.Reshape((2 * SAMPLES, 1))(ops.concatenate(frames, axis=-1))


def denoise(model: keras.Model, noisy: np.ndarray, *, average_polarity: bool, batch_size: int = 512) -> np.ndarray:
    """Return denoised beats, float32 of the same shape.

    Args:
        model: a trained model.
        noisy: mV, shape ``(beats, SAMPLES)``.
        average_polarity: take the mean of the outputs for the beat and for the inverted beat, inverted back.
        batch_size: beats per batch.
    """
    outputs = [
        sign * model.predict(sign * noisy[..., np.newaxis], batch_size=batch_size, verbose=0)[..., 0]
        for sign in ((1, -1) if average_polarity else (1,))
    ]
    return np.asarray(np.mean(outputs, axis=0), np.float32)


def loss_function(name: str) -> Callable[[Any, Any], Any]:
    """Return a loss by name, a function that returns the loss of each beat.

    Raises:
        SettingsError: the name is unknown.
    """
    known = {"measures": measures_loss, "mixture": mixture_loss, "squared": squared_loss}
    assert tuple(known) == LOSSES
    if name not in known:
        raise SettingsError("loss", f"{name!r} is not one of {', '.join(known)}", value=name)
    return known[name]


def measures_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the sum of the four measures, each relative to the best published value."""
    terms = [
        ops.divide(_ssd(y_true, y_pred), _REACHED["ssd"]),
        ops.divide(_mad(y_true, y_pred), _REACHED["mad"]),
        ops.divide(_prd(y_true, y_pred), _REACHED["prd"]),
        ops.divide(ops.subtract(1.0, _cosine(y_true, y_pred)), _REACHED["cosine"]),
    ]
    return ops.sum(ops.stack(terms), axis=0)


def mixture_loss(y_true: Any, y_pred: Any) -> Any:
    """Return mean absolute error + 5 × mean squared error + 0.02 × largest error."""
    error = ops.abs(ops.subtract(y_pred, y_true))
    mean = ops.mean(ops.add(error, ops.multiply(5.0, ops.square(error))), axis=(1, 2))
    return ops.add(mean, ops.multiply(0.02, ops.max(error, axis=(1, 2))))


def squared_loss(y_true: Any, y_pred: Any) -> Any:
    """Return the mean squared error."""
    return ops.mean(ops.square(ops.subtract(y_pred, y_true)), axis=(1, 2))


def _ssd(y_true: Any, y_pred: Any) -> Any:
    return ops.sum(ops.square(ops.subtract(y_pred, y_true)), axis=(1, 2))


def _mad(y_true: Any, y_pred: Any) -> Any:
    return ops.max(ops.abs(ops.subtract(y_pred, y_true)), axis=(1, 2))


def _prd(y_true: Any, y_pred: Any) -> Any:
    # The mean of all clean beats, which the measure subtracts, is next to 0.
    energy = ops.add(ops.sum(ops.square(y_pred), axis=(1, 2)), _ENERGY_FLOOR)
    return ops.multiply(100.0, ops.sqrt(ops.divide(ops.add(_ssd(y_true, y_pred), 1e-9), energy)))


def _cosine(y_true: Any, y_pred: Any) -> Any:
    product = ops.sum(ops.multiply(y_true, y_pred), axis=(1, 2))
    energies = [ops.add(ops.sum(ops.square(signal), axis=(1, 2)), _ENERGY_FLOOR) for signal in (y_true, y_pred)]
    return ops.divide(product, ops.sqrt(ops.multiply(*energies)))


_MEASURES = {"ssd": _ssd, "mad": _mad, "prd": _prd, "cosine": _cosine}
