"""The detector's objective: area under the precision–recall curve of windows, which needs no threshold."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_THRESHOLDS = 400
_IS_R_PEAK = 0.99  # the soft target is 1 at the R peak itself and at most 0.96 beside it


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
