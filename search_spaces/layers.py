"""Recurrent layers of the LSTM denoiser and the GRU detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from ecg_study.search_spaces.presets import BOTH, HyperparameterRanges, OptimizerSettings

CONV_KERNEL_SAMPLES = 31
"""Kernel size of the convolution before the recurrent layers: 86 ms at 360 Hz, the width of a normal QRS complex."""


@dataclass(frozen=True)
class StackConfig:
    """Configuration of the recurrent layers and the optimizer.

    Attributes:
        units: units of each layer, per direction, first layer first.
        dropout: share of a layer's outputs that is set to 0 in training.
        frame: samples that the first layer reads per step.
        bidirectional: each layer reads forward and backward, and joins both outputs.
        learning_rate: learning rate of Adam.
        filters: filters of the convolution before the recurrent layers; 0 for no convolution.
    """

    units: tuple[int, ...]
    dropout: float
    frame: int
    bidirectional: bool
    learning_rate: float
    filters: int = 0


def recurrent_stack(
    x: keras.KerasTensor, config: StackConfig, *, cell: Callable[..., keras.layers.Layer]
) -> keras.KerasTensor:
    """Fold a segment into frames and apply the recurrent layers.

    Without filters, a frame is the vector of its samples. With filters, a second convolution with a stride of one frame
    follows them; its output has as many channels as the first recurrent layer has units.

    Args:
        x: tensor ``(batch, segment, 1)``; the segment is a multiple of the frame.
        config: configuration of the layers.
        cell: ``keras.layers.LSTM`` or ``keras.layers.GRU``.

    Returns:
        Tensor ``(batch, segment / frame, units)``, with twice the units if bidirectional.
    """
    if config.filters:
        x = layers.Conv1D(config.filters, CONV_KERNEL_SAMPLES, padding="same", activation="relu", name="filters")(x)
        x = layers.Conv1D(config.units[0], config.frame, config.frame, activation="relu", name="fold")(x)
    else:
        x = layers.Reshape((x.shape[1] // config.frame, config.frame), name="fold")(x)
    for number, units in enumerate(config.units, start=1):
        recurrent = cell(units, return_sequences=True)
        if config.bidirectional:
            recurrent = layers.Bidirectional(recurrent)
        x = recurrent(x)
        if config.dropout:
            x = layers.Dropout(config.dropout, name=f"dropout_{number}")(x)
    return x


def unfold(x: keras.KerasTensor, segment_samples: int) -> keras.KerasTensor:
    """Reshape frames ``(batch, segment / frame, frame)`` to samples ``(batch, segment, 1)``."""
    return layers.Reshape((segment_samples, 1), name="unfold")(x)


def choose_stack(hp: Any, ranges: HyperparameterRanges) -> StackConfig:
    """Declare the hyperparameters of the recurrent layers and return their values.

    ``units_2`` and ``units_3`` are in conditional scopes: they exist only in trials with such a layer. ``filters``
    exists only in spaces with a convolution.

    Args:
        hp: ``HyperParameters`` of Keras Tuner.
        ranges: values of each hyperparameter.
    """
    n_layers = hp.Choice("layers", list(ranges.layers))
    units = [hp.Choice("units_1", list(ranges.units))]
    for number in range(2, max(ranges.layers) + 1):
        with hp.conditional_scope("layers", [n for n in ranges.layers if n >= number]):
            units.append(hp.Choice(f"units_{number}", list(ranges.units)))
    return StackConfig(
        units=tuple(int(n) for n in units[:n_layers]),
        dropout=float(hp.Choice("dropout", list(ranges.dropout))),
        frame=int(hp.Choice("frame", list(ranges.frame))),
        bidirectional=hp.Choice("direction", list(ranges.direction)) == BOTH,
        learning_rate=float(
            hp.Float("learning_rate", ranges.learning_rate[0], ranges.learning_rate[1], sampling="log")
        ),
        filters=int(hp.Choice("filters", list(ranges.filters))) if any(ranges.filters) else 0,
    )


def compile_model(
    model: keras.Model,
    config: StackConfig,
    *,
    loss: Any,
    metrics: list[keras.metrics.Metric],
    optimizer: OptimizerSettings,
) -> None:
    """Compile a model with an optimizer whose state can be loaded from a checkpoint.

    The gradient norm is clipped at 1: otherwise recurrent layers over hundreds of steps diverge at high learning rates.
    Only JAX is compiled, which would run each operation of each step by itself otherwise. With TensorFlow, XLA takes
    minutes to compile these layers on a CPU and does not train faster. ``torch.compile`` would unroll the loop of a
    layer over all its steps, and torch calls cuDNN only outside a compiled function.
    """
    more: dict[str, Any] = {}
    if optimizer.weight_average:
        more = {"use_ema": True, "ema_momentum": optimizer.weight_average}
    if optimizer.weight_decay:
        more["weight_decay"] = optimizer.weight_decay
    kind = keras.optimizers.AdamW if optimizer.weight_decay else keras.optimizers.Adam
    adam = kind(config.learning_rate, clipnorm=1.0, **more)
    compiled = keras.config.backend() == "jax"
    model.compile(optimizer=adam, loss=loss, metrics=metrics, jit_compile=compiled)
    # Built now, not at the first step: only a built optimizer restores its state when weights are loaded. A promoted
    # trial would otherwise continue with Adam at iteration 0.
    adam.build(model.trainable_variables)
