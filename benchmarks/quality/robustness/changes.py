"""Changes of rate, amplitude, polarity, lead, gaps and chunks that must not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.ecg_data.readers.recording import Record
from ecg_study.ecg_data.resampling import resample_record
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.inference.detector import Detector
from ecg_study.inference.r_peaks import RPeaks

TOLERANCES = (150, 50)  # ms
_GAP_EVERY, _GAP = 30.0, 2.0  # seconds

Change = Callable[[Record], tuple[np.ndarray, Record]]
"""Function of a record with both leads: returns the input of the detector, and the record with its annotations."""


def measure(
    detector: Detector,
    records: list[Record],
    *,
    change: Change,
    find: Callable[[Detector, np.ndarray, float], RPeaks] = lambda detector, signal, fs: detector.detect(signal, fs=fs),
) -> list[float]:
    """Return the pooled F1 within each tolerance."""
    tables: list[list[tuple[int, int, int]]] = [[] for _ in TOLERANCES]
    for record in records:
        signal, scored = change(record)
        found = find(detector, signal, scored.fs)
        excluded_intervals = (*scored.excluded_intervals, *((int(a), int(b)) for a, b in found.unusable))
        for table, tolerance in zip(tables, TOLERANCES, strict=True):
            matches = match_r_peaks(
                scored.r_peaks,
                found.samples,
                tolerance=tolerance_samples(tolerance, fs=scored.fs),
                excluded_intervals=excluded_intervals,
            )
            table.append(matches.table)
    return [pooled_f1(np.array(table)) for table in tables]


def detect_in_chunks(detector: Detector, signal: np.ndarray, fs: float) -> RPeaks:
    """Detect the R peaks of a signal that arrives in chunks of a second."""
    stream, second = detector.stream(fs=fs), round(fs)
    parts = [stream.push(signal[start : start + second]) for start in range(0, len(signal), second)]
    return RPeaks.concatenate([*parts, stream.finish()])


def usual(record: Record) -> tuple[np.ndarray, Record]:
    """Return the lead that a study uses, in double precision: MLII if the record has it."""
    column = record.leads.index("MLII") if "MLII" in record.leads else 0
    return record.signal[:, column].astype(np.float64), record


def changes() -> dict[str, Change]:
    """Return the changes by name."""

    def scaled(factor: float, offset: float = 0.0) -> Change:
        return lambda record: (factor * usual(record)[0] + offset, record)

    def at(fs: float) -> Change:
        def change(record: Record) -> tuple[np.ndarray, Record]:
            return usual(resample_record(record, fs))

        return change

    def shifted(record: Record) -> tuple[np.ndarray, Record]:
        cut = 777
        later = record.r_peaks[record.r_peaks >= cut] - cut
        intervals = tuple((max(0, a - cut), max(0, b - cut)) for a, b in record.excluded_intervals)
        return usual(record)[0][cut:], replace(record, r_peaks=later, excluded_intervals=intervals)

    def gaps(record: Record) -> tuple[np.ndarray, Record]:
        signal = usual(record)[0]
        for start in np.arange(_GAP_EVERY, len(signal) / record.fs, _GAP_EVERY):
            signal[round(start * record.fs) : round((start + _GAP) * record.fs)] = np.nan
        return signal, record

    def other(record: Record) -> tuple[np.ndarray, Record]:
        column = 1 - (record.leads.index("MLII") if "MLII" in record.leads else 0)
        return record.signal[:, column].astype(np.float64), record

    return {
        "unchanged": usual,
        "started 777 samples later": shifted,
        "inverted": scaled(-1.0),
        "a fifth of the amplitude": scaled(0.2),
        "five times the amplitude": scaled(5.0),
        "an offset of 1 V": scaled(1.0, 1000.0),
        "resampled to 100 Hz": at(100.0),
        "resampled to 128 Hz": at(128.0),
        "resampled to 250 Hz": at(250.0),
        "resampled to 500 Hz": at(500.0),
        "resampled to 1,000 Hz": at(1000.0),
        "2 s missing every 30 s": gaps,
        "the other lead": other,
        "both leads": lambda record: (record.signal.astype(np.float64), record),
    }
