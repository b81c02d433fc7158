"""Reading windows off an activation."""

from __future__ import annotations

import numpy as np


def window_scores(activation: np.ndarray, window: int, refractory: int) -> np.ndarray:
    """Score of each window: its largest activation peak, 0 where it holds none; shape ``(samples // window,)``.

    A sample counts only where it is the largest within the refractory period, so that the flank of a peak just
    across the border is not taken for a second peak. A remainder shorter than a window is dropped.

    Args:
        activation: shape ``(samples,)``.
        window: samples a window.
        refractory: samples on either side in which a larger activation suppresses a sample.
    """
    from scipy.ndimage import maximum_filter1d

    highest = maximum_filter1d(activation, 2 * refractory + 1, mode="constant", cval=-np.inf)
    peaks = np.where(activation >= highest, activation, 0)
    return np.asarray(peaks[: len(peaks) // window * window].reshape(-1, window).max(axis=1))
