"""Tests of augmentation: content, source and marks of training segments."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.physionet import NOISE_RECORDS
from ecg_study.ecg_data.databases.splits import TEST, TRAIN, VALIDATION, Split
from ecg_study.ecg_data.noise import MIX, NoiseSource
from ecg_study.ecg_data.noise_records import NoiseRecords, open_noise_records
from ecg_study.ecg_data.segments.augmentation.augmenter import Augmenter
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.batches import detector_reader
from ecg_study.ecg_data.segments.cache import SegmentCache, open_cache, reopen_cache
from ecg_study.ecg_data.segments.layout import NOISE_FILE
from ecg_study.ecg_data.segments.stream import SegmentStream, ValidationBatches
from ecg_study.ecg_data.segments.transfer import pack_segments, unpack_segments
from ecg_study.errors import EcgStudyError
from tests.conftest import AUGMENTED, UNCHANGED, SmallData, WriteRecord


@pytest.fixture(scope="module")
def noise(noise_dir: Path) -> NoiseRecords:
    return open_noise_records(noise_dir)


@pytest.fixture(scope="module")
def cache(augmented_cache: SegmentCache) -> SegmentCache:
    return augmented_cache


@pytest.fixture(scope="module")
def split(small_data: SmallData) -> Split:
    return small_data.split


def _rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_refit_has_the_noise_for_validation_too(cache: SegmentCache, split: Split) -> None:
    silent = {
        part: NoiseSource({kind: [np.zeros_like(s) if part == TRAIN else s for s in all_] for kind, all_ in stretches})
        for part, stretches in ((part, bank.recordings.items()) for part, bank in cache.noise.items())
    }
    only = replace(UNCHANGED, noise_probability=1)
    rows = cache.rows(split.train)
    for refit in (False, True):
        augmenter = Augmenter(replace(cache, noise=silent), only, training=True, refit=refit)
        noisy, clean = augmenter.denoiser(rows, _rng())
        assert bool(np.any(noisy != clean)) == refit


def _lead(cache: SegmentCache, values: np.ndarray, row: int) -> tuple[np.ndarray, int]:
    """The whole lead that a row lies in, and the first row of it."""
    entry = next(entry for entry in cache.entries if entry.first <= row < entry.last)
    return values[entry.first : entry.last].ravel(), entry.first


def test_the_cache_holds_every_lead_but_gives_the_others_to_training_alone(cache: SegmentCache, split: Split) -> None:
    training_only = [entry for entry in cache.entries if entry.training_only]
    assert {entry.record for entry in training_only} == set(cache.records)
    assert len(cache.rows(split.train, include_training_only=True)) == 2 * len(cache.rows(split.train))
    assert not set(cache.rows(split.test)) & {row for entry in training_only for row in range(entry.first, entry.last)}


def test_noise_for_tests_is_not_within_reach(cache: SegmentCache, noise: NoiseRecords) -> None:
    assert set(cache.noise) == {TRAIN, VALIDATION}
    for kind, signal in noise.signals.items():
        kept = [stretch for part in cache.noise for stretch in cache.noise[part].recordings[kind]]
        held = sum(end - start for start, end in noise.intervals(kind, TEST))
        assert sum(map(len, kept)) == len(signal) - held
        for start, end in noise.intervals(kind, TEST):
            middle = signal[(start + end) // 2 : (start + end) // 2 + 50]
            for stretch in kept:
                windows = np.lib.stride_tricks.sliding_window_view(stretch[:, 0], 50)
                assert not (windows == middle[:, 0]).all(axis=1).any()


@pytest.mark.parametrize("removes_baseline_wander", [False, True])
def test_a_segment_is_a_stretch_of_its_lead(cache: SegmentCache, split: Split, removes_baseline_wander: bool) -> None:
    rows = cache.rows(split.train, include_training_only=True)[::7]
    made = Augmenter(cache, replace(UNCHANGED, removes_baseline_wander=removes_baseline_wander), training=True)
    noisy, target = made.denoiser(rows, _rng())
    np.testing.assert_array_equal(noisy, target)
    assert cache.wander_removed is not None
    for row, segment in zip(rows, target, strict=True):
        lead, _ = _lead(cache, cache.wander_removed if removes_baseline_wander else cache.clean, int(row))
        windows = np.lib.stride_tricks.sliding_window_view(lead, len(segment))
        assert (windows == segment).all(axis=1).any()
    assert np.any(target != cache.clean[rows]), "cut anew"


def test_marks_stay_on_their_peaks_when_cut_stretched_and_turned(cache: SegmentCache, split: Split) -> None:
    """At each mark the lead is as it was at the annotation: the height of the peak, up or down."""
    rows = cache.rows(split.train)
    made = Augmenter(cache, replace(UNCHANGED, time_stretch_probability=1, inversion_probability=0.5), training=True)
    signal, marks = made.detector(rows, _rng())
    turned = 0
    for row, segment, marked in zip(rows, signal, marks, strict=True):
        lead, first = _lead(cache, cache.clean, int(row))
        peaks = np.flatnonzero(_lead(cache, cache.r_peaks, int(row))[0])
        near = peaks[np.abs(peaks - (row - first + 1) * len(segment)) <= len(segment)]
        if not marked.any():
            continue
        heights = lead[near]
        sign = np.sign(segment[marked > 0] * np.median(heights))
        assert (sign == sign[0]).all()
        turned += sign[0] < 0
        # A mark may lie half a sample beside the peak after stretching.
        off = np.abs(np.abs(segment[marked > 0])[:, np.newaxis] - np.abs(heights)).min(axis=1)
        assert (off < 0.25 * np.abs(heights).max()).all()
    assert 0.2 < turned / len(rows) < 0.8


def test_a_mix_of_leads_is_of_the_same_time_and_keeps_the_marks(cache: SegmentCache, split: Split) -> None:
    """Where both leads follow each other without a gap, a mixed segment is a plane's worth of the two."""
    rows = cache.rows(split.train)
    alone = Augmenter(cache, replace(UNCHANGED, lead_mix_probability=0), training=True).detector(rows, _rng())
    mixed = Augmenter(cache, replace(UNCHANGED, lead_mix_probability=1), training=True).detector(rows, _rng())
    np.testing.assert_array_equal(alone[1], mixed[1])
    for row, segment, mark in zip(rows, mixed[0], alone[0], strict=True):
        lead, first = _lead(cache, cache.clean, int(row))
        entry = next(entry for entry in cache.entries if entry.first == first)
        other = next(e for e in cache.entries_of([entry.record], include_training_only=True) if e.training_only)
        at = int(np.flatnonzero((np.lib.stride_tricks.sliding_window_view(lead, len(mark)) == mark).all(axis=1))[0])
        second = cache.clean[other.first : other.last].ravel()[at : at + len(mark)]
        fit, *_ = np.linalg.lstsq(np.column_stack([mark, second]).astype(np.float64), segment, rcond=None)
        np.testing.assert_allclose(np.column_stack([mark, second]) @ fit, segment, atol=1e-4)
        assert abs(np.hypot(*fit) - 1) < 1e-3


def test_noise_has_the_snr_that_was_asked_for(cache: SegmentCache, split: Split) -> None:
    rows = cache.rows(split.train)
    made = Augmenter(
        cache,
        replace(
            UNCHANGED,
            noise_probability=1,
            partial_noise_probability=0,
            snr_range_db=(6, 6),
            removes_baseline_wander=True,
        ),
        training=True,
    )
    noisy, target = made.denoiser(rows, _rng())
    ratio = 10 * np.log10(target.var(axis=1) / (noisy - target).var(axis=1))
    np.testing.assert_allclose(ratio[target.var(axis=1) > 0.05**2], 6, atol=0.05)


@given(low=st.floats(-12, 10), width=st.floats(0, 10), seed=st.integers(0, 99))
def test_the_snr_of_the_noise_is_within_its_range(
    cache: SegmentCache, split: Split, low: float, width: float, seed: int
) -> None:
    """The transformed noise too, and for every segment that has power."""
    noisy_only = replace(UNCHANGED, noise_probability=1, partial_noise_probability=0, snr_range_db=(low, low + width))
    made = Augmenter(cache, replace(noisy_only, removes_baseline_wander=True), training=True)
    noisy, target = made.denoiser(cache.rows(split.train)[:40], _rng(seed))
    ratio = 10 * np.log10(target.var(axis=1) / (noisy - target).var(axis=1))[target.var(axis=1) > 0.05**2]
    assert (ratio > low - 0.05).all() and (ratio < low + width + 0.05).all()
    assert np.ptp(ratio) >= 0.4 * width - 0.1


@given(share=st.sampled_from([0.0, 0.2, 0.5, 1.0]), seed=st.integers(0, 99))
def test_the_share_of_segments_with_each_feature_is_its_probability(
    cache: SegmentCache, split: Split, share: float, seed: int
) -> None:
    rows = np.resize(cache.rows(split.train, include_training_only=True), 400)
    tolerance = 4 * np.sqrt(share * (1 - share) / len(rows))

    def made(**feature: float) -> np.ndarray:
        how = replace(UNCHANGED, partial_noise_probability=0, **feature)  # type: ignore[arg-type]
        return Augmenter(cache, how, training=True).denoiser(rows, _rng(seed))[0]

    plain = made()
    for feature in ("noise_probability", "hum_probability"):
        changed = (made(**{feature: share}) != plain).any(axis=1)
        assert changed.mean() == pytest.approx(share, abs=tolerance)
    inverted = (made(inversion_probability=share) == -plain).all(axis=1)
    assert inverted.mean() == pytest.approx(share, abs=tolerance)


def test_stretched_marks_stay_on_the_peaks_to_half_a_sample(cache: SegmentCache) -> None:
    """On a cache whose signal is a narrow triangle at each mark."""
    marks = np.zeros((40, 720), np.uint8)
    peaks = np.arange(150, marks.size - 20, 277)
    marks.reshape(-1)[peaks] = 1
    triangles = np.maximum(0, 1 - np.abs(np.arange(marks.size)[:, None] - peaks).min(axis=1) / 10).astype(np.float32)
    entry = replace(cache.entries[0], samples=marks.size, first=0, last=40)
    signal = triangles.reshape(marks.shape)
    drawn = replace(cache, entries=(entry,), clean=signal, wander_removed=signal, r_peaks=marks)
    made = Augmenter(drawn, replace(UNCHANGED, time_stretch_probability=1, max_time_stretch=0.3), training=True)
    segments, moved = made.detector(np.arange(40), _rng())
    # The nearest sample is at most half a sample of the output away: 0.65 of the input, which is 0.065 lower.
    assert segments[moved > 0].min() > 0.93
    inside = moved[:, 12:-12]
    highest = (segments[:, 12:-12] > 0.93).astype(int)
    starts = (np.diff(highest, axis=1, prepend=0) == 1).sum()
    assert 90 < starts <= inside.sum() + 40, "no peak is without a mark"


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_fast_hearts_beat_up_to_twice_as_fast(cache: SegmentCache, probability: float) -> None:
    """RR intervals of 100 samples become 53 to 77 where a segment is followed by another."""
    marks = np.zeros((40, 720), np.uint8)
    marks.reshape(-1)[50::100] = 1
    entry = replace(cache.entries[0], samples=marks.size, first=0, last=40)
    signal = marks.astype(np.float32)
    drawn = replace(cache, entries=(entry,), clean=signal, wander_removed=signal, r_peaks=marks)
    made = Augmenter(drawn, replace(UNCHANGED, fast_probability=probability), training=True)
    _, moved = made.detector(np.arange(39), _rng())
    rr = np.array([np.diff(np.flatnonzero(row)).mean() for row in moved])
    fast = rr < 99
    assert ((rr[fast] > 100 / 1.9 - 1) & (rr[fast] < 100 / 1.3 + 1)).all()
    assert (rr[~fast] == 100).all()
    assert abs(fast.mean() - probability) < 0.25 and (fast.all() if probability == 1 else True)


def test_a_segment_does_not_depend_on_the_values_of_others(cache: SegmentCache, split: Split) -> None:
    """Random numbers are drawn for the batch; what they are applied to is each segment's own."""
    rows = cache.rows(split.train)[:20]
    how = Augmentation(pause_probability=0.0, lead_mix_probability=0.0)
    changed = replace(cache, clean=np.array(cache.clean), wander_removed=np.array(cache.wander_removed))
    for array in (changed.clean, changed.wander_removed):
        assert array is not None
        array[rows[0] : rows[0] + 2] *= 3
    first = Augmenter(cache, how, training=True).detector(rows, _rng())[0]
    second = Augmenter(changed, how, training=True).detector(rows, _rng())[0]
    untouched = ~np.isin(rows, [rows[0] - 1, rows[0], rows[0] + 1])
    np.testing.assert_array_equal(first[untouched], second[untouched])
    assert not np.array_equal(first[0], second[0])


def test_the_stream_of_augmented_segments_is_the_same_for_any_number_of_workers(
    cache: SegmentCache, split: Split
) -> None:
    how = Augmentation(pause_probability=0.3, lead_mix_probability=0.3)
    rows = cache.rows(split.train, include_training_only=True)

    def taken(first_step: int, workers: int) -> list[np.ndarray]:
        read = detector_reader(cache, how, training=True)
        stream = SegmentStream(read, rows, batch_size=16, seed=1)
        with closing(stream.batches(first_step, workers=workers)) as batches:
            return [np.concatenate(batch) for batch in islice(batches, 40 - first_step)]

    one = taken(0, 1)
    assert not np.array_equal(one[0], one[1])
    for first_step, workers in ((0, 3), (17, 2)):
        for batch, other in zip(one[first_step:], taken(first_step, workers), strict=True):
            np.testing.assert_array_equal(batch, other)


def test_noise_may_cover_a_part_alone(cache: SegmentCache, split: Split) -> None:
    made = Augmenter(cache, replace(UNCHANGED, noise_probability=1, partial_noise_probability=1), training=True)
    noisy, target = made.denoiser(cache.rows(split.train), _rng())
    quiet = np.mean(noisy == target)
    assert 0.2 < quiet < 0.7


def test_what_removes_baseline_wander_is_shown_high_passed_signals_and_noise(cache: SegmentCache, split: Split) -> None:
    rows = cache.rows(split.train)
    quiet = replace(UNCHANGED, removes_baseline_wander=True)
    noisy, target = Augmenter(cache, quiet, training=False).denoiser(rows, _rng())
    assert cache.wander_removed is not None
    np.testing.assert_array_equal(noisy, cache.wander_removed[rows])
    np.testing.assert_array_equal(target, noisy)

    # White noise on a slow wave: the filter leaves the noise, without it the wave dominates.
    at = np.arange(20_000)[:, np.newaxis] / cache.fs
    slow = np.sin(2 * np.pi * 0.05 * at) + 0.01 * _rng().normal(size=(20_000, 2))
    source = NoiseSource({kind: [slow.astype(np.float32)] for kind in NOISE_RECORDS})
    slow_cache = replace(cache, noise={**cache.noise, TRAIN: source})

    def similarity_of_neighbors(removes: bool) -> float:
        how = replace(UNCHANGED, removes_baseline_wander=removes, noise_probability=1, partial_noise_probability=0)
        noisy, target = Augmenter(slow_cache, replace(how, transform_noise=False), training=True).denoiser(rows, _rng())
        noise = noisy - target
        return float(np.mean(noise[:, 1:] * noise[:, :-1]) / np.mean(noise**2))

    assert similarity_of_neighbors(True) < 0.2
    assert similarity_of_neighbors(False) > 0.9


def test_validation_is_the_same_each_time_and_uses_its_own_noise(cache: SegmentCache, split: Split) -> None:
    rows, how = cache.rows(split.validation), Augmentation()

    def signals(cache: SegmentCache) -> np.ndarray:
        batches = ValidationBatches(detector_reader(cache, how, training=False), rows, batch_size=8)
        return np.concatenate([signal for signal, _ in batches])

    np.testing.assert_array_equal(signals(cache), signals(cache))
    silent = {kind: [np.zeros_like(item) for item in items] for kind, items in cache.noise[TRAIN].recordings.items()}
    other = replace(cache, noise={**cache.noise, TRAIN: NoiseSource(silent)})
    np.testing.assert_array_equal(signals(cache), signals(other))


def test_it_travels(cache: SegmentCache, split: Split, tmp_path: Path) -> None:
    unpack_segments(pack_segments(cache, split.train), tmp_path / "there")
    there = reopen_cache(tmp_path / "there", key=cache.key, settings=cache.settings)
    rows = there.rows(split.train, include_training_only=True)
    assert len(rows) == len(cache.rows(split.train, include_training_only=True))
    drawn, again = (item.noise[TRAIN].draw(MIX, count=5, samples=720, rng=_rng()) for item in (cache, there))
    np.testing.assert_array_equal(drawn, again)


def test_damaged_noise_in_the_cache_is_named(cache: SegmentCache, small_data: SmallData, tmp_path: Path) -> None:
    unpack_segments(pack_segments(cache, small_data.split.train), tmp_path / "there")
    (tmp_path / "there" / NOISE_FILE).write_bytes(b"PK nothing")
    with pytest.raises(EcgStudyError, match="damaged; delete the folder"):
        reopen_cache(tmp_path / "there", key=cache.key, settings=cache.settings)


def test_beats_fail_to_come_in_training_alone(cache: SegmentCache, split: Split) -> None:
    rows = cache.rows(split.train)
    often, never = replace(UNCHANGED, pause_probability=1), replace(UNCHANGED, pause_probability=0)

    def beats(how: Augmentation, training: bool) -> int:
        return int(Augmenter(cache, how, training=training).detector(rows, _rng())[1].sum())

    # Up to six seconds without a beat, where there is a rest between two.
    assert beats(often, training=True) < 0.9 * beats(never, training=True)
    assert beats(often, training=False) == beats(never, training=False)


def test_noise_goes_on_in_a_pause(cache: SegmentCache, split: Split) -> None:
    rows = cache.rows(split.train)
    still = replace(UNCHANGED, pause_probability=1, p_wave_probability=0)
    noisy, _ = Augmenter(cache, replace(still, gaussian_sigma_range_mv=(0.05, 0.05)), training=True).detector(
        rows, _rng()
    )
    # Noise that was in the rest would be shown to and fro with it: the same sample twice where it turns.
    assert not (np.diff(noisy, axis=1) == 0).any()


def test_leads_that_nobody_asked_for_and_that_are_no_ecg_are_left_out_and_named(
    write_record: WriteRecord, noise: NoiseRecords, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for name in ("p1", "p2", "p3"):
        signal = rng.normal(0, 0.2, (3000, 4))
        signal[:, 2] = 0.5
        path = write_record(name, signal, fs=360, leads=("II", "ACC", "V1", "V5"))
        header = path.with_suffix(".hea")
        lines = header.read_text().splitlines()
        header.write_text("\n".join(line.replace("/mV", "/g") if "ACC" in line else line for line in lines) + "\n")
    database = open_database("folder", data_dir=tmp_path, raw_dir=path.parent)
    made = open_cache(database, AUGMENTED, data_dir=tmp_path / "data", noise=noise)
    assert [(entry.lead, entry.training_only) for entry in made.entries] == [("II", False), ("V5", True)] * 3
    assert made.excluded_records["p1, lead ACC"] == "lead ACC: unit 'g' is not a voltage"
    assert made.excluded_records["p3, lead V1"] == "lead V1: flat, every sample is 0.5 mV"
    with pytest.raises(EcgStudyError, match=r"p1, .*p3: lead ACC: unit 'g'"):
        open_cache(database, replace(AUGMENTED, lead="ACC"), data_dir=tmp_path / "data", noise=noise)


def test_stored_keys_of_the_augmentation_stay_those_of_version_0_1() -> None:
    stored = Augmentation(transform_noise=False, pause_probability=0.1).as_mapping()
    assert stored == {
        "removes_drift": False,
        "noisy": 0.85,
        "snr": [-8.0, 15.0],
        "varied": False,
        "partly": 0.25,
        "gaussian": [0.0, 0.06],
        "hum": 0.1,
        "hum_amplitude": 0.15,
        "stretched": 0.5,
        "stretch": 0.1,
        "flipped": 0.5,
        "mixed": 0.0,
        "paused": 0.1,
        "pause": [0.8, 6.0],
        "blocked": 0.5,
    }


def test_segments_without_an_ecg_have_noise_of_any_color_and_no_marks(cache: SegmentCache, split: Split) -> None:
    """The slope of the spectrum is that of white noise in some segments, and of brown noise in others."""
    rows = np.tile(cache.rows(split.train), 20)[:400]
    augmenter = Augmenter(cache, replace(UNCHANGED, noise_only_probability=1), training=True)
    noisy, marks = augmenter.detector(rows, _rng())
    assert not marks.any() and np.isfinite(noisy).all()
    power = np.abs(np.fft.rfft(noisy, axis=1)[:, 1:]) ** 2
    at = np.log(np.arange(1, power.shape[1] + 1))
    slopes = np.array([np.polyfit(at, np.log(row + 1e-12), 1)[0] for row in power])
    assert -2.8 < slopes.min() < -2.2 and -0.3 < slopes.max() < 0.3
    assert -1.5 < slopes.mean() < -1.0
    # With recorded noise, half of the segments have it, at much less noise of this kind than signal.
    loud = replace(UNCHANGED, noise_only_probability=1, noise_probability=1, snr_range_db=(-40.0, -40.0))
    powers = np.mean(np.square(Augmenter(cache, loud, training=True).detector(rows, _rng())[0]), axis=1)
    signal = np.mean(np.square(augmenter._signals(augmenter._cut(rows, _rng()), augmenter._wander_removed)[0]), axis=1)
    assert 0.35 < np.mean(powers > 100 * signal.mean()) < 0.65
