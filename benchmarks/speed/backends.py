"""Training steps of Keras's own layers on the backend and device that Keras uses, in segments per second.

    KERAS_BACKEND=torch python -m benchmarks.speed.backends [--batch 512] [--threads 1]

It needs the backend, Keras and Keras Tuner only, so it runs on a machine with a GPU without TensorFlow. Two layers of
64 units per direction read segments of 2,016 samples of random numbers; the same batch is trained again and again.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from ecg_study.training.backend import backend_name, has_gpu, import_backend

SEGMENT = 2016


def measure(kind: str, *, frame: int, batch: int, seconds: float) -> tuple[float, float]:
    """Return the segments per second, and the seconds that the first step took.

    Args:
        kind: ``denoiser`` or ``detector``.
        frame: samples that the first layer reads per step.
        batch: segments per step.
        seconds: how long it trains.
    """
    from ecg_study.search_spaces.denoiser import DenoiserConfig, build_denoiser
    from ecg_study.search_spaces.detector import DetectorConfig, build_detector
    from ecg_study.search_spaces.layers import StackConfig

    stack = StackConfig(units=(64, 64), dropout=0.0, frame=frame, bidirectional=True, learning_rate=1e-3)
    if kind == "denoiser":
        model = build_denoiser(DenoiserConfig(stack, residual=True), SEGMENT)
    else:
        model = build_detector(
            DetectorConfig(stack, dense_units=32), SEGMENT, window_samples=288, refractory_samples=72
        )
    rng = np.random.default_rng(0)
    noisy = rng.normal(0, 1, (batch, SEGMENT, 1)).astype(np.float32)
    wanted = (rng.random((batch, SEGMENT, 1)) < 0.01).astype(np.float32)
    started = time.perf_counter()
    float(model.train_on_batch(noisy, wanted)[0])
    first = time.perf_counter() - started
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        # The loss is read at each step, so the step has ended.
        float(model.train_on_batch(noisy, wanted)[0])
        steps += 1
    return steps * batch / (time.perf_counter() - started), first


def main() -> None:
    """Print one line per model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--frame", type=int, default=8, help="samples per step of the first layer (default: 8)")
    parser.add_argument("--batch", type=int, default=64, help="segments per step (default: 64)")
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="time per model (default: 20)")
    given = parser.parse_args()
    import_backend(given.threads)
    device = "GPU" if has_gpu() else "CPU"
    for kind in ("detector", "denoiser"):
        rate, first = measure(kind, frame=given.frame, batch=given.batch, seconds=given.seconds)
        print(
            f"{backend_name()} on the {device}, {kind} 2x64, frame {given.frame}, batch {given.batch}: "
            f"{rate:.0f} segments per second, first step {first:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
