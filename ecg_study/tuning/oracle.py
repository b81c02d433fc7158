"""Keras Tuner's Hyperband oracle, whose state is handed out instead of being written by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.src.engine.trial import Trial

from ecg_study.training.specs import TrainingSpec, trial_seed
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.schedule import first_rungs, schedule_of

_WORST = {"min": 1e9, "max": -1.0}
"""Score of a failed trial, worse than any real one: with a finite score, halving goes on where a missing one would
end the bracket. Mean squared errors stay far below 10⁹ mV², areas under a curve are never negative."""

_BOOKKEEPING = ("tuner/trial_id", "tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round")

_DRAWS = 10_000
"""Draws in a row that were all drawn before, after which Keras Tuner takes a space for exhausted. Its own 20 end a
search of a small space early by mere chance; `tuning.schedule` has made sure that there are configurations enough."""


class SearchOracle(keras_tuner.oracles.HyperbandOracle):
    """Asks and tells: `next_trial` gives what to train, `finish` takes what came of it.

    Any number of trials may be out at once. Configurations are drawn in an order that does not depend on how many,
    or on which of them ends first, and a rung promotes a trial only when its place among the best of the rung is
    certain: so the search is the same whatever the number of workers.

    Keras Tuner writes one file a trial, in place; here the whole state is one value, so that it can be written at once.

    Args:
        task: the model, whose preset sets Hyperband's size.
        seed: seed of the study; 0 works like any other (Keras Tuner itself takes 0 for none).
        warm: configurations that are drawn first.
    """

    def __init__(self, task: TrainingTask, seed: int, warm: Sequence[dict[str, Any]] = ()) -> None:
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
        self._max_collisions = _DRAWS
        self._warm = list(warm)
        self._first_rungs = first_rungs(schedule_of(task.preset))
        self._names: dict[str, str] = {}  # Keras Tuner's trial id → ours
        self._asked = 0

    def next_trial(self) -> TrainingSpec | None:
        """What to train next; ``None`` when nothing can be begun before another trial ends, or at all."""
        self._asked += 1
        trial = self.create_trial(str(self._asked))
        if trial.status != "RUNNING":
            return None
        values = trial.hyperparameters.values
        above = values.get("tuner/trial_id")
        rung = values["tuner/round"]
        if trial.trial_id not in self._names:
            drawn = sum(name.endswith("-r0") for name in self._names.values())
            configuration = f"{drawn:03d}" if above is None else _configuration(self._names[above])
            self._names[trial.trial_id] = f"{configuration}-r{rung}"
        name = self._names[trial.trial_id]
        # Not values["tuner/bracket"]: that names the bracket begun last, not the trial's own, once several are open.
        own = self._first_rungs[int(_configuration(name))]
        return TrainingSpec(
            id=name,
            parent=None if above is None else self._names[above],
            iteration=own.iteration,
            bracket=own.bracket,
            rung=rung,
            initial_epoch=values["tuner/initial_epoch"],
            epochs=values["tuner/epochs"],
            hyperparameters={name: value for name, value in values.items() if name not in _BOOKKEEPING},
        )

    def finish(self, name: str, score: float | None) -> None:
        """Tell the score of a trial by its name; ``None`` for one that failed."""
        told = _WORST[self.score_direction] if score is None else score
        (trial_id,) = [trial_id for trial_id, known in self._names.items() if known == name]
        trial = self.update_trial(trial_id, {self.objective.name: told})
        trial.status = "COMPLETED"
        self.end_trial(trial)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, as JSON."""
        return {
            "oracle": self.get_state(),
            "trials": {name: trial.get_state() for name, trial in self.trials.items()},
            "names": dict(self._names),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state. Trials that were running are run again."""
        self.trials = {name: Trial.from_state(saved) for name, saved in state["trials"].items()}
        self.set_state(state["oracle"])
        self._names = dict(state["names"])
        # Keras Tuner takes the last first; the first that was begun shall be the first again.
        running = sorted((trial.trial_id for trial in self.ongoing_trials.values()), reverse=True)
        self._retry_queue: list[str] = [*running, *state["oracle"]["retry_queue"]]
        self.ongoing_trials: dict[str, Any] = {}

    def save(self) -> None:
        """Nothing: the search writes the state, trials included, in one piece."""

    def _save_trial(self, trial: Any) -> None:
        """Nothing, for the same reason."""

    def _random_values(self) -> Any:
        """The next configuration: the warm ones first, then random ones."""
        drawn = sum(name.endswith("-r0") for name in self._names.values())
        return dict(self._warm[drawn]) if drawn < len(self._warm) else super()._random_values()


def hyperparameter_space(task: TrainingTask) -> list[dict[str, Any]]:
    """The task's space as JSON, for telling whether two searches explore the same one."""
    hyperparameters = keras_tuner.HyperParameters()
    task.space().configure(hyperparameters)
    return list(hyperparameters.get_config()["space"])


def _configuration(name: str) -> str:
    return name.split("-", maxsplit=1)[0]
