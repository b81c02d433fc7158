"""Noise and augmentation of DeepFilter's benchmark: no sample in two parts, and levels as published."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality.deepfilter.augmentation import (
    NO_AUGMENTATION,
    BeatAugmentation,
    BeatReader,
    stretch_beats,
    tilt,
)
from benchmarks.quality.deepfilter.beats import FIRST_SAMPLE, LONGEST, SAMPLES, Beats
from benchmarks.quality.deepfilter.noise import (
    add_noise,
    fixed_windows,
    parse_versions,
    published_ratios,
    read_noise,
    validation_ratios,
    version_noise,
)
from ecg_study.errors import RecordError, SettingsError
from tests.benchmarks.qtdb_records import write_noise

# Every sample of both channels has a value of its own.
CHANNELS = np.arange(8000, dtype=np.float32).reshape(4000, 2)

ALL_VARIATIONS = BeatAugmentation(gain_variation=0.3)


class TestVersions:
    def test_no_sample_is_in_two_parts(self) -> None:
        for version in (1, 2):
            noise = version_noise(CHANNELS, version)
            parts = [set(part.tolist()) for part in (noise.training, noise.validation, noise.test)]
            assert all(parts)
            for one, other in combinations(parts, 2):
                assert not one & other

    def test_training_and_test_are_other_halves_of_other_channels(self) -> None:
        first, second = version_noise(CHANNELS, 1), version_noise(CHANNELS, 2)
        np.testing.assert_array_equal(first.training, CHANNELS[:2000, 0])
        np.testing.assert_array_equal(first.test, CHANNELS[2000:-1, 1])
        np.testing.assert_array_equal(second.training, CHANNELS[:2000, 1])
        np.testing.assert_array_equal(second.test, CHANNELS[2000:-1, 0])

    @pytest.mark.parametrize("text", ["3", "1,1", "", "one"])
    def test_other_versions_are_refused(self, text: str) -> None:
        with pytest.raises(SettingsError, match="is not 1, 2 or 1,2"):
            parse_versions(text)

    def test_both_versions_are_read(self) -> None:
        assert parse_versions("2, 1") == [2, 1]

    def test_a_record_that_is_too_short_is_refused(self, tmp_path: Path) -> None:
        import wfdb

        short = CHANNELS[:1500] / 8000
        wfdb.wrsamp("bw", 360, ["mV"] * 2, ["one", "two"], p_signal=short, fmt=["16"] * 2, write_dir=str(tmp_path))
        with pytest.raises(RecordError, match="1,500 samples; too short"):
            read_noise(tmp_path)

    def test_the_record_is_read(self, tmp_path: Path) -> None:
        assert read_noise(write_noise(tmp_path)).shape == (8000, 2)


class TestLevels:
    def test_noise_gets_the_height_of_the_beat_times_the_ratio(self) -> None:
        clean = np.array([[0, 2, -1], [0, 1, 0]], np.float32)
        noise = np.array([[10, 30, 20], [0, 0, 5]], np.float32)
        # Heights 3 and 1 of the beats, 20 and 5 of the noise.
        noisy = add_noise(clean, noise, np.array([0.5, 2.0]))
        np.testing.assert_allclose(noisy - clean, np.array([[0.75, 2.25, 1.5], [0, 0, 2]]), rtol=1e-6)

    def test_test_noise_is_taken_window_after_window_and_begins_again(self) -> None:
        windows = fixed_windows(np.arange(3 * SAMPLES - 1), 5)
        assert windows[:, 0].tolist() == [0, SAMPLES, 0, SAMPLES, 0]
        assert windows[1].tolist() == list(range(SAMPLES, 2 * SAMPLES))

    def test_ratios_of_the_test_are_hundredths_from_a_fifth_to_below_two(self) -> None:
        ratios = published_ratios(5000)
        assert (ratios.min(), ratios.max()) == (0.2, 1.99)
        np.testing.assert_allclose(ratios * 100, np.round(ratios * 100))
        np.testing.assert_array_equal(ratios, published_ratios(5000))

    def test_ratios_of_validation_are_within_the_same_range(self) -> None:
        ratios = validation_ratios(5000)
        assert 0.2 <= ratios.min() < 0.21
        assert 1.99 < ratios.max() <= 2.0


def _beats(count: int = 64) -> Beats:
    lengths = np.random.default_rng(0).integers(150, LONGEST + 1, count)
    signals = np.zeros((count, SAMPLES), np.float32)
    for signal, length in zip(signals, lengths, strict=True):
        signal[FIRST_SAMPLE : FIRST_SAMPLE + length] = np.hanning(length)
    return Beats(signals, lengths, np.full(count, "sel1"))


class TestTrainingBatches:
    noise = np.cumsum(np.random.default_rng(1).normal(0, 1, 4000)).astype(np.float32)

    def _batch(self, augmentation: BeatAugmentation, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
        noisy, clean = BeatReader(_beats(), self.noise, augmentation)(np.arange(64), np.random.default_rng(seed))
        assert noisy.shape == clean.shape == (64, SAMPLES, 1)
        assert noisy.dtype == clean.dtype == np.float32
        return noisy[..., 0], clean[..., 0]

    def test_without_augmentation_only_the_noise_is_new(self) -> None:
        (noisy, clean), (again, same) = (self._batch(NO_AUGMENTATION, seed) for seed in (1, 2))
        np.testing.assert_array_equal(clean, _beats().signals)
        np.testing.assert_array_equal(clean, same)
        assert not np.allclose(noisy, again)

    def test_noise_without_augmentation_is_an_excerpt_of_the_training_noise(self) -> None:
        drawn = BeatReader(_beats(), self.noise, NO_AUGMENTATION).draw_noise(20, np.random.default_rng(0))
        windows = {window.tobytes() for window in np.lib.stride_tricks.sliding_window_view(self.noise, SAMPLES)}
        assert {np.ascontiguousarray(row, np.float32).tobytes() for row in drawn} <= windows

    @pytest.mark.parametrize("augmentation", [NO_AUGMENTATION, ALL_VARIATIONS])
    def test_noise_is_a_fifth_to_twice_as_high_as_the_beat(self, augmentation: BeatAugmentation) -> None:
        noisy, clean = self._batch(augmentation)
        ratios = np.ptp(noisy - clean, axis=1) / np.ptp(clean, axis=1)
        assert 0.199 < ratios.min() < 0.4
        assert 1.8 < ratios.max() < 2.001

    def test_padding_stays_zero(self) -> None:
        _, clean = self._batch(ALL_VARIATIONS)
        assert not clean[:, :FIRST_SAMPLE].any()

    def test_the_same_random_numbers_give_the_same_batch(self) -> None:
        for one, other in zip(self._batch(ALL_VARIATIONS), self._batch(ALL_VARIATIONS), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_beats_are_inverted_with_their_probability(self) -> None:
        _, clean = self._batch(BeatAugmentation(time_stretch=1.0))
        signs = np.sign(clean.sum(axis=1))
        assert set(signs) == {-1.0, 1.0}
        assert 16 < (signs < 0).sum() < 48

    @pytest.mark.parametrize(("name", "value"), [("invert", 1.5), ("time_stretch", 0.5), ("noise_tilt", 0)])
    def test_a_value_out_of_range_is_refused(self, name: str, value: Any) -> None:
        with pytest.raises(SettingsError, match=f"{name}: {value} is not between"):
            BeatAugmentation(**{name: value})


class TestTimeStretch:
    def test_a_factor_of_one_changes_nothing(self) -> None:
        beats = _beats()
        stretched = stretch_beats(beats.signals, beats.lengths, np.ones(len(beats)))
        np.testing.assert_allclose(stretched, beats.signals, atol=1e-6)

    def test_a_ramp_stays_a_ramp_with_the_same_ends(self) -> None:
        signal = np.zeros((1, SAMPLES), np.float32)
        signal[0, FIRST_SAMPLE : FIRST_SAMPLE + 101] = np.arange(101) + 1
        stretched = stretch_beats(signal, np.array([101]), np.array([2.0]))[0]
        expected = np.linspace(1, 101, 202)
        np.testing.assert_allclose(stretched[FIRST_SAMPLE : FIRST_SAMPLE + 202], expected, rtol=1e-5)
        assert np.count_nonzero(stretched) == 202

    def test_no_beat_gets_longer_than_the_longest(self) -> None:
        signal = np.zeros((1, SAMPLES), np.float32)
        signal[0, FIRST_SAMPLE : FIRST_SAMPLE + 400] = 1
        stretched = stretch_beats(signal, np.array([400]), np.array([2.0]))
        assert np.count_nonzero(stretched) == LONGEST


class TestTilt:
    def test_slow_noise_stays_and_fast_noise_is_scaled(self) -> None:
        # Over 33 samples, an alternating signal has a mean of 1/33 of its height.
        fast = np.tile([1.0, -1.0], SAMPLES // 2)[np.newaxis]
        slow = np.full((1, SAMPLES), 3.0)
        np.testing.assert_allclose(tilt(slow, np.array([5.0])), slow)
        inside = slice(40, -40)
        amplified = tilt(slow + fast, np.array([3.0]))[0, inside] - 3
        assert np.abs(amplified).min() == pytest.approx(3 - 2 / 33, rel=1e-6)
        np.testing.assert_array_equal(np.sign(amplified), fast[0, inside])
