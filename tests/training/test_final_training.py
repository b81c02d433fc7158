"""The final training: several seeds, kept, taken up again, and tried again where a worker is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecg_study.errors import EcgStudyError
from ecg_study.models.card import DENOISER
from ecg_study.training.executors.base import (
    EpochFinished,
    Event,
    EventHandler,
    Executor,
    Job,
    TrialFinished,
    TrialInterrupted,
    WorkerLost,
)
from ecg_study.training.executors.in_process import InProcessExecutor
from ecg_study.training.final_training import TrainedModel, train_final_models
from ecg_study.training.specs import COMPLETED, TrainingResult, TrainingSpec, Trial, failed_training
from ecg_study.training.task import TrainingTask
from tests.conftest import SmallData
from tests.tiny import TINY

pytestmark = pytest.mark.slow

CONFIGURATION = {
    "layers": 1,
    "units_1": 4,
    "dropout": 0.0,
    "frame": 16,
    "direction": "forward",
    "learning_rate": 0.01,
    "residual": True,
}


@pytest.fixture(scope="module")
def task(small_data: SmallData) -> TrainingTask:
    """The denoiser on the small database, two epochs."""
    preset = replace(TINY, final_epochs=2, seeds=2)
    return TrainingTask(DENOISER, small_data.cache, small_data.split, preset)


def _best(**changes: object) -> Trial:
    plan = TrainingSpec(id="000-r0", epochs=1, hyperparameters=CONFIGURATION | changes)
    return Trial(plan, TrainingResult(COMPLETED, 0.1, 1))


def train(
    task: TrainingTask, directory: Path, workers: Executor | None, best: Trial | None = None
) -> list[TrainedModel]:
    @contextmanager
    def opened() -> Iterator[Executor]:
        assert workers is not None, "nothing is to be trained"
        yield workers

    return train_final_models(
        {DENOISER: task},
        {DENOISER: best or _best()},
        seed=1,
        directory=directory,
        open_executor=opened,
        progress=lambda *_: None,
    )


def _weights(models: list[TrainedModel]) -> list[list[np.ndarray]]:
    return [item.model.get_weights() for item in models]


def _equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def trained(task: TrainingTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[np.ndarray]]]:
    """Two trained seeds, and where they are kept. Not to be changed."""
    directory = tmp_path_factory.mktemp("final")
    models = train(task, directory, InProcessExecutor())
    assert [(item.seed_index, item.spec.id) for item in models] == [(1, "denoiser-final-1"), (2, "denoiser-final-2")]
    assert all(len(item.result.history) == 2 and item.result.parameters for item in models)
    return directory, _weights(models)


def test_seeds_differ_and_are_repeatable(
    task: TrainingTask, trained: tuple[Path, list[list[np.ndarray]]], tmp_path: Path
) -> None:
    _, (first, second) = trained
    assert not _equal(first, second)
    again = _weights(train(replace(task, preset=replace(task.preset, seeds=1)), tmp_path, InProcessExecutor()))
    assert _equal(again[0], first), "the first does not depend on how many there are"


def test_what_is_there_is_taken(task: TrainingTask, trained: tuple[Path, list[list[np.ndarray]]]) -> None:
    directory, weights = trained
    again = _weights(train(task, directory, None))
    assert all(_equal(a, b) for a, b in zip(again, weights, strict=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda task, _: (replace(task, preset=replace(task.preset, final_epochs=1)), None),
        lambda task, _: (task, _best(learning_rate=0.02)),
        lambda task, directory: (directory / "denoiser-final-2.npz").write_bytes(b"half") and (task, None),
        lambda task, directory: (directory / "denoiser-final-2.json").write_text("{") and (task, None),
        lambda task, directory: (directory / "denoiser-final-2.npz").unlink() or (task, None),
    ],
    ids=["epochs", "configuration", "damaged weights", "damaged conditions", "weights gone"],
)
def test_what_was_trained_otherwise_or_is_damaged_is_trained_anew(
    change: Callable[[TrainingTask, Path], tuple[TrainingTask, Trial | None]],
    task: TrainingTask,
    trained: tuple[Path, list[list[np.ndarray]]],
    tmp_path: Path,
) -> None:
    for path in trained[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    changed, best = change(task, tmp_path)
    with pytest.raises(AssertionError, match="nothing is to be trained"):
        train(changed, tmp_path, None, best)


class _Unlucky(InProcessExecutor):
    """Loses, stops or fails the first trainings that it is given."""

    def __init__(self, misfortunes: list[object]) -> None:
        super().__init__()
        self.misfortunes = misfortunes
        self.started: list[str] = []

    def start(self, job: Job) -> None:
        self.started.append(job.spec.id)
        super().start(job)

    def wait(self, handle: EventHandler) -> None:
        if self._job is None or not self.misfortunes:
            super().wait(handle)
            return
        trial, self._job = self._job.spec.id, None
        kind = self.misfortunes.pop(0)
        if kind is TrialInterrupted:
            handle(TrialInterrupted(trial))
        elif kind is WorkerLost:
            handle(WorkerLost(trial, "worker gone"))
        else:
            handle(TrialFinished(trial, failed_training(str(kind), retryable="memory" in str(kind))))


def test_a_lost_training_is_begun_again(
    task: TrainingTask, trained: tuple[Path, list[list[np.ndarray]]], tmp_path: Path
) -> None:
    workers = _Unlucky([WorkerLost, "out of memory", TrialInterrupted])
    weights = _weights(train(task, tmp_path, workers))
    assert all(_equal(a, b) for a, b in zip(weights, trained[1], strict=True))
    assert len(workers.started) == 5


@pytest.mark.parametrize(
    ("misfortunes", "says"),
    [
        (["its loss was never a finite number"], "denoiser-final-1: its loss was never a finite number; try another"),
        ([WorkerLost] * 9, "worker gone"),
    ],
)
def test_a_training_that_cannot_be_done_is_said(
    misfortunes: list[object], says: str, task: TrainingTask, tmp_path: Path
) -> None:
    with pytest.raises(EcgStudyError, match=says):
        train(task, tmp_path, _Unlucky(misfortunes))


def test_a_report_that_was_stopped_goes_on(task: TrainingTask, tmp_path: Path) -> None:
    """The second of two trainings breaks off; the first is kept, and the next report trains the second alone."""

    class Interrupted(_Unlucky):
        def wait(self, handle: EventHandler) -> None:
            if len(self.started) == 2:
                raise KeyboardInterrupt
            super().wait(handle)

    with pytest.raises(KeyboardInterrupt):
        train(task, tmp_path, Interrupted([]))
    kept = json.loads((tmp_path / "denoiser-final-1.json").read_text())
    assert not list(tmp_path.glob("*.state.npz"))
    assert kept["conditions"]["seed"] == 1
    workers = _Unlucky([])
    train(task, tmp_path, workers)
    assert workers.started == ["denoiser-final-2"]


def test_a_training_that_was_stopped_resumes(
    task: TrainingTask, trained: tuple[Path, list[list[np.ndarray]]], tmp_path: Path
) -> None:
    """The first training breaks off after one epoch. Its state resumes, and ends with the same weights."""

    class Stopped(InProcessExecutor):
        def wait(self, handle: EventHandler) -> None:
            def stop(event: Event) -> None:
                if isinstance(event, EpochFinished):
                    epochs.append(event.epoch)
                    if event.epoch == 2 and len(epochs) == 2:
                        raise KeyboardInterrupt
                handle(event)

            super().wait(stop)

    epochs: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train(task, tmp_path, Stopped())
    assert [path.name for path in tmp_path.iterdir()] == ["denoiser-final-1.state.npz"]
    weights = _weights(train(task, tmp_path, Stopped()))
    assert epochs == [1, 2, 2, 1, 2]
    assert all(_equal(a, b) for a, b in zip(weights, trained[1], strict=True))
    assert not list(tmp_path.glob("*.state.npz"))


def test_a_state_of_another_training_is_not_resumed(task: TrainingTask, tmp_path: Path) -> None:
    (tmp_path / "denoiser-final-1.state.npz").write_bytes(b"half")
    assert len(train(task, tmp_path, InProcessExecutor())) == 2
