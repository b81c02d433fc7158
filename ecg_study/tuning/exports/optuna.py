"""The trials of a study's searches as an Optuna storage, which optuna-dashboard and Optuna's plots open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecg_study.errors import EcgStudyError
from ecg_study.files import write_bytes
from ecg_study.models.card import MODEL_KINDS
from ecg_study.training.specs import COMPLETED, Trial
from ecg_study.tuning.schedule import hyperband_schedule
from ecg_study.tuning.state import STATE_FILE, SearchResult, load_search, search_directory

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

_DIRECTIONS: dict[str, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}


def find_searches(out: Path) -> dict[str, SearchResult]:
    """The searches in the output folder of a study, finished or not, by model.

    Raises:
        StudyError: there is none, or one is damaged.
    """
    directories = {name: search_directory(out, name) for name in MODEL_KINDS}
    found = {name: load_search(place) for name, place in directories.items() if (place / STATE_FILE).exists()}
    if not found:
        raise EcgStudyError(f"{out}: no search here; run 'study.py search' with the same --out first")
    return found


def progress(result: SearchResult) -> str:
    """How far a search has come, in words."""
    if result.done:
        return "the search is finished"
    if result.stopped:
        return f"the search ended early: {result.stopped}"
    sizes = result.identity["sizes"]
    schedule = hyperband_schedule(sizes["max_epochs"], sizes["factor"], sizes["iterations"])
    return f"the search is unfinished: {len(result.trials)} of {sum(rung.trials for rung in schedule)} trials"


def export_optuna(searches: Mapping[str, SearchResult], path: Path, overwrite: bool) -> dict[str, int]:
    """Write one SQLite file with an Optuna study for each search. The searches are only read.

    Trials are numbered in the order of their end. Parameters lie in the distributions of the search's own space, a
    hyperparameter that a trial does not have is absent there, and the intermediate values are the objective after
    each epoch, counted over all rungs. Times of day are approximate: the state knows seconds of searching, and these
    are counted back from the moment at which it was last saved, as if the search had never been interrupted.

    Args:
        searches: model → its search.
        path: the file to write, whole or not at all.
        overwrite: replace a file that exists.

    Returns:
        Model → trials written, failed ones included.

    Raises:
        StudyError: the file exists or is a folder, or the package ``optuna`` is not installed.
    """
    _check_installed()
    if path.is_dir():
        raise EcgStudyError(f"--storage: {path} is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise EcgStudyError(f"{path}: exists; give --overwrite to replace it, or another --storage")
    write_bytes(path, _database(searches))
    return {name: len(result.trials) for name, result in searches.items()}


def storage_url(path: Path) -> str:
    """The address under which Optuna and optuna-dashboard open a storage.

    Raises:
        StudyError: the package ``optuna`` is not installed.
    """
    _check_installed()
    from sqlalchemy.engine import URL  # what Optuna reads the address with, so that both agree on '%' and '?'

    return str(URL.create("sqlite", database=str(path.absolute())))


def _check_installed() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise EcgStudyError("export: needs the package optuna; 'pip install optuna' brings it") from error


def _database(searches: Mapping[str, SearchResult]) -> bytes:
    """The content of the SQLite file.

    It is made in memory: no journal can be left behind, and a full disk is met by one write alone.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import StaticPool

    with _quiet(), closing(sqlite3.connect(":memory:")) as connection:
        storage = RDBStorage("sqlite://", engine_kwargs={"creator": lambda: connection, "poolclass": StaticPool})
        for name, result in searches.items():
            _add_study(storage, name, result)
        storage.remove_session()
        return connection.serialize()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line for each new study."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _add_study(storage: BaseStorage, name: str, result: SearchResult) -> None:
    import optuna

    identity, (metric, direction) = result.identity, result.objective
    study = optuna.create_study(storage=storage, study_name=name, direction=_DIRECTIONS[direction])
    attributes = {
        "objective": metric,
        "preset": identity["preset"],
        "seed": identity["seed"],
        "data": identity["data"],
        "training records": identity["training records"],
        "validation records": identity["validation records"],
        "state": progress(result),
    }
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    saved = (result.directory / STATE_FILE).stat().st_mtime
    began = datetime.fromtimestamp(saved - result.seconds)
    distributions = _distributions(result)
    study.add_trials([_trial(trial, metric, began, distributions) for trial in result.trials])


def _trial(trial: Trial, metric: str, began: datetime, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    plan, outcome = trial.plan, trial.outcome
    made = create_trial(
        state=TrialState.COMPLETE if outcome.status == COMPLETED else TrialState.FAIL,
        value=outcome.score,
        params=dict(plan.hyperparameters),
        distributions={name: distributions[name] for name in plan.hyperparameters},
        user_attrs=_attributes(trial),
        intermediate_values=_curve(outcome.history, metric),
    )
    made.datetime_complete = began + timedelta(seconds=trial.ended)
    made.datetime_start = made.datetime_complete - timedelta(seconds=outcome.seconds)
    return made


def _attributes(trial: Trial) -> dict[str, Any]:
    """What Optuna has no place of its own for; what a trial does not have is left out."""
    plan, outcome = trial.plan, trial.outcome
    attributes = {
        "id": plan.id,
        "parent": plan.parent,
        "iteration": plan.iteration,
        "bracket": plan.bracket,
        "rung": plan.rung,
        "epochs": plan.epochs,
        "best epoch": outcome.best_epoch,
        "parameters": outcome.parameters,
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
        "reason": outcome.reason or None,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _curve(history: list[dict[str, float]], metric: str) -> dict[int, float]:
    """Epoch → objective. An epoch of which a loss is missing, since it was not finite, counts for nothing."""
    needed = {"loss", "val_loss", metric}
    return {int(row["epoch"]): row[metric] for row in history if needed <= row.keys()}


def _distributions(result: SearchResult) -> dict[str, BaseDistribution]:
    """The distribution of every hyperparameter that a trial has, from the space that the search kept."""
    seen: dict[str, list[Any]] = {}
    for trial in result.trials:
        for name, value in trial.plan.hyperparameters.items():
            seen.setdefault(name, []).append(value)
    space = result.identity["space"]
    return {
        name: _distribution([item for item in space if item["config"]["name"] == name], values)
        for name, values in seen.items()
    }


def _distribution(declared: list[dict[str, Any]], seen: list[Any]) -> BaseDistribution:
    """Optuna's form of a hyperparameter of Keras Tuner.

    Args:
        declared: its declarations as the search keeps them.
        seen: the values that trials have.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    kind, config = declared[0]["class_name"], declared[0]["config"]
    if len(declared) > 1:
        # Keras Tuner lets two scopes declare one name with different values; Optuna knows one distribution a name.
        return CategoricalDistribution(list(dict.fromkeys(seen)))
    if kind == "Boolean":
        return CategoricalDistribution([False, True])
    if kind in ("Choice", "Fixed"):
        return CategoricalDistribution(config["values"] if kind == "Choice" else [config["value"]])
    # Rounding may draw a value from just beyond its range, which Optuna would refuse.
    low, high = min([config["min_value"], *seen]), max([config["max_value"], *seen])
    log = config["sampling"] == "log"
    if kind == "Float":
        return FloatDistribution(low, high, log)  # without its step, which Optuna has not on a logarithmic scale
    step = config["step"] if config["sampling"] == "linear" else 1
    return IntDistribution(low, low + (high - low) // step * step, log, step)
