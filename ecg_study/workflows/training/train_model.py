"""Training of one configuration into a model folder. It can be stopped at any time, resumed, and extended."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.ecg_data.databases.splits import PARTS, TRAIN, VALIDATION
from ecg_study.errors import SettingsError, TrainingError
from ecg_study.evaluation.leads import read_leads
from ecg_study.evaluation.results.long_training import LongTraining
from ecg_study.evaluation.thresholds import choose_operating_point
from ecg_study.extras import require_packages
from ecg_study.files import make_directory, remove_abandoned, replacing, temporary_path, write_json, write_text
from ecg_study.formatting import difference
from ecg_study.models.card import MODEL_KINDS, ModelCard, OperatingPoint, read_card
from ecg_study.models.folder import SavedModel, save_model
from ecg_study.progress import Progress, deferred_interrupts
from ecg_study.reports.model_card import render_trained_card
from ecg_study.result_cache import ResultCache
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.backend import import_backend
from ecg_study.training.final_training import build_trained, training_conditions
from ecg_study.training.loop import train
from ecg_study.training.specs import FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.steps.budget import Budget
from ecg_study.training.steps.recorder import AVERAGED, LOSS
from ecg_study.training.steps.saved_state import SAVE_SECONDS, StateFile
from ecg_study.training.steps.step_loop import StepCallback, StepProgress
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.workflows.preparation import PreparedData, prepare_data
from ecg_study.workflows.reporting.provenance import summarize_data
from ecg_study.workflows.settings import SETTINGS_FILE, Settings, save_settings
from ecg_study.workflows.task_models import cached_task_model, task_card
from ecg_study.workflows.training.configuration import (
    check_buildable,
    choose_hyperparameters,
    searched_hyperparameters,
)
from ecg_study.workflows.training.origins import TRAINED, lineage, open_start, refuse_training_records

if TYPE_CHECKING:
    import keras

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
    budget: Budget
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
    task = TrainingTask(
        request.model_kind,
        data.cache,
        data.split,
        preset,
        refit=chosen is not None,
        keras_layers=settings.keras_layers,
        shares=data.shares,
    )
    if chosen is not None:
        _check_same_split(chosen, task)
    check_buildable(task, hyperparameters)
    origin: _Origin | None = None
    if request.start_from is not None:
        origin = _Origin(*open_start(request.start_from, task, hyperparameters=hyperparameters))
        refuse_training_records(origin.model.card, task, data=data.database)
    make_directory(output_dir)
    directory = output_dir / TRAIN_FOLDER / task.name
    spec = TrainingSpec(id=f"{task.name}-{TRAIN_FOLDER}", epochs=1, hyperparameters=hyperparameters)
    options = TrainingOptions.for_long(task, request.budget, validate_every=request.validate_every)
    conditions = training_conditions(task, spec, options=options, seed=settings.seed)
    if origin is not None:
        conditions["start from"] = origin.sha256
    with deferred_interrupts(), StateFile(directory.with_suffix(".npz")).locked():
        if request.restart:
            _set_aside(directory)
        if on_start is not None:
            on_start(task, hyperparameters)
        state_file = StateFile(directory / STATE_FILE, conditions, seconds=request.save_seconds)
        training = train(
            task,
            spec,
            options=options,
            seed=settings.seed,
            initial_weights=None if origin is None else origin.model.model.get_weights(),
            on_step=_with_history(on_step, directory / HISTORY_FILE),
            state_file=state_file,
        )
        if training.weights is None:
            problem = f"{training.result.reason}; restart with a lower learning_rate or another seed"
            raise TrainingError(f"training of the {task.name}: {problem}", parameters=("restart", "seed"))
        model = _final_model(task, spec, training)
        if chosen is not None:
            point = chosen.operating_point
        else:
            point = _operating_point(model, task, data, seed=settings.seed, on_progress=on_progress)
        result = _result(task, spec, training, data=data, budget=request.budget, point=point)
        write_json(directory / SUMMARY_FILE, asdict(result))
        # Beside the state: the output folder may be that of a study with settings of its own.
        save_settings(settings, directory / SETTINGS_FILE)
        # A kill between the last saved state and its callback leaves a file without the last row.
        write_text(directory / HISTORY_FILE, _as_csv(result.history))
        _save_plot(result, directory / PLOT_FILE)
        card = _card(task, data, result, seed=settings.seed)
        if origin is not None:
            card = replace(card, data={**card.data, **lineage(origin.model.card, origin.sha256)})
        _replace_model(model_dir, model, card=card, page=render_trained_card(card, result))
    return result


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


def _final_model(task: TrainingTask, spec: TrainingSpec, training: FinishedTraining) -> keras.Model:
    import keras

    keras.backend.clear_session()  # the layers of a saved model are numbered from the first
    return build_trained(task, spec, training=training)


def _operating_point(
    model: keras.Model, task: TrainingTask, data: PreparedData, *, seed: int, on_progress: Progress
) -> OperatingPoint:
    if not task.has_thresholds:
        return OperatingPoint({})
    on_progress("Thresholds", 0, 1)
    leads = read_leads(task.cache, data.database, records=task.split.validation)
    noise, subjects = task.validation_noise, task.split.subjects
    with tempfile.TemporaryDirectory() as kept:
        cached = cached_task_model(model, task, store=ResultCache(Path(kept)))
        point = choose_operating_point(cached, leads, noise=noise, subjects=subjects, seed=seed)
    on_progress("Thresholds", 1, 1)
    return point


def _result(
    task: TrainingTask,
    spec: TrainingSpec,
    training: FinishedTraining,
    *,
    data: PreparedData,
    budget: Budget,
    point: OperatingPoint,
) -> LongTraining:
    history, score = training.result.history, training.result.score
    assert score is not None
    prefix = AVERAGED if training.averaged else ""
    kept = history[-1] if task.refit else next(row for row in reversed(history) if row.get(prefix + LOSS) == score)
    objective = task.objective[0]
    return LongTraining(
        task=task.name,
        database=data.database.name,
        parts={part: task.split.part(part) for part in PARTS},
        preset=task.preset.name,
        hyperparameters=spec.hyperparameters,
        parameters=training.result.parameters or 0,
        budget=str(budget),
        segments=int(history[-1]["segments"]),
        seconds=training.result.seconds,
        kept_segments=int(kept["segments"]),
        averaged=training.averaged,
        refit=task.refit,
        diverged=training.diverged,
        loss=score,
        objective=(objective, kept.get(prefix + objective)),
        history=history,
        thresholds=point.thresholds,
        calibration=point.calibration,
    )


def _card(task: TrainingTask, data: PreparedData, result: LongTraining, *, seed: int) -> ModelCard:
    summary = summarize_data(data.database, task.cache, split=task.split)
    objective, value = result.objective
    metrics = {"loss": result.loss, **({} if value is None else {objective.removeprefix("val_"): value})}
    measured = {"training": {"loss": result.loss}} if result.refit else {"validation": metrics}
    return replace(
        task_card(task, parameters=result.parameters),
        thresholds=result.thresholds,
        calibration=result.calibration,
        hyperparameters=result.hyperparameters,
        data={
            "database": summary.database,
            "version": summary.version,
            "attribution": summary.attribution,
            "license": summary.license,
            "sha256": summary.sha256,
            "key": summary.key,
            "lead": summary.lead,
            **({"aligned_marks": True} if task.cache.settings.aligned else {}),
            "noise_sigma_mv": summary.noise_sigma_mv,
            **augmentation_as_json(task, result.hyperparameters),
            "records": {name: list(part.records) for name, part in summary.parts.items()},
            "signals": task.cache.signals([*task.split.train, *task.split.validation]),
            TRAINED: {
                "segments": result.segments,
                "kept_segments": result.kept_segments,
                "averaged": result.averaged,
                "refit": result.refit,
                "seconds": round(result.seconds, 1),
            },
        },
        metrics=measured,
        seed=seed,
    )


def _replace_model(directory: Path, model: keras.Model, *, card: ModelCard, page: str) -> None:
    """Write a model folder in place of an existing one."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(directory.parent)
    with (
        temporary_path(directory.parent, directory.name) as made,
        temporary_path(directory.parent, directory.name) as old,
    ):
        save_model(made, model, card=card, page=page)
        if directory.exists():
            directory.rename(old)
        made.rename(directory)
