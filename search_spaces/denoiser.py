"""LSTM denoiser: noisy segment → clean segment, in mV.

A denoiser that removes baseline wander reads a recording that was high-passed before, in training as in use. It only
has to remove what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
from keras import layers, ops

from ecg_study.search_spaces.layers import StackConfig, choose_stack, compile_model, recurrent_stack, unfold
from ecg_study.search_spaces.metrics import relative_error_loss, relative_log_error
from ecg_study.search_spaces.presets import DEFAULT_OPTIMIZER, HyperparameterRanges, OptimizerSettings
from ecg_study.search_spaces.training_data import choose_training_data

OBJECTIVE, WANDER_REMOVED_OBJECTIVE = ("val_loss", "min"), ("val_noise_left", "min")
"""Objectives of denoisers that keep baseline wander, and of those that remove it."""

KEEPS_BASELINE_WANDER = "the mean of each segment is taken off before and put back after; amplitudes stay in mV"
REMOVES_BASELINE_WANDER = (
    "the recording is high-passed at 0.5 Hz; each segment of it is scaled to power 1, and back after; any unit will do"
)

_UNIT = 0.25
"""Unit of the network's input in mV: the standard deviation of a typical ECG. It is fixed and not that of the segment,
since the noise to be removed has a level in mV."""

_LEAST_POWER = 1e-20
"""In squared units of the input. It keeps flat segments from being divided by 0, and is far below the power of an ECG
in volts, so the output scales with the input in any unit."""


_OPEN = keras.initializers.Constant(4.0)
"""The gate starts at a factor of 0.98. A gate that starts at 0.5 closes within the first thousand steps, while the
corrections are still random, and a closed gate passes no gradient that could improve them."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Configuration of a denoiser.

    Attributes:
        stack: recurrent layers and optimizer.
        residual: the network computes a correction of its input instead of the clean signal.
        gate: what the network changes in each frame is multiplied by a factor from 0 to 1 that it computes too. So it
            can leave a clean signal exactly as it is. Only for a model that removes baseline wander.
        loss_power: weight of noisy segments in the loss, see `relative_error_loss`. Only for such a model too.
    """

    stack: StackConfig
    residual: bool
    gate: bool = False
    loss_power: float = 0.0


def build_denoiser(
    config: DenoiserConfig,
    segment_samples: int,
    *,
    removes_baseline_wander: bool = False,
    optimizer: OptimizerSettings = DEFAULT_OPTIMIZER,
) -> keras.Model:
    """Build a compiled model from ``(batch, segment, 1)`` to ``(batch, segment, 1)``, both in mV.

    A model that keeps baseline wander subtracts the mean of each segment before the recurrent layers, so the offset of
    a recording does not matter, adds it again, and is trained by the mean squared error. A model that removes baseline
    wander reads high-passed segments with noise of any level: it scales each to power 1, and back after the network,
    and is trained by `relative_error_loss`.

    Args:
        config: hyperparameters.
        segment_samples: samples per segment.
        removes_baseline_wander: baseline wander counts as noise.
        optimizer: settings of the optimizer.
    """
    noisy = keras.Input((segment_samples, 1), name="noisy_mv")
    if removes_baseline_wander:
        power = ops.mean(ops.multiply(noisy, noisy), axis=1, keepdims=True)
        unit = ops.sqrt(ops.add(power, _LEAST_POWER))
        clean = ops.multiply(_network(ops.divide(noisy, unit), config), unit)
    else:
        mean = ops.mean(noisy, axis=1, keepdims=True)
        scaled = ops.divide(ops.subtract(noisy, mean), _UNIT)
        clean = ops.add(ops.multiply(_network(scaled, config), _UNIT), mean)
    model = keras.Model(noisy, clean, name="lstm_denoiser")
    metrics = [keras.metrics.MeanAbsoluteError(name="mae")]
    if removes_baseline_wander:
        metrics.append(keras.metrics.MeanMetricWrapper(relative_log_error, name=relative_log_error.__name__))
    loss = relative_error_loss(config.loss_power) if removes_baseline_wander else "mse"
    compile_model(model, config.stack, loss=loss, metrics=metrics, optimizer=optimizer)
    return model


def _network(scaled: keras.KerasTensor, config: DenoiserConfig) -> keras.KerasTensor:
    """Apply the layers to scaled segments, shape ``(batch, segment, 1)``, and return the same shape."""
    samples, frame = scaled.shape[1], config.stack.frame
    features = recurrent_stack(scaled, config.stack, cell=layers.LSTM)
    frames = layers.Dense(frame, name="samples")(features)
    if not config.gate:
        x = unfold(frames, samples)
        return ops.add(x, scaled) if config.residual else x
    if not config.residual:
        frames = ops.subtract(frames, layers.Reshape((samples // frame, frame), name="input_frames")(scaled))
    opened = layers.Dense(1, activation="sigmoid", bias_initializer=_OPEN, name="gate")(features)
    return ops.add(unfold(ops.multiply(frames, opened), samples), scaled)


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
        residual = _choose_boolean(hp, "residual", self.ranges.residual)
        gate = any(self.ranges.gate) and _choose_boolean(hp, "gate", self.ranges.gate)
        powers = self.ranges.loss_power
        loss_power = float(hp.Choice("loss_power", list(powers))) if any(powers) else 0.0
        choose_training_data(hp, self.ranges)
        return DenoiserConfig(stack, residual, gate, loss_power)

    def build(self, hp: Any) -> keras.Model:
        """Build the compiled model of these hyperparameters."""
        return build_denoiser(
            self.configure(hp),
            self.segment_samples,
            removes_baseline_wander=self.removes_baseline_wander,
            optimizer=self.optimizer,
        )


def _choose_boolean(hp: Any, name: str, values: tuple[bool, ...]) -> bool:
    return bool(hp.Fixed(name, values[0]) if len(set(values)) == 1 else hp.Boolean(name))
