"""Export of searches as an Optuna storage, for optuna-dashboard and Optuna's plots."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecg_study.errors import EcgStudyError, InputError, StateError
from ecg_study.files import write_bytes
from ecg_study.models.card import MODEL_KINDS
from ecg_study.training.specs import COMPLETED, Trial
from ecg_study.tuning.schedule import hyperband_schedule
from ecg_study.tuning.state import STATE_FILE, SearchResult, SearchStateFile, load_search, search_directory

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

_DIRECTIONS: dict[str, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}


def find_searches(out: Path) -> dict[str, SearchResult]:
    """Return the searches in the output folder of a study, finished or not, by model.

    Raises:
        StateError: there is no search, or one is damaged.
    """
    directories = {name: search_directory(out, name) for name in MODEL_KINDS}
    found = {name: load_search(place) for name, place in directories.items() if (place / STATE_FILE).exists()}
    if not found:
        raise StateError(
            f"{out}: no search found; run the search first, or set output_dir to its folder",
            parameters=("output_dir",),
        )
    return found


def describe_progress(result: SearchResult) -> str:
    """Describe how far a search has come."""
    if result.done:
        return "the search is finished"
    if result.stopped:
        return f"the search ended early: {result.stopped}"
    sizes = result.identity["sizes"]
    schedule = hyperband_schedule(
        max_epochs=sizes["max_epochs"],
        factor=sizes["factor"],
        iterations=sizes["iterations"],
        brackets=sizes.get("brackets"),
    )
    return f"the search is unfinished: {len(result.trials)} of {sum(rung.trials for rung in schedule)} trials"


def export_optuna(searches: Mapping[str, SearchResult], path: Path, *, overwrite: bool = False) -> dict[str, int]:
    """Write one SQLite file with an Optuna study for each search. The searches are only read.

    Trials are numbered in the order in which they ended. The distributions of the parameters come from the search's own
    space; a hyperparameter that a trial does not have is absent. Intermediate values are the objective after each
    epoch, counted over all rungs. Times of day are approximate, because the state holds search times only. They are
    counted back from the time at which the state was last saved, as if the search had never been interrupted.

    Args:
        searches: model → its search.
        path: the file, written completely or not at all.
        overwrite: replace an existing file.

    Returns:
        Model → number of trials written, failed ones included.

    Raises:
        InputError: the file exists or is a folder.
        StateError: a search is damaged.
        EcgStudyError: the package ``optuna`` is not installed.
    """
    _check_installed()
    if path.is_dir():
        raise InputError(f"storage: {path} is a folder; name a file in it", parameters=("storage",))
    if path.exists() and not overwrite:
        raise InputError(
            f"{path}: the file exists; pass overwrite to replace it, or set storage to another file",
            parameters=("overwrite", "storage"),
        )
    write_bytes(path, _database(searches))
    return {name: len(result.trials) for name, result in searches.items()}


def storage_url(path: Path) -> str:
    """Return the URL by which Optuna and optuna-dashboard open a storage.

    Raises:
        EcgStudyError: the package ``optuna`` is not installed.
    """
    _check_installed()
    from sqlalchemy.engine import URL  # Optuna parses the URL with it, so both agree on '%' and '?'

    return str(URL.create("sqlite", database=str(path.absolute())))


def _check_installed() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise EcgStudyError("optuna: the package is missing; install it with 'pip install optuna'") from error


def _database(searches: Mapping[str, SearchResult]) -> bytes:
    """Return the content of the SQLite file.

    It is made in memory, so that no journal can be left behind, and a full disk interrupts only one write.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import StaticPool

    with _quiet(), closing(sqlite3.connect(":memory:")) as connection:
        storage = RDBStorage("sqlite://", engine_kwargs={"creator": lambda: connection, "poolclass": StaticPool})
        for name, result in searches.items():
            try:
                _add_study(storage, name, result)
            except (LookupError, TypeError, ValueError, OverflowError) as error:
                raise SearchStateFile(result.directory).damaged("its trials do not fit its space") from error
        storage.remove_session()
        return connection.serialize()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Optuna's message for each new study."""
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
        "state": describe_progress(result),
    }
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    saved = (result.directory / STATE_FILE).stat().st_mtime
    began = datetime.fromtimestamp(saved - result.seconds)
    distributions = _distributions(result)
    study.add_trials([_trial(trial, metric, began, distributions) for trial in result.trials])


def _trial(trial: Trial, metric: str, began: datetime, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    plan, outcome = trial.spec, trial.result
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
    """Return the values for which Optuna has no field of its own, without those that a trial lacks."""
    plan, outcome = trial.spec, trial.result
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
    """Return epoch → objective, without epochs whose loss was not finite: it is missing from their row."""
    needed = {"loss", "val_loss", metric}
    return {int(row["epoch"]): row[metric] for row in history if needed <= row.keys()}


def _distributions(result: SearchResult) -> dict[str, BaseDistribution]:
    """Return the distribution of each hyperparameter that a trial has, from the saved space of the search."""
    seen: dict[str, list[Any]] = {}
    for trial in result.trials:
        for name, value in trial.spec.hyperparameters.items():
            seen.setdefault(name, []).append(value)
    space = result.identity["space"]
    return {
        name: _distribution([item for item in space if item["config"]["name"] == name], values)
        for name, values in seen.items()
    }


def _distribution(declared: list[dict[str, Any]], seen: list[Any]) -> BaseDistribution:
    """Convert a hyperparameter of Keras Tuner to Optuna's form.

    Args:
        declared: its declarations in the saved space.
        seen: the values that trials have.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    kind, config = declared[0]["class_name"], declared[0]["config"]
    if len(declared) > 1:
        # In Keras Tuner two scopes can declare a name with different values; Optuna has one distribution per name.
        return CategoricalDistribution(list(dict.fromkeys(seen)))
    if kind == "Boolean":
        return CategoricalDistribution([False, True])
    if kind in ("Choice", "Fixed"):
        return CategoricalDistribution(config["values"] if kind == "Choice" else [config["value"]])
    # Rounding can draw a value just outside its range, which Optuna would refuse.
    low, high = min([config["min_value"], *seen]), max([config["max_value"], *seen])
    log = config["sampling"] == "log"
    if kind == "Float":
        return FloatDistribution(low, high, log)  # Optuna has no step on a logarithmic scale
    step = config["step"] if config["sampling"] == "linear" else 1
    return IntDistribution(low, low + (high - low) // step * step, log, step)
