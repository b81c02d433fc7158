"""State of a search on disk: one JSON file, written completely or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ecg_study.errors import StateError, TrainingError
from ecg_study.files import write_json, write_text
from ecg_study.training.specs import COMPLETED, TrainingResult, TrainingSpec, Trial, is_better

STATE_FORMAT = 3
STATE_FILE = "search.json"

_WAY_OUT = "pass restart to start over, or set output_dir to another folder"
_WAY_OUT_PARAMETERS = ("restart", "output_dir")

_LONGEST_VALUE = 200  # characters of a value in a message


@dataclass(frozen=True)
class SearchResult:
    """A saved search, finished or not.

    Attributes:
        directory: folder of the search.
        identity: everything that determines what is searched: data, split, space, sizes, seed.
        objective: validation metric and direction.
        trials: finished trials, in the order in which they ended.
        done: whether the whole schedule was run.
        stopped: the limit that ended the search early; empty otherwise.
        seconds: search time.
    """

    directory: Path
    identity: dict[str, Any]
    objective: tuple[str, str]
    trials: tuple[Trial, ...]
    done: bool
    stopped: str = ""
    seconds: float = 0.0

    def ranked(self) -> list[Trial]:
        """Return the completed trials, best first; of equals, the earlier first."""
        completed = [trial for trial in self.trials if trial.result.status == COMPLETED]
        sign = 1 if self.objective[1] == "min" else -1
        return sorted(completed, key=lambda trial: sign * _score(trial))

    def best(self) -> Trial:
        """Return the best completed trial.

        Raises:
            TrainingError: no trial was completed.
        """
        ranked = self.ranked()
        if not ranked:
            reasons = sorted({trial.result.reason for trial in self.trials})
            why = f"all {len(self.trials)} trials failed ({'; '.join(reasons)})" if reasons else "none was started"
            advice = f"; {self.stopped}: raise it" if self.stopped else ""
            raise TrainingError(f"{self.directory}: no trial was completed: {why}{advice}")
        return ranked[0]


def _score(trial: Trial) -> float:
    assert trial.result.score is not None
    return trial.result.score


@dataclass
class SavedSearch:
    """Everything that is needed to resume a search.

    Attributes:
        identity: everything that determines what is searched.
        oracle: state of the oracle, running trials included.
        finished: finished trials, in the order in which they ended.
        warm: configurations that were tried first.
        done: whether the whole schedule was run.
        stopped: the limit that ended the search early; empty otherwise.
        seconds: search time.
    """

    identity: dict[str, Any]
    oracle: dict[str, Any] = field(default_factory=dict)
    finished: list[Trial] = field(default_factory=list)
    warm: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False
    stopped: str = ""
    seconds: float = 0.0


class StateFile:
    """The file that holds the state of one search."""

    def __init__(self, directory: Path) -> None:
        """Name the file in the folder of a search, which need not exist."""
        self.directory = directory
        self.path = directory / STATE_FILE

    def load(self) -> SavedSearch | None:
        """Return the saved state, or ``None`` without a file.

        Raises:
            StateError: the file is damaged or has another format.
        """
        if not self.path.exists():
            return None
        try:
            state = json.loads(self.path.read_text(encoding="utf-8"))
            version = state.pop("format")
            if version != STATE_FORMAT:
                raise _refused(f"{self.path}: format {version} is not supported (expected {STATE_FORMAT})")
            finished = [_trial_from_json(trial) for trial in state.pop("finished")]
            return SavedSearch(finished=finished, **state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _refused(f"{self.path}: the file is damaged, so the search cannot resume") from error

    def save(self, search: SavedSearch) -> None:
        """Write the state and ``trials.csv``."""
        state = {"format": STATE_FORMAT, **{item.name: getattr(search, item.name) for item in fields(search)}}
        state["finished"] = [_trial_to_json(trial) for trial in search.finished]
        write_json(self.path, state)
        write_text(self.directory / "trials.csv", trials_csv(search.finished))

    def check_same(self, saved: dict[str, Any], requested: dict[str, Any]) -> None:
        """Refuse to resume a search with another identity.

        Raises:
            StateError: the identities differ; the message names the first difference with both values.
        """
        for key in sorted({*saved, *requested}):
            if saved.get(key) != requested.get(key):
                before, now = _difference(saved.get(key), requested.get(key))
                raise _refused(
                    f"{self.directory}: the saved search used {key} = {before}, but {key} = {now} was requested",
                    f"use {key} = {before}, ",
                )

    def set_aside(self) -> Path | None:
        """Rename the folder of an earlier search, without deleting anything, and return its new name."""
        if not self.directory.exists():
            return None
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        aside = self.directory.with_name(f"{self.directory.name}.before-{stamp}")
        self.directory.rename(aside)
        return aside


def search_directory(out: Path, task: str) -> Path:
    """Return the folder in which a study keeps the search of one model."""
    return out / "search" / task


def load_search(directory: Path) -> SearchResult:
    """Read a saved search.

    Raises:
        StateError: it is missing or damaged.
    """
    state = StateFile(directory).load()
    if state is None:
        raise StateError(
            f"{directory}: no search found; run the search first, or set output_dir to its folder",
            parameters=("output_dir",),
        )
    objective = (state.identity["objective"][0], state.identity["objective"][1])
    return SearchResult(
        directory, state.identity, objective, tuple(state.finished), state.done, state.stopped, state.seconds
    )


def best_score(finished: Sequence[Trial], direction: str) -> float | None:
    """Return the best score of finished trials; ``None`` if none was completed."""
    best: float | None = None
    for trial in finished:
        if trial.result.score is not None and is_better(trial.result.score, best, direction=direction):
            best = trial.result.score
    return best


def trials_csv(finished: Sequence[Trial]) -> str:
    """Format trials as CSV text, one row per trial."""
    names = sorted({name for trial in finished for name in trial.spec.hyperparameters})
    head = ["id", "parent", "iteration", "bracket", "rung", "initial_epoch", "epochs", *names]
    head += ["score", "best_epoch", "seconds", "ended", "parameters", "attempts", "status", "reason"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for trial in finished:
        plan, outcome = trial.spec, trial.result
        row: list[Any] = [plan.id, plan.parent, plan.iteration, plan.bracket, plan.rung, plan.initial_epoch]
        row += [plan.epochs, *(plan.hyperparameters.get(name) for name in names)]
        row += [outcome.score, outcome.best_epoch, outcome.seconds, trial.ended, outcome.parameters]
        row += [outcome.attempts, outcome.status, outcome.reason]
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue()


# The keys "plan" and "outcome" are those of format 3, whatever the fields of a trial are called.
def _trial_to_json(trial: Trial) -> dict[str, Any]:
    return {"plan": asdict(trial.spec), "outcome": asdict(trial.result), "ended": trial.ended}


def _trial_from_json(stored: dict[str, Any]) -> Trial:
    return Trial(TrainingSpec(**stored["plan"]), TrainingResult(**stored["outcome"]), stored["ended"])


def _refused(problem: str, advice: str = "") -> StateError:
    return StateError(f"{problem}; {advice}{_WAY_OUT}", parameters=_WAY_OUT_PARAMETERS)


def _difference(saved: Any, requested: Any) -> tuple[str, str]:
    """Return the two values for a message; of dictionaries, only the items that differ."""
    if isinstance(saved, dict) and isinstance(requested, dict):
        keys = [key for key in sorted({*saved, *requested}) if saved.get(key) != requested.get(key)]
        saved, requested = {key: saved.get(key) for key in keys}, {key: requested.get(key) for key in keys}
    return _short(saved), _short(requested)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
