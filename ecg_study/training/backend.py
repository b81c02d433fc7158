"""Backend of Keras: TensorFlow, PyTorch or JAX.

No other module imports one of them. Models, losses and metrics use ``keras.layers`` and ``keras.ops``.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ecg_study.cores import core_count
from ecg_study.errors import TrainingError
from ecg_study.extras import backend_name, import_keras, install_hint

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "backend_name",
    "backend_packages",
    "differentiable",
    "has_gpu",
    "import_backend",
    "limit_blas",
    "thread_count",
]

_limit: list[int] = []
"""The limit of threads that `import_backend` was given last, if any."""

_PACKAGES = {"tensorflow": ("tensorflow",), "torch": ("torch",), "jax": ("jax", "jaxlib")}

_NOTICE = re.compile(rb"(I0000 |WARNING: All log messages before absl::InitializeLog)")


def backend_packages() -> tuple[str, ...]:
    """Return the distributions of the backend, whose versions determine the result of a training."""
    return _PACKAGES[backend_name()]


def import_backend(threads: int | None = None) -> None:
    """Import the backend of Keras, and limit the cores that it and the BLAS libraries of NumPy and SciPy use.

    TensorFlow and JAX take a limit only before they have computed something in this process.

    Args:
        threads: cores to use (default: all).

    Raises:
        SettingsError: the backend is unknown.
        TrainingError: the backend is not installed.
    """
    name = backend_name()
    if find_spec(name) is None:
        raise TrainingError(install_hint(name))
    {"tensorflow": _import_tensorflow, "torch": _import_torch, "jax": _import_jax}[name](threads)
    import_keras()
    if threads is not None:
        limit_blas(threads)
        _limit.append(threads)


def thread_count() -> int:
    """Return the cores that the backend may use in this process: the limit of `import_backend`, or all."""
    return _limit[-1] if _limit else core_count()


def has_gpu() -> bool:
    """Return whether the backend computes on a GPU or another accelerator. It is imported."""
    import_backend()
    match backend_name():
        case "tensorflow":
            import tensorflow as tf

            return bool(tf.config.list_physical_devices("GPU"))
        case "torch":
            import torch

            return bool(torch.cuda.is_available() or torch.backends.mps.is_available())
        case _:
            import jax

            return bool(jax.default_backend() != "cpu")


def _import_tensorflow(threads: int | None) -> None:
    """Import TensorFlow without its start-up notices (no GPU, oneDNN is on); other messages are passed on."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several processes may share one GPU
    with _without_notices():
        import tensorflow as tf
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)
    if threads is not None:
        with suppress(RuntimeError):  # TensorFlow has run in this process and keeps its threads
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    # Each trial traces its own model once. TensorFlow mistakes them for one function that is traced too often.
    return "triggered tf.function retracing" not in str(record.msg)


@contextmanager
def _without_notices() -> Iterator[None]:
    """Hold back what is written to the standard error of the process, and pass on what is not a notice of TensorFlow.

    TensorFlow writes its notices there before any log level applies.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            captured.seek(0)
            os.write(2, b"".join(line for line in captured if not _NOTICE.match(line)))


def _import_torch(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
        with suppress(RuntimeError):  # torch has run operations side by side in this process and keeps these threads
            torch.set_num_interop_threads(threads)


def _import_jax(threads: int | None) -> None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes may share one GPU
    import jax

    if threads is not None:
        # XLA reads the size of its pool of threads from NPROC when it first opens the CPU; it has no other setting.
        before = os.environ.get("NPROC")
        os.environ["NPROC"] = str(threads)
        try:
            jax.devices("cpu")
        finally:
            if before is None:
                del os.environ["NPROC"]
            else:
                os.environ["NPROC"] = before


def limit_blas(threads: int) -> None:
    """Limit the threads of BLAS, of NumPy and SciPy, in this process."""
    import scipy.linalg  # noqa: F401  # SciPy brings a BLAS of its own, and only loaded libraries can be limited
    import threadpoolctl

    limits: Any = threadpoolctl.threadpool_limits
    limits(limits=threads, user_api="blas")


def differentiable(
    forward: Callable[..., Any], gradients: Callable[..., list[np.ndarray]] | None = None
) -> Callable[..., Any]:
    """Return a function of NumPy arrays as a function of tensors of TensorFlow or PyTorch, float32 on the CPU.

    Args:
        forward: takes arrays and returns the result, or, with ``gradients``, the result and an array to save.
        gradients: takes the gradient of the result, the saved array, and the arguments of ``forward``, and returns the
            gradient of each argument. Without it, the result has no gradient.

    Returns:
        A function of the same tensors, with the keyword argument ``shape``, the static shape of the result.
    """
    if backend_name() == "tensorflow":
        return _differentiable_in_tensorflow(forward, gradients)
    return _differentiable_in_torch(forward, gradients)


def _differentiable_in_tensorflow(
    forward: Callable[..., Any], gradients: Callable[..., list[np.ndarray]] | None
) -> Callable[..., Any]:
    import tensorflow as tf

    def call(*arguments: Any, shape: Sequence[int | None]) -> Any:
        if gradients is None:
            result = tf.numpy_function(forward, arguments, tf.float32)
            return tf.ensure_shape(result, shape)
        compute = gradients

        def operation(*tensors: Any) -> Any:
            result, saved = tf.numpy_function(forward, tensors, (tf.float32, tf.float32))

            def gradient(upstream: Any) -> Any:
                found = tf.numpy_function(compute, (upstream, saved, *tensors), (tf.float32,) * len(tensors))
                return [tf.ensure_shape(each, tensor.shape) for each, tensor in zip(found, tensors, strict=True)]

            return tf.ensure_shape(result, shape), gradient

        return tf.custom_gradient(operation)(*arguments)

    return call


def _differentiable_in_torch(
    forward: Callable[..., Any], gradients: Callable[..., list[np.ndarray]] | None
) -> Callable[..., Any]:
    import torch

    class Operation(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, *tensors: Any) -> Any:
            result, saved = forward(*(tensor.detach().numpy() for tensor in tensors))
            context.save_for_backward(torch.from_numpy(saved), *tensors)
            return torch.from_numpy(result)

        @staticmethod
        def backward(context: Any, upstream: Any) -> Any:
            assert gradients is not None
            saved, *tensors = context.saved_tensors
            found = gradients(upstream.numpy(), saved.numpy(), *(tensor.detach().numpy() for tensor in tensors))
            return tuple(torch.from_numpy(each) for each in found)

    def call(*arguments: Any, shape: Sequence[int | None]) -> Any:  # noqa: ARG001  # tensors of PyTorch have their own
        if gradients is not None:
            return Operation.apply(*arguments)
        return torch.from_numpy(forward(*(argument.detach().numpy() for argument in arguments)))

    return call
