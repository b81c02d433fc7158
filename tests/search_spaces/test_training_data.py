"""Tests of the hyperparameters of the training data: they change what is trained on, and nothing else."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import keras_tuner
import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.errors import SettingsError
from ecg_study.models.card import MODEL_KINDS
from ecg_study.search_spaces.preset_files import load_preset, save_preset
from ecg_study.search_spaces.training_data import STRENGTHS, TrainingData
from ecg_study.training.final_training import training_conditions
from ecg_study.training.specs import TrainingOptions, TrainingSpec
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.tuning.start import search_identity
from ecg_study.workflows.training.configuration import choose_hyperparameters
from tests.conftest import SmallData
from tests.tiny import ONE_CONFIGURATION, TINY

SEARCHED = replace(
    TINY,
    name="searched",
    denoiser_augmentation=Augmentation(),
    detector_augmentation=Augmentation(),
    denoiser=replace(TINY.denoiser, snr_shift_db=(0.0, 6.0)),
    detector=replace(
        TINY.detector, augmentation=("clean", "wearable"), snr_shift_db=(-6.0, 0.0), database_balance=(0.0, 1.0)
    ),
)


def test_spaces_have_only_those_that_vary(small_data: SmallData) -> None:
    def names(kind: str, preset: object) -> set[str]:
        declared = keras_tuner.HyperParameters()
        TrainingTask(kind, small_data.cache, small_data.split, preset).space().configure(declared)  # type: ignore[arg-type]
        return {item.name for item in declared.space}

    added = {kind: names(kind, SEARCHED) - names(kind, TINY) for kind in MODEL_KINDS}
    assert added == {"denoiser": {"snr_shift_db"}, "detector": {"augmentation", "snr_shift_db", "database_balance"}}


def test_a_strength_replaces_values_and_a_shift_moves_the_noise() -> None:
    given = Augmentation(pause_probability=0.1)
    changed = TrainingData("wearable", snr_shift_db=-6.0).applied_to(given)
    assert changed.snr_range_db == (-14.0, 9.0)
    assert (changed.artifact_probability, changed.pause_probability) == (0.35, 0.1)
    assert TrainingData().applied_to(given) == given
    assert [STRENGTHS[name].get("artifact_probability", 0) for name in STRENGTHS] == [0, 0.15, 0.35]


def test_the_share_of_a_database_lies_between_its_size_and_one_of_all() -> None:
    segments = {"a": 900, "b": 100}
    assert TrainingData().shares(segments) == {"a": 0.9, "b": pytest.approx(0.1)}
    assert TrainingData(database_balance=1.0).shares(segments) == {"a": 0.5, "b": 0.5}
    assert TrainingData(database_balance=0.5).shares(segments) == pytest.approx({"a": 0.75, "b": 0.25})


@drawn(st.dictionaries(st.text(max_size=3), st.integers(1, 10**6), min_size=1), st.floats(0, 1))
def test_shares_are_in_the_order_of_the_sizes(segments: dict[str, int], balance: float) -> None:
    shares = TrainingData(database_balance=balance).shares(segments)
    assert sum(shares.values()) == pytest.approx(1)
    order = sorted(segments, key=segments.__getitem__)
    assert all(shares[a] <= shares[b] * (1 + 1e-9) for a, b in itertools.pairwise(order))


def test_a_trial_trains_with_its_strength_but_is_validated_as_all(
    augmented_cache: SegmentCache, small_data: SmallData
) -> None:
    task = TrainingTask("detector", augmented_cache, small_data.split, SEARCHED)
    clean, wearable, shifted = (
        task.training_stream(1, hyperparameters=given).batch(0)[0]
        for given in ({"augmentation": "clean"}, {"augmentation": "wearable"}, {"snr_shift_db": -6.0})
    )
    plain = TrainingTask("detector", augmented_cache, small_data.split, replace(SEARCHED, detector=TINY.detector))
    np.testing.assert_array_equal(clean, plain.training_stream(1).batch(0)[0])
    assert (wearable != clean).any() and (shifted != clean).any()
    np.testing.assert_array_equal(task.validation_batches()[0][0], plain.validation_batches()[0][0])


def test_the_augmentation_of_a_trial_is_part_of_what_is_stored(
    augmented_cache: SegmentCache, small_data: SmallData
) -> None:
    task = TrainingTask("detector", augmented_cache, small_data.split, SEARCHED)
    given = {"augmentation": "ambulatory"}
    assert augmentation_as_json(task, given)["augmentation"]["artifact_probability"] == 0.15
    spec = TrainingSpec(id="x", epochs=1, hyperparameters=given)
    conditions = training_conditions(task, spec, options=TrainingOptions(keep="last"), seed=1)
    assert conditions["augmentation"] == augmentation_as_json(task, given)["augmentation"]
    assert search_identity(task, seed=1, warm_start="")["strengths"] == {"wearable": dict(STRENGTHS["wearable"])}


def test_databases_are_shown_by_their_share(augmented_cache: SegmentCache, small_data: SmallData) -> None:
    first, *others = small_data.split.train
    names = {first: "b/" + first} | {name: "a/" + name for name in others}
    renamed = replace(
        augmented_cache,
        entries=tuple(
            replace(entry, record=names.get(entry.record, entry.record)) for entry in augmented_cache.entries
        ),
    )
    split = replace(small_data.split, train=tuple(names.values()), subjects={})
    task = TrainingTask("detector", renamed, split, SEARCHED)
    rows = set(renamed.rows([names[first]], include_training_only=True).tolist())

    def share(balance: float) -> float:
        stream = task.training_stream(1, hyperparameters={"database_balance": balance})
        shown = np.concatenate([stream.rows(step) for step in range(stream.batches_per_epoch)])
        return float(np.isin(shown, list(rows)).mean())

    alone = len(rows) / task.training_stream(1).segments_per_epoch
    assert [share(0.0), share(1.0)] == [pytest.approx(alone), pytest.approx(0.5, abs=0.01)]
    assert alone < share(0.5) < 0.5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[detector]\naugmentation = ["wearable"]',
            "detector.augmentation: ['wearable']: needs the table detector",
        ),
        ("[denoiser]\nsnr_shift_db = [3.0]", "denoiser.snr_shift_db: [3.0]: needs the table denoiser_augmentation"),
        ('[detector]\naugmentation = ["strong"]', "detector.augmentation.0: 'strong'"),
        ("[detector]\ndatabase_balance = [1.5]", "detector.database_balance.0: 1.5"),
    ],
)
def test_impossible_ranges_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(f'base = "quick"\n{text}\n')
    with pytest.raises(SettingsError) as refused:
        load_preset(tmp_path / "mine.toml")
    assert problem in str(refused.value)


def test_a_denoiser_has_no_strengths(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "robust"\n[denoiser]\naugmentation = ["clean", "wearable"]\n')
    with pytest.raises(SettingsError, match="only the detector has other strengths than 'clean'"):
        load_preset(tmp_path / "mine.toml")
    save_preset(SEARCHED, tmp_path / "searched.toml")
    assert load_preset(tmp_path / "searched.toml") == SEARCHED


def test_a_training_takes_them_only_if_they_are_given() -> None:
    augmented = replace(ONE_CONFIGURATION, detector_augmentation=Augmentation())

    def chosen(**values: object) -> dict[str, object]:
        return choose_hyperparameters(augmented, values, model_kind="detector", segment_samples=720)

    assert "augmentation" not in chosen() and "snr_shift_db" not in chosen()
    assert chosen(augmentation="wearable", snr_shift_db=-3)["augmentation"] == "wearable"
    for given, problem in (
        ({"augmentation": "strong"}, "augmentation: 'strong' is not one of clean, ambulatory, wearable"),
        ({"snr_shift_db": "low"}, "snr_shift_db: 'low' is not a number"),
        ({"database_balance": 2}, "database_balance: 2 is not at most 1"),
    ):
        with pytest.raises(SettingsError, match=problem):
            chosen(**given)
    with pytest.raises(SettingsError, match="'augmentation' is not one of"):
        choose_hyperparameters(
            ONE_CONFIGURATION, {"augmentation": "wearable"}, model_kind="detector", segment_samples=720
        )
