"""What models are trained and judged by, where Keras has nothing of the kind."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_SMALL_ERROR = 1e-4
"""mV²: an error of 10 µV, two steps of MIT-BIH's converter; what is below hardly counts."""

_THRESHOLDS = 400
_IS_R_PEAK = 0.99  # the soft target is 1 at the R peak itself and at most 0.96 beside it


def log_error(y_true: Any, y_pred: Any) -> Any:
    """ln(1 + MSE / (10 µV)²) of each segment, shape ``(batch,)``, from signals in mV, shape ``(batch, segment, 1)``.

    One decibel less of error counts the same at any level of noise, as it does in the improvement of the SNR; by the
    mean squared error the noisiest segments alone would decide.
    """
    error = ops.mean(ops.square(ops.subtract(y_true, y_pred)), axis=(1, 2))
    return ops.log1p(error / _SMALL_ERROR)


class WindowPrecisionRecallArea(keras.metrics.AUC):
    """Area under the precision–recall curve of windows.

    A window is positive if an R peak lies in it, and its score is the largest activation peak within it: a sample
    counts only where it is the largest within the refractory period, so that the flank of a peak just across the
    border does not count as a peak of its own.

    Args:
        window: samples a window; the segment is a multiple of it.
        refractory: samples on either side in which a larger activation suppresses a sample.
        name: name of the metric.
    """

    def __init__(self, window: int, refractory: int, name: str = "window_pr_auc", **kwargs: Any) -> None:
        super().__init__(num_thresholds=_THRESHOLDS, curve="PR", name=name, **kwargs)
        self.window = window
        self.refractory = refractory

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of targets and activations, both of shape ``(batch, segment, 1)``."""
        labels = ops.cast(_window_maximum(y_true, self.window) > _IS_R_PEAK, "float32")
        around = ops.max_pool(y_pred, 2 * self.refractory + 1, strides=1, padding="same")
        peaks = ops.where(y_pred >= around, y_pred, ops.zeros_like(y_pred))
        super().update_state(labels, _window_maximum(peaks, self.window), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        config = {"name": self.name, "dtype": self.dtype}
        return config | {"window": self.window, "refractory": self.refractory}


def _window_maximum(values: Any, window: int) -> Any:
    return ops.max_pool(values, window, strides=window)
