"""Recordings of any file format, read in blocks or at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecg_study.errors import RecordError, SettingsError

PREFERRED_LEAD = "MLII"
"""Modified limb lead II, in which the QRS complex of most MIT-BIH records is tallest."""

AUTO_LEAD = "auto"
ALL_LEADS = "all"

MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
"""Unit, in lower case → mV per unit."""

HIGHEST_RATE, LOWEST_RATE = 10_000.0, 100.0
"""Sampling rates in Hz. Below, a QRS complex has only a few samples; no ECG is recorded at higher rates."""

BLOCK_SECONDS = 600.0
"""Duration of the blocks in which a recording is read."""

_USUAL_LEADS = ("mlii", "ii", "ecg", "ekg", "signal", "signal_mv", "lead ii", "lead_ii", "ecg ii", "ecg lead ii")
"""Names of leads that ``"auto"`` selects, the preferred one first; in lower case and without a unit."""


@dataclass(frozen=True)
class ReadOptions:
    """Lead to read, and metadata that a file lacks.

    Attributes:
        lead: name of a lead or column, ``"auto"`` or ``"all"``.
        fs: sampling rate in Hz of a file that does not have one.
        time_column: column of a table with the time.
        units: ``"mV"``, ``"uV"`` or ``"V"`` of a file without units.
        gain: ADC units per mV of a file with integers.
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

    def given_fields(self) -> tuple[str, ...]:
        """Return the names of the given options that repeat metadata of WFDB and EDF files."""
        values = {name: getattr(self, name) for name in ("time_column", "units", "gain", "adc_zero")}
        return tuple(name for name, value in values.items() if value not in ("", None))


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
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    signal: np.ndarray
    r_peaks: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    excluded_intervals: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Recording:
    """Leads of one file, whose samples are read when they are needed.

    Attributes:
        path: path of the file.
        name: name of the recording, after which results are named.
        fs: sampling rate in Hz.
        leads: names of the leads.
        samples: number of samples per lead; ``None`` if it is unknown until the end is read.
        blocks: reads the file from the start, as float64 arrays of shape ``(samples, leads)`` in mV; missing samples
            are NaN.
    """

    path: Path
    name: str
    fs: float
    leads: tuple[str, ...]
    samples: int | None
    blocks: Callable[[], Iterator[np.ndarray]]

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


def choose_leads(path: Path, names: Sequence[str], *, lead: str, noun: str = "leads") -> list[int]:
    """Return the columns of the selected leads.

    Args:
        path: path of the file, for messages.
        names: names of all leads.
        lead: name of a lead, ``"auto"`` or ``"all"``.
        noun: word for leads in this file format.

    Raises:
        RecordError: the lead is missing or ambiguous, or ``"auto"`` finds none of the usual leads.
    """
    if lead == ALL_LEADS:
        return list(range(len(names)))
    if lead in names:
        if list(names).count(lead) > 1:
            raise RecordError(path, f"two {noun} are named {lead!r}; rename one")
        return [list(names).index(lead)]
    listed = ", ".join(names)
    if lead != AUTO_LEAD:
        raise RecordError(path, f"{lead!r} is not among its {noun} ({listed}); use another lead", parameter="lead")
    if len(names) == 1:
        return [0]
    plain = [without_unit(name).lower() for name in names]
    for usual in _USUAL_LEADS:
        if plain.count(usual) == 1:
            return [plain.index(usual)]
    problem = f"none of its {noun} ({listed}) is a usual ECG lead; choose a lead, or 'all'"
    raise RecordError(path, problem, parameter="lead")


_SUFFIX = re.compile(r"_(mv|uv|µv|μv|nv|v)$", re.IGNORECASE)


def unit_in(name: str) -> str:
    """Return the unit at the end of a name such as ``ECG (mV)`` or ``signal_uV``, in lower case; empty without one.

    A name that consists of a unit, such as the chest lead V, has none.
    """
    found = _SUFFIX.search(name) or re.search(r"[\[(]\s*(mv|uv|µv|μv|nv|v)\s*[\])]\s*$", name, re.IGNORECASE)
    return found.group(1).lower() if found else ""


def without_unit(name: str) -> str:
    """Return a name without the unit at its end."""
    return re.sub(r"\s*[\[(].*[\])]\s*$", "", _SUFFIX.sub("", name)).strip() if unit_in(name) else name.strip()


def to_millivolts(
    path: Path, options: ReadOptions, *, integers: bool, unit: str = "", column: str = ""
) -> tuple[float, float]:
    """Return ``(gain, adc_zero)`` that convert numbers to mV: ``(numbers - adc_zero) / gain``.

    Args:
        path: path of the file, for messages.
        options: given metadata.
        integers: whether the file contains integers.
        unit: unit in the file, if any.
        column: name of the column, for messages.

    Raises:
        RecordError: the unit of integers is unknown.
    """
    if options.gain is not None:
        return options.gain, options.adc_zero or 0.0
    known = options.units or unit
    if known:
        return 1 / MILLIVOLTS[known.lower()], 0.0
    if integers:
        others = ", or choose another lead" if column and options.lead == ALL_LEADS else ""
        place = f"column {column}: " if column else ""
        problem = f"{place}integers look like ADC units; give gain (ADC units per mV) and adc_zero"
        problem += f", or units (mV or uV){others}"
        raise RecordError(path, problem, parameter="gain", parameters=("units", "adc_zero"))
    return 1.0, 0.0


def millivolts_per_unit(path: Path, lead: str, *, unit: str) -> float:
    """Return the factor from the unit of a lead to mV.

    Raises:
        RecordError: the unit is not a voltage.
    """
    factor = MILLIVOLTS.get(unit.strip().lower())
    if factor is None:
        raise RecordError(path, f"lead {lead}: unit {unit or 'missing'} is not a voltage")
    return factor
