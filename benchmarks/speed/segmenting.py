"""Cutting and labeling windows: our arrays against a loop that slices and copies window by window.

Both do the same work in the same run on the same lead: the windows of 30 minutes of ECG, each labeled as holding an R
peak or not. Only the ratio matters.

    python -m benchmarks.speed.segmenting
    python -m benchmarks.speed.segmenting --record ../mitdb/100
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.ecg_data.segments.cutting import cut_segments, mark_r_peaks, segment_starts, window_labels

FS, MINUTES, SEGMENT, WINDOW = 360, 30, 2016, 144
REPEATS = 9


def vectorized(signal: np.ndarray, r_peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a copy of the windows, shape ``(windows, 144)``, and their labels, shape ``(windows,)``."""
    starts = segment_starts(len(signal), SEGMENT)
    segments = cut_segments(signal, starts, segment_samples=SEGMENT).copy()
    marks = cut_segments(mark_r_peaks(r_peaks, len(signal)), starts, segment_samples=SEGMENT)
    return segments.reshape(-1, WINDOW), window_labels(marks, WINDOW).ravel()


def loop(signal: np.ndarray, r_peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same, one window after the other."""
    windows, labels = [], []
    for start in range(0, len(signal) // SEGMENT * SEGMENT, WINDOW):
        windows.append(signal[start : start + WINDOW].copy())
        labels.append(bool(np.any((r_peaks >= start) & (r_peaks < start + WINDOW))))
    return np.array(windows), np.array(labels)


def seconds(work: Callable[[], object]) -> float:
    """Return the time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Print the median times and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--record", type=Path, help="a WFDB record; otherwise 30 minutes of noise at 75 beats/min")
    record_path = parser.parse_args().record
    if record_path is not None:
        record = read_record(record_path)
        signal, r_peaks = np.ascontiguousarray(record.signal[:, 0]), record.r_peaks
    else:
        signal = np.random.default_rng(0).standard_normal(FS * 60 * MINUTES, dtype=np.float32)
        r_peaks = np.arange(100, len(signal), round(FS * 60 / 75))
    ours, theirs = vectorized(signal, r_peaks), loop(signal, r_peaks)
    if not all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)):
        raise SystemExit("the results differ, so the times cannot be compared")
    pairs = [
        (seconds(lambda: vectorized(signal, r_peaks)), seconds(lambda: loop(signal, r_peaks))) for _ in range(REPEATS)
    ]
    ratio = statistics.median(slow / fast for fast, slow in pairs)
    fast, slow = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{len(ours[1]):,} windows, medians of {REPEATS}: vectorized {fast:.2f} ms, loop {slow:.2f} ms")
    print(f"ratio, median of pairs: {ratio:.0f}")


if __name__ == "__main__":
    main()
