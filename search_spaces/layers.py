"""The recurrent stack that the LSTM denoiser and the GRU detector share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from ecg_study.search_spaces.presets import BOTH, HyperparameterRanges

CONV_KERNEL_SAMPLES = 31
"""Samples that a filter of the convolution before the recurrent layers reads: 86 ms at 360 Hz, a QRS complex of normal
width."""


@dataclass(frozen=True)
class StackConfig:
    """One point of the space of the recurrent stack.

    Attributes:
        units: units of each layer (of each direction), first layer first.
        dropout: share of a layer's outputs set to 0 while training.
        frame: samples that a layer reads in one step.
        direction: ``"forward"`` or ``"both"``.
        learning_rate: of Adam.
        filters: of the convolution before the recurrent layers; 0 for none.
    """

    units: tuple[int, ...]
    dropout: float
    frame: int
    direction: str
    learning_rate: float
    filters: int = 0


def recurrent_stack(
    x: keras.KerasTensor, cell: Callable[..., keras.layers.Layer], config: StackConfig
) -> keras.KerasTensor:
    """Fold a segment into frames and pass it through recurrent layers.

    Folding lays the samples of a frame side by side, or, after filters over all samples, it is a second convolution
    that goes on by a frame at a time and gives as many numbers as the first recurrent layer has units.

    Args:
        x: shape ``(batch, segment, 1)``; the segment is a multiple of the frame.
        cell: ``keras.layers.LSTM`` or ``keras.layers.GRU``.
        config: filters, frame, layers, units, dropout, direction.

    Returns:
        Shape ``(batch, segment / frame, units)``, twice the units for both directions.
    """
    if config.filters:
        x = layers.Conv1D(config.filters, CONV_KERNEL_SAMPLES, padding="same", activation="relu", name="filters")(x)
        x = layers.Conv1D(config.units[0], config.frame, config.frame, activation="relu", name="fold")(x)
    else:
        x = layers.Reshape((x.shape[1] // config.frame, config.frame), name="fold")(x)
    for number, units in enumerate(config.units, start=1):
        recurrent = cell(units, return_sequences=True)
        if config.direction == BOTH:
            recurrent = layers.Bidirectional(recurrent)
        x = recurrent(x)
        if config.dropout:
            x = layers.Dropout(config.dropout, name=f"dropout_{number}")(x)
    return x


def unfold(x: keras.KerasTensor, segment: int) -> keras.KerasTensor:
    """From ``(batch, segment / frame, frame)`` back to samples, ``(batch, segment, 1)``."""
    return layers.Reshape((segment, 1), name="unfold")(x)


def choose_stack(hp: Any, bounds: HyperparameterRanges) -> StackConfig:
    """Declare the hyperparameters of the stack and read their values.

    ``units_2`` and ``units_3`` live in conditional scopes: they exist only in trials that have such a layer;
    ``filters`` only where the space has any.

    Args:
        hp: Keras Tuner's ``HyperParameters``.
        bounds: the values each may take.
    """
    n_layers = hp.Choice("layers", list(bounds.layers))
    units = [hp.Choice("units_1", list(bounds.units))]
    for number in range(2, max(bounds.layers) + 1):
        with hp.conditional_scope("layers", [n for n in bounds.layers if n >= number]):
            units.append(hp.Choice(f"units_{number}", list(bounds.units)))
    return StackConfig(
        units=tuple(int(n) for n in units[:n_layers]),
        dropout=float(hp.Choice("dropout", list(bounds.dropout))),
        frame=int(hp.Choice("frame", list(bounds.frame))),
        direction=str(hp.Choice("direction", list(bounds.direction))),
        learning_rate=float(
            hp.Float("learning_rate", bounds.learning_rate[0], bounds.learning_rate[1], sampling="log")
        ),
        filters=int(hp.Choice("filters", list(bounds.filters))) if any(bounds.filters) else 0,
    )


def compile_model(model: keras.Model, config: StackConfig, loss: Any, metrics: list[keras.metrics.Metric]) -> None:
    """Compile for training, with an optimizer whose state can be loaded from a checkpoint.

    The gradient norm is clipped at 1, since recurrent layers over hundreds of steps diverge otherwise at the upper
    learning rates. XLA is off: for these layers on a CPU it costs minutes of compilation and gains nothing.
    """
    optimizer = keras.optimizers.Adam(config.learning_rate, clipnorm=1.0)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, jit_compile=False)
    # Built now, not at the first step: only a built optimizer takes up its state when weights are loaded, and a
    # promoted trial would otherwise go on with Adam at iteration 0.
    optimizer.build(model.trainable_variables)
