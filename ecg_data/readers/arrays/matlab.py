"""Recordings in MATLAB files (``.mat``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.arrays.matlab4 import is_matlab4, read_matlab4
from ecg_study.ecg_data.readers.arrays.matlab5 import is_matlab5, read_matlab5
from ecg_study.ecg_data.readers.arrays.signal import recording_from_arrays
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.ecg_data.readers.wfdb.header import states_signal_file
from ecg_study.ecg_data.readers.wfdb.record import open_wfdb


def is_matlab(head: bytes) -> bool:
    """Return whether the first bytes are those of a MATLAB file of version 4 to 7.2."""
    return is_matlab5(head) or is_matlab4(head)


def open_matlab(path: Path, options: ReadOptions) -> Recording:
    """Open a MATLAB file of version 4 to 7.2 as a memory map.

    If the file is the signal file of a WFDB record beside it, whose header has units and sampling rate, that record is
    opened.

    Raises:
        RecordError: the file is damaged or truncated; or see `recording_from_arrays` and `open_wfdb`.
    """
    header = path.with_suffix(".hea")
    if header.is_file() and states_signal_file(header, path.name):
        return open_wfdb(header, options)
    content = np.memmap(path, np.uint8, mode="r")
    read = read_matlab5 if is_matlab5(content[:128].tobytes()) else read_matlab4
    return recording_from_arrays(path, read(path, content), options=options)
