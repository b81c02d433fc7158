"""The verb train: configuration, errors, and a model that the other verbs use."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import study
from ecg_study.errors import SettingsError
from ecg_study.evaluation.results.long_training import AVERAGED, LongTraining
from ecg_study.inference.loading import load_detector
from ecg_study.models.card import read_card
from ecg_study.reports.plots.training import plot_long_training
from ecg_study.training.steps import recorder
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.state import load_search, search_directory
from ecg_study.workflows.training import train_model
from ecg_study.workflows.training.configuration import (
    choose_hyperparameters,
    parse_hyperparameters,
    searched_hyperparameters,
)
from tests.conftest import SmallData
from tests.tiny import ONE_CONFIGURATION, TINY


@pytest.fixture
def options(small_options: list[str], one_configuration: Path, tmp_path: Path) -> list[str]:
    """The verb with a preset of one configuration and an empty output folder."""
    given = [*small_options[:-4], "--preset", str(one_configuration), "--output-dir", str(tmp_path / "out")]
    return ["train", *given, "--model-kind", "detector"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["layers=2", "units_1 = 64"], {"layers": 2, "units_1": 64}),
        (
            ["learning_rate=4e-3", "residual=True", "direction=both"],
            {"learning_rate": 4e-3, "residual": True, "direction": "both"},
        ),
        ([], {}),
    ],
)
def test_hyperparameters_are_read_from_text(words: list[str], found: dict[str, Any]) -> None:
    read = parse_hyperparameters(words)
    assert read == found
    assert [type(value) for value in read.values()] == [type(value) for value in found.values()]


@pytest.mark.parametrize("words", [["layers"], ["=2"], ["layers="], ["layers=1", "layers=2"]])
def test_other_text_is_refused(words: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"name=value|given twice"):
        parse_hyperparameters(words)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, r"'tiny' has several values of 'layers' \(1, 2\); .*; choose one of each with hyperparameters"),
        ({"layers": 1, "units_2": 4}, "'units_2' is for a model of 2 or more layers, but layers is 1"),
        ({"layers": 1, "unit_1": 4}, "'unit_1' is not one of layers, .*; did you mean 'units_1'"),
        ({"unit": 4}, "'unit' is not one of"),
        ({"layers": 0}, "layers: 0 is not at least 1"),
        ({"layers": "two"}, "layers: 'two' is not an integer"),
        ({"layers": True}, "layers: True is not an integer"),
        ({"dropout": 1.0}, "dropout: 1.0 is not below 1"),
        ({"learning_rate": 0}, "learning_rate: 0 is not above 0"),
        ({"learning_rate": float("nan")}, "learning_rate: nan is not above 0"),
        ({"direction": "backward"}, "direction: 'backward' is not forward or both"),
    ],
)
def test_a_missing_or_impossible_hyperparameter_is_named(given: Mapping[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        choose_hyperparameters(TINY, given, model_kind="detector", segment_samples=720)


@pytest.mark.parametrize("model_kind", ["denoiser", "detector"])
@pytest.mark.parametrize("layers", [1, 3])
def test_other_numbers_of_layers_than_in_the_preset_can_be_built(
    small_data: SmallData, model_kind: str, layers: int
) -> None:
    ranges = replace(getattr(ONE_CONFIGURATION, model_kind), layers=(2,))
    preset = replace(ONE_CONFIGURATION, **{model_kind: ranges})
    given = {"layers": layers, "units_1": 5, "frame": 16}
    chosen = choose_hyperparameters(preset, given, model_kind=model_kind, segment_samples=720)
    model = TrainingTask(model_kind, small_data.cache, small_data.split, preset).build(chosen)
    recurrent = [layer for layer in model.layers if isinstance(layer, (keras.layers.GRU, keras.layers.LSTM))]
    assert [layer.units for layer in recurrent] == [5, 6, 6][:layers]


def test_a_frame_must_divide_the_segment() -> None:
    with pytest.raises(SettingsError, match=r"segment_samples \(720\) is not a multiple of frame = 7"):
        choose_hyperparameters(ONE_CONFIGURATION, {"frame": 7}, model_kind="detector", segment_samples=720)


def test_the_best_trial_of_a_search_gives_the_hyperparameters(tiny_study: Path) -> None:
    best = load_search(search_directory(tiny_study, "detector")).best()
    assert searched_hyperparameters(tiny_study, "detector") == best.spec.hyperparameters


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "--hours: choose --segments or --epochs or --hours, exactly one of them"),
        (["--hours", "1", "--epochs", "2"], "exactly one of them"),
        (["--hours", "0"], "--hours: '0' is not a positive number"),
        (["--segments", "1e6"], "--segments: '1e6' is not a positive integer"),
        (["--epochs", "1", "--ema", "1"], "--ema: '1' is not a number from 0 to below 1"),
        (["--epochs", "1", "--hyperparameters", "layers"], "--hyperparameters: 'layers' is not of the form name=value"),
        (["--epochs", "1", "--hyperparameters", "layer=2"], "did you mean 'layers'?"),
        (["--epochs", "1", "--preset", "quick"], "choose one of each with --hyperparameters"),
        (
            ["--epochs", "1", "--hyperparameters", "learning_rate=0"],
            "--hyperparameters: learning_rate: 0 is not above 0",
        ),
        (["--epochs", "1", "--from-search", "nowhere"], "no search found"),
    ],
)
def test_errors_are_one_line(
    more: list[str],
    says: str,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prepare(*_: object, **__: object) -> None:
        pytest.fail("an hour of preparation comes before the error")

    monkeypatch.setattr(train_model, "prepare_data", prepare)
    assert study.main([*options, *more]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and says in lines[0]
    assert not (tmp_path / "out").exists()


def _history(out: Path) -> list[dict[str, str]]:
    with open(out / "train" / "detector" / "history.csv", encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def _summary(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "train" / "detector" / "training.json").read_text())
    return {name: value for name, value in found.items() if name != "seconds"}


@pytest.mark.slow
def test_a_training_writes_a_model_and_can_be_extended(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert study.main([*options, "--epochs", "2", "--ema", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "layers 1, dropout 0, frame 16" in said and "Kept: " in said and "Thresholds: R peak " in said
    first = _history(out)
    assert [row["epoch"] for row in first] == ["1", "2"]
    assert {"segments", "loss", "val_loss", "val_window_pr_auc", "averaged_val_loss"} <= first[0].keys()

    card = read_card(out / "models" / "detector")
    assert card.preset == "one" and card.thresholds and card.data["training"]["segments"] == int(first[-1]["segments"])
    assert set(card.data["signals"]) == {*card.data["records"]["train"], *card.data["records"]["validation"]}
    assert "The test records were not used" in (out / "models" / "detector" / "CARD.md").read_text()
    load_detector(out / "models" / "detector")

    assert (out / "train" / "detector" / "history.png").read_bytes().startswith(b"\x89PNG")
    before = _summary(out)
    assert study.main([*options, "--epochs", "2", "--ema", "0.5"]) == 0
    assert _summary(out) == before, "nothing is trained again"
    assert study.main([*options, "--segments", "300", "--validate-every", "50", "--ema", "0.5"]) == 2
    assert "the saved training used validate every = null, but" in capsys.readouterr().err
    assert study.main([*options, "--epochs", "1", "--ema", "0.5"]) == 2
    done = int(first[-1]["segments"])
    problem = f"--epochs: a budget of 1 epoch ends after {done // 2:,} segments, but {done:,} are trained already"
    assert problem in capsys.readouterr().err
    assert study.main([*options, "--epochs", "2", "--ema", "0.5", "--seed", "9"]) == 2
    assert "the saved training used seed = 1, but seed = 9 was requested" in capsys.readouterr().err
    assert study.main([*options, "--epochs", "2", "--ema", "0.5", "--hyperparameters", "learning_rate=0.02"]) == 2
    assert 'used hyperparameters = {"learning_rate": ' in capsys.readouterr().err
    assert study.main([*options, "--epochs", "2", "--ema", "0.5", "--window-samples", "72"]) == 2
    assert "the saved training used other records, or other settings of their segments" in capsys.readouterr().err
    assert study.main([*options, "--epochs", "3", "--ema", "0.25"]) == 2
    assert 'the saved training used optimizer = {"weight_average": 0.5}, but' in capsys.readouterr().err

    assert study.main([*options, "--epochs", "3", "--ema", "0.5"]) == 0
    assert _history(out)[:2] == first and len(_history(out)) == 3
    summary = _summary(out)
    assert read_card(out / "models" / "detector").data["training"]["segments"] == summary["segments"]
    last = _history(out)[-1]  # of a cosine schedule
    assert summary["loss"] == pytest.approx(min(float(last["val_loss"]), float(last["averaged_val_loss"])))

    state = out / "train" / "detector" / "state.npz"
    state.write_bytes(state.read_bytes()[:-1000])
    assert study.main([*options, "--epochs", "3", "--ema", "0.5"]) == 2
    assert "the file is damaged, so the training cannot resume; pass --restart" in capsys.readouterr().err
    assert study.main([*options, "--segments", "100", "--validate-every", "50", "--restart"]) == 0
    assert [row["segments"] for row in _history(out)] == ["64", "128"]
    assert len(list((out / "train").glob("detector.before-*"))) == 1


@pytest.mark.slow
def test_a_refit_uses_the_validation_records_and_the_thresholds_of_a_validated_model(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validated, refitted = tmp_path / "out", tmp_path / "refitted"
    model = str(validated / "models" / "detector")
    assert study.main([*options, "--epochs", "1"]) == 0
    assert "; 10 records, 3 for validation" in capsys.readouterr().out
    again = [*options, "--output-dir", str(refitted), "--epochs", "2", "--ema", "0.5"]
    assert study.main([*again, "--refit", model]) == 0
    assert "; 13 records, none for validation" in capsys.readouterr().out
    before, card = read_card(Path(model)), read_card(refitted / "models" / "detector")
    assert card.thresholds == before.thresholds
    assert card.data["training"]["refit"] and not before.data["training"]["refit"]
    assert card.metrics.keys() == {"training"}
    assert "with a model that was not trained on them" in (refitted / "models" / "detector" / "CARD.md").read_text()
    rows = _history(refitted)
    assert [row["epoch"] for row in rows] == ["1", "2"] and "val_loss" not in rows[0]
    assert int(rows[0]["segments"]) > int(_history(validated)[0]["segments"])

    for more, says in (
        (["--refit", str(refitted / "models" / "detector")], "was trained on the validation records itself"),
        (["--refit", model, "--hyperparameters", "units_1=7"], 'has hyperparameters = {"units_1": 6}, but'),
        (["--refit", str(tmp_path / "nowhere")], "not found; a model folder has"),
        (["--refit", model, "--seed", "5"], "the model has other train records than this training"),
    ):
        assert study.main([*again, *more]) == 2
        error = capsys.readouterr().err
        assert says in error and len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_training_can_start_from_a_model(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "out" / "models" / "detector"
    assert study.main([*options, "--epochs", "3"]) == 0
    again = [*options, "--output-dir", str(tmp_path / "again"), "--epochs", "1", "--start-from", str(model)]
    assert study.main(again) == 0
    first, later = _history(tmp_path / "out")[0], _history(tmp_path / "again")[0]
    assert float(later["val_loss"]) < float(first["val_loss"]), "it goes on where the model was"
    card = read_card(tmp_path / "again" / "models" / "detector")
    origin = card.data["fine_tuned_from"]
    assert origin["sha256"] == hashlib.sha256((model / "model.keras").read_bytes()).hexdigest()
    assert origin["data"]["records"] == read_card(model).data["records"] and "signals" not in origin["data"]
    page = (tmp_path / "again" / "models" / "detector" / "CARD.md").read_text()
    assert "Training started from the weights of another model" in page
    assert study.main(again[:-2]) == 2, "a saved training that started from a model"
    assert 'the saved training used start from = "' in capsys.readouterr().err
    other = [*options, "--output-dir", str(tmp_path / "other"), "--epochs", "1"]
    for more, says in (
        (["--start-from", "gru-detector"], "--start-from: the layers of"),
        (["--start-from", "lstm-denoiser"], "is a denoiser, and a detector is trained"),
        (["--start-from", "nowhere"], "nowhere"),
        (["--start-from", str(model), "--seed", "5"], "the model was trained on these records"),
    ):
        assert study.main([*other, *more]) == 2
        error = capsys.readouterr().err
        assert says in error and len(error.splitlines()) == 1


def test_the_model_of_a_study_is_not_replaced(
    options: list[str], tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tiny_study / "models" / "detector" / "card.json").read_bytes()
    assert study.main([*options, "--epochs", "1", "--output-dir", str(tiny_study)]) == 2
    problem = (
        "models/detector is a model of a study, and a training would replace it; set --output-dir to another folder"
    )
    assert problem in capsys.readouterr().err
    assert (tiny_study / "models" / "detector" / "card.json").read_bytes() == before
    assert not (tiny_study / "train").exists()


def test_the_plot_of_a_training_shows_what_its_history_has() -> None:
    history: list[dict[str, float]] = [
        {"epoch": 1, "segments": 1e6, "loss": 3.0, "val_loss": 4.0, "val_relative_log_error": 4.0},
        {"epoch": 2, "segments": 2e6, "loss": 2.0, "val_loss": 3.0, "val_relative_log_error": 3.0},
    ]
    made = LongTraining(
        *("denoiser", "mitdb", {}, "long", {}, 1, "2,000,000 segments", 2_000_000, 1.0, 1_000_000),
        *(False, False, False, 3.0),
        objective=("val_relative_log_error", 3.0),
        history=history,
        thresholds={},
    )
    losses, metric = plot_long_training(made).axes
    assert losses.get_ylabel() == metric.get_ylabel() == "mean of ln(1 + 10⁵ MSE / signal power)"
    assert [line.get_label() for line in losses.lines] == ["training loss", "validation loss", "weights kept"]
    np.testing.assert_array_equal(losses.lines[1].get_xydata(), [[1.0, 4.0], [2.0, 3.0]])
    assert np.unique(losses.lines[2].get_xdata()) == 1.0


def test_averaged_weights_have_one_name() -> None:
    assert AVERAGED == recorder.AVERAGED


@pytest.mark.slow
def test_a_training_in_hours_ends_on_time(options: list[str], tmp_path: Path) -> None:
    hours = 0.002
    assert study.main([*options, "--hours", str(hours)]) == 0
    summary = json.loads((tmp_path / "out" / "train" / "detector" / "training.json").read_text())
    assert 0.5 * 3600 * hours < summary["seconds"] < 3600 * hours + 2
    assert summary["history"][-1]["learning_rate"] < 0.002, "the schedule follows the clock"


@pytest.mark.parametrize(("name", "value"), [("layers", 10**9), ("units_1", 10**7), ("dense_units", 10**7)])
def test_a_hyperparameter_that_no_memory_holds_is_refused(name: str, value: int) -> None:
    from ecg_study.workflows.training import configuration

    with pytest.raises(SettingsError, match=f"{name}: {value} is not at most"):
        configuration._checked(name, value)
