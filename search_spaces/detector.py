"""The GRU detector: segment → activation, the probability per sample that an R peak is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
from keras import layers

from ecg_study.search_spaces.layers import StackConfig, choose_stack, compile_model, recurrent_stack, unfold
from ecg_study.search_spaces.metrics import WindowPrecisionRecallArea
from ecg_study.search_spaces.presets import HyperparameterRanges

OBJECTIVE = ("val_window_pr_auc", "max")
NORMALISATION = "each segment is scaled to mean 0 and standard deviation 1"

_PRIOR_LOGIT = -3.5
"""Logit of 0.03, the mean of the targets at 75 beats/min: training need not begin by learning that peaks are rare."""

_VARIANCE_FLOOR = 1e-4  # mV²: 10 µV, below the noise of any electrode; a flat segment is not blown up to noise


@dataclass(frozen=True)
class DetectorConfig:
    """One point of the detector's space.

    Attributes:
        stack: the recurrent stack.
        dense_units: units of a dense layer between stack and output; 0 for none.
    """

    stack: StackConfig
    dense_units: int


def build_detector(config: DetectorConfig, segment: int, window: int, refractory: int) -> keras.Model:
    """A compiled model from ``(batch, segment, 1)`` in mV to the activation ``(batch, segment, 1)``, 0 to 1.

    Each segment is scaled to mean 0 and standard deviation 1 inside the model, so that gain and offset of the
    recording do not matter. Loss: binary cross-entropy per sample against the soft target.

    Args:
        config: the hyperparameters.
        segment: samples a segment.
        window: samples a window, for the metric.
        refractory: samples within which there is but one R peak, for the metric.
    """
    signal = keras.Input((segment, 1), name="signal_mv")
    scaled = layers.LayerNormalization(axis=1, epsilon=_VARIANCE_FLOOR, center=False, scale=False, name="normalise")(
        signal
    )
    x = recurrent_stack(scaled, layers.GRU, config.stack)
    if config.dense_units:
        x = layers.Dense(config.dense_units, activation="relu", name="head")(x)
    prior = keras.initializers.Constant(_PRIOR_LOGIT)
    x = layers.Dense(config.stack.frame, activation="sigmoid", bias_initializer=prior, name="samples")(x)
    model = keras.Model(signal, unfold(x, segment), name="gru_detector")
    metric = WindowPrecisionRecallArea(window, refractory, name="window_pr_auc")
    compile_model(model, config.stack, loss="binary_crossentropy", metrics=[metric])
    return model


class DetectorSpace(keras_tuner.HyperModel):
    """What may vary in the detector.

    Args:
        bounds: the range of each hyperparameter.
        segment: samples a segment.
        window: samples a window.
        refractory: samples within which there is but one R peak.

    Raises:
        ValueError: a frame does not divide the segment.
    """

    def __init__(self, bounds: HyperparameterRanges, segment: int, window: int, refractory: int) -> None:
        super().__init__(name="detector")
        bounds.check_segment(segment)
        self.bounds = bounds
        self.segment = segment
        self.window = window
        self.refractory = refractory

    def configure(self, hp: Any) -> DetectorConfig:
        """Declare every hyperparameter in ``hp`` and read its value, without building a model."""
        return DetectorConfig(
            choose_stack(hp, self.bounds), int(hp.Choice("dense_units", list(self.bounds.dense_units)))
        )

    def build(self, hp: Any) -> keras.Model:
        """The compiled model of these hyperparameters."""
        return build_detector(self.configure(hp), self.segment, self.window, self.refractory)
