"""Tests of the denoiser for all rates, offsets, gaps and chunks, with a moving mean as the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.errors import InputError
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.quality.noise_level import NoiseMeter, RemovalWeakener
from ecg_study.models.card import ModelCard
from tests.inference.test_detector import CARD, ecg

DENOISER = replace(CARD, model_kind="denoiser", segment_samples=720, thresholds={})


class Smooth:
    """A moving mean over 25 ms, which lacks context at the ends of a segment, like a network."""

    name = "smooth"

    def run(self, segments: np.ndarray) -> np.ndarray:
        assert segments.dtype == np.float32 and np.isfinite(segments).all()
        padded = np.pad(segments, ((0, 0), (4, 4)), mode="edge")
        return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 9, axis=1).mean(axis=2), np.float32)


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser(DENOISER, Smooth())


@pytest.mark.parametrize("fs", [100, 250.0, 360, 500, 1000.0, 2000])
def test_noise_is_removed_at_any_rate(denoiser: Denoiser, fs: float) -> None:
    rng = np.random.default_rng(0)
    clean = np.sin(2 * np.pi * 3 * np.arange(round(20 * fs)) / fs)
    noisy = clean + rng.normal(0, 0.1, len(clean))
    denoised = denoiser.denoise(noisy, fs=fs)
    assert denoised.shape == noisy.shape and denoised.dtype == np.float64
    inner = slice(round(fs), -round(fs))
    error, before = np.std(denoised[inner] - clean[inner]), np.std(noisy - clean)
    assert error < (0.5 if fs >= 250 else 0.9) * before


@given(st.floats(-1e6, 1e6), st.sampled_from([200.0, 360.0, 700.0]))
@settings(max_examples=20)
def test_an_offset_is_kept(offset: float, fs: float) -> None:
    denoiser, signal = Denoiser(DENOISER, Smooth()), ecg(fs)
    np.testing.assert_allclose(
        denoiser.denoise(signal + offset, fs=fs) - offset, denoiser.denoise(signal, fs=fs), atol=1e-4
    )


class Centered(Smooth):
    """The same without the mean of a segment, like a model that removes baseline wander."""

    def run(self, segments: np.ndarray) -> np.ndarray:
        smooth = super().run(segments)
        return np.asarray(smooth - smooth.mean(axis=1, keepdims=True), np.float32)


@given(st.floats(-1e6, 1e6), st.sampled_from([200.0, 360.0]))
@settings(max_examples=20)
def test_without_baseline_wander_the_output_lies_around_0(offset: float, fs: float) -> None:
    denoiser, signal = Denoiser(replace(DENOISER, baseline_wander="removed"), Centered()), ecg(fs)
    signal[round(4 * fs) : round(7 * fs)] = np.nan
    signal[round(9 * fs) : round(11 * fs)] = signal[round(9 * fs)]  # flat
    denoised = denoiser.denoise(signal + offset, fs=fs)
    np.testing.assert_allclose(denoised, denoiser.denoise(signal, fs=fs), atol=2e-3)
    assert np.nanmax(np.abs(denoised)) < 3
    assert np.isnan(denoised[round(4.5 * fs) : round(6.5 * fs)]).all(), "missing samples stay missing"


class WrongInFrames(Smooth):
    """A model with an error of 0.1 mV whose sign depends on the place in a frame of 16 samples."""

    def run(self, segments: np.ndarray) -> np.ndarray:
        signs = np.where(np.arange(segments.shape[1]) % 16 < 8, 1, -1)
        return np.asarray(segments + 0.1 * signs, np.float32)


@pytest.mark.parametrize(("segment", "frame", "most"), [(704, 16, 0.061), (2016, 16, 0.061), (704, 1, 0.11)])
def test_errors_that_depend_on_the_place_in_a_frame_are_averaged(segment: int, frame: int, most: float) -> None:
    """Weights of a cross-fade, from 0 to 1: the mean of w - (1 - w) squared is a third."""
    card = replace(DENOISER, segment_samples=segment, hyperparameters={"frame": frame})
    signal = np.resize(ecg(360), 20_000)
    error = Denoiser(card, WrongInFrames()).denoise(signal, fs=360) - signal
    assert most - 0.015 < np.sqrt(np.mean(error[segment:-segment] ** 2)) < most


FILTERED = replace(DENOISER, baseline_wander="removed", highpass_hz=0.5)


class Unchanged(Smooth):
    """A model that removes nothing."""

    def run(self, segments: np.ndarray) -> np.ndarray:
        return segments.copy()


@pytest.mark.parametrize("fs", [100.0, 128.0, 200.0, 250.0, 360.0, 1000.0])
def test_a_model_with_a_high_pass_filter_that_removes_nothing_is_that_filter(fs: float) -> None:
    signal = ecg(fs) + 3 + np.sin(2 * np.pi * 0.1 * np.arange(len(ecg(fs))) / fs)
    wanted = remove_baseline_wander(signal, fs)
    denoised = Denoiser(FILTERED, Unchanged()).denoise(signal, fs=fs)
    # At a higher rate than 360 Hz, the result keeps what is below 180 Hz.
    error = denoised - wanted if fs <= 360 else _slow(denoised - wanted)
    assert np.sqrt(np.mean(error**2)) < 1e-3 * signal.std()


@pytest.mark.parametrize("fs", [100.0, 250.0])
def test_below_the_rate_of_the_model_noise_is_removed_as_at_it(fs: float) -> None:
    """The moving mean of nine samples at 360 Hz removes a wave of 40 Hz and leaves a slow one."""
    at = np.arange(round(30 * fs)) / fs
    slow, fast = np.sin(2 * np.pi * 2 * at), np.sin(2 * np.pi * 40 * at)
    denoised = Denoiser(FILTERED, Smooth()).denoise(slow + fast, fs=fs)
    inside = slice(round(8 * fs), round(-8 * fs))  # the ends of the high-pass
    assert np.sqrt(np.mean((denoised - slow)[inside] ** 2)) < 0.04


def _slow(signal: np.ndarray) -> np.ndarray:
    return np.convolve(signal, np.full(50, 1 / 50), mode="same")


def test_with_a_high_pass_filter_flat_intervals_are_0_and_missing_samples_stay_missing() -> None:
    signal = ecg(360.0)
    signal[1000:1700] = np.nan
    signal[3000:3500] = 2.5
    signal[5000], signal[6000] = np.inf, -2147483.648
    denoised = Denoiser(FILTERED, Smooth()).denoise(signal, fs=360.0)
    missing = np.flatnonzero(np.isnan(denoised)).tolist()
    assert missing == [*range(1000, 1700), 5000, 6000], "infinite and absurd values are missing samples"
    assert (denoised[3000:3500] == 0).all()


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_with_a_high_pass_filter_any_unit_will_do(unit: float) -> None:
    denoiser, signal = Denoiser(FILTERED, Smooth()), ecg(360.0) + 3
    expected = denoiser.denoise(signal, fs=360.0)
    np.testing.assert_allclose(denoiser.denoise(unit * signal, fs=360.0) / unit, expected, atol=1e-3)  # 1 µV


RESTRAINED = replace(FILTERED, thresholds={"removed_power": 0.01})


def _weakened(segments: np.ndarray, denoised: np.ndarray, *, threshold: float, per_minute: int = 1) -> np.ndarray:
    return RemovalWeakener(threshold, segments_per_minute=per_minute).weaken(segments, denoised)


def _kept_and_removed(powers: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return segments of power 1, and what is removed from them, of these powers."""
    amplitudes = np.sqrt(np.array(powers))[:, np.newaxis]
    return np.tile([1.0, -1.0], (len(powers), 50)), amplitudes * np.tile([1.0, 1.0, -1.0, -1.0], (len(powers), 25))


def test_small_removals_are_weakened_by_hand_computed_factors() -> None:
    """Kept power 1 and removed power 0.01, 0.04, 1 and 0.0001; for a threshold of 0.01, r^1.5 / (r^1.5 + 0.001)."""
    kept, removed = _kept_and_removed([0.01, 0.04, 1.0, 0.0001])
    left = np.array([[0.5], [8 / 9], [1 / 1.001], [0.001 / 1.001]])
    weakened = _weakened(kept + removed, kept, threshold=0.01)
    np.testing.assert_allclose(kept + removed - weakened, left * removed, atol=1e-9)


def test_a_removal_is_judged_by_the_minute_before_and_by_itself() -> None:
    """Five segments in a minute, and a threshold of 0.01; judged by 8 dB less or more than itself at most."""
    powers = [1e-4] * 4 + [0.01, 1.0, 0.01, 0.01, 1e-4]
    kept, removed = _kept_and_removed(powers)
    weakened = _weakened(kept + removed, kept, threshold=0.01, per_minute=5)
    away = 10**0.8
    # The median is 1e-4 up to the sixth segment, and 0.01 from the seventh on.
    judged = np.array([1e-4] * 4 + [0.01 / away, 1.0 / away, 0.01, 0.01, 1e-4 * away])
    factors = judged**1.5 / (judged**1.5 + 0.001)
    np.testing.assert_allclose((kept + removed - weakened)[:, 0] / removed[:, 0], factors)
    assert factors[4] < 0.07 and factors[5] > 0.98 and factors[8] < 0.02


@given(st.lists(st.integers(0, 12), max_size=6))
def test_weakening_does_not_depend_on_how_segments_arrive(cuts: list[int]) -> None:
    rng = np.random.default_rng(2)
    segments = rng.normal(size=(12, 50))
    denoised = segments - rng.uniform(0, 0.4, (12, 1)) * rng.normal(size=(12, 50))
    segments[4] = denoised[4] = 0  # silent: nothing to judge
    weakener = RemovalWeakener(0.02, segments_per_minute=4)
    parts = np.split(np.arange(12), sorted(cuts))
    made = np.concatenate([weakener.weaken(segments[rows], denoised[rows]) for rows in parts])
    np.testing.assert_array_equal(made, _weakened(segments, denoised, threshold=0.02, per_minute=4))
    assert np.isfinite(made).all()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_weakening_knows_no_unit_and_no_power_at_all(unit: float) -> None:
    rng = np.random.default_rng(0)
    segments, denoised = rng.normal(size=(2, 5, 100)).astype(np.float32)
    expected = _weakened(segments, denoised, threshold=0.5)
    scaled = _weakened(np.float32(unit) * segments, np.float32(unit) * denoised, threshold=0.5)
    np.testing.assert_allclose(scaled / unit, expected, rtol=1e-4, atol=1e-5)
    silent = np.zeros((1, 100), np.float32)
    np.testing.assert_array_equal(_weakened(silent, silent, threshold=0.5), silent)
    np.testing.assert_allclose(_weakened(segments[:1], silent, threshold=0.5), silent, atol=1e-6)  # all is removed


def test_a_threshold_leaves_little_noise_and_still_tells_its_level() -> None:
    """A fast wave of a ten-thousandth of the power of a slow one stays; one of the same power is removed."""
    fs, at = 360.0, np.arange(14400) / 360
    slow, fast = np.sin(2 * np.pi * 2 * at), np.sin(2 * np.pi * 40 * at)
    signal = slow + np.where(at < 20, 1.0, 0.01) * fast
    plain, made = (Denoiser(card, Smooth()).denoise(signal, fs=fs, details=True) for card in (FILTERED, RESTRAINED))
    loud, quiet = slice(1080, 6120), slice(8280, 13320)  # away from the ends of the high-pass and of the change
    assert np.abs(made.signal - plain.signal)[loud].max() < 1e-3
    np.testing.assert_allclose(made.signal[quiet], remove_baseline_wander(signal, fs)[quiet], atol=5e-4)  # -66 dB
    assert plain.removed[quiet].std() > 5e-3
    np.testing.assert_allclose(made.signal + made.removed, signal, atol=1e-12)
    np.testing.assert_allclose(made.snr_db[23:37], plain.snr_db[23:37], atol=0.3)


@pytest.mark.parametrize("card", [DENOISER, FILTERED, RESTRAINED])
@given(st.lists(st.integers(0, 9000), max_size=15), st.sampled_from([128.0, 360.0, 500.0]), st.integers(1, 3))
def test_a_stream_gives_the_same_samples_in_time(card: ModelCard, cuts: list[int], fs: float, n_leads: int) -> None:
    denoiser = Denoiser(card, Smooth())
    signal = ecg(fs, n_leads).reshape(-1, n_leads)
    signal[1000:1300, 0] = np.nan
    at_once = denoiser.denoise(signal, fs=fs)
    stream = denoiser.stream(fs=fs, n_leads=n_leads)
    parts, pushed, given_before = [], 0, 0
    for chunk in np.split(signal, sorted(min(cut, len(signal)) for cut in cuts)):
        parts.append(stream.push(chunk).reshape(-1, n_leads))
        pushed += len(chunk)
        given_before += len(parts[-1])
        assert given_before >= pushed - stream.delay
    parts.append(stream.finish().reshape(-1, n_leads))
    np.testing.assert_allclose(np.concatenate(parts), at_once, atol=1e-5)
    assert stream.unusable == (300, *[0] * (n_leads - 1))


def test_details_say_what_was_removed_and_the_snr_of_each_second() -> None:
    """The moving mean leaves a slow wave and removes a fast one, of the same power and then of a hundredth of it."""
    fs, at = 360.0, np.arange(7200) / 360
    slow, fast = np.sin(2 * np.pi * 2 * at), np.sin(2 * np.pi * 40 * at)  # nine samples are one period of the fast wave
    signal = slow + np.where(at < 10, 1.0, 0.1) * fast
    made = Denoiser(DENOISER, Smooth()).denoise(signal, fs=fs, details=True)
    np.testing.assert_array_equal(made.signal, Denoiser(DENOISER, Smooth()).denoise(signal, fs=fs))
    np.testing.assert_allclose(made.signal + made.removed, signal, atol=1e-12)
    assert made.snr_db.shape == (20, 1)
    np.testing.assert_allclose(made.snr_db[1:9], 0.0, atol=0.5)
    np.testing.assert_allclose(made.snr_db[11:19], 20.0, atol=0.5)


def test_the_snr_is_unknown_where_samples_are_and_for_models_that_remove_baseline_wander_themselves() -> None:
    signal = ecg(360.0, 2)
    signal[1080:1800, 0] = np.nan
    snr = Denoiser(DENOISER, Smooth()).denoise(signal, fs=360.0, details=True).snr_db
    assert np.isnan(snr[3:5, 0]).all() and np.isfinite(np.delete(snr[:, 0], [3, 4])[:-1]).all()
    assert np.isfinite(snr[:-1, 1]).all()
    own = Denoiser(replace(DENOISER, baseline_wander="removed"), Centered())
    assert np.isnan(own.denoise(signal, fs=360.0, details=True).snr_db).all()


def test_an_artifact_that_is_left_counts_as_noise_and_does_not_change_the_estimate_beside_it() -> None:
    """A second of ten times the amplitude of an ECG is still one; one of twenty times is not."""
    signal = np.sin(2 * np.pi * 2 * np.arange(14400) / 360)
    noise = np.full(14400, np.sqrt(0.5) / 100)  # 40 dB below the ECG

    def measured(part: slice, factor: float) -> np.ndarray:
        meter, changed = NoiseMeter(360.0), signal.copy()
        changed[part] *= factor
        meter.add(changed, noise, usable=np.ones(14400, bool))
        return meter.decibels()

    np.testing.assert_allclose(measured(slice(0, 0), 1), 40, atol=0.1)
    long, short = slice(3600, 9000), slice(3600, 4320)
    assert (measured(short, 9.9) >= 39.9).all()
    for part in (short, long):
        snr, seconds = measured(part, 20.0), np.arange(part.start // 360, part.stop // 360)
        np.testing.assert_allclose(snr[seconds], -10 * np.log10(390), atol=0.1)  # 400 less the 10 that an ECG may have
        np.testing.assert_allclose(np.delete(snr, seconds), 40, atol=0.1)
    pause = measured(slice(3600, 9000), 0.001)  # a beat after a long pause is no artifact
    np.testing.assert_allclose(np.delete(pause, np.arange(5, 30)), 40, atol=0.1)


@given(st.lists(st.integers(0, 2000), max_size=8))
def test_the_noise_meter_does_not_depend_on_the_chunks(cuts: list[int]) -> None:
    rng = np.random.default_rng(1)
    signal, noise, usable = rng.normal(size=1800), 0.1 * rng.normal(size=1800), rng.random(1800) < 0.9

    def measured(cuts: list[int]) -> np.ndarray:
        meter = NoiseMeter(100.5)
        for part in np.split(np.arange(1800), sorted(cuts)):
            meter.add(signal[part], noise[part], usable=usable[part])
        return meter.decibels()

    np.testing.assert_allclose(measured(cuts), measured([]), atol=1e-9)
    assert len(measured([])) == 18
    assert not len(NoiseMeter(360.0).decibels())


def test_unusable_samples_are_returned_unchanged(denoiser: Denoiser) -> None:
    signal = ecg(360.0)
    signal[1000:1700] = np.nan
    signal[3000:3500] = 2.5
    signal[5000], signal[6000] = np.inf, -2147483.648
    denoised = denoiser.denoise(signal, fs=360.0)
    missing = np.flatnonzero(np.isnan(denoised)).tolist()
    assert missing == [*range(1000, 1700), 5000, 6000], "infinite and absurd values are missing samples"
    assert (denoised[3000:3500] == 2.5).all()
    rest = np.isfinite(denoised)
    assert np.abs(denoised[rest] - signal[rest]).max() < 0.6


def test_the_input_is_not_changed_and_the_output_has_its_type(denoiser: Denoiser) -> None:
    signal = ecg(360.0, 2)
    before = signal.copy()
    wanted = denoiser.denoise(signal, fs=360.0)
    np.testing.assert_array_equal(signal, before)
    frame = pd.DataFrame(signal, columns=["I", "II"], index=pd.RangeIndex(5, 5 + len(signal)))
    pd.testing.assert_frame_equal(denoiser.denoise(frame, fs=360.0), pd.DataFrame(wanted, frame.index, frame.columns))
    pd.testing.assert_series_equal(
        denoiser.denoise(frame["II"], fs=360.0), pd.Series(wanted[:, 1], frame.index, name="II")
    )
    assert denoiser.denoise(signal.astype(np.float32), fs=360.0).dtype == np.float32
    np.testing.assert_array_equal(denoiser.denoise(signal[:, 0].tolist(), fs=360.0), wanted[:, 0])


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 719, 721])
def test_a_recording_may_be_shorter_than_a_segment(denoiser: Denoiser, samples: int) -> None:
    signal = ecg(250.0)[:samples]
    assert denoiser.denoise(signal, fs=250.0).shape == (samples,)
    assert denoiser.denoise(np.full(samples, np.nan), fs=250.0).shape == (samples,)
    assert denoiser.denoise(signal, fs=250.0, details=True).snr_db.shape == (-(-samples // 250), 1)


def test_invalid_signals_are_refused(denoiser: Denoiser) -> None:
    with pytest.raises(InputError, match="holds integers"):
        denoiser.denoise(np.zeros(10, np.int32), fs=360.0)
    with pytest.raises(InputError, match="fs: -1 Hz is not between"):
        denoiser.denoise(np.zeros(10), fs=-1)
    stream = denoiser.stream(fs=360.0)
    stream.finish()
    with pytest.raises(InputError, match="already finished"):
        stream.push(np.zeros(10))
