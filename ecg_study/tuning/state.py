"""State of a search on disk: one JSON file, written completely or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecg_study.errors import StateError, TrainingError
from ecg_study.extras import BACKENDS
from ecg_study.files import write_json, write_text
from ecg_study.formatting import difference
from ecg_study.reading import UnreadableError, first_problem, read_json
from ecg_study.training.specs import COMPLETED, TrainingResult, TrainingSpec, Trial, is_better
from ecg_study.training.stored import Configuration, Finite, Seconds, Stored, StoredResult, StoredSpec, TrialId, Value
from ecg_study.tuning.exports.trials_table import trials_csv

STATE_FORMAT = 3
STATE_FILE = "search.json"

WAY_OUT = "pass restart to search to start over, or set output_dir to another folder"
WAY_OUT_PARAMETERS = ("restart", "output_dir")
"""Advice for a search that cannot resume, and the parameters that it names."""


class OtherSearchError(StateError):
    """A saved search is that of other settings or data.

    Attributes:
        directory: folder of the search.
    """

    def __init__(self, message: str, directory: Path, *, parameters: Sequence[str] = ()) -> None:
        """Create the error; see `EcgStudyError`."""
        super().__init__(message, parameters=parameters)
        self.directory = directory


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


_Size = Annotated[int, Field(ge=1, le=1_000_000)]


class _StoredTrial(Stored):
    plan: StoredSpec
    outcome: StoredResult
    ended: Seconds


class _StoredOpen(BaseModel):
    """A part of which only some fields are used."""

    model_config = ConfigDict(strict=True, extra="allow")


class _StoredRange(_StoredOpen):
    name: str
    values: list[Value] = []
    min_value: Finite = 0
    max_value: Finite = 0


class _StoredHyperparameter(Stored):
    class_name: Literal["Boolean", "Choice", "Fixed", "Float", "Int"]
    config: _StoredRange

    def allows(self, value: Value) -> bool:
        """Return whether a value is of the kind that this hyperparameter has."""
        if self.class_name == "Choice":
            return value in self.config.values
        if self.class_name in ("Float", "Int"):
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        return self.class_name == "Fixed" or isinstance(value, bool)


class _StoredOracleValues(_StoredOpen):
    values: Configuration


class _StoredOracleTrial(_StoredOpen):
    trial_id: str
    hyperparameters: _StoredOracleValues
    score: Finite | None
    status: str


class _StoredOracle(Stored):
    """Keras Tuner's state of the search; empty before the first trial."""

    oracle: dict[str, Any] = Field(default_factory=dict)
    trials: dict[str, _StoredOracleTrial] = Field(default_factory=dict)
    names: dict[str, TrialId] = Field(default_factory=dict)


class _StoredSizes(Stored):
    max_epochs: _Size
    factor: Annotated[int, Field(ge=2, le=1_000)]
    iterations: Annotated[int, Field(ge=1, le=10_000)]
    batch_size: _Size
    segments_per_epoch: _Size | None
    brackets: _Size | None = None


class _StoredIdentity(_StoredOpen):
    task: Literal["denoiser", "detector"]
    objective: Annotated[list[str], Field(min_length=2, max_length=2)]
    data: str
    training_records: list[str] = Field(alias="training records")
    validation_records: list[str] = Field(alias="validation records")
    signals: list[str]
    preset: str
    sizes: _StoredSizes
    space: list[_StoredHyperparameter]
    seed: int
    warm_start: str = Field(alias="warm start")

    @model_validator(mode="after")
    def _check_direction(self) -> _StoredIdentity:
        if self.objective[1] not in ("min", "max"):
            raise ValueError("the direction of the objective is neither min nor max")
        return self


class _StoredSearch(Stored):
    """The whole file."""

    format: Literal[3]
    identity: _StoredIdentity
    oracle: _StoredOracle = _StoredOracle()
    finished: list[_StoredTrial]
    warm: list[Configuration] = Field(default_factory=list)
    done: bool = False
    stopped: str = ""
    seconds: Seconds = 0.0

    @model_validator(mode="after")
    def _check_trials(self) -> _StoredSearch:
        ids = {trial.plan.id for trial in self.finished}
        space: dict[str, list[_StoredHyperparameter]] = {}
        for item in self.identity.space:
            space.setdefault(item.config.name, []).append(item)
        if len(ids) < len(self.finished):
            raise ValueError("two trials have the same id")
        for trial in self.finished:
            if trial.plan.parent is not None and trial.plan.parent not in ids:
                raise ValueError(f"trial {trial.plan.id} continues a trial that is missing")
            for name, value in trial.plan.hyperparameters.items():
                if not any(item.allows(value) for item in space.get(name, ())):
                    raise ValueError(f"trial {trial.plan.id} has a value of {name} that is not in the space")
        return self


def _is_same_folder(one: str, other: str) -> bool:
    return bool(one and other) and Path(one).resolve() == Path(other).resolve()


class SearchStateFile:
    """The file that holds the state of one search."""

    def __init__(self, directory: Path) -> None:
        """Name the file in the folder of a search, which need not exist."""
        self.directory = directory
        self.path = directory / STATE_FILE

    def load(self) -> SavedSearch | None:
        """Return the saved state, or ``None`` without a file, to resume the search.

        Raises:
            StateError: the file is damaged or has another format.
        """
        try:
            return self.read()
        except UnreadableError as error:
            raise self.not_resumable(str(error)) from error

    def read(self) -> SavedSearch | None:
        """Return the saved state, or ``None`` without a file.

        Raises:
            UnreadableError: the file is damaged or has another format.
        """
        try:
            state = read_json(self.path)
        except FileNotFoundError:
            return None
        version = state.get("format") if isinstance(state, dict) else None
        if isinstance(version, int) and version != STATE_FORMAT:
            raise UnreadableError(f"format {version} is not supported, expected {STATE_FORMAT}")
        try:
            stored = _StoredSearch.model_validate(state)
        except ValidationError as error:
            raise UnreadableError(first_problem(error)) from error
        finished = [_trial_from_json(trial) for trial in state["finished"]]
        values = {item.name: state[item.name] for item in fields(SavedSearch) if item.name in stored.model_fields_set}
        return SavedSearch(**(values | {"finished": finished}))

    def not_resumable(self, problem: str) -> StateError:
        """Return the error for a damaged file of a search that should resume."""
        return _refused(f"{self.path}: the file is damaged, so the search cannot resume", reason=problem)

    def damaged(self, problem: str) -> StateError:
        """Return the error for a damaged file that is only read."""
        return StateError(f"{self.path}: the file is damaged ({problem}); restore it, or repeat the search")

    def save(self, search: SavedSearch) -> None:
        """Write the state and ``trials.csv``."""
        state = {"format": STATE_FORMAT, **{item.name: getattr(search, item.name) for item in fields(search)}}
        state["finished"] = [_trial_to_json(trial) for trial in search.finished]
        write_json(self.path, state)
        write_text(self.directory / "trials.csv", trials_csv(search.finished))

    def check_same(self, saved: dict[str, Any], requested: dict[str, Any]) -> None:
        """Refuse to resume a search with another identity.

        Raises:
            OtherSearchError: the identities differ; the message names the first difference with both values.
        """
        # The same folder may be named from elsewhere.
        if _is_same_folder(str(saved.get("warm start", "")), str(requested.get("warm start", ""))):
            requested = {**requested, "warm start": saved["warm start"]}
        # Only a backend other than the default is stored: earlier versions had no other.
        saved, requested = ({"KERAS_BACKEND": BACKENDS[0], **identity} for identity in (saved, requested))
        for key in sorted({*saved, *requested}):
            if saved.get(key) != requested.get(key):
                before, now = difference(saved.get(key), requested.get(key))
                problem = f"the saved search used {key} = {before}, but {key} = {now} was requested"
                raise OtherSearchError(
                    f"{self.directory}: {problem}; use {key} = {before}, {WAY_OUT}",
                    self.directory,
                    parameters=WAY_OUT_PARAMETERS,
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
    file = SearchStateFile(directory)
    try:
        state = file.read()
    except UnreadableError as error:
        raise file.damaged(str(error)) from error
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


# The keys "plan" and "outcome" are those of format 3, whatever the fields of a trial are called.
def _trial_to_json(trial: Trial) -> dict[str, Any]:
    return {"plan": asdict(trial.spec), "outcome": asdict(trial.result), "ended": trial.ended}


def _trial_from_json(stored: dict[str, Any]) -> Trial:
    return Trial(TrainingSpec(**stored["plan"]), TrainingResult(**stored["outcome"]), stored["ended"])


def _refused(problem: str, advice: str = "", *, reason: str = "") -> StateError:
    details = f" ({reason})" if reason else ""
    return StateError(f"{problem}; {advice}{WAY_OUT}{details}", parameters=WAY_OUT_PARAMETERS)
