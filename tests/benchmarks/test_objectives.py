"""How the benchmark of objectives judges trained models, and compares scores with that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.objectives import judge_denoiser, spearman
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.harm import HARM_LEVELS
from ecg_study.inference.denoiser import Denoiser
from tests.evaluation.test_removal_threshold import Shrinks, example_leads, fast_noise
from tests.inference.test_denoiser import FILTERED, Smooth


class Nothing(Smooth):
    """A model that changes nothing."""

    def run(self, segments: np.ndarray) -> np.ndarray:
        return segments


def test_a_denoiser_that_changes_nothing_leaves_all_of_the_noise() -> None:
    model = CachedModel(Denoiser(replace(FILTERED, thresholds={}), Nothing()))
    assert judge_denoiser(model, example_leads(), noise=fast_noise()) == pytest.approx(100, abs=0.01)


def test_harm_counts_twice() -> None:
    """A model that takes 5 % of everything leaves 0.05² of the ECG as error, and 0.95² of the noise."""
    model = CachedModel(Denoiser(replace(FILTERED, thresholds={}), Shrinks()))
    noise = 10 ** (-np.array(HARM_LEVELS) / 10)
    gains = -10 * np.log10((0.05**2 + 0.95**2 * noise) / noise)
    expected = 100 * 10 ** (-np.where(gains < 0, 2 * gains, gains).mean() / 10)
    assert judge_denoiser(model, example_leads(), noise=fast_noise()) == pytest.approx(expected, rel=0.02)


def test_the_rank_correlation_has_an_interval() -> None:
    scores = np.array([1.0, 2.0, 3.0, 5.0, 8.0])
    assert spearman(scores, scores**2, seed=1) == pytest.approx((1, 1, 1))
    value, low, high = spearman(scores, np.array([2.0, 1.0, 3.0, 4.0, 5.0]), seed=1)
    assert value == pytest.approx(1 - 6 * 2 / (5 * 24))  # 1 - 6 Σd² / (n (n² - 1))
    assert low < value <= high == pytest.approx(1)
