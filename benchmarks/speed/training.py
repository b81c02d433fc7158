"""Speed of training on the CPU, as ratios of medians in one run.

    python -m benchmarks.speed.training [--raw-dir ../mitdb --noise-dir ../nstdb] [--batch 64] [--rounds 7]

- Compiled recurrent layers against those of Keras: the GRU detector and the LSTM denoiser, two layers of 64 units in
  both directions, with 1 and 2 threads and frames of 4, 8 and 16 samples. Each step is timed in turn with both, so
  other work on the machine slows both.
- Augmentation: processor time of a batch as a share of the time of both cores in a step with compiled layers.
- Two trainings side by side, of one thread each, against one training of two threads: total segments per second.

The segments have 2,016 samples. Augmentation has every feature; see `benchmarks.speed.augmentation`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.speed.augmentation import REPEATS, augmented_task, seconds_per_segment
from ecg_study.models.card import DENOISER, DETECTOR

if TYPE_CHECKING:
    import keras

SEGMENT = 2016
FRAMES = (4, 8, 16)
THREADS = (1, 2)
CELLS = {DETECTOR: "GRU", DENOISER: "LSTM"}
WINDOW_SECONDS = 4.0

_step: Callable[[], float] | None = None


def build(kind: str, frame: int) -> keras.Model:
    """Return a compiled model of two bidirectional layers of 64 units."""
    from ecg_study.search_spaces.denoiser import DenoiserConfig, build_denoiser
    from ecg_study.search_spaces.detector import DetectorConfig, build_detector
    from ecg_study.search_spaces.layers import StackConfig

    stack = StackConfig(units=(64, 64), dropout=0.0, frame=frame, bidirectional=True, learning_rate=1e-3)
    if kind == DENOISER:
        return build_denoiser(DenoiserConfig(stack, residual=True), SEGMENT)
    return build_detector(DetectorConfig(stack, dense_units=32), SEGMENT, window_samples=144, refractory_samples=72)


def random_batch(segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Return segments and targets of random numbers, which take as long as others."""
    rng = np.random.default_rng(0)
    shape = (segments, SEGMENT, 1)
    return rng.standard_normal(shape, np.float32), (rng.random(shape) < 0.01).astype(np.float32)


def training_step(kind: str, frame: int, *, batch: int, compiled_layers: bool) -> Callable[[], float]:
    """Return a function that trains one step, ready to be timed."""
    from ecg_study.training.steps.network import Network

    network, data = Network(build(kind, frame), compiled_layers=compiled_layers), random_batch(batch)
    network.train(data)
    return lambda: network.train(data)


def step_seconds(kind: str, frame: int, *, threads: int, batch: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds of a step with compiled layers and with those of Keras. Needs a process of its own."""
    from ecg_study.training.backend import import_backend

    import_backend(threads)
    steps = [training_step(kind, frame, batch=batch, compiled_layers=compiled) for compiled in (True, False)]
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for step, found in zip(steps, times, strict=True):
            started = time.perf_counter()
            step()
            found.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def prepare(kind: str, threads: int, batch: int) -> None:
    """Prepare the training that this process repeats in `segments_per_second`."""
    from ecg_study.training.backend import import_backend

    global _step
    import_backend(threads)
    _step = training_step(kind, 8, batch=batch, compiled_layers=True)


def segments_per_second(batch: int, start: Any) -> float:
    """Train for some seconds from the moment at which all trainings of a window have started."""
    assert _step is not None
    start.wait()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < WINDOW_SECONDS:
        _step()
        done += batch
    return done / (time.perf_counter() - started)


def augmentation_seconds(kind: str, raw_dir: Path | None, noise_dir: Path | None) -> float:
    """Return the processor time in seconds of one augmented segment, with every feature of augmentation."""
    from ecg_study.training.backend import limit_blas

    limit_blas(1)
    with tempfile.TemporaryDirectory() as directory:
        task = augmented_task(kind, directory=Path(directory), raw_dir=raw_dir, noise_dir=noise_dir)
        return statistics.median(seconds_per_segment(task) for _ in range(REPEATS))


def in_new_process(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return the result of a function in a process that has not computed anything: limits of threads hold there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


def side_by_side(kind: str, *, batch: int, windows: int) -> tuple[float, float]:
    """Return the total segments per second of two trainings of one thread, and those of one training of two.

    Both are measured in turn, a window each, so other work on the machine slows both. Medians of the windows.
    """
    context = multiprocessing.get_context("spawn")
    rates: dict[int, list[float]] = {2: [], 1: []}
    with context.Manager() as manager, ExitStack() as stack:
        pools = {
            count: [
                stack.enter_context(
                    ProcessPoolExecutor(1, mp_context=context, initializer=prepare, initargs=(kind, threads, batch))
                )
                for _ in range(count)
            ]
            for count, threads in ((2, 1), (1, 2))
        }
        for window in range(windows + 1):
            for count, each in pools.items():
                start = manager.Barrier(count)
                running = [pool.submit(segments_per_second, batch, start) for pool in each]
                total = sum(one.result() for one in running)
                if window:  # the first one prepares the models
                    rates[count].append(total)
    return statistics.median(rates[2]), statistics.median(rates[1])


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--raw-dir", type=Path, help="folder of the MIT-BIH records (default: synthetic records)")
    parser.add_argument("--noise-dir", type=Path, help="folder of the noise records (default: synthetic noise)")
    parser.add_argument("--batch", type=int, default=64, help="segments per step (default: 64)")
    parser.add_argument("--rounds", type=int, default=7, help="steps of each kind; medians are printed (default: 7)")
    given = parser.parse_args()

    step: dict[str, float] = {}
    print(f"Compiled layers against those of Keras, batches of {given.batch}, medians of {given.rounds} steps")
    print("| layer | threads | frame | compiled, segments/s | Keras, segments/s | ratio |")
    print("|---|---|---|---|---|---|")
    for kind, cell in CELLS.items():
        for threads in THREADS:
            for frame in FRAMES:
                ours, theirs = in_new_process(
                    step_seconds, kind, frame, threads=threads, batch=given.batch, rounds=given.rounds
                )
                if threads == THREADS[-1] and frame == 8:
                    step[kind] = ours
                rates = f"{given.batch / ours:.0f} | {given.batch / theirs:.0f}"
                print(f"| {cell} | {threads} | {frame} | {rates} | {theirs / ours:.2f} |", flush=True)

    print("\nAugmentation on one core against a step on two, frame 8")
    for kind in CELLS:
        seconds = in_new_process(augmentation_seconds, kind, given.raw_dir, given.noise_dir)
        share = seconds * given.batch / (2 * step[kind])
        print(f"{kind}: {1 / seconds:.0f} segments/s per core, {share:.1%} of the time of both cores", flush=True)

    print("\nTwo trainings side by side, one thread each, against one of two threads, frame 8")
    for kind in CELLS:
        together, alone = side_by_side(kind, batch=given.batch, windows=given.rounds)
        print(f"{kind}: {together:.0f} against {alone:.0f} segments/s, ratio {together / alone:.2f}", flush=True)


if __name__ == "__main__":
    main()
