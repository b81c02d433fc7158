"""Tests of the stages of a stream: the result does not depend on the chunks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.resampling import Resampler, rate_ratio
from ecg_study.inference.detector import Detector
from ecg_study.inference.lead_fusion import LeadFusion
from ecg_study.inference.lead_stream import SegmentStitcher
from ecg_study.inference.peak_picking import MaximaFinder, RefractoryFilter, pick_r_peaks, snap_to_extremum
from ecg_study.inference.quality.gaps import GapFiller
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.models.runtimes import BATCH_SEGMENTS
from tests.inference.test_detector import CARD, SlopeRuntime, ecg

CUTS = st.lists(st.integers(0, 2000), max_size=12)
RATES = st.sampled_from([100.0, 125.0, 128.0, 200.0, 250.0, 256.0, 257.0, 300.0, 360.0, 500.0, 977.5, 1000.0, 2000.0])


def chunks_of(signal: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(signal, sorted(min(cut, len(signal)) for cut in cuts))


def fill(signal: np.ndarray, cuts: list[int], fs: float) -> tuple[np.ndarray, np.ndarray]:
    filler = GapFiller(fs)
    parts = [filler.push(chunk) for chunk in chunks_of(signal, cuts)]
    parts.append(filler.finish())
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def with_gaps(seed: int, length: int) -> np.ndarray:
    """Return noise with gaps, flat intervals, infinities and impossible values."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(3, 1, length)
    for value in (np.nan, np.nan, 1.5, 7.0, np.inf, -np.inf, 1e300):
        start = int(rng.integers(0, length))
        signal[start : start + int(rng.integers(1, 250))] = value
    return signal


@given(st.integers(0, 10_000), st.integers(1, 1500), CUTS)
def test_filling_does_not_depend_on_chunks(seed: int, length: int, cuts: list[int]) -> None:
    signal = with_gaps(seed, length)
    filled, usable = fill(signal, [], 100.0)
    again, usable_again = fill(signal, cuts, 100.0)
    np.testing.assert_array_equal(again, filled)
    np.testing.assert_array_equal(usable_again, usable)
    assert len(filled) == length
    assert np.isfinite(filled).all()
    assert not usable[~(np.abs(signal) < 1e6)].any()


def test_filling_by_hand() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.1, 1000)
    signal[300:310] = np.nan  # short: one ramp
    signal[500:700] = np.nan  # long: constant, then a ramp in the last half second
    signal[800:899] = 4.0  # 0.99 s of a flat lead is not a gap
    signal[900] = 2.0
    signal[901:1000] = 2.0  # with the sample before, a second
    filled, usable = fill(signal, [], 100.0)
    assert not usable[300:310].any() and not usable[500:700].any() and not usable[900:1000].any()
    assert usable[:300].all() and usable[310:500].all() and usable[700:900].all()
    level = signal - np.median(signal[:150])  # of the first second and a half
    np.testing.assert_allclose(filled[300:310], np.linspace(level[299], level[310], 12)[1:-1], atol=1e-6)
    np.testing.assert_allclose(filled[500:650], level[499], atol=1e-6)
    np.testing.assert_allclose(filled[650:700], np.linspace(level[499], level[700], 52)[1:-1], atol=1e-6)
    np.testing.assert_allclose(filled[900:], level[899], atol=1e-6)
    np.testing.assert_allclose(filled[usable], level[usable], atol=1e-6)


def test_an_offset_does_not_reduce_the_resolution() -> None:
    signal = 1e8 + np.random.default_rng(0).normal(0, 1e-3, 500)
    filled, usable = fill(signal, [100], 360.0)
    assert usable.all()
    np.testing.assert_allclose(filled, signal - np.median(signal), atol=1e-7)


def test_a_lead_without_finite_samples_is_unusable() -> None:
    filled, usable = fill(np.full(400, np.nan), [7], 100.0)
    assert not usable.any() and not filled.any()
    assert [len(part) for part in fill(np.empty(0), [], 100.0)] == [0, 0]


def resample(signal: np.ndarray, cuts: list[int], fs: float) -> np.ndarray:
    resampler = Resampler(*rate_ratio(fs, 360.0))
    return np.concatenate([*(resampler.push(chunk) for chunk in chunks_of(signal, cuts)), resampler.finish()])


@given(st.integers(0, 1500), CUTS, RATES)
def test_resampling_does_not_depend_on_chunks(length: int, cuts: list[int], fs: float) -> None:
    signal = np.random.default_rng(length).normal(size=length).astype(np.float32)
    at_once = resample(signal, [], fs)
    np.testing.assert_allclose(resample(signal, cuts, fs), at_once, atol=1e-5)
    up, down = rate_ratio(fs, 360.0)
    assert len(at_once) == ((length - 1) * up // down + 1 if length else 0)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 359.9, 500.0, 1000.0, 2000.0])
def test_resampling_does_not_shift_tones(fs: float) -> None:
    seconds, tones = 10, (1.0, 9.0, 25.0)
    times = np.arange(round(seconds * fs)) / fs
    signal = sum(np.sin(2 * np.pi * tone * times) for tone in tones)
    made = resample(np.asarray(signal, np.float32), [], fs)
    up, down = rate_ratio(fs, 360.0)
    at = np.arange(len(made)) * down / up / fs
    wanted = sum(np.sin(2 * np.pi * tone * at) for tone in tones)
    inner = slice(100, -100)
    assert np.abs(made - wanted)[inner].max() < 0.02  # the filter's ripple; a shift of one sample gives 0.4


def test_ratios_are_exact_if_possible() -> None:
    assert rate_ratio(250, 360) == (36, 25)
    assert rate_ratio(1000.0, 360.0) == (9, 25)
    assert rate_ratio(360, 360) == (1, 1)
    up, down = rate_ratio(359.98, 360)
    assert abs(359.98 * up / down - 360) < 0.03
    assert max(up, down) <= 1000


def echo(segments: np.ndarray, _: np.ndarray) -> np.ndarray:
    return segments[np.newaxis]


def position(segments: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return outputs that depend on the position in the segment, so that seams show."""
    ramp = np.linspace(0, 1, segments.shape[1], dtype=np.float32)
    return np.stack([segments + ramp, 2 * segments + starts[:, np.newaxis]])


@given(st.integers(0, 3000), CUTS, st.integers(1, 400), st.none() | st.floats(0, 0.5))
def test_stitching_does_not_depend_on_chunks(length: int, cuts: list[int], segment: int, share: float | None) -> None:
    overlap = None if share is None else int(share * segment)
    signal = np.random.default_rng(length).normal(size=length).astype(np.float32)

    def stitched(run: Callable[[np.ndarray, np.ndarray], np.ndarray], cuts: list[int]) -> np.ndarray:
        stitcher = SegmentStitcher(run, segment, outputs=1 if run is echo else 2, overlap=overlap)
        parts = [*(stitcher.push(chunk) for chunk in chunks_of(signal, cuts)), stitcher.finish()]
        return np.concatenate(parts, axis=1)

    np.testing.assert_allclose(stitched(echo, cuts)[0], signal, atol=1e-6)
    np.testing.assert_array_equal(stitched(position, cuts), stitched(position, []))


def test_an_error_at_the_end_of_a_segment_is_faded_out() -> None:
    def wrong_at_borders(segments: np.ndarray, _: np.ndarray) -> np.ndarray:
        outputs = segments[np.newaxis].copy()
        outputs[:, :, [0, -1]] += 1.0
        return outputs

    stitcher = SegmentStitcher(wrong_at_borders, 400)
    stitched = np.concatenate([stitcher.push(np.zeros(3000)), stitcher.finish()], axis=1)[0]
    assert np.abs(stitched[1:]).max() < 0.02
    assert stitched[0] == 1  # only one segment has the start; at the end the signal is mirrored


def test_many_segments_are_run_in_batches() -> None:
    sizes: list[int] = []

    def noted(segments: np.ndarray, _: np.ndarray) -> np.ndarray:
        sizes.append(len(segments))
        return segments[np.newaxis]

    SegmentStitcher(noted, 40).push(np.zeros(40 * 500))
    assert max(sizes) == BATCH_SEGMENTS and len(sizes) > 4


@given(st.integers(0, 2000), CUTS, st.integers(1, 3), st.integers(1, 2))
def test_fusion_does_not_depend_on_chunks(length: int, cuts: list[int], leads: int, each: int) -> None:
    rng, members = np.random.default_rng(length), leads * each
    probabilities = (rng.random((members, length)) ** 6).astype(np.float32)
    usable = rng.random((members, length)) < 0.9

    def fused(cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        fusion = LeadFusion(leads, each)
        splits = sorted(min(cut, length) for cut in cuts)
        chunks = zip(np.split(probabilities, splits, axis=1), np.split(usable, splits, axis=1), strict=True)
        parts = [*(fusion.push(*chunk) for chunk in chunks), fusion.finish()]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts], axis=1)

    at_once, by_lead = fused([])
    again, by_lead_again = fused(cuts)
    np.testing.assert_array_equal(again, at_once)
    np.testing.assert_array_equal(by_lead_again, by_lead)
    assert by_lead.shape == (leads, length)
    if each == 1:
        np.testing.assert_allclose(by_lead, np.where(usable, probabilities, 0), atol=1e-6)
    assert (at_once <= by_lead.max(axis=0) + 1e-6).all(), "the fused probability is a mean of the leads"
    assert len(at_once) == length
    known = np.where(usable, probabilities, 0)
    assert (at_once <= known.max(axis=0) + 1e-6).all()
    assert not at_once[~usable.any(axis=0)].any()


def test_the_certain_lead_decides() -> None:
    certain, wavering = np.zeros(3600, np.float32), np.full(3600, 0.4, np.float32)
    certain[::300] = 0.98
    fusion = LeadFusion(2)
    parts = [fusion.push(np.stack([wavering, certain]), np.ones((2, 3600), bool)), fusion.finish()]
    fused = np.concatenate([part[0] for part in parts])
    assert fused[0] > 0.8  # the memory is still empty
    assert fused[300::300].min() > 0.95
    assert np.delete(fused, np.arange(0, 3600, 300)).max() < 0.1


@given(st.integers(0, 10_000), st.integers(1, 800), CUTS, st.integers(1, 40), st.integers(0, 5))
def test_peaks_do_not_depend_on_chunks(seed: int, length: int, cuts: list[int], refractory: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    probability = np.round(np.clip(rng.normal(0.3, 0.4, length), 0, 1), 1).astype(np.float32)  # with plateaus
    moved = rng.integers(-reach, reach + 1, length)

    def picked(cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        finder, kept_filter = (
            MaximaFinder(threshold=0.4, refractory=refractory),
            RefractoryFilter(refractory=refractory, max_shift=reach),
        )
        parts = []
        for chunk in chunks_of(probability, cuts):
            found, heights = finder.push(chunk)
            parts.append(kept_filter.push(found, heights, positions=found + moved[found], decided=finder.decided))
        found, heights = finder.finish()
        parts.append(kept_filter.push(found, heights, positions=found + moved[found], decided=length))
        parts.append(kept_filter.finish())
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    at_once, heights = picked([])
    again, heights_again = picked(cuts)
    np.testing.assert_array_equal(again, at_once)
    np.testing.assert_array_equal(heights_again, heights)
    assert (np.diff(at_once) >= refractory).all()
    # The same rule applied to all maxima at once.
    found = np.flatnonzero(np.isin(np.arange(length), all_maxima(probability, refractory)))
    kept: list[int] = []
    for at in sorted(found, key=lambda at: (-probability[at], at)):
        if all(abs(at + moved[at] - other) >= refractory for other in kept):
            kept.append(int(at + moved[at]))
    assert sorted(kept) == at_once.tolist()


def all_maxima(probability: np.ndarray, refractory: int) -> np.ndarray:
    finder = MaximaFinder(threshold=0.4, refractory=refractory)
    return np.concatenate([finder.push(probability)[0], finder.finish()[0]])


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_peaks_are_those_of_scipy(seed: int, refractory: int) -> None:
    from scipy.signal import find_peaks

    probability = np.random.default_rng(seed).random(400).astype(np.float32)
    wanted, _ = find_peaks(np.concatenate([[0], probability, [0]]), height=0.6, distance=refractory)
    np.testing.assert_array_equal(pick_r_peaks(probability, threshold=0.6, refractory=refractory), wanted - 1)


def bump(at: int, height: float, width: float = 4.0, length: int = 400) -> np.ndarray:
    return np.asarray(height * np.exp(-0.5 * ((np.arange(length) - at) / width) ** 2))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_peak_is_moved_to_the_extremum(sign: int) -> None:
    signal = sign * (bump(200, 1.0) - bump(212, 0.4)) + 5.0
    usable = np.ones(400, bool)
    for start in range(197, 204):
        assert snap_to_extremum(signal, np.array([start]), usable=usable, fs=360.0).tolist() == [200]


def test_a_clipped_peak_gives_its_middle() -> None:
    signal = np.minimum(bump(200, 1.0), 0.9)
    for start in (199, 200, 201):
        assert snap_to_extremum(signal, np.array([start]), usable=np.ones(400, bool), fs=360.0).tolist() == [200]


def test_a_peak_moves_by_at_most_three_samples_of_the_model() -> None:
    """The maxima of the model are at most that far off; further away is another wave."""
    rising = np.arange(400.0)
    for fs, reach in ((100.0, 1), (360.0, 3), (1000.0, 8)):
        assert snap_to_extremum(rising, np.array([200]), usable=np.ones(400, bool), fs=fs).tolist() == [200 + reach]


def test_a_peak_without_usable_samples_nearby_stays() -> None:
    signal = bump(200, 1.0)
    assert snap_to_extremum(signal, np.array([197]), usable=np.zeros(400, bool), fs=360.0).tolist() == [197]
    assert snap_to_extremum(np.zeros(400), np.array([197]), usable=np.ones(400, bool), fs=360.0).tolist() == [197]
    assert snap_to_extremum(signal, np.array([0, 399]), usable=np.ones(400, bool), fs=360.0).tolist() == [0, 399]
    assert snap_to_extremum(signal, np.empty(0, np.int64), usable=np.ones(400, bool), fs=360.0).tolist() == []


def test_a_buffer_keeps_the_samples_from_an_index() -> None:
    buffer = SampleBuffer(np.float32, -2)
    buffer.append(np.arange(-2, 8))
    buffer.drop_before(3)
    assert (buffer.start, buffer.end) == (3, 8)
    assert buffer.view(4, 6).tolist() == [4, 5]
    with pytest.raises(IndexError, match="samples 2 to 4 are not in the buffer, which holds 3 to 8"):
        buffer.view(2, 4)
    buffer.drop_before(8)
    buffer.append(np.array([8.0]))
    assert buffer.view(8, 9).tolist() == [8]


@pytest.mark.parametrize("first", [-2147483.648, 1.1e6, 9e8, 3e9, np.inf])
def test_an_absurd_first_sample_is_one_missing_sample(first: float) -> None:
    signal = ecg(360.0)
    signal[0] = first
    found = Detector(CARD, SlopeRuntime()).detect(signal, fs=360.0)
    np.testing.assert_array_equal(found.samples, Detector(CARD, SlopeRuntime()).detect(ecg(360.0), fs=360.0).samples)
    assert found.unusable.tolist() == [[0, 1]]
    stream = Detector(CARD, SlopeRuntime()).stream(fs=360.0)
    parts = RPeaks.concatenate([*(stream.push(part) for part in np.array_split(signal, 500)), stream.finish()])
    np.testing.assert_array_equal(parts.samples, found.samples)


def test_a_signal_below_a_second_tells_nothing() -> None:
    detector = Detector(CARD, SlopeRuntime())
    signal = ecg(360.0)[100:]  # begins half a second before an R peak
    assert detector.detect(signal[:359], fs=360.0).unusable.tolist() == [[0, 359]]
    assert not len(detector.detect(signal[:359], fs=360.0)) and len(detector.detect(signal[:360], fs=360.0)) == 1
    stream = detector.stream(fs=360.0)
    assert not len(stream.push(signal[:359])) and stream.finish().unusable.tolist() == [[0, 359]]


def test_an_unusable_interval_that_lasts_is_known_before_it_ends() -> None:
    signal = np.tile(ecg(360.0)[:7200], 2)
    signal[3600:9000] = np.nan
    stream = Detector(CARD, SlopeRuntime()).stream(fs=360.0)
    since, returned = [], []
    for second in range(40):
        returned += stream.push(signal[360 * second : 360 * (second + 1)]).unusable.tolist()
        since.append(stream.unusable_since)
    returned += stream.finish().unusable.tolist()
    assert since[:10] == [None] * 10 and since[15:25] == [3600] * 10 and since[30:] == [None] * 10
    assert returned == [[3600, 9000]]
    stream = Detector(CARD, SlopeRuntime()).stream(fs=360.0)
    stream.push(signal[:7200])
    assert stream.unusable_since == 3600 and stream.finish().unusable.tolist() == [[3600, 7200]]
    assert stream.unusable_since is None
