"""Loss and metric that Keras lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

_SMALL_ERROR = 1e-5
"""Relative to the power of the clean signal, −50 dB: below the noise of any recording. Smaller errors hardly count."""

_TYPICAL_ERROR = 10**-1.5  # -15 dB: in the middle of the errors of a denoiser

_LEAST_POWER = 1e-20  # of a flat clean signal, in its squared unit

_THRESHOLDS = 400
_IS_R_PEAK = 0.99  # the soft target is 1 at the R peak itself and at most 0.96 beside it


def relative_log_error(y_true: Any, y_pred: Any) -> Any:
    """Return ln(1 + 10⁵ · MSE / power of the clean signal) of each segment, shape ``(batch,)``.

    A decibel of error counts the same at any noise level, as in the SNR improvement. With the mean squared error, the
    noisiest segments would dominate. The unit of the signals does not matter.

    Args:
        y_true: clean signals, shape ``(batch, segment, 1)``.
        y_pred: denoised signals, likewise.
    """
    error = ops.mean(ops.square(ops.subtract(y_true, y_pred)), axis=(1, 2))
    power = ops.mean(ops.square(y_true), axis=(1, 2))
    return ops.log1p(error / (_SMALL_ERROR * power + _LEAST_POWER))


def relative_error_loss(power: float) -> Callable[[Any, Any], Any]:
    """Return a loss between `relative_log_error`, at a power of 0, and the relative squared error, at 1.

    It is ((1 + x)ᵖ − 1) / p with x = 10⁵ · MSE / power of the clean signal, divided by its slope at an error of −15 dB
    so that gradients have similar sizes for all powers. With a higher power, noisier segments count more.

    Args:
        power: from 0 to 1.

    References:
        Box GEP, Cox DR. An analysis of transformations. J R Stat Soc B 26(2):211-252, 1964.
    """
    if not power:
        return relative_log_error
    slope = (1 + _TYPICAL_ERROR / _SMALL_ERROR) ** power

    def relative_power_error(y_true: Any, y_pred: Any) -> Any:
        return ops.expm1(power * relative_log_error(y_true, y_pred)) / (power * slope)

    return relative_power_error


class WindowPrecisionRecallArea(keras.metrics.AUC):
    """Area under the precision–recall curve of windows.

    A window is positive if it contains an R peak. Its score is the highest peak of the per-sample probability in it. A
    sample counts only if it is the highest within the refractory period, so the flank of a peak just across the border
    does not count as another peak.

    Args:
        window: samples per window; the segment is a multiple of it.
        refractory: samples on either side within which a higher probability suppresses a sample.
        name: name of the metric.
        **kwargs: other arguments of ``keras.metrics.AUC``.
    """

    def __init__(self, window: int, refractory: int, *, name: str = "window_pr_auc", **kwargs: Any) -> None:
        """Create an empty metric."""
        super().__init__(num_thresholds=_THRESHOLDS, curve="PR", name=name, **kwargs)
        self.window = window
        self.refractory = refractory

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of targets and probabilities, both of shape ``(batch, segment, 1)``."""
        labels = ops.cast(_window_maximum(y_true, self.window) > _IS_R_PEAK, "float32")
        around = _sliding_maximum(y_pred, self.refractory)
        peaks = ops.where(y_pred >= around, y_pred, ops.zeros_like(y_pred))
        super().update_state(labels, _window_maximum(peaks, self.window), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this metric."""
        config = {"name": self.name, "dtype": self.dtype}
        return config | {"window": self.window, "refractory": self.refractory}


def _sliding_maximum(values: Any, reach: int) -> Any:
    """Return the maximum over each sample and so many before and after it, of values of 0 or more.

    The length that is covered doubles: `keras.ops.max_pool` compares each sample with each of the window instead.
    """
    samples, width = values.shape[1], 2 * reach + 1
    highest = ops.pad(values, [[0, 0], [reach, reach], [0, 0]])
    covered = 1
    while 2 * covered <= width:
        highest = ops.maximum(highest[:, :-covered], highest[:, covered:])
        covered *= 2
    rest = width - covered
    return ops.maximum(highest[:, :samples], highest[:, rest : rest + samples])


def _window_maximum(values: Any, window: int) -> Any:
    return ops.max_pool(values, window, strides=window)
