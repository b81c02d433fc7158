"""Steps of a training: validation changes nothing, averages are judged, and a budget can be extended."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from ecg_study.errors import SettingsError, StateError
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.training.final_training import build_trained
from ecg_study.training.loop import train
from ecg_study.training.specs import COMPLETED, DIVERGED, FAILED, FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.network import Network
from ecg_study.training.steps.saved_state import SavedState, TrainingStateFile
from ecg_study.training.steps.schedule import cosine
from ecg_study.training.steps.step_loop import StepProgress
from ecg_study.training.task import TrainingTask
from ecg_study.training.weights import load_weights
from tests.conftest import SmallData
from tests.training.keras_evaluation import evaluate
from tests.training.killing import HYPERPARAMETERS, PRESET

pytestmark = pytest.mark.slow

SPEC = TrainingSpec(id="steps", epochs=1, hyperparameters=HYPERPARAMETERS)


@pytest.fixture(scope="module")
def task(small_data: SmallData) -> TrainingTask:
    """A detector with dropout, weight decay and an average of the weights."""
    return TrainingTask(DETECTOR, small_data.cache, small_data.split, PRESET)


def _train(
    task: TrainingTask, state: Path, budget: TrainingBudget, every: int | None = None, **more: Any
) -> tuple[FinishedTraining, SavedState]:
    options = TrainingOptions.for_long(task, budget, validate_every=every)
    file = TrainingStateFile(state, seconds=0.0)
    training = train(task, SPEC, options=options, seed=1, state_file=file, **more)
    saved = file.load()
    assert saved is not None
    return training, saved


@pytest.mark.parametrize("name", [DETECTOR, DENOISER])
@pytest.mark.parametrize("keras_layers", [False, True])
def test_validation_gives_what_keras_would(name: str, keras_layers: bool, small_data: SmallData) -> None:
    """After some steps, so that metrics of the training must not count; the last batch is smaller than the others."""
    chosen = TrainingTask(name, small_data.cache, small_data.split, PRESET, keras_layers=keras_layers)
    hyperparameters = HYPERPARAMETERS | ({"residual": True} if name == DENOISER else {})
    model = chosen.build(hyperparameters)
    network = Network(model, compiled_layers=not keras_layers)
    stream = chosen.training_stream(1, hyperparameters=hyperparameters).batches()
    for _ in range(3):
        network.train(next(stream))
    batches = replace(chosen.validation_batches(), batch_size=32)
    assert len(batches) > 1 and len(batches[len(batches) - 1][0]) < len(batches[0][0])
    expected = evaluate(model, batches)
    for _ in range(2):
        assert network.validate(batches) == pytest.approx(expected, rel=1e-4)
    segments = np.concatenate([inputs for inputs, _ in batches])
    np.testing.assert_allclose(network.predict(segments), model.predict(segments, verbose=0), atol=1e-5)
    assert network.predict(segments[:0]).shape == segments[:0].shape


def test_validation_does_not_change_the_training(task: TrainingTask, tmp_path: Path) -> None:
    rarely, often = (
        _train(task, tmp_path / f"{every}.npz", TrainingBudget(segments=400), every)[1] for every in (1_000_000, 40)
    )
    assert (len(rarely.record.history), len(often.record.history)) == (1, 10)
    for first, second in zip(rarely.now, often.now, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-7)


def test_the_better_of_weights_and_average_is_kept(task: TrainingTask) -> None:
    seen: set[bool] = set()
    # The slow average lags behind. Which of the others is better depends on rounding.
    for momentum, rate in ((0.999, 0.01), (0.5, 0.2), (0.5, 1.0), (0.5, 0.5)):
        if len(seen) == 2:
            break
        chosen = replace(task, preset=replace(PRESET, weight_average=momentum, schedule="plateau"))
        options = TrainingOptions.for_long(chosen, TrainingBudget(epochs=5))
        spec = replace(SPEC, hyperparameters=HYPERPARAMETERS | {"learning_rate": rate})
        training = train(chosen, spec, options=options, seed=1)
        losses = [(row["val_loss"], row["averaged_val_loss"]) for row in training.result.history]
        best = min(losses, key=min)  # with the schedule "plateau"
        assert training.result.score == min(best)
        assert training.averaged == (best[1] < best[0])
        model = build_trained(chosen, spec, training=training)
        assert evaluate(model, chosen.validation_batches())["loss"] == pytest.approx(min(best), rel=1e-4)
        seen.add(training.averaged)
    assert seen == {True, False}


def test_a_final_training_keeps_the_average_at_the_end_of_its_schedule(task: TrainingTask) -> None:
    training = train(task, SPEC, options=TrainingOptions.for_final(task), seed=1)
    assert training.averaged and "averaged_val_loss" not in training.result.history[-1]
    model = build_trained(task, SPEC, training=training)
    assert evaluate(model, task.validation_batches())["loss"] == pytest.approx(training.result.score, rel=1e-4)


def test_a_trial_is_scored_by_its_average_and_goes_on_from_its_weights(task: TrainingTask) -> None:
    """The average changes no step. With a momentum of 0, it is the weights."""
    scores = []
    for momentum in (0.9, 1e-9):
        chosen = replace(task, preset=replace(PRESET, weight_average=momentum))
        options = replace(TrainingOptions.for_search(chosen), segments_per_epoch=None)
        training = train(chosen, SPEC, options=options, seed=1)
        assert training.weights is not None and not training.averaged
        model = chosen.build(HYPERPARAMETERS)
        load_weights(model, training.weights, trial=SPEC.id)
        raw = evaluate(model, chosen.validation_batches())["loss"]
        model.optimizer.finalize_variable_values(model.trainable_variables)
        averaged = evaluate(model, chosen.validation_batches())["loss"]
        assert training.result.history[-1]["val_loss"] == pytest.approx(averaged, rel=1e-4)
        scores.append((raw, averaged))
    assert scores[0][0] == pytest.approx(scores[1][0], rel=1e-5) and scores[1][1] == pytest.approx(scores[1][0])
    assert abs(scores[0][1] / scores[0][0] - 1) > 0.001


@pytest.mark.parametrize(("schedule", "kept"), [("cosine", 5), ("plateau", 1)])
def test_the_last_weights_are_kept_on_a_cosine_schedule(
    schedule: Literal["cosine", "plateau"], kept: int, task: TrainingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validation loss rises, from 1 to 5."""
    losses, weights = iter((1.0, 2.0, 3.0, 4.0, 5.0)), list[list[np.ndarray]]()

    def validate(network: Network, _: object) -> dict[str, float]:
        weights.append(network.model.get_weights())
        return {"loss": next(losses)}

    monkeypatch.setattr(Network, "validate", validate)
    chosen = replace(task, preset=replace(PRESET, weight_average=0.0, schedule=schedule))
    training = train(chosen, SPEC, options=TrainingOptions.for_long(chosen, TrainingBudget(epochs=5)), seed=1)
    assert (training.result.best_epoch, training.result.score) == (kept, kept)
    for found, expected in zip(
        build_trained(chosen, SPEC, training=training).get_weights(), weights[kept - 1], strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_larger_budget_continues(task: TrainingTask, tmp_path: Path) -> None:
    state, reports = tmp_path / "state.npz", list[StepProgress]()
    first, _ = _train(task, state, TrainingBudget(epochs=2))
    longer, saved = _train(task, state, TrainingBudget(segments=450), on_step=reports.append)
    assert longer.result.history[:2] == first.result.history
    assert [row["segments"] for row in longer.result.history] == [150, 300, 450]
    assert saved.step == 30
    assert (reports[-1].segments, reports[-1].share, reports[-1].seconds_left) == (450, 1.0, 0.0)
    # Steps 20 and 30 are the last of their budgets. The rate is that of the middle of a step.
    for history, steps in ((first.result.history, 20), (longer.result.history, 30)):
        rate = 0.01 * cosine(1 - 0.5 / steps, warmup=0.1)
        assert history[-1]["learning_rate"] == pytest.approx(rate, rel=1e-5)
    with pytest.raises(SettingsError, match="budget of 200 segments ends after 214 segments, but 450 are trained"):
        _train(task, state, TrainingBudget(segments=200))
    with pytest.raises(SettingsError, match="hours that are trained already"):
        _train(task, state, TrainingBudget(hours=1e-6))


def test_the_state_of_another_model_is_refused(task: TrainingTask, tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    _train(task, state, TrainingBudget(segments=20))
    other = replace(SPEC, hyperparameters=HYPERPARAMETERS | {"units_1": 5})
    with pytest.raises(StateError, match="the variables have other shapes"):
        train(
            task,
            other,
            options=TrainingOptions.for_long(task, TrainingBudget(segments=40)),
            seed=1,
            state_file=TrainingStateFile(state),
        )


@pytest.mark.parametrize(("first_bad", "status"), [(15, COMPLETED), (0, FAILED)])
def test_a_training_that_diverges_keeps_what_was_good(
    first_bad: int, status: str, task: TrainingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is NaN from step 15 of 20 on, or from the first step on."""
    losses: list[float] = []

    def step(*_: object) -> float:
        losses.append(math.nan if len(losses) >= first_bad else 0.5)
        return losses[-1]

    monkeypatch.setattr(Network, "train", step)
    monkeypatch.setattr(Network, "validate", lambda *_: {"loss": losses[-1]})
    training = train(task, SPEC, options=TrainingOptions.for_long(task, TrainingBudget(epochs=2)), seed=1)
    assert training.result.status == status
    assert len(losses) == first_bad + 1, "the remaining steps would be wasted"
    assert training.result.reason == (DIVERGED if status == FAILED else "")
    assert training.result.best_epoch == (1 if status == COMPLETED else None)
    assert training.diverged == (status == COMPLETED), "a result with weights must say that it ended early"
