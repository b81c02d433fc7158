"""Tests of the alignment of marks to R peaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.alignment import align_marks
from ecg_study.ecg_data.readers.wfdb import read_record
from tests.recordings import ecg

FS = 250.0
SIGNAL = ecg(40.0, FS)
R_PEAKS = np.arange(1, 49) * 200  # one every 0.8 s


@pytest.mark.parametrize("late", [-15, -4, 0, 12, 20])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["upright", "inverted"])
def test_a_constant_offset_is_removed(late: int, sign: float) -> None:
    aligned = align_marks(sign * SIGNAL, R_PEAKS + late, fs=FS)
    assert np.abs(aligned.r_peaks - R_PEAKS).max() <= 1
    assert aligned.offset_s == pytest.approx(late / FS, abs=1 / FS)


def test_marks_of_single_beats_are_corrected_up_to_50_ms() -> None:
    marks = R_PEAKS + 10
    marks[[3, 4]] += [12, -12]  # 48 ms more, and less
    marks[6] += 30  # 120 ms more
    aligned = align_marks(SIGNAL, marks, fs=FS)
    others = np.delete(np.arange(len(R_PEAKS)), 6)
    assert np.abs(aligned.r_peaks - R_PEAKS)[others].max() <= 1
    assert abs(aligned.r_peaks[6] - (marks[6] - 10)) <= 0.05 * FS + 1


def test_a_beat_of_the_other_polarity_has_its_mark_at_its_extremum() -> None:
    signal = SIGNAL.copy()
    signal[R_PEAKS[10] - 60 : R_PEAKS[10] + 60] *= -2
    assert np.abs(align_marks(signal, R_PEAKS + 6, fs=FS).r_peaks - R_PEAKS).max() <= 1


@pytest.mark.parametrize("place", [0, 1])
def test_of_r_and_s_waves_of_similar_height_the_nearer_is_taken(place: int) -> None:
    """An R wave, and an S wave 40 ms later that is a little higher."""
    signal = np.zeros(len(SIGNAL))
    for r_peak in R_PEAKS:
        times = np.arange(-30, 40) / FS
        wave = np.exp(-0.5 * (times / 0.01) ** 2) - 1.1 * np.exp(-0.5 * ((times - 0.04) / 0.01) ** 2)
        signal[r_peak - 30 : r_peak + 40] += wave
    marks = R_PEAKS + 10 * place
    aligned = align_marks(signal, marks, fs=FS, band=(1.0, 40.0), clearly_larger=1.5)
    assert np.abs(aligned.r_peaks - marks).max() <= 1


def test_beats_at_the_ends_of_a_record_stay_inside() -> None:
    marks = np.array([0, 200, 400, len(SIGNAL) - 1])
    aligned = align_marks(SIGNAL, marks, fs=FS).r_peaks
    assert aligned[0] >= 0
    assert aligned[-1] < len(SIGNAL)
    assert align_marks(SIGNAL, np.empty(0, np.int64), fs=FS).offset_s == 0


@given(st.sets(st.integers(0, 999), min_size=1, max_size=40), st.integers(0, 100))
def test_marks_stay_in_order_and_near(places: set[int], seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, 1000)
    marks = np.array(sorted(places))
    aligned = align_marks(noise, marks, fs=FS).r_peaks
    assert (np.diff(aligned) > 0).all()
    assert 0 <= aligned[0] <= aligned[-1] < 1000
    assert all(np.abs(marks - peak).min() <= (0.12 + 0.05) * FS + 1 for peak in aligned)


def test_marks_of_mitdb_are_already_at_the_r_peaks(real_data: Path) -> None:
    for name in ("100", "103", "119", "205", "232"):
        record = read_record(real_data / "mitdb" / name)
        aligned = align_marks(record.signal[:, 0], record.r_peaks, fs=record.fs)
        assert abs(aligned.offset_s) < 0.004
        late = align_marks(record.signal[:, 0], record.r_peaks[5:-5] + 18, fs=record.fs)
        assert late.offset_s == pytest.approx(0.05, abs=0.004)
        assert np.isin(late.r_peaks, aligned.r_peaks).mean() > 0.99


def test_marks_of_the_european_records_in_qtdb_are_early(real_data: Path) -> None:
    """By 50 ms; the program that made ``pu1`` agrees to 8 ms in these."""
    for name, late in (("sele0406", -0.048), ("sele0612", -0.052), ("sele0170", -0.048)):
        record = read_record(real_data / "qtdb" / name)
        assert align_marks(record.signal[:, 0], record.r_peaks, fs=250.0).offset_s == pytest.approx(late, abs=0.005)
