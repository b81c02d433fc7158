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


@pytest.mark.parametrize("unreadable", [0, 9, 39])
def test_a_data_record_without_a_time_is_refused(tmp_path: Path, unreadable: int) -> None:
    path = written(tmp_path, lambda record: "" if record == unreadable else f"+{record + 10 * (record >= 20)}")
    assert problem_of(path) == f"data record {unreadable + 1} has no time, unlike others; the file is damaged"


def test_times_with_many_decimals_are_compared(tmp_path: Path) -> None:
    path = written(tmp_path, lambda record: f"+{record + 10 * (record >= 20)}.0000000000")
    assert "data record 21 begins 10 s too late" in problem_of(path)


@pytest.mark.parametrize("kind", [b"EDF+D", b"edf+d"])
def test_a_file_with_possible_interruptions_is_read_if_it_has_none(tmp_path: Path, kind: bytes) -> None:
    is_signal(read(of_kind(written(tmp_path, lambda record: f"+{record}"), kind)))
    path = of_kind(written(tmp_path, lambda record: f"+{record + 0.05 * (record >= 20):g}"), kind)
    assert "data record 21 begins 0.05 s too late for a continuous recording" in problem_of(path)
    path = of_kind(written(tmp_path, lambda _: ""), kind)
    assert "discontinuous recording (EDF+D) without the times of its data records" in problem_of(path)


def of_kind(path: Path, kind: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[192:197] = kind
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("physical maximum", b"-5", "no calibration for signal 2 (Unused): physical range -5 to -5"),
        ("digital maximum", b"-32767", "no calibration for signal 2 (Unused)"),
        ("samples", b"0", "its header states 0 samples per data record for signal 2 (Unused)"),
    ],
)
def test_an_unusable_signal_is_an_error_only_if_it_is_selected(
    tmp_path: Path, field: str, value: bytes, problem: str
) -> None:
    places = {"physical maximum": 112, "digital maximum": 128, "samples": 216}  # bytes before the field, per signal
    width = 8
    path = write_edf(tmp_path / "a.edf", SIGNAL, np.zeros(len(SIGNAL)), labels=("ECG", "Unused"))
    content = bytearray(path.read_bytes())
    place = 256 + 2 * places[field] + width
    content[place : place + width] = value.ljust(width)
    if field == "samples":
        samples = np.frombuffer(bytes(content[768:]), "<i2").reshape(-1, 2, int(FS))
        content[768:] = samples[:, 0].tobytes()
    path.write_bytes(content)
    is_signal(read(path))
    assert problem in problem_of(path, lead="Unused")
