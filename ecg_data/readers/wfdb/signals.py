"""Samples of WFDB records, read in blocks, with verified checksums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.recording import BLOCK_SECONDS, as_record_errors
from ecg_study.ecg_data.readers.wfdb.header import WfdbHeader, WfdbSignal
from ecg_study.errors import RecordError

_DIFFERENCES = "8"
"""Format in which each sample is stored as the difference from the one before."""


def physical_blocks(header: WfdbHeader, columns: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield blocks of some signals in their units, float64 of shape ``(samples, columns)``.

    Missing samples are NaN. A signal that is not calibrated comes in ADC units, 0 at its baseline. Signals that are
    late in the file (skew) are shifted to their place; their last samples are missing. Checksums are verified at the
    end.

    Raises:
        RecordError: a file is damaged.
    """
    # The wfdb package cannot read parts of a record whose header states no length.
    block = max(1, round(BLOCK_SECONDS * (header.fs or 250.0))) if header.states_length else header.samples
    readers = [_SignalReader(header, column) for column in columns]
    together = not any(header.signals[column].format == _DIFFERENCES for column in columns)
    together = together and len({header.signals[column].skew for column in columns}) == 1
    for start in range(0, header.samples, block):
        end = min(header.samples, start + block)
        if together:
            yield _read_together(header, readers, start, end)
        else:
            yield np.column_stack([reader.read(start, end) for reader in readers])
    for reader in readers:
        reader.check_sum()


def _read_together(header: WfdbHeader, readers: Sequence[_SignalReader], start: int, end: int) -> np.ndarray:
    """Return a block of signals with the same skew, in one pass over the file."""
    columns = [reader.column for reader in readers]
    skew = header.signals[columns[0]].skew
    if not start and skew:
        for reader in readers:
            reader.add(_digital(header, [reader.column], 0, skew).d_signal[:, 0])
    last = min(end + skew, header.samples)
    values = np.full((end - start, len(columns)), np.nan)
    if last > start + skew:
        record = _digital(header, columns, start + skew, last)
        for position, reader in enumerate(readers):
            reader.add(record.d_signal[:, position])
        values[: last - start - skew] = _physical(header, columns, record)
    return values


def _digital(header: WfdbHeader, columns: Sequence[int], start: int, end: int) -> Any:
    """Return stored samples as a `wfdb.Record`, whatever their skew."""
    import wfdb

    with as_record_errors(header.path):
        try:
            record = wfdb.rdrecord(
                str(header.path),
                physical=False,
                sampfrom=start,
                sampto=end if header.states_length else None,
                channels=list(columns),
                ignore_skew=True,
            )
        except OSError:
            raise
        except Exception as error:  # wfdb raises errors of many types for damaged data
            raise RecordError(header.path, _unreadable(header, start, end)) from error
    if record.d_signal is not None and not header.states_length:
        record.d_signal = record.d_signal[: end - start]
    if record.d_signal is None or record.d_signal.shape != (end - start, len(columns)):
        raise RecordError(header.path, f"samples {start:,} to {end:,} cannot be read; the signal file is damaged")
    return record


def _unreadable(header: WfdbHeader, start: int, end: int) -> str:
    """Return why samples cannot be read. The wfdb package reads the header again, and fewer names than it may have."""
    allowed = "letters from a to z, digits, hyphens and underscores"
    words = header.first_line.split()
    if not re.fullmatch(r"[\w-]+", words[0], re.ASCII):
        return f"the record name {words[0]!r} in its header must have {allowed} only; correct it"
    for name in dict.fromkeys(signal.file for signal in header.signals):
        if not re.fullmatch(r"[\w-]+(?:\.\w*)?", name, re.ASCII):
            return f"the file name {name!r} must have {allowed} only, and one extension; rename it"
    if len(words) > 2 and "e" in words[2].lower():
        return "the sampling rate in its header has an exponent; write it without"
    return f"samples {start:,} to {end:,} cannot be read; the signal file is damaged"


def _physical(header: WfdbHeader, columns: Sequence[int], record: Any) -> np.ndarray:
    """Return samples in the units of the header, or in ADC units if a signal is not calibrated."""
    signals = [header.signals[column] for column in columns]
    # The calibration of the header as it was read here, not as the wfdb package read it.
    record.adc_gain = [signal.gain or 1.0 for signal in signals]
    record.baseline = [signal.baseline for signal in signals]
    record.fmt = [signal.format for signal in signals]
    return np.asarray(record.dac(), np.float64)


class _SignalReader:
    """Reads one signal from start to end.

    Args:
        header: header of the record.
        column: index of the signal.
    """

    def __init__(self, header: WfdbHeader, column: int) -> None:
        self.column = column
        self._header = header
        self._signal: WfdbSignal = header.signals[column]
        self._sum = 0
        self._value = self._signal.first_value
        self._done = 0

    def add(self, samples: np.ndarray) -> None:
        """Add stored samples to the checksum."""
        self._sum += int(samples.sum(dtype=np.int64))

    def read(self, start: int, end: int) -> np.ndarray:
        """Return the next samples in the unit of the signal; the blocks must follow each other."""
        if self._signal.format != _DIFFERENCES:
            return _read_together(self._header, [self], start, end)[:, 0]
        skew = self._signal.skew
        if not start and skew:
            self._read_differences(0, skew)
        values = np.full(end - start, np.nan)
        last = min(end + skew, self._header.samples)
        if last > start + skew:
            digital = self._read_differences(start + skew, last)
            gain, baseline = self._signal.gain, self._signal.baseline
            values[: len(digital)] = (digital - baseline) / (gain or 1.0)
        return values

    def _read_differences(self, start: int, end: int) -> np.ndarray:
        """Return samples that are stored as differences, which follow those that were read before."""
        header, signal = self._header, self._signal
        members = [i for i, other in enumerate(header.signals) if other.file == signal.file]
        offset = signal.offset + start * len(members)
        file = header.path.with_name(signal.file)
        with as_record_errors(file):
            stored = np.fromfile(file, np.int8, (end - start) * len(members), offset=offset)
        if len(stored) < (end - start) * len(members):
            raise RecordError(file, "truncated while it was read")
        steps = stored.reshape(-1, len(members))[:, members.index(self.column)].astype(np.int64)
        digital = self._value + np.cumsum(steps)
        self._value = int(digital[-1])
        self.add(digital)
        return digital

    def check_sum(self) -> None:
        """Compare the sum of all samples modulo 2¹⁶ with that of the header, which is signed or unsigned.

        Raises:
            RecordError: they differ.
        """
        written = self._signal.checksum
        if written is not None and (self._sum - written) % 65536:
            problem = f"checksum is {self._sum % 65536}, but {written % 65536} in the header; the signal is damaged"
            name = self._signal.name or str(self.column + 1)
            raise RecordError(self._header.path, f"lead {name}: {problem}")
