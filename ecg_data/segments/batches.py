"""Content of a batch: what a model reads, and what it should answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ecg_study.ecg_data.segments.augmentation.augmenter import Augmenter
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import SegmentCache

Batch = tuple[np.ndarray, np.ndarray]
"""Input and target, both float32 of shape ``(batch, samples, 1)``."""

ReadRows = Callable[[np.ndarray, np.random.Generator], Batch]
"""A function from rows of a cache and random numbers to the batch of these rows."""

TARGET_SIGMA = 3.5
"""Standard deviation in samples of the soft target around an R peak: about 10 ms at 360 Hz, the uncertainty of
annotations. With a target of one sample, a peak next to it would cost as much as a missing peak."""

_TARGET_REACH = 10  # samples; the target is below 0.02 there


def denoiser_reader(
    cache: SegmentCache, augmentation: Augmentation | None, *, training: bool, refit: bool = False
) -> ReadRows:
    """Return a function that reads noisy and clean segments, in mV.

    Args:
        cache: cache of segments.
        augmentation: settings of augmentation; ``None`` reads the cached segments.
        training: whether augmentation varies segments; otherwise they only get validation noise.
        refit: whether training uses validation noise too.
    """
    if augmentation is None:
        return lambda rows, _: (_with_channel(cache.noisy[rows]), _with_channel(cache.clean[rows]))
    augmenter = Augmenter(cache, augmentation, training=training, refit=refit)

    def read(rows: np.ndarray, rng: np.random.Generator) -> Batch:
        noisy, clean = augmenter.denoiser(rows, rng)
        return _with_channel(noisy), _with_channel(clean)

    return read


def detector_reader(
    cache: SegmentCache, augmentation: Augmentation | None, *, training: bool, refit: bool = False
) -> ReadRows:
    """Return a function that reads noisy segments in mV, and soft R-peak targets.

    Args:
        cache: cache of segments.
        augmentation: settings of augmentation; ``None`` reads the cached segments.
        training: whether augmentation varies segments; otherwise they only get validation noise.
        refit: whether training uses validation noise too.
    """
    if augmentation is None:
        return lambda rows, _: (_with_channel(cache.noisy[rows]), _with_channel(soft_targets(cache.r_peaks[rows])))
    augmenter = Augmenter(cache, augmentation, training=training, refit=refit)

    def read(rows: np.ndarray, rng: np.random.Generator) -> Batch:
        signal, marks = augmenter.detector(rows, rng)
        return _with_channel(signal), _with_channel(soft_targets(marks))

    return read


def soft_targets(marks: np.ndarray) -> np.ndarray:
    """Return targets for the per-sample probability: a Gaussian of height 1 at each R peak.

    Args:
        marks: 1 at each R peak, shape ``(segments, samples)``.

    Returns:
        float32 of the same shape; the maximum of overlapping Gaussians.
    """
    # As booleans, of which NumPy skips eight zeros at a time.
    rows, columns = np.divmod(np.flatnonzero(np.asarray(marks, np.uint8).view(bool)), marks.shape[1])
    offsets = np.arange(-_TARGET_REACH, _TARGET_REACH + 1)
    bump = np.exp(-(offsets**2) / (2 * TARGET_SIGMA**2)).astype(np.float32)
    padded = np.zeros((len(marks), marks.shape[1] + 2 * _TARGET_REACH), dtype=np.float32)
    for offset, height in zip(offsets, bump, strict=True):
        at = (rows, columns + _TARGET_REACH + offset)
        padded[at] = np.maximum(padded[at], height)
    return padded[:, _TARGET_REACH:-_TARGET_REACH]


def _with_channel(segments: np.ndarray) -> np.ndarray:
    return np.asarray(segments, np.float32)[..., np.newaxis]
