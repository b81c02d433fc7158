"""WFDB records: headers, and signals in mV with verified checksums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.ecg_data.readers.annotations import annotation_file, read_r_peaks
from ecg_study.ecg_data.readers.recording import (
    AUTO_LEAD,
    BLOCK_SECONDS,
    PREFERRED_LEAD,
    ReadOptions,
    Record,
    Recording,
    as_record_errors,
    choose_leads,
    millivolts_per_unit,
)
from ecg_study.errors import RecordError, one_line

if TYPE_CHECKING:
    import wfdb

_BITS_PER_SAMPLE = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12}


def read_record(path: Path | str, *, lead: str = AUTO_LEAD, annotator: str | None = "atr") -> Record:
    """Read a record of a database with its R peaks, and check it.

    Unlike `open_wfdb`, this verifies the checksums of all leads and refuses missing samples and flat leads.

    Args:
        path: path of the record, with or without the extension ``.hea``.
        lead: name of a lead; ``"auto"`` selects MLII if present, else the first lead; ``"all"`` selects all.
        annotator: extension of the annotation file; ``None`` reads no annotations.

    Raises:
        RecordError: a file is missing, truncated or damaged, or outside the folder of its header; the lead is missing,
            flat, not a voltage or has missing samples; or there is no beat annotation.
    """
    path = _record_path(Path(path))
    with as_record_errors(path):
        header = read_header(path)
        check_files(path, header)
        names = list(header.sig_name)
        if len(set(names)) < len(names):
            raise RecordError(path, f"two leads have the same name ({', '.join(names)}); rename one in the header")
        selected = _choose(path, header, lead)
        # The unit of a lead that is not selected does not matter.
        factors = np.zeros(len(names))
        factors[selected] = _factors(path, header, selected)
        whole = _recording(path, header, range(len(names)), factors).load()
        record = replace(
            whole,
            leads=tuple(names[column] for column in selected),
            signal=np.ascontiguousarray(whole.signal[:, selected]),
        )
        for name, values in zip(record.leads, record.signal.T, strict=True):
            _check_lead(path, name, values)
        if annotator is None:
            return record
        samples = len(record.signal)
        r_peaks, flutter = read_r_peaks(path, annotator=annotator, fs=record.fs, samples=samples)
        return replace(record, r_peaks=r_peaks, excluded_intervals=flutter)


def open_wfdb(path: Path, options: ReadOptions) -> Recording:
    """Open a WFDB record; samples are read when they are needed.

    Args:
        path: path of the header, with or without ``.hea``.
        options: lead to read; a WFDB record has all other metadata.

    Raises:
        RecordError: a file is missing, truncated or outside the folder of its header; the header is damaged; or the
            lead is missing or not a voltage.
    """
    path = _record_path(path)
    with as_record_errors(path):
        header = read_header(path)
        check_files(path, header)
        columns = _choose(path, header, options.lead)
        return _recording(path, header, columns, _factors(path, header, columns))


def record_files(path: Path, *, annotator: str | None = "atr") -> list[Path]:
    """Return the files of a record: header, signal files and annotations.

    Raises:
        RecordError: one of them is missing.
    """
    header = read_header(path)
    files = [path.with_name(path.name + ".hea"), *check_files(path, header)]
    return files if annotator is None else [*files, annotation_file(path, annotator=annotator)]


def _record_path(path: Path) -> Path:
    if path.suffix != ".hea" and path.suffix.lower() == ".hea":
        raise RecordError(path, "WFDB files have lower-case extensions; rename them (.hea, .dat)")
    return path.with_suffix("") if path.suffix == ".hea" else path


def _choose(path: Path, header: wfdb.Record, lead: str) -> list[int]:
    """Return the columns of the selected leads; ``"auto"`` is MLII, or the first lead, by which a record is known."""
    if lead != AUTO_LEAD:
        return choose_leads(path, header.sig_name, lead=lead)
    return choose_leads(path, header.sig_name, lead=PREFERRED_LEAD) if PREFERRED_LEAD in header.sig_name else [0]


def _factors(path: Path, header: wfdb.Record, columns: Sequence[int]) -> list[float]:
    return [
        millivolts_per_unit(path, header.sig_name[column], unit=str(header.units[column] or "mV")) for column in columns
    ]


def _recording(
    path: Path, header: wfdb.Record, columns: Sequence[int], factors: Sequence[float] | np.ndarray
) -> Recording:
    """Return some columns of a record, each with its factor to mV; checksums are verified at the end."""
    fs, columns = float(header.fs), list(columns)
    samples = int(header.sig_len) if header.sig_len else int(_read(path).sig_len)
    block = max(1, round(BLOCK_SECONDS * fs))

    def blocks() -> Iterator[np.ndarray]:
        sums = np.zeros(len(columns), np.int64)
        for start in range(0, samples, block):
            with as_record_errors(path):
                record = _read(path, sampfrom=start, sampto=min(samples, start + block), channels=columns)
            sums += record.d_signal.sum(axis=0, dtype=np.int64)
            yield record.dac() * factors
        _check_sums(path, header, columns, sums)

    names = tuple(header.sig_name[column] for column in columns)
    return Recording(path.with_name(path.name + ".hea"), path.name, fs, names, samples, blocks)


def _read(path: Path, **part: Any) -> Any:
    import wfdb

    try:
        return wfdb.rdrecord(str(path), physical=False, **part)
    except OSError:
        raise
    except Exception as error:  # wfdb raises errors of many types while parsing
        raise RecordError(path, f"not readable as a WFDB record ({one_line(error)})") from error


def _check_sums(path: Path, header: wfdb.Record, columns: Sequence[int], sums: np.ndarray) -> None:
    """Compare sums of samples modulo 2¹⁶ with those in the header, which are signed or unsigned."""
    for column, found in zip(columns, sums.tolist(), strict=True):
        written = header.checksum[column] if header.checksum else None
        if written is not None and (found - written) % 65536:
            problem = f"checksum is {found % 65536}, but {written % 65536} in the header; the signal is damaged"
            raise RecordError(path, f"lead {header.sig_name[column]}: {problem}")


def _check_lead(path: Path, name: str, values: np.ndarray) -> None:
    if not len(values):
        raise RecordError(path, "no samples")
    missing = ~np.isfinite(values)
    if missing.any():
        problem = f"{missing.sum():,} samples are missing (NaN), the first at sample {missing.argmax():,}"
        raise RecordError(path, f"lead {name}: {problem}")
    if np.ptp(values) == 0:
        raise RecordError(path, f"lead {name}: flat, every sample is {values[0]:g} mV")


def read_header(path: Path) -> wfdb.Record:
    """Read the header of a record with one segment and one sampling rate.

    Args:
        path: path of the record without extension.

    Raises:
        RecordError: the header is missing, damaged, or of a record that cannot be read.
    """
    import wfdb

    if not path.name:
        raise RecordError(path, "is a folder; give the path of a record in it")
    header_path = path.with_name(path.name + ".hea")
    if not header_path.is_file():
        raise RecordError(header_path, "no such file; a WFDB record requires a header (.hea)")
    _check_header_text(header_path)
    try:
        header = wfdb.rdheader(str(path))
    except Exception as error:  # wfdb raises errors of many types while parsing
        raise RecordError(header_path, f"not a WFDB header ({one_line(error)})") from error
    if isinstance(header, wfdb.MultiRecord):
        raise RecordError(header_path, "multi-segment records are not supported; join the segments")
    if not header.n_sig or not header.file_name or not header.sig_name:
        raise RecordError(header_path, "the header describes no signal")
    if not header.fs or header.fs <= 0:
        raise RecordError(header_path, f"the sampling rate is {header.fs} Hz; it must be positive")
    if any(frames != 1 for frames in header.samps_per_frame):
        raise RecordError(header_path, "its leads have different sampling rates; resample them to one rate")
    return header


def _check_header_text(header_path: Path) -> None:
    """Refuse text that wfdb would misread, and files outside the folder, before any of them is opened.

    wfdb drops characters that are not ASCII, so that µV becomes V, and replaces a rate that it cannot parse by 250 Hz.
    """
    lines = [line for line in header_path.read_bytes().splitlines() if line.strip() and not line.startswith(b"#")]
    if any(not line.isascii() for line in lines):
        raise RecordError(header_path, "contains characters that are not ASCII; write units as mV or uV")
    described = [line.decode("ascii").split() for line in lines]
    if described and len(described[0]) > 2:
        rate = described[0][2].split("/")[0].split("(")[0]
        if re.fullmatch(r"\d*\.?\d+\.?(e[+-]?\d{1,2})?", rate, re.IGNORECASE) is None:
            raise RecordError(header_path, f"the sampling rate {rate!r} is not a number")
    for words in described[1:]:
        if "/" in words[0] or "\\" in words[0] or words[0] in {".", ".."}:
            raise RecordError(header_path, f"refers to the file {words[0]!r} outside its own folder")


def check_files(path: Path, header: wfdb.Record) -> list[Path]:
    """Return the signal files of a record.

    Raises:
        RecordError: a file is missing, or shorter than the header says.
    """
    files = []
    for name in dict.fromkeys(header.file_name):
        file = path.with_name(name)
        if not file.is_file():
            raise RecordError(file, "missing; the header names it as a signal file")
        _check_size(file, header)
        files.append(file)
    return files


def _check_size(file: Path, header: wfdb.Record) -> None:
    members = [i for i, name in enumerate(header.file_name) if name == file.name]
    bits = _BITS_PER_SAMPLE.get(str(header.fmt[members[0]]))
    if bits is None or not header.sig_len:
        return  # a compressed format, or a header without a length: only reading shows the length
    offset = header.byte_offset[members[0]] or 0
    expected = offset + (header.sig_len * len(members) * bits + 7) // 8
    actual = file.stat().st_size
    if actual < expected:
        raise RecordError(file, f"truncated: {actual:,} bytes instead of {expected:,}")
