"""24 hours of one lead through models and through other detectors: time including reading, and resident memory.

    python -m benchmarks.speed.reuse --detector outputs/models/detector --denoiser outputs/models/denoiser
    python -m benchmarks.speed.reuse --detector … --denoiser … --hours 2 --others 0.1

A synthetic recording is written as a WFDB record (format 16, 360 Hz) and read block by block. ONNX Runtime and Keras
run each model in a process of their own, whose peak resident memory is printed. Imports and loading are not timed. The
other detectors run on a shorter excerpt in memory, and their time is scaled up in proportion.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.databases.synthetic import write_synthetic
from ecg_study.ecg_data.readers.opening import open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import load_model
from ecg_study.models.runtimes import RUNTIMES
from ecg_study.prediction.recordings import denoise_recording, detect_recording

FS = 360.0
_PIECE_SECONDS = 600.0
_CHUNKS = 100


def write_recording(directory: Path, hours: float) -> Path:
    """Write ten minutes of a synthetic record repeatedly, and return the path of the header."""
    write_synthetic(directory / "piece", seed=1, subjects=16, duration=_PIECE_SECONDS)
    lead = read_record(directory / "piece" / "s01", annotator=None).signal[:, 0]
    samples = np.round(1000 * lead).astype("<i2")
    times = max(1, round(hours * 3600 / _PIECE_SECONDS))
    with open(directory / "long.dat", "wb") as data:
        for _ in range(times):
            data.write(samples.tobytes())
    header = directory / "long.hea"
    header.write_text(f"long 1 {FS:g} {times * len(samples)}\nlong.dat 16 1000(0)/mV 16 0\n")
    return header


def _measure(name: str, runtime: str, header: Path, queue: Any) -> None:
    model = load_model(name, runtime=runtime)
    recording = open_recording(header, ReadOptions())
    warm = np.zeros(model.card.segment_samples * 4, np.float32)
    (model.detect if isinstance(model, Detector) else model.denoise)(warm, fs=FS)  # first traces
    started = time.monotonic()
    _apply(model, recording, header.parent)
    seconds = time.monotonic() - started
    stream = model.stream(fs=FS)
    chunk = np.sin(np.arange(model.card.segment_samples * 3 // 4) / 20).astype(np.float32)
    stream.push(np.tile(chunk, 4))
    single = []
    for _ in range(_CHUNKS):
        began = time.monotonic()
        stream.push(chunk)
        single.append(time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    queue.put((seconds, peak, float(np.median(single))))


def _apply(model: Detector | Denoiser, recording: Recording, directory: Path) -> None:
    if isinstance(model, Detector):
        detect_recording(model, recording)
        return
    with denoise_recording(model, recording, directory=directory) as result:
        assert result.samples == recording.samples


def measure(name: str, runtime: str, *, header: Path) -> tuple[float, float, float]:
    """Return the seconds for the recording, resident memory in GiB, and the seconds for a chunk of one segment."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(name, runtime, header, queue))
    process.start()
    result: tuple[float, float, float] = queue.get()
    process.join()
    return result


def others() -> dict[str, Callable[[np.ndarray], Any]]:
    """Return other detectors with their defaults."""
    import neurokit2
    import sleepecg
    from wfdb import processing

    def neurokit(signal: np.ndarray) -> Any:
        return neurokit2.ecg_findpeaks(neurokit2.ecg_clean(signal, int(FS)), int(FS))

    return {
        "sleepecg": lambda signal: sleepecg.detect_heartbeats(signal, FS),
        "neurokit2": neurokit,
        "wfdb xqrs": lambda signal: processing.xqrs_detect(signal, FS, verbose=False),
    }


def main() -> None:
    """Measure, and print one line per model and detector."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--detector", required=True, help="name or folder of a model")
    parser.add_argument("--denoiser", required=True, help="name or folder of a model")
    parser.add_argument("--hours", type=float, default=24.0, help="length of the recording (default: 24)")
    parser.add_argument("--others", type=float, default=1.0, help="hours for the other detectors (default: 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        header = write_recording(Path(folder), options.hours)
        for name in (options.detector, options.denoiser):
            for runtime in RUNTIMES:
                seconds, memory, chunk = measure(name, runtime, header=header)
                result = f"{seconds:.1f} s, {memory:.2f} GiB; a chunk of one segment {1000 * chunk:.1f} ms"
                print(f"{name}, {runtime}: {options.hours:g} h in {result}", flush=True)
        (block, *_) = open_recording(header, ReadOptions()).blocks()
        signal = np.resize(block[:, 0], round(options.others * 3600 * FS))
        for name, detect in others().items():
            detect(signal[: round(60 * FS)])  # imports, and code that is compiled at the first call
            started = time.monotonic()
            detect(signal)
            seconds = (time.monotonic() - started) * options.hours / options.others
            print(f"{name}: {options.hours:g} h in {seconds:.1f} s (by {options.others:g} h)", flush=True)


if __name__ == "__main__":
    main()
