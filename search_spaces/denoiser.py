"""LSTM denoiser: noisy segment → clean segment, in mV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
from keras import layers, ops

from ecg_study.search_spaces.layers import StackConfig, choose_stack, compile_model, recurrent_stack, unfold
from ecg_study.search_spaces.metrics import log_error
from ecg_study.search_spaces.presets import DEFAULT_OPTIMIZER, HyperparameterRanges, OptimizerSettings

OBJECTIVE, WANDER_REMOVED_OBJECTIVE = ("val_loss", "min"), ("val_log_error", "min")
"""Objectives of denoisers that keep baseline wander, and of those that remove it."""

KEEPS_BASELINE_WANDER = "the mean of each segment is taken off before and put back after; amplitudes stay in mV"
REMOVES_BASELINE_WANDER = (
    "each segment is scaled to mean 0 and standard deviation 1, and back to mV after; its mean is not put back"
)

_UNIT = 0.25
"""Unit of the network's input in mV: the standard deviation of a typical ECG. It is fixed and not that of the segment,
since the noise to be removed has a level in mV."""

_VARIANCE_FLOOR = 1e-4
"""In mV², (10 µV)²: below the noise of any electrode. It keeps flat segments from being scaled up to noise."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Configuration of a denoiser.

    Attributes:
        stack: recurrent layers and optimizer.
        residual: the network computes a correction of its input instead of the clean signal.
    """

    stack: StackConfig
    residual: bool


def build_denoiser(
    config: DenoiserConfig,
    segment_samples: int,
    *,
    removes_baseline_wander: bool = False,
    optimizer: OptimizerSettings = DEFAULT_OPTIMIZER,
) -> keras.Model:
    """Build a compiled model from ``(batch, segment, 1)`` to ``(batch, segment, 1)``, both in mV.

    The mean of each segment is subtracted before the recurrent layers, so the offset of a recording does not matter. A
    model that keeps baseline wander adds it again and is trained by the mean squared error. A model that removes
    baseline wander meets noise of any level: it scales each segment by its standard deviation, returns a signal around
    0 and is trained by `log_error`.

    Args:
        config: hyperparameters.
        segment_samples: samples per segment.
        removes_baseline_wander: baseline wander counts as noise.
        optimizer: settings of the optimizer.
    """
    noisy = keras.Input((segment_samples, 1), name="noisy_mv")
    mean = ops.mean(noisy, axis=1, keepdims=True)
    centered = ops.subtract(noisy, mean)
    if removes_baseline_wander:
        variance = ops.mean(ops.multiply(centered, centered), axis=1, keepdims=True)
        unit = ops.sqrt(ops.add(variance, _VARIANCE_FLOOR))
    else:
        unit = _UNIT
    scaled = ops.divide(centered, unit)
    x = recurrent_stack(scaled, config.stack, cell=layers.LSTM)
    x = unfold(layers.Dense(config.stack.frame, name="samples")(x), segment_samples)
    if config.residual:
        x = ops.add(x, scaled)
    clean = ops.multiply(x, unit)
    if not removes_baseline_wander:
        clean = ops.add(clean, mean)
    model = keras.Model(noisy, clean, name="lstm_denoiser")
    metrics = [keras.metrics.MeanAbsoluteError(name="mae")]
    if removes_baseline_wander:
        metrics.append(keras.metrics.MeanMetricWrapper(log_error, name="log_error"))
    loss = log_error if removes_baseline_wander else "mse"
    compile_model(model, config.stack, loss=loss, metrics=metrics, optimizer=optimizer)
    return model


class DenoiserSpace(keras_tuner.HyperModel):
    """Search space of the denoiser.

    Args:
        ranges: values of each hyperparameter.
        segment_samples: samples per segment.
        removes_baseline_wander: baseline wander counts as noise.
        optimizer: settings of the optimizer.

    Raises:
        SettingsError: the segment is not a multiple of a frame.
    """

    def __init__(
        self,
        ranges: HyperparameterRanges,
        segment_samples: int,
        *,
        removes_baseline_wander: bool = False,
        optimizer: OptimizerSettings = DEFAULT_OPTIMIZER,
    ) -> None:
        """Create the space of a segment length."""
        super().__init__(name="denoiser")
        ranges.check_segment(segment_samples)
        self.ranges = ranges
        self.segment_samples = segment_samples
        self.removes_baseline_wander = removes_baseline_wander
        self.optimizer = optimizer

    def configure(self, hp: Any) -> DenoiserConfig:
        """Declare every hyperparameter in ``hp`` and return the values, without building a model."""
        stack = choose_stack(hp, self.ranges)
        if len(self.ranges.residual) == 1:
            return DenoiserConfig(stack, bool(hp.Fixed("residual", self.ranges.residual[0])))
        return DenoiserConfig(stack, bool(hp.Boolean("residual")))

    def build(self, hp: Any) -> keras.Model:
        """Build the compiled model of these hyperparameters."""
        return build_denoiser(
            self.configure(hp),
            self.segment_samples,
            removes_baseline_wander=self.removes_baseline_wander,
            optimizer=self.optimizer,
        )
