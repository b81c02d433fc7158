"""Training of one configuration into a model folder. It can be stopped at any time, resumed, and extended."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ecg_study.ecg_data.databases.splits import TRAIN, VALIDATION
from ecg_study.errors import SettingsError, TrainingError
from ecg_study.evaluation.results.long_training import LongTraining
from ecg_study.extras import require_packages
from ecg_study.files import make_directory, replacing, write_json, write_text
from ecg_study.formatting import difference
from ecg_study.models.card import MODEL_KINDS, ModelCard, read_card
from ecg_study.models.folder import SavedModel
from ecg_study.progress import Progress, deferred_interrupts
from ecg_study.reports.model_card import render_trained_card
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.backend import import_backend
from ecg_study.training.final_training import training_conditions
from ecg_study.training.loop import train
from ecg_study.training.specs import FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.saved_state import SAVE_SECONDS, TrainingStateFile
from ecg_study.training.steps.step_loop import StepCallback, StepProgress
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.preparation import PreparedData, prepare_data
from ecg_study.workflows.settings import SETTINGS_FILE, Settings, save_settings
from ecg_study.workflows.training.configuration import (
    check_buildable,
    choose_hyperparameters,
    searched_hyperparameters,
)
from ecg_study.workflows.training.origins import TRAINED, lineage, open_start, refuse_training_records
from ecg_study.workflows.training.trained_model import (
    final_model,
    operating_point,
    replace_model,
    training_card,
    training_result,
)

TRAIN_FOLDER = "train"
"""Folder in the output folder with the state and the history of each training."""

STATE_FILE, HISTORY_FILE, SUMMARY_FILE, PLOT_FILE = "state.npz", "history.csv", "training.json", "history.png"


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """Request for a training: configuration and budget.

    Attributes:
        model_kind: ``"denoiser"`` or ``"detector"``.
        budget: length of the training. A larger one continues a finished training.
        hyperparameters: those that the preset leaves open, or that differ from it.
        from_search: output folder of a study whose best trial gives the hyperparameters; ``None`` for none.
        weight_average: momentum of the average of the weights (default: that of the preset).
        validate_every: segments between two validations (default: one epoch).
        restart: start from scratch; a saved training is renamed, not deleted.
        refit: folder of a model of the same configuration that was trained without the validation records. This
            training uses them too, as nothing is left to choose: its thresholds are those of that model.
            ``None`` for a training that is validated.
        start_from: name or folder of a model of the same layers whose weights the training starts from; ``None`` starts
            from random weights.
        save_seconds: time between two saved states in seconds.
    """

    model_kind: str
    budget: TrainingBudget
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    from_search: Path | None = None
    weight_average: float | None = None
    validate_every: int | None = None
    restart: bool = False
    refit: Path | None = None
    start_from: Path | None = None
    save_seconds: float = SAVE_SECONDS


@dataclass(frozen=True)
class _Origin:
    """The model that a training starts from, and the hash of its Keras file."""

    model: SavedModel
    sha256: str


def _ignore_steps(_: StepProgress) -> None:
    pass


def train_model(
    settings: Settings,
    request: TrainingRequest,
    *,
    on_progress: Progress,
    on_start: Callable[[TrainingTask, Mapping[str, Any]], None] | None = None,
    on_step: StepCallback = _ignore_steps,
) -> LongTraining:
    """Train one configuration, choose its thresholds, and write ``models/<kind>``.

    The state is saved every few minutes. The same call resumes a training that was stopped or killed.

    Args:
        settings: records, preset, seed and output folder.
        request: configuration and length.
        on_progress: called with the name of another step, the number of steps done, and their total.
        on_start: called with the task and its hyperparameters before the training.
        on_step: called with the progress of the training a few times per second.

    Raises:
        SettingsError: a hyperparameter is missing or wrong, the budget is smaller than what is done, or
            ``models/<kind>`` is a model that another command made.
        StateError: the saved state is damaged, of another training, or in use.
        TrainingError: the training diverged.
    """
    require_packages()
    output_dir = Path(settings.output_dir)
    model_dir = output_dir / "models" / request.model_kind
    preset, hyperparameters = _configuration(settings, request)
    chosen = None if request.refit is None else _validated_card(request.refit, request, preset, hyperparameters)
    _check_replaceable(model_dir)  # all that can be refused before the data are prepared, which can take an hour
    data = prepare_data(settings, on_progress=on_progress)
    import_backend()
    task = _task(settings, request, preset, data=data)
    if chosen is not None:
        _check_same_split(chosen, task)
    check_buildable(task, hyperparameters)
    origin = _origin(request, task, hyperparameters=hyperparameters, data=data)
    make_directory(output_dir)
    directory = output_dir / TRAIN_FOLDER / task.name
    with deferred_interrupts(), TrainingStateFile(directory.with_suffix(".npz")).locked():
        if request.restart:
            _set_aside(directory)
        if on_start is not None:
            on_start(task, hyperparameters)
        spec = TrainingSpec(id=f"{task.name}-{TRAIN_FOLDER}", epochs=1, hyperparameters=hyperparameters)
        training = _train(task, spec, request, directory=directory, seed=settings.seed, origin=origin, on_step=on_step)
        model = final_model(task, spec, training=training)
        if chosen is not None:
            point = chosen.operating_point
        else:
            point = operating_point(model, task, data=data, seed=settings.seed, on_progress=on_progress)
        result = training_result(task, spec, training=training, data=data, budget=request.budget, point=point)
        _write_summary(result, settings, directory=directory)
        card = training_card(task, data=data, result=result, seed=settings.seed)
        if origin is not None:
            card = replace(card, data={**card.data, **lineage(origin.model.card, origin.sha256)})
        replace_model(model_dir, model, card=card, page=render_trained_card(card, result))
    return result


def _task(settings: Settings, request: TrainingRequest, preset: Preset, *, data: PreparedData) -> TrainingTask:
    """Return the model and its data."""
    return TrainingTask(
        request.model_kind,
        data.cache,
        data.split,
        preset,
        refit=request.refit is not None,
        keras_layers=settings.keras_layers,
        shares=data.shares,
    )


def _origin(
    request: TrainingRequest, task: TrainingTask, *, hyperparameters: dict[str, Any], data: PreparedData
) -> _Origin | None:
    """Return the model that a training starts from; ``None`` for random weights."""
    if request.start_from is None:
        return None
    origin = _Origin(*open_start(request.start_from, task, hyperparameters=hyperparameters))
    refuse_training_records(origin.model.card, task, data=data.database)
    return origin


def _train(
    task: TrainingTask,
    spec: TrainingSpec,
    request: TrainingRequest,
    *,
    directory: Path,
    seed: int,
    origin: _Origin | None,
    on_step: StepCallback,
) -> FinishedTraining:
    """Train, or go on from the state in the folder of the training.

    Raises:
        TrainingError: the training diverged.
    """
    options = TrainingOptions.for_long(task, request.budget, validate_every=request.validate_every)
    conditions = training_conditions(task, spec, options=options, seed=seed)
    if origin is not None:
        conditions["start from"] = origin.sha256
    training = train(
        task,
        spec,
        options=options,
        seed=seed,
        initial_weights=None if origin is None else origin.model.model.get_weights(),
        on_step=_with_history(on_step, directory / HISTORY_FILE),
        state_file=TrainingStateFile(directory / STATE_FILE, conditions, seconds=request.save_seconds),
    )
    if training.weights is None:
        problem = f"{training.result.reason}; restart with a lower learning_rate or another seed"
        raise TrainingError(f"training of the {task.name}: {problem}", parameters=("restart", "seed"))
    return training


def _write_summary(result: LongTraining, settings: Settings, *, directory: Path) -> None:
    """Write results, settings, history and plot of a training beside its state."""
    write_json(directory / SUMMARY_FILE, asdict(result))
    # Beside the state: the output folder may be that of a study with settings of its own.
    save_settings(settings, directory / SETTINGS_FILE)
    # A kill between the last saved state and its callback leaves a file without the last row.
    write_text(directory / HISTORY_FILE, _as_csv(result.history))
    _save_plot(result, directory / PLOT_FILE)


def _configuration(settings: Settings, request: TrainingRequest) -> tuple[Preset, dict[str, Any]]:
    """Return the preset and all hyperparameters."""
    if request.model_kind not in MODEL_KINDS:
        problem = f"{request.model_kind!r} is not one of {', '.join(MODEL_KINDS)}"
        raise SettingsError("model_kind", problem, value=request.model_kind)
    preset = load_preset(settings.preset)
    if request.weight_average is not None:
        preset = replace(preset, weight_average=request.weight_average)
    given = {} if request.from_search is None else searched_hyperparameters(request.from_search, request.model_kind)
    hyperparameters = choose_hyperparameters(
        preset,
        {**given, **request.hyperparameters},
        model_kind=request.model_kind,
        segment_samples=settings.segment_samples,
    )
    return preset, hyperparameters


def _validated_card(
    folder: Path, request: TrainingRequest, preset: Preset, hyperparameters: Mapping[str, Any]
) -> ModelCard:
    """Return the card of the model that a training on all records takes its thresholds from.

    Raises:
        ModelError: it cannot be read.
        SettingsError: it is another model, or was not validated itself.
    """
    card = read_card(folder)
    expected = {"model_kind": request.model_kind, "preset": preset.name, "hyperparameters": dict(hyperparameters)}
    for name, value in expected.items():
        if (found := getattr(card, name)) != value:
            before, now = difference(found, value)
            problem = f"{folder} has {name} = {before}, but {name} = {now} is trained; choose a model of the same"
            raise SettingsError("refit", problem, value=str(folder))
    if card.data.get(TRAINED, {}).get("refit"):
        problem = f"{folder} was trained on the validation records itself; choose the model that was not"
        raise SettingsError("refit", problem, value=str(folder))
    return card


def _check_same_split(card: ModelCard, task: TrainingTask) -> None:
    """Raise an error if the thresholds of a model were chosen on other records than this split's."""
    records = card.data.get("records", {})
    wrong = next((part for part in (TRAIN, VALIDATION) if list(task.split.part(part)) != records.get(part)), None)
    if wrong is not None:
        problem = f"the model has other {wrong} records than this training; choose a model of the same records"
        raise SettingsError("refit", problem)


def _check_replaceable(model_dir: Path) -> None:
    """Raise an error if a model folder exists that this verb did not write."""
    if model_dir.exists() and TRAINED not in read_card(model_dir).data:
        problem = (
            f"{model_dir} is a model of a study, and a training would replace it; set output_dir to another folder"
        )
        raise SettingsError("output_dir", problem, value=str(model_dir.parent.parent))


def _set_aside(directory: Path) -> None:
    """Rename the folder of an earlier training, without deleting anything."""
    if directory.exists():
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        directory.rename(directory.with_name(f"{directory.name}.before-{stamp}"))


def _with_history(on_step: StepCallback, path: Path) -> StepCallback:
    """Return a callback that also writes the history after each validation."""
    written = 0

    def step(progress: StepProgress) -> None:
        nonlocal written
        if len(progress.history) != written:
            written = len(progress.history)
            write_text(path, _as_csv(progress.history))
        on_step(progress)

    return step


def _save_plot(result: LongTraining, path: Path) -> None:
    from ecg_study.reports.plots.style import DPI
    from ecg_study.reports.plots.training import plot_long_training

    with replacing(path) as temporary:
        plot_long_training(result).savefig(temporary, dpi=DPI, format="png")


def _as_csv(history: Sequence[Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
