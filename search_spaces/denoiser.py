"""The LSTM denoiser: noisy segment → clean segment, in mV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
from keras import layers, ops

from ecg_study.search_spaces.layers import StackConfig, choose_stack, compile_model, recurrent_stack, unfold
from ecg_study.search_spaces.metrics import log_error
from ecg_study.search_spaces.presets import HyperparameterRanges

OBJECTIVE, WANDER_REMOVED_OBJECTIVE = ("val_loss", "min"), ("val_log_error", "min")
"""Of denoisers that keep the baseline, and of those that remove its wander."""

KEEPS_BASELINE_WANDER = "the mean of each segment is taken off before and put back after; amplitudes stay in mV"
REMOVES_BASELINE_WANDER = (
    "each segment is scaled to mean 0 and standard deviation 1, and back to mV after; its mean is not put back"
)

_UNIT = 0.25
"""Amplitudes reach the network in quarters of a mV, the standard deviation of a typical ECG, where its activations are
steepest. Fixed, and not that of the segment, since the noise to be removed has a level in mV."""

_VARIANCE_FLOOR = 1e-4
"""mV²: 10 µV, below the noise of any electrode; a flat segment is not blown up to noise."""


@dataclass(frozen=True)
class DenoiserConfig:
    """One point of the denoiser's space.

    Attributes:
        stack: the recurrent stack.
        residual: the network gives the correction to its input instead of the clean signal itself.
    """

    stack: StackConfig
    residual: bool


def build_denoiser(config: DenoiserConfig, segment: int, removes_baseline_wander: bool = False) -> keras.Model:
    """A compiled model from ``(batch, segment, 1)`` to ``(batch, segment, 1)``, both in mV.

    The mean of each segment is taken off before the stack, so that an offset of the recording does not matter.

    Args:
        config: the hyperparameters.
        segment: samples a segment.
        removes_baseline_wander: whether baseline wander is removed as well. Such a model meets noise of any level:
            it scales each segment by its standard deviation, gives a signal around 0 and is trained by `log_error`.
            One that keeps it works in mV, puts the mean back and is trained by the mean squared error.
    """
    noisy = keras.Input((segment, 1), name="noisy_mv")
    mean = ops.mean(noisy, axis=1, keepdims=True)
    centred = ops.subtract(noisy, mean)
    if removes_baseline_wander:
        variance = ops.mean(ops.multiply(centred, centred), axis=1, keepdims=True)
        unit = ops.sqrt(ops.add(variance, _VARIANCE_FLOOR))
    else:
        unit = _UNIT
    scaled = ops.divide(centred, unit)
    x = recurrent_stack(scaled, layers.LSTM, config.stack)
    x = unfold(layers.Dense(config.stack.frame, name="samples")(x), segment)
    if config.residual:
        x = ops.add(x, scaled)
    clean = ops.multiply(x, unit)
    if not removes_baseline_wander:
        clean = ops.add(clean, mean)
    model = keras.Model(noisy, clean, name="lstm_denoiser")
    metrics = [keras.metrics.MeanAbsoluteError(name="mae")]
    if removes_baseline_wander:
        metrics.append(keras.metrics.MeanMetricWrapper(log_error, name="log_error"))
    compile_model(model, config.stack, loss=log_error if removes_baseline_wander else "mse", metrics=metrics)
    return model


class DenoiserSpace(keras_tuner.HyperModel):
    """What may vary in the denoiser.

    Args:
        bounds: the range of each hyperparameter.
        segment: samples a segment.
        removes_baseline_wander: whether the wander of the baseline is removed as well.

    Raises:
        ValueError: a frame does not divide the segment.
    """

    def __init__(self, bounds: HyperparameterRanges, segment: int, removes_baseline_wander: bool = False) -> None:
        super().__init__(name="denoiser")
        bounds.check_segment(segment)
        self.bounds = bounds
        self.segment = segment
        self.removes_baseline_wander = removes_baseline_wander

    def configure(self, hp: Any) -> DenoiserConfig:
        """Declare every hyperparameter in ``hp`` and read its value, without building a model."""
        stack = choose_stack(hp, self.bounds)
        if len(self.bounds.residual) == 1:
            return DenoiserConfig(stack, bool(hp.Fixed("residual", self.bounds.residual[0])))
        return DenoiserConfig(stack, bool(hp.Boolean("residual")))

    def build(self, hp: Any) -> keras.Model:
        """The compiled model of these hyperparameters."""
        return build_denoiser(self.configure(hp), self.segment, self.removes_baseline_wander)
