"""Keras and ONNX Runtime as runtimes of a model. Their outputs agree within 1e-4."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ecg_study.cores import core_count
from ecg_study.errors import InputError, ModelError, one_line
from ecg_study.models.network_size import NetworkSize
from ecg_study.models.onnx_file import ONNX_BATCH_SEGMENTS, CheckedOnnx

if TYPE_CHECKING:
    import keras

RUNTIMES = ("onnx", "keras")
"""Names of the runtimes, in order of preference."""

BATCH_SEGMENTS = 128
"""Segments that are passed to a runtime at once."""

_BATCH_BYTES, _MEMORY_BYTES = 100_000_000, 2_000_000_000
"""Memory for the results of one batch of ONNX Runtime, and of all batches that run at a time. The pretrained models
take 20 MB per batch."""

_FATAL = 4  # level of ONNX Runtime's log; its warnings repeat names from the file on the terminal


class Runtime(Protocol):
    """Runs a model on segments."""

    name: str

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Return the outputs for segments, both float32 of shape ``(segments, segment_samples)``.

        Raises:
            InputError: A value of the segments is not finite.
            ModelError: The model cannot be run, or its output is not finite.
        """


class KerasRuntime:
    """Runs a model with Keras.

    Args:
        model: Model with input and output of shape ``(batch, segment_samples, 1)``.
        path: Path of the file, for messages.
        size: Memory and work of the model per segment.
    """

    name = "keras"

    def __init__(self, model: keras.Model, path: Path, *, size: NetworkSize) -> None:
        self.model = model
        self._path = path
        self._batch = size.batch_segments(BATCH_SEGMENTS, memory_bytes=_MEMORY_BYTES // 2)
        self._process_id = os.getpid()

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Return the outputs for segments, both float32 of shape ``(segments, segment_samples)``.

        Raises:
            InputError: A value of the segments is not finite.
            ModelError: The model cannot be run, or its output is not finite. Or this is a forked process, which has
                none of the threads of Keras's backend.
        """
        if os.getpid() != self._process_id:
            problem = "was opened with Keras before this process was forked; open it again, or use the runtime 'onnx'"
            raise ModelError(f"{self._path}: {problem}", parameters=("runtime",))
        _check_input(segments)
        outputs = np.empty(segments.shape, np.float32)
        for first in range(0, len(segments), self._batch):
            batch = segments[first : first + self._batch]
            # Zero-padded to a power of two, so that few shapes are compiled.
            padded = np.zeros((1 << (len(batch) - 1).bit_length(), segments.shape[1], 1), np.float32)
            padded[: len(batch), :, 0] = batch
            try:
                outputs[first : first + len(batch)] = self.model.predict_on_batch(self._as_input(padded))[
                    : len(batch), :, 0
                ]
            except Exception as error:  # Keras and its backends raise many classes
                raise ModelError(f"{self._path}: cannot be run ({one_line(error, limit=200)})") from error
        return _finite(outputs, segments, self._path)

    def _as_input(self, segments: np.ndarray) -> Any:
        """Return segments as the model takes them: a saved model has a list of one input."""
        # TensorFlow and JAX take an array too. With torch, Keras warns of it.
        return [segments] if isinstance(getattr(self.model, "input", None), list) else segments


@dataclass(frozen=True)
class _Session:
    """A session of ONNX Runtime with its threads, which exist in one process only."""

    process_id: int
    session: Any
    pool: ThreadPoolExecutor


class OnnxRuntime:
    """Runs a model with ONNX Runtime, on all cores that this process may use.

    A forked process can use it too, and so can one that gets a pickled copy: it opens the model again, since it has
    none of the threads.

    Args:
        model: Checked model.
        path: Path of the file, for messages.
    """

    name = "onnx"

    def __init__(self, model: CheckedOnnx, path: Path) -> None:
        self._model = model
        self._path = path
        self._batch = model.size.batch_segments(ONNX_BATCH_SEGMENTS, memory_bytes=_BATCH_BYTES)
        self._threads = model.size.batch_segments(core_count(), memory_bytes=_MEMORY_BYTES // self._batch)
        self._current = self._open()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the checked model."""
        return {"model": self._model, "path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open a pickled model again."""
        OnnxRuntime.__init__(self, state["model"], state["path"])

    def run(self, segments: np.ndarray) -> np.ndarray:
        """Return the outputs for segments, both float32 of shape ``(segments, segment_samples)``.

        Raises:
            InputError: A value of the segments is not finite.
            ModelError: The model cannot be run, or its output is not finite.
        """
        segments = np.asarray(segments, np.float32)
        if not len(segments):
            return np.empty(segments.shape, np.float32)
        _check_input(segments)
        if self._current.process_id != os.getpid():
            self._current = self._open()
        count = max(min(self._threads, len(segments)), -(-len(segments) // self._batch), 1)
        parts = self._current.pool.map(self._run, np.array_split(segments, count))
        return _finite(np.concatenate(list(parts)), segments, self._path)

    def _run(self, segments: np.ndarray) -> np.ndarray:
        session = self._current.session
        try:
            outputs: Any = session.run(None, {session.get_inputs()[0].name: segments[:, :, np.newaxis]})
        except Exception as error:  # ONNX Runtime raises many classes of its own
            raise ModelError(f"{self._path}: cannot be run ({one_line(error, limit=200)})") from error
        output = np.asarray(outputs[0])
        if output.shape != (*segments.shape, 1):
            raise ModelError(f"{self._path}: returns the shape {output.shape} for segments of shape {segments.shape}")
        return output[:, :, 0]

    def _open(self) -> _Session:
        onnxruntime = _import_onnxruntime()
        options = onnxruntime.SessionOptions()
        # A recurrent layer is a long sequence of small steps. A second thread hardly speeds it up, but two batches in
        # parallel take hardly longer than one.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        # Never its own format, whatever the first bytes of the model are.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            session = onnxruntime.InferenceSession(self._model.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises many classes of its own
            raise ModelError(f"{self._path}: cannot be opened ({one_line(error, limit=200)})") from error
        return _Session(os.getpid(), session, ThreadPoolExecutor(self._threads))


def is_onnx_installed() -> bool:
    """Return whether ONNX Runtime and the ONNX package are installed."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


def _import_onnxruntime() -> Any:
    """Import ONNX Runtime without its telemetry.

    Since version 1.29 it keeps an id of the machine and a store of events in the user's cache folder, and sends the
    events. It decides when it is imported.

    References:
        Privacy.md of ONNX Runtime.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    # If something else has imported it before, this ends the events that are left to end.
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _check_input(segments: np.ndarray) -> None:
    """Refuse segments that are not finite: a recurrent layer of ONNX Runtime gives finite values for them.

    Raises:
        InputError: A value is not finite.
    """
    if not np.isfinite(segments).all():
        raise InputError("signal: has values that are too large for float32; check the unit, which is mV")


def _finite(outputs: np.ndarray, segments: np.ndarray, path: Path) -> np.ndarray:
    """Return the outputs of a model if they are finite.

    Raises:
        ModelError: They are not.
    """
    if np.isfinite(outputs).all():
        return outputs
    largest = float(np.abs(segments).max())
    raise ModelError(f"{path}: the output of the model is not finite for input of up to {largest:.3g}")
