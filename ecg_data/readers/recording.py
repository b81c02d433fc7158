"""Recordings of any file format, read in blocks or at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecg_study.errors import RecordError, SettingsError

PREFERRED_LEAD = "MLII"
"""Modified limb lead II, in which the QRS complex of most MIT-BIH records is tallest."""

AUTO_LEAD = "auto"
ALL_LEADS = "all"

HIGHEST_RATE, LOWEST_RATE = 10_000.0, 100.0
"""Sampling rates in Hz. Below, a QRS complex has only a few samples; no ECG is recorded at higher rates."""

SAME_RATE = 0.005
"""Largest relative difference of two statements of one sampling rate: clocks of devices are off by less."""

BLOCK_SECONDS = 600.0
"""Duration of the blocks in which a recording is read."""

NO_COLUMN = "none"
"""Value of ``time_column`` for a table in which no column is the time of the samples."""


@dataclass(frozen=True)
class ReadOptions:
    """Lead to read, and metadata that a file lacks.

    Attributes:
        lead: name or position (from 1) of a lead or column, ``"auto"`` or ``"all"``.
        fs: sampling rate in Hz of a file that does not have one.
        time_column: column of a table with the time; ``"none"`` if no column is the time of the samples.
        units: ``"mV"``, ``"uV"`` or ``"V"`` of a file without units.
        gain: ADC units per mV of a file with ADC units.
        adc_zero: ADC units at 0 mV (default: 0); requires ``gain``.

    Raises:
        SettingsError: two options exclude each other, or one requires another.
    """

    lead: str = AUTO_LEAD
    fs: float | None = None
    time_column: str = ""
    units: str = ""
    gain: float | None = None
    adc_zero: float | None = None

    def __post_init__(self) -> None:
        if self.adc_zero is not None and self.gain is None:
            problem = "requires gain (ADC units per mV)"
            raise SettingsError("adc_zero", problem, value=self.adc_zero, parameters=("gain",))
        if self.gain is not None and self.units:
            problem = "give gain (ADC units per mV) or units (mV, uV or V), not both"
            raise SettingsError("gain", problem, value=self.gain, parameters=("units",))


@dataclass(frozen=True)
class Record:
    """Signal of one record, with the R peaks of its annotations.

    Attributes:
        name: name of the record, such as ``"100"``.
        fs: sampling rate in Hz.
        leads: names of the leads, in the order of the columns of ``signal``.
        signal: float32 array of shape ``(samples, leads)``, in mV.
        r_peaks: strictly increasing sample indices of the annotated beats, int64 of shape ``(beats,)``; empty without
            annotations.
        excluded_intervals: ``(start, end)`` in samples, end excluded: ventricular flutter (``[`` to ``]``), where no
            beats are annotated although the heart beats; excluded from training and evaluation.
        mark_offset_s: seconds that the annotations lay after the R peaks before `align_marks` moved them; the median
            over beats, 0 if they are as annotated.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    signal: np.ndarray
    r_peaks: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    excluded_intervals: tuple[tuple[int, int], ...] = ()
    mark_offset_s: float = 0.0


@dataclass(frozen=True)
class Recording:
    """Leads of one file, whose samples are read when they are needed.

    Attributes:
        path: path of the file.
        name: name of the recording, after which results are named.
        fs: sampling rate in Hz.
        leads: labels of the leads: unique, not empty and printable.
        samples: number of samples per lead; ``None`` if it is unknown until the end is read.
        blocks: reads the file from the start, as float64 arrays of shape ``(samples, leads)`` in mV; missing samples
            are NaN. Reading to the end raises `RecordError` if the file does not agree with what was concluded from its
            header or its first rows.
        start_s: time of the first sample in seconds on the file's own clock, 0 if the file has no clock.
        start_time: date and time of the first sample in ISO 8601; empty if the file has none.
    """

    path: Path
    name: str
    fs: float
    leads: tuple[str, ...]
    samples: int | None
    blocks: Callable[[], Iterator[np.ndarray]]
    start_s: float = 0.0
    start_time: str = ""

    def load(self) -> Record:
        """Read all samples.

        Raises:
            RecordError: the file is damaged.
        """
        blocks = [np.asarray(block, np.float32) for block in self.blocks()]
        signal = np.concatenate(blocks) if blocks else np.empty((0, len(self.leads)), np.float32)
        return Record(self.name, self.fs, self.leads, np.ascontiguousarray(signal))


@contextmanager
def as_record_errors(path: Path) -> Iterator[None]:
    """Turn operating system errors into errors of the record at ``path``, so that other records can be read."""
    try:
        yield
    except OSError as error:
        raise RecordError(error.filename or path, f"cannot be read ({error.strerror or error})") from error
