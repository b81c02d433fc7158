"""The state of a search on disk: one JSON file, written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ecg_study.errors import EcgStudyError
from ecg_study.files import write_json, write_text
from ecg_study.training.specs import COMPLETED, TrainingResult, TrainingSpec, Trial, is_better

STATE_FORMAT = 3
STATE_FILE = "search.json"
_WAY_OUT = "give --fresh to set it aside and begin anew, or another --out"


@dataclass(frozen=True)
class SearchResult:
    """A search as it stands on disk.

    Attributes:
        directory: where it is kept.
        identity: everything that decides what is searched: data, split, space, sizes, seed.
        objective: validation metric and direction.
        trials: finished trials in the order of their end.
        done: whether the search came to its end.
        stopped: why it was ended before, by a budget; empty where it was not.
        seconds: time spent searching.
    """

    directory: Path
    identity: dict[str, Any]
    objective: tuple[str, str]
    trials: tuple[Trial, ...]
    done: bool
    stopped: str = ""
    seconds: float = 0.0

    def ranked(self) -> list[Trial]:
        """Completed trials, the best first; of equals, the earlier."""
        completed = [trial for trial in self.trials if trial.outcome.status == COMPLETED]
        sign = 1 if self.objective[1] == "min" else -1
        return sorted(completed, key=lambda trial: sign * _score(trial))

    def best(self) -> Trial:
        """The best completed trial.

        Raises:
            StudyError: none completed.
        """
        ranked = self.ranked()
        if not ranked:
            reasons = {trial.outcome.reason for trial in self.trials}
            why = f"all {len(self.trials)} trials failed ({'; '.join(sorted(reasons))})" if reasons else "it has none"
            if self.stopped:
                why += f"; {self.stopped}: give more"
            raise EcgStudyError(f"{self.directory}: no completed trial: {why}")
        return ranked[0]


def _score(trial: Trial) -> float:
    assert trial.outcome.score is not None
    return trial.outcome.score


@dataclass
class SavedSearch:
    """All that is kept of a search, to go on with it.

    Attributes:
        identity: everything that decides what is searched.
        oracle: state of the oracle, trials that are running included.
        finished: finished trials in the order of their end.
        warm: configurations that were drawn first.
        done: whether the search came to its end.
        stopped: why it was ended before, by a budget.
        seconds: time spent searching.
    """

    identity: dict[str, Any]
    oracle: dict[str, Any] = field(default_factory=dict)
    finished: list[Trial] = field(default_factory=list)
    warm: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False
    stopped: str = ""
    seconds: float = 0.0


class StateFile:
    """Reads and writes the state of one search.

    Args:
        directory: folder of the search.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / STATE_FILE

    def load(self) -> SavedSearch | None:
        """The saved state, or ``None`` where there is none.

        Raises:
            StudyError: the file is damaged or of another version.
        """
        if not self.path.exists():
            return None
        try:
            state = json.loads(self.path.read_text(encoding="utf-8"))
            version = state.pop("format")
            if version != STATE_FORMAT:
                raise EcgStudyError(
                    f"{self.path}: written in format {version}, this program reads {STATE_FORMAT}; {_WAY_OUT}"
                )
            trials = state.pop("finished")
            finished = [Trial(TrainingSpec(**t["plan"]), TrainingResult(**t["outcome"]), t["ended"]) for t in trials]
            return SavedSearch(finished=finished, **state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EcgStudyError(f"{self.path}: damaged, cannot go on from it; {_WAY_OUT}") from error

    def save(self, search: SavedSearch) -> None:
        """Write the state and ``trials.csv``."""
        state = {"format": STATE_FORMAT, **{item.name: getattr(search, item.name) for item in fields(search)}}
        state["finished"] = [asdict(trial) for trial in search.finished]
        write_json(self.path, state)
        write_text(self.directory / "trials.csv", trials_csv(search.finished))

    def check_same(self, saved: dict[str, Any], now: dict[str, Any]) -> None:
        """Refuse to go on with a search that was begun with something else.

        Raises:
            StudyError: naming the first difference with both values.
        """
        for key in sorted({*saved, *now}):
            if saved.get(key) != now.get(key):
                before, after = _difference(saved.get(key), now.get(key))
                raise EcgStudyError(
                    f"{self.directory}: this search was begun with {key} = {before}, now asked for {after}; "
                    f"give the same again, {_WAY_OUT}"
                )

    def set_aside(self) -> Path | None:
        """Rename the folder of an earlier search out of the way; nothing is deleted. Returns its new name."""
        if not self.directory.exists():
            return None
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        aside = self.directory.with_name(f"{self.directory.name}.before-{stamp}")
        self.directory.rename(aside)
        return aside


def search_directory(out: Path, task: str) -> Path:
    """Where a study keeps the search of one model."""
    return out / "search" / task


def load_search(directory: Path) -> SearchResult:
    """Read a search for its report.

    Raises:
        StudyError: there is none, or its file is damaged.
    """
    state = StateFile(directory).load()
    if state is None:
        raise EcgStudyError(f"{directory}: no search here; run 'study.py search' with the same --out first")
    objective = (state.identity["objective"][0], state.identity["objective"][1])
    return SearchResult(
        directory, state.identity, objective, tuple(state.finished), state.done, state.stopped, state.seconds
    )


def best_so_far(finished: list[Trial], direction: str) -> float | None:
    """The best score among finished trials."""
    best: float | None = None
    for trial in finished:
        if trial.outcome.score is not None and is_better(trial.outcome.score, best, direction):
            best = trial.outcome.score
    return best


def trials_csv(finished: list[Trial]) -> str:
    """All trials as CSV text, one a row."""
    names = sorted({name for trial in finished for name in trial.plan.hyperparameters})
    head = ["id", "parent", "iteration", "bracket", "rung", "initial_epoch", "epochs", *names]
    head += ["score", "best_epoch", "seconds", "ended", "parameters", "attempts", "status", "reason"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for trial in finished:
        plan, outcome = trial.plan, trial.outcome
        row: list[Any] = [plan.id, plan.parent, plan.iteration, plan.bracket, plan.rung, plan.initial_epoch]
        row += [plan.epochs, *(plan.hyperparameters.get(name) for name in names)]
        row += [outcome.score, outcome.best_epoch, outcome.seconds, trial.ended, outcome.parameters]
        row += [outcome.attempts, outcome.status, outcome.reason]
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue()


def _difference(saved: Any, now: Any) -> tuple[str, str]:
    """The two values for a message; of dictionaries, just what differs."""
    if isinstance(saved, dict) and isinstance(now, dict):
        keys = [key for key in sorted({*saved, *now}) if saved.get(key) != now.get(key)]
        saved, now = {key: saved.get(key) for key in keys}, {key: now.get(key) for key in keys}
    return _short(saved), _short(now)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:200] + "…"
