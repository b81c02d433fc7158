"""R peaks as a table, and as WFDB annotations."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from checkpoints.predicting import Beats
from ecg_data.files import replacing, write_text

ANNOTATOR = "qrs"
"""Ending of the annotation file, as WFDB's own detectors have it."""

_NO_ANNOTATIONS = b"\x00\x00"  # WFDB's mark of the end alone; its writer refuses an empty list


def write_beats_csv(path: Path, beats: Beats) -> None:
    """Write ``R_peak, time_s, confidence, rr_s``, one row a beat; whole or not at all.

    ``R_peak`` is the sample index, ``rr_s`` the time since the beat before: empty for the first beat, and where a
    stretch that could not be used lies between.
    """
    found = beats.r_peaks
    times = found.samples / beats.recording.fs
    rr = rr_intervals(beats)
    rows = ["R_peak,time_s,confidence,rr_s"]
    for sample, time, confidence, interval in zip(
        found.samples.tolist(), times.tolist(), found.confidences.tolist(), rr.tolist(), strict=True
    ):
        rows.append(f"{sample},{time:.6f},{confidence:.3f},{'' if np.isnan(interval) else f'{interval:.6f}'}")
    write_text(path, "\n".join(rows) + "\n")


def rr_intervals(beats: Beats) -> np.ndarray:
    """Seconds since the beat before, shape ``(beats,)``; NaN where none is known."""
    samples, unusable = beats.r_peaks.samples, beats.r_peaks.unusable
    rr = np.full(len(samples), np.nan)
    rr[1:] = np.diff(samples) / beats.recording.fs
    if len(unusable) and len(samples):
        # How many unusable stretches begin before each beat: where that changes, one lies between.
        before = np.searchsorted(unusable[:, 0], samples)
        rr[1:][np.diff(before) > 0] = np.nan
    return rr


def write_annotations(path: Path, beats: Beats) -> None:
    """Write the R peaks as a WFDB annotation file, each as a normal beat (``N``), as WFDB's detectors do.

    Args:
        path: of the file, named ``RECORD.qrs``; whole or not at all.
        beats: what to write.
    """
    samples = beats.r_peaks.samples
    if not len(samples):
        with replacing(path) as temporary:
            temporary.write_bytes(_NO_ANNOTATIONS)
        return
    import wfdb

    # The writer names the file itself.
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        wfdb.wrann("r", ANNOTATOR, samples, symbol=["N"] * len(samples), fs=beats.recording.fs, write_dir=folder)
        with replacing(path) as temporary:
            (Path(folder) / f"r.{ANNOTATOR}").replace(temporary)


def wfdb_name(name: str) -> str:
    """A name that WFDB takes for a record: letters, digits, hyphens and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
