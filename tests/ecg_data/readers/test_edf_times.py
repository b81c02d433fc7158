"""Times of the data records of EDF+, which must fit a continuous recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.recordings import FS, SIGNAL, is_signal, problem_of, read, write_edf


def written(folder: Path, onset: Callable[[int], str]) -> Path:
    """Write an EDF+C file with an annotation signal; ``onset`` returns the time of a data record."""
    records, samples = len(SIGNAL) // int(FS), int(FS)
    texts = [f"{onset(record)}\x14\x14\0".encode().ljust(2 * samples, b"\0") for record in range(records)]
    path = write_edf(folder / "a.edf", SIGNAL, np.zeros(len(SIGNAL)), labels=("ECG", "EDF Annotations"))
    content = bytearray(path.read_bytes())
    content[192:197] = b"EDF+C"
    for record, text in enumerate(texts):
        place = 768 + (2 * record + 1) * 2 * samples
        content[place : place + 2 * samples] = text
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("start", [0, 0.25, -3])
def test_records_in_their_places_are_read(tmp_path: Path, start: float) -> None:
    is_signal(read(written(tmp_path, lambda record: f"{start + record:+g}")))


def test_a_gap_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, lambda record: f"+{record + 10 * (record >= 20)}")
    assert "data record 21 begins 10 s too late for a continuous recording" in problem_of(path)


def test_a_step_back_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, lambda record: f"+{record - 5 * (record >= 20)}")
    assert "data record 21 begins 5 s too early" in problem_of(path)


def test_times_of_a_clock_that_deviates_little_are_read(tmp_path: Path) -> None:
    is_signal(read(written(tmp_path, lambda record: f"+{record + 0.05 * (record % 2):g}")))
