"""Detections and denoised signals as WFDB files."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from ecg_study.files import replacing
from ecg_study.prediction.recordings import _ROWS, DenoisedRecording, DetectedRecording

ANNOTATOR = "qrs"
"""Ending of the annotation file, as WFDB's own detectors have it."""

_NO_ANNOTATIONS = b"\x00\x00"  # WFDB's mark of the end alone; its writer refuses an empty list


def write_annotations(path: Path, beats: DetectedRecording) -> None:
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


_GAIN = 1000.0
"""ADC units in a mV of the records that are written, where the signal fits: 1 µV is finer than any converter."""

_MISSING = -32768  # WFDB's value of a missing sample in format 16


def write_record(header: Path, cleaned: DenoisedRecording) -> None:
    """Write cleaned leads as a WFDB record in format 16: the header ``RECORD.hea``, and ``RECORD.dat`` beside it.

    The gain is 1,000 ADC units a mV, less where a lead would not fit; missing samples stay missing.
    """
    leads = len(cleaned.recording.leads)
    lowest, highest = np.full(leads, np.inf), np.full(leads, -np.inf)
    for block in cleaned.blocks(_ROWS):
        known = np.isfinite(block)
        lowest = np.minimum(lowest, np.where(known, block, np.inf).min(axis=0))
        highest = np.maximum(highest, np.where(known, block, -np.inf).max(axis=0))
    lowest, highest = np.where(np.isfinite(lowest), lowest, 0.0), np.where(np.isfinite(highest), highest, 0.0)
    gains = np.minimum(_GAIN, 60_000 / np.maximum(highest - lowest, 1e-9))
    # Four digits are what the header is read back with; the middle of the range lies at 0.
    gains = np.array([float(f"{gain:.4g}") for gain in gains])
    baselines = -np.round((lowest + highest) / 2 * gains)
    baselines[np.maximum(np.abs(lowest), np.abs(highest)) * gains < 32_000] = 0
    sums, firsts = np.zeros(leads, np.int64), np.zeros(leads, np.int64)
    data = header.with_suffix(".dat")
    with replacing(data) as temporary:
        with open(temporary, "wb") as target:
            for number, block in enumerate(cleaned.blocks(_ROWS)):
                scaled = np.round(block.astype(np.float64) * gains + baselines)
                digital = np.where(np.isfinite(scaled), scaled, _MISSING).astype("<i2")
                target.write(digital.tobytes())
                sums += digital.sum(axis=0, dtype=np.int64)
                if not number:
                    firsts = digital[0].astype(np.int64)
        _write_header(header, cleaned, gains, baselines, firsts, sums)


def _write_header(
    header: Path,
    cleaned: DenoisedRecording,
    gains: np.ndarray,
    baselines: np.ndarray,
    firsts: np.ndarray,
    sums: np.ndarray,
) -> None:
    """A header as WFDB's ``header(5)`` describes it."""
    recording = cleaned.recording
    lines = [f"{header.stem} {len(recording.leads)} {recording.fs:.12g} {cleaned.samples}"]
    for i, lead in enumerate(recording.leads):
        checksum = (int(sums[i]) + 32768) % 65536 - 32768
        described = " ".join(lead.split()) or f"lead {i + 1}"
        described = described.encode("ascii", "replace").decode()
        lines.append(
            f"{header.stem}.dat 16 {gains[i]:.4g}({int(baselines[i])})/mV 16 0 {firsts[i]} {checksum} 0 {described}"
        )
    with replacing(header) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
