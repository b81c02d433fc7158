"""A training that is killed at any moment ends with the weights of an undisturbed one, bit for bit on one thread."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ecg_study.models.card import read_card
from tests.tiny import PROGRAM, ROOT

pytestmark = pytest.mark.slow

KILLS = 20


def _train(raw_dir: Path, data_dir: Path, state: Path, kills: int) -> dict[str, Any]:
    words = [str(raw_dir), str(data_dir), str(state), "1", str(kills)]
    command = [sys.executable, "-m", "tests.training.killing", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(900)
def test_a_killed_training_continues_with_the_same_weights(raw_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    undisturbed = _train(raw_dir, data_dir, tmp_path / "undisturbed" / "state.npz", 0)
    killed = _train(raw_dir, data_dir, tmp_path / "killed" / "state.npz", KILLS)
    assert killed["kills"] == KILLS
    assert len(set(killed["steps"])) > KILLS / 2, "the kills came at different steps"
    assert killed["history"] == undisturbed["history"]
    assert (killed["sha256"], killed["step"]) == (undisturbed["sha256"], undisturbed["step"])
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["state.json", "state.npz"]


def test_the_same_command_resumes_after_a_kill(
    small_options: list[str], one_configuration: Path, tmp_path: Path
) -> None:
    options = [*small_options[:-4], "--preset", str(one_configuration), "--model-kind", "detector", "--epochs", "60"]

    def start(folder: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, "train", *options, "--output-dir", str(tmp_path / folder)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    killed, history = start("killed"), tmp_path / "killed" / "train" / "detector" / "history.csv"
    while killed.poll() is None and not history.exists():
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL and len(history.read_text().splitlines()) < 61
    for folder in ("killed", "undisturbed"):
        process = start(folder)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    found, expected = (
        json.loads((tmp_path / folder / "train" / "detector" / "training.json").read_text())
        for folder in ("killed", "undisturbed")
    )
    assert [row["segments"] for row in found["history"]] == [row["segments"] for row in expected["history"]]
    # On several threads, sums are rounded differently.
    losses, wanted = ([row["val_loss"] for row in made["history"]] for made in (found, expected))
    assert losses == pytest.approx(wanted, rel=0.02)
    card = read_card(tmp_path / "killed" / "models" / "detector")
    assert card.thresholds and len(history.read_text().splitlines()) == 61


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_saves_its_state(
    number: signal.Signals, small_options: list[str], one_configuration: Path, tmp_path: Path
) -> None:
    options = [*small_options[:-4], "--preset", str(one_configuration), "--output-dir", str(tmp_path)]
    command = [sys.executable, "-c", PROGRAM, "train", *options, "--model-kind", "detector", "--epochs", "100000"]
    history = tmp_path / "train" / "detector" / "history.csv"
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not history.exists():
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "stopped; finished work is kept. To resume: " in errors
    assert (history.parent / "state.npz").is_file()
    assert not (tmp_path / "models").exists()
