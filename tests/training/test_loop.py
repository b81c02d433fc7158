"""The training loop gives the recorded histories and weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import ROOT
from tests.training.recorded_trainings import machine

RECORDED = json.loads((Path(__file__).parent / "recorded_trainings.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trainings_are_the_recorded_ones(tmp_path: Path) -> None:
    """One thread: more round differently."""
    file = tmp_path / "trainings.json"
    command = [sys.executable, "-m", "tests.training.recorded_trainings", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    trainings, recorded = json.loads(file.read_text())["trainings"], RECORDED["trainings"]
    assert list(trainings) == list(recorded)
    if machine() == RECORDED["machine"]:
        for name, training in trainings.items():
            assert training == recorded[name], name
        return
    for name, training in trainings.items():
        for key in ("status", "parameters", "reason"):
            assert training.get(key) == recorded[name].get(key), (name, key)
        # Differences of rounding grow with the epochs, and within the first at a learning rate of 30.
        if training["history"] and "loss" in training["history"][0] and "does not help" not in name:
            first = {key: pytest.approx(value, rel=0.02) for key, value in recorded[name]["history"][0].items()}
            assert training["history"][0] == first, name
