"""WFDB records as recordings, and as records of a database with their R peaks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import checked_leads, rate_of_header, select_leads
from ecg_study.ecg_data.readers.leads import choose_leads, lead_labels
from ecg_study.ecg_data.readers.recording import (
    AUTO_LEAD,
    PREFERRED_LEAD,
    ReadOptions,
    Record,
    Recording,
    as_record_errors,
)
from ecg_study.ecg_data.readers.units import voltage_in
from ecg_study.ecg_data.readers.wfdb.annotations import BEAT_SYMBOLS, annotation_file, read_r_peaks
from ecg_study.ecg_data.readers.wfdb.header import WfdbHeader, read_header, record_path, signal_files
from ecg_study.ecg_data.readers.wfdb.signals import physical_blocks
from ecg_study.errors import RecordError

_DEFAULT_GAIN = 200.0
"""ADC units per unit of a signal that is not calibrated, by header(5) of the WFDB software. Some records of the QT
database have no other calibration. A recording of a user is not read with it; see `open_wfdb`."""


def read_record(
    path: Path | str,
    *,
    lead: str = AUTO_LEAD,
    annotator: str | None = "atr",
    symbols: Collection[str] = BEAT_SYMBOLS,
) -> Record:
    """Read a record of a database with its R peaks, and check it.

    Unlike `open_wfdb`, this verifies the checksums of all leads and refuses missing samples and flat leads. A lead that
    is not calibrated has the 200 ADC units per mV that the WFDB format provides for this.

    Args:
        path: path of the record, with or without the extension ``.hea``.
        lead: name of a lead; ``"auto"`` selects MLII if present, else the first lead; ``"all"`` selects all.
        annotator: extension of the annotation file; ``None`` reads no annotations.
        symbols: annotation codes of beats.

    Raises:
        RecordError: a file is missing, truncated or damaged, or outside the folder of its header; the lead is missing,
            flat, not a voltage or has missing samples; or there is no beat annotation.
    """
    path = record_path(Path(path))
    with as_record_errors(path):
        header = read_header(path)
        names = list(lead_labels(header.names))
        repeated = [name for name in header.names if name and header.names.count(name) > 1]
        if repeated:
            listed = ", ".join(header.names)
            raise RecordError(path, f"two leads have the same name ({listed}); rename one in the header")
        selected = _choose(path, names, lead)
        factors = [_millivolts(header, column) for column in selected]
        # A study has its own limits of the sampling rate.
        fs = header.fs if header.fs is not None else rate_of_header(path, None, options=ReadOptions())
        whole = np.concatenate([np.asarray(block, np.float32) for block in _scaled_blocks(header, selected, factors)])
        signal = np.ascontiguousarray(whole[:, selected])
        record = Record(path.name, fs, tuple(names[column] for column in selected), signal)
        for name, values in zip(record.leads, record.signal.T, strict=True):
            _check_lead(path, name, values)
        if annotator is None:
            return record
        r_peaks, flutter = read_r_peaks(path, annotator=annotator, fs=fs, samples=len(signal), symbols=symbols)
        return Record(record.name, fs, record.leads, signal, r_peaks, flutter)


def _scaled_blocks(header: WfdbHeader, selected: list[int], factors: list[float]) -> Iterator[np.ndarray]:
    """Yield blocks of all leads, so that all checksums are verified; the selected ones in mV."""
    scales = np.zeros(len(header.signals))
    scales[selected] = factors
    for block in physical_blocks(header, range(len(header.signals))):
        yield block * scales


def open_wfdb(path: Path, options: ReadOptions) -> Recording:
    """Open a WFDB record; samples are read when they are needed.

    Args:
        path: path of the header, with or without ``.hea``.
        options: lead to read, and the gain or the sampling rate that the header lacks.

    Raises:
        RecordError: a file is missing, truncated or outside the folder of its header; the header is damaged; the lead
            is missing or not a voltage; or ``options`` contradict the header.
    """
    path = record_path(path)
    with as_record_errors(path):
        header = read_header(path)
    # A signal without a gain is not calibrated: its samples are ADC units.
    described = [(signal.name, signal.unit if signal.gain else "ADC units") for signal in header.signals]
    selected = select_leads(path, described, options=options, assume_millivolts=False, noun="leads")
    if options.adc_zero and any(header.signals[lead.column].baseline for lead in selected):
        raise RecordError(path, "its header states the ADC units at 0 mV; omit adc_zero", parameter="adc_zero")
    fs = rate_of_header(path, header.fs, options=options)
    columns = [lead.column for lead in selected]
    gains = np.array([lead.scale.gain for lead in selected])
    adc_zeros = np.array([lead.scale.adc_zero for lead in selected])

    def blocks() -> Iterator[np.ndarray]:
        for block in physical_blocks(header, columns):
            yield (block - adc_zeros) / gains

    return Recording(
        path=path.with_name(path.name + ".hea"),
        name=path.name,
        fs=fs,
        leads=tuple(lead.label for lead in selected),
        samples=header.samples,
        blocks=checked_leads(path, selected, blocks=blocks, options=options, fs=fs, samples=header.samples),
        start_time=header.start_time,
    )


def record_files(path: Path, *, annotator: str | None = "atr") -> list[Path]:
    """Return the files of a record: header, signal files and annotations.

    Raises:
        RecordError: one of them is missing.
    """
    files = [path.with_name(path.name + ".hea"), *signal_files(read_header(path))]
    return files if annotator is None else [*files, annotation_file(path, annotator=annotator)]


def _choose(path: Path, names: list[str], lead: str) -> list[int]:
    """Return the columns of the selected leads; ``"auto"`` is MLII, or the first lead, by which a record is known."""
    if lead != AUTO_LEAD:
        return choose_leads(path, names, lead=lead)
    return [names.index(PREFERRED_LEAD)] if PREFERRED_LEAD in names else [0]


def _millivolts(header: WfdbHeader, column: int) -> float:
    """Return the factor from the unit of a lead to mV."""
    signal = header.signals[column]
    name = signal.name or str(column + 1)
    factor = voltage_in(signal.unit)
    if factor is None:
        raise RecordError(header.path, f"lead {name}: unit {signal.unit!r} is not a voltage")
    return factor if signal.gain else factor / _DEFAULT_GAIN


def _check_lead(path: Path, name: str, values: np.ndarray) -> None:
    if not len(values):
        raise RecordError(path, "no samples")
    missing = ~np.isfinite(values)
    if missing.any():
        problem = f"{missing.sum():,} samples are missing (NaN), the first at sample {missing.argmax():,}"
        raise RecordError(path, f"lead {name}: {problem}")
    if np.ptp(values) == 0:
        raise RecordError(path, f"lead {name}: flat, every sample is {values[0]:g} mV")
