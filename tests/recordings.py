"""Recordings for tests: an ECG with known R peaks, and writers that know the formats but not our readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_study.ecg_data.readers.opening import open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

FS = 250.0

_WAVES = ((-0.16, 0.12, 0.02), (-0.025, -0.1, 0.008), (0.0, 1.0, 0.011), (0.026, -0.22, 0.01), (0.25, 0.25, 0.04))
"""Time from the R peak in s, height in mV and width in s of P, Q, R, S and T."""


def ecg(seconds: float = 40.0, fs: float = FS, *, noise: float = 0.01, seed: int = 1) -> np.ndarray:
    """An ECG of 75 beats per minute in mV, the first R peak at 0 s."""
    times = np.arange(round(seconds * fs)) / fs
    from_beat = (times + 0.4) % 0.8 - 0.4
    signal = np.random.default_rng(seed).normal(0, noise, len(times))
    for place, height, width in _WAVES:
        # Each wave also belongs to the beats before and after.
        for shift in (-0.8, 0.0, 0.8):
            signal += height * np.exp(-0.5 * ((from_beat - place + shift) / width) ** 2)
    return signal


SIGNAL = ecg()
TIMES = np.arange(len(SIGNAL)) / FS


def write_table(
    path: Path, header: str, *columns: Sequence[Any] | np.ndarray, mark: str = ",", end: str = "\n"
) -> list[str]:
    """Write columns under a header (none if it is empty), numbers with four decimals; return the rows."""
    rows = [mark.join(v if isinstance(v, str) else f"{v:.4f}" for v in row) for row in zip(*columns, strict=True)]
    write_rows(path, header, rows, end=end)
    return rows


def write_rows(path: Path, header: str, rows: Sequence[str], *, end: str = "\n") -> Path:
    """Write a header and rows as UTF-8."""
    text = end.join([*([header] if header else []), *rows]) + end
    path.write_bytes(text.encode())
    return path


def write_wfdb(
    folder: Path, *leads: np.ndarray, names: Sequence[str] = ("II", "V5"), fs: float = FS, line: str = ""
) -> Path:
    """Write a record ``r`` in format 16 with 1,000 ADC units per mV; return its path without extension.

    ``line`` replaces the fields after the format, with ``{checksum}`` and ``{first}``.
    """
    digital = np.round(np.column_stack(leads) * 1000).astype("<i2")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "r.dat").write_bytes(digital.tobytes())
    lines = [f"r {len(leads)} {fs:g} {len(digital)}"]
    for lead, name in zip(digital.T.astype(np.int64), names, strict=False):
        fields = line or "1000(0)/mV 16 0 {first} {checksum} 0 " + name
        lines.append("r.dat 16 " + fields.format(first=lead[0], checksum=int(lead.sum()) % 65536))
    (folder / "r.hea").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "r"


def edit_header(record: Path, old: str, new: str) -> Path:
    """Replace a text that the header of a record has."""
    header = record.with_suffix(".hea")
    text = header.read_text(encoding="utf-8")
    assert old in text
    header.write_text(text.replace(old, new), encoding="utf-8")
    return record


def write_edf(
    path: Path,
    *leads: np.ndarray,
    labels: Sequence[str] = ("ECG", "V5"),
    fs: int = 250,
    bits: int = 16,
    fields: dict[str, bytes] | None = None,
) -> Path:
    """Write an EDF (16 bits) or BDF (24 bits) file: -5 to 5 mV over the digital range, data records of 1 s.

    ``fields`` replaces fields of the header, by name; those of signals are replaced for all.
    """
    top, count, seconds = 2 ** (bits - 1) - 1, len(leads), len(leads[0]) // fs
    given = fields or {}
    version = (b"\xffBIOSEMI", b"24BIT") if bits == 24 else (b"0", b"")
    general = {
        "version": (8, version[0]),
        "patient": (80, b"X"),
        "recording": (80, b"X"),
        "date": (8, b"01.01.20"),
        "time": (8, b"10.00.00"),
        "header bytes": (8, str(256 * (count + 1)).encode()),
        "reserved": (44, version[1]),
        "records": (8, str(seconds).encode()),
        "duration": (8, b"1"),
        "signals": (4, str(count).encode()),
    }
    head = b"".join(given.get(name, value).ljust(width) for name, (width, value) in general.items())
    described = {
        "label": (16, b""),
        "transducer": (80, b""),
        "unit": (8, b"mV"),
        "physical minimum": (8, b"-5"),
        "physical maximum": (8, b"5"),
        "digital minimum": (8, str(-top).encode()),
        "digital maximum": (8, str(top).encode()),
        "prefiltering": (80, b""),
        "samples": (8, str(fs).encode()),
        "signal reserved": (32, b""),
    }
    for name, (width, value) in described.items():
        for label in labels[:count]:
            default = label.encode("latin-1") if name == "label" else value
            head += given.get(name, default).ljust(width)
    digital = [np.round(lead * top / 5).astype("<i4") for lead in leads]
    body = bytearray()
    for second in range(seconds):
        for lead in digital:
            part = lead[second * fs : (second + 1) * fs]
            body += part.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    path.write_bytes(head + bytes(body))
    return path


def opened(path: Path, **options: Any) -> Recording:
    """Open a recording with `ReadOptions` as keywords."""
    return open_recording(path, ReadOptions(**options))


def read(path: Path, **options: Any) -> np.ndarray:
    """Read a recording to its end; return its leads, shape ``(samples, leads)``."""
    return np.concatenate(list(opened(path, **options).blocks()))


def is_signal(found: np.ndarray, wanted: np.ndarray = SIGNAL, *, within: float = 0.001) -> None:
    """Check that the first lead is the wanted signal in mV, with missing samples in the same places."""
    assert len(found) == len(wanted)
    np.testing.assert_array_equal(np.isnan(found[:, 0]), np.isnan(wanted))
    np.testing.assert_allclose(found[:, 0], wanted, atol=within)


def problem_of(path: Path, **options: Any) -> str:
    """Read a recording that cannot be read; return the problem in its error, which is one line about this file."""
    with pytest.raises(RecordError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message and message.isprintable()
    assert caught.value.path.stem == path.stem
    return caught.value.problem


def bump_beats(height: float = 1.0, *, width: float = 0.02, st_level: float = 0.0, slope: float = 0.0) -> np.ndarray:
    """Return twenty beats, one per second at 360 Hz: a bump as R wave, and a plateau of 200 ms after it."""
    time = np.arange(21 * 360) / 360
    signal = slope * time
    for beat in range(1, 21):
        signal += height * np.exp(-((time - beat) ** 2) / (2 * width**2))
        signal += st_level * ((time > beat + 0.08) & (time < beat + 0.28))
    return signal
