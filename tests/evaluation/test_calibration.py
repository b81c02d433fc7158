"""Tests of the calibration of confidences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.calibration import (
    MOTION_LEVELS_DB,
    OutcomesByNoise,
    PeakOutcomes,
    calibrate,
    calibration_error,
    confidence_bins,
    cross_calibrated,
    fit_calibration,
    peak_outcomes,
    summarize_confidences,
    validation_outcomes,
)
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.results.detection import ConfidenceBin, SurePeaks
from ecg_study.evaluation.thresholds import choose_operating_point
from ecg_study.inference.detector import Detector
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.models.calibration import Calibration
from tests.inference.test_detector import CARD, LENGTH, SECONDS, SlopeRuntime, ecg

TRUE = Calibration(a=0.5, b=2.0, c=1.0, error=None, r_peaks=1)


def _drawn(count: int, seed: int) -> PeakOutcomes:
    """Return R peaks that are correct as often as a calibration says."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.05, 1.0, count).astype(np.float32)
    return PeakOutcomes(values, rng.random(count) < TRUE.confidences(values))


def test_outcomes_by_hand() -> None:
    """The peak at 210 is 10 samples late, 400 is false, 460 is in an excluded interval, 20 in the first second."""
    signal = np.zeros(1000)
    lead = EvaluationLead("r", "II", 360.0, signal, signal, np.array([100, 200, 300, 450]), ((440, 480),))
    found = RPeaks(np.array([20, 100, 210, 400, 460]), np.array([0.1, 0.9, 0.8, 0.4, 0.3], np.float32))
    outcomes = peak_outcomes(lead, found)
    np.testing.assert_array_equal(outcomes.values, np.array([0.1, 0.9, 0.8, 0.4], np.float32))
    assert outcomes.correct.tolist() == [False, True, True, False]
    later = peak_outcomes(lead, found, skip_seconds=0.25)
    assert later.correct.tolist() == [True, True, False], "the peak at 20 is not scored"


def test_the_calibration_error_by_hand() -> None:
    """In the lowest tenth, half of the peaks are correct at 0.05; in the highest, all at 0.95: 0.45 and 0.05 off."""
    outcomes = PeakOutcomes(np.array([0.05, 0.05, 0.95, 0.95]), np.array([False, True, True, True]))
    assert confidence_bins(outcomes) == [ConfidenceBin(0.05, 0.5, 2), ConfidenceBin(0.95, 1.0, 2)]
    assert calibration_error(outcomes) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)
    sure = summarize_confidences(outcomes).sure
    assert sure == [SurePeaks(0.9, 2 / 3, 1.0), SurePeaks(0.99, 0.0, None)]
    whole = confidence_bins(PeakOutcomes(np.array([1.0]), np.array([True])))
    assert whole == [ConfidenceBin(1.0, 1.0, 1)], "1 belongs to the last tenth"


def test_nothing_is_said_without_r_peaks() -> None:
    nothing = PeakOutcomes(np.empty(0, np.float32), np.empty(0, bool))
    assert (
        calibration_error(nothing) is None
        and fit_calibration(nothing) is None
        and calibrate({"a": {None: nothing}}) is None
    )
    assert summarize_confidences(nothing).sure == [SurePeaks(0.9, None, None), SurePeaks(0.99, None, None)]


def test_a_known_calibration_is_found() -> None:
    outcomes = _drawn(40_000, seed=1)
    found = fit_calibration(outcomes)
    assert found is not None and found.r_peaks == 40_000
    values = np.linspace(0.05, 0.99, 50)
    np.testing.assert_allclose(found.confidences(values), TRUE.confidences(values), atol=0.02)
    raw = calibration_error(outcomes)
    assert raw is not None and raw > 0.1
    after = calibration_error(replace(outcomes, values=found.confidences(outcomes.values)))
    assert after is not None and after < 0.01


def test_records_without_a_false_peak_do_not_make_sure() -> None:
    """20 correct R peaks support a confidence of 21/22."""
    found = fit_calibration(PeakOutcomes(np.full(20, 0.5), np.ones(20, bool)))
    assert found is not None
    assert found.confidences(np.array([0.5]))[0] == pytest.approx(21 / 22, abs=1e-3)


def test_the_error_is_measured_on_other_subjects() -> None:
    """Subject a is always correct, b never, at the same peak probability: each is judged by the other."""
    values = np.full(500, 0.6)
    right, wrong = PeakOutcomes(values, np.ones(500, bool)), PeakOutcomes(values, np.zeros(500, bool))
    subjects: dict[str, OutcomesByNoise] = {"a": {None: right}, "b": {None: wrong}}
    crossed = cross_calibrated(subjects)[None]
    assert crossed.values[:500].max() < 0.01 and crossed.values[500:].min() > 0.99
    found = calibrate(subjects)
    assert found is not None and found.error is not None
    assert found.error > 0.99 and found.confidences(np.array([0.6]))[0] == pytest.approx(0.5, abs=0.01)
    alone = calibrate({"a": subjects["a"]})
    assert alone is not None and alone.error is None, "with one subject there are no others"


def test_errors_of_levels_do_not_cancel() -> None:
    """All are correct in one level and none in the other, and each has a confidence of one half."""
    values = np.full(500, 0.6)
    levels = {None: PeakOutcomes(values, np.ones(500, bool)), 0: PeakOutcomes(values, np.zeros(500, bool))}
    found = calibrate({"a": levels, "b": levels})
    assert found is not None and found.error == pytest.approx(0.5, abs=0.01)


@given(
    *(st.floats(0, 1e3),) * 2,
    st.floats(-1e3, 1e3),
    arrays(np.float32, st.integers(1, 30), elements=st.floats(0, 1, width=32)),
)
def test_a_confidence_is_a_probability_that_never_falls(a: float, b: float, c: float, values: np.ndarray) -> None:
    found = Calibration(a, b, c, error=None, r_peaks=1).confidences(np.sort(values))
    assert found.dtype == np.float32 and ((found >= 0) & (found <= 1)).all() and (np.diff(found) >= 0).all()


def test_a_detector_returns_calibrated_confidences_of_the_same_r_peaks() -> None:
    signal = ecg(360.0) + np.random.default_rng(1).normal(0, 0.2, round(LENGTH * 360))
    raw = Detector(CARD, SlopeRuntime()).detect(signal, fs=360.0)
    calibrated = Detector(replace(CARD, calibration=TRUE), SlopeRuntime())
    found = calibrated.detect(signal, fs=360.0)
    assert len(np.unique(raw.confidences)) > 10
    np.testing.assert_array_equal(found.samples, raw.samples)
    np.testing.assert_array_equal(found.confidences, TRUE.confidences(raw.confidences))
    stream = calibrated.stream(fs=360.0)
    parts = RPeaks.concatenate([*(stream.push(part) for part in np.array_split(signal, 30)), stream.finish()])
    np.testing.assert_array_equal(parts.confidences, found.confidences)
    kept = found.above(float(np.median(found.confidences)))
    assert 0 < len(kept) < len(found)


def test_a_detector_is_calibrated_with_and_without_motion_by_subject() -> None:
    """Three leads of two subjects; each is detected as recorded and under each level of motion."""
    count = 14
    lead = np.tile(ecg(360.0), count)
    beats = np.concatenate([np.round((SECONDS + LENGTH * number) * 360).astype(int) for number in range(count)])
    leads = [EvaluationLead(name, "II", 360.0, lead, lead, beats, ()) for name in ("1", "2", "3")]
    noise = NoiseSource({"em": [np.random.default_rng(1).normal(0, 1, (36_000, 1))]})
    model, subjects = CachedModel(Detector(CARD, SlopeRuntime())), {"1": "p", "2": "p"}
    outcomes = validation_outcomes(model, leads, noise=noise, subjects=subjects)
    assert list(outcomes) == ["p", "3"]
    assert list(outcomes["p"]) == list(outcomes["3"]) == [None, *MOTION_LEVELS_DB]
    for level, found in outcomes["3"].items():
        assert len(outcomes["p"][level].values) == 2 * len(found.values) > len(beats)
    clean = validation_outcomes(model, leads, noise=None, subjects=subjects)
    assert len(clean["3"][None].values) == len(beats) and clean["3"][None].correct.all()
    point = choose_operating_point(model, leads, noise=noise, subjects=subjects, seed=1)
    assert point.calibration is not None and point.calibration.error is not None
    at = model.at(point)
    whole = validation_outcomes(at, leads, noise=noise, subjects=subjects)
    assert sum(len(item.values) for levels in whole.values() for item in levels.values()) == point.calibration.r_peaks
    np.testing.assert_array_equal(
        at.detect(lead).confidences,
        point.calibration.confidences(model.candidates(lead).above(point.thresholds["r_peak"]).confidences),
    )
