"""GRU detector: segment → probability of an R peak at each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner
from keras import layers

from ecg_study.search_spaces.layers import StackConfig, choose_stack, compile_model, recurrent_stack, unfold
from ecg_study.search_spaces.metrics import WindowPrecisionRecallArea
from ecg_study.search_spaces.presets import DEFAULT_OPTIMIZER, HyperparameterRanges, OptimizerSettings
from ecg_study.search_spaces.training_data import choose_training_data

OBJECTIVE = ("val_r_peak_error", "min")
"""The score of `training.scores.peak_score`. The area under the curve of windows, the objective of 0.1.0, preferred a
detector that finds fewer R peaks (``docs/experiments.md``)."""
NORMALIZATION = "each segment is scaled to mean 0 and standard deviation 1"

_PRIOR_LOGIT = -3.5
"""Logit of 0.03, the mean of the targets at 75 beats/min: training need not first learn that peaks are rare."""

_VARIANCE_FLOOR = 1e-4  # in mV², (10 µV)²: keeps flat segments from being scaled up to noise


@dataclass(frozen=True)
class DetectorConfig:
    """Configuration of a detector.

    Attributes:
        stack: recurrent layers and optimizer.
        dense_units: units of a dense layer before the output; 0 for no dense layer.
    """

    stack: StackConfig
    dense_units: int


def build_detector(
    config: DetectorConfig,
    segment_samples: int,
    *,
    window_samples: int,
    refractory_samples: int,
    optimizer: OptimizerSettings = DEFAULT_OPTIMIZER,
) -> keras.Model:
    """Build a compiled model from ``(batch, segment, 1)`` in mV to probabilities ``(batch, segment, 1)``.

    Each segment is scaled to mean 0 and standard deviation 1 in the model, so the gain and offset of a recording do
    not matter. The loss is the binary cross-entropy per sample against the soft target.

    Args:
        config: hyperparameters.
        segment_samples: samples per segment.
        window_samples: samples per window of the metric.
        refractory_samples: shortest distance of two R peaks in the metric.
        optimizer: settings of the optimizer.
    """
    signal = keras.Input((segment_samples, 1), name="signal_mv")
    scaled = layers.LayerNormalization(axis=1, epsilon=_VARIANCE_FLOOR, center=False, scale=False, name="normalise")(
        signal
    )
    x = recurrent_stack(scaled, config.stack, cell=layers.GRU)
    if config.dense_units:
        x = layers.Dense(config.dense_units, activation="relu", name="head")(x)
    prior = keras.initializers.Constant(_PRIOR_LOGIT)
    x = layers.Dense(config.stack.frame, activation="sigmoid", bias_initializer=prior, name="samples")(x)
    model = keras.Model(signal, unfold(x, segment_samples), name="gru_detector")
    metric = WindowPrecisionRecallArea(window_samples, refractory_samples, name="window_pr_auc")
    compile_model(model, config.stack, loss="binary_crossentropy", metrics=[metric], optimizer=optimizer)
    return model


class DetectorSpace(keras_tuner.HyperModel):
    """Search space of the detector.

    Args:
        ranges: values of each hyperparameter.
        segment_samples: samples per segment.
        window_samples: samples per window.
        refractory_samples: shortest distance of two R peaks.
        optimizer: settings of the optimizer.

    Raises:
        SettingsError: the segment is not a multiple of a frame.
    """

    def __init__(
        self,
        ranges: HyperparameterRanges,
        segment_samples: int,
        *,
        window_samples: int,
        refractory_samples: int,
        optimizer: OptimizerSettings = DEFAULT_OPTIMIZER,
    ) -> None:
        """Create the space of a segment length."""
        super().__init__(name="detector")
        ranges.check_segment(segment_samples)
        self.ranges = ranges
        self.segment_samples = segment_samples
        self.window_samples = window_samples
        self.refractory_samples = refractory_samples
        self.optimizer = optimizer

    def configure(self, hp: Any) -> DetectorConfig:
        """Declare every hyperparameter in ``hp`` and return the values, without building a model."""
        stack = choose_stack(hp, self.ranges)
        dense_units = int(hp.Choice("dense_units", list(self.ranges.dense_units)))
        choose_training_data(hp, self.ranges)
        return DetectorConfig(stack, dense_units)

    def build(self, hp: Any) -> keras.Model:
        """Build the compiled model of these hyperparameters."""
        return build_detector(
            self.configure(hp),
            self.segment_samples,
            window_samples=self.window_samples,
            refractory_samples=self.refractory_samples,
            optimizer=self.optimizer,
        )
