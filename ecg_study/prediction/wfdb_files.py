"""WFDB files: R peaks as annotations, and denoised leads as a record."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from ecg_study.files import replacing, temporary_path
from ecg_study.prediction.recordings import DenoisedRecording, DetectedRecording

ANNOTATOR = "qrs"
"""File name ending of the annotations, as used by the detectors of the WFDB software."""

_END_OF_ANNOTATIONS = b"\x00\x00"  # a file without annotations; the wfdb package refuses to write one


def write_annotations(path: Path, detected: DetectedRecording) -> None:
    """Write the R peaks as a WFDB annotation file, each as a normal beat (``N``).

    The file is written completely or not at all.

    Args:
        path: File to write, with the name ``RECORD.qrs``.
        detected: Recording with its R peaks.
    """
    samples = detected.r_peaks.samples
    if not len(samples):
        with replacing(path) as temporary:
            temporary.write_bytes(_END_OF_ANNOTATIONS)
        return
    import wfdb

    # The wfdb package chooses the file name, so it writes into a folder of its own.
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_path(path.parent, path.name) as folder:
        folder.mkdir()
        symbols = ["N"] * len(samples)
        wfdb.wrann("r", ANNOTATOR, samples, symbol=symbols, fs=detected.recording.fs, write_dir=str(folder))
        with replacing(path) as temporary:
            (folder / f"r.{ANNOTATOR}").replace(temporary)


def wfdb_name(name: str) -> str:
    """Return a valid WFDB record name: letters, digits, hyphens and underscores.

    A space becomes an underscore. A name with other characters ends with a part of its hash, or many names in another
    script would be one.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if plain == name.replace(" ", "_") else f"{plain}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:6]}"


_MAX_GAIN = 1000.0
"""ADC units per mV of a written record, if the signal fits: 1 µV is finer than any converter."""

_MISSING = -32768  # missing sample in WFDB format 16


def write_record(header: Path, denoised: DenoisedRecording) -> None:
    """Write denoised leads as a WFDB record in format 16: ``RECORD.hea`` and ``RECORD.dat``.

    There are 1,000 ADC units per mV, or fewer if a lead would not fit. Missing samples stay missing.

    Args:
        header: Header file to write.
        denoised: Recording with its denoised leads.
    """
    gains, adc_zeros = _scales(denoised)
    leads = len(denoised.recording.leads)
    sums, firsts = np.zeros(leads, np.int64), np.zeros(leads, np.int64)
    data = header.with_suffix(".dat")
    with replacing(data) as temporary:
        with open(temporary, "wb") as target:
            for number, block in enumerate(denoised.blocks()):
                scaled = np.round(block.astype(np.float64) * gains + adc_zeros)
                digital = np.where(np.isfinite(scaled), scaled, _MISSING).astype("<i2")
                target.write(digital.tobytes())
                sums += digital.sum(axis=0, dtype=np.int64)
                if not number:
                    firsts = digital[0].astype(np.int64)
        _write_header(header, denoised, gains, adc_zeros, firsts, sums)


def _scales(denoised: DenoisedRecording) -> tuple[np.ndarray, np.ndarray]:
    """Return the ADC units per mV, and the ADC units at 0 mV, of each lead."""
    leads = len(denoised.recording.leads)
    lowest, highest = np.full(leads, np.inf), np.full(leads, -np.inf)
    for block in denoised.blocks():
        known = np.isfinite(block)
        lowest = np.minimum(lowest, np.where(known, block, np.inf).min(axis=0))
        highest = np.maximum(highest, np.where(known, block, -np.inf).max(axis=0))
    lowest, highest = np.where(np.isfinite(lowest), lowest, 0.0), np.where(np.isfinite(highest), highest, 0.0)
    gains = np.minimum(_MAX_GAIN, 60_000 / np.maximum(highest - lowest, 1e-9))
    # Rounded to the four digits of the header.
    gains = np.array([float(f"{gain:.4g}") for gain in gains])
    # The middle of the range is at 0 ADC units, unless the lead fits with 0 mV there.
    adc_zeros = -np.round((lowest + highest) / 2 * gains)
    adc_zeros[np.maximum(np.abs(lowest), np.abs(highest)) * gains < 32_000] = 0
    return gains, adc_zeros


def _write_header(
    header: Path,
    denoised: DenoisedRecording,
    gains: np.ndarray,
    adc_zeros: np.ndarray,
    firsts: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Write a header in the format of ``header(5)`` of the WFDB software."""
    recording = denoised.recording
    lines = [f"{header.stem} {len(recording.leads)} {recording.fs:.12g} {denoised.samples}"]
    for i, lead in enumerate(recording.leads):
        checksum = (int(sums[i]) + 32768) % 65536 - 32768
        description = " ".join(lead.split()) or f"lead {i + 1}"
        description = description.encode("ascii", "replace").decode()
        lines.append(
            f"{header.stem}.dat 16 {gains[i]:.4g}({int(adc_zeros[i])})/mV 16 0 {firsts[i]} {checksum} 0 {description}"
        )
    with replacing(header) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
