"""State of a training on disk: whole or not at all, of this training, and of one process."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_study.errors import StateError
from ecg_study.training.steps.recorder import Record
from ecg_study.training.steps.saved_state import SavedState, TrainingStateFile
from ecg_study.training.steps.schedule import Plateau

STATE = SavedState(
    step=7,
    seconds=12.5,
    validation_seconds=1.5,
    loss_sum=math.pi,
    loss_count=300,
    record=Record(history=[{"epoch": 1, "segments": 150, "val_loss": 0.25}], score=0.25, epoch=1, initial_loss=0.5),
    plateau=Plateau(3, rate=0.5, best=0.25, waited=1),
    now=[np.arange(6, dtype=np.float32).reshape(2, 3), np.array(5, np.int64), np.array([1, 2], np.uint32)],
    best=[np.ones((2, 3), np.float32)],
)

CONDITIONS = {"data": "abc", "hyperparameters": {"layers": 1, "units_1": 4}, "seed": 1}


@pytest.fixture
def file(tmp_path: Path) -> TrainingStateFile:
    """A saved state."""
    file = TrainingStateFile(tmp_path / "state.npz", CONDITIONS)
    file.save(STATE)
    return file


def test_a_state_is_read_as_it_was_saved(file: TrainingStateFile) -> None:
    read = file.load()
    assert read is not None
    assert replace(read, now=(), best=(), initial=()) == replace(STATE, now=(), best=(), initial=())
    for group in ("now", "best", "initial"):
        for found, saved in zip(getattr(read, group), getattr(STATE, group), strict=True):
            np.testing.assert_array_equal(found, saved)
            assert found.dtype == saved.dtype


def test_a_loss_that_is_not_finite_is_kept(file: TrainingStateFile) -> None:
    file.save(replace(STATE, loss_sum=math.nan))
    read = file.load()
    assert read is not None and math.isnan(read.loss_sum)


def test_without_a_file_there_is_no_state(tmp_path: Path) -> None:
    assert TrainingStateFile(tmp_path / "state.npz").load() is None


def test_every_changed_byte_is_noticed_or_harmless(file: TrainingStateFile) -> None:
    """The zip format has a checksum of each array; its headers have fields that nobody reads."""
    content = bytearray(file.path.read_bytes())
    noticed = 0
    for place in range(0, len(content), 7):
        content[place] ^= 0x55
        file.path.write_bytes(content)
        content[place] ^= 0x55
        try:
            read = file.load()
        except StateError as error:
            noticed += 1
            assert "state.npz: " in str(error) and "\n" not in str(error)
        else:
            assert read is not None
            np.testing.assert_array_equal(read.now[0], STATE.now[0])
    assert noticed > len(content) / 7 / 2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_part_of_a_state_is_refused(file: TrainingStateFile, share: float) -> None:
    content = file.path.read_bytes()
    file.path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        StateError, match=r"state\.npz: the file is damaged, so the training cannot resume; pass restart"
    ):
        file.load()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 2}, "used seed = 1, but seed = 2 was requested; use seed = 1, pass restart to start over, or set"),
        ({"data": "xyz"}, "used other records, or other settings of their segments; use those, pass restart"),
        ({"data": "xyz", "seed": 2}, "used seed = 1, but seed = 2 was requested"),
        ({"hyperparameters": {"layers": 1, "units_1": 8}}, r'hyperparameters = {"units_1": 4}, but hyperparameters = '),
        ({"optimizer": {"weight_decay": 0.1}}, "used optimizer = null, but"),
    ],
)
def test_another_training_is_refused_with_both_values(
    file: TrainingStateFile, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(StateError) as caught:
        TrainingStateFile(file.path, CONDITIONS | change).load()
    assert says in str(caught.value)
    assert caught.value.parameters == ("restart", "output_dir")


def test_a_full_disk_leaves_the_old_state(file: TrainingStateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.save(replace(STATE, step=8))
    assert file.path.read_bytes() == before
    assert [path.name for path in file.path.parent.iterdir()] == ["state.npz"]


def test_two_processes_do_not_train_in_one_folder(file: TrainingStateFile) -> None:
    busy = "another process is training here; wait for it, or choose another output"
    with file.locked(), pytest.raises(StateError, match=busy), TrainingStateFile(file.path).locked():
        pass
    with file.locked():
        pass
