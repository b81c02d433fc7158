"""The pieces that recordings pass through in chunks: whatever the chunks, the result is the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.resampling import Resampler, rate_ratio
from ecg_study.inference.lead_fusion import LeadFusion
from ecg_study.inference.lead_stream import SegmentStitcher
from ecg_study.inference.peak_picking import MaximaFinder, RefractoryFilter, pick_r_peaks, snap_to_extremum
from ecg_study.inference.signal_quality import GapFiller
from ecg_study.models.runtimes import BATCH_SEGMENTS

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
    """Noise with gaps, flat stretches, infinities and absurd values."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(3, 1, length)
    for value in (np.nan, np.nan, 1.5, 7.0, np.inf, -np.inf, 1e300):
        start = int(rng.integers(0, length))
        signal[start : start + int(rng.integers(1, 250))] = value
    return signal


@given(st.integers(0, 10_000), st.integers(1, 1500), CUTS)
@settings(deadline=None)
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
    signal[300:310] = np.nan  # short: led over from end to end
    signal[500:700] = np.nan  # long: held, and led over in the last half second
    signal[800:899] = 4.0  # 0.99 s of a flat lead are no gap
    signal[900] = 2.0
    signal[901:1000] = 2.0  # with the sample before, a second
    filled, usable = fill(signal, [], 100.0)
    assert not usable[300:310].any() and not usable[500:700].any() and not usable[900:1000].any()
    assert usable[:300].all() and usable[310:500].all() and usable[700:900].all()
    level = signal - signal[0]
    np.testing.assert_allclose(filled[300:310], np.linspace(level[299], level[310], 12)[1:-1], atol=1e-6)
    np.testing.assert_allclose(filled[500:650], level[499], atol=1e-6)
    np.testing.assert_allclose(filled[650:700], np.linspace(level[499], level[700], 52)[1:-1], atol=1e-6)
    np.testing.assert_allclose(filled[900:], level[899], atol=1e-6)
    np.testing.assert_allclose(filled[usable], level[usable], atol=1e-6)


def test_an_offset_costs_no_resolution() -> None:
    signal = 1e8 + np.random.default_rng(0).normal(0, 1e-3, 500)
    filled, usable = fill(signal, [100], 360.0)
    assert usable.all()
    np.testing.assert_allclose(filled, signal - signal[0], atol=1e-7)


def test_nothing_known_is_nothing_usable() -> None:
    filled, usable = fill(np.full(400, np.nan), [7], 100.0)
    assert not usable.any() and not filled.any()
    assert [len(part) for part in fill(np.empty(0), [], 100.0)] == [0, 0]


def resample(signal: np.ndarray, cuts: list[int], fs: float) -> np.ndarray:
    resampler = Resampler(*rate_ratio(fs, 360.0))
    return np.concatenate([*(resampler.push(chunk) for chunk in chunks_of(signal, cuts)), resampler.finish()])


@given(st.integers(0, 1500), CUTS, RATES)
@settings(deadline=None)
def test_resampling_does_not_depend_on_chunks(length: int, cuts: list[int], fs: float) -> None:
    signal = np.random.default_rng(length).normal(size=length).astype(np.float32)
    whole = resample(signal, [], fs)
    np.testing.assert_allclose(resample(signal, cuts, fs), whole, atol=1e-5)
    up, down = rate_ratio(fs, 360.0)
    assert len(whole) == ((length - 1) * up // down + 1 if length else 0)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 359.9, 500.0, 1000.0, 2000.0])
def test_resampling_keeps_every_tone_in_place(fs: float) -> None:
    seconds, tones = 10, (1.0, 9.0, 25.0)
    times = np.arange(round(seconds * fs)) / fs
    signal = sum(np.sin(2 * np.pi * tone * times) for tone in tones)
    made = resample(np.asarray(signal, np.float32), [], fs)
    up, down = rate_ratio(fs, 360.0)
    at = np.arange(len(made)) * down / up / fs
    wanted = sum(np.sin(2 * np.pi * tone * at) for tone in tones)
    inner = slice(100, -100)
    assert np.abs(made - wanted)[inner].max() < 0.02  # the filter's ripple; a shift of one sample gives 0.4


def test_ratios_are_exact_where_they_can_be() -> None:
    assert rate_ratio(250, 360) == (36, 25)
    assert rate_ratio(1000.0, 360.0) == (9, 25)
    assert rate_ratio(360, 360) == (1, 1)
    up, down = rate_ratio(359.98, 360)
    assert abs(359.98 * up / down - 360) < 0.03
    assert max(up, down) <= 1000


def echo(segments: np.ndarray, _: np.ndarray) -> np.ndarray:
    return segments[np.newaxis]


def position(segments: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """A model that sees where in the segment a sample lies, so that seams show."""
    ramp = np.linspace(0, 1, segments.shape[1], dtype=np.float32)
    return np.stack([segments + ramp, 2 * segments + starts[:, np.newaxis]])


@given(st.integers(0, 3000), CUTS, st.integers(1, 400))
@settings(deadline=None)
def test_stitching_does_not_depend_on_chunks(length: int, cuts: list[int], segment: int) -> None:
    signal = np.random.default_rng(length).normal(size=length).astype(np.float32)

    def stitched(run: Callable[[np.ndarray, np.ndarray], np.ndarray], cuts: list[int]) -> np.ndarray:
        stitcher = SegmentStitcher(run, segment, outputs=1 if run is echo else 2)
        parts = [*(stitcher.push(chunk) for chunk in chunks_of(signal, cuts)), stitcher.finish()]
        return np.concatenate(parts, axis=1)

    np.testing.assert_allclose(stitched(echo, cuts)[0], signal, atol=1e-6)
    np.testing.assert_array_equal(stitched(position, cuts), stitched(position, []))


def test_an_error_at_a_border_is_faded_out() -> None:
    def wrong_at_borders(segments: np.ndarray, _: np.ndarray) -> np.ndarray:
        outputs = segments[np.newaxis].copy()
        outputs[:, :, [0, -1]] += 1.0
        return outputs

    stitcher = SegmentStitcher(wrong_at_borders, 400)
    stitched = np.concatenate([stitcher.push(np.zeros(3000)), stitcher.finish()], axis=1)[0]
    assert np.abs(stitched[1:]).max() < 0.02
    assert stitched[0] == 1  # no other segment knows the beginning; beyond the end the signal goes on mirrored


def test_many_segments_are_passed_on_in_batches() -> None:
    sizes: list[int] = []

    def noted(segments: np.ndarray, _: np.ndarray) -> np.ndarray:
        sizes.append(len(segments))
        return segments[np.newaxis]

    SegmentStitcher(noted, 40).push(np.zeros(40 * 500))
    assert max(sizes) == BATCH_SEGMENTS and len(sizes) > 4


@given(st.integers(0, 2000), CUTS, st.integers(1, 3), st.integers(1, 2))
@settings(deadline=None)
def test_fusing_does_not_depend_on_chunks(length: int, cuts: list[int], leads: int, each: int) -> None:
    rng, members = np.random.default_rng(length), leads * each
    activations = (rng.random((members, length)) ** 6).astype(np.float32)
    usable = rng.random((members, length)) < 0.9

    def fused(cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        fuser = LeadFusion(leads, each)
        splits = sorted(min(cut, length) for cut in cuts)
        chunks = zip(np.split(activations, splits, axis=1), np.split(usable, splits, axis=1), strict=True)
        parts = [*(fuser.push(*chunk) for chunk in chunks), fuser.finish()]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts], axis=1)

    whole, alone = fused([])
    again, alone_again = fused(cuts)
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(alone_again, alone)
    assert alone.shape == (leads, length)
    if each == 1:
        np.testing.assert_allclose(alone, np.where(usable, activations, 0), atol=1e-6)
    assert (whole <= alone.max(axis=0) + 1e-6).all(), "all together are a mean of each"
    assert len(whole) == length
    known = np.where(usable, activations, 0)
    assert (whole <= known.max(axis=0) + 1e-6).all()
    assert not whole[~usable.any(axis=0)].any()


def test_the_certain_lead_decides() -> None:
    certain, wavering = np.zeros(3600, np.float32), np.full(3600, 0.4, np.float32)
    certain[::300] = 0.98
    fuser = LeadFusion(2)
    parts = [fuser.push(np.stack([wavering, certain]), np.ones((2, 3600), bool)), fuser.finish()]
    fused = np.concatenate([part[0] for part in parts])
    assert fused[0] > 0.8  # nothing is remembered yet
    assert fused[300::300].min() > 0.95
    assert np.delete(fused, np.arange(0, 3600, 300)).max() < 0.1


@given(st.integers(0, 10_000), st.integers(1, 800), CUTS, st.integers(1, 40), st.integers(0, 5))
@settings(deadline=None)
def test_peaks_do_not_depend_on_chunks(seed: int, length: int, cuts: list[int], refractory: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    activation = np.round(np.clip(rng.normal(0.3, 0.4, length), 0, 1), 1).astype(np.float32)  # with plateaus
    moved = rng.integers(-reach, reach + 1, length)

    def picked(cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        finder, judge = (
            MaximaFinder(threshold=0.4, refractory=refractory),
            RefractoryFilter(refractory=refractory, max_shift=reach),
        )
        parts = []
        for chunk in chunks_of(activation, cuts):
            found, heights = finder.push(chunk)
            parts.append(judge.push(found, heights, positions=found + moved[found], decided=finder.decided))
        found, heights = finder.finish()
        parts.append(judge.push(found, heights, positions=found + moved[found], decided=length))
        parts.append(judge.finish())
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    whole, heights = picked([])
    again, heights_again = picked(cuts)
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_array_equal(heights_again, heights)
    assert (np.diff(whole) >= refractory).all()
    # From the highest down, in one go.
    found = np.flatnonzero(np.isin(np.arange(length), whole_maxima(activation, refractory)))
    kept: list[int] = []
    for at in sorted(found, key=lambda at: (-activation[at], at)):
        if all(abs(at + moved[at] - other) >= refractory for other in kept):
            kept.append(int(at + moved[at]))
    assert sorted(kept) == whole.tolist()


def whole_maxima(activation: np.ndarray, refractory: int) -> np.ndarray:
    finder = MaximaFinder(threshold=0.4, refractory=refractory)
    return np.concatenate([finder.push(activation)[0], finder.finish()[0]])


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_peaks_are_those_of_scipy(seed: int, refractory: int) -> None:
    from scipy.signal import find_peaks

    activation = np.random.default_rng(seed).random(400).astype(np.float32)
    wanted, _ = find_peaks(np.concatenate([[0], activation, [0]]), height=0.6, distance=refractory)
    np.testing.assert_array_equal(pick_r_peaks(activation, threshold=0.6, refractory=refractory), wanted - 1)


def bump(at: int, height: float, width: float = 4.0, length: int = 400) -> np.ndarray:
    return np.asarray(height * np.exp(-0.5 * ((np.arange(length) - at) / width) ** 2))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_peak_is_moved_onto_the_extremum(sign: int) -> None:
    signal = sign * (bump(200, 1.0) - bump(212, 0.4)) + 5.0
    usable = np.ones(400, bool)
    for start in range(197, 204):
        assert snap_to_extremum(signal, np.array([start]), usable=usable, fs=360.0).tolist() == [200]


def test_a_clipped_peak_is_met_in_its_middle() -> None:
    signal = np.minimum(bump(200, 1.0), 0.9)
    for start in (199, 200, 201):
        assert snap_to_extremum(signal, np.array([start]), usable=np.ones(400, bool), fs=360.0).tolist() == [200]


def test_a_peak_is_moved_by_three_samples_of_the_model_at_most() -> None:
    """So far off are the maxima of an activation; further away lies another wave."""
    rising = np.arange(400.0)
    for fs, reach in ((100.0, 1), (360.0, 3), (1000.0, 8)):
        assert snap_to_extremum(rising, np.array([200]), usable=np.ones(400, bool), fs=fs).tolist() == [200 + reach]


def test_a_peak_stays_where_nothing_is_known() -> None:
    signal = bump(200, 1.0)
    assert snap_to_extremum(signal, np.array([197]), usable=np.zeros(400, bool), fs=360.0).tolist() == [197]
    assert snap_to_extremum(np.zeros(400), np.array([197]), usable=np.ones(400, bool), fs=360.0).tolist() == [197]
    assert snap_to_extremum(signal, np.array([0, 399]), usable=np.ones(400, bool), fs=360.0).tolist() == [0, 399]
    assert snap_to_extremum(signal, np.empty(0, np.int64), usable=np.ones(400, bool), fs=360.0).tolist() == []


def test_a_buffer_holds_what_is_needed() -> None:
    buffer = SampleBuffer(np.float32, -2)
    buffer.append(np.arange(-2, 8))
    buffer.drop_before(3)
    assert (buffer.start, buffer.end) == (3, 8)
    assert buffer.view(4, 6).tolist() == [4, 5]
    with pytest.raises(IndexError, match="samples 2 to 4 of a buffer that holds 3 to 8"):
        buffer.view(2, 4)
    buffer.drop_before(8)
    buffer.append(np.array([8.0]))
    assert buffer.view(8, 9).tolist() == [8]
