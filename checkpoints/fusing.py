"""Several leads of one heart, judged together."""

from __future__ import annotations

import numpy as np


def fuse(activations: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One activation of several leads: their mean, each weighed by whether it can be used.

    Args:
        activations: shape ``(leads, samples)``, 0 to 1.
        usable: likewise, whether a lead can be used there.

    Returns:
        The fused activation, float32, 0 where no lead can be used; and the lead in which each sample is clearest.
    """
    masked = np.where(usable, activations, np.float32(0))
    if len(activations) == 1:
        return masked[0], np.zeros(masked.shape[1], np.int16)
    fused = masked.sum(axis=0) / np.maximum(usable.sum(axis=0), 1)
    return fused.astype(np.float32), masked.argmax(axis=0).astype(np.int16)
