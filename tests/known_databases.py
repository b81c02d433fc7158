"""Small folders with the names, sampling rates and subjects of the known databases, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import wfdb

from tests.recordings import ecg

MITDB = ("100", "101", "102", "109", "201", "202")
"""Test, training, paced, validation, and two records of one subject (training and test)."""

QTDB = ("sel100", "sel102", "sele0121", "sele0122", "sel301", "sel302", "sel306", "sel307")
"""Excerpts of a test record and of a paced record of MIT-BIH, two records of one subject, and four others."""

WITHOUT_BEATS = "sel30"

GROUPS = {"cinc1": "a", "cinc2": "a", "cinc3": "b", "cinc4": "c"}

SECONDS = 24.0


def write_databases(
    directory: Path, *, mitdb: Sequence[str] = MITDB, qtdb: Sequence[str] = QTDB, groups: dict[str, str] | None = None
) -> Path:
    """Write ``mitdb``, ``qtdb`` and ``cinc2014`` into a folder; the marks of ``cinc2014`` begin late."""
    groups = GROUPS if groups is None else groups
    for number, name in enumerate(mitdb):
        write_record(directory / "mitdb", name, fs=360, leads=("MLII", "V5"), seed=number)
    for number, name in enumerate((*qtdb, WITHOUT_BEATS)):
        write_record(directory / "qtdb", name, fs=250, leads=("MLII", "V5"), seed=100 + number)
    (directory / "qtdb" / f"{WITHOUT_BEATS}.atr").unlink()
    rows = ["record,group,fs,first_mark_s,last_mark_s"]
    for number, (name, group) in enumerate(groups.items()):
        fs = 360 if number % 2 else 250
        write_record(directory / "cinc2014", name, fs=fs, leads=("ECG",), seed=200 + number, first=4.8)
        rows.append(f"{name},{group},{fs},4.8,22.4")
    (directory / "cinc2014" / "groups.csv").write_text("\n".join(rows) + "\n")
    return directory


def write_record(
    directory: Path, name: str, *, fs: float, leads: Sequence[str], seed: int = 1, first: float = 0.8, late: float = 0.0
) -> None:
    """Write a record of `SECONDS` with a beat every 0.8 s, annotated from ``first`` to 22.4 s, each mark ``late`` s."""
    directory.mkdir(parents=True, exist_ok=True)
    each = [ecg(SECONDS, fs, seed=seed + 1000 * column) for column in range(len(leads))]
    # The QRS complex of the second lead comes 20 ms later.
    signal = np.column_stack([np.roll(lead, round(0.02 * fs) * column) for column, lead in enumerate(each)])
    wfdb.wrsamp(
        name, fs=fs, units=["mV"] * len(leads), sig_name=list(leads), p_signal=signal, fmt=["16"] * len(leads),
        adc_gain=[1000] * len(leads), baseline=[0] * len(leads), write_dir=str(directory),
    )  # fmt: skip
    beats = np.round((np.arange(first, 22.5, 0.8) + late) * fs).astype(np.int64)
    wfdb.wrann(name, "atr", beats, ["N"] * len(beats), fs=fs, write_dir=str(directory))
