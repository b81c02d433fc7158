"""Series of one file: the rhythm that is read, and standard names of leads."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.channels import Channel
from ecg_study.ecg_data.readers.recording import ReadOptions
from ecg_study.errors import RecordError

LEAD_OF_CODE = {
    0: "",
    1: "I",
    2: "II",
    **{code: f"V{code - 2}" for code in range(3, 10)},
    **{code: f"V{code - 8}R" for code in range(10, 16)},
    **dict(zip(range(16, 31), "X Y Z CC5 CM5 LA RA LL fI fE fC fA fM fF fH".split(), strict=True)),
    **dict(zip(range(61, 72), "III aVR aVL aVF -aVR V8 V9 V8R V9R D A".split(), strict=True)),
    72: "J",
}
"""Names of leads by their code in EN 1064, which ISO/IEEE 11073-10102 and DICOM use too."""

_MDC = "MDC_ECG_LEAD_"
_MDC_NAMES = {"AVR": "aVR", "AVL": "aVL", "AVF": "aVF"}


def name_of_mdc(code: str) -> str:
    """Return the name of a lead by its code in ISO/IEEE 11073, such as ``MDC_ECG_LEAD_II``; else the code itself."""
    if not code.upper().startswith(_MDC):
        return code
    name = code[len(_MDC) :]
    return _MDC_NAMES.get(name.upper(), name)


def moment_in(text: str) -> datetime | None:
    """Return the local time of a timestamp of HL7 or DICOM, such as ``20021122091000.0``; ``None`` if it is none."""
    found = re.fullmatch(r"([0-9]{14})(?:\.([0-9]{1,6})[0-9]*)?(?:[+-][0-9]{4})?", text.strip())
    if found is None:
        return None
    try:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment.replace(microsecond=int((found[2] or "0").ljust(6, "0")))


@dataclass(frozen=True)
class Series:
    """Channels that were recorded together.

    Attributes:
        channels: all channels.
        seconds: duration.
        start_time: date and time of the first sample in ISO 8601; empty if it is unknown.
    """

    channels: tuple[Channel, ...]
    seconds: float
    start_time: str = ""


def longest_series(path: Path, series: Sequence[Series], *, options: ReadOptions) -> Series:
    """Return the longest series. Of several with this duration, return the only one that has the selected lead.

    Raises:
        RecordError: several series are equally long, and the lead does not decide.
    """
    longest = max(one.seconds for one in series)
    found = [one for one in series if one.seconds == longest]
    if len(found) > 1:
        with_lead = [one for one in found if any(channel.name == options.lead for channel in one.channels)]
        if len(with_lead) != 1:
            names = "; ".join(", ".join(channel.name[:40] for channel in one.channels[:20]) for one in found[:8])
            problem = f"has {len(found)} recordings of {longest:g} s ({names}); choose a lead that only one of them has"
            raise RecordError(path, problem, parameter="lead")
        found = with_lead
    return found[0]


def reader_of(values: np.ndarray, scale: float = 1.0, *, offset: float = 0.0) -> Callable[[int, int], np.ndarray]:
    """Return a reader of samples for `Channel`.

    Args:
        values: samples in digital units, shape ``(samples,)``.
        scale: physical units per digital unit.
        offset: physical value of the digital value 0.
    """

    def read(start: int, end: int) -> np.ndarray:
        return np.asarray(values[start:end], np.float64) * scale + offset

    return read
