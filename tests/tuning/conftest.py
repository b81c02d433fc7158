"""Fixtures for tests of the search."""

from __future__ import annotations

import random

import pytest

from ecg_study.models.card import DENOISER
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.state import SearchResult
from tests.conftest import SmallData
from tests.tuning.fake_executor import PRESET, FakeExecutor, search


@pytest.fixture(scope="session")
def task(small_data: SmallData) -> TrainingTask:
    """A task whose search has 23 trials."""
    return TrainingTask(DENOISER, small_data.cache, small_data.split, PRESET)


@pytest.fixture(scope="session")
def reference(task: TrainingTask, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    """The search with one worker."""
    directory = tmp_path_factory.mktemp("reference") / "s"
    return search(task, directory, executor=FakeExecutor(1, random.Random(0)))
