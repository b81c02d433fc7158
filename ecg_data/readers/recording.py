"""A recording of any kind, read in blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.errors import RecordError, SettingsError

PREFERRED_LEAD = "MLII"
"""Modified limb lead II: the lead in which the QRS complex of most MIT-BIH records is tallest."""

AUTO_LEAD = "auto"
ALL_LEADS = "all"

MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
"""mV in one of each unit."""

HIGHEST_RATE, LOWEST_RATE = 10_000.0, 100.0
"""Hz. Below, a QRS complex is a few samples; above, it is no rate at which ECG is recorded."""

BLOCK_SECONDS = 600.0
"""So much of a recording is in memory at once."""

_USUAL_LEADS = ("mlii", "ii", "ecg", "ekg", "signal", "signal_mv", "lead ii", "lead_ii", "ecg ii", "ecg lead ii")
"""Names of a lead that is taken unasked, the preferred first, in small letters and without a unit."""


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
            problem = "excludes units; use gain for ADC units, units for mV, uV or V"
            raise SettingsError("gain", problem, value=self.gain, parameters=("units",))

    def given_fields(self) -> tuple[str, ...]:
        """Return the names of the given options that repeat metadata of WFDB and EDF files."""
        values = {name: getattr(self, name) for name in ("time_column", "units", "gain", "adc_zero")}
        return tuple(name for name, value in values.items() if value not in ("", None))


@dataclass(frozen=True)
class Recording:
    """Leads of one file.

    Attributes:
        path: of the file.
        name: what its results are named after.
        fs: sampling rate in Hz.
        leads: their names.
        samples: how many each has; ``None`` where only reading it tells.
        blocks: reads it from the beginning: float arrays of shape ``(samples, leads)``, in mV, NaN where a sample is
            missing.
    """

    path: Path
    name: str
    fs: float
    leads: tuple[str, ...]
    samples: int | None
    blocks: Callable[[], Iterator[np.ndarray]]


def choose_columns(path: Path, names: Sequence[str], lead: str, what: str = "leads") -> list[int]:
    """The columns of a lead as it was asked for.

    Args:
        path: of the file, for messages.
        names: of all leads.
        lead: a name, ``"auto"`` or ``"all"``.
        what: they are called in that kind of file.

    Raises:
        RecordError: there is no such lead, or none that can be taken unasked.
    """
    if lead == ALL_LEADS:
        return list(range(len(names)))
    if lead in names:
        if list(names).count(lead) > 1:
            raise RecordError(path, f"has two {what} named {lead!r}; rename one")
        return [list(names).index(lead)]
    listed = ", ".join(names)
    if lead != AUTO_LEAD:
        raise RecordError(path, f"has no {lead!r} among its {what} ({listed}); choose with --lead")
    if len(names) == 1:
        return [0]
    plain = [without_unit(name).lower() for name in names]
    for usual in _USUAL_LEADS:
        if plain.count(usual) == 1:
            return [plain.index(usual)]
    raise RecordError(path, f"has the {what} {listed}, none of which is the usual one; choose with --lead, or 'all'")


_SUFFIX = re.compile(r"_(mv|uv|µv|μv|nv|v)$", re.IGNORECASE)


def unit_in(name: str) -> str:
    """The unit at the end of a name, as in ``ECG (mV)`` or ``signal_uV``, in small letters; empty where there is none.

    A name that is a unit, or a chest lead such as V, is no name with a unit.
    """
    found = _SUFFIX.search(name) or re.search(r"[\[(]\s*(mv|uv|µv|μv|nv|v)\s*[\])]\s*$", name, re.IGNORECASE)
    return found.group(1).lower() if found else ""


def without_unit(name: str) -> str:
    """A name without the unit at its end."""
    return re.sub(r"\s*[\[(].*[\])]\s*$", "", _SUFFIX.sub("", name)).strip() if unit_in(name) else name.strip()


def to_millivolts(
    path: Path, options: ReadOptions, whole: bool, unit: str = "", column: str = ""
) -> tuple[float, float]:
    """Return ``(gain, adc_zero)`` that convert numbers to mV: ``(numbers - adc_zero) / gain``.

    Args:
        path: of the file, for messages.
        options: what was told.
        whole: whether the file holds whole numbers.
        unit: that the file tells, if any.
        column: that the numbers are of, for messages.

    Raises:
        RecordError: nothing tells the unit of whole numbers.
    """
    if options.gain is not None:
        return options.gain, options.adc_zero or 0.0
    told = options.units or unit
    if told:
        return 1 / MILLIVOLTS[told.lower()], 0.0
    if whole:
        others = ", or choose another lead" if column and options.lead == ALL_LEADS else ""
        place = f"column {column}: " if column else ""
        problem = f"{place}integers look like ADC units; give gain (ADC units per mV) and adc_zero"
        raise RecordError(path, f"{problem}, or units (mV or uV){others}", parameter="gain")
    return 1.0, 0.0
