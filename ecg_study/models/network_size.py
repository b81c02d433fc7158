"""Bounds of the memory and work of a network, computed from the shapes of its results before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_MODEL_BYTES = 128_000_000
"""Largest model file, in bytes: 32 million weights, 200 times as many as the largest pretrained model has."""

_MAX_VALUES = 32_000_000  # 128 MB of float32: 50 times as many as the largest pretrained model computes
_MAX_PRODUCTS = 20_000_000_000  # about a second of one core; the largest pretrained model has 35 million
MAX_RANK = 8  # dimensions of a result or constant; the models of this project have 4

BYTES_PER_VALUE = 4


class NetworkError(ValueError):
    """A network that no model of this project has, or that is too large; the message says what it has."""


@dataclass
class NetworkSize:
    """Memory and work of a network for one batch, summed over all its results.

    Attributes:
        segments: Segments in the batch.
        values: Values that the network computes, including those that a recurrent layer keeps while it runs.
        products: Multiplications.
    """

    segments: int = 1
    values: int = 0
    products: int = 0

    def add(self, shape: Sequence[int], *, products: int = 0, buffered: int = 0) -> None:
        """Add one result.

        Args:
            shape: Shape of the result.
            products: Multiplications beyond one per value of the result.
            buffered: Values that are kept only while the result is computed.

        Raises:
            NetworkError: The network is too large, or the shape is not valid.
        """
        if len(shape) > MAX_RANK or any(length < 1 for length in shape):
            raise NetworkError(f"computes a result of shape {tuple(shape)[:MAX_RANK]}")
        self.values += math.prod(shape) + buffered
        self.products += math.prod(shape) + products
        if self.values > _MAX_VALUES * self.segments:
            raise NetworkError(f"computes more than {_MAX_VALUES:,} values per segment")
        if self.products > _MAX_PRODUCTS * self.segments:
            raise NetworkError(f"needs more than {_MAX_PRODUCTS:,} multiplications per segment")

    def batch_segments(self, most: int, *, memory_bytes: int) -> int:
        """Return how many segments a batch may have: ``most``, or fewer so that their results fit into the memory."""
        return max(1, min(most, memory_bytes // (BYTES_PER_VALUE * max(1, self.values))))
