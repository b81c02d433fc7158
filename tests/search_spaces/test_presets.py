"""Presets: built in and from files."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from ecg_study.errors import SettingsError
from ecg_study.inference.loading import find_model
from ecg_study.models.card import DENOISER, DETECTOR, read_card
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.hyperparameters import LEARNING_RATE, hyperparameter
from ecg_study.search_spaces.preset_files import load_preset, save_preset
from ecg_study.search_spaces.presets import HyperparameterRanges


@pytest.mark.parametrize("name", PRESETS)
def test_a_saved_preset_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    assert load_preset(name) is PRESETS[name]
    path = tmp_path / "mine.toml"
    save_preset(PRESETS[name], path)
    assert load_preset(path) == PRESETS[name]
    renamed = replace(PRESETS[name], name="mine", seeds=7)
    save_preset(renamed, path)
    assert load_preset(str(path)) == renamed


def test_built_in_presets_are_read_only() -> None:
    with pytest.raises(TypeError):
        PRESETS["quick"] = PRESETS["thorough"]  # type: ignore[index]


@pytest.mark.parametrize(("smaller", "larger"), [("standard", "robust"), ("robust", "thorough")])
@pytest.mark.parametrize("kind", [DENOISER, DETECTOR])
def test_a_larger_preset_has_the_ranges_of_a_smaller_one(smaller: str, larger: str, kind: str) -> None:
    """So the best configurations of a smaller study fit a warm start."""
    inner, outer = (getattr(PRESETS[name], kind) for name in (smaller, larger))
    for item in fields(HyperparameterRanges):
        few, many = getattr(inner, item.name), getattr(outer, item.name)
        if item.name == LEARNING_RATE:
            assert many[0] <= few[0] and few[1] <= many[1]
        else:
            assert set(few) <= set(many), item.name


@pytest.mark.parametrize("preset", ["standard", "robust", "thorough"])
@pytest.mark.parametrize("model", ["gru-detector", "lstm-denoiser"])
def test_the_pretrained_networks_are_in_the_ranges(model: str, preset: str) -> None:
    """Each of these presets can start from the pretrained models."""
    card = read_card(find_model(model))
    ranges = getattr(PRESETS[preset], card.model_kind)
    units = {name for name in card.hyperparameters if name.startswith("units_")}
    assert len(units) == card.hyperparameters["layers"]
    for name, value in card.hyperparameters.items():
        if hyperparameter(name).network:
            assert value in getattr(ranges, "units" if name in units else name), name


def test_a_file_with_a_base_gives_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(
        'base = "long"\nseeds = 2\nsegments_per_epoch = "none"\ndetector_augmentation = "none"\n'
        "[denoiser]\nunits = [8]\nlearning_rate = [1e-3, 1]\n[denoiser_augmentation]\nremoves_baseline_wander = false\n"
    )
    long, made = PRESETS["long"], load_preset(path)
    assert made.name == "small" and made.summary == "read from small.toml"
    assert long.denoiser_augmentation is not None
    assert made == replace(
        long,
        name="small",
        summary="read from small.toml",
        seeds=2,
        segments_per_epoch=None,
        denoiser=replace(long.denoiser, units=(8,), learning_rate=(1e-3, 1.0)),
        denoiser_augmentation=replace(long.denoiser_augmentation, removes_baseline_wander=False),
        detector_augmentation=None,
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seeds = 2", "max_epochs: missing"),
        ('base = "quik"', "base: 'quik' is not one of quick, standard, robust"),
        ('base = "quick"\nseed = 1', "seed: unknown key; did you mean 'seeds'?"),
        ('base = "quick"\n[denoiser]\nunit = [1]', "denoiser.unit: unknown key; did you mean 'units'?"),
        ('base = "quick"\n[detector_augmentation]\nxyz = 1', "detector_augmentation.xyz: unknown key; known keys: "),
        ('base = "quick"\nseeds = "2"', "seeds: '2': input should be a valid integer"),
        ('base = "quick"\nseeds = true', "seeds: True: input should be a valid integer"),
        ('base = "quick"\nseeds = 1.5', "seeds: 1.5: input should be a valid integer"),
        ('base = "quick"\nseeds = 0', "seeds: 0: input should be greater than or equal to 1"),
        ('base = "quick"\nmax_epochs = 1000000000', "input should be less than or equal to 10000"),
        ('base = "quick"\nfactor = 1', "factor: 1: input should be greater than or equal to 2"),
        ('base = "quick"\nseeds = "none"', "seeds: None: input should be a valid integer"),
        ('base = "quick"\nschedule = "step"', "schedule: 'step': input should be 'plateau' or 'cosine'"),
        ('base = "quick"\ndenoiser = 3', "denoiser: 3: "),
        ('base = "quick"\n[denoiser]\nunits = []', "denoiser.units: []: tuple should have at least 1 item"),
        ('base = "quick"\n[denoiser]\ndropout = [1.0]', "denoiser.dropout.0: 1.0: input should be less than 1"),
        ('base = "quick"\n[denoiser]\ndirection = ["back"]', "denoiser.direction.0: 'back': input should be 'forward'"),
        ('base = "quick"\n[denoiser]\nlearning_rate = [1e-2, 1e-3]', "must be in ascending order"),
        ('base = "quick"\n[denoiser]\nlearning_rate = [1e-2]', "denoiser.learning_rate.1: "),
        ('base = "quick"\n[denoiser]\nlearning_rate = [1e-3, nan]', "denoiser.learning_rate.1: nan: "),
        (
            'base = "quick"\n[denoiser_augmentation]\nhum_probability = -1',
            "hum_probability: -1.0 must be from 0 to 1",
        ),
        (
            'base = "quick"\n[denoiser_augmentation]\nmax_time_stretch = -1',
            "-1.0 must not be negative",
        ),
        ('base = "quick"\n[denoiser_augmentation]\npause_range_s = [2, 1]', "must be in ascending order"),
        ('base = "quick"\nname = "full"', "name: 'full' is a built-in preset; choose another name"),
        ("seeds =", "not a TOML file (Invalid value"),
    ],
)
def test_a_mistake_in_a_file_is_named_in_one_line(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_preset(path)
    message = str(caught.value)
    assert message.startswith(f"preset: {path}: {problem}") or problem in message
    assert "\n" not in message
    assert caught.value.field == "preset" and caught.value.parameters == ("preset",)


def test_an_unknown_preset_or_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"preset: 'huge' is neither quick, standard, robust, .* nor the path of a"):
        load_preset("huge")
    with pytest.raises(SettingsError, match=r"mine\.toml: file not found"):
        load_preset(tmp_path / "mine.toml")
