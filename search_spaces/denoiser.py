"""The LSTM denoiser: noisy segment → clean segment, in mV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
from keras import layers, ops

from search_spaces.presets import Bounds
from search_spaces.recurrent import StackConfig, choose_stack, compile_model, recurrent_stack, unfold

OBJECTIVE = ("val_loss", "min")
NORMALISATION = "the mean of each segment is taken off before and put back after; amplitudes stay in mV"

_UNIT = 0.25
"""Amplitudes reach the network in quarters of a mV, the standard deviation of a typical ECG, where its activations are
steepest. Fixed, and not that of the segment, since the noise to be removed has a level in mV."""


@dataclass(frozen=True)
class DenoiserConfig:
    """One point of the denoiser's space.

    Attributes:
        stack: the recurrent stack.
        residual: the network gives the correction to its input instead of the clean signal itself.
    """

    stack: StackConfig
    residual: bool


def build_denoiser(config: DenoiserConfig, segment: int) -> keras.Model:
    """A compiled model from ``(batch, segment, 1)`` to ``(batch, segment, 1)``, both in mV. Loss: mean squared error.

    The mean of each segment is taken off before the stack and put back after, so that an offset of the recording
    does not matter.
    """
    noisy = keras.Input((segment, 1), name="noisy_mv")
    mean = ops.mean(noisy, axis=1, keepdims=True)
    centred = ops.divide(ops.subtract(noisy, mean), _UNIT)
    x = recurrent_stack(centred, layers.LSTM, config.stack)
    x = unfold(layers.Dense(config.stack.frame, name="samples")(x), segment)
    if config.residual:
        x = ops.add(x, centred)
    clean = ops.add(ops.multiply(x, _UNIT), mean)
    model = keras.Model(noisy, clean, name="lstm_denoiser")
    compile_model(model, config.stack, loss="mse", metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    return model


class DenoiserSpace(keras_tuner.HyperModel):
    """What may vary in the denoiser.

    Args:
        bounds: the range of each hyperparameter.
        segment: samples a segment.

    Raises:
        ValueError: a frame does not divide the segment.
    """

    def __init__(self, bounds: Bounds, segment: int) -> None:
        super().__init__(name="denoiser")
        bounds.check_segment(segment)
        self.bounds = bounds
        self.segment = segment

    def configure(self, hp: Any) -> DenoiserConfig:
        """Declare every hyperparameter in ``hp`` and read its value, without building a model."""
        stack = choose_stack(hp, self.bounds)
        if len(self.bounds.residual) == 1:
            return DenoiserConfig(stack, bool(hp.Fixed("residual", self.bounds.residual[0])))
        return DenoiserConfig(stack, bool(hp.Boolean("residual")))

    def build(self, hp: Any) -> keras.Model:
        """The compiled model of these hyperparameters."""
        return build_denoiser(self.configure(hp), self.segment)
