"""Streams of batches: endless for training, finite for validation.

Every batch is a pure function of the seed and of its number. So the stream does not depend on the number of workers
that prepare it, and a training can resume at any step.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.segments.batches import Batch, ReadRows

# Kinds of random numbers, the first word of each seed. Validation kept its kind from before there were streams.
_VALIDATION, _ORDER, _BATCH = 0, 2, 3

_AHEAD = 2
"""Batches that are prepared ahead beside one per worker. One is ready while the next is waited for."""


class SegmentStream:
    """Endless stream of training batches.

    An epoch shows each row once, or ``segments_per_epoch`` rows that are drawn again in each epoch. With shares, the
    rows of each group fill its share: some are shown several times, or only in some epochs. The last batch of
    an epoch is smaller if the rows do not fill it. No batch holds rows of two epochs, so an epoch has the same rows for
    every batch size.

    Args:
        read: reads the batch of some rows.
        rows: rows to train on.
        batch_size: segments per batch.
        seed: seed of the order of rows and of augmentation.
        segments_per_epoch: largest number of rows per epoch; ``None`` for all.
        shares: groups of the rows, none of which is empty, with the share of each; empty for one group.

    Attributes:
        batch_size: segments per batch.
        segments_per_epoch: rows per epoch.
        batches_per_epoch: batches per epoch, including a smaller last one.

    Raises:
        ValueError: there are no rows.
    """

    def __init__(
        self,
        read: ReadRows,
        rows: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        segments_per_epoch: int | None = None,
        shares: Sequence[tuple[np.ndarray, float]] = (),
    ) -> None:
        if not len(rows):
            raise ValueError("no segments to train on")
        self._read, self._rows, self._seed = read, rows, seed
        self._groups = _with_counts(shares, len(rows))
        self.batch_size = batch_size
        self.segments_per_epoch = len(rows) if segments_per_epoch is None else min(len(rows), segments_per_epoch)
        self.batches_per_epoch = math.ceil(self.segments_per_epoch / batch_size)
        self._last_order: tuple[int, np.ndarray] = (-1, rows)

    def rows(self, step: int) -> np.ndarray:
        """Return the rows of a batch.

        Args:
            step: number of the batch, counted from 0 over all epochs.
        """
        epoch, number = divmod(step, self.batches_per_epoch)
        return self._order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]

    def batch(self, step: int) -> Batch:
        """Return a batch, which depends only on the seed and ``step``.

        Args:
            step: number of the batch, counted from 0 over all epochs.
        """
        # SFC64 draws normal numbers faster than NumPy's default.
        rng = np.random.Generator(np.random.SFC64([_BATCH, self._seed, step]))
        return self._read(self.rows(step), rng)

    def batches(self, first_step: int = 0, *, workers: int = 1) -> Generator[Batch]:
        """Yield all batches from a step on, in order, prepared ahead by threads.

        The threads end when the iterator is closed or collected. An error in a thread is raised in place of its batch.

        Args:
            first_step: number of the first batch.
            workers: number of threads.
        """
        pool = ThreadPoolExecutor(workers, thread_name_prefix="segments")
        waiting: deque[Future[Batch]] = deque()
        step = first_step
        try:
            while True:
                while len(waiting) < workers + _AHEAD:
                    waiting.append(pool.submit(self.batch, step))
                    step += 1
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _order(self, epoch: int) -> np.ndarray:
        """Return the rows of an epoch in the order in which they are shown."""
        # One assignment, so that threads may share it. At worst, two compute the same order.
        known, order = self._last_order
        if known != epoch:
            rng = np.random.default_rng([_ORDER, self._seed, epoch])
            rows = np.concatenate([_drawn(*group, rng) for group in self._groups]) if self._groups else self._rows
            order = rng.permutation(rows)[: self.segments_per_epoch]
            self._last_order = (epoch, order)
        return order


def _with_counts(shares: Sequence[tuple[np.ndarray, float]], total: int) -> list[tuple[np.ndarray, int]]:
    """Return the groups with the number of rows of each in an epoch, which add up to ``total``."""
    ends = np.rint(np.cumsum([share for _, share in shares]) * total).astype(np.int64)
    counts = np.diff(ends, prepend=0).tolist()
    return [(rows, count) for (rows, _), count in zip(shares, counts, strict=True)]


def _drawn(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return all rows as often as ``count`` allows, and the rest of it drawn without repetition."""
    times, rest = divmod(count, len(rows))
    return np.concatenate([np.tile(rows, times), rng.permutation(rows)[:rest]])


@dataclass(frozen=True)
class ValidationBatches:
    """Batches of rows in their order, the same each time.

    Attributes:
        read: reads the batch of some rows. Its random numbers depend on the first row.
        rows: rows to validate on.
        batch_size: segments per batch; the last batch may be smaller.
    """

    read: ReadRows
    rows: np.ndarray
    batch_size: int

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        return self.read(rows, np.random.default_rng([_VALIDATION, int(rows[0])]))

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))
