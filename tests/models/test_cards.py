"""Tests of model cards from strangers: validated, bounded in size and depth, and listed without hiding other models."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from ecg_study.cli.model_list import model_lines
from ecg_study.errors import ModelError
from ecg_study.inference.loading import PRETRAINED_DIR, find_model, list_models, load_model
from ecg_study.models.calibration import Calibration
from ecg_study.models.card import ModelCard, card_content, read_card
from tests.models.model_files import copy_pretrained, edit_card
from tests.tiny import ROOT

PEAKS = "test, R peaks within 150 ms"
STORED = sorted((*PRETRAINED_DIR.glob("*/card.json"), *(ROOT / "tests" / "fixtures").glob("*/models/*/card.json")))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return copy_pretrained(tmp_path / "models" / "own")


def listed(model: Path) -> list[str]:
    return model_lines(list_models(model.parent))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parents[2].name}-{path.parent.name}")
def test_a_stored_card_keeps_all_its_values(path: Path) -> None:
    stored = json.loads(path.read_text(encoding="utf-8"))
    card = read_card(path.parent)
    assert all(item in str(card) for item in re.findall(r"\d\.\d{5,}", path.read_text(encoding="utf-8")))
    if stored["format"] >= 4:
        content = card_content(card, stored["sha256"])
        if stored["format"] == 4:
            assert content.pop("highpass_hz") is None
        for added in {"baseline_window_s", "calibration"} - set(stored):
            assert content.pop(added) is None
        assert content | {"format": stored["format"]} == stored


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"baseline_wander": "kept", "highpass_hz": 0.5}, "only for a denoiser that removes baseline wander"),
        ({"baseline_wander": "removed", "highpass_hz": 0.67}, "highpass_hz: Input should be less than or equal to 0.5"),
    ],
)
def test_only_the_high_pass_filter_of_the_program_is_accepted(changes: dict[str, Any], says: str, model: Path) -> None:
    edit_card(model, format=5, **changes)
    with pytest.raises(ModelError, match=says):
        read_card(model)


@pytest.mark.parametrize(
    ("kind", "seconds", "says"),
    [
        ("denoiser", 0.4, "only for a detector"),
        ("detector", 5.0, "less than or equal to 2"),
        ("detector", True, "valid number"),
    ],
)
def test_only_a_detector_subtracts_a_moving_average(kind: str, seconds: Any, says: str, tmp_path: Path) -> None:
    source = PRETRAINED_DIR / {"denoiser": "lstm-denoiser", "detector": "gru-detector"}[kind]
    edit_card(copy_pretrained(tmp_path / "own", source.name), baseline_window_s=seconds)
    with pytest.raises(ModelError, match=says):
        read_card(tmp_path / "own")


CALIBRATION = {"a": 0.2, "b": 3.9, "c": -0.4, "error": 0.01, "r_peaks": 1000}


def test_a_calibration_is_kept(tmp_path: Path) -> None:
    edit_card(copy_pretrained(tmp_path / "own", "gru-detector"), calibration=CALIBRATION)
    card = read_card(tmp_path / "own")
    assert card.calibration == Calibration(**CALIBRATION)  # type: ignore[arg-type]
    assert card_content(card, {})["calibration"] == CALIBRATION


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("lstm-denoiser", {}, "calibration: only for a detector"),
        ("gru-detector", {"b": -1.0}, "calibration.b: Input should be greater than or equal to 0"),
        ("gru-detector", {"c": 10**400}, "calibration.c"),
        ("gru-detector", {"error": 2.0}, "calibration.error"),
        ("gru-detector", {"more": 1.0}, "calibration"),
    ],
)
def test_a_wrong_calibration_is_refused(kind: str, changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    edit_card(copy_pretrained(tmp_path / "own", kind), calibration=CALIBRATION | changes)
    with pytest.raises(ModelError, match=says):
        read_card(tmp_path / "own")


@pytest.mark.parametrize(
    ("highpass_hz", "thresholds"),
    [(None, {"removed_power": 0.01}), (0.5, {"r_peak": 0.5, "window": 0.5}), (0.5, {"removed_power": 0.0})],
)
def test_a_denoiser_has_a_threshold_with_a_high_pass_only(
    highpass_hz: float | None, thresholds: dict[str, float], tmp_path: Path
) -> None:
    model = copy_pretrained(tmp_path / "models" / "own", name="lstm-denoiser-white")
    edit_card(model, baseline_wander="removed", highpass_hz=0.5, thresholds={"removed_power": 0.01})
    assert read_card(model).thresholds == {"removed_power": 0.01}
    edit_card(model, highpass_hz=highpass_hz, thresholds=thresholds)
    with pytest.raises(ModelError, match="thresholds: a denoiser has removed_power above 0 at most, and only with"):
        read_card(model)


@pytest.mark.parametrize(
    "metric",
    [
        0.99,
        1,
        True,
        None,
        "GRU detector",
        {"value": 0.9, "low": 0.8, "high": 1},
        {"value": 0.9, "low": None, "high": None},
        {"value": 0.9, "low": 0.8, "high": None},
        {"counts": {"true_positives": 3, "f1": 0.5}},
    ],
)
def test_metrics_of_reports_are_kept_and_listed(metric: Any, model: Path) -> None:
    metrics = {PEAKS: {"f1": metric}, "test, windows": {"confusion": {"a": 1}}}
    edit_card(model, metrics=metrics)
    assert read_card(model).metrics == metrics
    assert any(line.startswith(f"{model}: detector") for line in listed(model))


@pytest.mark.parametrize(
    "metric",
    [
        {"value": "high"},
        {"value": None},
        {"value": 0.9, "low": 0.8},
        {"value": 0.9, "low": [], "high": {}},
        {"value": 0.9, "low": 0.8, "high": 1, "more": 2},
        {"low": 0.8},
        {"value": True, "low": None, "high": None},
        10**400,
        -(10**400),
        1e200,
        [0.9],
        [],
        "x" * 3000,
        {"a": {"b": {"c": {"d": {"e": 1}}}}},
        {"x" * 300: 1},
    ],
    ids=range(15),
)
def test_other_metrics_are_reported_and_the_other_models_listed(metric: Any, model: Path) -> None:
    edit_card(model, metrics={PEAKS: {"f1": metric}})
    with pytest.raises(ModelError, match=r"card\.json: not a valid model card \(metrics"):
        read_card(model)
    lines = listed(model)
    assert sum("cannot be used" in line for line in lines) == 1
    assert sum(": d" in line for line in lines) == len(list(PRETRAINED_DIR.glob("*/card.json")))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"metrics": []}, "metrics: Input should be an object"),
        ({"metrics": {str(n): {"f1": n} for n in range(20_000)}}, "metrics: has more than 100,000 characters"),
        ({"data": {"database": 5}}, "data.database: Input should be a valid string, not 5"),
        ({"data": {"database": "x" * 300}}, "data.database: .* at most 200 characters"),
        ({"data": {"noise_sigma_mv": "0.05"}}, "data.noise_sigma_mv: .* not '0.05'"),
        ({"data": {"records": {"train": "100"}}}, "data.records.train: .* not '100'"),
        ({"data": {"signals": {"100": [5]}}}, r"data.signals.100.0: .* not 5"),
        ({"data": {"signals": []}}, "data.signals: Input should be an object"),
        ({"data": None}, "data: Input should be an object"),
        ({"hyperparameters": {"units": [64]}}, "hyperparameters.units: .* not "),
        ({"hyperparameters": {"units": 10**200}}, "hyperparameters|not a valid model card"),
        ({"fs": 1.0}, "fs: .* not 1.0"),
        ({"fs": 1e6}, "fs: .* not 1000000.0"),
        ({"segment_samples": 10**9}, "segment_samples: .* not 1000000000"),
        ({"refractory_period": 0}, "refractory_period: .* not 0"),
        ({"seed": "1"}, "seed: .* not '1'"),
        ({"seed": 10**30}, "seed: .* not 10000"),
        ({"parameters": -1}, "parameters: .* not -1"),
        ({"preset": None}, "preset: .* not None"),
        ({"preset": "x" * 201}, "preset: .* at most 200"),
        ({"disclaimer": "x" * 3000}, "disclaimer: .* at most 2000"),
        ({"polarity": "both"}, "polarity: .* not 'both'"),
        ({"thresholds": {"r_peak": True, "window": 0.1}}, "thresholds.r_peak: .* not True"),
        ({"format": 0}, "format 0 is not supported"),
        ({"format": "4"}, "format 4 is not supported"),
        ({"format": None}, "format None is not supported"),
        ({"format": [4]}, "not a valid model card|not supported"),
        ({"format": {}}, "not a valid model card|not supported"),
        ({"sha256": {"model.keras": "0", "x" * 200: "0"}}, "model.keras: differs|not listed"),
        ({"un\nknown": 1}, r"unknown fields: un(\\n| )known"),
    ],
)
def test_other_values_are_refused(changes: dict[str, Any], match: str, model: Path) -> None:
    edit_card(model, **changes)
    with pytest.raises(ModelError, match=match) as caught:
        read_card(model)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(model))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "not JSON"),
        (b"\xff", "UTF-8|utf-8"),
        (b"\xef\xbb\xbf{}", "not a valid model card"),
        (b"null", "not a valid model card"),
        (b'"text"', "not a valid model card"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"data":' * 1000 + b"1" + b"}" * 1000, "nested too deeply"),
        (b'{"format": 4, "format": 4}', "a name has two values"),
        (b'{"format": NaN}', "NaN is not a number"),
        (b'{"format": -Infinity}', "Infinity is not a number"),
        (b'{"format": 1e999}', "too large"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not a valid model card"),
    ],
    ids=range(12),
)
def test_a_damaged_card_is_reported(content: bytes, match: str, model: Path) -> None:
    (model / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match=match) as caught:
        read_card(model)
    assert "\n" not in str(caught.value)
    assert len(listed(model)) > 3


def test_a_value_that_would_be_hidden_by_its_repetition_is_refused(model: Path) -> None:
    path = model / "card.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"seed": 1', '"seed": 1, "seed": 2'), encoding="utf-8")
    with pytest.raises(ModelError, match="a name has two values"):
        read_card(model)


def test_lineage_that_is_nested_for_ever_is_refused(model: Path) -> None:
    """Cards of formats 1 to 3 are converted level by level."""
    data: dict[str, Any] = {}
    for _ in range(200):
        data = {"trained further from": {"sha256": "0", "data": data}}
    edit_card(model, format=3, data=data)
    with pytest.raises(ModelError, match="nested too deeply"):
        read_card(model)


@pytest.mark.parametrize("lineage", [5, [], {}, {"sha256": "0"}, {"sha256": "0", "data": 5}])
def test_lineage_of_another_form_is_refused(lineage: Any, model: Path) -> None:
    edit_card(model, format=3, data={"trained further from": lineage})
    with pytest.raises(ModelError, match="not a valid model card"):
        read_card(model)


# Files that are not regular


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.mkdir()


def as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["card.json", "model.keras", "model.onnx"])
@pytest.mark.parametrize(
    ("replace", "match"),
    [
        (as_pipe, "a pipe or a device, not a file"),
        (as_device, "a pipe or a device, not a file"),
        (as_folder, "a folder, not a file"),
    ],
)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_file_that_is_not_regular_is_refused(name: str, replace: Any, match: str, model: Path) -> None:
    (model / name).unlink()
    replace(model / name)
    with pytest.raises(ModelError, match=rf"{name}: {match}"):
        load_model(model)
    assert sum("cannot be used" in line for line in listed(model)) == 1


def test_a_card_of_gigabytes_is_not_read(model: Path) -> None:
    os.truncate(model / "card.json", 2_000_000_000)  # a sparse file
    with pytest.raises(ModelError, match=r"card\.json: 2,000,000,000 bytes, more than the limit of 5,000,000"):
        load_model(model)
    assert sum("cannot be used" in line for line in listed(model)) == 1


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\x1b[2J", "", ".", "a\nb"])
def test_a_name_that_cannot_be_a_folder_is_not_found(name: str) -> None:
    with pytest.raises(ModelError, match="neither a model folder nor the name of a model") as caught:
        find_model(name)
    assert str(caught.value).isprintable()


# Text from cards


def test_a_card_cannot_write_to_the_terminal_or_pass_itself_off_as_another(model: Path) -> None:
    edit_card(
        model,
        preset="robust\x1b[2J\ngru-detector: detector",
        data={"database": "\x1b]0;title\x07\u2028\u202e\x9b", "noise_sigma_mv": 0.05},
    )
    lines = listed(model)
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("gru-detector:") for line in lines) == 1
    assert any(r"robust\x1b[2J\ngru-detector" in line for line in lines)


def test_a_folder_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    good, bad = (copy_pretrained(tmp_path / "models" / f"{name}\x1b[2J\nlstm-denoiser: x") for name in ("a", "b"))
    (bad / "card.json").write_text("{}")
    lines = listed(good)
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("lstm-denoiser:") for line in lines) == 1


def test_the_type_of_a_card_in_python_allows_any_value() -> None:
    """Only files are validated: a card made in Python is checked when it is read again."""
    hints = ModelCard.__annotations__
    assert hints["metrics"].startswith("Annotated[dict[str, Any]")
