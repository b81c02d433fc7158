"""Hyperband schedule, compared with Keras Tuner's oracle."""

from __future__ import annotations

import keras_tuner
import pytest

from ecg_study.tuning.schedule import hyperband_schedule


@pytest.mark.parametrize(("max_epochs", "trials", "epochs"), [(9, 23, 75), (27, 70, 375), (81, 211, 1767)])
def test_totals(max_epochs: int, trials: int, epochs: int) -> None:
    schedule = hyperband_schedule(max_epochs=max_epochs, factor=3)
    assert sum(rung.trials for rung in schedule) == trials
    # A promoted trial trains only the epochs that its rung adds.
    assert sum(rung.total_epochs for rung in schedule) == epochs


def test_rungs_of_nine_epochs_by_hand() -> None:
    rungs = [
        (r.bracket, r.rung, r.trials, r.initial_epoch, r.epochs) for r in hyperband_schedule(max_epochs=9, factor=3)
    ]
    assert rungs == [
        (2, 0, 9, 0, 1),
        (2, 1, 3, 1, 3),
        (2, 2, 1, 3, 9),
        (1, 0, 5, 0, 3),
        (1, 1, 2, 3, 9),
        (0, 0, 3, 0, 9),
    ]


@pytest.mark.parametrize(("max_epochs", "factor", "iterations"), [(6, 3, 1), (9, 3, 2), (10, 2, 1), (1, 3, 1)])
def test_the_schedule_is_what_the_oracle_runs(max_epochs: int, factor: int, iterations: int, tmp_path: object) -> None:
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0, 1)
    oracle = keras_tuner.oracles.HyperbandOracle(
        objective=keras_tuner.Objective("score", "min"),
        max_epochs=max_epochs,
        factor=factor,
        hyperband_iterations=iterations,
        hyperparameters=hp,
        seed=1,
    )
    oracle.verbose = 0
    oracle._set_project_dir(str(tmp_path), "plan")
    ran: dict[tuple[int, int, int, int], int] = {}
    while (trial := oracle.create_trial("t")).status == "RUNNING":
        values = trial.hyperparameters.values
        place = tuple(values[f"tuner/{name}"] for name in ("bracket", "round", "initial_epoch", "epochs"))
        ran[place] = ran.get(place, 0) + 1
        oracle.update_trial(trial.trial_id, {"score": values["x"]})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    planned: dict[tuple[int, int, int, int], int] = {}
    for rung in hyperband_schedule(max_epochs=max_epochs, factor=factor, iterations=iterations):
        at = (rung.bracket, rung.rung, rung.initial_epoch, rung.epochs)
        planned[at] = planned.get(at, 0) + rung.trials
    assert ran == planned
