"""ECGs of an Apple Health export: lines with metadata, then one number per line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import Channel, check_rate_given, recording_from_channels
from ecg_study.ecg_data.readers.clinical.series import reader_of
from ecg_study.ecg_data.readers.devices.apple_header import AppleHeader, read_header
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.ecg_data.readers.tables.cells import CellFormat, read_rows
from ecg_study.ecg_data.readers.tables.text import decode, line_blocks
from ecg_study.errors import RecordError

_MAX_BYTES = 32_000_000
"""Largest file; an export has 30 s and 150 kB."""


def open_apple_health(path: Path, options: ReadOptions) -> Recording:
    """Open an ECG of an Apple Health export in any language, with decimal points or commas.

    A blank line between samples is a missing sample.

    Raises:
        RecordError: the file is damaged or contradicts itself, or lead, unit or sampling rate cannot be used.
    """
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise RecordError(path, f"has {size:,} bytes; ECGs of Apple Health up to {_MAX_BYTES:,} bytes can be read")
    content = b"".join(block.content for block in line_blocks(path))
    header = read_header(path, decode(content).split("\n"))
    if not header.first_line:
        raise RecordError(path, "has no samples after the lines with metadata; the file is truncated")
    if header.fs is not None:
        check_rate_given(path, header.fs, options=ReadOptions())
    values = _values(path, content, header)
    channel = Channel(header.lead, header.unit, header.fs, len(values), reader_of(values))
    return recording_from_channels(path, [channel], options=options, start_time=header.start_time)


def _values(path: Path, content: bytes, header: AppleHeader) -> np.ndarray:
    """Return the samples in the unit of the file, shape ``(samples,)``."""
    samples = content.split(b"\n", header.first_line - 1)[-1]
    if b"#" in samples:
        line = header.first_line + samples[: samples.index(b"#")].count(b"\n")
        raise RecordError(path, f"line {line:,} is not a sample; leave missing samples empty")
    # A spreadsheet writes a comma after each sample, as the lines before have two cells.
    after = samples.partition(b"\n")[0].rstrip().endswith(b",")
    decimal = "," if samples.count(b",") > samples.count(b".") and not after else "."
    rows = read_rows(
        path,
        CellFormat(",", 2) if after else CellFormat(";", 1, decimal),
        first_line=header.first_line,
        numbers=[0],
        names=[header.lead or "1", "2"],
        empty=[1] if after else [],
    )
    return np.concatenate([block.numbers[:, 0] for block in rows])
