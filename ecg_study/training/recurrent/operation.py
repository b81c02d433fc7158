"""A recurrent layer of one or two directions as a function of NumPy arrays, with its gradient.

Segments are computed in chunks, which threads share. Sums over segments are made chunk by chunk and then in the order
of the chunks, so the result is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from ecg_study.training.recurrent.buffers import BufferPool
from ecg_study.training.recurrent.kernels import Direction, Saved, WeightGradients, backward, forward

_ROWS, _FEWER_ROWS = 32, 16
"""Segments per chunk, and for batches below 64, so that two threads have work. Larger chunks leave the cache."""

_pool = BufferPool()
_no_cell = np.zeros((1, 1, 1), np.float32)  # a GRU has no cell state


@dataclass(frozen=True)
class _Chunk:
    """Segments ``rows`` of a batch, and their part of the saved values of one direction."""

    rows: slice
    direction: int
    saved: Saved


@dataclass(frozen=True)
class RecurrentOperation:
    """One layer: forward only, backward only, or both with their outputs side by side.

    Attributes:
        lstm: LSTM, or else GRU.
        reverse: for each direction, whether it starts at the last step.
        threads: threads that compute it.
    """

    lstm: bool
    reverse: tuple[bool, ...]
    threads: int = 1

    def outputs(self, x: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        """Return the outputs without what a gradient needs.

        Args:
            x: inputs, float32 ``(segments, steps, features)``.
            *weights: kernel, recurrent kernel and bias of each direction, in the shapes of Keras.

        Returns:
            float32 ``(segments, steps, directions * units)``.
        """
        y, kept = self._run(x, weights, keep=False)
        del kept
        return y

    def forward(self, x: np.ndarray, *weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs, and one array with what `gradients` needs; see `outputs`."""
        return self._run(x, weights, keep=True)

    def gradients(self, dy: np.ndarray, *arguments: np.ndarray) -> list[np.ndarray]:
        """Return the gradients of the inputs and of each array of weights.

        Args:
            dy: gradient of the outputs.
            *arguments: the second result of `forward`, and its arguments.
        """
        saved, x, *weights = arguments
        x, dy = _plain(x), _plain(dy)
        directions = self._directions(weights)
        dx = _pool.take(x.shape)
        chunks = list(self._chunks(x.shape, saved, len(directions[0].recurrent), keep=True))
        # Both directions add to the gradient of the inputs, so one thread computes both for the same segments.
        groups = [chunks[n : n + len(directions)] for n in range(0, len(chunks), len(directions))]
        sums = [np.zeros((len(groups), *each.shape), np.float32) for each in weights]

        def compute(number: int) -> None:
            dx[groups[number][0].rows] = 0
            for chunk in groups[number]:
                kernel, recurrent, bias = (each[number] for each in sums[3 * chunk.direction :][:3])
                backward(
                    x[chunk.rows],
                    directions[chunk.direction],
                    saved=chunk.saved,
                    dy=dy[chunk.rows],
                    dx=dx[chunk.rows],
                    gradients=WeightGradients(kernel, recurrent, _rows_of_bias(bias)),
                )

        _share(compute, len(groups), self.threads)
        return [dx, *(each.sum(axis=0) for each in sums)]

    def _run(self, x: np.ndarray, weights: Sequence[np.ndarray], *, keep: bool) -> tuple[np.ndarray, np.ndarray]:
        x, directions = _plain(x), self._directions(weights)
        segments, steps, _ = x.shape
        units = len(directions[0].recurrent)
        y = _pool.take((segments, steps, len(directions) * units))
        saved = _pool.take((segments * len(directions) * _saved_per_row(steps, units, lstm=self.lstm, keep=keep),))
        chunks = list(self._chunks(x.shape, saved, units, keep=keep))

        def compute(number: int) -> None:
            chunk = chunks[number]
            forward(x[chunk.rows], directions[chunk.direction], y=y[chunk.rows], saved=chunk.saved)

        _share(compute, len(chunks), self.threads)
        return y, saved

    def _directions(self, weights: Sequence[np.ndarray]) -> list[Direction]:
        found = []
        for number, reverse in enumerate(self.reverse):
            kernel, recurrent, bias = (_plain(each) for each in weights[3 * number : 3 * number + 3])
            column = number * len(recurrent)
            found.append(Direction(kernel, recurrent, _rows_of_bias(bias), self.lstm, reverse, column))
        return found

    def _chunks(self, shape: tuple[int, ...], saved: np.ndarray, units: int, *, keep: bool) -> Iterator[_Chunk]:
        """Yield all directions of the first segments, then of the next."""
        segments, steps = shape[0], shape[1]
        most = _ROWS if segments >= 2 * _ROWS else _FEWER_ROWS
        kept, states = (steps, steps + 1) if keep else (1, 2)
        at = 0
        for first in range(0, segments, most):
            rows = min(most, segments - first)
            for direction in range(len(self.reverse)):
                parts = []
                for shape_of in ((kept, rows, 4 * units), *[(states, rows, units)] * (2 if self.lstm else 1)):
                    size = shape_of[0] * shape_of[1] * shape_of[2]
                    parts.append(saved[at : at + size].reshape(shape_of))
                    at += size
                cells = parts[2] if self.lstm else _no_cell
                yield _Chunk(slice(first, first + rows), direction, Saved(parts[0], parts[1], cells))


def _saved_per_row(steps: int, units: int, *, lstm: bool, keep: bool) -> int:
    """Return the values that are saved per segment and direction: gates, states, and cell states of an LSTM."""
    kept, states = (steps, steps + 1) if keep else (1, 2)
    return units * (4 * kept + (2 if lstm else 1) * states)


def _plain(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


def _rows_of_bias(bias: np.ndarray) -> np.ndarray:
    return bias.reshape(-1, bias.shape[-1])  # that of an LSTM has one row only


def _share(compute: Callable[[int], None], count: int, threads: int) -> None:
    """Call ``compute`` with each number below ``count``, on several threads."""
    if threads == 1 or count == 1:
        for number in range(count):
            compute(number)
    else:
        for _ in _threads(threads).map(compute, range(count)):
            pass


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="recurrent")
