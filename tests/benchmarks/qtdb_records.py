"""A QT database of a few synthetic records, and a noise record, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb

from benchmarks.quality.deepfilter.beats import BenchmarkBeats, read_beats
from tests.recordings import ecg

TEST, VALIDATION = ("sel4",), ("sel3",)
NAMES = ("sel1", "sel2", *VALIDATION, *TEST)
BEATS = 18
"""Beats of each record: 20 periods have 20 P waves, the last of which begins no beat; the first is too early."""

_FS, _PERIOD = 250, 200  # samples per s and per beat


def write_qtdb(directory: Path) -> Path:
    """Write records with two leads, 20 periods long, and their marks ``pu1``."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(NAMES):
        lead = ecg(16.0, _FS, seed=number)
        leads = np.column_stack([(1 + number) * lead, -0.5 * lead])
        wfdb.wrsamp(name, _FS, ["mV"] * 2, ["MLII", "V5"], p_signal=leads, fmt=["16"] * 2, write_dir=str(directory))
        marks: list[tuple[int, str]] = []
        for r_peak in range(0, len(lead), _PERIOD):
            # P from 60 to 20 samples before the R peak, QRS from 10 before to 10 after.
            marks += [(r_peak - 60, "("), (r_peak - 40, "p"), (r_peak - 20, ")")] if r_peak else []
            marks += [(r_peak, "N"), (r_peak + 10, ")")]
        samples, symbols = zip(*marks, strict=True)
        # wfdb writes no digits in the extension.
        wfdb.wrann(name, "pu", np.array(samples), list(symbols), fs=_FS, write_dir=str(directory))
        (directory / f"{name}.pu").rename(directory / f"{name}.pu1")
    return directory


def write_noise(directory: Path) -> Path:
    """Write a record ``bw`` of two channels."""
    directory.mkdir(parents=True, exist_ok=True)
    wander = np.cumsum(np.random.default_rng(0).normal(0, 0.02, (8000, 2)), axis=0)
    wander -= wander.mean(axis=0)
    wfdb.wrsamp("bw", 360, ["mV"] * 2, ["one", "two"], p_signal=wander, fmt=["16"] * 2, write_dir=str(directory))
    return directory


def read_small(directory: Path) -> BenchmarkBeats:
    """Read and prepare the synthetic database."""
    return read_beats(directory, test=TEST, validation=VALIDATION)
