"""Signals and checks that the tests of clinical formats share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_study.ecg_data.readers.opening import open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

FS = 500
SAMPLES = 2500
MICROVOLTS = 5
"""Microvolts per digital unit."""


def digital(position: int = 0, samples: int = SAMPLES) -> np.ndarray:
    """Return a lead in digital units: a wave of 1 mV with a sharp peak each second, another one for each position."""
    at = np.arange(samples)
    wave = 100 * np.sin(2 * np.pi * (1 + 0.3 * position) * at / FS)
    peaks = 150 * np.exp(-(((at + 40 * position) % FS - 250) ** 2) / 30)
    return np.asarray(np.rint(wave + peaks), np.int64)


def leads(*names: str) -> dict[str, np.ndarray]:
    """Return leads in digital units by name."""
    return {name: digital(position) for position, name in enumerate(names or ("I", "II", "V1"))}


def opened(path: Path, **options: object) -> Recording:
    return open_recording(path, ReadOptions(**options))  # type: ignore[arg-type]


def values(path: Path, **options: object) -> np.ndarray:
    """Return all samples of a file in mV."""
    return np.concatenate(list(opened(path, **options).blocks()))


def problem(path: Path, **options: object) -> str:
    """Return the message of the error that reading a file raises: one line that names the file."""
    with pytest.raises(RecordError) as caught:
        values(path, **options)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(f"{path}: ")
    return message


def millivolts(signal: np.ndarray) -> np.ndarray:
    return np.asarray(signal * (MICROVOLTS / 1000))


def assert_cut_and_altered_files_are_never_misread(
    path: Path, content: bytes, *, seed: int, count: int = 60, padding: int = 0
) -> None:
    """Check that a file that is cut, longer or altered gives its own samples or an error of ours.

    Bytes that do not matter to the signal, such as those of a name, may be altered without effect. The last ``padding``
    bytes may be missing.
    """
    path.write_bytes(content)
    sound = values(path, lead="all")
    rng = np.random.default_rng(seed)
    for size in {*rng.integers(1, len(content), count).tolist(), len(content) - 1, len(content) - 2}:
        if size >= len(content) - padding:
            continue
        path.write_bytes(content[:size])
        with pytest.raises(RecordError):
            values(path, lead="all")
    for extra in (b"\1\2", b"\0" * 100):
        path.write_bytes(content + extra)
        with pytest.raises(RecordError):
            values(path, lead="all")
    for place in rng.integers(0, len(content), count).tolist():
        altered = bytearray(content)
        altered[place] ^= int(rng.integers(1, 256))
        path.write_bytes(altered)
        result = tolerant(lambda: values(path, lead="all"))
        assert result is None or result.ndim == 2
    path.write_bytes(content)
    np.testing.assert_array_equal(values(path, lead="all"), sound)


def tolerant(read: Callable[[], np.ndarray]) -> np.ndarray | None:
    """Return what is read; ``None`` if it is an error of ours. Other errors are raised."""
    try:
        return read()
    except RecordError:
        return None
