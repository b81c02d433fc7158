"""Beats of DeepFilter's benchmark: where they begin, how they are prepared, and who is in which part."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.deepfilter.beats import (
    FIRST_SAMPLE,
    LONGEST,
    PUBLISHED_COUNTS,
    SAMPLES,
    TEST_RECORDS,
    VALIDATION_RECORDS,
    beat_intervals,
    prepare_beats,
    read_beats,
)
from ecg_study.ecg_data.readers.wfdb import Annotations
from ecg_study.errors import DataError
from tests.benchmarks.qtdb_records import BEATS, NAMES, TEST, VALIDATION, read_small, write_qtdb


def _marks(*marks: tuple[int, str]) -> Annotations:
    samples, symbols = zip(*marks, strict=True)
    empty = ("",) * len(marks)
    return Annotations(np.array(samples, np.int64), tuple(symbols), empty, (0,) * len(marks))


P_AT_100 = ((100, "("), (110, "p"), (120, ")"))
P_AT_300 = ((300, "("), (310, "p"), (320, ")"))
P_AT_500 = ((500, "("), (510, "p"), (520, ")"))


class TestWhereABeatIs:
    def test_it_begins_40_ms_before_a_p_onset_and_ends_where_the_next_begins(self) -> None:
        marks = _marks(*P_AT_100, (140, "("), (150, "N"), (160, ")"), *P_AT_300, (350, "N"), *P_AT_500)
        # 40 ms are 10 samples at 250 Hz.
        assert beat_intervals(marks, fs=250).tolist() == [[90, 290], [290, 490]]

    def test_two_complexes_without_a_p_wave_between_them_are_no_beat(self) -> None:
        marks = _marks(*P_AT_100, (150, "N"), (220, "N"), *P_AT_300, (350, "N"), *P_AT_500)
        assert beat_intervals(marks, fs=250).tolist() == [[290, 490]]

    def test_a_p_wave_without_a_complex_is_kept(self) -> None:
        assert beat_intervals(_marks(*P_AT_100, *P_AT_300), fs=250).tolist() == [[90, 290]]

    def test_a_complex_at_a_border_belongs_to_no_side(self) -> None:
        marks = _marks(*P_AT_100, (150, "N"), (290, "N"), *P_AT_300, (350, "N"), *P_AT_500)
        assert beat_intervals(marks, fs=250).tolist() == [[90, 290], [290, 490]]

    def test_the_onset_of_a_p_wave_is_the_last_before_it(self) -> None:
        # A complex without end between: its onset is not that of the P wave.
        marks = _marks((80, "("), *P_AT_100, (280, "("), (285, "N"), *P_AT_300)
        assert beat_intervals(marks, fs=250).tolist() == [[90, 290]]

    def test_an_onset_at_the_p_wave_itself_is_not_before_it(self) -> None:
        marks = _marks((100, "("), (110, "("), (110, "p"), *P_AT_300)
        assert beat_intervals(marks, fs=250).tolist() == [[90, 290]]

    def test_a_p_wave_without_an_onset_begins_no_beat(self) -> None:
        assert beat_intervals(_marks((50, "p"), *P_AT_100, *P_AT_300), fs=250).tolist() == [[90, 290]]

    def test_no_p_wave_gives_no_beat(self) -> None:
        assert beat_intervals(_marks((150, "N")), fs=250).shape == (0, 2)


class TestPreparation:
    lead = np.random.default_rng(0).normal(0, 1, 2000).astype(np.float32)

    def test_a_beat_is_resampled_alone_between_its_mirror_images(self) -> None:
        from scipy.signal import resample_poly

        intervals = np.array([[100, 300], [300, 431], [500, 700]])
        beats = prepare_beats(self.lead, intervals, fs=250)
        for signal, length, (start, end) in zip(beats.signals, beats.lengths, intervals, strict=True):
            beat = self.lead[start:end].astype(np.float64)
            expected_length = math.ceil((end - start) * 360 / 250)
            assert length == expected_length
            whole = resample_poly(np.concatenate([beat[::-1], beat, beat[::-1]]), 360, 250)
            expected = whole[expected_length - 1 : 2 * expected_length - 1]
            expected = expected - (expected[0] + expected[-1]) / 2
            inside = slice(FIRST_SAMPLE, FIRST_SAMPLE + expected_length)
            np.testing.assert_allclose(signal[inside], expected, atol=1e-6)
            assert np.count_nonzero(signal) == np.count_nonzero(signal[inside])

    def test_its_two_ends_lie_around_zero(self) -> None:
        beats = prepare_beats(self.lead + 5, np.array([[100, 300]]), fs=250)
        first, last = beats.signals[0, FIRST_SAMPLE], beats.signals[0, FIRST_SAMPLE + beats.lengths[0] - 1]
        assert first == pytest.approx(-last, abs=1e-5)

    def test_a_beat_of_496_samples_is_the_longest(self) -> None:
        # 344 samples become ceil(495.36) = 496, 345 become 497.
        beats = prepare_beats(self.lead, np.array([[0, 344], [400, 745]]), fs=250)
        assert beats.lengths.tolist() == [LONGEST] == [496]
        assert beats.signals[0, -1] != 0
        assert beats.signals.shape == (1, SAMPLES)


class TestParts:
    def test_no_record_is_in_two_parts(self, tmp_path: Path) -> None:
        beats = read_small(write_qtdb(tmp_path))
        parts = (beats.training, beats.validation, beats.test)
        records = [set(part.records.tolist()) for part in parts]
        assert records == [set(NAMES) - {*TEST, *VALIDATION}, set(VALIDATION), set(TEST)]
        assert set(beats.second.records) == records[0]
        assert set(beats.second_validation.records) == records[1]
        assert [len(part) for part in parts] == [2 * BEATS, BEATS, BEATS]
        assert beats.counts == (3 * BEATS, BEATS)

    def test_beats_of_the_second_lead_are_at_the_same_places(self, tmp_path: Path) -> None:
        beats = read_small(write_qtdb(tmp_path))
        assert beats.second.lengths.tolist() == beats.training.lengths.tolist()
        one = beats.training.records == "sel1"
        np.testing.assert_allclose(beats.second.signals[one], -0.5 * beats.training.signals[one], atol=1e-3)

    def test_validation_records_are_training_records(self) -> None:
        assert not set(TEST_RECORDS) & set(VALIDATION_RECORDS)
        assert (len(set(TEST_RECORDS)), len(set(VALIDATION_RECORDS))) == (14, 13)

    def test_a_folder_without_the_database_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"sel100, sel123, .* not found; give the folder of the QT database"):
            read_beats(tmp_path)


@pytest.mark.slow
@pytest.mark.real_data
def test_the_database_has_the_published_number_of_beats(real_data: Path) -> None:
    beats = read_beats(real_data / "qtdb")
    assert beats.counts == PUBLISHED_COUNTS
    for part in (beats.training, beats.validation, beats.test):
        assert (np.ptp(part.signals, axis=1) > 0).all()
