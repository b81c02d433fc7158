"""Tests of the choice of a denoiser's threshold for small removals."""

from __future__ import annotations

import numpy as np
import pytest

from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.thresholds import choose_thresholds
from ecg_study.inference.denoiser import Denoiser
from ecg_study.models.runtimes import Runtime
from tests.inference.test_denoiser import DENOISER, FILTERED, Smooth

FS = 360.0


class Shrinks(Smooth):
    """A model that only makes everything smaller by 5 %."""

    def run(self, segments: np.ndarray) -> np.ndarray:
        return np.asarray(0.95 * segments, np.float32)


def example_leads() -> list[EvaluationLead]:
    at = np.arange(60 * 360) / FS
    slow = [np.sin(2 * np.pi * frequency * at) for frequency in (1.5, 2.0, 2.5)]
    names = ("mitdb/1", "mitdb/2", "qtdb/1")
    return [
        EvaluationLead(name, "II", FS, lead, lead, np.arange(0), ()) for name, lead in zip(names, slow, strict=True)
    ]


def fast_noise() -> NoiseSource:
    """Return noise of 40 Hz, which the moving mean of nine samples removes."""
    wave = np.sin(2 * np.pi * 40 * np.arange(60 * 360) / FS)[:, np.newaxis].astype(np.float32)
    return NoiseSource({name: [wave] for name in ("bw", "em", "ma")})


@pytest.mark.parametrize(("runtime", "at_least", "at_most"), [(Smooth(), -30, -30), (Shrinks(), -25, -10)])
def test_a_good_model_gets_the_lowest_threshold_and_a_harmful_one_a_high_one(
    runtime: Runtime, at_least: int, at_most: int
) -> None:
    """The moving mean takes 0.7 % of the slow waves: −44 dB, below the noise at every level.

    A model that takes 5 % removes −25.6 dB of the power that is left, whatever the noise.
    """
    model = CachedModel(Denoiser(FILTERED, runtime))
    found = choose_thresholds(model, example_leads(), noise=fast_noise(), seed=1)
    assert list(found) == ["removed_power"]
    assert at_least - 0.01 < 10 * np.log10(found["removed_power"]) < at_most + 0.01
    assert found == choose_thresholds(model, example_leads(), noise=fast_noise(), seed=1), (
        "the same seed, the same threshold"
    )


def test_each_database_counts_the_same() -> None:
    """Two leads of one database and one of another; with another order, the means are the same."""
    model = CachedModel(Denoiser(FILTERED, Smooth()))
    assert choose_thresholds(model, example_leads(), noise=fast_noise(), seed=1) == choose_thresholds(
        model, example_leads()[::-1], noise=fast_noise(), seed=1
    )


def test_there_is_no_threshold_without_a_high_pass_or_without_recorded_noise() -> None:
    assert (
        choose_thresholds(CachedModel(Denoiser(DENOISER, Smooth())), example_leads(), noise=fast_noise(), seed=1) == {}
    )
    assert choose_thresholds(CachedModel(Denoiser(FILTERED, Smooth())), example_leads(), noise=None, seed=1) == {}
