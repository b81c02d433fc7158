"""Length of a training in segments, epochs or hours, and the learning rate that follows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.segments.batches import Batch
from ecg_study.ecg_data.segments.stream import SegmentStream
from ecg_study.errors import SettingsError
from ecg_study.models.card import MODEL_KINDS
from ecg_study.training.final_training import training_conditions
from ecg_study.training.specs import TrainingOptions, TrainingSpec
from ecg_study.training.steps.budget import TrainingBudget, segments_in, steps_for
from ecg_study.training.steps.schedule import Plateau, cosine
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.start import search_identity
from tests.conftest import SmallData
from tests.tiny import TINY


def _stream(rows: int, batch_size: int) -> SegmentStream:
    def read(at: np.ndarray, _: np.random.Generator) -> Batch:
        return at, at

    return SegmentStream(read, np.arange(rows), batch_size=batch_size, seed=1)


@given(rows=st.integers(1, 40), batch_size=st.integers(1, 15), steps=st.integers(0, 60))
def test_segments_are_those_of_the_batches(rows: int, batch_size: int, steps: int) -> None:
    stream = _stream(rows, batch_size)
    assert segments_in(stream, steps) == sum(len(stream.rows(step)) for step in range(steps))


@given(rows=st.integers(1, 40), batch_size=st.integers(1, 15), segments=st.integers(1, 500))
def test_a_budget_ends_with_the_first_batch_that_reaches_it(rows: int, batch_size: int, segments: int) -> None:
    stream = _stream(rows, batch_size)
    steps = steps_for(stream, segments)
    assert segments_in(stream, steps - 1) < segments <= segments_in(stream, steps)
    assert TrainingBudget(segments=segments).steps(stream) == steps
    assert TrainingBudget(epochs=3).steps(stream) == steps_for(stream, 3 * rows)
    assert TrainingBudget(hours=1).steps(stream) is None


@pytest.mark.parametrize("wrong", [{}, {"hours": 1.0, "epochs": 2}, {"hours": 0.0}, {"segments": -1}, {"hours": 1e999}])
def test_a_budget_has_one_positive_unit(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=r"one of them|must be positive"):
        TrainingBudget(**wrong)  # type: ignore[arg-type]


@given(progress=st.floats(0, 1), warmup=st.floats(0, 1))
def test_a_cosine_schedule_stays_between_0_and_1(progress: float, warmup: float) -> None:
    assert 0 <= cosine(progress, warmup=warmup) <= 1


def test_a_cosine_schedule_rises_and_falls() -> None:
    rates = [cosine(progress, warmup=0.2) for progress in np.linspace(0, 1, 101)]
    assert rates[0] == 0 and rates[10] == pytest.approx(0.5) and rates[20] == 1
    assert rates[60] == pytest.approx(0.5) and rates[100] == pytest.approx(0)
    assert np.all(np.diff(rates[:21]) > 0) and np.all(np.diff(rates[20:]) < 0)
    assert cosine(0, warmup=0) == 1


def test_a_plateau_halves_the_rate_after_its_patience() -> None:
    plateau = Plateau(2)
    rates = []
    for loss in (1.0, 0.9, 0.95, 0.9, 0.8, float("nan"), 0.8, 0.9, 0.9):
        plateau.validated(loss)
        rates.append(plateau.rate)
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_a_denoiser_may_have_batches_of_its_own_size(small_data: SmallData) -> None:
    preset = replace(TINY, batch_size=8, denoiser_batch_size=4)
    tasks = {name: TrainingTask(name, small_data.cache, small_data.split, preset) for name in MODEL_KINDS}
    sizes = {name: len(task.training_stream(1).batch(0)[0]) for name, task in tasks.items()}
    assert sizes == {"denoiser": 4, "detector": 8}
    rows = tasks["denoiser"].training_stream(1).segments_per_epoch
    assert [task.training_steps() for task in tasks.values()] == [-(-rows // sizes[name]) for name in tasks]
    spec = TrainingSpec(id="x", epochs=1, hyperparameters={})
    options = TrainingOptions(keep="last")
    stored = [training_conditions(task, spec, options=options, seed=1)["batch size"] for task in tasks.values()]
    searched = [search_identity(task, seed=1, warm_start="")["sizes"]["batch_size"] for task in tasks.values()]
    assert stored == searched == list(sizes.values())
