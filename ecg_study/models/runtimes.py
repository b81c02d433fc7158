"""What runs a bundle's model: Keras, or ONNX Runtime where it is installed. Both give the same within 1e-4."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ecg_study.errors import EcgStudyError
from ecg_study.inference.lead_stream import BATCH

if TYPE_CHECKING:
    import keras

ENGINES = ("onnx", "keras")
"""In the order in which they are preferred."""

_PIECE = 8
"""Segments that ONNX Runtime is given at once. Measured on one machine: a segment takes 0.8 to 0.9 times as long as
among 64, and the layers hold a fifth of the memory, presumably since it stays in the cache of a core."""


class Runtime(Protocol):
    """Runs a model on segments."""

    name: str

    def run(self, segments: np.ndarray) -> np.ndarray:
        """From segments, float32 of shape ``(segments, segment)``, to outputs of the same shape."""


class KerasRuntime:
    """Runs a model with Keras.

    Args:
        model: from ``(batch, segment, 1)`` to the same shape.
    """

    name = "keras"

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Outputs of segments, at most a batch at a time."""
        outputs = np.empty(segments.shape, np.float32)
        for first in range(0, len(segments), BATCH):
            batch = segments[first : first + BATCH]
            # Filled up with zeros to a power of two, so that few shapes are compiled.
            padded = np.zeros((1 << (len(batch) - 1).bit_length(), segments.shape[1], 1), np.float32)
            padded[: len(batch), :, 0] = batch
            outputs[first : first + len(batch)] = self.model.predict_on_batch(padded)[: len(batch), :, 0]
        return outputs


class OnnxRuntime:
    """Runs a model with ONNX Runtime, on all cores that this process may use.

    Args:
        model: the ONNX model as it is in the file.
        path: of the file, for messages.

    Attributes:
        shape: of a segment as the model reads it.
    """

    name = "onnx"

    def __init__(self, model: bytes, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Recurrent layers are long rows of small steps, which a second thread hardly speeds up; two rows side by side
        # take hardly longer than one.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its own, for whatever it trips over
            raise EcgStudyError(f"{path}: cannot be opened ({' '.join(str(error).split())[:200]})") from error
        self._input = self._session.get_inputs()[0].name
        self.shape = tuple(self._session.get_inputs()[0].shape[1:])
        self._threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads)

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Outputs of segments, shared out among the threads piece by piece."""
        segments = np.asarray(segments, np.float32)
        count = max(min(self._threads, len(segments)), -(-len(segments) // _PIECE), 1)
        return np.concatenate(list(self._pool.map(self._run, np.array_split(segments, count))))

    def _run(self, segments: np.ndarray) -> np.ndarray:
        outputs: Any = self._session.run(None, {self._input: segments[:, :, np.newaxis]})
        return np.asarray(outputs[0][:, :, 0])


def is_onnx_installed() -> bool:
    """Whether ONNX Runtime and the reader of its files are there."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None
