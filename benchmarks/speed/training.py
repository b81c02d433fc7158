"""Speed of training on the CPU, as ratios of medians in one run.

    python -m benchmarks.speed.training [--raw-dir ../mitdb --noise-dir ../nstdb] [--batch 64] [--rounds 7]

- Compiled recurrent layers against those of Keras: the GRU detector and the LSTM denoiser, two layers of 64 units in
  both directions, with 1 and 2 threads and frames of 4, 8 and 16 samples. Each step is timed in turn with both, so
  other work on the machine slows both.
- Augmentation: time to prepare a batch on one core, as a share of a step with compiled layers on two.
- Two trainings side by side, of one thread each, against one training of two threads: total segments per second.

The segments have 2,016 samples. Without ``--raw-dir``, augmentation works on synthetic records.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.models.card import DENOISER, DETECTOR

if TYPE_CHECKING:
    import keras

SEGMENT = 2016
FRAMES = (4, 8, 16)
THREADS = (1, 2)
CELLS = {DETECTOR: "GRU", DENOISER: "LSTM"}
SIDE_BY_SIDE_SECONDS = 20.0


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


def segments_per_second(kind: str, *, threads: int, batch: int, start: Any) -> float:
    """Train for some seconds from the moment at which all trainings are ready. Needs a process of its own."""
    from ecg_study.training.backend import import_backend

    import_backend(threads)
    step = training_step(kind, 8, batch=batch, compiled_layers=True)
    start.wait()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SIDE_BY_SIDE_SECONDS:
        step()
        done += batch
    return done / (time.perf_counter() - started)


def augmentation_seconds(kind: str, *, raw_dir: str, noise_dir: str, batch: int, rounds: int) -> float:
    """Return the median seconds in which one core prepares a batch of the preset robust."""
    from ecg_study.search_spaces.presets import PRESETS
    from ecg_study.training.backend import limit_blas
    from ecg_study.training.task import TrainingTask
    from ecg_study.workflows.settings import Settings
    from ecg_study.workflows.study import prepare_data

    limit_blas(1)
    source = {"database": "mitdb", "raw_dir": raw_dir} if raw_dir else {"database": "synthetic"}
    data = prepare_data(Settings(**source, noise_dir=noise_dir, preset="robust"))
    task = TrainingTask(kind, data.cache, data.split, PRESETS["robust"])
    stream = task.training_stream(1)
    whole = stream.batches_per_epoch - 1
    times = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        segments, _ = stream.batch(number % max(1, whole))
        times.append((time.perf_counter() - started) * batch / len(segments))
    return statistics.median(times[1:])  # the first reads the cache from the disk


def in_new_process(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return the result of a function in a process that has not computed anything: limits of threads hold there."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


def side_by_side(kind: str, *, count: int, threads: int, batch: int) -> float:
    """Return the total segments per second of trainings that run at the same time."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(count, mp_context=context) as pool:
        start = manager.Barrier(count)
        running = [
            pool.submit(segments_per_second, kind, threads=threads, batch=batch, start=start) for _ in range(count)
        ]
        return sum(each.result() for each in running)


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--raw-dir", default="", help="folder of the MIT-BIH records (default: synthetic records)")
    parser.add_argument("--noise-dir", default="", help="folder of the noise records (default: downloaded)")
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
        seconds = in_new_process(
            augmentation_seconds,
            kind,
            raw_dir=given.raw_dir,
            noise_dir=given.noise_dir,
            batch=given.batch,
            rounds=5 * given.rounds,
        )
        share = seconds / (2 * step[kind])
        print(f"{kind}: {given.batch / seconds:.0f} segments/s per core, {share:.1%} of the time of both cores")

    print("\nTwo trainings side by side, one thread each, against one of two threads, frame 8")
    for kind in CELLS:
        together = side_by_side(kind, count=2, threads=1, batch=given.batch)
        alone = side_by_side(kind, count=1, threads=2, batch=given.batch)
        print(f"{kind}: {together:.0f} against {alone:.0f} segments/s, ratio {together / alone:.2f}", flush=True)


if __name__ == "__main__":
    main()
