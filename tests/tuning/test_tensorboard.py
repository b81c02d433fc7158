"""TensorBoard logs of a search."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ecg_study.errors import SettingsError
from ecg_study.training.task import TrainingTask
from tests.tuning.fake_executor import search


def test_logs_hold_the_curve_and_the_configuration_of_each_trial(task: TrainingTask, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = search(task, tmp_path / "s", tensorboard=True)
    for trial in result.trials:
        logs = EventAccumulator(str(tmp_path / "s" / "tensorboard" / trial.spec.id)).Reload()
        (event,) = logs.Scalars("val_loss")
        assert event.value == pytest.approx(trial.result.score)
        assert b"learning_rate" in logs.SummaryMetadata("_hparams_/session_start_info").plugin_data.content


def test_a_missing_package_is_an_error_before_anything_is_written(
    task: TrainingTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.plugins.hparams.api", None)
    with pytest.raises(SettingsError, match="tensorboard: the package tensorboard is missing; install it with"):
        search(task, tmp_path / "s", tensorboard=True)
    assert not (tmp_path / "s").exists()
