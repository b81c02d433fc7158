"""A small study of MIT-BIH records, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import study
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.preset_files import save_preset

RECORDS = "101,106,207,230,109,220,100,103"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_small_study_on_mitdb(real_data: Path, tmp_path: Path) -> None:
    quick = PRESETS["quick"]
    small = replace(
        quick,
        name="small",
        max_epochs=3,
        segments_per_epoch=320,
        final_epochs=3,
        denoiser=replace(
            quick.denoiser, layers=(1,), units=(24, 32), frame=(8,), direction=("both",), residual=(True,)
        ),
        detector=replace(
            quick.detector, layers=(1,), units=(24, 32), frame=(16,), direction=("both",), dense_units=(0,)
        ),
    )
    save_preset(small, tmp_path / "small.toml")
    raw = str(real_data / "mitdb")
    options = ["--database", "mitdb", "--raw-dir", raw, "--data-dir", str(tmp_path / "data"), "--out", str(tmp_path)]
    options += ["--preset", str(tmp_path / "small.toml")]
    assert study.main(["run", *options, "--records", RECORDS]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["data"]["parts"]["test"]["records"] == ["100", "103"]
    assert report["data"]["parts"]["validation"]["records"] == ["109", "220"]
    assert report["data"]["excluded_segments"] > 0  # the flutter of 207
    rmse = {item["method"]: item["metrics"]["rmse"]["value"] for item in report["denoiser"]["summaries"]}
    assert rmse["LSTM denoiser"] < 0.75 * rmse["noisy input"]
    f1 = {
        (item["detector"], item["input"]): item["f1"]["value"]
        for item in report["detector"]["peaks"]
        if item["tolerance_ms"] == 150 and not item["after_learning"]
    }
    assert f1["GRU detector", "noisy"] > 0.95
    assert f1["wfdb xqrs", "clean"] > 0.97
    marked = pd.read_csv(tmp_path / "csv" / "100.csv")
    assert len(marked) == 650_000
    bundle = str(tmp_path / "models" / "detector")
    assert study.main(["predict", "103", "--model", bundle, "--raw-dir", raw, "--out", str(tmp_path)]) == 0
    assert 2000 < len(pd.read_csv(tmp_path / "predictions" / "103.beats.csv")) < 2170
