"""Tests of the score that ranks detectors, against the matcher of the evaluation and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_study.ecg_data.segments.batches import soft_targets
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.training.loop import train
from ecg_study.training.scores.peak_score import LEVELS_DB, R_PEAK_ERROR, PeakScore, counts_by_threshold, f1_of_counts
from ecg_study.training.specs import COMPLETED, TrainingOptions, TrainingSpec
from ecg_study.training.task import TrainingTask
from tests.conftest import SmallData
from tests.tiny import TINY

FS, SAMPLES = 360.0, 2016
EDGE = 180
THRESHOLDS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def _f1_by_threshold(probability: np.ndarray, marks: np.ndarray, **options: Any) -> np.ndarray:
    return f1_of_counts(counts_by_threshold(probability, marks, fs=FS, **options))


def _probability(places: list[list[int]], heights: list[list[float]]) -> np.ndarray:
    probability = np.zeros((len(places), SAMPLES), np.float32)
    for row, (at, values) in enumerate(zip(places, heights, strict=True)):
        probability[row, at] = values
    return probability


def _marks(places: list[list[int]]) -> np.ndarray:
    return _probability(places, [[1.0] * len(at) for at in places]) > 0


def test_by_hand() -> None:
    """One beat is found at 0.8, 20 ms late, one at 0.4; a false peak has 0.6. The ends do not count."""
    marks = _marks([[100, 500, 1000, 1900]])
    probability = _probability([[50, 507, 1000, 1500]], [[0.95, 0.8, 0.4, 0.6]])
    found = _f1_by_threshold(probability, marks, tolerance_ms=50, thresholds=THRESHOLDS)
    expected = [2 * 2 / (2 * 2 + 1), 4 / 5, 2 / (2 + 1 + 1), 2 / (2 + 0 + 1), 0]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(
        _f1_by_threshold(probability, marks, tolerance_ms=15, thresholds=[0.5]), [0.0], err_msg="20 ms is too far"
    )


def test_a_peak_of_a_beat_at_an_end_is_not_false() -> None:
    """A mark within half a second of the start does not count, nor does its peak a little further in."""
    found = _f1_by_threshold(
        _probability([[190, 1000]], [[0.9, 0.9]]), _marks([[170, 1000]]), tolerance_ms=150, thresholds=[0.5]
    )
    assert found == 1


def test_of_two_peaks_near_a_mark_the_higher_is_the_beat() -> None:
    probability = _probability([[950, 1040]], [[0.9, 0.5]])
    found = _f1_by_threshold(probability, _marks([[1000]]), tolerance_ms=150, thresholds=[0.3, 0.7])
    np.testing.assert_allclose(found, [2 / 3, 1])


def test_a_peak_within_the_refractory_period_of_a_higher_one_is_none() -> None:
    probability = _probability([[1000, 1050]], [[0.9, 0.8]])
    assert _f1_by_threshold(probability, _marks([[1000]]), tolerance_ms=150, thresholds=[0.5]) == 1
    assert _f1_by_threshold(np.zeros((3, SAMPLES)), np.zeros((3, SAMPLES)), tolerance_ms=50, thresholds=[0.5]) == 1


@st.composite
def _spaced(draw: st.DrawFn, least: int) -> list[int]:
    gaps = draw(st.lists(st.integers(least, 3 * least), min_size=1, max_size=8))
    return [int(place) for place in np.cumsum(gaps) + EDGE if place < SAMPLES - EDGE - 60]


@given(
    segments=st.lists(st.tuples(_spaced(130), _spaced(80)), min_size=1, max_size=4),
    tolerance=st.sampled_from([50, 150]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_counts_are_those_of_the_matcher(
    segments: list[tuple[list[int], list[int]]], tolerance: int, seed: int
) -> None:
    """Marks are further apart than twice the tolerance and peaks than the refractory period: no pair is in doubt."""
    rng = np.random.default_rng(seed)
    marks = [at for at, _ in segments]
    peaks = [
        sorted({*at, *(place + int(rng.integers(-20, 20)) for place in marks[row])})
        for row, (_, at) in enumerate(segments)
    ]
    peaks = [[place for place, before in zip(at, [-999, *at], strict=False) if place - before > 73] for at in peaks]
    heights = [rng.uniform(0.05, 1, len(at)).astype(np.float32).tolist() for at in peaks]
    found = _f1_by_threshold(_probability(peaks, heights), _marks(marks), tolerance_ms=tolerance, thresholds=THRESHOLDS)
    for threshold, f1 in zip(THRESHOLDS.astype(np.float32), found, strict=True):
        counts = np.zeros(3, int)
        for beats, at, values in zip(marks, peaks, heights, strict=True):
            kept = [place for place, value in zip(at, values, strict=True) if value >= threshold]
            counts += match_r_peaks(
                np.array(beats, np.int64), np.array(kept, np.int64), tolerance=round(tolerance / 1000 * FS)
            ).table
        true, missed, wrong = counts
        expected = 2 * true / (2 * true + missed + wrong) if counts.any() else 1.0
        assert f1 == pytest.approx(expected, abs=1e-6)


class Oracle:
    """A network that knows the marks; ``noise`` is added to its probabilities, and it may miss every other beat."""

    def __init__(self, score: PeakScore, *, missed: float = 0.0, silent_from: int = 9) -> None:
        self._targets = soft_targets(score._marks.astype(np.uint8))
        self._missed, self._silent_from, self._calls = missed, silent_from, 0

    def predict(self, segments: np.ndarray) -> np.ndarray:
        self._calls += 1
        if self._calls > self._silent_from:
            return np.zeros_like(segments)
        lost = np.random.default_rng(1).random(len(segments)) < self._missed
        return np.where(lost[:, np.newaxis], 0, self._targets)[..., np.newaxis].astype(np.float32)


@pytest.fixture(scope="module")
def score(small_data: SmallData) -> PeakScore:
    return PeakScore(TrainingTask("detector", small_data.cache, small_data.split, TINY))


def _scored(score: PeakScore, **how: Any) -> float:
    return score(Oracle(score, **how)).metrics[R_PEAK_ERROR]  # type: ignore[arg-type]


def test_a_perfect_detector_has_the_least_error_and_a_silent_one_all(score: PeakScore) -> None:
    assert _scored(score) == pytest.approx(0.01)
    assert _scored(score, silent_from=0) == pytest.approx(100, rel=0.01)
    # Perfect as recorded and at the first level, silent at the other two: the mean of the logarithms.
    assert len(LEVELS_DB) == 3
    assert _scored(score, silent_from=2) == pytest.approx(100 * (1e-4 * 1e-4 * 1 * 1) ** 0.25, rel=0.01)
    assert 0.01 < _scored(score, missed=0.1) < _scored(score, missed=0.3)


def test_a_threshold_is_judged_on_other_subjects(score: PeakScore) -> None:
    """One half needs a threshold above its false peaks of 0.6, the other one below its beats of 0.4."""

    class TwoScales(Oracle):
        def predict(self, segments: np.ndarray) -> np.ndarray:
            output = super().predict(segments)
            false = np.roll(0.6 * output, 110, axis=1)  # 0.3 s after each beat
            first = (score._unit_halves[score._units] == 0)[:, np.newaxis, np.newaxis]
            return np.where(first, np.maximum(output, false), 0.4 * output)

    assert score(TwoScales(score)).metrics[R_PEAK_ERROR] > 10  # type: ignore[arg-type]


def test_each_subject_has_its_own_score(score: PeakScore, small_data: SmallData) -> None:
    """The network is silent in the segments of the first subject, and perfect in those of the others."""

    class Silent(Oracle):
        def predict(self, segments: np.ndarray) -> np.ndarray:
            return np.where((score._units == 0)[:, np.newaxis, np.newaxis], 0, super().predict(segments))

    by_subject = score(Silent(score)).by_subject  # type: ignore[arg-type]
    first, *others = small_data.split.validation
    assert list(by_subject) == [first, *others] and others
    assert by_subject[first] == pytest.approx(100, rel=0.01)
    assert [by_subject[name] for name in others] == pytest.approx([0.01] * len(others))


def test_an_output_that_is_not_finite_has_no_score(score: PeakScore) -> None:
    class Broken:
        def predict(self, segments: np.ndarray) -> np.ndarray:
            return np.full_like(segments, np.nan)

    assert np.isnan(score(Broken()).metrics[R_PEAK_ERROR])  # type: ignore[arg-type]


def test_noise_has_its_level_and_subjects_are_in_one_half(small_data: SmallData, score: PeakScore) -> None:
    clean, *noisy = score._inputs
    for segments, level in zip(noisy, LEVELS_DB, strict=True):
        ratio = clean.var(axis=1) / (segments - clean).var(axis=1)
        np.testing.assert_allclose(10 * np.log10(ratio), level, atol=0.05)
    records = small_data.split.validation
    sizes = [len(small_data.cache.rows([record])) for record in records]
    halves_of_rows = score._unit_halves[score._units]
    halves = np.split(halves_of_rows, np.cumsum(sizes)[:-1])
    if len(records) > 1:
        assert all(len(set(half.tolist())) == 1 for half in halves)
    assert set(halves_of_rows.tolist()) == {0, 1}


def test_a_trial_is_scored_once_at_its_end(small_data: SmallData) -> None:
    task = TrainingTask("detector", small_data.cache, small_data.split, TINY)
    values = {"layers": 1, "units_1": 4, "dropout": 0.0, "frame": 16, "direction": "forward", "learning_rate": 0.01}
    spec = TrainingSpec(id="000-r0", epochs=3, hyperparameters={**values, "dense_units": 0, "residual": True})
    told: list[tuple[int, set[str]]] = []
    finished = train(
        task,
        spec,
        options=TrainingOptions.for_search(task),
        seed=1,
        on_progress=lambda epoch, metrics: told.append((epoch, set(metrics))),
    )
    assert finished.result.status == COMPLETED
    assert [epoch for epoch, _ in told] == [1, 2, 3] and told[0][1] == told[1][1] == {"loss"}
    *before, last = finished.result.history
    assert all("val_loss" not in row for row in before)
    assert finished.result.score == last["val_r_peak_error"] and finished.result.best_epoch == 3
