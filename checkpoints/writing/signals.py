"""Signals as a table with one row a sample, and as a WFDB record; neither needs them in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from checkpoints.predicting import Beats, Cleaned
from ecg_data.files import replacing

_ROWS = 500_000
_DECIMALS = 4  # 0.1 µV: finer than any converter

_GAIN = 1000.0
"""ADC units in a mV of the records that are written, where the signal fits: 1 µV is finer than any converter."""
_MISSING = -32768  # WFDB's value of a missing sample in format 16


def write_samples_csv(path: Path, result: Beats | Cleaned) -> None:
    """Write one row a sample: ``time_s``, each lead in mV, and ``R_peak`` (1 or 0) or each lead denoised.

    With one lead the columns are ``signal_mv`` and ``denoised_mv``; with more, the names of the leads with ``_mv`` and
    ``_denoised_mv``.
    """
    import pandas as pd

    recording = result.recording
    names = ["signal"] if len(recording.leads) == 1 else list(recording.leads)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as target:
        first = 0
        clean = _Blocks(result.blocks(_ROWS)) if isinstance(result, Cleaned) else None
        for block in _cut(recording.blocks(), _ROWS):
            columns = {"time_s": np.round(np.arange(first, first + len(block)) / recording.fs, 6)}
            columns |= {f"{name}_mv": np.round(block[:, i], _DECIMALS) for i, name in enumerate(names)}
            if clean is not None:
                cleaned = clean.take(len(block)).astype(np.float64)
                denoised = ["denoised_mv"] if len(names) == 1 else [f"{name}_denoised_mv" for name in names]
                columns |= {name: np.round(cleaned[:, i], _DECIMALS) for i, name in enumerate(denoised)}
            elif isinstance(result, Beats):
                columns["R_peak"] = np.zeros(len(block), np.int8)
                samples = result.r_peaks.samples
                here = samples[(samples >= first) & (samples < first + len(block))]
                columns["R_peak"][here - first] = 1
            pd.DataFrame(columns).to_csv(target, index=False, header=first == 0)
            first += len(block)


def write_record(header: Path, cleaned: Cleaned) -> None:
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
    header: Path, cleaned: Cleaned, gains: np.ndarray, baselines: np.ndarray, firsts: np.ndarray, sums: np.ndarray
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


def _cut(blocks: Iterator[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    for block in blocks:
        for first in range(0, len(block), rows):
            yield block[first : first + rows]


class _Blocks:
    """Blocks of one size, given in others."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks = blocks
        self._held: np.ndarray | None = None

    def take(self, rows: int) -> np.ndarray:
        """The next rows."""
        parts, missing = [], rows
        while missing:
            held = next(self._blocks) if self._held is None else self._held
            parts.append(held[:missing])
            self._held = held[missing:] if len(held) > missing else None
            missing -= len(parts[-1])
        return np.concatenate(parts)
