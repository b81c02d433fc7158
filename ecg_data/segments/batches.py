"""Batches of segments for training, read from the memory-mapped cache when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.ecg_data.segments.augmentation import Augmentation, Augmenter
from ecg_study.ecg_data.segments.cache import SegmentCache

if TYPE_CHECKING:
    import tensorflow as tf

TARGET_SIGMA = 3.5
"""Standard deviation in samples of the soft target around an R peak: about 10 ms at 360 Hz, the uncertainty of
annotations. With a target of one sample, a peak next to it would cost as much as a missing peak."""

_TARGET_REACH = 10  # samples; the target is below 0.02 there


@dataclass(frozen=True)
class Batches:
    """Settings of batches.

    Attributes:
        batch_size: segments per batch.
        shuffle_seed: seed for the order of rows, which differs in each epoch; ``None`` keeps the order of the rows.
        segments_per_epoch: largest number of rows per epoch, drawn in each epoch; ``None`` for all.
        refit: whether training uses validation noise too.
    """

    batch_size: int
    shuffle_seed: int | None = None
    segments_per_epoch: int | None = None
    refit: bool = False


def denoiser_batches(
    cache: SegmentCache, rows: np.ndarray, *, batches: Batches, augmentation: Augmentation | None = None
) -> tf.data.Dataset:
    """Return batches of noisy and clean segments, both float32 of shape ``(batch, samples, 1)``, in mV.

    Args:
        cache: cache of segments.
        rows: indices of the segments.
        batches: settings of the batches; without shuffling, segments are not varied, and get validation noise.
        augmentation: settings of augmentation; ``None`` returns the cached segments.
    """
    if augmentation is None:
        return _dataset(cache, rows, batches, lambda at: (cache.noisy[at], cache.clean[at]))
    augmenter = Augmenter(cache, augmentation, training=batches.shuffle_seed is not None, refit=batches.refit)
    random = _Random(batches.shuffle_seed)
    return _dataset(cache, rows, batches, lambda at: augmenter.denoiser(at, random.next(at)))


def detector_batches(
    cache: SegmentCache, rows: np.ndarray, *, batches: Batches, augmentation: Augmentation | None = None
) -> tf.data.Dataset:
    """Return batches of noisy segments in mV and soft R-peak targets, both float32 ``(batch, samples, 1)``.

    Args:
        cache: cache of segments.
        rows: indices of the segments.
        batches: settings of the batches; without shuffling, segments are not varied, and get validation noise.
        augmentation: settings of augmentation; ``None`` returns the cached segments.
    """
    if augmentation is None:
        return _dataset(cache, rows, batches, lambda at: (cache.noisy[at], soft_targets(cache.r_peaks[at])))
    augmenter = Augmenter(cache, augmentation, training=batches.shuffle_seed is not None, refit=batches.refit)
    random = _Random(batches.shuffle_seed)

    def read(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        signal, marks = augmenter.detector(at, random.next(at))
        return signal, soft_targets(marks)

    return _dataset(cache, rows, batches, read)


class _Random:
    """Random generator for each batch: by its number if batches are shuffled, else by its first row."""

    def __init__(self, seed: int | None) -> None:
        self._seed, self._batches = seed, 0

    def next(self, rows: np.ndarray) -> np.random.Generator:
        self._batches += 1
        return np.random.default_rng([0, int(rows[0])] if self._seed is None else [1, self._seed, self._batches])


def soft_targets(marks: np.ndarray) -> np.ndarray:
    """Return targets for the per-sample probability: a Gaussian of height 1 at each R peak.

    Args:
        marks: 1 at each R peak, shape ``(segments, samples)``.

    Returns:
        float32 of the same shape; the maximum of overlapping Gaussians.
    """
    rows, columns = np.nonzero(marks)
    offsets = np.arange(-_TARGET_REACH, _TARGET_REACH + 1)
    bump = np.exp(-(offsets**2) / (2 * TARGET_SIGMA**2)).astype(np.float32)
    padded = np.zeros((len(marks), marks.shape[1] + 2 * _TARGET_REACH), dtype=np.float32)
    for offset, height in zip(offsets, bump, strict=True):
        at = (rows, columns + _TARGET_REACH + offset)
        padded[at] = np.maximum(padded[at], height)
    return padded[:, _TARGET_REACH:-_TARGET_REACH]


def _dataset(
    cache: SegmentCache,
    rows: np.ndarray,
    batches: Batches,
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tf.data.Dataset:
    import tensorflow as tf

    segment = cache.settings.segment_samples
    spec = tf.TensorSpec((None, segment, 1), tf.float32)

    def load(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        noisy, wanted = read(at)
        return noisy[..., None], wanted[..., None]

    def load_tensors(at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noisy, wanted = tf.numpy_function(load, [at], [spec.dtype, spec.dtype])
        return tf.ensure_shape(noisy, spec.shape), tf.ensure_shape(wanted, spec.shape)

    dataset = tf.data.Dataset.from_tensor_slices(rows)
    if batches.shuffle_seed is not None:
        dataset = dataset.shuffle(len(rows), seed=batches.shuffle_seed, reshuffle_each_iteration=True)
    if batches.segments_per_epoch is not None:
        dataset = dataset.take(batches.segments_per_epoch)
    return dataset.batch(batches.batch_size).map(load_tensors).prefetch(2)
