"""Keras Tuner's Hyperband oracle, with its state as one value instead of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.src.engine.trial import Trial

from ecg_study.training.specs import TrainingSpec, training_seed
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.schedule import first_rungs, schedule_of

_WORST = {"min": 1e9, "max": -1.0}
"""Score of a failed trial, worse than any other: with a finite score, halving continues where a missing score would
end the bracket. Mean squared errors are far below 10⁹ mV², areas under a curve are never negative."""

_BOOKKEEPING = ("tuner/trial_id", "tuner/epochs", "tuner/initial_epoch", "tuner/bracket", "tuner/round")

_DRAWS = 10_000
"""Repeated configurations in a row after which Keras Tuner treats a space as exhausted. Its default of 20 can end the
search of a small space early by chance; `schedule.check_space` has checked that there are enough configurations."""


class SearchOracle(keras_tuner.oracles.HyperbandOracle):
    """Hyperband oracle: `next_trial` returns what to train, `finish` takes the score.

    Any number of trials can run at the same time. The order in which configurations are drawn does not depend on that
    number or on which trial ends first, and a rung promotes a trial only when its place among the best of the rung is
    certain. So the search is the same with any number of workers.

    Keras Tuner writes one file per trial, in place. Here the whole state is one value, so that it can be written at
    once.
    """

    def __init__(self, task: TrainingTask, *, seed: int, warm: Sequence[dict[str, Any]] = ()) -> None:
        """Create an oracle without trials.

        Args:
            task: the model, whose preset sets Hyperband's size.
            seed: seed of the study. 0 is a seed like any other, although Keras Tuner itself takes 0 for no seed.
            warm: configurations that are tried first.
        """
        hyperparameters = keras_tuner.HyperParameters()
        task.space().configure(hyperparameters)
        name, self.score_direction = task.objective
        super().__init__(
            objective=keras_tuner.Objective(name, self.score_direction),
            max_epochs=task.preset.max_epochs,
            factor=task.preset.factor,
            hyperband_iterations=task.preset.iterations,
            seed=training_seed(seed, task=task.name, name="oracle") | 1,
            hyperparameters=hyperparameters,
        )
        self.verbose = 0
        self._max_collisions = _DRAWS
        self._warm = list(warm)
        self._current_bracket: int
        self._last_bracket = min(rung.bracket for rung in schedule_of(task.preset))
        self._first_rungs = first_rungs(schedule_of(task.preset))
        self._names: dict[str, str] = {}  # Keras Tuner's trial id → ours
        self._asked = 0

    def next_trial(self) -> TrainingSpec | None:
        """Return the next trial, or ``None`` if no trial can start now."""
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
        # Not values["tuner/bracket"]: with several open brackets, it names the newest, not the trial's own.
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
        """Record the score of a trial, ``None`` for one that failed.

        Args:
            name: id of the trial's `TrainingSpec`.
            score: validation objective at its end.
        """
        recorded = _WORST[self.score_direction] if score is None else score
        (trial_id,) = [trial_id for trial_id, known in self._names.items() if known == name]
        trial = self.update_trial(trial_id, {self.objective.name: recorded})
        trial.status = "COMPLETED"
        self.end_trial(trial)

    def state(self) -> dict[str, Any]:
        """Return everything that is needed to resume, as JSON."""
        return {
            "oracle": self.get_state(),
            "trials": {name: trial.get_state() for name, trial in self.trials.items()},
            "names": dict(self._names),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a saved state. Trials that were running run again."""
        self.trials = {name: Trial.from_state(saved) for name, saved in state["trials"].items()}
        self.set_state(state["oracle"])
        self._names = dict(state["names"])
        # Keras Tuner takes the last first; the order of the first start must be kept.
        running = sorted((trial.trial_id for trial in self.ongoing_trials.values()), reverse=True)
        self._retry_queue: list[str] = [*running, *state["oracle"]["retry_queue"]]
        self.ongoing_trials: dict[str, Any] = {}

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial. Brackets below the last one of the preset are left out."""
        if self._last_bracket == 0 or self._current_bracket != self._last_bracket:
            return dict(super().populate_space(trial_id))
        self._current_bracket = 0  # after which Keras Tuner ends the iteration
        found = dict(super().populate_space(trial_id))
        if self._current_bracket == 0:  # it did not begin the next iteration
            self._current_bracket = self._last_bracket
        return found

    def save(self) -> None:
        """Do nothing: the search writes the state, trials included, in one piece."""

    def _save_trial(self, trial: Any) -> None:
        """Do nothing, for the same reason."""

    def _random_values(self) -> Any:
        """Return the next configuration: the warm ones first, then random ones."""
        drawn = sum(name.endswith("-r0") for name in self._names.values())
        return dict(self._warm[drawn]) if drawn < len(self._warm) else super()._random_values()


def hyperparameter_space(task: TrainingTask) -> list[dict[str, Any]]:
    """Return the task's space as JSON, which is stored and compared."""
    hyperparameters = keras_tuner.HyperParameters()
    task.space().configure(hyperparameters)
    return list(hyperparameters.get_config()["space"])


def _configuration(name: str) -> str:
    return name.split("-", maxsplit=1)[0]
