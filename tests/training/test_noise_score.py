"""Tests of the score that ranks denoisers, with networks whose score is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.removals import THRESHOLDS_DB, gains_by_threshold, mean_gain, removal_factors, removal_ratios
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.models.card import DENOISER
from ecg_study.training.scores.noise_score import LEVELS_DB, NOISE_LEFT, NoiseScore
from ecg_study.training.scores.validation_segments import ValidationSegments
from ecg_study.training.task import TrainingTask
from tests.conftest import SmallData
from tests.tiny import TINY


class Network:
    """A network that is a function of the noisy and the clean segments."""

    def __init__(self, score: NoiseScore, apply: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self._clean, self._apply = score._clean[..., np.newaxis], apply

    def predict(self, noisy: np.ndarray) -> np.ndarray:
        return self._apply(noisy, self._clean)


@pytest.fixture(scope="module")
def score(augmented_cache: SegmentCache, small_data: SmallData) -> NoiseScore:
    preset = replace(TINY, denoiser_augmentation=Augmentation(removes_baseline_wander=True))
    task = TrainingTask(DENOISER, augmented_cache, small_data.split, preset)
    assert task.objective == (f"val_{NOISE_LEFT}", "min") and task.score() is not None
    return NoiseScore(task)


def _scored(score: NoiseScore, apply: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    return score(Network(score, apply)).metrics[NOISE_LEFT]  # type: ignore[arg-type]


def test_a_network_that_does_nothing_leaves_all_and_a_perfect_one_hardly_any(score: NoiseScore) -> None:
    assert _scored(score, lambda noisy, _: noisy) == pytest.approx(100)
    # Only small removals are weakened: at 30 dB, -30 dB of the power, by the lowest threshold to a half.
    assert _scored(score, lambda _, clean: clean) < 2
    assert np.isnan(_scored(score, lambda noisy, _: np.full_like(noisy, np.nan)))


def test_half_of_the_noise_amplitude_is_a_quarter_of_its_power(score: NoiseScore) -> None:
    """At the levels at which that is weakened, a little more is left."""
    assert 25 < _scored(score, lambda noisy, clean: (noisy + clean) / 2) < 40


def test_each_subject_has_its_own_score(score: NoiseScore, small_data: SmallData) -> None:
    """The network is perfect in the segments of the first subject, and changes nothing in those of the others."""
    perfect = (score._chosen.subjects == 0)[:, np.newaxis, np.newaxis]
    network = Network(score, lambda noisy, clean: np.where(perfect, clean, noisy))
    by_subject = score(network).by_subject  # type: ignore[arg-type]
    first, *others = small_data.split.validation
    assert list(by_subject) == [first, *others] and others
    assert by_subject[first] < 2
    assert [by_subject[name] for name in others] == pytest.approx([100] * len(others))


def test_harm_costs_more_than_doing_nothing_and_less_with_the_threshold(score: NoiseScore) -> None:
    """What is removed is another part of the ECG, of -14 or -4 dB of its power."""
    slight = _scored(score, lambda noisy, _: noisy - np.float32(0.2) * noisy[:, ::-1])
    great = _scored(score, lambda noisy, _: noisy - np.float32(0.6) * noisy[:, ::-1])
    # Without a threshold, at 30 dB alone: an error of -14 instead of -30 dB, 16 dB, twice, in a mean of six levels.
    assert 100 < slight < 100 * 10 ** (2 * 16 / 6 / 10)
    assert great > 500


def test_the_noise_has_the_levels_of_the_protocol(score: NoiseScore) -> None:
    powers = np.mean(np.square(score._noise), axis=1) / np.mean(np.square(score._clean), axis=1)
    np.testing.assert_allclose(powers, 1, rtol=1e-3)
    assert tuple(level + 6 for level in (24, 18, 12, 6, 0, -6)) == LEVELS_DB


@given(st.floats(0.001, 1), st.floats(0.001, 1), st.floats(0.001, 0.1))
def test_factors_grow_with_what_is_removed(less: float, more: float, threshold: float) -> None:
    less, more = sorted((less, more))
    low, high, half = removal_factors(
        removal_ratios(np.array([less, more, threshold]), np.ones(3)), threshold=threshold
    )
    assert 0 <= low <= high <= 1
    assert half == pytest.approx(0.5)


def test_gains_are_those_of_the_weakened_output() -> None:
    rng = np.random.default_rng(3)
    clean = rng.normal(size=(20, 500))
    noise = rng.normal(size=(20, 500)) * rng.uniform(0.01, 1, (20, 1))
    denoised = clean + 0.3 * noise + 0.05 * rng.normal(size=(20, 500))
    gains = gains_by_threshold(clean, clean + noise, denoised=denoised)
    for decibels, gain in zip(THRESHOLDS_DB, gains, strict=True):
        removed = clean + noise - denoised
        ratio = np.mean(removed**2, axis=1) / np.mean(denoised**2, axis=1)
        factor = (ratio**1.5 / (ratio**1.5 + 10 ** (0.15 * decibels)))[:, np.newaxis]
        left = noise - factor * removed
        assert gain == pytest.approx(10 * np.log10(np.sum(noise**2) / np.sum(left**2)))
    flat = np.zeros((2, 500))
    np.testing.assert_array_equal(gains_by_threshold(flat, flat, denoised=flat), 0)


def test_a_loss_counts_twice_and_each_database_once() -> None:
    """Two recordings of one database and one of another, two levels, one threshold: means of 2 and -1 dB."""
    gains = np.array([[[1.0], [-2.0]], [[3.0], [-2.0]], [[2.0], [0.0]]])
    assert mean_gain(gains, [np.array([0, 1]), np.array([2])])[0] == pytest.approx((2.0 - 2 * 1.0) / 2)


def test_groups_are_the_databases_of_one_half() -> None:
    chosen = ValidationSegments(
        rows=np.arange(8),
        records=np.repeat([0, 1, 2, 3], 2),
        first_half=np.repeat([True, False, True, True], 2),
        databases=np.array([0, 0, 1, 1]),
        subjects=np.repeat([0, 1, 2, 3], 2),
        names=("a", "b", "c", "d"),
    )
    assert [group.tolist() for group in chosen.groups(first=True)] == [[0], [2, 3]]
    assert [group.tolist() for group in chosen.groups(first=False)] == [[1]]
    single = replace(chosen, rows=np.arange(2), records=np.zeros(2, int), databases=np.zeros(1, int))
    single = replace(single, first_half=np.array([True, False]))
    assert [group.tolist() for group in single.groups(first=False)] == [[0]], "both halves are the record"
