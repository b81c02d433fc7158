"""Tests of what other devices and hearts add to segments: artifacts, changed beats, band limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_study.ecg_data.segments.augmentation.artifacts import add_artifacts
from ecg_study.ecg_data.segments.augmentation.augmenter import Augmenter
from ecg_study.ecg_data.segments.augmentation.band_limits import limit_band
from ecg_study.ecg_data.segments.augmentation.beats import change_beats
from ecg_study.ecg_data.segments.cache import SegmentCache
from tests.conftest import UNCHANGED, SmallData

FS, SAMPLES = 360.0, 2016
PEAKS = np.arange(100, SAMPLES - 60, 300)  # 72 beats/min


def _segments(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return the same beats in each segment, R of 1 mV and T of 0.3 mV, and their marks."""
    at = np.arange(SAMPLES)
    r = sum(np.exp(-(((at - peak) / 6.0) ** 2)) for peak in PEAKS.tolist())
    t = sum(0.3 * np.exp(-(((at - peak - 90) / 16.0) ** 2)) for peak in PEAKS.tolist())
    marks = np.zeros(SAMPLES, np.uint8)
    marks[PEAKS] = 1
    return np.tile(np.asarray(r + t, np.float32), (count, 1)), np.tile(marks, (count, 1))


def _with_artifacts(seed: int, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    signal, marks = _segments()
    signal *= np.float32(gain)
    return add_artifacts(signal, marks, scale=np.full(len(signal), 0.25 * gain), fs=FS, rng=np.random.default_rng(seed))


@given(seed=st.integers(0, 999))
@settings(max_examples=20)
def test_each_segment_has_an_artifact_and_keeps_its_marks_but_where_it_is_saturated(seed: int) -> None:
    clean, marks = _segments()
    signal, kept = _with_artifacts(seed)
    assert np.isfinite(signal).all()
    # A rail beyond all waves clips nothing.
    assert (signal != clean).any(axis=1).mean() > 0.8
    lost = np.argwhere(marks > kept)
    assert (kept <= marks).all()
    for row, column in lost.tolist():
        around = signal[row, max(0, column - 2) : column + 3]
        assert len(np.unique(around)) <= 3, "the converter stays at one end"
    held = (np.diff(signal, axis=1) == 0) & (np.abs(signal[:, 1:]) > 0.26)  # rails lie 1.5 deviations off the median
    at_rail = np.pad(held, ((0, 0), (1, 0))) | np.pad(held, ((0, 0), (0, 1)))
    longest = np.array([_longest_run(row) for row in at_rail])
    stretches = longest > 0.15 * FS
    assert not (kept[stretches] & at_rail[stretches]).any()


def _longest_run(row: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def test_artifacts_are_as_large_as_promised() -> None:
    """Spikes of up to 100, jumps and slow waves of up to 12 standard deviations of the ECG."""
    clean, _ = _segments()
    added = np.concatenate([np.abs(_with_artifacts(seed)[0] - clean).max(axis=1) for seed in range(20)]) / 0.25
    assert 60 < added.max() <= 4 * 100  # spikes may coincide
    assert np.mean(added > 12 * 3) < 0.15
    assert 0.2 < np.mean(added > 5) < 0.6


@pytest.mark.parametrize("gain", [0.001, 1000.0])
def test_artifacts_scale_with_the_unit(gain: float) -> None:
    signal, marks = _with_artifacts(3)
    other, others_marks = _with_artifacts(3, gain)
    np.testing.assert_allclose(other / gain, signal, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(others_marks, marks)


def test_waves_are_changed_and_nothing_else() -> None:
    clean, marks = _segments(300)
    clean -= np.median(clean, axis=1, keepdims=True)
    changed = change_beats(clean, marks, without_wander=clean, fs=FS, rng=np.random.default_rng(1))
    r = changed[:, PEAKS] / clean[:, PEAKS]
    t = changed[:, PEAKS + 90] / clean[:, PEAKS + 90]
    rest = np.concatenate([np.arange(peak + 210, peak + 250) for peak in PEAKS[:-1].tolist()])
    np.testing.assert_allclose(changed[:, rest], clean[:, rest], atol=1e-3)
    small = r.max(axis=1) < 0.99
    tall = t.min(axis=1) > 1.01
    single = ~small & ~tall
    assert [pytest.approx(1 / 3, abs=0.1)] * 2 == [small.mean(), single.mean()]
    assert (small & tall).sum() == pytest.approx(small.sum() / 2, abs=20), "tall T waves beside small QRS complexes"
    assert r[small].min() > 0.09 and r[small].max() < 0.71
    assert t[tall].min() > 1.4 and t[tall].max() < 4.1
    larger = (r[single] > 1.01).sum(axis=1)
    assert set(larger.tolist()) == {1, 2, 3} and 1.5 < r[single].max() < 3.01
    np.testing.assert_allclose(r[small].std(axis=1), 0, atol=1e-3, err_msg="all beats of a segment alike")


def test_fast_hearts_and_silence_are_left_in_order() -> None:
    signal, marks = _segments(90)
    marks[:30] = 0
    marks[30:60, ::60] = 1  # 360 beats/min: T waves do not fit
    changed = change_beats(signal, marks, without_wander=signal, fs=FS, rng=np.random.default_rng(2))
    np.testing.assert_array_equal(changed[:30], signal[:30])
    assert np.isfinite(changed).all() and np.abs(changed).max() < 4 * np.abs(signal).max()


@given(seed=st.integers(0, 999))
@settings(max_examples=20)
def test_band_limits_keep_the_place_of_the_r_peaks(seed: int) -> None:
    signal, _ = _segments(20)
    limited = limit_band(signal + 5, fs=FS, rng=np.random.default_rng(seed))
    assert limited.dtype == np.float32 and limited.shape == signal.shape
    around = PEAKS[1:-1, np.newaxis] + np.arange(-20, 21)
    moved = limited[:, around].argmax(axis=2) - 20
    # The undershoot of a high-pass at 2 Hz moves a QRS complex that a low-pass at 18 Hz has widened, by 6 ms at most.
    assert np.abs(moved).max() <= 2
    assert np.abs(limited.mean(axis=1)).max() < 0.5, "the offset of 5 mV is removed"


def test_band_limits_attenuate_by_the_response_of_the_filters() -> None:
    """At 8 Hz between 1 and 0.94 · 0.84: of second order, with limits of 2 and 18 Hz. At 170 Hz at most 0.69."""
    at = np.arange(SAMPLES) / FS
    kept = {}
    for frequency in (8, 170):
        wave = np.tile(np.sin(2 * np.pi * frequency * at), (400, 1)).astype(np.float32)
        limited = limit_band(wave, fs=FS, rng=np.random.default_rng(4))[:, 400:-400]
        kept[frequency] = limited.std(axis=1) / wave[:, 400:-400].std(axis=1)
    assert 0.78 < kept[8].min() < 0.84 and 0.99 < kept[8].max() < 1.001
    assert kept[170].min() < 0.03 and 0.55 < kept[170].max() < 0.69


FEATURES = ("noise_only", "beat_change", "band_limit", "artifact")


@pytest.mark.parametrize("feature", FEATURES)
def test_the_share_of_segments_with_features_of_other_devices_is_their_probability(
    augmented_cache: SegmentCache, small_data: SmallData, feature: str
) -> None:
    rows = np.resize(augmented_cache.rows(small_data.split.train, include_training_only=True), 400)

    def made(share: float, *, training: bool = True) -> tuple[np.ndarray, np.ndarray]:
        how = replace(UNCHANGED, **{f"{feature}_probability": share})  # type: ignore[arg-type]
        return Augmenter(augmented_cache, how, training=training).detector(rows, np.random.default_rng(3))

    (plain, plain_marks), (signal, marks) = made(0), made(0.4)
    changed = (signal != plain).any(axis=1)
    # Artifacts that clip nothing change nothing.
    assert changed.mean() == pytest.approx(0.4, abs=0.1)
    np.testing.assert_array_equal(signal[~changed], plain[~changed])
    np.testing.assert_array_equal(marks[~changed], plain_marks[~changed])
    assert (marks <= plain_marks).all()
    if feature == "noise_only":
        assert not marks[changed].any() and signal[changed].std(axis=1).min() > 0
        correlation = [np.corrcoef(signal[row], plain[row])[0, 1] for row in np.flatnonzero(changed)]
        assert np.abs(correlation).mean() < 0.2  # slow noise and baseline wander are alike by chance
    validation = [made(share, training=False)[0] for share in (0, 1)]
    np.testing.assert_array_equal(validation[0], validation[1])
