"""Tests of loading: names, folders, and the packages that are imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ecg_study as es
from ecg_study.errors import InputError, ModelError
from ecg_study.inference.loading import (
    DEFAULT_MODEL,
    PRETRAINED_DIR,
    find_model,
    list_models,
    load_denoiser,
    load_detector,
    load_model,
)
from tests.tiny import ROOT

_HEAVY = ("tensorflow", "keras", "keras_tuner", "dask", "distributed", "matplotlib", "pandas", "scipy")
"""Packages that inference on arrays does not need."""


def test_inference_imports_no_heavy_packages() -> None:
    code = f"""
import sys
import ecg_study
assert not [name for name in {_HEAVY} if name in sys.modules], "import ecg_study"
import numpy as np
from ecg_study.inference.loading import load_detector
load_detector({DEFAULT_MODEL!r}).detect(np.zeros(5000), fs=360)
print([name for name in {_HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)


def test_pretrained_models_and_those_of_a_study_are_listed(tiny_study: Path) -> None:
    entries = {entry.name: entry for entry in list_models(tiny_study / "models")}
    assert {DEFAULT_MODEL, str(tiny_study / "models" / "denoiser")} <= set(entries)
    for entry in entries.values():
        assert entry.card is not None and entry.problem == ""
        assert load_model(entry.name).card == entry.card


def test_a_model_is_found_by_name_or_folder(tiny_study: Path) -> None:
    models_dir = tiny_study / "models"
    assert find_model(DEFAULT_MODEL) == find_model(PRETRAINED_DIR / DEFAULT_MODEL) == PRETRAINED_DIR / DEFAULT_MODEL
    assert find_model("denoiser", models_dir) == models_dir / "denoiser"
    assert load_model("denoiser", models_dir=models_dir).card.model_kind == "denoiser"
    with pytest.raises(ModelError, match=f"other: neither a model folder .*; available models: .*{DEFAULT_MODEL}"):
        find_model("other", models_dir)


def test_a_model_of_the_other_kind_is_refused(tiny_study: Path) -> None:
    with pytest.raises(ModelError, match="is a denoiser, not a detector"):
        load_detector(tiny_study / "models" / "denoiser")
    with pytest.raises(ModelError, match="is a detector, not a denoiser"):
        load_denoiser(tiny_study / "models" / "detector")


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(InputError, match="runtime: 'jax' is unknown; use onnx or keras") as caught:
        load_model(DEFAULT_MODEL, runtime="jax")
    assert caught.value.parameters == ("runtime",)


def test_public_functions_accept_text_and_refuse_other_types(tmp_path: Path) -> None:
    assert {entry.name for entry in es.list_models(str(tmp_path))} >= {"gru-detector"}
    assert es.open_model(str(PRETRAINED_DIR / "lstm-denoiser")).card.model_kind == "denoiser"
    with pytest.raises(es.InputError, match="model: 3 is neither the name nor the folder of a model"):
        es.load_model(3)  # type: ignore[arg-type]
    with pytest.raises(es.InputError, match="data: 'mitdb' is not a database"):
        es.evaluate("gru-detector", "mitdb")  # type: ignore[call-overload]
    with pytest.raises(es.SettingsError, match=r"records: '100' is not a list of names"):
        es.open_database("folder", raw_dir=tmp_path, records="100")


def test_keras_is_named_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(es.ModelError, match="keras: not installed; install the extra study"):
        es.load_model("gru-detector", runtime="keras")
