"""Tests of the detector for all rates, amplitudes, offsets, polarities, gaps and chunks.

The model needs no training: it returns the energy of the slope, which is high around a QRS complex.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.scaling import scale_segments, subtract_moving_average
from ecg_study.errors import EcgStudyError, InputError
from ecg_study.inference.detector import Detector
from ecg_study.inference.lead_fusion import choose_beat_index
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.models.card import ModelCard

CARD = ModelCard(
    model_kind="detector",
    fs=360.0,
    segment_samples=2016,
    window_samples=144,
    normalization="none",
    thresholds={"r_peak": 0.3, "window": 0.3},
    refractory_period=0.2,
    preset="quick",
    hyperparameters={},
    parameters=0,
    data={},
    metrics={},
    seed=1,
)
TOLERANCE = 0.012
"""Seconds that a peak may move by resampling: four samples of the model."""


class SlopeRuntime:
    """Peak probability from the energy of the slope over 70 ms."""

    name = "slope"

    def __init__(self) -> None:
        self.segments = 0

    def run(self, segments: np.ndarray) -> np.ndarray:
        assert segments.dtype == np.float32 and np.isfinite(segments).all()
        self.segments += len(segments)
        energy = np.gradient(segments, axis=1) ** 2
        padded = np.cumsum(np.pad(energy, ((0, 0), (13, 12))), axis=1)
        around = (padded[:, 25:] - padded[:, :-25])[:, : segments.shape[1]]
        return np.asarray(around / (around + 4), np.float32)


def beats_at(seconds: np.ndarray, times: np.ndarray, lead: int = 0) -> np.ndarray:
    """An ECG in mV at these times, with a P wave, a QRS complex and a T wave for each beat, and a little noise."""
    waves = ((-0.16, 0.12, 0.02), (-0.028, -0.15, 0.008), (0.0, 1.1, 0.01), (0.028, -0.2, 0.008), (0.25, 0.3, 0.045))
    since = times[:, np.newaxis] - seconds
    height = (1.0, 0.6, -0.8)[lead]
    shape = sum(h * np.exp(-0.5 * ((since - at) / width) ** 2) for at, h, width in waves)
    noise = np.random.default_rng(lead).normal(0, 0.001, len(times))
    return np.asarray(height * shape.sum(axis=1) + noise)


SECONDS = 0.5 + np.cumsum(0.8 + 0.08 * np.sin(np.arange(28)))
LENGTH = 24.0


def ecg(fs: float, leads: int = 1) -> np.ndarray:
    times = np.arange(round(LENGTH * fs)) / fs
    signal = np.column_stack([beats_at(SECONDS, times, lead) for lead in range(leads)])
    return signal[:, 0] if leads == 1 else signal


CARDS = pytest.mark.parametrize("card", [CARD, replace(CARD, baseline_window_s=0.4)], ids=["plain", "filtered"])


@pytest.fixture(scope="module", params=[None, 0.4], ids=["plain", "filtered"])
def detector(request: pytest.FixtureRequest) -> Detector:
    return Detector(replace(CARD, baseline_window_s=request.param), SlopeRuntime())


def check_valid(found: RPeaks, samples: int, fs: float) -> None:
    assert found.samples.dtype == np.int64
    assert len(found) == len(found.samples) == len(found.confidences)
    assert ((found.samples >= 0) & (found.samples < samples)).all()
    assert (np.diff(found.samples) >= CARD.refractory_period * fs).all()
    assert ((found.confidences >= CARD.thresholds["r_peak"]) & (found.confidences <= 1)).all()
    intervals = found.unusable
    assert (intervals[:, 0] < intervals[:, 1]).all() and (intervals[1:, 0] > intervals[:-1, 1]).all()
    assert not len(intervals) or (intervals[0, 0] >= 0 and intervals[-1, 1] <= samples)


@pytest.mark.parametrize("fs", [100, 125.0, 128, 180, 250, 256.0, 257.13, 300, 360, 400, 500, 977, 1000, 2000])
def test_peaks_are_found_at_any_rate(detector: Detector, fs: float) -> None:
    signal = ecg(fs)
    found = detector.detect(signal, fs=fs)
    check_valid(found, len(signal), fs)
    assert len(found) == len(SECONDS)
    # On the extremum of the signal as passed, not near it.
    assert np.abs(found.samples / fs - SECONDS).max() <= 1 / fs + 0.001
    assert len(found.unusable) == 0


@CARDS
@given(
    st.floats(0.05, 1000), st.floats(-1e6, 1e6), st.booleans(), st.integers(0, 2000), st.sampled_from([200.0, 360.0])
)
def test_amplitude_offset_polarity_and_shift_do_not_matter(
    card: ModelCard, scale: float, offset: float, inverted: bool, shift: int, fs: float
) -> None:
    detector, signal = Detector(card, SlopeRuntime()), ecg(fs)
    changed = (-scale if inverted else scale) * signal + offset
    changed = changed[shift:]
    found = detector.detect(changed, fs=fs)
    check_valid(found, len(changed), fs)
    wanted = np.round(SECONDS * fs) - shift
    # A beat at the very start may be found or not.
    wanted = wanted[wanted > 0.05 * fs]
    late = found.samples[found.samples > 0.05 * fs]
    assert len(late) == len(wanted)
    assert np.abs(late - wanted).max() <= 1


@CARDS
@given(st.lists(st.integers(0, 9000), max_size=15), st.sampled_from([128.0, 360.0, 500.0]), st.integers(1, 3))
def test_a_stream_gives_the_same_peaks_in_time(card: ModelCard, cuts: list[int], fs: float, leads: int) -> None:
    detector, signal = Detector(card, SlopeRuntime()), ecg(fs, leads)
    signal = signal.reshape(len(signal), -1)
    rng = np.random.default_rng(len(cuts))
    start = int(rng.integers(0, len(signal)))
    signal[start : start + 300] = np.nan
    at_once = detector.detect(signal, fs=fs)
    stream = detector.stream(fs=fs, n_leads=leads)
    parts, pushed, given_before = [], 0, 0
    for chunk in np.split(signal, sorted(min(cut, len(signal)) for cut in cuts)):
        parts.append(stream.push(chunk))
        pushed += len(chunk)
        given_before += len(parts[-1])
        assert (at_once.samples + stream.delay <= pushed).sum() <= given_before
    parts.append(stream.finish())
    joined = RPeaks.concatenate(parts)
    np.testing.assert_array_equal(joined.samples, at_once.samples)
    np.testing.assert_allclose(joined.confidences, at_once.confidences, atol=1e-5)
    np.testing.assert_array_equal(joined.unusable, at_once.unusable)
    with pytest.raises(InputError, match="already finished"):
        stream.push(signal)


@pytest.mark.parametrize("n_leads", [1, 2])
def test_peaks_above_a_threshold_are_those_of_a_detector_with_it(n_leads: int) -> None:
    signal = ecg(360.0, n_leads)
    signal = signal + np.random.default_rng(0).normal(0, 0.05, signal.shape)
    low = Detector(replace(CARD, thresholds={"r_peak": 0.02, "window": 0.02}), SlopeRuntime()).detect(signal, fs=360.0)
    wanted = Detector(CARD, SlopeRuntime()).detect(signal, fs=360.0)
    above = low.above(0.3)
    assert 0 < len(above) < len(low)
    for name in ("samples", "confidences", "unusable"):
        np.testing.assert_array_equal(getattr(above, name), getattr(wanted, name))


def test_the_delay_is_bounded(detector: Detector) -> None:
    seconds = detector.stream(fs=360.0).delay / 360
    assert CARD.segment_samples / 360 < seconds < CARD.segment_samples / 360 + 9


@CARDS
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(0, 1500), st.integers(1, 2)),
        elements=st.floats(allow_nan=True, allow_infinity=True),
        fill=st.sampled_from([0.0, 1.5, np.nan, np.inf, 1e308]),
    ),
    st.sampled_from([100.0, 360.0, 1999.0]),
)
def test_any_numbers_are_accepted(card: ModelCard, signal: np.ndarray, fs: float) -> None:
    check_valid(Detector(card, SlopeRuntime()).detect(signal, fs=fs), len(signal), fs)


def test_gaps_are_listed_and_have_no_peaks(detector: Detector) -> None:
    signal = ecg(360.0)
    gap = slice(3000, 5400)
    signal[gap] = np.nan
    signal[7000] = np.inf
    found = detector.detect(signal, fs=360.0)
    check_valid(found, len(signal), 360.0)
    assert found.unusable.tolist() == [[3000, 5400], [7000, 7001]]
    wanted = np.round(SECONDS * 360)
    wanted = wanted[~((wanted >= gap.start - 10) & (wanted < gap.stop + 10))]
    np.testing.assert_allclose(found.samples, wanted, atol=1)


def test_a_lead_that_is_off_has_no_beats(detector: Detector) -> None:
    signal = ecg(360.0)
    signal[3000:5400] = 5.0  # at the rail
    found = detector.detect(signal, fs=360.0)
    assert found.unusable.tolist() == [[3000, 5400]]
    near = (found.samples > 2600) & (found.samples < 5800)
    wanted = np.round(SECONDS * 360)
    beside = ((wanted > 2600) & (wanted < 2990)) | ((wanted > 5410) & (wanted < 5800))
    np.testing.assert_allclose(found.samples[near], wanted[beside], atol=1)


@pytest.mark.parametrize("fs", [250.0, 360.0, 1000.0])
def test_slow_beats_are_not_bursts(fs: float) -> None:
    """45 beats per minute with a flat T wave, in segments of the default length, at any rate."""
    times = np.arange(round(60 * fs)) / fs
    signal = np.exp(-0.5 * ((times[:, np.newaxis] - np.arange(0.4, 60, 4 / 3)) / 0.01) ** 2).sum(axis=1)
    signal += 0.1 * np.exp(-0.5 * ((times[:, np.newaxis] - np.arange(0.65, 60, 4 / 3)) / 0.045) ** 2).sum(axis=1)
    segments = signal[: len(signal) // 2016 * 2016].reshape(-1, 2016).astype(np.float32)
    scaled, artifacts = scale_segments(segments, fs)
    assert artifacts is None
    tall = segments.max(axis=1) > 0.9
    plain = (segments - segments.mean(axis=1, keepdims=True)) / segments.std(axis=1, keepdims=True)
    np.testing.assert_allclose(scaled[tall], plain[tall], rtol=1e-3, atol=1e-3)


def test_slow_waves_of_ten_qrs_amplitudes_hide_no_beats() -> None:
    """Of waves below 0.4 Hz, the moving average leaves a tenth. Scaled as they are, they make QRS complexes small."""
    at = np.arange(round(LENGTH * 360)) / 360
    signal = ecg(360.0) + 5 * np.sin(2 * np.pi * 0.17 * at) + 5 * np.sin(2 * np.pi * 0.41 * at)
    found = [
        Detector(replace(CARD, baseline_window_s=seconds), SlopeRuntime()).detect(signal, fs=360.0)
        for seconds in (None, 0.4)
    ]
    assert len(found[0]) < len(SECONDS) / 2
    np.testing.assert_allclose(found[1].samples, np.round(SECONDS * 360), atol=2)


def test_a_moving_average_is_subtracted_twice_by_hand() -> None:
    """Three samples: averages of a step over 3 and again over 3; mirrored at the ends."""
    step = np.array([[0.0, 0, 0, 0, 9, 9, 9, 9]])
    made = subtract_moving_average(step, seconds=3 / 360, fs=360.0)
    np.testing.assert_allclose(made, [[0, 0, -1, -3, 3, 1, 0, 0]], atol=1e-6)
    flat = np.array([[1e6, 1e6, 1e6, 1e6, 1e6, 0, 1, 5]])
    assert (subtract_moving_average(flat, seconds=3 / 360, fs=360.0)[0, :3] == 0).all(), "what is constant stays so"


@given(arrays(np.float32, (2, 200), elements=st.floats(-100, 100, width=32)), st.sampled_from([100.0, 360.0]))
def test_a_moving_average_has_no_phase_and_no_unit(segments: np.ndarray, fs: float) -> None:
    made = subtract_moving_average(segments, seconds=0.1, fs=fs)
    atol = 1e-5 * float(np.abs(segments).max(initial=0.0)) + 1e-12
    mirrored = subtract_moving_average(segments[:, ::-1], seconds=0.1, fs=fs)[:, ::-1]
    np.testing.assert_allclose(mirrored, made, atol=atol)
    np.testing.assert_allclose(subtract_moving_average(-1000 * segments, seconds=0.1, fs=fs) / -1000, made, atol=atol)


def test_a_burst_does_not_hide_the_beats_next_to_it(detector: Detector) -> None:
    signal = ecg(360.0)
    signal[4000:4100] += 80 * np.hanning(100)
    found = detector.detect(signal, fs=360.0)
    wanted = np.round(SECONDS * 360)
    beside = wanted[(wanted < 3950) | (wanted > 4150)]
    outside = found.samples[(found.samples < 3950) | (found.samples > 4150)]
    np.testing.assert_allclose(outside, beside, atol=1)
    assert len(found.unusable) == 1 and 4000 <= found.unusable[0, 0] < found.unusable[0, 1] <= 4100
    inside = (found.samples >= found.unusable[0, 0]) & (found.samples < found.unusable[0, 1])
    assert not inside.any()


@pytest.mark.parametrize("fs", [250.0, 360.0])
def test_beats_of_several_leads_have_the_index_of_the_first_lead_that_shows_them(fs: float) -> None:
    detector = Detector(CARD, SlopeRuntime())
    times = np.arange(round(LENGTH * fs)) / fs
    first, late = beats_at(SECONDS, times), beats_at(SECONDS + 0.04, times)  # R of the other lead 40 ms later
    hidden = (times > 9.8) & (times < 15.2)
    first[hidden] = np.nan
    for order, offset, other in (([0, 1], 0.0, 0.04), ([1, 0], 0.04, 0.04)):
        found = detector.detect(np.column_stack([first, late])[:, order], fs=fs).samples / fs
        assert len(found) == len(SECONDS)
        within = (SECONDS > 9.9) & (SECONDS < 15.1)
        beside = (SECONDS < 9.7) | (SECONDS > 15.3)
        np.testing.assert_allclose(found[beside], SECONDS[beside] + offset, atol=1.5 / fs)
        np.testing.assert_allclose(found[within], SECONDS[within] + other, atol=1.5 / fs)


def test_beat_indices_by_hand() -> None:
    by_lead = [SampleBuffer(np.float32, 100) for _ in range(3)]
    shown = np.zeros((3, 200), np.float32)
    shown[0, [45, 52, 58]] = 0.5, 0.9, 1.0  # the highest within the range of 146, which is not the nearest
    shown[0, 100], shown[1, 95] = 0.2, 0.5  # 200 is too low in the first lead
    shown[2, [46, 100, 150]] = 0.9, 0.8, 0.4
    shown[1, 149:152] = 0.5  # a plateau counts by its end
    shown[0, 161:200] = np.linspace(0.1, 1.0, 39)  # no maximum within the range of 270
    for buffer, probability in zip(by_lead, shown, strict=True):
        buffer.append(probability)
    heights = np.array([0.9, 0.8, 0.5, 0.3], np.float32)
    indices, leads = choose_beat_index(np.array([146, 200, 250, 270]), heights, by_lead=by_lead, max_shift=10)
    assert indices.tolist() == [152, 195, 251, 270] and leads.tolist() == [0, 1, 1, 0]


def test_clipped_beats_are_found(detector: Detector) -> None:
    found = detector.detect(np.clip(ecg(360.0), -0.1, 0.5), fs=360.0)
    np.testing.assert_allclose(found.samples / 360, SECONDS, atol=0.009)


@pytest.mark.parametrize(
    "signal", [np.zeros(0), np.zeros(5000), np.full(5000, np.nan), np.full(7, 1.0), np.zeros((0, 3))]
)
def test_a_signal_without_beats_gives_an_empty_result(detector: Detector, signal: np.ndarray) -> None:
    found = detector.detect(signal, fs=360.0)
    assert len(found) == 0
    assert found.unusable.tolist() == ([[0, len(signal)]] if len(signal) else [])


@pytest.mark.parametrize("samples", [500, 900, 1007, 1009])
def test_a_recording_may_be_shorter_than_a_segment(detector: Detector, samples: int) -> None:
    signal = ecg(360.0)[:samples]
    found = detector.detect(signal, fs=360.0)
    check_valid(found, samples, 360.0)
    wanted = np.round(SECONDS * 360)
    np.testing.assert_allclose(found.samples, wanted[wanted < samples - 15], atol=1)


def test_the_first_and_the_last_beat_are_found(detector: Detector) -> None:
    signal = ecg(360.0)
    first, last = round(SECONDS[0] * 360), round(SECONDS[-1] * 360)
    found = detector.detect(signal[first - 4 : last + 5], fs=360.0)
    assert abs(found.samples[0] - 4) <= 5
    assert abs(found.samples[-1] - (last - first + 4)) <= 5
    assert len(found) == len(SECONDS)


def test_all_leads_are_combined(detector: Detector) -> None:
    signal = ecg(360.0, 3)
    np.testing.assert_allclose(detector.detect(signal, fs=360.0).samples / 360, SECONDS, atol=0.004)
    signal[2000:4000, 0] = np.nan
    signal[3500:6000, 1] = 0.0
    signal[3000:3700, 2] = np.nan
    found = detector.detect(signal, fs=360.0)
    assert found.unusable.tolist() == [[3500, 3700]]
    wanted = np.round(SECONDS * 360)
    wanted = wanted[(wanted < 3490) | (wanted > 3710)]
    np.testing.assert_allclose(found.samples, wanted, atol=2)


def test_lists_and_pandas_are_accepted(detector: Detector) -> None:
    signal = ecg(360.0, 2)
    wanted = detector.detect(signal, fs=360).samples
    frame = pd.DataFrame(signal, columns=["I", "II"], index=pd.RangeIndex(100, 100 + len(signal)))
    np.testing.assert_array_equal(detector.detect(frame, fs=360.0).samples, wanted)
    one = detector.detect(signal[:, 0], fs=360.0).samples
    np.testing.assert_array_equal(detector.detect(frame["I"], fs=float(np.float32(360))).samples, one)
    np.testing.assert_array_equal(detector.detect(signal[:, 0].tolist(), fs=360).samples, one)
    missing = signal[:, 0].copy()
    missing[3000:5000] = np.nan
    rest = detector.detect(missing, fs=360.0).samples
    masked = np.ma.masked_array(signal[:, 0], np.isnan(missing))
    for same in (masked, pd.Series(missing).convert_dtypes()):
        found = detector.detect(same, fs=360.0)
        np.testing.assert_array_equal(found.samples, rest)
        assert found.unusable.tolist() == [[3000, 5000]]
    calls: list[tuple[str, int, int]] = []
    detector.detect(signal, fs=360.0, on_progress=lambda *call: calls.append(call))
    assert calls[0][1:] == (0, len(signal)) and calls[-1][1:] == (len(signal), len(signal))


@pytest.mark.parametrize(
    ("signal", "fs", "message"),
    [
        (np.zeros(10), 0, "fs: 0 Hz is not between 100 and 10,000 Hz"),
        (np.zeros(10), 1e9, "fs: 1e\\+09 Hz is not between"),
        (np.zeros(10), float("nan"), "fs: nan is not a number; pass the sampling rate in Hz"),
        (np.zeros(10), "360", "fs: '360' is not a number"),
        (np.zeros(10), True, "fs: True is not a number"),
        (np.zeros(10, np.int16), 360, "integers \\(int16\\), which look like ADC units"),
        (pd.Series([1000, None, 1024], dtype="Int64"), 360, "integers \\(Int64\\)"),
        (pd.DataFrame({"a": [0.5, 0.25], "b": [1000, 1024]}), 360, "integers \\(int64\\)"),
        (pd.DataFrame({"kind": [0.5, 0.25], "b": [1000, 1024]}), 360, "integers \\(int64\\)"),
        (np.zeros(10, complex), 360, "complex numbers"),
        (["a", "b"], 360, "are not numbers"),
        ([[1.0], [1.0, 2.0]], 360, "rows differ in length"),
        (np.zeros((2, 2, 2)), 360, "shape \\(2, 2, 2\\)"),
        (np.zeros((2, 5000)), 360, "5,000 leads; pass signal.T"),
        (np.zeros((10, 0)), 360, "shape \\(10, 0\\)"),
        (1.0, 360, "shape \\(\\)"),
    ],
)
def test_invalid_signals_are_refused(detector: Detector, signal: object, fs: float, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        detector.detect(signal, fs=fs)
    assert isinstance(caught.value, EcgStudyError) and isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_a_stream_refuses_another_number_of_leads(detector: Detector) -> None:
    stream = detector.stream(fs=360.0, n_leads=2)
    with pytest.raises(InputError, match="chunk: has 1 leads, but the stream has 2"):
        stream.push(np.zeros(100))
    with pytest.raises(InputError, match="n_leads: 0 is not positive"):
        detector.stream(fs=360.0, n_leads=0)
