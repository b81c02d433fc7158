"""Hyperband schedule, compared with Keras Tuner's oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner
import pytest

from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.tuning.schedule import Rung, hyperband_schedule, makespan, schedule_of


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


def test_standard_tries_at_least_24_configurations() -> None:
    preset = PRESETS["standard"]
    assert sum(rung.trials for rung in schedule_of(preset) if rung.rung == 0) == 27
    assert sum(rung.total_epochs for rung in schedule_of(preset)) == 63


@pytest.mark.parametrize(("max_epochs", "factor", "iterations"), [(6, 3, 1), (9, 3, 2), (10, 2, 1), (1, 3, 1)])
def test_the_schedule_is_what_the_oracle_runs(max_epochs: int, factor: int, iterations: int, tmp_path: Path) -> None:
    oracle = _oracle(tmp_path, max_epochs=max_epochs, factor=factor, iterations=iterations)
    ran: dict[tuple[int, int, int, int], int] = {}
    while (trial := oracle.create_trial("t")).status == "RUNNING":
        values = trial.hyperparameters.values
        place = tuple(values[f"tuner/{name}"] for name in ("bracket", "round", "initial_epoch", "epochs"))
        ran[place] = ran.get(place, 0) + 1
        _end(oracle, trial)
    planned: dict[tuple[int, int, int, int], int] = {}
    for rung in hyperband_schedule(max_epochs=max_epochs, factor=factor, iterations=iterations):
        at = (rung.bracket, rung.rung, rung.initial_epoch, rung.epochs)
        planned[at] = planned.get(at, 0) + rung.trials
    assert ran == planned


def _oracle(directory: Path, *, max_epochs: int, factor: int, iterations: int) -> Any:
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
    oracle._set_project_dir(str(directory), "plan")
    return oracle


def _end(oracle: Any, trial: Any) -> None:
    oracle.update_trial(trial.trial_id, {"score": trial.hyperparameters.values["x"]})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def _epochs(rung: Rung) -> float:
    return rung.epochs - rung.initial_epoch


@pytest.mark.parametrize(("workers", "epochs"), [(1, 75), (2, 41), (16, 10), (50, 9)])
def test_the_last_trials_of_a_rung_leave_workers_waiting(workers: int, epochs: int) -> None:
    """Of 75 epochs, two workers need 41: at the end, one trains six epochs after the other has nothing to do."""
    assert makespan(hyperband_schedule(max_epochs=9, factor=3), workers=workers, cost=_epochs) == epochs


@pytest.mark.parametrize(("max_epochs", "factor", "iterations"), [(9, 3, 1), (9, 3, 2), (16, 2, 1), (1, 3, 2)])
@pytest.mark.parametrize("workers", [1, 3, 7, 40])
def test_the_time_is_that_of_the_oracle(
    max_epochs: int, factor: int, iterations: int, workers: int, tmp_path: Path
) -> None:
    oracle = _oracle(tmp_path, max_epochs=max_epochs, factor=factor, iterations=iterations)
    running: list[tuple[float, int, Any]] = []
    now, number = 0.0, 0
    while True:
        while len(running) < workers and (trial := oracle.create_trial(str(number))).status == "RUNNING":
            values = trial.hyperparameters.values
            running.append((now + 0.5 + values["tuner/epochs"] - values["tuner/initial_epoch"], number, trial))
            number += 1
        if not running:
            break
        now, _, trial = running.pop(running.index(min(running, key=lambda item: item[:2])))
        _end(oracle, trial)
    schedule = hyperband_schedule(max_epochs=max_epochs, factor=factor, iterations=iterations)
    assert number == sum(rung.trials for rung in schedule)
    assert makespan(schedule, workers=workers, cost=lambda rung: 0.5 + _epochs(rung)) == pytest.approx(now)
