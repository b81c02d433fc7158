"""Keras Tuner's Hyperband oracle, whose state is handed out instead of being written by itself."""

from __future__ import annotations

from typing import Any

import keras_tuner
from keras_tuner.src.engine.trial import Trial  # keras_tuner exports no Trial that can be restored from its state

from tuning.tasks import Task
from tuning.trials import TrialPlan, trial_seed

_WORST = {"min": 1e9, "max": -1.0}
"""Score of a failed trial, worse than any real one: with a finite score, halving goes on where a missing one would
end the bracket. Mean squared errors stay far below 10⁹ mV², areas under a curve are never negative."""

_BOOKKEEPING = ("tuner/trial_id", "tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round")


class SearchOracle(keras_tuner.oracles.HyperbandOracle):
    """Asks and tells: `next_trial` gives what to train, `finish` takes what came of it.

    Keras Tuner writes one file a trial, in place; here the whole state is one value, so that it can be written at once.

    Args:
        task: the model, whose preset sets Hyperband's size.
        seed: seed of the study; 0 works like any other (Keras Tuner itself takes 0 for none).
    """

    def __init__(self, task: Task, seed: int) -> None:
        hyperparameters = keras_tuner.HyperParameters()
        task.space().configure(hyperparameters)
        name, self.score_direction = task.objective
        super().__init__(
            objective=keras_tuner.Objective(name, self.score_direction),
            max_epochs=task.preset.max_epochs,
            factor=task.preset.factor,
            hyperband_iterations=task.preset.iterations,
            seed=trial_seed(seed, task.name, "oracle") | 1,
            hyperparameters=hyperparameters,
        )
        self.verbose = 0

    def next_trial(self) -> tuple[TrialPlan, Any] | None:
        """What to train next, with its ``HyperParameters``; ``None`` when the search is done."""
        trial = self.create_trial("search")
        if trial.status != "RUNNING":
            return None
        values = trial.hyperparameters.values
        plan = TrialPlan(
            id=trial.trial_id,
            parent=values.get("tuner/trial_id"),
            bracket=values["tuner/bracket"],
            rung=values["tuner/round"],
            initial_epoch=values["tuner/initial_epoch"],
            epochs=values["tuner/epochs"],
            hyperparameters={name: value for name, value in values.items() if name not in _BOOKKEEPING},
        )
        return plan, trial.hyperparameters

    def finish(self, trial_id: str, score: float | None) -> None:
        """Tell the score of a trial; ``None`` for one that failed."""
        told = _WORST[self.score_direction] if score is None else score
        trial = self.update_trial(trial_id, {self.objective.name: told})
        trial.status = "COMPLETED"
        self.end_trial(trial)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, as JSON."""
        return {
            "oracle": self.get_state(),
            "trials": {name: trial.get_state() for name, trial in self.trials.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state. Trials that were running are run again."""
        self.trials = {name: Trial.from_state(saved) for name, saved in state["trials"].items()}
        self.set_state(state["oracle"])
        self._retry_queue += [trial.trial_id for trial in dict(self.ongoing_trials).values()]
        self.ongoing_trials: dict[str, Any] = {}

    def save(self) -> None:
        """Nothing: the search writes the state, trials included, in one piece."""

    def _save_trial(self, trial: Any) -> None:
        """Nothing, for the same reason."""


def hyperparameter_space(task: Task) -> list[dict[str, Any]]:
    """The task's space as JSON, for telling whether two searches explore the same one."""
    hyperparameters = keras_tuner.HyperParameters()
    task.space().configure(hyperparameters)
    return list(hyperparameters.get_config()["space"])
