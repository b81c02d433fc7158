"""Models that a training starts from: what they were trained on, and how a card names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.databases.splits import TEST, VALIDATION, Part
from ecg_study.errors import DataError, ModelError, SettingsError
from ecg_study.evaluation.seen_records import records_of_seen_subjects, seen_records
from ecg_study.files import sha256_of
from ecg_study.inference.loading import find_model
from ecg_study.models.card import LINEAGE, MODEL_FILE, ModelCard
from ecg_study.models.folder import SavedModel, open_model
from ecg_study.training.pretrained import Pretrained
from ecg_study.training.task import TrainingTask

TRAINED = "training"
"""Key in the data of a card that only cards of the verb ``train`` have."""


def refuse_training_records(card: ModelCard, task: TrainingTask, *, data: Database) -> None:
    """Refuse validation and test records, and their subjects, that a model was trained on.

    Args:
        card: card of the model that a training starts from.
        task: the task of the training. With ``task.refit``, its validation records are trained on too.
        data: the database of the task.

    Raises:
        DataError: the model was trained on such a record or subject.
    """
    known = seen_records(card, task.cache.signals(task.split.test), part=TEST)
    # Only a card of the verb train says whether its validation records were trained on.
    part: Part = VALIDATION if card.data.get(TRAINED, {}).get("refit") is False else TEST
    if not task.refit:
        known += seen_records(card, task.cache.signals(task.split.validation), part=part)
    if known:
        problem = (
            f"{', '.join(sorted(known))}: the model was trained on these records, so they cannot be used to measure it"
        )
        raise DataError(f"{problem}; leave them out of records", parameters=("records",))
    known = records_of_seen_subjects(card, data, records=task.split.test, part=TEST)
    if not task.refit:
        known += records_of_seen_subjects(card, data, records=task.split.validation, part=part)
    if known:
        problem = f"{', '.join(known)}: the model was trained on the subjects of these records"
        raise DataError(f"{problem}; leave them out of records", parameters=("records",))


def lineage(source: ModelCard, sha256: str) -> dict[str, Any]:
    """Return the entry of a card's data that names the model that training started from.

    Args:
        source: card of that model.
        sha256: hash of its Keras file.
    """
    return {
        LINEAGE: {"sha256": sha256, "data": {name: value for name, value in source.data.items() if name != "signals"}}
    }


def open_start(name: str | Path, task: TrainingTask, *, hyperparameters: dict[str, Any]) -> tuple[SavedModel, str]:
    """Open the model that a training starts from, and return it with the hash of its Keras file.

    Args:
        name: name or folder of the model.
        task: the task of the training.
        hyperparameters: configuration of the training.

    Raises:
        ModelError: the model cannot be opened.
        SettingsError: it is of another kind, or its weights have other shapes.
    """
    folder = find_model(name)
    found = open_model(folder)
    if found.card.model_kind != task.name:
        problem = f"{folder} is a {found.card.model_kind}, and a {task.name} is trained"
        raise SettingsError("start_from", f"{problem}; choose another model", value=str(name))
    _check_rate(found.card, task, folder=folder, setting="start_from")
    wanted = [tuple(weight.shape) for weight in task.build(hyperparameters).get_weights()]
    shapes = [tuple(weight.shape) for weight in found.model.get_weights()]
    if shapes != wanted:
        problem = f"the layers of {folder} differ from those of the configuration; choose a model of the same layers"
        raise SettingsError("start_from", problem, value=str(name), parameters=("hyperparameters",))
    return found, _hash_of(folder)


def with_pretrained(names: str, tasks: Mapping[str, TrainingTask], *, data: Database) -> dict[str, TrainingTask]:
    """Return the tasks of a study with the models whose weights their trainings may start from.

    Args:
        names: names or folders of models with commas, at most one of each kind; those of other tasks are not used.
        tasks: the tasks by name.
        data: the database of the tasks.

    Raises:
        ModelError: a model cannot be opened.
        SettingsError: two models are of one kind, or a model has another sampling rate or a network that is outside the
            space of its task.
        DataError: a model was trained on validation or test records of the study.
    """
    from ecg_study.tuning.warm_start import pretrained_configuration

    found = dict(tasks)
    kinds: dict[str, str] = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        folder = find_model(name)
        model = open_model(folder)
        kind = model.card.model_kind
        if kind in kinds:
            problem = f"{kinds[kind]} and {name} are both a {kind}; choose one"
            raise SettingsError("pretrained", problem, value=names)
        kinds[kind] = name
        if kind not in tasks:
            continue
        _check_rate(model.card, tasks[kind], folder=folder, setting="pretrained")
        refuse_training_records(model.card, tasks[kind], data=data)
        sha256 = _hash_of(folder)
        weights = tuple(model.model.get_weights())
        own = Pretrained(folder.name, sha256, model.card.hyperparameters, weights, lineage=lineage(model.card, sha256))
        found[kind] = replace(tasks[kind], pretrained=own)
        pretrained_configuration(found[kind], own)
    return found


def _check_rate(card: ModelCard, task: TrainingTask, *, folder: Path, setting: str) -> None:
    if card.fs != task.cache.fs:
        problem = f"{folder} expects {card.fs:g} Hz, and the records have {task.cache.fs:g} Hz"
        raise SettingsError(setting, f"{problem}; choose another model", value=str(folder))


def _hash_of(folder: Path) -> str:
    if not (folder / MODEL_FILE).is_file():
        raise ModelError(f"{folder / MODEL_FILE}: not found; get a new copy of the model")
    return sha256_of(folder / MODEL_FILE)
