"""Keras and ONNX Runtime as runtimes of a model. Their outputs agree within 1e-4."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ecg_study.errors import ModelError

if TYPE_CHECKING:
    import keras

RUNTIMES = ("onnx", "keras")
"""Names of the runtimes, in order of preference."""

BATCH_SEGMENTS = 128
"""Segments that are passed to a runtime at once."""

_ONNX_BATCH_SEGMENTS = 8
"""Segments per call of ONNX Runtime. Measured on one machine: 0.8 to 0.9 times as long per segment as in batches of 64,
with a fifth of the memory, presumably because the data stays in the cache of a core."""


class Runtime(Protocol):
    """Runs a model on segments."""

    name: str

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Return the outputs for segments, both float32 of shape ``(segments, segment_samples)``."""


class KerasRuntime:
    """Runs a model with Keras.

    Args:
        model: Model with input and output of shape ``(batch, segment_samples, 1)``.
    """

    name = "keras"

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Return the outputs for segments, both float32 of shape ``(segments, segment_samples)``."""
        outputs = np.empty(segments.shape, np.float32)
        for first in range(0, len(segments), BATCH_SEGMENTS):
            batch = segments[first : first + BATCH_SEGMENTS]
            # Zero-padded to a power of two, so that few shapes are compiled.
            padded = np.zeros((1 << (len(batch) - 1).bit_length(), segments.shape[1], 1), np.float32)
            padded[: len(batch), :, 0] = batch
            outputs[first : first + len(batch)] = self.model.predict_on_batch(padded)[: len(batch), :, 0]
        return outputs


class OnnxRuntime:
    """Runs a model with ONNX Runtime, on all cores that this process may use.

    Args:
        model: Content of the ONNX file.
        path: Path of the file, for messages.

    Attributes:
        shape: Shape of one segment at the input of the model.
    """

    name = "onnx"

    def __init__(self, model: bytes, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # A recurrent layer is a long sequence of small steps. A second thread hardly speeds it up, but two batches in
        # parallel take hardly longer than one.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many classes of its own
            raise ModelError(f"{path}: cannot be opened ({' '.join(str(error).split())[:200]})") from error
        self._input = self._session.get_inputs()[0].name
        self.shape = tuple(self._session.get_inputs()[0].shape[1:])
        self._threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads)

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Return the outputs for segments, both float32 of shape ``(segments, segment_samples)``."""
        segments = np.asarray(segments, np.float32)
        count = max(min(self._threads, len(segments)), -(-len(segments) // _ONNX_BATCH_SEGMENTS), 1)
        return np.concatenate(list(self._pool.map(self._run, np.array_split(segments, count))))

    def _run(self, segments: np.ndarray) -> np.ndarray:
        outputs: Any = self._session.run(None, {self._input: segments[:, :, np.newaxis]})
        return np.asarray(outputs[0][:, :, 0])


def is_onnx_installed() -> bool:
    """Return whether ONNX Runtime and the ONNX package are installed."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None
