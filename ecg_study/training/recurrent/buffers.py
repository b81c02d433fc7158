"""Memory that is used again in each training step.

A step saves hundreds of megabytes for its gradients. Memory that is new in each step would first be cleared by the
operating system, page by page, which takes about a tenth of the step.
"""

from __future__ import annotations

import math
import threading
import weakref

import numpy as np

_ALIGNMENT = 64
"""In bytes. TensorFlow copies the result of a NumPy function unless it is aligned as its own tensors are."""

_MOST_FREE = 32
"""Buffers that are kept without being used; the oldest are dropped, such as those of another batch size."""


class BufferPool:
    """Arrays of float32 whose memory returns to the pool when nothing refers to them any more."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []
        # Reentrant, because a garbage collection while the pool is locked may return an array.
        self._lock = threading.RLock()

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array with arbitrary content."""
        count = math.prod(shape)
        memory = self._reuse(count)
        if memory is None:
            memory = np.empty(4 * count + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        # Views of this array refer to it and not to the memory, because its base is not an array. So the memory
        # returns only when all of them are gone.
        array = np.frombuffer(memory.data, np.float32, count, start)
        weakref.finalize(array, self._give_back, memory).atexit = False
        return array.reshape(shape)

    def _reuse(self, count: int) -> np.ndarray | None:
        with self._lock:
            for place in range(len(self._free) - 1, -1, -1):
                # Taken before it is checked: a garbage collection in between may return an array and shift the list.
                memory = self._free.pop(place)
                if memory.size == 4 * count + _ALIGNMENT:
                    return memory
                self._free.insert(place, memory)
        return None

    def _give_back(self, memory: np.ndarray) -> None:
        with self._lock:
            self._free.append(memory)
            del self._free[:-_MOST_FREE]
