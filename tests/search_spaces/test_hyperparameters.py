"""Facts about hyperparameters cover both search spaces."""

from __future__ import annotations

import keras_tuner
import pytest

from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.denoiser import DenoiserSpace
from ecg_study.search_spaces.detector import DetectorSpace
from ecg_study.search_spaces.hyperparameters import (
    HYPERPARAMETERS,
    LEARNING_RATE,
    hyperparameter,
    optional_hyperparameters,
)

FULL = PRESETS["thorough"]


@pytest.mark.parametrize(
    "space",
    [
        DenoiserSpace(FULL.denoiser, 2016),
        DetectorSpace(FULL.detector, 2016, window_samples=144, refractory_samples=72),
    ],
    ids=["denoiser", "detector"],
)
def test_every_hyperparameter_of_a_space_has_facts(space: keras_tuner.HyperModel) -> None:
    declared = keras_tuner.HyperParameters()
    space.configure(declared)
    for item in declared.space:
        facts = hyperparameter(item.name)
        assert facts.name == item.name
        assert item.name in HYPERPARAMETERS or item.name.startswith("units_")
        assert (facts.scale == "log") == (getattr(item, "sampling", None) == "log")


def test_facts_of_single_hyperparameters() -> None:
    assert hyperparameter("units_3").minimum == HYPERPARAMETERS["units"].minimum == 1
    assert hyperparameter(LEARNING_RATE).minimum is None and hyperparameter(LEARNING_RATE).above == 0
    assert hyperparameter("unknown").scale == "linear" and hyperparameter("unknown").minimum is None
    absent: dict[str, int | str] = {"gate": False, "loss_power": 0, "filters": 0}
    absent |= {"augmentation": "clean", "snr_shift_db": 0, "database_balance": 0}
    assert optional_hyperparameters() == absent
